"""What one call of a kernel function does: a group of api.toml, and which of the group's calls it is."""

from __future__ import annotations

import msgspec

from reviewbot.kernel.schema import (
    AllocateGroup,
    Api,
    BindGroup,
    CallbackGroup,
    ClientGroup,
    Contract,
    FinishGroup,
    FlushGroup,
    LockGroup,
    MaskGroup,
    PoolGroup,
    QueueGroup,
    ReadGroup,
    SubmitGroup,
    ThreadGroup,
    WaitGroup,
    WakeGroup,
    WorkqueueGroup,
    WriteGroup,
)


class LockCall(msgspec.Struct, frozen=True):
    """One lock call: its group, and what it does: acquire, release, try, killable, pointer, downgrade or
    transient."""

    group: LockGroup
    does: str


BLOCKING = ("acquire", "killable", "pointer")
"""How a lock is taken that is waited for."""
BACKOFF = "backoff"
"""How it is taken where whoever waits for it may be told to give back what he has, and begin again: nobody is stuck there."""


class PoolCall(msgspec.Struct, frozen=True):
    """One call on a reserve: its group, and what it does: take, give, make or drop."""

    group: PoolGroup
    does: str


class ClientCall(msgspec.Struct, frozen=True):
    """One call on a client: its group, and what it does: create or destroy."""

    group: ClientGroup
    does: str


Effect = (
    LockCall
    | PoolCall
    | ClientCall
    | WaitGroup
    | FlushGroup
    | WakeGroup
    | FinishGroup
    | SubmitGroup
    | AllocateGroup
    | MaskGroup
    | WorkqueueGroup
    | BindGroup
    | QueueGroup
    | ThreadGroup
    | CallbackGroup
    | ReadGroup
    | WriteGroup
    | Contract
)
"""What a call does. A call may have several effects."""

_WHOLE = (
    LockCall,
    WaitGroup,
    FlushGroup,
    WakeGroup,
    FinishGroup,
    SubmitGroup,
    AllocateGroup,
    QueueGroup,
    ThreadGroup,
)


def stands_for_body(effect: Effect) -> bool:
    """Whether an effect stands for all that the body of its call does."""
    return isinstance(effect, _WHOLE) or (isinstance(effect, PoolCall) and effect.does in ("take", "give"))


def lock_words(text: str) -> tuple[str, str, str]:
    """Identity, mode and class of a lock, from `identity` (of a mutex) or `identity mode class`."""
    lock, mode, klass = text.split() if " " in text else (text, "x", "mutex")
    return lock, mode, klass


def lock_calls(lock: LockGroup) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The calls of a lock group by what they do."""
    return (
        ("acquire", lock.acquire),
        ("release", lock.release),
        ("try", lock.try_),
        ("killable", lock.killable),
        ("pointer", lock.pointer),
        ("downgrade", lock.downgrade),
        ("transient", lock.transient),
    )


def effects_by_call(api: Api) -> dict[str, tuple[Effect, ...]]:
    """Call name -> what it does, in the order of the kinds of groups."""
    found: dict[str, list[Effect]] = {}
    for lock in api.lock:
        for does, names in lock_calls(lock):
            for name in names:
                found.setdefault(name, []).append(LockCall(lock, does))
    for pool in api.pool:
        for does in ("take", "give", "make", "drop"):
            for name in getattr(pool, does):
                found.setdefault(name, []).append(PoolCall(pool, does))
    for client in api.client:
        for does in ("create", "destroy"):
            for name in getattr(client, does):
                found.setdefault(name, []).append(ClientCall(client, does))
    for queue in api.workqueue:
        for name in queue.create:
            found.setdefault(name, []).append(queue)
    for thread in api.thread:
        for name in thread.create:
            found.setdefault(name, []).append(thread)
    plain = (api.wait, api.flush, api.wake, api.finish, api.submit, api.allocate, api.bind, api.queue, api.callback)
    for groups in (*plain, api.read, api.write, api.mask, api.contract):
        for group in groups:
            for name in group.calls:
                found.setdefault(name, []).append(group)
    return {name: tuple(effects) for name, effects in found.items()}
