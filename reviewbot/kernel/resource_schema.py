"""The shape of kernel/resources.toml: what tasks have and wait for that is no lock."""

from __future__ import annotations

import msgspec

from reviewbot.kernel.schema import Group, WaitClass


class ResourceKind(Group, frozen=True):
    """One kind of thing that a task has while it is inside of something, and that others wait for; see resources.toml."""

    klass: str = msgspec.field(name="class")
    flushes: tuple[str, ...]
    ends: str
    contexts: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    waits: tuple[WaitClass, ...] = ()
    ordered: bool = False
    aware: tuple[str, ...] = ()


class AttributeMacro(Group, frozen=True):
    """Macros that make an attribute of its functions; see resources.toml."""

    calls: tuple[str, ...]
    variable: str = ""
    type: str = ""
    positions: tuple[int, ...] = ()
    named: tuple[str, ...] = ()
    stem: int = 0
    slots: tuple[str, str] = ("show", "store")
    groups: tuple[str, ...] = ()
    members: str = ""


class Removal(Group, frozen=True):
    """A lock with which the kernel's core removes the files of some devices, and waits until nobody uses them."""

    lock: str
    klass: str = msgspec.field(name="class")
    of: tuple[str, ...]
    by: str
    waits: str


class ResourceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of resources.toml."""

    resource: tuple[ResourceKind, ...]
    attribute: tuple[AttributeMacro, ...] = ()
    removal: tuple[Removal, ...] = ()
