"""The simulator's verdict and the kernels' are compared, and kernels that say nothing are counted apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from reviewbot.bench import reproduced
from reviewbot.bench.backtest import Labelled
from reviewbot.bench.reproduced import Comparison, compare, table
from reviewbot.reproduce.boot import Boot
from reviewbot.reproduce.console import ConsoleLog, SleepingTask
from reviewbot.reproduce.drivers import ScenarioDriver
from reviewbot.reproduce.reproduction import Reproduction, SideRuns, Suspect
from reviewbot.reproduce.splats import Splat
from reviewbot.reproduce.trace import MarkedLine
from reviewbot.types import (
    Address,
    Change,
    Decision,
    FileChange,
    Finding,
    Mail,
    Outcome,
    Patch,
    Place,
    Review,
    ReviewError,
    Series,
    Side,
    Step,
    Trace,
    Verdict,
)

CASE = Labelled("queue/one", "one.patch", "6.12", "deadlock")
SERIES = Series((Patch(Mail("1@x", "one", Address("A", "a@x"), ""), b""),))
TASK = SleepingTask("dd", 7, ("schedule", "wait"))
HUNG = Boot("hung", ConsoleLog(left=1, scans=((TASK,), (TASK,))), 1.0)
FINISHED = Boot("finished", ConsoleLog(started=True, finished=True), 1.0)
FAILED = Boot("failed", ConsoleLog(), 1.0, "no device")


class Fake:
    """What a kernel does, and what was asked for."""

    def __init__(self, guilty: Boot, control: Boot, outcome: Outcome, reached: tuple[str, ...] | None = None) -> None:
        self.guilty, self.control, self.reached, self.asked = guilty, control, reached, list[Suspect]()
        finding = Finding("wq-mem-reclaim", Place("drivers/md/dm-verity-target.c", 7), "x")
        verdict = Verdict(finding, outcome, model="workqueue_writeback rescuer=no")
        change = Change("b" * 40, "given", ())
        self.review = Review(SERIES, Decision.NACK, change=change, verdicts=(verdict, verdict))

    def reviewed(self, *_: object) -> Review:
        return self.review

    def reproduce(self, tree: object, suspect: Suspect, driver: ScenarioDriver, runs: int, *_: object) -> Reproduction:
        self.asked.append(suspect)
        other = Side.BEFORE if suspect.guilty is Side.AFTER else Side.AFTER
        marks = () if self.reached is None else (MarkedLine("a.c", 1, "x();"),)
        return Reproduction(
            driver,
            SideRuns(suspect.guilty, (self.guilty,) * runs),
            SideRuns(other, (self.control,) * runs),
            (),
            marks,
            self.reached or (),
        )


def compared(fake: Fake, monkeypatch: pytest.MonkeyPatch, lockdep: bool = False, label: str = "") -> list[Comparison]:
    monkeypatch.setattr(reproduced, "reviewed", fake.reviewed)
    monkeypatch.setattr(reproduced, "reproduce", fake.reproduce)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reviewbot.gittree.tree.Tree.open", lambda path: _Closing())
        case = replace(CASE, label=label or CASE.label)
        return list(compare([case], Path("."), {"6.12": Path(".")}, 1, lambda text: None, runs=2, lockdep=lockdep))


class _Closing:
    def __enter__(self) -> _Closing:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("guilty", "control", "outcome", "agrees"),
    [
        (HUNG, FINISHED, Outcome.CONFIRMED, True),
        (FINISHED, FINISHED, Outcome.CONFIRMED, False),
        (FINISHED, FINISHED, Outcome.REFUTED, True),
        (HUNG, FINISHED, Outcome.REFUTED, False),
        (HUNG, HUNG, Outcome.CONFIRMED, None),
        (HUNG, FAILED, Outcome.CONFIRMED, None),
        (FAILED, FINISHED, Outcome.CONFIRMED, None),
    ],
)
def test_who_agrees(
    guilty: Boot, control: Boot, outcome: Outcome, agrees: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = compared(Fake(guilty, control, outcome), monkeypatch)
    assert one.agrees is agrees
    assert one.driver == "verity-worker"
    (line,) = table([one])
    assert line.split()[0] == {True: "agrees", False: "DISAGREES", None: "says"}[agrees]
    assert "queue/one" in line


def test_of_a_fix_the_side_before_is_the_guilty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(HUNG, FINISHED, Outcome.FIXED)
    (one,) = compared(fake, monkeypatch)
    assert one.agrees is True
    assert [(suspect.guilty, suspect.base) for suspect in fake.asked] == [(Side.BEFORE, "b" * 40)]


def test_a_scenario_that_never_comes_to_the_patch_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = compared(Fake(FINISHED, FINISHED, Outcome.CONFIRMED, reached=()), monkeypatch)
    assert one.agrees is None
    assert one.fault == "no line of the patch ran"
    (other,) = compared(Fake(FINISHED, FINISHED, Outcome.CONFIRMED, reached=("a.c:1",)), monkeypatch)
    assert other.agrees is False


def test_a_side_that_does_not_build_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(HUNG, FINISHED, Outcome.CONFIRMED)

    def fails(*_: object) -> Reproduction:
        raise ReviewError("the change does not build")

    monkeypatch.setattr(fake, "reproduce", fails)
    (one,) = compared(fake, monkeypatch)
    assert (one.agrees, one.fault) == (None, "the change does not build")


def test_with_lockdep_each_case_is_run_whose_code_a_driver_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    splat = Splat("WARNING: possible circular locking", "lock order", ("&v->lock", "other"), ("start", "verity_map"))
    complained = Boot("complained", ConsoleLog(started=True, finished=True, splats=(splat,)), 1.0)
    fake = Fake(complained, FINISHED, Outcome.CONFIRMED)
    steps = (Step("a writer", "takes v->lock", "x.c", 1, "verity_map", holds=("v->lock",)),)
    verdict = replace(fake.review.verdicts[0], trace=Trace(steps, ()))
    files = (FileChange("drivers/md/dm-verity-target.c"),)
    fake.review = replace(fake.review, verdicts=(verdict,), change=Change("b" * 40, "given", files))
    (one,) = compared(fake, monkeypatch, lockdep=True)
    assert (one.driver, one.shown, one.agrees, one.matches) == ("locks-dm", True, True, True)
    assert (one.locks, one.functions) == (("&v->lock",), ("verity_map",))
    (line,) = table([one])
    assert "possible circular locking (also in the schedule: &v->lock, verity_map())" in line
    unlike = Splat("WARNING: suspicious RCU usage", "RCU", (), ("start",))
    line = Splat("BUG: sleeping function called from invalid context at x.c:1", "sleep in atomic", ("&v->spin",), ())
    fake.guilty = replace(complained, log=replace(complained.log, splats=(unlike, line)))
    (other,) = compared(fake, monkeypatch, lockdep=True)
    assert (other.splat, other.place, other.locks, other.matches) == (line.line, "x.c:1", (), True)
    fake.review = replace(fake.review, verdicts=())
    (nothing,) = compared(fake, monkeypatch, lockdep=True)
    assert (nothing.rule, nothing.shown, nothing.agrees, nothing.matches) == ("", True, False, False)
    assert "no finding" in table([nothing])[0]
    fake.asked.clear()
    compared(fake, monkeypatch, lockdep=True, label="fix")
    assert [suspect.guilty for suspect in fake.asked] == [Side.BEFORE]
    fake.review = replace(fake.review, change=Change("b" * 40, "given", (FileChange("fs/x/y.c"),)))
    assert compared(fake, monkeypatch, lockdep=True) == []
