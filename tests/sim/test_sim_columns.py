"""Two tasks side by side."""

from __future__ import annotations

from sim_models import run, throttle
from test_sim_locks import two_mutexes

from reviewbot.sim.check import check
from reviewbot.sim.columns import columns
from reviewbot.types import Step, Trace, Wait

AB_BA = """\
              first                                 second
              -----                                 ------
takes a
                                      takes b
blocks in mutex_lock(b)
                                      blocks in mutex_lock(a)

 *** DEADLOCK ***"""


def test_two_tasks_as_lockdep_shows_them() -> None:
    trace = run(*two_mutexes(same_order=False)).trace
    assert trace is not None
    assert columns(trace) == AB_BA


def test_long_steps_are_wrapped_in_their_column() -> None:
    long = "calls " + "a_function_with_a_name(argument) and " * 2 + "waits"
    trace = Trace((Step("one", long), Step("two", long)), (Wait("one", "x", "two"),))
    lines = columns(trace).split("\n")
    assert len(lines) == 14
    assert all(len(line) <= 76 for line in lines)
    assert sum("a_function_with_a_name" in line for line in lines) == 4


def test_more_tasks_and_one_are_left_to_numbered_steps() -> None:
    trace = check(throttle(held=True)).trace
    assert trace is not None
    assert columns(trace) == ""
    assert columns(Trace((Step("one", "takes a"),), (Wait("one", "a", "one"),))) == ""


def test_what_does_not_fit_a_mail_is_left_to_numbered_steps() -> None:
    steps = (Step("one", "takes a"), Step("two", "calls a_function_with_a_very_long_name_indeed(of_an_argument)"))
    assert columns(Trace(steps, (Wait("one", "a", "two"),))) == ""
