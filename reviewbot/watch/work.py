"""From a series that is ready to its drafts: gather its mails, choose the tree, review, write down what came of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from reviewbot.drafts import deliver
from reviewbot.key import draft_name, finding_key, is_ours
from reviewbot.mail.fetch import Incomplete, MailLimits, MailReader, Outage, UnknownMessage
from reviewbot.process.bounded import Failed
from reviewbot.review import Options
from reviewbot.types import (
    Change,
    Decision,
    FileChange,
    Finding,
    Hunk,
    Outcome,
    Reply,
    Review,
    ReviewError,
    Series,
    Side,
    Unreviewed,
    Verdict,
)
from reviewbot.watch.config import Config, TreeRule, address
from reviewbot.watch.ledger import DraftRow, DraftState, Judged, Ledger
from reviewbot.watch.lists import ListFolder
from reviewbot.watch.manners import compare, worth_a_draft
from reviewbot.watch.patchwork import Outbox
from reviewbot.watch.result import WorkResult
from reviewbot.watch.reviewer import REVIEWER, Done, Job, run
from reviewbot.watch.schema import draft, mail, series
from reviewbot.watch.store import Kind, MailRow, SeriesRow, SeriesState, Store
from reviewbot.watch.tree import choose, touched

MOST_REPLIES = 300
"""Replies of a thread that are read for a review."""
HOUR = 3600.0

Reviewer = Callable[[Job], Done]


class Worker:
    """Reviews series that are ready, one at a time. Use `work` until it returns None."""

    def __init__(
        self,
        store: Store,
        config: Config,
        name: str,
        reader: MailReader,
        review: Reviewer = run,
        reviewer: str = REVIEWER,
    ) -> None:
        self.store = store
        self.config = config
        self.name = name
        self.reader = reader
        self.review = review
        self.reviewer = reviewer
        self.tried: set[str] = set()
        self.faults: list[str] = []
        """Series that failed, and why."""

    def work(self) -> tuple[SeriesRow, str] | None:
        """Take one series and bring it to an end; returns it and what came of it, None when nothing is ready.

        Raises ReviewError where the work cannot be done at all now (no tree, full disk); the series is given back.
        """
        limits = self.config.limits
        claimed = self.store.claim(self.name, limits.review_seconds + 600, limits.tries, self.tried)
        if claimed is None:
            return None
        self.tried.add(claimed.key)
        try:
            return claimed, self._bring_to_an_end(claimed)
        except BaseException:
            with suppress(Exception):
                self.store.give_back(claimed)
            raise

    def _bring_to_an_end(self, claimed: SeriesRow) -> str:
        whole = claimed.present >= claimed.expected
        try:
            posted, lead = self._gather(claimed) if whole else (self._fetched(claimed), b"")
        except Outage as error:
            self.store.give_back(claimed)
            self.faults.append(f"<{claimed.lead}> is not fetched: {error}")
            return "not fetched"
        except (UnknownMessage, Incomplete) as error:
            return self._end(claimed, SeriesState.SKIPPED, str(error))
        except Unreviewed as error:
            return self._unreviewed(claimed, str(error))
        except ReviewError as error:
            return self._failed(claimed, error)
        rule = choose(self.config.trees, touched(posted), _maintainers)
        if rule is None:
            paths = ", ".join(touched(posted)[:3])
            return self._end(claimed, SeriesState.SKIPPED, f"no [[tree]] for {paths}")
        silenced = Ledger(self.store).silenced(claimed.lineage)
        job = Job(
            series=posted,
            options=_options(rule, self.config),
            reviewer=self.reviewer,
            silenced=tuple(silenced.items()),
            raw=lead,
            megabytes=self.config.limits.review_megabytes,
            seconds=self.config.limits.review_seconds,
        )
        try:
            done = self.review(job)
        except Failed as error:
            return self._failed(claimed, error)
        assert done.review is not None
        return self._record(claimed, done.review, done)

    def _gather(self, claimed: SeriesRow) -> tuple[Series, bytes]:
        """The series with the replies of people, read by a child; and its lead mail as it came."""
        limits = self.config.limits
        members = self.store.mails(mail.c.series == claimed.key, mail.c.kind.in_((Kind.PATCH, Kind.COVER)))
        raws = []
        lead = b""
        for row in [*members, *replies(self.store, members)]:
            raw = ListFolder(self.config.folder(), row.list).read(row, limits.mail_bytes)
            raws.append(raw)
            if row.id == claimed.lead:
                lead = raw
        source = f"<{claimed.lead}> on {claimed.list}"
        return self.reader.series(raws, source=source, asked=claimed.lead), lead

    def _fetched(self, claimed: SeriesRow) -> Series:
        """The series from an archive that has all lists: this one got only some of its patches."""
        archive = self.config.archive.rstrip("/")
        thread = self.reader.thread(claimed.lead, archive)
        source = f"<{claimed.lead}> from {archive.partition('://')[2]}"
        return self.reader.series((thread,), source=source, asked=claimed.lead)

    def _failed(self, claimed: SeriesRow, error: Exception) -> str:
        state = self.store.fail(claimed, str(error), self.config.limits.tries)
        again = "set aside" if state is SeriesState.SET_ASIDE else "to be tried again"
        self.faults.append(f"<{claimed.lead}> is {again}: {error}")
        return "failed" if state is SeriesState.READY else str(state)

    def _unreviewed(self, claimed: SeriesRow, reason: str) -> str:
        result = WorkResult(decision=Decision.UNREVIEWED, reason=reason)
        return self._end(claimed, SeriesState.DONE, reason, result)

    def _end(self, claimed: SeriesRow, state: SeriesState, reason: str, result: WorkResult | None = None) -> str:
        with self.store.transaction():
            if not self.store.holds(claimed):
                return "lost to another worker"
            text = msgspec.json.encode(result).decode() if result else ""
            decision = result.decision if result else ""
            tries = 0 if state is SeriesState.SKIPPED else claimed.tries  # a late patch may still make it one to review
            ended = {"state": state, "reason": reason, "worker": "", "decision": decision, "result": text}
            self.store.change_series(claimed.key, **ended, tries=tries)
        return decision or state

    def _record(self, claimed: SeriesRow, review: Review, done: Done) -> str:
        """Result and drafts in one transaction; the files follow it."""
        ledger = Ledger(self.store)
        with self.store.transaction():
            since = self._since(claimed, review, ledger)
            result = WorkResult(
                decision=review.decision,
                reason=review.reason,
                verdicts=review.verdicts,
                notes=(*review.notes, *done.notes),
                base=review.change.commit if review.change else "",
                since=since,
                attestation=done.attestation,
                checked=review.checked,
                change=shown_change(review),
                events=review.events,
                code=review.code,
            )
            ended = self._end(claimed, SeriesState.DONE, review.reason, result)
            if ended == review.decision:
                Outbox(self.config).put(claimed.key, review)
            if ended == review.decision and worth_a_draft(review, self.config.drafts.of):
                for reply in review.replies:
                    self._enter(claimed, reply, ledger)
        return ended

    def _enter(self, claimed: SeriesRow, reply: Reply, ledger: Ledger) -> None:
        message_id = deliver.mail_id(reply)
        row = DraftRow(
            name=draft_name(message_id),
            series=claimed.key,
            lineage=claimed.lineage,
            message_id=message_id,
            subject=reply.header("subject"),
            state=DraftState.PENDING,
            made=self.store.now(),
            verdicts=msgspec.json.encode(reply.verdicts).decode(),
            not_before=claimed.arrived + self.config.drafts.embargo_hours * HOUR,
        )
        ledger.add(row, deliver.as_bytes(reply))

    def _since(self, claimed: SeriesRow, review: Review, ledger: Ledger) -> str:
        """Compare with the version before; what it no longer has counts as repaired for the drafts that said so."""
        before = self.store.series(series.c.key == claimed.previous) if claimed.previous else []
        if not before or not before[0].result or review.decision is Decision.UNREVIEWED:
            return ""
        older = msgspec.json.decode(before[0].result, type=WorkResult).verdicts
        progress = compare(older, review.verdicts)
        for row in ledger.drafts(draft.c.series == claimed.previous, draft.c.state == DraftState.SENT):
            gone = {k for k, message in _confirmed(row.findings()).items() if message in progress.answered}
            if gone:
                ledger.judge(row, Judged.FIXED, by=claimed.author, said_in=claimed.lead, only=gone)
        return f"since v{before[0].version}: {progress}"


def shown_change(review: Review) -> Change | None:
    """Of a change what a page of the review shows: the hunks that findings with a schedule stand in."""
    change = review.change
    findings = [v.finding for v in review.verdicts if v.trace]
    if change is None or not findings:
        return None
    kept = []
    for file in change.files:
        hunks = tuple(hunk for hunk in file.hunks if any(_stands_in(f, file, hunk) for f in findings))
        if hunks:
            kept.append(msgspec.structs.replace(file, hunks=hunks))
    return Change(base=change.commit, how=change.how, files=tuple(kept))


def _stands_in(finding: Finding, file: FileChange, hunk: Hunk) -> bool:
    after = finding.side is Side.AFTER
    path, lines = (
        (file.path, [row.after for row in hunk.lines])
        if after
        else (
            file.old_path or file.path,
            [row.before for row in hunk.lines],
        )
    )
    return path == finding.at.file and finding.at.line in lines


def _confirmed(verdicts: tuple[Verdict, ...]) -> dict[str, str]:
    return {finding_key(v.finding): v.finding.message for v in verdicts if v.outcome is Outcome.CONFIRMED}


def replies(store: Store, members: list[MailRow]) -> list[MailRow]:
    """What people answered to some mails, and to these answers. Programs' mails and our own are left out."""
    found: dict[str, MailRow] = {}
    above = [m.id for m in members]
    while above and len(found) < MOST_REPLIES:
        below = store.mails(mail.c.parent.in_(above), mail.c.kind == Kind.REPLY)
        below = [m for m in below if m.id not in found and not m.program and not is_ours(m.id)]
        found |= {m.id: m for m in below[: MOST_REPLIES - len(found)]}
        above = [m.id for m in below]
    return list(found.values())


def _options(rule: TreeRule, config: Config) -> Options:
    who = rule.maintainer or config.drafts.maintainer
    return Options(
        tree=str(Path(rule.path).expanduser()),
        branch=rule.branch,
        sender=address(who, "maintainer") if who else None,
        archive=config.archive,
        comment_above=config.comment_above,
    )


def _maintainers(rule: TreeRule) -> str:
    from reviewbot.gittree.tree import Tree

    with Tree.open(Path(rule.path).expanduser()) as tree:
        return (tree.at(rule.branch).read("MAINTAINERS") or b"").decode("utf-8", "replace")


def lore_limits(config: Config) -> MailLimits:
    """The limits of the configuration for the children that read mails."""
    limits = config.limits
    return MailLimits(
        mail=limits.mail_bytes, seconds=limits.parse_seconds * 6, memory=max(limits.parse_megabytes, 256) << 20
    )
