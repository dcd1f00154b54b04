"""A filesystem with one lock, and a loop device on a file of it (drivers/block/loop.c).

The lock stands for whatever a write to a file takes and an allocation may be made under.
"""

from __future__ import annotations

from reviewbot.models.block import Device, Op, Part, disk, submit_bio
from reviewbot.sim import (
    BoundName,
    Completion,
    Mutex,
    Routine,
    WorkQueue,
    complete,
    memalloc_noio_restore,
    memalloc_noio_save,
    mutex_lock,
    mutex_unlock,
    program,
    queue_work,
    wait_for_completion,
)

FILE = "drivers/block/loop.c"


class Filesystem(Part, frozen=True, eq=False):
    """A filesystem on a device."""

    lock: Mutex
    device: Device
    written: Completion


class Loop(Part, frozen=True, eq=False):
    """struct loop_device, bound to a file of a filesystem."""

    fs: Filesystem
    workqueue: WorkQueue

    def bio(self, op: Op, end_io: Routine) -> BoundName:
        """Its ->queue_rq, which hands the bio to a work item."""
        return loop_queue_rq(self, op, end_io)


def filesystem(lock: str = "the filesystem lock") -> Filesystem:
    """A filesystem on a disk of its own."""
    return Filesystem("the filesystem", Mutex(lock), disk(), Completion("its write"))


def loop(fs: Filesystem, name: str = "the loop device", workers: int = 1) -> Loop:
    """A loop device on a file of `fs`."""
    return Loop(name, fs, WorkQueue("loop0", threads=workers))


@program(file=FILE)
def loop_queue_rq(lo: Loop, op: Op, end_io: Routine) -> None:
    """Queues a request for the device's worker."""
    queue_work(lo.workqueue, loop_process_work(lo, op, end_io)).says("")


@program(file=FILE, title="loop_process_work()")
def loop_process_work(lo: Loop, op: Op, end_io: Routine) -> None:
    """The worker reads or writes the backing file, in a memalloc_noio scope."""
    memalloc_noio_save().says("")
    write_iter(lo.fs, op)  # lo_rw_aio
    memalloc_noio_restore().says("")
    end_io()


@program
def write_iter(fs: Filesystem, op: Op) -> None:
    """->write_iter and ->read_iter of the backing file, up to the disk."""
    mutex_lock(fs.lock)
    submit_bio(fs.device, op, end_write(fs))
    wait_for_completion(fs.written).says("")
    mutex_unlock(fs.lock).says("")


@program(told=False)
def end_write(fs: Filesystem) -> None:
    """The filesystem below has written."""
    complete(fs.written).says("")
