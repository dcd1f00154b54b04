"""Who waits for whom, in words: each clause names who has to end the wait, and how."""

from __future__ import annotations

import pytest
from sim_models import throttle

from reviewbot.models.scene import build
from reviewbot.sim.check import check
from reviewbot.sim.model import (
    Model,
    Mutex,
    PercpuRef,
    Var,
    WaitQueue,
    atomic_set,
    blk_mq_freeze_queue,
    blk_mq_unfreeze_queue,
    blk_queue_enter,
    blk_queue_exit,
    choice,
    mutex_lock,
    mutex_unlock,
    task,
    wait_event,
    wake_up,
)
from reviewbot.types import Trace


def trace_of(model: Model) -> Trace:
    trace = check(model).trace
    assert trace is not None
    return trace


@pytest.mark.parametrize(
    ("spec", "clauses"),
    [
        (
            "lock_order reversed=yes",
            [
                "drv_caller() waits for drv_other() to release &drv->other_lock",
                "drv_other() waits for drv_caller() to release &drv->lock",
            ],
        ),
        (
            "recursive_lock dropped=no kind=rwsem first=read second=read writer=yes",
            [
                "drv_caller() waits for the writer of &drv->lock to get and release it",
                "the writer of &drv->lock waits for drv_caller() to release &drv->lock",
            ],
        ),
        ("shrinker_lock how=lock", ["drv_caller() waits for &drv->lock, which it holds itself"]),
        ("completion_missing always=no", ["drv_caller() waits for &drv->done, and nobody is left to complete it"]),
        (
            "flush_dependency rescuer=no",
            [
                "drv_flush() waits for the queued drv_work() to finish",
                "drv_work() waits for a kworker to run it",
                "the kworkers wait for drv_flush() to free memory",
            ],
        ),
        ("pool_elements where=map serialised=no", ["the writers wait for each other to give an "
                                                   "element back to &drv->pool"]),
        ("second_bio rescuer=no", ["writeback waits for a bio of &drv->bs while it holds one itself"]),
        ("alloc_on_io_path gfp=GFP_NOFS where=map", ["writeback waits for free memory, and nobody else would free any"]),
        (
            "shared_pool owner=shared",
            [
                "writeback waits for the worker of lower to complete the write",
                "the worker of lower waits for an element of &drv->pool, of which the worker of upper took the last, "
                "or for writeback to free memory",
            ],
        ),
        (
            "irq_lock how=plain",
            [
                "drv_caller() waits for the interrupt to leave CPU0",
                "the interrupt waits for drv_caller() to release &drv->lock",
            ],
        ),
    ],
)  # fmt: skip
def test_clauses(spec: str, clauses: list[str]) -> None:
    assert [wait.told for wait in trace_of(build(spec)).knot] == clauses


def test_a_queue_is_frozen_when_all_have_left_it() -> None:
    lock, queue = Mutex("&drv->lock"), PercpuRef("drv->queue")

    @task()
    def freezer() -> None:
        mutex_lock(lock)
        blk_mq_freeze_queue(queue)
        blk_mq_unfreeze_queue(queue)
        mutex_unlock(lock)

    @task()
    def user() -> None:
        blk_queue_enter(queue)
        mutex_lock(lock)
        mutex_unlock(lock)
        blk_queue_exit(queue)

    assert [wait.told for wait in trace_of(Model("freeze", (freezer, user), ("freezer", "user"))).knot] == [
        "freezer waits for user to leave drv->queue",
        "user waits for freezer to release &drv->lock",
    ]


def test_a_lock_that_was_left_held_is_never_given_back() -> None:
    lock = Mutex("&drv->lock")

    @task()
    def returns() -> None:
        mutex_lock(lock)
        if choice():
            mutex_unlock(lock)

    @task()
    def after() -> None:
        mutex_lock(lock)
        mutex_unlock(lock)

    assert [wait.told for wait in trace_of(Model("left", (returns, after), ("returns", "after"))).knot] == [
        "after waits for returns to release &drv->lock, which it never does"
    ]


def test_each_clause_goes_on_with_whom_the_one_before_waits_for() -> None:
    told = [wait.told for wait in trace_of(throttle(held=True)).knot]
    assert len(told) == 3
    for one, after in zip(told, [*told[1:], told[0]], strict=True):
        waiter = after.partition(" waits for ")[0]
        assert one.partition(" waits for ")[2].startswith(f"{waiter} to ")


def test_memory_comes_from_who_is_there_to_free_it() -> None:
    """Not from a work item that gives an element back to a pool on its way."""
    knot = trace_of(build("verity_writeback rescuer=no")).knot
    assert [wait.held_by for wait in knot if wait.waits_for == "free memory"] == [
        "writeback, the queued verity_work of verity"
    ]
    assert knot[-1].told.endswith("wait for writeback to free memory")


def test_a_lock_that_was_taken_and_given_back_is_not_told() -> None:
    first, second, before = Mutex("first"), Mutex("second"), Mutex("before")

    @task()
    def one() -> None:
        mutex_lock(before)
        mutex_unlock(before)
        mutex_lock(first)
        mutex_lock(second)
        mutex_unlock(second)
        mutex_unlock(first)

    @task()
    def other() -> None:
        mutex_lock(second)
        mutex_lock(first)
        mutex_unlock(first)
        mutex_unlock(second)

    told = trace_of(Model("before", (one, other), ("one", "other")))
    assert sorted((step.task, step.step) for step in told.steps) == [
        ("one", "blocks in mutex_lock(&second)"),
        ("one", "takes first"),
        ("other", "blocks in mutex_lock(&first)"),
        ("other", "takes second"),
    ]


def test_a_wake_up_that_wakes_nobody_is_told() -> None:
    busy, queue = Var("busy", 1), WaitQueue("queue")

    @task()
    def waker() -> None:
        wake_up(queue).says("calls wake_up(queue)")
        atomic_set(busy, 0)

    @task()
    def sleeper() -> None:
        wait_event(queue, busy == 0)

    told = trace_of(Model("early", (waker, sleeper), ("waker", "sleeper")))
    assert "calls wake_up(queue)" in [step.step for step in told.steps]
