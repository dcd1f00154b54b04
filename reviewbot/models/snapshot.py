"""dm-snapshot (drivers/md/dm-snap.c): a write copies the chunk before it goes on; how many copies run is throttled.

The exception store is the transient one, whose commit calls back at once.
"""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import Device, Op, Part, called, disk, of, quietly, submit_bio
from reviewbot.models.kcopyd import Kcopyd, dm_kcopyd_client_create, dm_kcopyd_copy
from reviewbot.models.scene import scene
from reviewbot.models.system import writeback
from reviewbot.sim import (
    BoundName,
    Completion,
    Memory,
    Mempool,
    Model,
    Routine,
    RwSem,
    SpinLock,
    Task,
    Var,
    WaitQueue,
    atomic_dec,
    atomic_inc,
    complete,
    down_read,
    down_write,
    mempool_alloc,
    mempool_free,
    prepare_to_wait,
    program,
    schedule,
    spin_lock,
    spin_unlock,
    task,
    up_read,
    up_write,
    wait_for_completion,
    wake_up,
)

FILE = "drivers/md/dm-snap.c"
MIN_IOS = 64
"""256 in the kernel; more than there are tasks in any of these models."""


Above = Literal["a filesystem", "dm-snapshot"]


class Snapshot(Part, frozen=True, eq=False):
    """struct dm_snapshot over an origin and a COW device. `_origins_lock` is one for all of them."""

    origin: Device
    cow: Device
    kc: Kcopyd
    lock: RwSem
    pending_pool: Mempool
    origins_lock: RwSem
    in_progress: Var
    in_progress_wait: WaitQueue
    wait_lock: SpinLock
    cow_threshold: int = 0
    """Copies that may run before further writers sleep; 2048 in the kernel, any number holds any number of writers."""

    def bio(self, op: Op, end_io: Routine) -> BoundName:
        """The snapshot's map function."""
        return snapshot_map(self, op, end_io)


def snapshot(
    origin: Device,
    memory: Memory,
    *,
    origins: str = "&_origins_lock",
    throttled: str = "s->in_progress",
    cow_threshold: int = 0,
) -> Snapshot:
    """A snapshot of `origin`; its exceptions go to a disk of its own, its copies through a client of its own."""
    return Snapshot(
        "the snapshot",
        origin,
        disk("the COW device"),
        dm_kcopyd_client_create("s->kcopyd_client", memory),
        RwSem("&s->lock"),
        Mempool("&s->pending_pool", MIN_IOS, memory),
        RwSem(origins),
        Var(throttled),
        WaitQueue(f"&{throttled}_wait"),
        SpinLock(f"&{throttled}_wait.lock"),
        cow_threshold,
    )


def writeback_above(device: Device, memory: Memory, above: Above, n: int = 1) -> Task:
    """Writeback of a filesystem that is on the device, or on a snapshot of it."""
    if above == "a filesystem":
        return writeback(device, memory, n=n)
    return writeback(snapshot(device, memory), memory, "writes to the snapshot", n)


@program(file=FILE)
def snapshot_map(s: Snapshot, op: Op, end_io: Routine) -> None:
    """A write that makes an exception, or a read of a chunk that has none."""
    if op == "read":
        submit_bio(s.origin, "read", end_io)
    else:
        make_exception(s, end_io)


@of(FILE, "snapshot_map")
def make_exception(s: Snapshot, end_io: Routine) -> None:
    """The part of snapshot_map() for a write to a chunk without one."""
    wait_for_in_progress(s, False)
    down_read(s.lock).says("")
    mempool_alloc(s.pending_pool).says("")  # alloc_pending_exception
    up_read(s.lock).says("")
    start_copy(s, flush_bios(s, end_io))


@program(file=FILE)
def origin_map(s: Snapshot, end_io: Routine, unlock: bool) -> None:
    """A write to the origin of `s`, to a chunk that has no exception yet; `unlock` as in wait_for_in_progress()."""
    down_read(s.origins_lock).says(f"takes {s.origins_lock} for read in do_origin()")
    wait_for_in_progress(s, unlock)
    down_read(s.lock).says("")  # __origin_write
    mempool_alloc(s.pending_pool).says("")
    up_read(s.lock).says("")
    start_copy(s, retry_origin_bios(s, end_io))
    up_read(s.origins_lock).says(f"releases {s.origins_lock}")


@program(file=FILE)
def wait_for_in_progress(s: Snapshot, unlock: bool) -> None:
    """Sleeps while too many copies run; with `unlock` it drops _origins_lock for the sleep and starts over."""
    spin_lock(s.wait_lock).says("")
    while quietly(s.in_progress > s.cow_threshold):
        prepare_to_wait(s.in_progress_wait, site="throttle")
        spin_unlock(s.wait_lock).says("")
        if unlock:
            up_read(s.origins_lock)
        called("wait_for_in_progress()", schedule(s.in_progress_wait, site="throttle")).says("")
        if unlock:
            down_read(s.origins_lock).says("")
        spin_lock(s.wait_lock).says("")
    spin_unlock(s.wait_lock).says("")


@program(file=FILE)
def start_copy(s: Snapshot, resubmit: Routine) -> None:
    """Counts the copy and hands the chunk to kcopyd."""
    spin_lock(s.wait_lock).says("")  # account_start_copy
    atomic_inc(s.in_progress).says("")
    spin_unlock(s.wait_lock).says("hands the chunk to kcopyd in start_copy()")
    dm_kcopyd_copy(s.kc, s.origin, s.cow, copy_callback(s, resubmit))


@program(file=FILE, title="copy_callback")
def copy_callback(s: Snapshot, resubmit: Routine) -> None:
    """kcopyd has copied the chunk: completes the exception and lets throttled writers go on."""
    pending_complete(s, resubmit)  # complete_exception
    spin_lock(s.wait_lock).says("")  # account_end_copy
    atomic_dec(s.in_progress).says("")
    if quietly(s.in_progress <= s.cow_threshold):
        wake_up(s.in_progress_wait).says("")
    spin_unlock(s.wait_lock).says("")


@program(file=FILE)
def pending_complete(s: Snapshot, resubmit: Routine) -> None:
    """The exception is there: the writes that waited for it go on by `resubmit`."""
    down_read(s.lock).says("runs copy_callback() and pending_complete()")
    up_read(s.lock).says("")
    resubmit()
    mempool_free(s.pending_pool).says("")  # free_pending_exception


@program(file=FILE)
def flush_bios(s: Snapshot, end_io: Routine) -> None:
    """The writes that waited go to the COW device."""
    submit_bio(s.cow, "write", end_io)


@program(file=FILE)
def retry_origin_bios(s: Snapshot, end_io: Routine) -> None:
    """The exception exists now, so do_origin() only takes and drops the lock, and the bio goes on."""
    down_read(s.origins_lock).says("")
    up_read(s.origins_lock).says("")
    submit_bio(s.origin, "write", end_io)


@scene
def snapshot_throttle(
    held: bool = False,
    writers: int = 2,
    threshold: int = 0,
    lock: str = "&_origins_lock",
    throttle: str = "s->in_progress",
) -> Model:
    """Writers to an origin sleep while too many chunks are copied; `held`: with the origins lock held for read."""
    memory = Memory("free memory", pages=1)
    s = snapshot(disk("the origin"), memory, throttled=throttle, origins=lock, cow_threshold=threshold)
    done = Completion("its write")

    @of("block/bio.c", "bio_endio")
    def written() -> None:
        complete(done).says("")

    @task(n=writers)
    def writer() -> None:
        origin_map(s, written(), not held)
        wait_for_completion(done).says("")

    @task(file=FILE, name="snapshot_ctr()")
    def snapshot_ctr() -> None:
        down_write(s.origins_lock)  # register_snapshot
        up_write(s.origins_lock)

    return Model("snapshot_throttle", (writer, snapshot_ctr), reachable=("writer", "snapshot_ctr()"))
