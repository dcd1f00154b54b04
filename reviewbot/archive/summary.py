"""Rows of a replayed archive -> what a maintainer asks before the reviewer is turned on for a list."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from reviewbot.archive.posting import ArchiveRow
from reviewbot.types import Decision, Outcome, Value

SAID = (Decision.NACK.value, Decision.COMMENT.value, Decision.ACK.value)
OTHER = "not reviewed"
"""Stands for the verdicts without a review: unreviewed and fault."""
COUNTED = (*SAID, OTHER)
UNREAD = "(what changed could not be read)"
"""Stands for a rule where a posting is undecided because of that alone."""


class Counts(Value, frozen=True):
    """What was posted under one name (a month, a subsystem), and what was said of what goes with a tree."""

    name: str
    posted: int
    nack: int = 0
    comment: int = 0
    ack: int = 0
    not_reviewed: int = 0

    @property
    def fit(self) -> int:
        """How many go with a tree."""
        return self.nack + self.comment + self.ack + self.not_reviewed

    def bars(self) -> dict[str, float]:
        """For a plot."""
        return dict(zip(COUNTED, (self.nack, self.comment, self.ack, self.not_reviewed), strict=True))


class RuleCounts(Value, frozen=True):
    """How often a rule spoke: in postings that apply, and in those that a tree has already."""

    name: str
    nacks: int = 0
    merged_nacks: int = 0
    """NACKs of what was merged all the same: most of them are wrong, or were missed by everybody."""
    comments: int = 0
    fixes: int = 0
    """Postings of which it says that they end a deadlock."""

    def bars(self) -> dict[str, float]:
        """For a plot."""
        return {"nack": self.nacks, "comment": self.comments, "fix": self.fixes}


class ArchiveSummary(Value, frozen=True):
    """All of it."""

    whole: Counts
    fits: tuple[tuple[str, int], ...]
    """How many postings go with which tree, and how."""
    months: tuple[Counts, ...]
    subsystems: tuple[Counts, ...]
    rules: tuple[RuleCounts, ...]
    nacks: tuple[ArchiveRow, ...]
    seconds: tuple[float, float, float, float]
    """Processor time of those that go with a tree: all of it, the median, the 90th of 100, the longest."""

    @property
    def merged_nacks(self) -> int:
        """NACKs of postings that a tree has already."""
        return sum(row.fit == "merged" for row in self.nacks)

    @property
    def busiest(self) -> Counts:
        """The month with the most NACKs."""
        return max(self.months, key=lambda month: (month.nack, month.name), default=self.whole)


def summed(rows: Iterable[ArchiveRow]) -> ArchiveSummary:
    """Count the rows."""
    found = list(rows)
    spent = sorted(row.seconds for row in found if row.fit) or [0.0]
    fits = Counter(f"{row.fit} {row.tree}".strip() or "none" for row in found)
    subsystems = sorted(_by(found, lambda row: row.subsystem or "(no folder)"), key=lambda c: (-c.fit, c.name))
    return ArchiveSummary(
        whole=_counts("all", found),
        fits=tuple(sorted(fits.items())),
        months=tuple(_by(found, month)),
        subsystems=tuple(subsystems),
        rules=tuple(_rules(found)),
        nacks=tuple(row for row in found if row.verdict == Decision.NACK.value),
        seconds=(round(sum(spent), 1), median(spent), spent[len(spent) * 9 // 10], spent[-1]),
    )


def month(row: ArchiveRow) -> str:
    """Year and month in which it was posted."""
    return time.strftime("%Y-%m", time.gmtime(row.posted))


def _by(rows: Iterable[ArchiveRow], name: Callable[[ArchiveRow], str]) -> list[Counts]:
    groups: dict[str, list[ArchiveRow]] = defaultdict(list)
    for row in rows:
        groups[name(row)].append(row)
    return [_counts(key, groups[key]) for key in sorted(groups)]


def _counts(name: str, rows: Sequence[ArchiveRow]) -> Counts:
    said = Counter(row.verdict if row.verdict in SAID else OTHER for row in rows if row.fit)
    return Counts(name, len(rows), *(said[verdict] for verdict in COUNTED))


def _rules(rows: Iterable[ArchiveRow]) -> list[RuleCounts]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        kinds = {(s.rule, kind) for s in row.findings for kind in [_kind(s.outcome)] if kind}
        if row.verdict == Decision.COMMENT.value and not any(kind == "comment" for _, kind in kinds):
            kinds.add((UNREAD, "comment"))
        for rule, kind in kinds:
            counts[rule][kind] += 1
            counts[rule]["merged"] += kind == "nack" and row.fit == "merged"
    made = [RuleCounts(rule, c["nack"], c["merged"], c["comment"], c["fix"]) for rule, c in counts.items()]
    return sorted(made, key=lambda rule: (-rule.nacks, -rule.comments, rule.name))


def _kind(outcome: str) -> str:
    kinds = {Outcome.CONFIRMED: "nack", Outcome.INCONCLUSIVE: "comment", Outcome.FIXED: "fix"}
    return kinds.get(Outcome(outcome), "")
