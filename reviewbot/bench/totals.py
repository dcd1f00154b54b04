"""Scores as nothing but counts and seconds, for labelled patches that nobody may look at.

What is kept of a case is one `Totals`: its fields are numbers, under names that come from closed sets (labels, verdicts,
ids of our rules, types of exceptions, our own lines) and the class, a plain word. There is no place in it for an id, a
path, a message or a reason, so none can come out. While cases are scored, standard output and standard error of this
process and of all its children go nowhere.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, TextIO

import msgspec

from reviewbot.bench import backtest
from reviewbot.bench.backtest import Labelled
from reviewbot.bench.workers import spread
from reviewbot.faults import fault
from reviewbot.types import Fault, Outcome, Review, ReviewError

if TYPE_CHECKING:
    from reviewbot.review import Examined

LABELS = ("deadlock", "clean", "fix", "merged")
INNOCENT = ("clean", "fix")
VERDICTS = ("nack", "comment", "ack", "unreviewed", "fault")
OTHER = "other"
"""Stands for a name that is of none of the closed sets."""
_WORD = re.compile(r"[a-z]+(-[a-z]+){0,3}")


class Refused(ReviewError):
    """What cannot be scored, in words that say nothing of any case."""


class TotalsGroup(NamedTuple):
    """What cases are counted by. apart: why they count for nothing else, empty for those that do."""

    core: bool
    label: str
    cls: str
    apart: str = ""


class Ruled(NamedTuple):
    """What the words of a rule are counted by. said: right, wrong (NACKs) or fix."""

    core: bool
    rule: str
    said: str


class Totals:
    """Counts and seconds of some cases."""

    def __init__(self) -> None:
        self.verdicts: Counter[tuple[TotalsGroup, str]] = Counter()
        self.fixes: Counter[TotalsGroup] = Counter()
        self.rules: Counter[Ruled] = Counter()
        self.stages: Counter[tuple[TotalsGroup, str]] = Counter()
        """How far the reviews came: one of `backtest.STAGES` each."""
        self.faults: Counter[Fault] = Counter()
        self.seconds: dict[TotalsGroup, float] = defaultdict(float)
        self.longest = 0.0

    def add(self, other: Totals) -> None:
        """Count the cases of another one, too."""
        self.verdicts += other.verdicts
        self.fixes += other.fixes
        self.rules += other.rules
        self.stages += other.stages
        self.faults += other.faults
        for group, seconds in other.seconds.items():
            self.seconds[group] += seconds
        self.longest = max(self.longest, other.longest)

    def count(self, *verdicts: str, labels: Iterable[str] = LABELS, core: bool | None = None) -> int:
        """How many cases of these labels got one of these verdicts (any when none is named); those apart left out."""
        return sum(
            n
            for (group, verdict), n in self.verdicts.items()
            if not group.apart
            and group.label in labels
            and (core is None or group.core is core)
            and (not verdicts or verdict in verdicts)
        )

    def at_stage(self, stage: str, label: str, cls: str = "", core: bool | None = None) -> int:
        """How many cases of a label, and of a class, came to this stage and no further; those apart left out."""
        return sum(
            n
            for (of, at), n in self.stages.items()
            if (at, of.label) == (stage, label)
            and not of.apart
            and of.cls in (cls, cls or of.cls)
            and (core is None or of.core is core)
        )


def group(case: Labelled) -> TotalsGroup:
    """What a labelled case is counted by."""
    label = case.label if case.label in LABELS else OTHER
    core = backtest.subsystem(case.files) != backtest.REST
    return TotalsGroup(core, label, case.cls if _WORD.fullmatch(case.cls) else OTHER, backtest.apart(case))


def counted(
    of: TotalsGroup, make: Callable[[], Review | Examined], given_up: tuple[type[Exception], ...] = ()
) -> Totals:
    """The totals of one case, whose review `make` makes; whatever it raises is a fault, but for what counts as given up."""
    totals, start = Totals(), perf_counter()
    try:
        result = make()
        verdict = result.decision.value
        if not of.apart:
            _spoken(totals, of, result)
        if isinstance(result, Review):
            totals.stages[of, backtest.furthest(result)[0]] += 1
        totals.faults.update(result.faults)
    except given_up:
        verdict = "unreviewed"
    except Exception as error:
        verdict = "fault"
        totals.faults[fault(error)] += 1
    totals.verdicts[of, verdict if verdict in VERDICTS else OTHER] += 1
    totals.seconds[of] = totals.longest = perf_counter() - start
    return totals


def lost(case: Labelled, error: BaseException) -> Totals:
    """The totals of one case whose process did not live to give any."""
    return _lost(group(case), error)


def _lost_file(path: str, error: BaseException) -> Totals:
    return _lost(merged(path), error)


def _lost(of: TotalsGroup, error: BaseException) -> Totals:
    totals = Totals()
    totals.verdicts[of, "fault"] += 1
    totals.faults[fault(error)] += 1
    return totals


def _spoken(totals: Totals, of: TotalsGroup, result: Review | Examined) -> None:
    said = [backtest.spoken(v) for v in result.verdicts]
    fixed = {s.rule for s in said if s.outcome == Outcome.FIXED} if of.label == "fix" else set()
    totals.fixes[of] += bool(fixed)
    for rule in fixed:
        totals.rules[Ruled(of.core, _rule(rule), "fix")] += 1
    if (right := of.label == "deadlock") or of.label in INNOCENT:
        for rule in {s.rule for s in said if s.proven}:
            totals.rules[Ruled(of.core, _rule(rule), "right" if right else "wrong")] += 1


def _rule(name: str) -> str:
    return name if name in _known() else OTHER


@cache
def _known() -> frozenset[str]:
    from reviewbot import rules

    return frozenset(rule.id for rule in rules.load())


# --- scoring


def read_index(index: Path) -> list[Labelled]:
    """The cases of an index. Raises Refused for a line that is none: its number, and nothing of what it says."""
    found = []
    with index.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                found.append(msgspec.json.decode(line, type=Labelled))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise Refused(f"line {number} of the index is no labelled case") from None
    return found


def run(cases: Sequence[Labelled], folder: Path, trees: Mapping[str, Path], workers: int) -> Iterator[Totals]:
    """The totals of each case, as they are done. Raises Refused when a tree has no repository."""
    if missing := sum(case.tree not in trees for case in cases):
        raise Refused(f"{missing} cases are of a tree that no --tree names")
    yield from spread(_score_all, backtest.chunks(cases, folder), (folder, dict(trees)), workers, lost)


def flood(paths: Sequence[str], old: Path, new: Path, workers: int) -> Iterator[Totals]:
    """The totals of merged changes, a file at a time."""
    yield from spread(_flood_all, backtest.flood_chunks(paths), (old, new), workers, _lost_file)


def merged(path: str) -> TotalsGroup:
    """What a file of a flood is counted by."""
    return TotalsGroup(backtest.subsystem((path,)) != backtest.REST, "merged", "flood")


def _score_all(cases: Sequence[Labelled], folder: Path, trees: Mapping[str, Path]) -> Iterator[Totals]:
    from reviewbot.mail import fetch

    with fetch.MailReader() as reader, backtest.opener(trees) as opened:
        for case in cases:
            make = partial(backtest.reviewed, case, folder, opened, reader)
            yield counted(group(case), make, (ReviewError, OSError))


def _flood_all(paths: Sequence[str], old: Path, new: Path) -> Iterator[Totals]:
    for path in paths:
        yield counted(merged(path), partial(backtest.flooded, path, old, new))


@contextmanager
def silence() -> Iterator[TextIO]:
    """Let nothing out on standard output and standard error, of this process and of those that it starts meanwhile.

    Gives standard error as it was, for what may be said.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        with open(os.devnull, "w") as nowhere, os.fdopen(os.dup(kept[1]), "w") as said:
            for number in (1, 2):
                os.dup2(nowhere.fileno(), number)
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                yield said
    finally:
        for number, was in zip((1, 2), kept, strict=True):
            os.dup2(was, number)
            os.close(was)
