"""A trace as text: numbered, side by side, and the sentence at its end."""

from __future__ import annotations

from sim_models import run, throttle
from test_sim_locks import two_mutexes

from reviewbot.models.scene import build
from reviewbot.report.schedule import columns, knot, numbered, schedule
from reviewbot.sim.check import check
from reviewbot.types import KnotEdge, Step, Trace

AB_BA = """\
              first                                 second
              -----                                 ------
takes a
                                      takes b
                                      blocks in mutex_lock(b)
blocks in mutex_lock(a)"""


def trace(*steps: tuple[str, str]) -> Trace:
    return Trace(tuple(Step(task, step) for task, step in steps), (KnotEdge(steps[0][0], "x", steps[-1][0]),))


def test_two_tasks_as_lockdep_shows_them() -> None:
    found = run(*two_mutexes(same_order=False)).trace
    assert found is not None
    told = columns(found)
    assert told.split("\n")[:3] == AB_BA.split("\n")[:3]
    assert schedule(found) == told


def test_long_steps_are_wrapped_in_their_column() -> None:
    long = "calls a_function(argument), finds nothing and waits"
    told = columns(trace(("one", "takes a"), ("two", long), ("one", "takes b")))
    left = " " * 38
    assert told.split("\n")[2:] == [
        "takes a",
        f"{left}calls a_function(argument), finds",
        f"{left}  nothing and waits",
        "takes b",
    ]


def test_more_tasks_and_single_turns_are_numbered() -> None:
    found = check(throttle(held=True)).trace
    assert found is not None
    assert columns(found) == ""
    assert schedule(found) == numbered(found)
    assert columns(trace(("one", "takes a"))) == ""
    assert columns(trace(("one", "takes a and waits for b"), ("two", "waits for a"))) == ""


def test_what_does_not_fit_a_mail_is_numbered() -> None:
    name = "a_function_with_a_very_long_name_indeed(of_an_argument)"
    assert columns(trace(("one", f"calls {name}"), ("two", "takes a"), ("one", "takes b"))) == ""
    assert columns(trace(("one", "takes a"), ("two", f"calls {name}"), ("one", "takes b"))) == ""
    assert columns(trace(("one", "takes a"), ("two", "takes " * 30), ("one", "takes b"))) == ""


def test_steps_of_a_task_are_joined_and_it_is_named_once() -> None:
    told = trace(("a task", "takes a"), ("a task", "waits for b"), ("CPU0", "CPU0 runs an interrupt"))
    assert numbered(told).split("\n") == ["1. a task takes a and waits for b", "2. CPU0 runs an interrupt"]


def test_what_one_of_a_class_does_after_another_is_told_once() -> None:
    found = check(build("workqueue_readers rescuer=no")).trace
    assert found is not None
    lines = numbered(found).split("\n")
    assert lines[0].startswith("1. each kworker runs a work item")
    assert not [line for line in lines if "#" in line or "does the same" in line]


def test_some_of_a_class_that_do_the_same_are_named() -> None:
    told = trace(("worker #1", "takes a"), ("worker #2", "takes a"), ("worker #3", "takes b"))
    assert numbered(told).split("\n")[:2] == ["1. worker #1 takes a", "2. worker #2 does the same"]


def test_that_a_task_still_sleeps_is_not_told_again() -> None:
    told = trace(("a", "blocks in f(x), ahead of new readers"), ("b", "takes y"), ("a", "blocks in f(x)"))
    assert numbered(told).split("\n") == ["1. a blocks in f(x), ahead of new readers", "2. b takes y"]
    assert numbered(trace(*[("a", "blocks in f(x), ahead"), ("a", "blocks in f(x)")])) == "1. a blocks in f(x), ahead"


def test_the_knot_is_one_sentence() -> None:
    waits = (
        KnotEdge("f()", "x", "the g", "f() waits for x"),
        KnotEdge("the g", "y", "f()", "the g waits for f() to release y"),
    )
    assert knot(Trace((), waits)) == "f() waits for x, and the g waits for f() to release y - deadlock."
    assert knot(Trace((), waits[::-1])) == "The g waits for f() to release y, and f() waits for x - deadlock."
    assert knot(Trace((), waits[:1])) == "f() waits for x - deadlock."
    assert knot(Trace((), (KnotEdge("f()", "x", "b"),))) == "f() waits for x, from b - deadlock."
