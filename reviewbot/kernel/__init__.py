"""What is known of the kernel, as data: `KERNEL` answers what a call does and what context a slot gives.

The knowledge is in api.toml, contexts.toml, resources.toml, subsystems.toml, words.toml and derived.toml beside this
file (their head comments say how to add to them); the shape of each is in a `*schema.py`, what one call does in
calls.py, whether the files agree with one another in agreement.py. Nothing here depends on a kernel version: unknown
names do no harm.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib import resources
from typing import TypeVar, get_args

import msgspec
import tomli

from reviewbot.kernel.agreement import check
from reviewbot.kernel.calls import (
    BACKOFF,
    BLOCKING,
    ClientCall,
    Effect,
    LockCall,
    PoolCall,
    effects_by_call,
    lock_words,
    stands_for_body,
)
from reviewbot.kernel.context_schema import ContextKind, ContextTable, SlotKind, TableKind, TableMacro
from reviewbot.kernel.derived_schema import Derived
from reviewbot.kernel.folder_schema import Subsystems
from reviewbot.kernel.resource_schema import AttributeMacro, Removal, ResourceKind, ResourceTable
from reviewbot.kernel.schema import Api, CountGroup, LockClass, TaskFlag
from reviewbot.kernel.word_schema import Role, WordList

__all__ = [
    "BACKOFF",
    "BLOCKING",
    "KERNEL",
    "ClientCall",
    "Effect",
    "Kernel",
    "LockCall",
    "PoolCall",
    "load",
    "lock_words",
]


class Kernel:
    """The files, looked up by call name, slot and context.

    Raises ValueError with the file, the key and the reason when a file does not keep to its schema.
    """

    def __init__(
        self,
        api: bytes,
        contexts: bytes,
        subsystems: bytes = b"family = []",
        words: bytes = b"word = []",
        derived: bytes = b"",
        resources: bytes = b"resource = []",
    ) -> None:
        self.api = _decode("api.toml", api, Api)
        self.tables = _decode("contexts.toml", contexts, ContextTable)
        known = _decode("subsystems.toml", subsystems, Subsystems)
        self.families, self.called = known.family, known.called
        self.vocabulary = tuple(dict.fromkeys(folder for group in known.vocabulary for folder in group.folders))
        self.indexed = tuple(dict.fromkeys(folder for group in known.indexed for folder in group.folders))
        self.lists = _decode("words.toml", words, WordList)
        self.words: Mapping[Role, tuple[str, ...]] = {word.role: word.names for word in self.lists.word}
        self.sleepers = frozenset(_decode("derived.toml", derived, Derived).sleepers.split()) - self.inert
        """Functions outside of the files at hand that sleep whatever their caller asks for. Nothing else is known of
        them."""
        self.digest = hashlib.sha1(api + contexts + subsystems + words + derived + resources).hexdigest()
        self.held = _decode("resources.toml", resources, ResourceTable)
        self.resources = {kind.klass: kind for kind in self.held.resource}
        """Class of what is held and is no lock -> what it is."""
        check(self.api, self.tables, self.resources.values())
        if words and len(self.words) < len(self.lists.word):
            raise ValueError("kernel/words.toml: a role stands there twice")

    @cached_property
    def effects(self) -> Mapping[str, tuple[Effect, ...]]:
        """Call name -> what it does."""
        return effects_by_call(self.api)

    @cached_property
    def counted(self) -> Mapping[str, tuple[CountGroup, str]]:
        """Call -> the counter of the kernel's own that it changes, and how: `+`, `-`, `?` where its result says."""
        return {
            call: (group, op)
            for group in self.api.count
            for op, calls in (("+", group.raise_), ("-", group.lower), ("?", group.tried))
            for call in calls
        }

    @cached_property
    def ending(self) -> Mapping[str, tuple[str, ...]]:
        """Class of a wait for functions that return -> the slots that they are in."""
        return {group.klass: group.ends for group in self.api.wait if group.ends}

    @cached_property
    def cuts(self) -> frozenset[str]:
        """Calls at which a search ends: what is said of them stands for all that their bodies do (taking a lock, asking
        for memory, handing on I/O, sleeping, waking). The body of any other name adds to what is said of it."""
        more = {name for c in self.api.class_ for name in c.names if c.body}
        return frozenset(
            name
            for name, effects in self.effects.items()
            if any(stands_for_body(e) and not (isinstance(e, LockCall) and e.group.klass in more) for e in effects)
        )

    @cached_property
    def classes(self) -> Mapping[str, LockClass]:
        """Lock class -> what holding one means."""
        return {name: c for c in self.api.class_ for name in c.names}

    @cached_property
    def contexts(self) -> Mapping[str, ContextKind]:
        """Context name -> what it is."""
        return {c.name: c for c in self.tables.context}

    @cached_property
    def slots(self) -> Mapping[str, SlotKind]:
        """`struct.field` -> the context that its functions are entered in."""
        found = {name: slot for slot in self.tables.slot for name in slot.slots}
        return found | {kind.entry(name): kind for kinds in self.tables_of.values() for name, kind in kinds}

    @cached_property
    def tables_of(self) -> Mapping[str, tuple[tuple[str, TableKind], ...]]:
        """`struct.field` -> itself with each kind of table in which it is entered with more than elsewhere."""
        found: dict[str, list[tuple[str, TableKind]]] = {}
        for kind in self.tables.table:
            for name in kind.slots:
                found.setdefault(name, []).append((name, kind))
        return {name: tuple(kinds) for name, kinds in found.items()}

    @cached_property
    def handed_tables(self) -> Mapping[str, TableKind]:
        """Call that is handed a table's address -> how the table's functions are entered."""
        return {call: kind for kind in self.tables.table for call in kind.calls}

    @cached_property
    def filled(self) -> Mapping[str, tuple[TableMacro, ...]]:
        """Macro -> the tables of functions that it puts its arguments into."""
        found: dict[str, list[TableMacro]] = {}
        for macro in self.tables.filled:
            for name in macro.calls:
                found.setdefault(name, []).append(macro)
        return {name: tuple(macros) for name, macros in found.items()}

    @cached_property
    def holds(self) -> Mapping[str, tuple[tuple[str, str, str], ...]]:
        """Slot (`struct.field`), or call that takes a callback -> what whoever enters the function holds: identity, mode
        and class of each lock."""
        found = {name: slot.holds for name, slot in self.slots.items() if slot.holds}
        found |= {name: group.holds for group in self.api.callback for name in group.calls if group.holds}
        return {name: tuple(map(lock_words, locks)) for name, locks in found.items()}

    @cached_property
    def unheld(self) -> Mapping[str, tuple[bytes, ...]]:
        """Slot -> words of a file whose functions are entered without the locks that `holds` says."""
        return {name: tuple(map(str.encode, slot.unless)) for name, slot in self.slots.items() if slot.unless}

    @cached_property
    def begun(self) -> Mapping[str, str]:
        """Slot -> the slot of the function that is called before its own, and returns with locks held."""
        return {name: group.begin for group in self.tables.bracket for name in group.slots}

    @cached_property
    def sleeping_slots(self) -> frozenset[str]:
        """Slots whose functions sleep as they like."""
        return _names(group.slots for group in self.tables.sleeping)

    @cached_property
    def held_locks(self) -> frozenset[str]:
        """Locks that the kernel holds over callbacks."""
        return frozenset(lock for locks in self.holds.values() for lock, _, _ in locks)

    @cached_property
    def held_in(self) -> Mapping[str, tuple[ResourceKind, ...]]:
        """Context -> what is held for all of a run in it."""
        found: dict[str, list[ResourceKind]] = {}
        for kind in self.resources.values():
            for context in kind.contexts:
                found.setdefault(context, []).append(kind)
        return {context: tuple(kinds) for context, kinds in found.items()}

    @cached_property
    def held_by_slot(self) -> Mapping[str, ResourceKind]:
        """Slot -> what is held of the object that its function belongs to."""
        return {slot: kind for kind in self.resources.values() for slot in kind.slots}

    @cached_property
    def attributes(self) -> Mapping[str, AttributeMacro]:
        """Macro that makes an attribute -> of which functions."""
        return {name: group for group in self.held.attribute for name in group.calls}

    @cached_property
    def removals(self) -> Mapping[str, Removal]:
        """Lock -> which files the core removes with it held."""
        return {group.lock: group for group in self.held.removal}

    @cached_property
    def needs(self) -> Mapping[str, str]:
        """Context that I/O or writeback waits for -> the flag with which reclaim gets to: IO or FS; the plainest first."""
        return {c.name: c.needs for c in self.tables.context if c.needs}

    @cached_property
    def machine(self) -> frozenset[str]:
        """Contexts that run by themselves: a sleeper may count on them, and not on a person who comes by."""
        return frozenset(c.name for c in self.tables.context if c.machine)

    @cached_property
    def runners(self) -> Mapping[str, str]:
        """What a handler was given to (work, timer, ...) -> the context that it is entered in."""
        return {group.runner: group.context for group in self.api.bind}

    @cached_property
    def masks(self) -> Mapping[str, str]:
        """How far reclaim may go (full, nofs, noio) -> the mask that says so."""
        found: dict[str, Role] = {"full": "gfp_full", "nofs": "gfp_nofs", "noio": "gfp_noio"}
        return {klass: self.word(role) for klass, role in found.items()}

    @cached_property
    def scopes(self) -> Mapping[str, str]:
        """Scope over allocations (noio, nofs, memalloc) -> the call that begins it."""
        return {group.object: group.acquire[0] for group in self.api.lock if group.klass == "scope"}

    @cached_property
    def task_flags(self) -> Mapping[str, TaskFlag]:
        """Field of a task, and call that sets or clears its flags -> which of these are scopes."""
        return {
            name: group
            for group in self.api.task_flag
            for name in (group.field, *group.set, *group.restore, *group.clear)
        }

    @cached_property
    def reserved(self) -> frozenset[str]:
        """Classes of clients that have a reserve of their own."""
        return frozenset(group.klass for group in self.api.client if group.reserve)

    def word(self, role: Role) -> str:
        """The first name of a role: the one to say."""
        return self.words[role][0]

    def starts(self, role: Role) -> tuple[str, ...]:
        """How the names of a role begin, where its parts are all of that kind (`GFP_*`)."""
        return tuple(name.removesuffix("*") for name in self.words[role])

    def pattern(self, role: Role) -> re.Pattern[str]:
        """What finds the parts of a role in a name: `word`, `word*`, `*text*`."""
        return re.compile("|".join(map(_part, self.words[role])))

    @cached_property
    def stacked(self) -> frozenset[str]:
        """Slots of drivers that can stand on each other."""
        return frozenset(name for slot in self.tables.slot for name in slot.stacks)

    @cached_property
    def registered(self) -> Mapping[str, str]:
        """Call at file scope -> the context of its argument."""
        return {name: group.context for group in self.tables.registered for name in group.calls}

    @cached_property
    def noreturn(self) -> frozenset[str]:
        """Calls that do not come back."""
        return _names(x.noreturn for x in self.api.flow)

    @cached_property
    def transparent(self) -> frozenset[str]:
        """Calls whose value is that of their first argument."""
        return _names(x.transparent for x in self.api.flow)

    @cached_property
    def error_test(self) -> frozenset[str]:
        """Calls that are true for an error pointer or code only."""
        return _names(x.error_test for x in self.api.flow)

    @cached_property
    def error_or_null_test(self) -> frozenset[str]:
        """Calls that are true for an error pointer and for NULL."""
        return _names(x.error_or_null_test for x in self.api.flow)

    @cached_property
    def error_value(self) -> frozenset[str]:
        """Calls whose value is an error."""
        return _names(x.error_value for x in self.api.flow)

    @cached_property
    def never(self) -> frozenset[str]:
        """Options that are taken to be off."""
        return _names(x.never for x in self.api.flow)

    @cached_property
    def last(self) -> frozenset[str]:
        """Calls that are true for who gives back the last reference to an object."""
        return _names(x.last for x in self.api.flow)

    @cached_property
    def inert(self) -> frozenset[str]:
        """Calls that do nothing to locks, sleepers, memory, queues or I/O."""
        return frozenset(n for n in _names(x.inert for x in self.api.flow) if not n.endswith("*"))

    @cached_property
    def started(self) -> frozenset[str]:
        """Calls that make a kernel thread and wake it."""
        return _names(x.started for x in self.api.thread)

    @cached_property
    def unwaited(self) -> frozenset[str]:
        """Calls that take something off its queue, and wait for nothing."""
        return _names(x.unwaited for x in self.api.flow)

    @cached_property
    def inert_starts(self) -> tuple[str, ...]:
        """How the names of more such calls begin."""
        return tuple(sorted(n[:-1] for n in _names(x.inert for x in self.api.flow) if n.endswith("*")))

    @cached_property
    def entered(self) -> Mapping[str, str]:
        """Function of the kernel's core -> the context that it is entered in."""
        return {name: group.context for group in self.tables.named for name in group.functions}

    @cached_property
    def services(self) -> frozenset[str]:
        """Functions that serve everybody: contexts do not go on into them."""
        return _names(group.functions for group in self.tables.service)

    @cached_property
    def global_workqueues(self) -> Mapping[str, tuple[str, ...]]:
        """Name of a workqueue that everybody shares -> its flags."""
        return {name: g.flags for g in self.api.global_workqueue for name in g.names}

    @cached_property
    def renamed(self) -> Mapping[str, str]:
        """Newer name of a shared object -> the name it is known by here."""
        return {new: same[0] for g in self.api.global_workqueue for same in g.same for new in same[1:]}

    @cached_property
    def older(self) -> Mapping[str, str]:
        """Newer name of a call that asks for memory -> the name that asks for the same since long ago."""
        return {new: same[0] for group in self.api.allocate for same in group.same for new in same[1:]}

    def atomic(self, klass: str) -> bool:
        """Whether a holder of a lock of this class may not sleep, whichever of its classes (`mutex/spin`) it has."""
        return all(c in self.classes and self.classes[c].atomic for c in klass.split("/"))

    @cached_property
    def aware(self) -> frozenset[str]:
        """Calls and variables by which code asks what it runs in."""
        return frozenset(name for kind in self.resources.values() for name in kind.aware)

    @cached_property
    def latches(self) -> frozenset[str]:
        """Classes of what is held until it is given back, however often it was taken."""
        return frozenset(name for name, group in self.classes.items() if group.latch)

    @cached_property
    def lock_classes(self) -> Mapping[str, str]:
        """Lock that the kernel's own calls are about, or that it holds over a callback -> its class."""
        told = [lock for group in self.api.contract for lock in group.takes]
        found = {
            lock: klass for lock, _, klass in (*map(lock_words, told), *(x for y in self.holds.values() for x in y))
        }
        return found | {g.field or g.object: g.klass for g in self.api.lock if g.field or g.object}

    @cached_property
    def written(self) -> frozenset[str]:
        """Locks for which somebody may ask for write at any time."""
        return frozenset(group.field or group.object for group in self.api.lock if group.written)

    @cached_property
    def changed(self) -> frozenset[str]:
        """Locks that calls of the kernel's take for write: whoever registers something may at any time."""
        taken = (lock_words(lock) for group in self.api.contract for lock in group.takes)
        return self.written | {lock for lock, mode, _ in taken if mode == "w"}

    @cached_property
    def threaded(self) -> frozenset[str]:
        """Calls whose callback runs in a thread of its own, where it may sleep."""
        return frozenset(call for group in self.api.callback if group.thread for call in group.calls)

    def sleeping(self, klass: str) -> bool:
        """Whether taking a lock of this class may sleep; of `mutex/spin`, when one of them does."""
        return any(c in self.classes and self.classes[c].sleeps for c in klass.split("/"))


def _part(part: str) -> str:
    if part.startswith("*"):
        return re.escape(part.strip("*"))
    return f"(?:^|_){re.escape(part.removesuffix('*'))}" + "(?:_|$)" * (not part.endswith("*"))


def _names(groups: Iterable[tuple[str, ...]]) -> frozenset[str]:
    return frozenset(name for group in groups for name in group)


T = TypeVar("T")


def _decode(name: str, text: bytes, kind: type[T]) -> T:
    try:
        return msgspec.convert(tomli.loads(text.decode()), kind)
    except (tomli.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"kernel/{name}: {error}") from None


def load() -> Kernel:
    """Read the files that lie beside this module."""
    here = resources.files(__package__)
    files = ("api.toml", "contexts.toml", "subsystems.toml", "words.toml", "derived.toml", "resources.toml")
    kernel = Kernel(*((here / name).read_bytes() for name in files))
    if missing := set(get_args(Role)) - set(kernel.words):
        raise ValueError(f"kernel/words.toml: no [[word]] has the role {min(missing)!r}")
    return kernel


KERNEL = load()
"""The kernel as this package knows it."""
