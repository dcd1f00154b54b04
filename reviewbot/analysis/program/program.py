"""The linked view over a set of files of one source: functions, calls, contexts, locks, effects, facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Protocol, TypeVar
from weakref import ref

from reviewbot.analysis.callgraph.callgraph import Links, components
from reviewbot.analysis.callgraph.contexts import Contexts, Entered
from reviewbot.analysis.callgraph.pointer_flow import Root, Wired
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.library import Library, loader
from reviewbot.analysis.code.memo import Before, Given, unknown
from reviewbot.analysis.code.names import Names, name_of
from reviewbot.analysis.code.tags import Tags
from reviewbot.analysis.events.collection import Facts
from reviewbot.analysis.events.kinds import Bind, Fact, Flush, Held, Lock, Slot, Wait, Write
from reviewbot.analysis.locks.lockset import Locking
from reviewbot.analysis.producers.view import View
from reviewbot.analysis.program.delta import Step
from reviewbot.analysis.summaries.awaited_work import Served, served
from reviewbot.analysis.summaries.effect_summary import Effect, Effects, Reason
from reviewbot.analysis.summaries.entry_lockset import Entries, Entry
from reviewbot.analysis.summaries.event_table import Book
from reviewbot.csource.cache import Cache
from reviewbot.csource.ir import Call, Function, Unit
from reviewbot.kernel import KERNEL
from reviewbot.types import Place, Source

C = TypeVar("C", bound="Component")
F = TypeVar("F", bound=Fact)
_BIOS = frozenset(name for group in KERNEL.api.write if group.bios for name in group.calls)


class Kept(Protocol):
    """What is known of a world already, each part given when it is asked for."""

    def tags(self) -> Tags:
        """Where names are declared."""

    def wired(self) -> Mapping[str, Wired]:
        """What each function does with functions."""

    def order(self) -> list[list[str]]:
        """Functions that call one another in a cycle, callees first."""

    def types(self) -> Mapping[str, frozenset[str]]:
        """Types of the variables of some functions."""

    def locking(self, world: World) -> Locking:
        """Lock records."""

    def facts(self) -> Before[tuple[Fact, ...]]:
        """Facts of each function."""

    def kinds(self) -> Mapping[type[Fact], tuple[str, ...]]:
        """Which functions have facts of a kind."""

    def effects(self) -> Before[dict[Effect, Reason]]:
        """Effects of each function."""

    def contexts(self) -> Mapping[str, tuple[Entered, ...]]:
        """Contexts of each function."""


class Component:
    """Cache component of a world: kept by the world (`World.component`), with a weak reference back.

    It goes when the world goes: there is no cycle that only a collection of garbage finds.
    """

    def __init__(self, world: World) -> None:
        self._world = ref(world)

    @property
    def world(self) -> World:
        """The world that it is of."""
        world = self._world()
        assert world is not None
        return world


class World:
    """A program over the files of a library. Functions go by key, `file:name`.

    `whole` are files of which every function counts; of the others (headers) those that are reached. `before` is a
    world that this one differs from by a step: what the step leaves alone is taken over from it.
    """

    def __init__(
        self,
        library: Library,
        whole: Iterable[str],
        before: World | None = None,
        change: Step | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.library = library
        self.whole = frozenset(path for path in whole if path in library.declared)
        self.source: Source | None = None
        """Where the files can be read, as long as it is open."""
        self.steps: int = before.steps + 1 if before is not None else 0
        """How many worlds it was led on through."""
        self._before, self._change, self._kept = before, change, kept
        self._collected: dict[frozenset[str], Facts] = {}
        self._components: dict[type[Component], Component] = {}
        self.names: Names
        if before is None or change is None:
            self.names = Names(library, kept.tags() if kept else None)
            self.links = (
                Links.known(self.names, self.whole, kept.wired(), kept.order, kept.types())
                if kept
                else Links.of(self.names, self.whole)
            )
        else:
            self.names = Names.after(before.names, library)
            self.links = Links.after(before.links, self.names, self.whole, change.dirty, change.moved)

    @classmethod
    def of_units(cls, units: Mapping[str, Unit]) -> World:
        """The world of units in memory, path -> unit."""
        return cls(Library.of_units(units), units)

    def read_from(self, source: Source) -> None:
        """Have the files read from a source in which they are the same."""
        self.source = source
        self.library.load = loader(source, self.library.blobs, Cache())

    @cached_property
    def dirty(self) -> frozenset[str]:
        """Functions that are not what they were in the world before, or call others through a pointer."""
        if self._before is None or self._change is None:
            return frozenset()
        was, now = self._before.links.callees, self.links.callees
        called = {key for key, callees in now.items() if callees is not was.get(key) and callees != was.get(key)}
        return frozenset(key for key in self._change.dirty if not key.endswith(":")) | called

    # --- parts, made when asked for

    @cached_property
    def locking(self) -> Locking:
        """Lock records of all functions."""
        if self._kept is not None:
            return self._kept.locking(self)
        return Locking(self.links, self._before.locking if self._before else None, self.dirty)

    @cached_property
    def book(self) -> Book:
        """Facts of all functions."""
        if self._before is None or self._change is None:
            known = (self._kept.facts(), self._kept.kinds) if self._kept else ()
            return Book(self.links, self.locking, *known)
        return Book.after(self.links, self.locking, self._before.book, self.dirty, self._change.moved)

    @cached_property
    def contexts(self) -> Contexts:
        """Contexts of all functions."""
        if self._before is None:
            return Contexts(self.links, self._kept.contexts() if self._kept else {})
        return Contexts.after(self.links, self._before.contexts, self.dirty)

    @cached_property
    def effects(self) -> Effects:
        """What functions do in all."""
        if self._before is None or self._change is None:
            known = self._kept.effects() if self._kept else unknown
            return Effects(self.links, self.locking, self.book, known)
        return Effects.after(self.links, self.locking, self.book, self._before.effects, self._change.moved)

    def component(self, kind: type[C]) -> C:
        """What this world keeps of one kind for those who ask about it, made when it is first asked for."""
        found = self._components.get(kind)
        if found is None:
            found = self._components[kind] = kind(self)
        return found  # type: ignore[return-value]

    # --- functions

    def function(self, key: str) -> Function:
        """The function with a key, without its blocks and locals: these `body` has to load."""
        return self.names.functions[key]

    def body(self, key: str) -> Body:
        """The function with its names resolved."""
        return self.links.body(key)

    def named(self, name: str) -> tuple[str, ...]:
        """Keys of all functions of a name."""
        return self._keys.get(name, ())

    @cached_property
    def _keys(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for key in self.names.file:
            name = name_of(key)
            found[name] = (*found.get(name, ()), key)
        return found

    def functions(self, path: str = "") -> Iterator[str]:
        """Keys of the functions of a file, or of all."""
        if path:
            return iter(self._in_file.get(path, ()))
        return self.links.functions()

    @cached_property
    def _in_file(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in self.functions():
            found.setdefault(self.names.file[key], []).append(key)
        return found

    def callers(self, key: str) -> tuple[str, ...]:
        """Keys of the functions that can call it."""
        return tuple(sorted(self.links.callers.get(key, ())))

    def callees(self, key: str) -> tuple[str, ...]:
        """Keys of the functions that it can call, in the order of the text."""
        return self.links.callees.get(key, ())

    def has_context(self, key: str, call: Call) -> bool:
        """Whether a call goes through a slot that has a context of its own."""
        return self.links.has_context(key, call)

    def below(self, key: str) -> list[list[str]]:
        """Cycles of calls at and below a function, callees first."""
        return list(components(self.links.callees_of, [key]))

    # --- facts

    def view(self, key: str, given: Given = ()) -> View:
        """A function as producers see it."""
        return self.book.view(key, given)

    def own_facts(self, key: str, given: Given = ()) -> tuple[Fact, ...]:
        """Facts of one function but its contexts, in the order of the text; none for one unreadable or not there.

        Here every write to a shared object is a fact; `facts` keeps those that some sleep tests.
        """
        return self.book.of(key, given)

    def all(self, kind: type[F]) -> tuple[tuple[str, F], ...]:
        """Every fact of a kind in the whole world, with the key of its function."""
        return self.book.having(kind)

    @cached_property
    def sleepers(self) -> tuple[str, ...]:
        """Keys of the functions that sleep themselves."""
        return tuple(dict.fromkeys(key for key, _ in self.all(Wait)))

    def facts(self, paths: Iterable[str] = ()) -> Facts:
        """Facts of the functions of some files (all when none are named), with their contexts and tables."""
        wanted = frozenset(paths)
        if wanted not in self._collected:
            self._collected[wanted] = Facts(self._collect(wanted))
        return self._collected[wanted]

    def _collect(self, wanted: frozenset[str]) -> list[Fact]:
        out: list[Fact] = []
        for key in self.functions():
            if (not wanted or self.names.file[key] in wanted) and not self.names.functions[key].macro:
                out += (f for f in self.own_facts(key) if not isinstance(f, Write) or self._matters(f))
                out += self.contexts.facts(key)
        for path in sorted(wanted or self.names.units):
            out += self._at_file_scope(path)
        return out

    def _at_file_scope(self, path: str) -> Iterator[Fact]:
        wired = self.links.wired.get(f"{path}:")
        if wired is not None:
            for placed in wired.placed:
                handler = name_of(placed.handler)
                yield Slot(function="", at=Place(path, placed.line), slot=placed.slot, handler=handler)
            for bound in wired.bound:
                handler, at = name_of(bound.handler), Place(path, bound.line)
                yield Bind(function="", at=at, work=bound.work, handler=handler, runner=bound.runner)

    def _matters(self, write: Write) -> bool:
        tested = self.book.tested
        return write.call in _BIOS or write.object in tested or write.object.partition(" & ")[0] in tested

    # --- questions

    def entered(self, key: str) -> tuple[Entered, ...]:
        """Contexts that a function runs in."""
        return self.contexts.of(key)

    def may_leave(self, key: str) -> frozenset[str]:
        """Locks that a function holds at some of its returns."""
        if key not in self.names.functions:
            return frozenset()
        return frozenset(t.lock for left in self.locking.record(key).left for t in left.takes)

    def roots(self, key: str) -> frozenset[Root]:
        """Everything that a function may be entered from, also on ways that no run may take."""
        return self.contexts.roots(key)

    def entry(self, key: str) -> tuple[Entry, ...]:
        """Ways into a function: which locks its callers hold, each with the chain of calls."""
        return self._entries.of(key)

    def surely_held(self, key: str) -> frozenset[str]:
        """Locks that every way into a function holds."""
        return self._entries.surely(key)

    @cached_property
    def _entries(self) -> Entries:
        return Entries(self.links, self.locking)

    def calls_of(self, key: str) -> list[tuple[str, tuple[Held, ...], frozenset[str]]]:
        """Calls that name a function: caller, what it holds, what it has dropped of its own caller's locks."""
        return self._entries.calls_of(key)

    @cached_property
    def awaited(self) -> frozenset[str]:
        """Work items that I/O waits for."""
        return frozenset(item.work for item in self.served())

    @cached_property
    def taken(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Lock -> the functions (key, mode) that wait for it themselves; a try is none."""
        found: dict[str, dict[tuple[str, str], None]] = {}
        for key, fact in self.all(Lock):
            if fact.how in ("acquire", "killable"):
                found.setdefault(fact.lock, {})[key, fact.mode] = None
        return {lock: tuple(places) for lock, places in found.items()}

    @cached_property
    def flushers(self) -> tuple[str, ...]:
        """Keys of the functions that wait for work items, queues or timers themselves."""
        return tuple(dict.fromkeys(key for key, _ in self.all(Flush)))

    def served(self) -> tuple[Served, ...]:
        """Work items that I/O waits for, each with both chains that say so; see `served`."""
        return self._served

    @cached_property
    def _served(self) -> tuple[Served, ...]:
        return tuple(served(self.links, self.book, self.contexts, self.effects))

    def does(self, key: str, given: Given = ()) -> Mapping[Effect, Reason]:
        """Everything that a function does, through its calls."""
        return self.effects.of(key, given)
