"""The linked view over a set of files of one source: functions, calls, contexts, locks, effects, facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Protocol, TypeVar
from weakref import ref

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.callgraph.components import components
from reviewbot.analysis.callgraph.contexts import ExecutionContext, ExecutionContexts
from reviewbot.analysis.callgraph.pointer_flow import EntryPoint, FlowConstraints
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.library import Sources, loader
from reviewbot.analysis.code.memo import Before, Given, unknown
from reviewbot.analysis.code.names import Names
from reviewbot.analysis.code.tags import Tags
from reviewbot.analysis.events.collection import Facts
from reviewbot.analysis.events.kinds import Bind, Fact, Flush, Held, Lock, Slot, Wait, Write
from reviewbot.analysis.locks.lockset import Locksets
from reviewbot.analysis.producers.view import View
from reviewbot.analysis.program.delta import ProgramDelta
from reviewbot.analysis.summaries.awaited_work import AwaitedWork, served
from reviewbot.analysis.summaries.effect_summary import Effect, EffectSummaries, Provenance
from reviewbot.analysis.summaries.entry_lockset import EntryLockset, EntryLocksets
from reviewbot.analysis.summaries.event_table import EventTable
from reviewbot.csource.cache import Cache
from reviewbot.csource.ir import Call, Function, TranslationUnit
from reviewbot.function_key import FunctionKey, is_function, key_of, name_of
from reviewbot.kernel import BLOCKING, KERNEL
from reviewbot.types import Place, Source

C = TypeVar("C", bound="Component")
F = TypeVar("F", bound=Fact)
_BIOS = frozenset(name for group in KERNEL.api.write if group.bios for name in group.calls)


class StoredProgram(Protocol):
    """The parts of a program that were read from the disk; each is decoded when it is first asked for."""

    def tags(self) -> Tags:
        """Which files declare which names."""

    def points_to(self) -> Mapping[FunctionKey, FlowConstraints]:
        """Function key -> what the function does with function pointers."""

    def order(self) -> list[list[FunctionKey]]:
        """The strongly connected components of the call graph, as lists of keys, callees first."""

    def types(self) -> Mapping[FunctionKey, frozenset[str]]:
        """Function key -> names of the types of its variables, for some functions."""

    def locksets(self, program: Program) -> Locksets:
        """The lock summaries, for this program."""

    def facts(self) -> Before[tuple[Fact, ...]]:
        """Function key -> its facts, by constant arguments."""

    def kinds(self) -> Mapping[type[Fact], tuple[FunctionKey, ...]]:
        """Kind of fact -> keys of the functions that have one."""

    def effects(self) -> Before[dict[Effect, Provenance]]:
        """Function key -> its effects, by constant arguments."""

    def unsettled(self) -> tuple[FunctionKey, ...]:
        """Functions whose effects are not all of them."""

    def contexts(self) -> Mapping[FunctionKey, tuple[ExecutionContext, ...]]:
        """Function key -> the contexts it runs in."""


class Component:
    """Cache component of a program: kept by the program (`Program.component`), with a weak reference back.

    It goes when the program goes: there is no cycle that only a collection of garbage finds.
    """

    def __init__(self, program: Program) -> None:
        self._program = ref(program)

    @property
    def program(self) -> Program:
        """The program that it is of."""
        program = self._program()
        assert program is not None
        return program


class Program:
    """A program over the files of a library. Functions go by key, `file:name`.

    `whole` are files of which every function counts; of the others (headers) those that are reached. `before` is a
    program that this one differs from by a step: what the step leaves alone is taken over from it.
    """

    def __init__(
        self,
        library: Sources,
        whole: Iterable[str],
        before: Program | None = None,
        change: ProgramDelta | None = None,
        kept: StoredProgram | None = None,
    ) -> None:
        self.library = library
        self.whole = frozenset(path for path in whole if path in library.declared)
        self.source: Source | None = None
        """Where the files can be read, as long as it is open."""
        self.steps: int = before.steps + 1 if before is not None else 0
        """How many programs it was led on through."""
        self._before, self._change, self._kept = before, change, kept
        self._collected: dict[frozenset[str], Facts] = {}
        self._components: dict[type[Component], Component] = {}
        self.names: Names
        if before is None or change is None:
            self.names = Names(library, kept.tags() if kept else None)
            self.callgraph = (
                CallGraph.known(self.names, self.whole, kept.points_to(), kept.order, kept.types())
                if kept
                else CallGraph.of(self.names, self.whole)
            )
        else:
            self.names = Names.after(before.names, library)
            self.callgraph = CallGraph.after(before.callgraph, self.names, self.whole, change.dirty, change.moved)

    @classmethod
    def of_units(cls, units: Mapping[str, TranslationUnit]) -> Program:
        """The program of units in memory, path -> unit."""
        return cls(Sources.of_units(units), units)

    def read_from(self, source: Source) -> None:
        """Read files from `source` from now on; it has to have them as this program has them."""
        self.source = source
        self.library.load = loader(source, self.library.blobs, Cache())

    @cached_property
    def dirty(self) -> frozenset[FunctionKey]:
        """Keys of the functions that have to be analysed again after the step from the program before: changed ones, and
        those whose calls through pointers reach other functions now."""
        if self._before is None or self._change is None:
            return frozenset()
        was, now = self._before.callgraph.callees, self.callgraph.callees
        called = {key for key, callees in now.items() if callees is not was.get(key) and callees != was.get(key)}
        return frozenset(key for key in self._change.dirty if is_function(key)) | called

    # --- parts, made when asked for

    @cached_property
    def locksets(self) -> Locksets:
        """The lock summaries of all functions."""
        if self._kept is not None:
            return self._kept.locksets(self)
        return Locksets(self.callgraph, self._before.locksets if self._before else None, self.dirty)

    @cached_property
    def events(self) -> EventTable:
        """The event table: facts of all functions."""
        if self._before is None or self._change is None:
            known = (self._kept.facts(), self._kept.kinds) if self._kept else ()
            return EventTable(self.callgraph, self.locksets, *known)
        return EventTable.after(self.callgraph, self.locksets, self._before.events, self.dirty, self._change.moved)

    @cached_property
    def contexts(self) -> ExecutionContexts:
        """The execution contexts of all functions."""
        if self._before is None:
            return ExecutionContexts(self.callgraph, self._kept.contexts() if self._kept else {})
        return ExecutionContexts.after(self.callgraph, self._before.contexts, self.dirty)

    @cached_property
    def effects(self) -> EffectSummaries:
        """The effect summaries of all functions."""
        if self._before is None or self._change is None:
            known, cut = (self._kept.effects(), self._kept.unsettled()) if self._kept else (unknown, ())
            return EffectSummaries(self.callgraph, self.locksets, self.events, known, cut)
        return EffectSummaries.after(
            self.callgraph, self.locksets, self.events, self._before.effects, self._change.moved
        )

    def component(self, kind: type[C]) -> C:
        """The instance of `kind` that belongs to this program, made on the first call: where others keep what they
        computed about it."""
        found = self._components.get(kind)
        if found is None:
            found = self._components[kind] = kind(self)
        return found  # type: ignore[return-value]

    # --- functions

    def function(self, key: FunctionKey) -> Function:
        """The declaration of a function: no blocks and no locals, which `body` loads. Raises KeyError for an unknown
        key."""
        return self.names.functions[key]

    def body(self, key: FunctionKey) -> Body:
        """The function with its names resolved."""
        return self.callgraph.body(key)

    def named(self, name: str) -> tuple[FunctionKey, ...]:
        """Keys of all functions of a name."""
        return self._keys.get(name, ())

    @cached_property
    def _keys(self) -> dict[str, tuple[FunctionKey, ...]]:
        found: dict[str, tuple[FunctionKey, ...]] = {}
        for key in self.names.file:
            name = name_of(key)
            found[name] = (*found.get(name, ()), key)
        return found

    def functions(self, path: str = "") -> Iterator[FunctionKey]:
        """Keys of the functions of a file, or of all."""
        if path:
            return iter(self._in_file.get(path, ()))
        return self.callgraph.functions()

    @cached_property
    def _in_file(self) -> dict[str, list[FunctionKey]]:
        found: dict[str, list[FunctionKey]] = {}
        for key in self.functions():
            found.setdefault(self.names.file[key], []).append(key)
        return found

    def callers(self, key: FunctionKey) -> tuple[FunctionKey, ...]:
        """Keys of the functions that can call it."""
        return tuple(sorted(self.callgraph.callers.get(key, ())))

    def callees(self, key: FunctionKey) -> tuple[FunctionKey, ...]:
        """Keys of the functions that it can call, in the order of the text."""
        return self.callgraph.callees.get(key, ())

    def has_context(self, key: FunctionKey, call: Call) -> bool:
        """Whether a call goes through a slot that has a context of its own."""
        return self.callgraph.has_context(key, call)

    def below(self, key: FunctionKey) -> list[list[FunctionKey]]:
        """The strongly connected components of the call graph that a function reaches, its own last (callees first)."""
        return list(components(self.callgraph.callees_of, [key]))

    # --- facts

    def view(self, key: FunctionKey, given: Given = ()) -> View:
        """A function as producers see it."""
        return self.events.view(key, given)

    def own_facts(self, key: FunctionKey, given: Given = ()) -> tuple[Fact, ...]:
        """Facts of one function but its contexts, in the order of the text; none for one unreadable or not there.

        Here every write to a shared object is a fact; `facts` keeps those that some sleep tests.
        """
        return self.events.of(key, given)

    def all(self, kind: type[F]) -> tuple[tuple[FunctionKey, F], ...]:
        """Every fact of a kind in the whole program, with the key of its function."""
        return self.events.having(kind)

    @cached_property
    def sleepers(self) -> tuple[FunctionKey, ...]:
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
        points_to = self.callgraph.points_to.get(key_of(path))
        if points_to is not None:
            for placed in points_to.placed:
                handler = name_of(placed.handler)
                yield Slot(function="", at=Place(path, placed.line), slot=placed.slot, handler=handler)
            for bound in points_to.bound:
                handler, at = name_of(bound.handler), Place(path, bound.line)
                yield Bind(function="", at=at, work=bound.work, handler=handler, runner=bound.runner)

    def _matters(self, write: Write) -> bool:
        tested = self.events.tested
        return write.call in _BIOS or write.object in tested or write.object.partition(" & ")[0] in tested

    # --- questions

    def entered(self, key: FunctionKey) -> tuple[ExecutionContext, ...]:
        """The contexts that a function runs in, the shortest chain for each."""
        return self.contexts.of(key)

    def may_leave(self, key: FunctionKey) -> frozenset[str]:
        """Identities of the locks that a function holds at one of its returns or more; none for an unknown key."""
        if key not in self.names.functions:
            return frozenset()
        return frozenset(t.lock for left in self.locksets.record(key).left for t in left.takes)

    def roots(self, key: FunctionKey) -> frozenset[EntryPoint]:
        """Every root above a function in the call graph, on chains no run can take as well: use it to show where it
        does not run."""
        return self.contexts.roots(key)

    def entry(self, key: FunctionKey) -> tuple[EntryLockset, ...]:
        """The entry locksets of a function: for each way in that holds something else, the locks and the chain of
        callers."""
        return self._entries.of(key)

    def surely_held(self, key: FunctionKey) -> frozenset[str]:
        """Identities of the locks that are held on every way into a function."""
        return self._entries.surely(key)

    @cached_property
    def _entries(self) -> EntryLocksets:
        return EntryLocksets(self.callgraph, self.locksets)

    def calls_of(self, key: FunctionKey) -> list[tuple[FunctionKey, tuple[Held, ...], frozenset[str]]]:
        """The call sites that name a function: (caller's key, locks held there, locks of the caller's own callers that
        it has released)."""
        return self._entries.calls_of(key)

    @cached_property
    def awaited(self) -> frozenset[str]:
        """Work items that I/O waits for."""
        return frozenset(item.work for item in self.served())

    @cached_property
    def taken(self) -> dict[str, tuple[tuple[FunctionKey, str], ...]]:
        """Lock -> (function key, mode) of each function that blocks on it in a call of its own; a trylock is none."""
        found: dict[str, dict[tuple[FunctionKey, str], None]] = {}
        for key, fact in self.all(Lock):
            if fact.how in BLOCKING:
                found.setdefault(fact.lock, {})[key, fact.mode] = None
        return {lock: tuple(places) for lock, places in found.items()}

    @cached_property
    def flushers(self) -> tuple[FunctionKey, ...]:
        """Keys of the functions that wait for work items, queues or timers themselves."""
        return tuple(dict.fromkeys(key for key, _ in self.all(Flush)))

    def served(self) -> tuple[AwaitedWork, ...]:
        """Work items that I/O waits for, each with both chains that say so; see `served`."""
        return self._served

    @cached_property
    def _served(self) -> tuple[AwaitedWork, ...]:
        return tuple(served(self.callgraph, self.events, self.contexts, self.effects))

    def does(self, key: FunctionKey, given: Given = ()) -> Mapping[Effect, Provenance]:
        """The effect summary of a function called with these constants: effect -> the call or line that it comes
        from."""
        return self.effects.of(key, given)
