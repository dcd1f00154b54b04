"""dm core (drivers/md/dm.c): bios of md->deferred, and bios handed to a helper before a task sleeps for a clone.

A ->submit_bio that takes a second clone while the first one is on current->bio_list sleeps for what only its own list
can give back. Somebody else has to submit what is on the list: a rescuer of the bio set, with a thread of its own.
"""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import Part, of, quietly
from reviewbot.models.scene import scene
from reviewbot.sim import (
    BioSet,
    Completion,
    Interrupt,
    Mempool,
    Model,
    Mutex,
    Routine,
    RwSem,
    Var,
    WorkQueue,
    atomic_dec,
    atomic_inc,
    bio_alloc_bioset,
    bio_put,
    choice,
    complete,
    down_read,
    mempool_alloc,
    mempool_free,
    mutex_lock,
    mutex_unlock,
    program,
    queue_work_once,
    start_io,
    submit_bio,
    task,
    up_read,
    wait_for_completion,
)

FILE, SNAP = "drivers/md/dm.c", "drivers/md/dm-snap.c"


class Mapped(Part, frozen=True, eq=False):
    """struct mapped_device with dm-snapshot as its target: the lock and the pool of its pending exceptions."""

    wq: WorkQueue
    deferred: Var
    bs: BioSet
    lock: Mutex | RwSem
    pending_pool: Mempool
    disk: Interrupt


@program(file=FILE)
def dm_submit_bio(md: Mapped, end_io: Routine) -> None:
    """A write that is mapped in one part; the clone in its dm_io is enough."""
    snapshot_map(md, end_io, False)


@of(FILE, "__split_and_process_bio")
def split_and_process_bio(md: Mapped, end_io: Routine) -> None:
    """__split_and_process_bio() of a write that is mapped in one or two parts, each with a clone of its own."""
    bio_alloc_bioset(md.bs).says(f"takes {{one}} element of {md.bs} for its first clone")
    snapshot_map(md, end_io, True)
    if choice():
        bio_alloc_bioset(md.bs)
        snapshot_map(md, end_io, True)
    else:
        end_io()


@program(file=SNAP)
def snapshot_map(md: Mapped, end_io: Routine, cloned: bool) -> None:
    """Takes an exception under the lock, then sends the bio down (start_full_bio)."""
    take_exception(md)
    submit_bio(lower_submit_bio(md, end_io, cloned), md.disk, md.bs).says("")


@of(SNAP, "snapshot_map")
def take_exception(md: Mapped) -> None:
    """The lower snapshot finds an exception for a chunk, under its lock."""
    if isinstance(md.lock, Mutex):
        mutex_lock(md.lock).says(f"takes {md.lock} in snapshot_map()")
    else:
        down_read(md.lock).says("")
    mempool_alloc(md.pending_pool).says(f"takes {{one}} element of {md.pending_pool} in alloc_pending_exception()")
    if isinstance(md.lock, Mutex):
        mutex_unlock(md.lock).says("")
    else:
        up_read(md.lock).says("")


@program(title="the bio for the lower device")
def lower_submit_bio(md: Mapped, end_io: Routine, cloned: bool) -> None:
    """The part of a bio that goes to the disk."""
    start_io(md.disk, clone_endio(md, end_io, cloned)).says("")


@program(file=FILE, title="clone_endio")
def clone_endio(md: Mapped, end_io: Routine, cloned: bool) -> None:
    """A clone has ended: gives back what it took, ends the bio above."""
    mempool_free(md.pending_pool).says("")  # pending_complete
    if cloned:
        bio_put(md.bs).says("")  # free_tio
    end_io()


@program(file=FILE, title="dm_wq_work()")
def dm_wq_work(md: Mapped, end_io: Routine) -> None:
    """md->work: submits the bios that were deferred to it, one after the other."""
    while quietly(md.deferred > 0):
        atomic_dec(md.deferred).says(f"takes a bio off {md.deferred}")
        submit_bio(dm_submit_bio(md, end_io), md).says("")


@scene
def dm_rescued(
    helper: Literal["own", "md->work", "none"] = "own",
    lock: Literal["mutex", "rwsem"] = "mutex",
    flushes: int = 1,
    writers: int = 1,
    s_lock: str = "the snapshot lock",
    queue: str = "kdmflush",
) -> Model:
    """A write that needs two clones hands its first bio to a helper, which may be the work item of md->deferred."""
    wq = WorkQueue(queue, ordered=True, threads=1)
    rescuer = WorkQueue("the rescuer of md->bs", ordered=True, threads=1)
    helpers = {"own": rescuer, "md->work": wq, "none": None}
    bs = BioSet("md->bs", 1, queue=helpers[helper])
    exceptions = Mutex(s_lock) if lock == "mutex" else RwSem(s_lock)
    md = Mapped("md", wq, Var("md->deferred"), bs, exceptions, Mempool("&s->pending_pool", 1), Interrupt("the disk"))
    flushed, split, written = Completion("its flush"), Completion("its write"), Completion("its write")

    @program(title="bio_endio")
    def done(what: Completion) -> None:
        complete(what).says("")

    @task(n=flushes, name="a flush", file=FILE)
    def queue_io() -> None:
        atomic_inc(md.deferred).says(f"puts its bio with data on {md.deferred} in queue_io()")
        queue_work_once(md.wq, dm_wq_work(md, done(flushed))).says("")
        wait_for_completion(flushed).says("")

    @task(name="a large write")
    def large() -> None:
        submit_bio(split_and_process_bio(md, done(split)), md).says("")
        wait_for_completion(split).says("")
        wait_for_completion(split).says("")

    @task(n=writers, name="another write")
    def small() -> None:
        submit_bio(dm_submit_bio(md, done(written)), md).says("")
        wait_for_completion(written).says("")

    return Model("dm_rescued", (queue_io, large, small), reachable=("a flush", "a large write", "another write"))
