"""Scenes about work queues: a queue on the I/O path, works that wait for each other, flushing."""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import disk, named, of, submit_bio
from reviewbot.models.reader import Driver, task_of
from reviewbot.models.scene import scene
from reviewbot.models.snapshot import Above, writeback_above
from reviewbot.models.system import HOG, READER, WRITEBACK, allocating_works, reading_works, writeback
from reviewbot.sim import (
    Completion,
    Memory,
    Model,
    Routine,
    WorkQueue,
    cancel_work_sync,
    choice,
    complete,
    flush_work,
    flush_workqueue,
    free_page,
    program,
    queue_work,
    queue_work_once,
    task,
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


@program
def waits_for(call: Flush, queue: WorkQueue, work: Routine) -> None:
    """flush_work(), flush_workqueue() or cancel_work_sync()."""
    if call == "flush_work":
        flush_work(queue, work).says("")
    elif call == "flush_workqueue":
        flush_workqueue(queue).says("")
    else:
        cancel_work_sync(queue, work).says("")
