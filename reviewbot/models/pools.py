"""Scenes about reserves: whose they are, how large, and how many elements of one a request takes.

Memory is short, so only the reserve counts. Where nothing bounds how many requests are in flight, a reserve of 1 stands
for any size: so many requests are in flight that the last element is the next one.
"""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import Device, disk, named, of, submit_bio
from reviewbot.models.reader import Driver, Where
from reviewbot.models.scene import scene
from reviewbot.models.snapshot import Above, writeback_above
from reviewbot.models.system import writeback
from reviewbot.sim import (
    BioSet,
    Completion,
    Memory,
    Mempool,
    Model,
    Mutex,
    Routine,
    WorkQueue,
    bio_alloc_bioset,
    bio_put,
    choice,
    complete,
    mempool_alloc,
    mempool_free,
    mutex_lock,
    mutex_unlock,
    queue_work,
    say,
    wait_for_completion,
)
from reviewbot.sim import submit_bio as submit_from


def _layer(name: str, below: Device, pool: Mempool, where: Where, waits: bool, function: str, file: str) -> Driver:
    """One device of a driver whose requests may need an element of the pool until the I/O below is done."""
    thread, done = WorkQueue(f"the worker of {name}", threads=1), Completion(f"its bio to {below}")
    inside = "" if where == "worker" else f" in {named(function)}"

    @of(file, "", f"end_io of the bio to {below}")
    def lower_end_io(end_io: Routine) -> None:
        mempool_free(pool).says("")
        end_io()

    @of("", "", f"end_io of the bio to {below}")
    def wakes() -> None:
        complete(done).says("")

    @of(file, function)
    def waits_for_lower(end_io: Routine) -> None:
        submit_bio(below, "write", wakes())
        wait_for_completion(done).says("")
        mempool_free(pool).says("")
        end_io()

    @of(file, function)
    def handle(end_io: Routine) -> None:
        if choice():
            mempool_alloc(pool).says(f"takes {{one}} element of {pool}{inside}")
            say(f"keeps it until its bio to {below} is done" if not waits else "")
            if waits:
                waits_for_lower(end_io)
            else:
                submit_bio(below, "write", lower_end_io(end_io))
        else:
            submit_bio(below, "write", end_io)

    @of(file, "")
    def submit(end_io: Routine) -> None:
        if where == "worker":
            queue_work(thread, handle(end_io)).says("")
        else:
            handle(end_io)

    return Driver(name, submit)


@scene
def shared_pool(
    owner: Literal["device", "shared"] = "device",
    min_nr: int = 1,
    depth: int = 2,
    writers: int = 1,
    where: Where = "worker",
    waits: bool = False,
    above: Above = "a filesystem",
    pool: str = "&drv->pool",
    function: str = "drv_map",
    file: str = "",
) -> Model:
    """`depth` devices of one driver, one on the other, take from a pool until the one below is done.

    waits: the driver waits for the device below in its thread, instead of going on in end_io.
    """
    memory = Memory("free memory")
    shared = Mempool(pool, min_nr, memory)
    names = ["upper", *(f"middle {i}" for i in range(1, depth - 1)), "lower"] if depth > 1 else ["the device"]
    device: Device = disk()
    for name in reversed(names):
        own = shared if owner == "shared" else Mempool(f"{pool} of {name}", min_nr, memory)
        device = _layer(name, device, own, where, waits, function, file)
    flusher = writeback_above(device, memory, above, writers)
    return Model("shared_pool", (flusher,), reachable=(flusher.name,))


@scene
def pool_elements(
    min_nr: int = 2,
    takes: int = 2,
    tasks: int = 2,
    serialised: bool = True,
    where: Where = "worker",
    pool: str = "&drv->pool",
    lock: str = "&drv->lock",
    function: str = "drv_map",
    device: str = "the device",
    worker: str = "",
    file: str = "",
) -> Model:
    """Requests take several elements of one pool before their I/O starts; `serialised`: under a lock."""
    memory, below = Memory("free memory"), disk()
    mutex = Mutex(lock if tasks > 1 else "")  # with one task nobody waits for it, and nothing is told of it
    elements = Mempool(pool, min_nr, memory)
    name = (worker or f"the worker of {device}") if tasks == 1 else "worker"
    threads = WorkQueue(name, threads=tasks)
    inside = "" if where == "worker" else f" in {named(function)}"

    @of(file, "", "end_io of the bio below")
    def lower_end_io(end_io: Routine) -> None:
        for _ in range(takes):
            mempool_free(elements).says("")
        end_io()

    @of(file, function)
    def handle(end_io: Routine) -> None:
        if choice():
            if serialised:
                mutex_lock(mutex).says("")
            for _ in range(takes):
                mempool_alloc(elements).says(f"takes {{one}} element of {pool}{inside}")
            if serialised:
                mutex_unlock(mutex).says("")
            submit_bio(below, "write", lower_end_io(end_io))
        else:
            submit_bio(below, "write", end_io)

    @of(file, "")
    def submit(end_io: Routine) -> None:
        if where == "worker":
            queue_work(threads, handle(end_io)).says("")
        else:
            handle(end_io)

    flusher = writeback(Driver(device, submit), memory, n=tasks)
    return Model("pool_elements", (flusher,), reachable=(flusher.name,))


@scene
def second_bio(
    rescuer: bool = True,
    separate: bool = False,
    min_nr: int = 1,
    writers: int = 1,
    bio_set: str = "&drv->bs",
    function: str = "drv_map",
    device: str = "the device",
    file: str = "",
) -> Model:
    """A ->submit_bio takes a second bio while the first is still on current->bio_list; `separate`: of another set."""
    memory, below = Memory("free memory"), disk()
    first = BioSet(bio_set, min_nr, memory, rescuer=rescuer)
    second = BioSet(f"{bio_set} for the second bio", min_nr, memory, rescuer=rescuer) if separate else first

    @of(file, "", "end_io of a bio below")
    def lower_end_io(bios: BioSet) -> None:
        bio_put(bios).says("")

    @of(file, "", "end_io of the last bio below")
    def last_end_io(bios: BioSet, end_io: Routine) -> None:
        bio_put(bios).says("")
        end_io()

    @of(file, function)
    def handle(end_io: Routine) -> None:
        bio_alloc_bioset(first).says(f"takes {{one}} bio of {first} in {named(function)}")
        if choice():
            say("leaves it on current->bio_list")
            submit_from(below.bio("write", lower_end_io(first)), below, first).says("")
            bio_alloc_bioset(second)
            submit_from(below.bio("write", last_end_io(second, end_io)), below, second).says("")
        else:
            submit_from(below.bio("write", last_end_io(first, end_io)), below, first).says("")

    flusher = writeback(Driver(device, handle), memory, n=writers)
    return Model("second_bio", (flusher,), reachable=(flusher.name,))
