"""Scenes about allocations: on the I/O path, under a lock, while a queue is stopped, and what shrinkers do in them.

Reclaim that may not start I/O (or not enter a filesystem) drops a clean page; that is the promise behind GFP_NOIO and
GFP_NOFS. Reclaim that may, waits for writeback or takes what a shrinker takes.
"""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import Device, called, disk, named, of, submit_bio
from reviewbot.models.loop import filesystem, loop
from reviewbot.models.reader import (
    GFP,
    Driver,
    GfpName,
    Mode,
    Scope,
    SleepingLock,
    Where,
    acquire,
    enter,
    leave,
    lock_of,
    release,
    task_of,
    unread,
)
from reviewbot.models.scene import scene
from reviewbot.models.system import WRITEBACK, short_memory, writeback
from reviewbot.sim import (
    Completion,
    Gfp,
    Memory,
    Model,
    Mutex,
    PercpuRef,
    Routine,
    SourceProgram,
    Var,
    WaitQueue,
    WorkQueue,
    alloc_page,
    atomic_dec,
    atomic_inc,
    blk_mq_freeze_queue,
    blk_mq_unfreeze_queue,
    blk_queue_enter,
    blk_queue_exit,
    choice,
    complete,
    free_page,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    program,
    queue_work,
    say,
    task,
    wait_event,
    wait_for_completion,
    wake_up,
)

KSWAPD = "kswapd"
Needs = Literal["IO", "FS"]
"""The gfp flag with which reclaim gets to wait for what the scene is about."""


@scene
def alloc_on_io_path(
    gfp: GfpName = "GFP_NOIO",
    scope: Scope = "none",
    needs: Needs = "IO",
    where: Where = "worker",
    call: str = "kmalloc",
    function: str = "drv_map",
    device: str = "the device",
    worker: str = "",
    file: str = "",
) -> Model:
    """A driver allocates before I/O that writeback waits for can go on; `needs`: the flag with which reclaim waits."""
    memory, below = short_memory(Gfp[needs]), disk()

    @of(file, function)
    def handle(end_io: Routine) -> None:
        if choice():
            allocates(memory, gfp, scope, function if where == "map" else call)
        submit_bio(below, "write", end_io)

    device_of = driver(device, handle, where, worker)
    return Model("alloc_on_io_path", (writeback(device_of, memory),), reachable=(WRITEBACK,))


@scene
def alloc_under_lock(
    gfp: GfpName = "GFP_NOIO",
    scope: Scope = "none",
    held: bool = True,
    needs: Needs = "IO",
    where: Where = "map",
    kind: SleepingLock = "mutex",
    held_for: Mode = "write",
    taken_for: Mode = "write",
    lock: str = "&drv->lock",
    call: str = "kmalloc",
    function: str = "drv_caller",
    taker: str = "drv_map",
    reclaims: bool = False,
    device: str = "the device",
    worker: str = "",
    file: str = "",
) -> Model:
    """A task allocates, `held`: under a lock of writeback (`reclaims`: of reclaim); `needs`: the flag that waits."""
    memory, below, guard = short_memory(Gfp[needs]), disk(), lock_of(kind, lock)

    @of(file, taker)
    def handle(end_io: Routine) -> None:
        unread(acquire(guard, taken_for))
        release(guard, taken_for).says("")
        submit_bio(below, "write", end_io)

    @task_of(file, function)
    def caller() -> None:
        if held:
            unread(acquire(guard, held_for))
        if choice():
            allocates(memory, gfp, scope, call)
        if held:
            release(guard, held_for).says("")

    @task(name=KSWAPD)
    def kswapd() -> None:
        say(f"frees memory by {named(taker)}")
        frees().says("")
        free_page(memory).says("")

    @of(file, taker)
    def frees() -> None:
        unread(acquire(guard, taken_for))
        release(guard, taken_for).says("")

    other = kswapd if reclaims else writeback(driver(device, handle, where, worker), memory)
    return Model("alloc_under_lock", (caller, other), reachable=(named(function), KSWAPD if reclaims else WRITEBACK))


@scene
def alloc_while_counted(
    gfp: GfpName = "GFP_NOFS",
    needs: Needs = "FS",
    counter: str = "drv->pending",
    call: str = "",
    function: str = "drv_start",
    waiter: str = "drv_commit",
    device: str = "the device",
    file: str = "",
) -> Model:
    """A task allocates after it has raised a counter, which writeback waits to see at 0 before it can go on."""
    memory, below = short_memory(Gfp[needs]), disk()
    pending, woken = Var(counter), WaitQueue(named(waiter))

    @of(file, waiter)
    def handle(end_io: Routine) -> None:
        called(named(waiter), wait_event(woken, pending == 0)).says("")
        submit_bio(below, "write", end_io)

    @task_of(file, function, name=f"the caller of {named(function)}")
    def caller() -> None:
        atomic_inc(pending).says(f"raises {counter} in {named(function)}")
        if choice():
            allocates(memory, gfp, "none", call)
        atomic_dec(pending).says("")
        wake_up(woken).says("")

    flusher = writeback(driver(device, handle, "map"), memory)
    return Model("alloc_while_counted", (caller, flusher), reachable=(f"the caller of {named(function)}", WRITEBACK))


@scene
def alloc_while_stopped(
    gfp: GfpName = "GFP_NOIO",
    scope: Scope = "none",
    stopped: bool = True,
    stop: str = "blk_mq_freeze_queue",
    entry: str = "blk_queue_enter",
    queue: str = "drv->queue",
    call: str = "kmalloc",
    function: str = "drv_caller",
    device: str = "the device",
    file: str = "",
) -> Model:
    """A task allocates, `stopped`: while a queue is frozen, or a device suspended, that writeback has to go through."""
    memory, below, usage = short_memory(), disk(), PercpuRef(queue)

    @of("block/blk-core.c", "blk_queue_exit", "end_io of the bio below")
    def lower_end_io(end_io: Routine) -> None:
        blk_queue_exit(usage).says("")
        end_io()

    @of(file, "")
    def submit(end_io: Routine) -> None:
        called(f"{entry}({queue})", blk_queue_enter(usage)).says("")
        submit_bio(below, "write", lower_end_io(end_io))

    @task_of(file, function)
    def caller() -> None:
        if stopped:
            called(f"{stop}({queue})", blk_mq_freeze_queue(usage)).says("")
        if choice():
            allocates(memory, gfp, scope, call)
        if stopped:
            blk_mq_unfreeze_queue(usage).says("")

    tasks = (caller, writeback(Driver(device, submit), memory))
    return Model("alloc_while_stopped", tasks, reachable=(named(function), WRITEBACK))


@scene
def shrinker_lock(
    how: Literal["lock", "trylock", "none"] = "trylock",
    gate: Literal["none", "IO", "FS"] = "none",
    gfp: GfpName = "GFP_NOIO",
    scope: Scope = "none",
    holder: Literal["allocates", "waits for I/O"] = "allocates",
    lock: str = "&drv->lock",
    shrinker: str = "drv_shrink_scan",
    call: str = "kmalloc",
    function: str = "drv_caller",
    device: str = "the device",
    file: str = "",
) -> Model:
    """A shrinker takes a lock (`how`) that a task holds over an allocation, or over I/O whose driver allocates.

    gate: the gfp flag without which the shrinker does nothing.
    """
    guard, below, done = Mutex(lock), disk(), Completion(f"its I/O on {device}")

    @of(file, shrinker)
    def scan(gfp: Gfp) -> None:
        if gate == "none" or Gfp[gate] in gfp:
            if how == "lock":
                say(f"calls {named(shrinker)} in direct reclaim")
                mutex_lock(guard)
                mutex_unlock(guard).says("")
            if how == "trylock":
                tries(guard)
        free_page(memory).says("")

    memory = Memory("free memory", reclaim=scan)

    @of("", "", f"bio_endio of the bio to {device}")
    def bio_endio() -> None:
        complete(done).says("")

    @program(told=False)
    def handle(end_io: Routine) -> None:
        if choice():
            allocates(memory, gfp, scope, call)
        submit_bio(below, "write", end_io)

    target = driver(device, handle, "worker")

    @task_of(file, function)
    def caller() -> None:
        mutex_lock(guard)
        if holder == "waits for I/O":
            say(f"submits I/O to {device}")
            submit_bio(target, "read", bio_endio())
            wait_for_completion(done).says("")
        elif choice():
            allocates(memory, gfp, scope, call)
        mutex_unlock(guard).says("")

    return Model("shrinker_lock", (caller,), reachable=(named(function),))


@scene
def shrinker_io(
    gate: Literal["work", "FS", "IO", "none"] = "FS",
    gfp: GfpName = "GFP_NOFS",
    scope: Scope = "none",
    over: Literal["loop", "disk"] = "loop",
    shrinker: str = "drv_shrink_scan",
    fs_lock: str = "the filesystem lock",
    device: str = "the device",
    file: str = "",
) -> Model:
    """A shrinker waits for I/O when the gfp flag of its gate is there; a loop device below it needs the filesystem.

    gate: `work` when it leaves the I/O to a work item and does not wait for it.
    """
    fs = filesystem(fs_lock)
    below: Device = loop(fs) if over == "loop" else disk()
    wq, cleaned = WorkQueue(f"the work queue of {shrinker}", threads=1), Completion("the write")

    @of("", "", "bio_endio of the write")
    def bio_endio() -> None:
        complete(cleaned).says("")

    @of(file, "", f"the work item of {shrinker}")
    def later() -> None:
        submit_bio(below, "write", ignored())

    @of("", "", "bio_endio of its write")
    def ignored() -> None:
        pass

    @of(file, shrinker)
    def scan(gfp: Gfp) -> None:
        if gate == "work":
            queue_work(wq, later()).says("")
        elif gate == "none" or Gfp[gate] in gfp:
            say(f"calls {named(shrinker)} in direct reclaim, writes to {below} there")
            submit_bio(below, "write", bio_endio())
            wait_for_completion(cleaned).says("")
        free_page(memory).says("")

    memory = Memory("free memory", reclaim=scan)

    @task_of("", "", name="the filesystem")
    def fs_task() -> None:
        mutex_lock(fs.lock)
        if choice():
            allocates(memory, gfp, scope, "")
        mutex_unlock(fs.lock).says("")

    return Model("shrinker_io", (fs_task,), reachable=("the filesystem",))


@program
def tries(lock: Mutex) -> None:
    """Takes a lock if it is free and gives it back."""
    if mutex_trylock(lock):
        mutex_unlock(lock).says("")


def driver(name: str, handle: SourceProgram[[Routine]], where: Where, worker: str = "") -> Driver:
    """A device whose bios are handled in the task that submits them (map) or in a thread of the name `worker`."""
    thread = WorkQueue(worker or f"the worker of {name}", threads=1)

    @of("", "")
    def submit(end_io: Routine) -> None:
        queue_work(thread, handle(end_io)).says("")

    return Driver(name, handle if where == "map" else submit)


@program
def allocates(memory: Memory, gfp: GfpName, scope: Scope, where: str) -> None:
    """An allocation in a scope; what it got is given back at once, since it is not what matters."""
    enter(scope).says("")
    say(f"allocates with {gfp}{where and ' in ' + named(where)}")
    called("direct reclaim", alloc_page(memory, GFP[gfp])).says("")
    free_page(memory).says("")
    leave(scope).says("")
