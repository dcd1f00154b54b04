"""Scenes about stopped queues: freezing one, or suspending a device, around a lock that its users take."""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import called, named
from reviewbot.models.reader import Mode, SleepingLock, acquire, lock_of, release, task_of
from reviewbot.models.scene import scene
from reviewbot.sim import Model, PercpuRef, blk_mq_freeze_queue, blk_mq_unfreeze_queue, blk_queue_enter, blk_queue_exit


@scene
def freeze_and_lock(
    order: Literal["apart", "freezes under the lock", "locks while frozen"] = "apart",
    user: Literal["locks inside", "enters under the lock"] = "locks inside",
    kind: SleepingLock = "mutex",
    mode: Mode = "write",
    user_mode: Mode = "write",
    lock: str = "&drv->lock",
    queue: str = "drv->queue",
    stop: str = "blk_mq_freeze_queue",
    entry: str = "blk_queue_enter",
    function: str = "drv_caller",
    other_function: str = "drv_other",
    file: str = "",
) -> Model:
    """A task freezes a queue and takes a lock, in which `order`; a user of the queue takes the same lock.

    Entering a queue is taking it for read, freezing it is taking it for write: the user waits while it is frozen, the
    freeze waits for users inside. user: it takes the lock inside the queue, or enters the queue under the lock.
    """
    usage, guard = PercpuRef(queue), lock_of(kind, lock)

    @task_of(file, function)
    def freezer() -> None:
        if order == "freezes under the lock":
            acquire(guard, mode)
        called(f"{stop}({queue})", blk_mq_freeze_queue(usage)).says("")
        if order == "locks while frozen":
            acquire(guard, mode)
            release(guard, mode).says("")
        blk_mq_unfreeze_queue(usage).says("")
        if order == "apart":
            acquire(guard, mode)
        if order != "locks while frozen":
            release(guard, mode).says("")

    @task_of(file, other_function)
    def submitter() -> None:
        if user == "enters under the lock":
            acquire(guard, user_mode)
        called(f"{entry}({queue})", blk_queue_enter(usage)).says(f"enters {queue} with {named(entry)}")
        if user == "locks inside":
            acquire(guard, user_mode)
            release(guard, user_mode).says("")
        blk_queue_exit(usage).says("")
        if user == "enters under the lock":
            release(guard, user_mode).says("")

    return Model("freeze_and_lock", (freezer, submitter), reachable=(named(function), named(other_function)))
