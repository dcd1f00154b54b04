"""The report: how often, who sat where, what is artificial, and what can not be concluded."""

from __future__ import annotations

import pytest

from reviewbot.reproduce.boot import Boot
from reviewbot.reproduce.console import ConsoleLog, SleepingTask
from reviewbot.reproduce.drivers import ScenarioDriver, Seat
from reviewbot.reproduce.reproduction import Reproduction, SideRuns
from reviewbot.reproduce.splats import Splat
from reviewbot.reproduce.told import WIDTH, text
from reviewbot.reproduce.trace import MarkedLine
from reviewbot.types import Finding, Outcome, Place, Side, Step, Trace, Verdict

WRITER = SleepingTask("dd", 71, ("__schedule", "schedule", "wait_for_copy", "origin_write", "vfs_write"))
WORKER = SleepingTask("kworker/0:1", 9, ("__schedule", "schedule", "down_read", "end_of_copy"), "do_copy")
DRIVER = ScenarioDriver(
    name="copy",
    title="an origin that is written to",
    config=("base",),
    conditions=("a copy takes two seconds",),
    scenes=("scene",),
    seats=(
        Seat("the writer", "waits for a copy", ("wait_for_copy",)),
        Seat("the copier", "waits for the lock", ("down_read", "end_of_copy")),
        Seat("the maker", "waits to write the table", ("down_write",)),
    ),
)
FINISHED = Boot("finished", ConsoleLog(started=True, finished=True, ended=True), 1.0)
FAILED = Boot("failed", ConsoleLog(failed="no device snap"), 1.0, "no device snap")


def hung(*tasks: SleepingTask, after: int | None = 1) -> Boot:
    return Boot("hung", ConsoleLog(started=True, left=1, after=after, scans=(tasks, tasks)), 1.0)


def found(guilty: tuple[Boot, ...], control: tuple[Boot, ...], driver: ScenarioDriver = DRIVER) -> Reproduction:
    return Reproduction(driver, SideRuns(Side.AFTER, guilty), SideRuns(Side.BEFORE, control), ("more room",))


def test_a_deadlock_is_told_with_who_sat_where() -> None:
    report = text(found((hung(WRITER, WORKER), FINISHED), (FINISHED, FINISHED)))
    assert report.startswith("The deadlock happens on a real kernel. User Mode Linux, an origin")
    assert "  with the patch  1 of 2 runs hung\n  without it      0 of 2 runs hung" in report
    assert "- dd: the writer, waits for a copy\n    wait_for_copy <- origin_write <- vfs_write" in report
    assert "- kworker/0:1 (do_copy()): the copier, waits for the lock\n    down_read <- end_of_copy" in report
    assert "- the maker: nobody was seen who waits to write the table" in report
    for condition in ("- a copy takes two seconds", "- both kernels have more room", "- one processor"):
        assert condition in report
    assert all(len(line) <= WIDTH for line in report.splitlines())


@pytest.mark.parametrize(
    ("guilty", "control", "verdict", "shown"),
    [
        ((hung(WRITER),), (FINISHED,), "The deadlock happens on a real kernel.", True),
        ((FINISHED,), (FINISHED,), "Nothing happened on a real kernel.", False),
        ((hung(WRITER),), (hung(WRITER),), "It happens without the patch, too: this says nothing of it.", False),
        (
            (hung(WRITER),),
            (FAILED,),
            "Something is wrong with the kernel, but the one to compare it with did not",
            False,
        ),
        ((FAILED,), (FINISHED,), "The scenario could not be set up: this says nothing of the patch.", False),
        ((FINISHED,), (hung(WRITER),), "It happens without the patch, too: this says nothing of it.", False),
    ],
)
def test_only_a_hang_that_the_other_kernel_never_has_counts(
    guilty: tuple[Boot, ...], control: tuple[Boot, ...], verdict: str, shown: bool
) -> None:
    result = found(guilty, control)
    assert " ".join(text(result).split()).startswith(verdict)
    assert result.shown is shown


def test_why_a_run_came_to_nothing_is_told() -> None:
    assert "1 came to nothing (no device snap)" in text(found((hung(WRITER), FAILED), (FINISHED, FINISHED)))


def test_tasks_that_sit_alike_are_told_once() -> None:
    others = [SleepingTask("dd", 80 + n, ("schedule", "io_wait", "vfs_read")) for n in range(7)]
    assert "- dd and 6 like it, too\n    io_wait <- vfs_read" in text(found((hung(WRITER, *others),), (FINISHED,)))


def test_where_nobody_was_expected_nobody_is_told_to_be_there_too() -> None:
    assert "- dd\n    wait_for_copy" in text(found((hung(WRITER),), (FINISHED,), ScenarioDriver("x", (), ())))


def test_what_came_of_it_with_memory_is_told_where_it_was_short() -> None:
    short = ScenarioDriver(name="x", title="x", config=(), conditions=("no memory",), short_memory=True)
    boots = (hung(WRITER, after=0), hung(WRITER, after=2))
    assert "1 of 2 runs hung on all the same" in " ".join(text(found(boots, (FINISHED,), short)).split())
    assert "Memory was given back" not in text(found(boots, (FINISHED,)))


def test_where_nothing_happened_the_lines_that_never_ran_are_told() -> None:
    marks = (MarkedLine("a.c", 3, "lock();"), MarkedLine("a.c", 4, "list_add(bio);"))
    quiet = (FINISHED,)
    some = Reproduction(DRIVER, SideRuns(Side.AFTER, quiet), SideRuns(Side.BEFORE, quiet), (), marks, ("a.c:3",))
    report = text(some)
    assert "Of the 2 statements of the patch these never ran:\n- a.c:4\n    list_add(bio);" in report
    none = Reproduction(DRIVER, SideRuns(Side.AFTER, quiet), SideRuns(Side.BEFORE, quiet), (), marks, ())
    assert "No line of the patch ran" in text(none)


def test_what_is_known_of_why_nothing_happens_is_told_where_nothing_does() -> None:
    driver = ScenarioDriver(name="x", title="x", config=(), conditions=(), quiet="The list is always empty there.")
    marks, quiet = (MarkedLine("a.c", 3, "lock();"),), (FINISHED,)
    sides = SideRuns(Side.AFTER, quiet), SideRuns(Side.BEFORE, quiet)
    assert "The list is always empty there." in text(Reproduction(driver, *sides, (), marks, ("a.c:3",)))
    noticed = (("a bio for the same device", 448), ("a bio for another device", 1))
    told = text(Reproduction(driver, *sides, (), marks, ("a.c:3",), noticed))
    assert "- a bio for the same device (448 times)\n- a bio for another device (1 time)" in told
    assert "always empty" not in text(found((hung(WRITER),), (FINISHED,), driver))


def test_lockdep_is_quoted_and_compared_with_the_schedule() -> None:
    splat = Splat("possible recursive locking detected", "recursion", ("&m->lock",), ("end_of_copy", "kthread"))
    boot = Boot("complained", ConsoleLog(started=True, finished=True, splats=(splat,)), 1.0)
    finding = Finding("recursive-lock", Place("a.c", 3, "end_of_copy"), "takes it twice")
    mine = Verdict(finding, Outcome.CONFIRMED, Trace((Step("somebody", "takes m", function="end_of_copy"),), ()))
    other = Verdict(Finding("recursive-lock", Place("a.c", 3, "start"), "x"), Outcome.CONFIRMED)
    result = found((boot,), (FINISHED,))
    assert result.shown
    told = " ".join(text(result, mine).split())
    assert told.startswith("Lockdep sees it on a real kernel.")
    assert "of &m->lock); it names end_of_copy() of the schedule" in told
    assert "it names no function of the schedule" in " ".join(text(result, other).split())
