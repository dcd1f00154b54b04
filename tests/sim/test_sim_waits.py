"""Sleeping and waking: completions, wait queues, counters, free choice."""

from __future__ import annotations

import msgspec
import pytest
from sim_models import circle, run, told

from reviewbot.sim.model import (
    Completion,
    Model,
    ModelError,
    Mutex,
    Var,
    WaitQueue,
    atomic_dec,
    atomic_dec_and_test,
    atomic_inc,
    atomic_set,
    choice,
    clear_bit,
    complete,
    complete_all,
    finish_wait,
    mutex_lock,
    mutex_unlock,
    nothing,
    prepare_to_wait,
    reached,
    reinit_completion,
    say,
    schedule,
    set_bit,
    task,
    test_and_set_bit,
    try_wait_for_completion,
    wait_event,
    wait_event_exclusive,
    wait_event_idle,
    wait_for_completion,
    wait_until,
    wake_up,
    wake_up_all,
)


@pytest.mark.parametrize(
    ("call", "waiters", "outcome"), [(complete, 1, "free"), (complete, 2, "stuck"), (complete_all, 2, "free")]
)
def test_complete_lets_one_go_and_complete_all_everybody(call, waiters: int, outcome: str) -> None:
    done = Completion("done")

    @task(n=waiters)
    def waiter() -> None:
        wait_for_completion(done)

    @task()
    def finisher() -> None:
        call(done)

    assert run(waiter, finisher).outcome == outcome


def test_wait_for_completion_under_a_lock_that_the_finisher_takes() -> None:
    done, lock = Completion("done"), Mutex("lock")

    @task()
    def waiter() -> None:
        mutex_lock(lock)
        wait_for_completion(done)
        mutex_unlock(lock)

    @task()
    def finisher() -> None:
        mutex_lock(lock)
        mutex_unlock(lock)
        complete(done)

    result = run(waiter, finisher)
    assert told(result) == [
        "waiter: takes lock",
        "waiter: blocks in wait_for_completion(&done)",
        "finisher: blocks in mutex_lock(&lock)",
    ]
    assert sorted(circle(result)) == [("finisher", "lock", "waiter"), ("waiter", "done", "finisher")]


def test_reinit_completion_forgets() -> None:
    done = Completion("done")

    @task()
    def waiter() -> None:
        wait_for_completion(done)

    @task()
    def finisher() -> None:
        complete(done)
        reinit_completion(done)

    assert run(waiter, finisher).outcome == "stuck"


def test_try_wait_for_completion_does_not_wait() -> None:
    done = Completion("done")

    @task()
    def waiter() -> None:
        if not try_wait_for_completion(done):
            reached("not yet")

    @task()
    def finisher() -> None:
        complete(done)

    assert run(waiter, finisher, reachable=["waiter", "not yet"]).outcome == "free"


def waker(order: str):
    """Somebody sleeps until a flag is set; somebody else sets it and wakes, in an order."""
    ready, queue = Var("ready"), WaitQueue("queue")

    @task()
    def sleeper() -> None:
        wait_event(queue, ready > 0)

    @task()
    def other() -> None:
        if order == "set, wake":
            atomic_set(ready, 1)
            wake_up(queue)
        elif order == "wake, set":
            wake_up(queue)
            atomic_set(ready, 1)
        else:
            atomic_set(ready, 1)

    return run(sleeper, other)


def test_wake_up_after_the_condition() -> None:
    assert waker("set, wake").outcome == "free"


@pytest.mark.parametrize("order", ["wake, set", "set"])
def test_wake_up_that_comes_too_early_or_not_at_all_is_lost(order: str) -> None:
    result = waker(order)
    assert result.outcome == "stuck"
    assert "sleeper: sees ready <= 0 in wait_event(queue) and sleeps" in told(result)
    assert told(result)[-1] == "sleeper: blocks in wait_event(queue)"
    assert circle(result) == [("sleeper", "a wake-up on queue once ready > 0", "nobody")]


def test_two_sleepers_at_two_places_are_woken_each_for_himself() -> None:
    ready, queue = Var("ready"), WaitQueue("queue")

    @task(n=2)
    def sleeper() -> None:
        wait_event(queue, ready > 0)
        wait_event(queue, ready > 1)

    @task(n=2)
    def other() -> None:
        atomic_inc(ready)
        wake_up(queue)

    assert run(sleeper, other).outcome == "free"


@pytest.mark.parametrize(("wake", "outcome"), [(wake_up, "stuck"), (wake_up_all, "free")])
def test_exclusive_sleepers_are_woken_one_by_one(wake, outcome: str) -> None:
    ready, queue = Var("ready"), WaitQueue("queue")

    @task(n=2)
    def sleeper() -> None:
        wait_event_exclusive(queue, ready > 0)

    @task()
    def other() -> None:
        atomic_set(ready, 1)
        wake(queue)

    assert run(sleeper, other).outcome == outcome


def test_an_exclusive_sleeper_does_not_keep_others_from_being_woken() -> None:
    ready, queue = Var("ready"), WaitQueue("queue")

    @task()
    def exclusive() -> None:
        wait_event_exclusive(queue, ready > 0)

    @task()
    def plain() -> None:
        wait_event(queue, ready > 0)

    @task()
    def other() -> None:
        atomic_set(ready, 1)
        wake_up(queue)

    assert run(exclusive, plain, other).outcome == "free"


@pytest.mark.parametrize(("prepare_first", "outcome"), [(True, "free"), (False, "stuck")])
def test_prepare_to_wait_has_to_come_before_the_test(prepare_first: bool, outcome: str) -> None:
    ready, queue = Var("ready"), WaitQueue("queue")

    @task()
    def sleeper() -> None:
        if prepare_first:
            prepare_to_wait(queue, site="read")
            if ready < 1:
                schedule(queue, site="read")
            else:
                finish_wait(queue, site="read")
        elif ready < 1:
            prepare_to_wait(queue, site="read")
            schedule(queue, site="read")

    @task()
    def other() -> None:
        atomic_set(ready, 1)
        wake_up(queue)

    assert run(sleeper, other).outcome == outcome


def test_a_thread_that_waits_for_work_is_at_home() -> None:
    work, queue, done = Var("work"), WaitQueue("queue"), Completion("done")

    def model(wakes: bool):
        @task()
        def thread() -> None:
            while True:
                wait_event_idle(queue, work > 0)
                atomic_dec(work)
                complete(done)

        @task()
        def submitter() -> None:
            atomic_inc(work)
            if wakes:
                wake_up(queue)
            wait_for_completion(done)

        return run(thread, submitter, reachable=["submitter"])

    assert model(wakes=True).outcome == "free"
    result = model(wakes=False)
    assert circle(result) == [("submitter", "done", "thread, which sleeps")]


def test_wait_until_is_woken_by_the_condition_itself() -> None:
    count = Var("count", 2)

    @task()
    def waiter() -> None:
        wait_until(count == 0, "the last reference")

    def releaser(n: int):
        @task(n=n)
        def put() -> None:
            if atomic_dec_and_test(count):
                reached("last")

        return put

    assert run(waiter, releaser(2), reachable=["waiter", "last"]).outcome == "free"
    result = run(waiter, releaser(1), reachable=["put"])
    assert told(result) == ["waiter: waits until count == 0"]
    assert circle(result) == [("waiter", "the last reference", "nobody")]


def test_flags() -> None:
    busy = Var("busy")

    @task(n=2)
    def user() -> None:
        if test_and_set_bit(busy):
            reached("was busy")
        else:
            if busy == 1:
                clear_bit(busy)
            set_bit(busy)
            clear_bit(busy)

    assert run(user, reachable=["user", "was busy"]).outcome == "free"


def test_choice_takes_both_ways_and_the_bad_one_counts() -> None:
    never = Completion("never")

    @task()
    def chooser() -> None:
        say("thinks")
        if choice():
            wait_for_completion(never)
        else:
            nothing()

    result = run(chooser)
    assert told(result) == ["chooser: thinks", "chooser: blocks in wait_for_completion(&never)"]


def test_counters_know_no_value_while_the_model_is_built() -> None:
    count = Var("count")
    with pytest.raises(ModelError, match="only known in a state"):
        assert count
    with pytest.raises(ModelError, match="only known in a state"):
        assert count > 0
    with pytest.raises(ModelError, match="with a number or a counter"):
        assert count == "three"
    with pytest.raises(ModelError, match="outside of a program"):
        count += 1
    with pytest.raises(ModelError, match="outside of a program"):
        count -= 1


def test_a_counter_that_only_grows_or_falls_below_zero_is_inconclusive() -> None:
    class Device(msgspec.Struct):
        count: Var = Var("count")

    device = Device()

    @task()
    def grower() -> None:
        reached("started")
        while True:
            device.count += 1
            if device.count >= 127:
                reached("large")

    @task()
    def faller() -> None:
        reached("started")
        if device.count == 0:
            device.count -= 1

    for one in (grower, faller):
        result = run_alone(one)
        assert result.outcome == "inconclusive"
        assert result.reason.startswith("count left the range 0..127")


def run_alone(one):
    from reviewbot.sim.check import check

    return check(Model("test", (one,), ("started",)))
