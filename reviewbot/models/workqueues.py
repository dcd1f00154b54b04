"""Scenes about work queues: a queue on the I/O path, works that wait for each other, flushing under a lock."""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import disk, named, of, submit_bio
from reviewbot.models.reader import Driver, Mode, SleepingLock, acquire, asks_for_write, lock_of, release, task_of
from reviewbot.models.scene import scene
from reviewbot.models.snapshot import Above, writeback_above
from reviewbot.models.system import HOG, READER, WRITEBACK, allocating_works, reading_works, writeback
from reviewbot.sim import (
    Completion,
    Memory,
    Model,
    Routine,
    SpinLock,
    Timer,
    WorkQueue,
    cancel_work_sync,
    choice,
    complete,
    flush_work,
    flush_workqueue,
    free_page,
    mod_timer,
    program,
    queue_work,
    queue_work_once,
    spin_lock,
    spin_unlock,
    task,
    timer_delete_sync,
    wait_for_completion,
)

Flush = Literal["flush_work", "flush_workqueue", "cancel_work_sync"]
QueuedBy = Literal["end_io", "map"]
"""A request waits for the work item after the I/O below (end_io), or before it (map)."""


def _driver(wq: WorkQueue, queued_by: QueuedBy, device: str, work: str, queuer: str, file: str) -> Driver:
    """A driver whose function `queuer` hands each request to a work item, before or after the I/O below."""
    below = disk()

    @of(file, work)
    def handle(end_io: Routine) -> None:
        if queued_by == "map":
            submit_bio(below, "write", end_io)
        else:
            end_io()

    @of(file, queuer, named(queuer) if queued_by == "end_io" and queuer else "end_io of the bio below")
    def lower_end_io(end_io: Routine) -> None:
        queue_work(wq, handle(end_io)).says(f"queues {named(work)} on {wq}")

    @of(file, queuer if queued_by == "map" else "")
    def submit(end_io: Routine) -> None:
        if queued_by == "map":
            queue_work(wq, handle(end_io)).says(f"queues {named(work)} on {wq}")
        else:
            submit_bio(below, "write", lower_end_io(end_io))

    return Driver(device, submit)


@scene
def workqueue_writeback(
    rescuer: bool = True,
    queued_by: QueuedBy = "end_io",
    kworkers: int = 2,
    queue: str = "drv->wq",
    work: str = "drv_work",
    queuer: str = "",
    device: str = "the device",
    kworker: str = "kworker",
    file: str = "",
    above: Above = "a filesystem",
) -> Model:
    """Writeback needs a work item of a driver, while every kworker waits for memory; `rescuer` of the queue."""
    memory = Memory("free memory")
    driver = _driver(WorkQueue(queue, rescuer=rescuer), queued_by, device, work, queuer, file)
    tasks = (writeback_above(driver, memory, above), allocating_works(memory, kworkers))
    return Model("workqueue_writeback", tasks, reachable=(WRITEBACK, HOG), kworkers=kworkers, kworker=kworker)


@scene
def workqueue_readers(
    rescuer: bool = True,
    queued_by: QueuedBy = "end_io",
    kworkers: int = 2,
    queue: str = "drv->wq",
    work: str = "drv_work",
    queuer: str = "",
    device: str = "the device",
    kworker: str = "kworker",
    file: str = "",
) -> Model:
    """Every kworker runs a work item that reads from a filesystem on the driver's device; `rescuer` of its queue."""
    driver = _driver(WorkQueue(queue, rescuer=rescuer), queued_by, device, work, queuer, file)
    tasks = (reading_works(driver, kworkers, f"a file on {device}"),)
    return Model("workqueue_readers", tasks, reachable=(READER,), kworkers=kworkers, kworker=kworker)


@scene
def dependent_works(
    separate: bool = True,
    max_active: int = 0,
    kworkers: int = 1,
    queue: str = "drv->wq",
    first: str = "drv_first_work",
    second: str = "drv_second_work",
    device: str = "the device",
    file: str = "",
) -> Model:
    """A work item waits for another one while memory is short; `separate`: each is on a queue of its own.

    Every queue has a rescuer, and one rescuer runs one work item at a time. max_active 0 is the default of the kernel.
    """
    memory = Memory("free memory")
    wq = WorkQueue(queue, rescuer=True, max_active=max_active or 256)
    other = WorkQueue(f"the queue of {second}", rescuer=True) if separate else wq
    ready = Completion(second)

    @of(file, second)
    def waited_for() -> None:
        complete(ready).says("")

    @of(file, first)
    def waits(end_io: Routine) -> None:
        if choice():
            queue_work(other, waited_for()).says(f"queues {second} on {other}")
            wait_for_completion(ready).says("")
        end_io()

    @of(file, "")
    def submit(end_io: Routine) -> None:
        queue_work(wq, waits(end_io)).says(f"queues {first} on {wq}")

    tasks = (writeback(Driver(device, submit), memory), allocating_works(memory, kworkers))
    return Model("dependent_works", tasks, reachable=(WRITEBACK, HOG), kworkers=kworkers)


@scene
def flush_dependency(
    rescuer: bool = True,
    kworkers: int = 2,
    queue: str = "drv->wq",
    work: str = "drv_work",
    function: str = "drv_flush",
    kworker: str = "kworker",
    file: str = "",
) -> Model:
    """A task that has to free memory flushes a work item, while every kworker waits for memory."""
    memory = Memory("free memory")
    wq = WorkQueue(queue, rescuer=rescuer)

    @of(file, work)
    def handler() -> None:
        pass

    @task_of(file, function)
    def flusher() -> None:
        queue_work_once(wq, handler()).says(f"queues {named(work)} on {wq}")
        flush_work(wq, handler()).says("")
        free_page(memory).says("")

    tasks = (flusher, allocating_works(memory, kworkers))
    return Model("flush_dependency", tasks, reachable=(named(function), HOG), kworkers=kworkers, kworker=kworker)


@scene
def flush_under_lock(
    held: bool = False,
    takes: bool = True,
    call: Flush = "flush_work",
    ahead: bool = False,
    kind: SleepingLock = "mutex",
    held_for: Mode = "write",
    taken_for: Mode = "write",
    writer: bool = False,
    lock: str = "&drv->lock",
    queue: str = "drv->wq",
    work: str = "drv_work",
    function: str = "drv_caller",
    file: str = "",
) -> Model:
    """A task waits for a work item, `held`: under a lock that the item, or one ahead of it on an ordered queue, takes.

    writer: with a rwsem held for read and taken for read, a third task asks for it for write in between.
    """
    wq = WorkQueue(queue, threads=1, ordered=ahead)
    mutex = lock_of(kind, lock)
    marks = (named(function), named(work))

    @of(file, work)
    def handler() -> None:
        if takes:
            acquire(mutex, taken_for)
            release(mutex, taken_for).says("")

    @of(file, "", f"an item ahead of {named(work)}")
    def other() -> None:
        acquire(mutex, taken_for)
        release(mutex, taken_for).says("")

    @of(file, work)
    def free_of_it() -> None:
        pass

    waited_for = free_of_it() if ahead else handler()

    @task_of(file, function)
    def caller() -> None:
        if ahead:
            queue_work_once(wq, other()).says("")
        queue_work_once(wq, waited_for).says("")
        if held:
            acquire(mutex, held_for)
        waits_for(call, wq, waited_for)
        if held:
            release(mutex, held_for).says("")

    tasks = (caller, *asks_for_write(mutex, writer))
    return Model("flush_under_lock", tasks, reachable=marks)


@scene
def flush_own_queue(
    own: bool = False,
    call: Flush = "flush_workqueue",
    queue: str = "drv->wq",
    work: str = "drv_work",
    file: str = "",
) -> Model:
    """A work item waits for work to finish; `own`: for the very queue, or the very item, that it runs as."""
    wq, elsewhere = WorkQueue(queue, threads=1), WorkQueue("another queue", threads=1)

    @of(file, "another work item")
    def other() -> None:
        pass

    @of(file, work)
    def handler() -> None:
        if choice():
            if not own:
                queue_work_once(elsewhere, other()).says("")
                waits_for(call, elsewhere, other())
            else:
                waits_for(call, wq, handler())

    @task(name="somebody")
    def somebody() -> None:
        queue_work_once(wq, handler()).says("")

    return Model("flush_own_queue", (somebody,), reachable=(named(work),))


@scene
def timer_sync_under_lock(
    held: bool = False,
    takes: bool = True,
    lock: str = "&drv->lock",
    timer: str = "&drv->timer",
    handler: str = "drv_timer",
    function: str = "drv_caller",
    file: str = "",
) -> Model:
    """A task waits for a timer's function to finish, `held`: under a spinlock that the function takes."""
    spin = SpinLock(lock)

    @of(file, handler)
    def expires() -> None:
        if takes:
            spin_lock(spin)
            spin_unlock(spin).says("")

    pending = Timer(timer, function=expires())

    @task_of(file, function)
    def caller() -> None:
        mod_timer(pending).says("")
        if held:
            spin_lock(spin)
        timer_delete_sync(pending).says("")
        if held:
            spin_unlock(spin).says("")

    return Model("timer_sync_under_lock", (caller,), reachable=(named(function), named(handler)))


@program
def waits_for(call: Flush, queue: WorkQueue, work: Routine) -> None:
    """flush_work(), flush_workqueue() or cancel_work_sync()."""
    if call == "flush_work":
        flush_work(queue, work).says("")
    elif call == "flush_workqueue":
        flush_workqueue(queue).says("")
    else:
        cancel_work_sync(queue, work).says("")
