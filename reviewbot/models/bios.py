"""Scenes about bios below a ->submit_bio: waiting for one there, handing several to one thread, and their order."""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import called, disk, named, of, submit_bio
from reviewbot.models.reader import Driver, task_of
from reviewbot.models.scene import scene
from reviewbot.models.system import WRITEBACK, writeback
from reviewbot.sim import (
    Completion,
    Interrupt,
    Memory,
    Mempool,
    Model,
    Mutex,
    Routine,
    Var,
    WaitQueue,
    WorkQueue,
    atomic_dec,
    atomic_inc,
    atomic_set,
    choice,
    complete,
    mempool_alloc,
    mempool_free,
    mutex_lock,
    mutex_unlock,
    queue_work,
    say,
    start_io,
    task,
    wait_event,
    wait_for_completion,
    wake_up,
)
from reviewbot.sim import submit_bio as submit_to


@scene
def wait_in_map(
    waits: bool = False,
    offloaded: bool = False,
    call: str = "submit_bio_wait",
    function: str = "drv_map",
    device: str = "the device",
    file: str = "",
) -> Model:
    """A ->submit_bio `waits` for a bio that it has submitted; `offloaded`: from a thread of its own."""
    memory, below, done = Memory("free memory"), disk(), Completion("the bio that it has submitted")
    thread = WorkQueue(f"the worker of {device}", threads=1)

    @of("block/bio.c", "submit_bio_wait_endio")
    def wait_endio() -> None:
        complete(done).says("")

    @of(file, function)
    def reads_first() -> None:
        if choice():
            say(f"submits a bio of its own in {named(function)}")
            submit_bio(below, "read", wait_endio())
            if waits:
                called(named(call), wait_for_completion(done)).says("")

    @of(file, function)
    def later(end_io: Routine) -> None:
        reads_first()
        submit_bio(below, "write", end_io)

    @of(file, function)
    def submit(end_io: Routine) -> None:
        if offloaded:
            queue_work(thread, later(end_io)).says("")
        else:
            reads_first()
            submit_bio(below, "write", end_io)

    return Model("wait_in_map", (writeback(Driver(device, submit), memory),), reachable=(WRITEBACK,))


@scene
def barrier_in_map(
    passes_own: bool = True,
    counter: str = "conf->nr_pending",
    barrier: str = "conf->barrier",
    function: str = "drv_map",
    other: str = "resync",
    device: str = "the device",
    file: str = "",
) -> Model:
    """A write that is split waits in its second part for a barrier, which waits for the I/O of its first part.

    passes_own: a task that has bios on current->bio_list does not wait for the barrier.
    """
    memory, below = Memory("free memory"), disk()
    pending, raised, woken = Var(counter), Var(barrier), WaitQueue(f"the wait queue of {barrier}")

    @of(file, "", "end_io of the first part")
    def first_end_io() -> None:
        atomic_dec(pending).says("")
        wake_up(woken).says("")

    @of(file, "", "end_io of the last part")
    def last_end_io(end_io: Routine) -> None:
        first_end_io()
        end_io()

    @of(file, function)
    def submit(end_io: Routine) -> None:
        wait_event(woken, raised == 0).says("")
        atomic_inc(pending).says(f"counts its first part in {counter} in {named(function)}")
        if choice():
            say("leaves that part on current->bio_list")
            submit_bio(below, "write", first_end_io())
            if not passes_own:
                called(f"wait_event({barrier} == 0) in {named(function)}", wait_event(woken, raised == 0)).says("")
            atomic_inc(pending).says("")
        submit_bio(below, "write", last_end_io(end_io))

    @task_of(file, "", name=other)
    def raises() -> None:
        atomic_set(raised, 1).says(f"raises {barrier}")
        called(f"wait_event({counter} == 0)", wait_event(woken, pending == 0)).says("")
        atomic_set(raised, 0).says("")
        wake_up(woken).says("")

    return Model("barrier_in_map", (writeback(Driver(device, submit), memory), raises), reachable=(WRITEBACK, other))


@scene
def offload_levels(
    helper: Literal["each", "one"] = "each",
    lock: str = "the lock of upper",
    higher: str = "upper",
    lower: str = "lower",
    thread: str = "the helper",
    function: str = "drv_map",
    worker: str = "",
    listed: str = "drv->rescued",
    file: str = "",
) -> Model:
    """Bios for two levels of a stack go to helper threads: one for each level, or one for both.

    function: hands them over by way of the bio_list `listed`. worker: runs in the helper.
    """
    guard, below = Mutex(lock), Interrupt("the disk's interrupt")
    upper_thread = WorkQueue(thread if helper == "one" else f"{thread} of {higher}", ordered=True, threads=1)
    lower_thread = upper_thread if helper == "one" else WorkQueue(f"{thread} of {lower}", ordered=True, threads=1)
    first, second = Completion(f"its bio for {lower}"), Completion(f"its bio for {higher}")

    @of("", "", f"end_io of the bio for {lower}")
    def lower_end_io() -> None:
        complete(first).says("")

    @of("", "", f"the bio for {lower}")
    def lower_bio() -> None:
        start_io(below, lower_end_io()).says("")

    @of("", "", f"{named(worker)} for a bio of {higher}" if worker else f"the bio for {higher}")
    def higher_bio() -> None:
        mutex_lock(guard)
        mutex_unlock(guard).says("")
        complete(second).says("")

    @task_of(file, function, name="the writer")
    def submitter() -> None:
        if choice():
            queue_work(upper_thread, higher_bio()).says(f"sends a bio to {higher}, which is left to {upper_thread}")
            waits_for_lower()
            wait_for_completion(second).says("")
        else:
            waits_for_lower()

    @of(file, function)
    def waits_for_lower() -> None:
        mutex_lock(guard).says(f"takes {lock}")
        queue_work(lower_thread, lower_bio()).says(f"puts its bio for {lower} on {listed} in {named(function)}")
        wait_for_completion(first).says("")
        mutex_unlock(guard).says("")

    return Model("offload_levels", (submitter,), reachable=("the writer",))


@scene
def bio_order(
    order: Literal["depth-first", "in order"] = "depth-first",
    min_nr: int = 1,
    bios: int = 2,
    pool: str = "&drv->pool",
    function: str = "drv_map",
    device: str = "the device",
    file: str = "",
) -> Model:
    """Several bios of one task pass a driver that keeps an element for each until the bio below is done.

    depth-first: bios for the device below go before further ones for this device. in order: as they were submitted.
    """
    below, elements, done = disk(), Mempool(pool, min_nr), Completion("its bios")

    @of(file, "", "end_io of the bio below")
    def lower_end_io() -> None:
        mempool_free(elements).says("")
        complete(done).says("")

    @of(file, function)
    def takes() -> None:
        mempool_alloc(elements).says(
            f"takes {{one}} element of {pool} for a bio" + (function and f" in {named(function)}")
        )

    @of(file, function)
    def submit() -> None:
        takes()
        submit_bio(below, "write", lower_end_io())

    @of("", "")
    def several(n: int) -> None:
        for _ in range(n):
            submit_to(submit(), device).says("")

    @of("block/blk-core.c", "__submit_bio_noacct")
    def in_order(n: int) -> None:
        for _ in range(n):
            takes()
        for _ in range(n):
            submit_bio(below, "write", lower_end_io())

    @of("", "")
    def writes(n: int) -> None:
        say(f"submits {n} bios to {device} at once" if n > 1 else f"submits a bio to {device}")
        if order == "in order":
            in_order(n)
        else:
            submit_to(several(n), "the device above").says("")
        for _ in range(n):
            wait_for_completion(done).says("")

    @task(name="a task")
    def writer() -> None:
        if choice():
            writes(bios)
        else:
            writes(1)

    return Model("bio_order", (writer,), reachable=("a task",))
