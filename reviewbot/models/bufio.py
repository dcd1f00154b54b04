"""dm-bufio (drivers/md/dm-bufio.c): the shrinker of a client, and what it waits for when it may write buffers out.

Today the shrinker hands the scan to a work item and waits for nothing. It used to scan in the allocating task, where a
gate on the gfp flags decided whether it might wait (commit 9d28eb12447e made that __GFP_FS instead of __GFP_IO).
"""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import Device, Part, disk, submit_bio
from reviewbot.models.loop import filesystem, loop
from reviewbot.models.scene import scene
from reviewbot.sim import (
    GFP_KERNEL,
    GFP_NOFS,
    Completion,
    Gfp,
    Model,
    Mutex,
    WorkQueue,
    choice,
    complete,
    mutex_lock,
    mutex_unlock,
    program,
    queue_work_once,
    say,
    task,
    wait_for_completion,
)

FILE = "drivers/md/dm-bufio.c"
GATES = {"FS": Gfp.FS, "IO": Gfp.IO, "none": Gfp(0)}


class Bufio(Part, frozen=True, eq=False):
    """struct dm_bufio_client: its device, its lock, and who scans.

    gate: the gfp flag (FS, IO, or none needed) with which the shrinker scans in the allocating task; `work` when it
    always leaves that to shrink_work.
    """

    bdev: Device
    lock: Mutex
    wq: WorkQueue
    gate: str
    in_work: Completion
    """What __make_buffer_clean() waits for in shrink_work."""


@program(file=FILE)
def dm_bufio_shrink_scan(c: Bufio, gfp: Gfp, written: Completion) -> None:
    """`written`: what __make_buffer_clean() waits for in this task."""
    if c.gate != "work" and GATES[c.gate] in gfp:
        mutex_lock(c.lock).says(f"takes {c.lock} in dm_bufio_shrink_scan()")
        __make_buffer_clean(c, written)
        mutex_unlock(c.lock).says("")
    else:
        queue_work_once(c.wq, shrink_work(c)).says("")


@program(file=FILE, title="shrink_work")
def shrink_work(c: Bufio) -> None:
    """The work item of the shrinker: cleans a buffer under the client's lock."""
    mutex_lock(c.lock).says("")
    __make_buffer_clean(c, c.in_work)
    mutex_unlock(c.lock).says("")


@program(file=FILE)
def __make_buffer_clean(c: Bufio, written: Completion) -> None:
    """A dirty buffer: __write_dirty_buffer(), then wait_on_bit_io(B_WRITING)."""
    say(f"writes a dirty buffer to {c.bdev}")
    submit_bio(c.bdev, "write", write_endio(written))
    wait_for_completion(written).says("")


@program(file=FILE)
def write_endio(written: Completion) -> None:
    """A buffer has been written."""
    complete(written).says("")


@scene
def bufio_shrinker(
    gate: Literal["work", "FS", "IO", "none"] = "work",
    over: Literal["loop", "disk"] = "loop",
    others: int = 1,
    lock: str = "dm_bufio_lock",
    fs_lock: str = "the filesystem lock",
) -> Model:
    """A filesystem allocates with GFP_NOFS; the shrinker of dm-bufio on a loop device over it may write buffers."""
    fs = filesystem(fs_lock)
    below: Device = loop(fs) if over == "loop" else disk()
    c = Bufio(
        "dm-bufio",
        below,
        Mutex(lock),
        WorkQueue("dm_bufio_cache", threads=1),
        gate,
        Completion("the write of its buffer"),
    )
    of_fs, of_user = Completion("the write of its buffer"), Completion("the write of its buffer")

    @task(name="the filesystem")
    def fs_task() -> None:
        mutex_lock(fs.lock).says(f"takes {fs.lock}")
        if choice():  # no page is free: shrink_slab()
            say("allocates with GFP_NOFS and has to reclaim memory itself")
            dm_bufio_shrink_scan(c, GFP_NOFS, of_fs)
        mutex_unlock(fs.lock).says("")

    @task(n=others, name="another task")
    def user_task() -> None:
        if choice():
            say("allocates with GFP_KERNEL and has to reclaim memory itself")
            dm_bufio_shrink_scan(c, GFP_KERNEL, of_user)

    return Model("bufio_shrinker", (fs_task, user_task), reachable=("the filesystem", "another task"))
