"""The shape of kernel/contexts.toml: what functions are entered in."""

from __future__ import annotations

from typing import Literal

import msgspec

from reviewbot.kernel.schema import Group


class ContextKind(Group, frozen=True):
    """A context that code can run in."""

    name: str
    path: bool = False
    """I/O or reclaim itself passes here: what is queued from here, it may wait for."""
    io: bool = False
    """I/O waits for what waits here."""
    atomic: bool = False
    reclaim: bool = False
    """An allocation waits for what waits here."""
    needs: Literal["", "IO", "FS"] = ""
    """The flag of a mask with which reclaim gets to wait for it; the context that is the plainest reason stands first."""
    machine: bool = False
    """It runs by itself: a sleeper may count on it."""
    task: bool = False
    """A task enters there with interrupts on, and may sleep."""


class SlotKind(Group, frozen=True):
    """Slots (`struct.field`) whose functions are entered in a context, with these locks held."""

    context: str
    slots: tuple[str, ...]
    holds: tuple[str, ...] = ()
    """`identity`, or `identity mode class` of what is no mutex."""
    unless: tuple[str, ...] = ()
    """Words for which the locks are not held: a file in which one stands asks the kernel not to."""
    stacks: tuple[str, ...] = ()
    """Those of the slots by which a bio goes on to a device below: such drivers can stand on each other."""
    awaited: bool = False
    """I/O waits for the function to return, though a task of its own runs it."""
    evicts: str = ""
    """The struct of the object to which the caller has the last reference."""
    quiet: bool = False
    """A device is set up, put to sleep or taken away: its interrupts may not come meanwhile."""


class BracketedSlots(Group, frozen=True):
    """Slots whose functions are called between two others of the same table: with the locks that the first one leaves."""

    begin: str
    """The slot of the function that is called first, and returns with locks held."""
    slots: tuple[str, ...]
    """Those of the functions in between, and of the one that ends it."""


class SleepingSlots(Group, frozen=True):
    """Slots whose functions sleep as they like: a call through one may sleep, whoever has put what there."""

    slots: tuple[str, ...]


class TableKind(SlotKind, frozen=True):
    """The same of some tables only: those whose address stands in a member of another table or is handed to a call."""

    given: str = ""
    """The member (`struct.member`) in which the table's address stands."""
    calls: tuple[str, ...] = ()
    """Calls that are handed the table's address."""
    argument: int = 0
    """Where these calls have it."""

    def entry(self, slot: str) -> str:
        """What to call a slot of such a table."""
        return f"{self.given or self.calls[0]}/{slot}"


class TableMacro(Group, frozen=True):
    """Macros, in an initialiser or at file scope, that put their arguments into a table of functions."""

    calls: tuple[str, ...]
    type: str
    """The struct of the table."""
    fields: tuple[str, ...]
    """The members that get the arguments, one after the other."""
    first: int = 0
    """Position of the first of these arguments."""


class Registered(Group, frozen=True):
    """Calls at file scope whose argument is a function entered in a context."""

    context: str
    calls: tuple[str, ...]


class NamedGroup(Group, frozen=True):
    """Functions of the kernel's core that are entered in a context from everywhere, by name."""

    context: str
    functions: tuple[str, ...]


class Service(Group, frozen=True):
    """Functions that serve everybody: what happens below depends on what they are handed, not on who calls."""

    functions: tuple[str, ...]


class ContextTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of contexts.toml."""

    context: tuple[ContextKind, ...]
    slot: tuple[SlotKind, ...]
    registered: tuple[Registered, ...]
    table: tuple[TableKind, ...] = ()
    filled: tuple[TableMacro, ...] = ()
    named: tuple[NamedGroup, ...] = ()
    service: tuple[Service, ...] = ()
    sleeping: tuple[SleepingSlots, ...] = ()
    bracket: tuple[BracketedSlots, ...] = ()
