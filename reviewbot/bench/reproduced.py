"""The simulator's verdicts on labelled patches against what a real kernel does, for every finding that has a driver.

Nothing here is in a process of its own: a build has all cores, and the patch is in a sandbox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from reviewbot.bench.backtest import Labelled, opener, reviewed
from reviewbot.reproduce.drivers import ScenarioDriver, playing
from reviewbot.reproduce.reproduction import RUNS, Reproduction, Suspect, guilty_side, reproduce
from reviewbot.types import Outcome, Review, ReviewError, Value, Verdict

if TYPE_CHECKING:
    from reviewbot.gittree.tree import Tree


class Comparison(Value, frozen=True):
    """One finding, what the simulator said of it, and what the two kernels did under one driver."""

    case: str
    rule: str
    at: str
    outcome: str
    driver: str
    guilty: str = ""
    """`5 of 5 runs hung`."""
    control: str = ""
    shown: bool = False
    fault: str = ""
    """Why there was no run that says anything."""

    @property
    def expected(self) -> bool:
        """Whether the simulator says that one side can get stuck and the other cannot."""
        return self.outcome in (Outcome.CONFIRMED, Outcome.FIXED)

    @property
    def agrees(self) -> bool | None:
        """Whether both say the same; None where the kernels say nothing."""
        return None if self.fault else self.shown is self.expected


def compare(
    cases: Iterable[Labelled],
    folder: Path,
    trees: Mapping[str, Path],
    jobs: int,
    said: Callable[[str], None],
    runs: int = RUNS,
) -> Iterator[Comparison]:
    """Review each case, and run each of its findings that has a driver. What goes wrong with one is in its result."""
    with opener(trees) as opened:
        for case in cases:
            said(f"{case.id}: review")
            try:
                review = reviewed(case, folder, opened)
            except (ReviewError, OSError) as error:
                said(f"{case.id}: {error}")
                continue
            for verdict, driver in _played(review):
                said(f"{case.id}: {verdict.finding.rule}, {driver.name}")
                yield _compared(case, review, verdict, driver, folder, opened(case.tree), jobs, said, runs)


def _played(review: Review) -> Iterator[tuple[Verdict, ScenarioDriver]]:
    """The findings that have drivers, each with each of them; two findings of one rule that one driver plays are one."""
    seen = set()
    for verdict in review.verdicts:
        for driver in playing(verdict):
            key = (verdict.finding.rule, verdict.finding.at.file, driver.name)
            if key not in seen:
                seen.add(key)
                yield verdict, driver


def _compared(
    case: Labelled,
    review: Review,
    verdict: Verdict,
    driver: ScenarioDriver,
    folder: Path,
    tree: Tree,
    jobs: int,
    said: Callable[[str], None],
    runs: int,
) -> Comparison:
    first = ((folder / case.base_patch).read_bytes(),) if case.base_patch else ()
    base = review.change.commit if review.change else ""
    suspect = Suspect(review.series, base, guilty_side(verdict), first)
    finding = verdict.finding
    known = Comparison(case.id, finding.rule, str(finding.at), verdict.outcome.value, driver.name)
    try:
        found = reproduce(tree, suspect, driver, runs, jobs, said)
    except ReviewError as error:
        return msgspec.structs.replace(known, fault=str(error))
    ran = {"guilty": found.guilty.told, "control": found.control.told, "shown": found.shown, "fault": _fault(found)}
    return msgspec.structs.replace(known, **ran)


def _fault(found: Reproduction) -> str:
    """Why two kernels say nothing: the one to compare with did not come to its end, or the guilty one to nothing."""
    if found.control.count("finished") < len(found.control.boots):
        return f"the kernel to compare it with: {found.control.told}"
    if found.guilty.count("failed") == len(found.guilty.boots):
        return f"the guilty kernel: {found.guilty.told}"
    if found.marks and not found.reached:
        return "no line of the patch ran"
    return ""


def table(compared: Iterable[Comparison]) -> list[str]:
    """A line for each finding, for people."""
    return [
        f"{'agrees   ' if c.agrees else 'says nothing' if c.agrees is None else 'DISAGREES'}  {c.case}  {c.at} [{c.rule}] "
        f"simulator: {c.outcome}; {c.driver}: {c.fault or f'{c.guilty}, the other side {c.control}'}"
        for c in compared
    ]
