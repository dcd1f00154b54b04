"""Whether the files of knowledge agree with one another, beyond what their schemas say."""

from __future__ import annotations

from collections.abc import Iterable

from reviewbot.kernel.calls import lock_calls
from reviewbot.kernel.context_schema import ContextTable
from reviewbot.kernel.resource_schema import ResourceKind
from reviewbot.kernel.schema import Api


def check(api: Api, tables: ContextTable, kinds: Iterable[ResourceKind]) -> None:
    """What the types do not say: a call does one thing to one lock; classes, contexts, slots that are named exist.
    Raises ValueError."""
    _check_locks(api)
    _check_contexts(api, tables)
    _check_slots(tables)
    _check_waits(api, tables)
    _check_resources(api, tables, kinds)


def _check_locks(api: Api) -> None:
    classes = {name for c in api.class_ for name in c.names}
    seen: dict[tuple[str, str], str] = {}
    for lock in api.lock:
        if lock.klass not in classes:
            raise ValueError(f"kernel/api.toml: lock class {lock.klass!r} has no [[class]] ({lock.doc})")
        if (lock.argument is None) == (not lock.object):
            raise ValueError(f"kernel/api.toml: a lock needs either `argument` or `object` ({lock.doc})")
        for does, names in lock_calls(lock):
            for name in names:
                if seen.setdefault((name, lock.klass), does) != does or (
                    does in ("acquire", "release") and seen.setdefault((name, does), lock.klass) != lock.klass
                ):
                    raise ValueError(f"kernel/api.toml: {name} does two things to a lock ({lock.doc})")
    scopes = {lock.object for lock in api.lock if lock.klass == "scope"}
    for group in api.task_flag:
        if unknown := set(group.scopes.values()) - scopes:
            raise ValueError(
                f"kernel/api.toml: no [[lock]] of class scope has the object {min(unknown)!r} ({group.doc})"
            )


def _check_contexts(api: Api, tables: ContextTable) -> None:
    contexts = {c.name for c in tables.context} | {"caller", "here"}
    named = [(x.context, x.doc) for x in (*tables.slot, *tables.table)]
    named += [(x.context, x.doc) for x in tables.registered] + [(x.context, x.doc) for x in tables.named]
    named += [(x.context, x.doc) for x in api.callback] + [(x.context, x.doc) for x in api.bind]
    for context, doc in named:
        if context not in contexts:
            raise ValueError(f"kernel/contexts.toml: context {context!r} has no [[context]] ({doc})")


def _check_slots(tables: ContextTable) -> None:
    slots: set[str] = set()
    for slot in tables.slot:
        if twice := slots & set(slot.slots):
            raise ValueError(f"kernel/contexts.toml: {min(twice)} is in two groups ({slot.doc})")
        slots |= set(slot.slots)
    for table in tables.table:
        if bool(table.given) == bool(table.calls):
            raise ValueError(f"kernel/contexts.toml: a table needs either `given` or `calls` ({table.doc})")


def _check_waits(api: Api, tables: ContextTable) -> None:
    slots = {slot for group in tables.slot for slot in group.slots}
    ends: dict[str, tuple[str, ...]] = {}
    for wait in api.wait:
        if unknown := set(wait.ends) - slots:
            raise ValueError(f"kernel/api.toml: slot {min(unknown)!r} is not in contexts.toml ({wait.doc})")
        if ends.setdefault(wait.klass, wait.ends) != wait.ends:
            raise ValueError(f"kernel/api.toml: waits of class {wait.klass!r} are for other slots, too ({wait.doc})")


def _check_resources(api: Api, tables: ContextTable, kinds: Iterable[ResourceKind]) -> None:
    contexts = {c.name for c in tables.context}
    flushes = {group.of for group in api.flush}
    classes = {name for c in api.class_ for name in c.names}
    for kind in kinds:
        if unknown := set(kind.contexts) - contexts:
            raise ValueError(f"kernel/resources.toml: context {min(unknown)!r} is not in contexts.toml ({kind.doc})")
        if unknown := set(kind.slots) - {slot for group in tables.slot for slot in group.slots}:
            raise ValueError(f"kernel/resources.toml: slot {min(unknown)!r} is not in contexts.toml ({kind.doc})")
        if unknown := set(kind.flushes) - flushes:
            raise ValueError(f"kernel/resources.toml: no [[flush]] of api.toml is of {min(unknown)!r} ({kind.doc})")
        if kind.klass in classes:
            raise ValueError(f"kernel/resources.toml: {kind.klass!r} is a class of locks in api.toml ({kind.doc})")
