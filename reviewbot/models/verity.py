"""dm-verity (drivers/md/dm-verity-target.c): reads are verified in a work item; a wrong hash is read and checked again.

The prefetch work item is left out: it never waits. So are hash blocks, as if all were in dm-bufio's cache.
"""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import Device, Op, Part, disk, submit_bio
from reviewbot.models.dm_io import IoClient, dm_io_client_create, sync_io
from reviewbot.models.loop import filesystem, loop
from reviewbot.models.scene import scene
from reviewbot.models.snapshot import writeback_above
from reviewbot.models.system import HOG, READER, WRITEBACK, allocating_works, reading_works
from reviewbot.sim import (
    BoundName,
    Completion,
    Memory,
    Mempool,
    Model,
    Routine,
    WorkQueue,
    choice,
    mempool_alloc,
    mempool_free,
    program,
    queue_work,
    say,
)

FILE = "drivers/md/dm-verity-target.c"
Owner = Literal["device", "shared"]


class Verity(Part, frozen=True, eq=False):
    """struct dm_verity over a data device. `rechecks`: whether a hash may turn out wrong."""

    data_dev: Device
    verify_wq: WorkQueue
    recheck_pool: Mempool
    io: IoClient
    reread: Completion
    rechecks: bool = True

    def bio(self, op: Op, end_io: Routine) -> BoundName:
        """The verity target's map function."""
        return verity_map(self, end_io)


@program(file=FILE)
def verity_map(v: Verity, end_io: Routine) -> None:
    """A read goes to the data device."""
    submit_bio(v.data_dev, "read", verity_end_io(v, end_io))


@program(file=FILE, title="verity_end_io of {v}")
def verity_end_io(v: Verity, end_io: Routine) -> None:
    """The read has ended: the check is queued."""
    queue_work(v.verify_wq, verity_work(v, end_io)).says(f"queues verity_work on {v.verify_wq}")


@program(file=FILE, title="verity_work of {v}")
def verity_work(v: Verity, end_io: Routine) -> None:
    """Checks the blocks, some of them again, and ends the bio."""
    if v.rechecks:
        verity_handle_data_hash_mismatch(v)
    end_io()  # verity_finish_io


@program(file=FILE)
def verity_handle_data_hash_mismatch(v: Verity) -> None:
    """A block that does not match may have to be read again."""
    if choice():
        verity_recheck(v)


@program(file=FILE)
def verity_recheck(v: Verity) -> None:
    """Reads a block again into a page of the pool, and waits for that."""
    mempool_alloc(v.recheck_pool).says(f"takes {{one}} page with mempool_alloc({v.recheck_pool}) to recheck the block")
    say(f"reads the block again from {v.data_dev} while it holds the page")
    sync_io(v.io, v.data_dev, "read", v.reread)
    mempool_free(v.recheck_pool).says("")


@scene
def verity_writeback(rescuer: bool = True, kworkers: int = 2, queue: str = "kverityd", target: str = "verity") -> Model:
    """Writeback to a snapshot on dm-verity reads from it, while every kworker waits for memory."""
    memory = Memory("free memory")
    wq = WorkQueue(queue, rescuer=rescuer)
    below = verity(target, disk(), wq, memory, rechecks=False)
    tasks = (writeback_above(below, memory, "dm-snapshot"), allocating_works(memory, kworkers))
    return Model("verity_writeback", tasks, reachable=(WRITEBACK, HOG), kworkers=kworkers)


@scene
def verity_readers(rescuer: bool = True, kworkers: int = 2, queue: str = "kverityd", target: str = "verity") -> Model:
    """Every kworker runs a work item that reads from a filesystem on dm-verity; `rescuer` of its queue."""
    wq = WorkQueue(queue, rescuer=rescuer)
    below = verity(target, disk(), wq, Memory("free memory"), rechecks=False)
    tasks = (reading_works(below, kworkers, f"a file on {target}"),)
    return Model("verity_readers", tasks, reachable=(READER,), kworkers=kworkers)


@scene
def verity_pools(
    recheck_pool: Owner = "device",
    io_client: Owner = "device",
    reserved_pages: int = 1,
    reserved_ios: int = 1,
    depth: int = 2,
    writers: int = 1,
    threads: int = 1,
    below: Literal["disk", "loop"] = "disk",
    pool: str = "&v->recheck_pool",
    client: str = "v->io",
) -> Model:
    """A snapshot on `depth` dm-verity devices, one on the other, all of which recheck; who owns their reserves.

    A dm_io client has 16 elements (dm_mod.reserved_bio_based_ios). Nothing bounds how many rechecks are in flight, so 1
    stands for any number but 0.
    """
    memory = Memory("free memory")
    shared_pool = Mempool(pool, reserved_pages, memory)
    shared_client = dm_io_client_create(client, memory, reserved_ios, told=True)
    names = ["upper", *(f"middle {i}" for i in range(1, depth - 1)), "lower"][-depth:] if depth > 1 else ["verity"]
    device: Device = disk() if below == "disk" else loop(filesystem())
    for name in reversed(names):
        wq, reread = WorkQueue(f"kverityd of {name}", threads=threads), Completion(f"its read from {device}")
        own_pool = Mempool(f"{pool} of {name}", reserved_pages, memory)
        own_client = dm_io_client_create(client, memory, reserved_ios, told=not reserved_ios, of=name)
        device = Verity(
            name,
            device,
            wq,
            shared_pool if recheck_pool == "shared" else own_pool,
            shared_client if io_client == "shared" else own_client,
            reread,
        )
    flusher = writeback_above(device, memory, "dm-snapshot", writers)
    marks = (flusher.name, *(f"verity_work of {name}" for name in names))
    return Model("verity_pools", (flusher,), reachable=marks)


def verity(name: str, data_dev: Device, wq: WorkQueue, memory: Memory, rechecks: bool = True) -> Verity:
    """A dm-verity device with reserves of its own."""
    pool, client = Mempool("&v->recheck_pool", 1, memory), dm_io_client_create("v->io", memory)
    return Verity(name, data_dev, wq, pool, client, Completion(f"its read from {data_dev}"), rechecks)
