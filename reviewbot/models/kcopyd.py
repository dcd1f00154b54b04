"""dm-kcopyd (drivers/md/dm-kcopyd.c): copies chunks from device to device in one work item for each client.

do_work() is one work item, so one job at a time goes on; here each job that is on one of the lists is an item of that
queue. Pages never make the thread wait (run_pages_job puts the job back on its list), so they are left out.
"""

from __future__ import annotations

from reviewbot.models.block import Device, Op, Part
from reviewbot.models.dm_io import IoClient, async_io, dm_io_client_create
from reviewbot.sim import Memory, Mempool, Routine, WorkQueue, mempool_alloc, mempool_free, program, queue_work, say

FILE = "drivers/md/dm-kcopyd.c"
MIN_JOBS = 8


class Kcopyd(Part, frozen=True, eq=False):
    """struct dm_kcopyd_client."""

    wq: WorkQueue
    job_pool: Mempool
    io: IoClient


def dm_kcopyd_client_create(name: str, memory: Memory) -> Kcopyd:
    """A client with a thread of its own, which is what WQ_MEM_RECLAIM guarantees."""
    return Kcopyd(
        name,
        WorkQueue("kcopyd", threads=1),
        Mempool(f"&{name}->job_pool", MIN_JOBS, memory),
        dm_io_client_create(f"{name}->io_client", memory),
    )


@program(file=FILE)
def dm_kcopyd_copy(kc: Kcopyd, source: Device, dest: Device, fn: Routine) -> None:
    """Takes a job and queues it: reads from `source`, writes to `dest`, then calls `fn` in the client's thread."""
    mempool_alloc(kc.job_pool).says("")
    queue_work(kc.wq, run_io_job(kc, "read", source, dest, fn)).says("")  # dispatch_job, run_pages_job


@program(file=FILE, title="run_io_job", told=False)
def run_io_job(kc: Kcopyd, op: Op, source: Device, dest: Device, fn: Routine) -> None:
    """The client's thread starts the read, or the write, of a job."""
    say(f"reads the chunk from {source}" if op == "read" else f"writes the chunk to {dest}")
    async_io(kc.io, source if op == "read" else dest, op, complete_io(kc, op, source, dest, fn))


@program(file=FILE, title="complete_io", told=False)
def complete_io(kc: Kcopyd, op: Op, source: Device, dest: Device, fn: Routine) -> None:
    """I/O of a job has ended: the write follows the read, and after that the job is done."""
    if op == "read":
        queue_work(kc.wq, run_io_job(kc, "write", source, dest, fn)).says("")
    else:
        queue_work(kc.wq, run_complete_job(kc, fn)).says("")


@program(file=FILE, title="run_complete_job", told=False)
def run_complete_job(kc: Kcopyd, fn: Routine) -> None:
    """The client's thread gives the job back and calls its function."""
    mempool_free(kc.job_pool).says("")
    fn()
