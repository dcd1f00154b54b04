"""The shape of kernel/resources.toml: what tasks have and wait for that is no lock."""

from __future__ import annotations

import msgspec

from reviewbot.kernel.schema import Group, WaitClass


class ResourceKind(Group, frozen=True):
    """One kind of thing that a task has while it is inside of something, and that others wait for; see resources.toml."""

    klass: str = msgspec.field(name="class")
    contexts: tuple[str, ...]
    flushes: tuple[str, ...]
    ends: str
    waits: tuple[WaitClass, ...] = ()
    ordered: bool = False
    aware: tuple[str, ...] = ()


class ResourceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of resources.toml."""

    resource: tuple[ResourceKind, ...]
