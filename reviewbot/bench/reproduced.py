"""The simulator's verdicts on labelled patches against what a real kernel does, for every finding that has a driver.

With lockdep asked for, every patch is run whose code a driver runs, whatever was found in it.

Nothing here is in a process of its own: a build has all cores, and the patch is in a sandbox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec

from reviewbot.bench.backtest import Labelled, opener, reviewed
from reviewbot.reproduce.drivers import ScenarioDriver, playing, running
from reviewbot.reproduce.reproduction import RUNS, Reproduction, SideRuns, Suspect, guilty_side, reproduce
from reviewbot.reproduce.splats import agreed, locked, nearest, placed
from reviewbot.types import Outcome, Review, ReviewError, Side, Value, Verdict


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
    splat: str = ""
    """What lockdep said of the guilty kernel: of several things the one that is nearest to the finding."""
    place: str = ""
    """The line of the source that both name."""
    locks: tuple[str, ...] = ()
    """Locks that both lockdep and the schedule name."""
    functions: tuple[str, ...] = ()
    """Functions that both name."""

    @property
    def matches(self) -> bool:
        """Whether lockdep and the schedule name the same line, or the same locks in the same functions."""
        return self.shown and bool(self.place or (self.locks and self.functions))

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
    lockdep: bool = False,
) -> Iterator[Comparison]:
    """Review each case, and run each of its findings that has a driver; lockdep: each case that has one.

    What goes wrong with one is in its result.
    """
    controls: dict[str, SideRuns] = {}
    with opener(trees) as opened:
        for case in cases:
            said(f"{case.id}: review")
            try:
                review = reviewed(case, folder, opened)
            except (ReviewError, OSError) as error:
                said(f"{case.id}: {error}")
                continue
            for verdict, driver in _watched(review) if lockdep else _played(review):
                said(f"{case.id}: {verdict.finding.rule if verdict else 'no finding'}, {driver.name}")
                first = ((folder / case.base_patch).read_bytes(),) if case.base_patch else ()
                base = review.change.commit if review.change else ""
                suspect = Suspect(review.series, base, _guilty(case, verdict, lockdep), first)

                run = partial(reproduce, opened(case.tree), suspect, driver, runs, jobs, said, controls)
                yield _compared(case, verdict, driver, run)


def _played(review: Review) -> Iterator[tuple[Verdict, ScenarioDriver]]:
    """The findings that have drivers, each with each of them; two findings of one rule that one driver plays are one."""
    seen = set()
    for verdict in review.verdicts:
        for driver in playing(verdict):
            key = (verdict.finding.rule, verdict.finding.at.file, driver.name)
            if key not in seen:
                seen.add(key)
                yield verdict, driver


def _watched(review: Review) -> Iterator[tuple[Verdict | None, ScenarioDriver]]:
    """The drivers that run the changed code, each with the finding that says most."""
    files = [file.path for file in review.change.files] if review.change else []
    told = sorted(review.verdicts, key=lambda v: v.outcome not in (Outcome.CONFIRMED, Outcome.FIXED))
    for driver in running(files):
        yield next((v for v in told if driver.covers(v.finding.at.file)), None), driver


def _guilty(case: Labelled, verdict: Verdict | None, lockdep: bool) -> Side:
    if lockdep:
        return Side.BEFORE if case.label == "fix" else Side.AFTER
    return guilty_side(verdict) if verdict else Side.AFTER


def _compared(
    case: Labelled, verdict: Verdict | None, driver: ScenarioDriver, run: Callable[[], Reproduction]
) -> Comparison:
    found = verdict.finding if verdict else None
    known = Comparison(
        case.id,
        found.rule if found else "",
        str(found.at) if found else "",
        verdict.outcome.value if verdict else "",
        driver.name,
    )
    try:
        ran = run()
    except ReviewError as error:
        return msgspec.structs.replace(known, fault=str(error))
    splat = nearest(ran.splats, verdict)
    if splat and verdict:
        both = {"place": placed(splat, verdict), "locks": locked(splat, verdict), "functions": agreed(splat, verdict)}
        known = msgspec.structs.replace(known, **both)
    return msgspec.structs.replace(
        known,
        guilty=ran.guilty.told,
        control=ran.control.told,
        shown=ran.shown,
        fault=_fault(ran),
        splat=splat.line if splat else "",
    )


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
    """A line for each, for people."""
    return [
        f"{'agrees   ' if c.agrees else 'says nothing' if c.agrees is None else 'DISAGREES'}  {c.case}  "
        f"{f'{c.at} [{c.rule}] simulator: {c.outcome}' if c.rule else 'no finding'}; {c.driver}: "
        f"{c.fault or f'{c.guilty}, the other side {c.control}'}{_said(c)}"
        for c in compared
    ]


def _said(one: Comparison) -> str:
    """What lockdep said, and what of it is in the schedule."""
    if not one.splat:
        return ""
    both = [*filter(None, [one.place]), *one.locks, *(f"{name}()" for name in one.functions)]
    return f"; {one.splat}" + (f" (also in the schedule: {', '.join(both)})" if both else "")
