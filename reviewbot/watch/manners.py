"""Whom the watcher answers, and what it does not say again: opt-in, programs, people who said no, old arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import msgspec

from reviewbot.key import finding_key, is_ours
from reviewbot.types import Decision, Outcome, Review, Value, Verdict
from reviewbot.watch.config import Config

if TYPE_CHECKING:
    from reviewbot.watch.series import Posting


def skip(config: Config) -> Callable[[Posting], str]:
    """The rule by which a posting is not reviewed at all, as `watch_series.settle` asks for it."""
    lists = {x.name: x for x in config.lists}

    def reason(posting: Posting) -> str:
        lead = posting.lead
        list_ = lists.get(lead.list)
        if list_ is None or not list_.review:
            return f"the list {lead.list} did not ask for reviews (`review = true` says that it does)"
        programs = [m.program for m in posting.members if m.program]
        if programs or any(is_ours(m.id) for m in posting.members):
            return programs[0] if programs else "a mail of our own"
        if _fits(lead.author, config.bots):
            return f"{lead.author} is a program (`bots` says so)"
        if _fits(lead.author, config.drafts.never):
            return f"{lead.author} is not to be answered (`drafts.never` says so)"
        if lead.expected > config.limits.patches:
            return f"{lead.expected} patches, more than `limits.patches` allows"
        return ""

    return reason


def _fits(address: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(address.lower(), pattern.lower()) for pattern in patterns)


class FilteredReview(Value, frozen=True):
    """A review with what is not to be said again taken out of it."""

    review: Review
    notes: tuple[str, ...]
    """What was left out and why, for the maintainer."""


def without_old_arguments(review: Review, silenced: Mapping[str, str]) -> FilteredReview:
    """Leave out confirmed findings that were refuted, or marked as false positives, in this or an older version.

    `silenced` has who said what against a finding, by its key.
    """
    kept: list[Verdict] = []
    notes: list[str] = []
    for verdict in review.verdicts:
        said = silenced.get(finding_key(verdict.finding))
        if said is None or verdict.outcome is not Outcome.CONFIRMED:
            kept.append(verdict)
        else:
            notes.append(f"not raised again, {said}: {verdict.finding.message}")
    if not notes:
        return FilteredReview(review=review, notes=())
    decision, reason = review.decision, review.reason
    if decision is Decision.NACK and not any(v.outcome is Outcome.CONFIRMED for v in kept):
        decision, reason = Decision.COMMENT, "all that was found has been answered before"
    changed = msgspec.structs.replace(review, verdicts=tuple(kept), decision=decision, reason=reason)
    return FilteredReview(review=changed, notes=tuple(notes))


class Progress(Value, frozen=True):
    """How the confirmed findings of an older version fared in a newer one; messages of the findings."""

    answered: tuple[str, ...]
    remain: tuple[str, ...]
    new: tuple[str, ...]

    def __str__(self) -> str:
        counts = [(self.answered, "answered"), (self.remain, "remain"), (self.new, "new")]
        return ", ".join(f"{len(found)} {word}" for found, word in counts)


def compare(older: Iterable[Verdict], newer: Iterable[Verdict]) -> Progress:
    """Compare two versions of a series by what their findings are about, wherever the lines moved."""
    before = {finding_key(v.finding): v.finding.message for v in older if v.outcome is Outcome.CONFIRMED}
    after = {finding_key(v.finding): v.finding.message for v in newer if v.outcome is Outcome.CONFIRMED}
    return Progress(
        answered=tuple(m for k, m in before.items() if k not in after),
        remain=tuple(m for k, m in after.items() if k in before),
        new=tuple(m for k, m in after.items() if k not in before),
    )


def worth_a_draft(review: Review, of: Iterable[str]) -> bool:
    """Whether the configuration wants a draft of this verdict."""
    wanted = set(of)
    if review.decision is Decision.ACK:
        fixes = any(v.outcome is Outcome.FIXED for v in review.verdicts)
        return "ack" in wanted or (fixes and "fix" in wanted)
    return review.decision is Decision.NACK and "nack" in wanted
