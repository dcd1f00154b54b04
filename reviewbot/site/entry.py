"""What the site shows of a series, and how to tell that it has changed."""

from __future__ import annotations

import email.policy
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email import message_from_bytes

import msgspec

from reviewbot.text import clean
from reviewbot.types import Address, Decision, Mail, Outcome, Patch, Reply, Review, Series, Value, Verdict
from reviewbot.watch.ledger import DraftRow
from reviewbot.watch.outline import Posted, SeriesOutline
from reviewbot.watch.reasons import kind
from reviewbot.watch.result import WorkResult
from reviewbot.watch.store import SeriesRow, SeriesState

VERDICTS = (*(str(decision) for decision in Decision), *(str(s) for s in SeriesState if s is not SeriesState.DONE))
"""What a series can stand under, in the order of the overview."""


class Fired(Value, frozen=True):
    """A finding of a series, for counting."""

    rule: str
    outcome: Outcome


class SeriesEntry(Value, frozen=True):
    """A series with all that its page shows."""

    outline: SeriesOutline
    result: WorkResult | None
    versions: tuple[tuple[SeriesOutline, str], ...]
    """All versions that are known, the oldest first, each with what changed since the one before it."""
    posted: tuple[Posted, ...]
    drafts: tuple[tuple[DraftRow, Reply], ...]

    @property
    def verdict(self) -> str:
        """Its verdict, or where it stands."""
        return standing(self.outline)

    @property
    def why(self) -> str:
        """Why it was not reviewed; empty for one that was."""
        return clean(self.outline.reason) if self.verdict not in (Decision.ACK, Decision.NACK) else ""

    @property
    def fired(self) -> tuple[Fired, ...]:
        """The findings with a schedule."""
        verdicts = self.result.verdicts if self.result else ()
        return tuple(
            Fired(v.finding.rule, v.outcome) for v in verdicts if v.outcome in (Outcome.CONFIRMED, Outcome.FIXED)
        )


def standing(outline: SeriesOutline) -> str:
    """The verdict of a series that is done, else its state."""
    return outline.decision if outline.state is SeriesState.DONE and outline.decision else str(outline.state)


def reason_kind(outline: SeriesOutline) -> str:
    """What the reason of a series without a review is counted as; empty for one with a review."""
    without = standing(outline) not in (Decision.ACK, Decision.NACK, Decision.COMMENT)
    return kind(outline.reason) if without and outline.reason else ""


def day(seconds: float) -> str:
    """A moment as people read it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def fingerprints(outlines: Sequence[SeriesOutline], drafts: dict[str, list[DraftRow]]) -> dict[str, str]:
    """Series key -> something that changes whenever its page has to: with the series, its other versions, its drafts."""
    own: dict[str, bytes] = {}
    members: dict[str, list[str]] = {}
    for outline in outlines:
        states = [f"{d.name} {d.state} {d.why}" for d in drafts.get(outline.key, ())]
        own[outline.key] = repr((outline, states)).encode("utf-8", "surrogatepass")
        members.setdefault(outline.lineage or outline.key, []).append(outline.key)
    found = {}
    for keys in members.values():
        others = b"\0".join(own[key] for key in keys)
        for key in keys:
            found[key] = hashlib.blake2b(own[key] + b"\0\0" + others, digest_size=12).hexdigest()
    return found


def entry(
    row: SeriesRow,
    outline: SeriesOutline,
    versions: Iterable[tuple[SeriesOutline, SeriesRow | None]],
    posted: Sequence[Posted],
    drafts: Iterable[tuple[DraftRow, bytes]],
) -> SeriesEntry:
    """All that is shown of a series, from its rows."""
    told = tuple((one, result.since if (result := _result(of)) else "") for one, of in versions)
    mails = tuple((draft, _reply(draft, raw)) for draft, raw in drafts)
    return SeriesEntry(outline, _result(row), told, tuple(posted), mails)


def review(entry: SeriesEntry) -> Review:
    """The review as the page of `check --html` takes it, as far as the watcher keeps it."""
    outline, result = entry.outline, entry.result or WorkResult(Decision.UNREVIEWED)
    mail = Mail(outline.lead, outline.subject, Address("", outline.author), "")
    patches = tuple(Patch(mail, b"", number) for number in range(1, max(outline.expected, 1) + 1))
    return Review(
        series=Series(patches, outline.version, outline.expected, source=outline.lead),
        decision=result.decision,
        reason=result.reason,
        change=result.change,
        verdicts=result.verdicts,
        checked=result.checked,
        notes=result.notes,
        replies=tuple(reply for _, reply in entry.drafts),
        events=result.events,
        code=result.code,
    )


def _result(row: SeriesRow | None) -> WorkResult | None:
    """What is kept of a review; None for none, and for one that a later version wrote."""
    try:
        return msgspec.json.decode(row.result, type=WorkResult) if row and row.result else None
    except msgspec.MsgspecError:
        return None


def _reply(draft: DraftRow, raw: bytes) -> Reply:
    """A draft as its mail says it."""
    mail = message_from_bytes(raw, policy=email.policy.default)
    content = mail.get_content() if mail.get_content_maintype() == "text" else ""
    headers = tuple((name, clean(str(value))) for name, value in mail.items() if name.lower() in SHOWN_HEADERS)
    return Reply(headers, str(content), _verdicts(draft))


SHOWN_HEADERS = {"from", "to", "cc", "subject", "in-reply-to", "message-id"}


def _verdicts(draft: DraftRow) -> tuple[Verdict, ...]:
    try:
        return draft.findings()
    except msgspec.MsgspecError:
        return ()
