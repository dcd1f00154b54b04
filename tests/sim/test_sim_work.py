"""Work queues and their threads, interrupts, timers, and waiting for what was queued."""

from __future__ import annotations

import pytest
from sim_models import circle, run, told

from reviewbot.sim.check import check
from reviewbot.sim.model import (
    Completion,
    Interrupt,
    Memory,
    Model,
    Mutex,
    Named,
    Semaphore,
    Seq,
    Task,
    Timer,
    Var,
    WorkQueue,
    alloc_page,
    atomic_inc,
    atomic_set,
    cancel_work_sync,
    choice,
    complete,
    down,
    drain_workqueue,
    flush_work,
    flush_workqueue,
    free_page,
    mod_timer,
    mutex_lock,
    mutex_unlock,
    program,
    queue_work,
    queue_work_once,
    raise_softirq,
    reached,
    start_io,
    task,
    timer_delete_sync,
    wait_for_completion,
)


def writeback(*, rescuer: bool, kworkers: int = 2, hogs: int = 2):
    """Memory becomes free when a work has run; other works occupy the shared threads until memory is free."""
    memory, done = Memory("free memory"), Completion("writeback")
    verifier, events = WorkQueue("verifier", rescuer=rescuer), WorkQueue("events")

    @program
    def verify() -> None:
        complete(done)

    @program
    def hog() -> None:
        alloc_page(memory)
        free_page(memory)

    @task()
    def flusher() -> None:
        queue_work(verifier, verify())
        wait_for_completion(done)
        free_page(memory)

    @task(n=hogs)
    def somebody() -> None:
        queue_work(events, hog())

    return run(flusher, somebody, reachable=["flusher", "hog", "verify"], kworkers=kworkers)


def test_without_a_rescuer_all_shared_threads_can_be_taken() -> None:
    result = writeback(rescuer=False)
    assert (result.outcome, result.states) == ("stuck", 28)
    assert told(result)[-2:] == [
        "kworker #2: runs hog",
        "kworker #2: blocks in alloc_page(GFP_KERNEL)",
    ]
    assert sorted(circle(result)) == [
        ("flusher", "writeback", "the queued verify"),
        ("kworker #1, kworker #2", "free memory", "flusher"),
        ("the queued verify", "a thread of verifier", "kworker #1, kworker #2"),
    ]


@pytest.mark.parametrize(
    ("rescuer", "kworkers", "hogs", "outcome"),
    [(True, 2, 2, "free"), (False, 3, 2, "free"), (False, 2, 1, "free"), (False, 1, 1, "stuck")],
)
def test_a_rescuer_or_a_spare_thread_is_enough(rescuer: bool, kworkers: int, hogs: int, outcome: str) -> None:
    assert writeback(rescuer=rescuer, kworkers=kworkers, hogs=hogs).outcome == outcome


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [({"max_active": 1}, "stuck"), ({"max_active": 2}, "free"), ({"threads": 1}, "stuck"), ({"threads": 2}, "free")],
)
def test_a_work_that_waits_for_another_of_its_queue(limits: dict[str, int], outcome: str) -> None:
    queue, done, end = WorkQueue("queue", **limits), Completion("first half"), Completion("all")

    @program
    def second() -> None:
        complete(done)

    @program
    def first() -> None:
        reached("begun")
        queue_work(queue, second())
        wait_for_completion(done)
        complete(end)

    @task()
    def caller() -> None:
        queue_work(queue, first())
        wait_for_completion(end)

    result = run(caller, reachable=["caller" if outcome == "free" else "begun"], kworkers=2)
    assert result.outcome == outcome


def fifo(*, ordered: bool, swapped: bool = False):
    """The second work waits for what the first brings; one thread runs both."""
    queue = WorkQueue("queue", ordered=ordered, threads=1)
    first_done, end = Completion("first"), Completion("second")

    @program
    def first() -> None:
        complete(first_done)

    @program
    def second() -> None:
        wait_for_completion(first_done)
        complete(end)

    @task()
    def caller() -> None:
        queue_work(queue, second() if swapped else first())
        queue_work(queue, first() if swapped else second())
        wait_for_completion(end)

    return check(Model("test", (caller,), ("first",) if swapped else ("caller",)))


def test_an_ordered_queue_keeps_the_order() -> None:
    assert fifo(ordered=True).outcome == "free"
    assert fifo(ordered=False).outcome == "stuck"
    assert fifo(ordered=True, swapped=True).outcome == "vacuous"  # the first never runs


def test_an_ordered_queue_that_overflows_its_slots_is_inconclusive() -> None:
    queue = WorkQueue("queue", ordered=True, threads=1, slots=2)

    @program
    def nothing_much() -> None:
        pass

    @task(n=4)
    def caller() -> None:
        queue_work(queue, nothing_much())

    result = check(Model("test", (caller,), ("caller",)))
    assert result.outcome == "inconclusive"
    assert "queue.slot" in result.reason


def pending_bit(*, own_item: bool = False):
    """Whether a work runs once or twice depends on whether it began before it was queued again."""
    budget, queue = Semaphore("budget", 1), WorkQueue("queue", threads=1)

    @program
    def work() -> None:
        down(budget)

    @task()
    def caller() -> None:
        if own_item:
            queue_work(queue, work())
            queue_work(queue, work())
        else:
            queue_work_once(queue, work())
            queue_work_once(queue, work())

    return run(caller, reachable=["caller", "work"])


def test_setting_the_pending_bit_is_no_release() -> None:
    """Set, run, set means two runs; set, set, run means one. A reduction that joins the two calls misses the first."""
    result = pending_bit()
    assert result.outcome == "stuck"
    assert circle(result) == [("queue", "budget", "queue")]
    assert pending_bit(own_item=True).outcome == "stuck"


def test_a_work_item_never_runs_twice_at_once() -> None:
    queue, inside, lock = WorkQueue("queue"), Var("inside"), Mutex("lock")

    @program
    def work() -> None:
        if inside > 0:
            reached("twice at once")
        mutex_lock(lock)
        atomic_set(inside, 1)
        atomic_set(inside, 0)
        mutex_unlock(lock)

    @task(n=2)
    def caller() -> None:
        queue_work_once(queue, work())

    model = Model("test", (caller,), ("twice at once",), 2)
    assert check(model).outcome == "vacuous"


# --- flushing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [flush_work, cancel_work_sync])
@pytest.mark.parametrize(("locked", "outcome"), [(True, "stuck"), (False, "free")])
def test_flushing_under_a_lock_that_the_work_takes(call, locked: bool, outcome: str) -> None:
    queue, lock = WorkQueue("queue"), Mutex("lock")

    @program
    def work() -> None:
        mutex_lock(lock)
        mutex_unlock(lock)

    @task()
    def flusher() -> None:
        queue_work_once(queue, work())
        if locked:
            mutex_lock(lock)
        call(queue, work())
        if locked:
            mutex_unlock(lock)

    result = run(flusher, reachable=["flusher", "work"])
    assert result.outcome == outcome
    if locked:
        name = call.__name__
        assert {"a kworker: blocks in mutex_lock(&lock)", f"flusher: blocks in {name}(work)"} <= set(told(result))
        assert sorted(circle(result)) == [
            ("a kworker", "lock", "flusher"),
            ("flusher", "work to finish", "a kworker"),
        ]


def test_cancel_takes_back_what_has_not_begun() -> None:
    queue = WorkQueue("queue", ordered=True, threads=1)
    blocker, end = Completion("blocker"), Completion("end")

    @program
    def first() -> None:
        wait_for_completion(blocker)

    @program
    def second() -> None:
        reached("second ran")

    @program
    def third() -> None:
        complete(end)

    @task()
    def caller() -> None:
        queue_work(queue, first())
        queue_work_once(queue, second())
        queue_work_once(queue, third())
        cancel_work_sync(queue, second())
        complete(blocker)
        wait_for_completion(end)

    assert run(caller, reachable=["caller", "third"]).outcome == "free"
    assert run(caller, reachable=["second ran"]).outcome == "vacuous"


def test_cancelling_lets_go_who_flushes_and_does_not_wait_for_him() -> None:
    """The only thread waits for the lock of the one who cancels, so what he cancels cannot run before he is done."""
    queue, lock = WorkQueue("queue"), Mutex("lock")

    @program
    def occupies() -> None:
        mutex_lock(lock)
        mutex_unlock(lock)

    @program
    def cancelled() -> None:
        pass

    @task()
    def canceller() -> None:
        mutex_lock(lock)
        queue_work(queue, occupies())
        queue_work_once(queue, cancelled())
        cancel_work_sync(queue, cancelled())
        mutex_unlock(lock)

    @task()
    def flusher() -> None:
        flush_work(queue, cancelled())

    assert run(canceller, flusher).outcome == "free"


def test_flush_work_waits_for_the_run_that_was_queued_not_for_later_ones() -> None:
    """The work queues itself for ever; whoever flushes it waits for one run."""
    queue = WorkQueue("queue", threads=1)
    again = Named("again", lambda: queue_work_once(queue, again))
    flusher = Task("flusher", Named("flusher", Seq((queue_work_once(queue, again), flush_work(queue, again)))), 2)
    assert run(flusher).outcome == "free"


def test_flush_workqueue_waits_for_what_is_queued() -> None:
    def model(locked: bool, call):
        queue, lock = WorkQueue("queue"), Mutex("lock")

        @program
        def work() -> None:
            mutex_lock(lock)
            mutex_unlock(lock)

        @task()
        def submitter() -> None:
            queue_work(queue, work())

        @task()
        def flusher() -> None:
            if locked:
                mutex_lock(lock)
            call(queue)
            if locked:
                mutex_unlock(lock)

        return run(submitter, flusher, reachable=["submitter", "flusher", "work"])

    for call in (flush_workqueue, drain_workqueue):
        assert model(False, call).outcome == "free"
        result = model(True, call)
        assert result.outcome == "stuck"
        assert ("a kworker", "lock", "flusher") in circle(result)


def test_flush_workqueue_from_one_of_its_own_works() -> None:
    queue = WorkQueue("queue")

    @program
    def work() -> None:
        if choice():
            flush_workqueue(queue)

    @task()
    def caller() -> None:
        queue_work(queue, work())

    result = run(caller, reachable=["caller", "work"])
    assert circle(result) == [("a kworker", "what is queued on queue to finish", "a kworker")]


# --- interrupts and timers -------------------------------------------------------------------------------------------


def test_a_disk_finishes_requests_in_any_order() -> None:
    disk, first_done = Interrupt("disk"), Var("first done")

    @program
    def first() -> None:
        atomic_inc(first_done)

    @program
    def second() -> None:
        if first_done == 0:
            reached("second before first")

    @task()
    def submitter() -> None:
        start_io(disk, first())
        start_io(disk, second())

    assert run(submitter, reachable=["first", "second", "second before first"]).outcome == "free"


@pytest.mark.parametrize(("locked", "outcome"), [(True, "stuck"), (False, "free")])
def test_timer_delete_sync_under_a_lock_that_the_timer_takes(locked: bool, outcome: str) -> None:
    lock = Mutex("lock")

    @program
    def expired() -> None:
        mutex_lock(lock)
        mutex_unlock(lock)

    timer = Timer(name="timer", function=expired())

    @task()
    def stopper() -> None:
        mod_timer(timer)
        mod_timer(timer)
        if locked:
            mutex_lock(lock)
        timer_delete_sync(timer)
        if locked:
            mutex_unlock(lock)

    result = run(stopper, reachable=["stopper", "expired"])
    assert result.outcome == outcome
    if locked:
        assert sorted(circle(result)) == [("stopper", "expired to finish", "timer"), ("timer", "lock", "stopper")]


def test_a_softirq_is_raised_once_however_often() -> None:
    softirq, runs = Interrupt("BLOCK_SOFTIRQ", soft=True), Var("runs")

    @program
    def handler() -> None:
        atomic_inc(runs)
        if runs == 3:
            reached("three runs of two")

    @task()
    def raiser() -> None:
        raise_softirq(softirq, handler())
        raise_softirq(softirq, handler())

    assert run(raiser, reachable=["handler"]).outcome == "free"
    assert run(raiser, reachable=["three runs of two"]).outcome == "vacuous"
