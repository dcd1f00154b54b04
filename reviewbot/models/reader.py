"""What general scenes are put together from: functions, locks and devices with the names of the reader's own code.

A general scene composes the environment around a driver that it does not know. Everything in it that a reader would
look for in the patched tree has the name that it has there: that is what most parameters of a scene are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, ParamSpec

import msgspec

from reviewbot.models.block import Op, Part, named, of
from reviewbot.sim import (
    GFP_KERNEL,
    GFP_NOFS,
    GFP_NOIO,
    Attempt,
    BoundName,
    Gfp,
    Mutex,
    Node,
    Routine,
    RwSem,
    Semaphore,
    SpinLock,
    Task,
    down,
    down_read,
    down_read_trylock,
    down_trylock,
    down_write,
    down_write_trylock,
    memalloc_nofs_restore,
    memalloc_nofs_save,
    memalloc_noio_restore,
    memalloc_noio_save,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    nothing,
    spin_lock,
    spin_trylock,
    spin_unlock,
    task,
    up,
    up_read,
    up_write,
)

P = ParamSpec("P")

GfpName = Literal["GFP_KERNEL", "GFP_NOFS", "GFP_NOIO"]
Scope = Literal["none", "nofs", "noio"]
LockKind = Literal["mutex", "rwsem", "spinlock", "semaphore"]
SleepingLock = Literal["mutex", "rwsem", "semaphore"]
Mode = Literal["read", "write"]
Where = Literal["map", "worker"]
"""In the task that submits (map), or in a thread of the driver (worker)."""

GFP: dict[GfpName, Gfp] = {"GFP_KERNEL": GFP_KERNEL, "GFP_NOFS": GFP_NOFS, "GFP_NOIO": GFP_NOIO}
LOCKS: dict[LockKind, type[Mutex] | type[RwSem] | type[SpinLock] | type[Semaphore]] = {
    "mutex": Mutex,
    "rwsem": RwSem,
    "spinlock": SpinLock,
    "semaphore": Semaphore,
}

Lock = Mutex | RwSem | SpinLock | Semaphore


class Driver(Part, frozen=True, eq=False):
    """A device of the reader's driver: `submit` makes what its ->map or ->submit_bio does from the bio's end_io."""

    submit: Callable[[Routine], BoundName]

    def bio(self, op: Op, end_io: Routine) -> BoundName:
        """What `submit` makes of the end_io."""
        return self.submit(end_io)


def task_of(file: str, function: str, n: int = 1, name: str = "") -> Callable[[Callable[[], None]], Task]:
    """Make a class of `n` tasks that run a function of the reader's file."""
    return lambda body: Task(name or named(function), of(file, function)(body)(), n)


def lock_of(kind: LockKind, name: str) -> Lock:
    """A lock of that kind."""
    return LOCKS[kind](name)


def acquire(lock: Lock, mode: Mode = "write") -> Node:
    """mutex_lock(), spin_lock(), down(), down_write(), or down_read() with `mode` read."""
    match lock:
        case Mutex():
            return mutex_lock(lock)
        case Semaphore():
            return down(lock)
        case SpinLock():
            return spin_lock(lock)
        case RwSem():
            return down_read(lock) if mode == "read" else down_write(lock)


def unread(node: Node) -> Node:
    """The same taking of a lock that nobody shares here: that a writer keeps readers out is not told."""
    return node.over(lambda act: msgspec.structs.replace(act, text="" if "new readers" in act.text else act.text))


def release(lock: Lock, mode: Mode = "write") -> Node:
    """What acquire() took."""
    match lock:
        case Mutex():
            return mutex_unlock(lock)
        case Semaphore():
            return up(lock)
        case SpinLock():
            return spin_unlock(lock)
        case RwSem():
            return up_read(lock) if mode == "read" else up_write(lock)


def try_acquire(lock: Lock, mode: Mode = "write") -> Attempt:
    """mutex_trylock(), spin_trylock(), down_trylock(), down_write_trylock() or down_read_trylock(). For `if`."""
    match lock:
        case Mutex():
            return mutex_trylock(lock)
        case Semaphore():
            return down_trylock(lock)
        case SpinLock():
            return spin_trylock(lock)
        case RwSem():
            return down_read_trylock(lock) if mode == "read" else down_write_trylock(lock)


def enter(scope: Scope) -> Node:
    """memalloc_nofs_save() or memalloc_noio_save(); nothing for `none`."""
    return {"none": nothing, "nofs": memalloc_nofs_save, "noio": memalloc_noio_save}[scope]()


def leave(scope: Scope) -> Node:
    """What enter() opened."""
    return {"none": nothing, "nofs": memalloc_nofs_restore, "noio": memalloc_noio_restore}[scope]()


def asks_for_write(lock: Lock, wanted: bool = True) -> tuple[Task, ...]:
    """A task that takes the rwsem for write once, where one is wanted: from then on new readers wait."""
    if not wanted or not isinstance(lock, RwSem):
        return ()
    sem = lock

    @task(name=f"a writer of {sem}")
    def writer() -> None:
        down_write(sem)
        up_write(sem).says("")

    return (writer,)
