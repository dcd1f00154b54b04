"""What tasks hold after each step of a schedule, since when they wait, and the same steps where nobody gets stuck."""

from __future__ import annotations

import pytest

from reviewbot.models.scene import build
from reviewbot.sim import passing as passing_module
from reviewbot.sim.automaton import successors
from reviewbot.sim.check import check
from reviewbot.sim.compile import compile_model
from reviewbot.sim.holding import Holdings
from reviewbot.sim.model import (
    Mempool,
    Model,
    Mutex,
    RwSem,
    Semaphore,
    down,
    down_read,
    down_write,
    mempool_alloc,
    mempool_free,
    mutex_lock,
    mutex_unlock,
    task,
    up,
    up_read,
    up_write,
)
from reviewbot.sim.passing import passing
from reviewbot.sim.waiting import TaskRun, WaitingTask
from reviewbot.types import Trace


def stuck(model: Model) -> Trace:
    trace = check(model).trace
    assert trace is not None
    return trace


def held(trace: Trace) -> list[tuple[str, tuple[str, ...]]]:
    return [(step.step, step.holds) for step in trace.steps]


def order(reversed_: bool) -> Model:
    a, b = Mutex("a"), Mutex("b")
    first, second = (b, a) if reversed_ else (a, b)

    @task(name="one()")
    def one() -> None:
        mutex_lock(a)
        mutex_lock(b)
        mutex_unlock(b)
        mutex_unlock(a)

    @task(name="two()")
    def two() -> None:
        mutex_lock(first)
        mutex_lock(second)
        mutex_unlock(second)
        mutex_unlock(first)

    return Model("order", (one, two), reachable=("one()", "two()"))


def test_a_lock_is_held_from_its_step_on_and_what_is_waited_for_is_named() -> None:
    trace = stuck(order(True))
    assert held(trace) == [
        ("takes a", ("a",)),
        ("takes b", ("b",)),
        ("blocks in mutex_lock(&b)", ("a",)),
        ("blocks in mutex_lock(&a)", ("b",)),
    ]
    assert [step.waits for step in trace.steps] == ["", "", "b", "a"]
    assert [(wait.task, wait.since) for wait in trace.knot] == [("one()", 3), ("two()", 4)]


def test_each_kind_of_lock_has_its_words() -> None:
    sem, count, end = RwSem("tree"), Semaphore("slots", 2), Mutex("end")

    @task(name="reader()")
    def reader() -> None:
        down(count)
        down_read(sem)
        mutex_lock(end)
        mutex_lock(end)
        up_read(sem)
        up(count)

    @task(name="writer()")
    def writer() -> None:
        down_write(sem)
        up_write(sem)

    trace = stuck(Model("kinds", (reader, writer), reachable=("writer()",)))
    last = [step for step in trace.steps if step.task == "reader()"][-1]
    assert last.holds == ("slots", "tree for read", "end")


def test_an_element_that_another_task_gives_back_is_held_no_more() -> None:
    pool = Mempool("pool", 2)

    @task(name="submitter()")
    def submitter() -> None:
        mempool_alloc(pool)

    @task(name="end_io()")
    def end_io() -> None:
        mempool_alloc(pool)
        mempool_free(pool)
        mempool_free(pool)

    automaton = compile_model(Model("element", (submitter, end_io), reachable=()))
    runs: list[TaskRun] = []
    for name in ("submitter()", "end_io()", "end_io()", "end_io()"):
        state = runs[-1].state if runs else automaton.initial
        number, nth, edge, after = next(
            one for one in successors(automaton, state) if automaton.classes[one[0]].name == name
        )
        runs.append(TaskRun(WaitingTask(number, nth), edge, after))
    holdings, mine = Holdings(automaton, runs), runs[0].task
    assert [holdings.at(state, mine) for state in (0, 1, len(runs))] == [(), ("an element of pool",), ()]


def test_work_that_nobody_runs_waits_since_it_was_queued() -> None:
    trace = stuck(build("workqueue_writeback rescuer=no"))
    queued = next(wait for wait in trace.knot if wait.task.startswith("the queued "))
    assert "queues" in trace.steps[queued.since - 1].step


def test_the_same_steps_get_through_on_the_other_side() -> None:
    trace = stuck(order(True))
    other = passing(order(False), trace)
    assert other is not None
    assert other.knot == ()
    assert other.steps[0] == trace.steps[0]
    assert [step.step for step in other.steps if step.task == "two()"] == [
        "takes a",
        "takes b",
        "releases b",
        "releases a",
    ]
    assert not any(step.waits for step in other.steps)


def test_the_steps_of_the_schedule_come_first_and_then_what_ends_it() -> None:
    trace = stuck(build("workqueue_writeback rescuer=no"))
    other = passing(build("workqueue_writeback rescuer=yes"), trace)
    assert other is not None
    told = [step.step for step in other.steps]
    shared = [step.step for step in trace.steps if not step.waits]
    assert told[: len(shared)] == shared
    rescued = [step.task for step in other.steps[len(shared) :]]
    assert any("rescuer" in name for name in rescued)


def test_no_way_through_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = Mutex("twice")

    @task(name="one()")
    def one() -> None:
        mutex_lock(twice)
        mutex_lock(twice)

    trace = stuck(order(True))
    assert passing(Model("never", (one,)), trace) is None
    monkeypatch.setattr(passing_module, "MAX_PASSING_STATES", 0)
    assert passing(order(False), trace) is None
