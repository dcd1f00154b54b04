"""Scenes about sleeping: with a lock that the waker's path takes, for a wake-up that is gone or comes too early."""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import called, named, of, quietly
from reviewbot.models.reader import Mode, SleepingLock, acquire, asks_for_write, lock_of, release, task_of
from reviewbot.models.scene import scene
from reviewbot.sim import (
    Completion,
    Model,
    Var,
    WaitQueue,
    WorkQueue,
    atomic_set,
    choice,
    complete,
    prepare_to_wait,
    queue_work,
    say,
    schedule,
    wait_event,
    wait_for_completion,
    wake_up,
)
from reviewbot.sim.program import address

Wakes = Literal["always", "not on error", "never"]


@scene
def sleep_holding(
    held: bool = False,
    takes: bool = True,
    kind: SleepingLock = "mutex",
    held_for: Mode = "write",
    taken_for: Mode = "write",
    writer: bool = False,
    sleepers: int = 1,
    lock: str = "&drv->lock",
    event: str = "drv->busy == 0",
    call: str = "wait_event",
    function: str = "drv_caller",
    waker: str = "drv_end_io",
    thread: str = "the waker",
    file: str = "",
) -> Model:
    """A task sleeps, `held`: with a lock that the waker `takes` before it wakes it up.

    writer: with a rwsem held for read and taken for read, a third task asks for it for write in between.
    """
    guard, done = lock_of(kind, lock), Completion(event)
    wq = WorkQueue(thread, threads=1)

    @of(file, waker)
    def wakes() -> None:
        if takes:
            acquire(guard, taken_for)
            release(guard, taken_for).says("")
        complete(done).says("")

    @task_of(file, function, n=sleepers)
    def sleeper() -> None:
        queue_work(wq, wakes()).says("")
        acquire(guard, held_for)
        if not held:
            release(guard, held_for)
        called(f"{call}({event})", wait_for_completion(done)).says("")
        if held:
            release(guard, held_for).says("")

    tasks = (sleeper, *asks_for_write(guard, writer))
    return Model("sleep_holding", tasks, reachable=(named(function), named(waker)))


@scene
def wake_up_lost(
    wakes: Wakes = "always",
    set_first: bool = True,
    prepare_first: bool = True,
    flag: str = "drv->busy",
    wait_queue: str = "&drv->wait",
    call: str = "wait_event",
    function: str = "drv_caller",
    waker: str = "drv_end_io",
    file: str = "",
) -> Model:
    """A task sleeps until a flag is clear; the waker clears it and wakes up.

    wakes: whether every path of the waker wakes up. set_first: it clears the flag before it does. prepare_first: the
    sleeper is on the wait queue before it looks at the flag.
    """
    busy, queue = Var(flag, 1), WaitQueue(wait_queue)

    @of(file, waker)
    def wake() -> None:
        wake_up(queue).says(f"calls wake_up({wait_queue})")

    @of(file, waker)
    def clear() -> None:
        atomic_set(busy, 0).says(f"clears {flag}")

    @of(file, waker)
    def maybe() -> None:
        if wakes == "not on error":
            if choice():
                wake()
            else:
                say("takes the error path without waking anybody up")
        elif wakes == "always":
            wake()

    @task_of(file, waker)
    def end_io() -> None:
        if set_first:
            clear()
            maybe()
        else:
            maybe()
            clear()

    @task_of(file, function)
    def sleeper() -> None:
        if prepare_first:
            called(f"{call}({flag} == 0)", wait_event(queue, busy == 0)).says("")
        else:
            while quietly(busy > 0):
                say(f"sees {flag} set")
                prepare_to_wait(queue, site="wait").says("goes to sleep without looking at it again")
                schedule(queue, site="wait").says("")

    return Model("wake_up_lost", (sleeper, end_io), reachable=(named(function), named(waker)))


@scene
def completion_missing(
    always: bool = True,
    call: str = "wait_for_completion",
    event: str = "&drv->done",
    function: str = "drv_caller",
    waker: str = "drv_end_io",
    file: str = "",
) -> Model:
    """A task waits for a completion, a reference or a bit that its partner gives, `always` or not on an error path."""
    done = Completion(event)

    @of(file, waker)
    def may_fail() -> None:
        if choice():
            complete(done).says("")
        else:
            say(f"returns without completing {event}")

    @task_of(file, waker)
    def partner() -> None:
        if always:
            complete(done).says("")
        else:
            may_fail()

    @task_of(file, function)
    def sleeper() -> None:
        called(f"{call}({address(event)})", wait_for_completion(done)).says("")

    return Model("completion_missing", (sleeper, partner), reachable=(named(function), named(waker)))


@scene
def waits_for_itself(
    itself: bool = False,
    event: str = "drv->flags",
    call: str = "wait_event",
    function: str = "drv_thread",
    waker: str = "drv_update",
    file: str = "",
) -> Model:
    """A thread waits for something that has to be done; `itself`: by nobody but this thread, later."""
    done, wq = Completion(event), WorkQueue("another thread", threads=1)

    @of(file, waker)
    def provides() -> None:
        complete(done).says("")

    @task_of(file, function)
    def thread() -> None:
        if choice():
            if not itself:
                queue_work(wq, provides()).says("")
            called(f"{call}({event})", wait_for_completion(done)).says("")
            if itself:
                provides()

    return Model("waits_for_itself", (thread,), reachable=(named(function),))
