"""The event table: the facts of every function, made by the producers, and carried over to the next program where they
still hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TypeVar

import msgspec

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.code.memo import Before, Given, MemoTable, unknown
from reviewbot.analysis.events.kinds import Fact, Wait
from reviewbot.analysis.locks.lockset import Locksets
from reviewbot.analysis.producers import (
    allocations,
    calls,
    clients,
    gates,
    locks,
    masks,
    pools,
    threads,
    waits,
    wakes,
    work,
    workqueues,
)
from reviewbot.analysis.producers.view import View
from reviewbot.function_key import FunctionKey, is_function
from reviewbot.types import Place

F = TypeVar("F", bound=Fact)
PRODUCERS = (locks, waits, wakes, allocations, masks, pools, clients, workqueues, work, threads, calls)


class EventTable:
    """The event table of a program: facts by function key and constant arguments.

    kept: facts known from before; kinds: kind of fact -> keys of the functions that have one, where known.
    """

    def __init__(
        self,
        callgraph: CallGraph,
        locksets: Locksets,
        kept: Before[tuple[Fact, ...]] = unknown,
        kinds: Callable[[], Mapping[type[Fact], tuple[FunctionKey, ...]]] | None = None,
    ) -> None:
        self._callgraph, self._locksets = callgraph, locksets
        self.remade: frozenset[FunctionKey] = frozenset()
        """Functions whose facts are not those of the program before."""
        self._facts = MemoTable(kept)
        self._kinds = kinds
        self._views: dict[tuple[FunctionKey, Given], View] = {}
        self._having: dict[type[Fact], tuple[tuple[FunctionKey, Fact], ...]] = {}
        self._before: EventTable | None = None
        """The facts of the program before."""

    @classmethod
    def after(
        cls,
        callgraph: CallGraph,
        locksets: Locksets,
        before: EventTable,
        dirty: frozenset[FunctionKey],
        moved: Mapping[FunctionKey, int],
    ) -> EventTable:
        """The facts of a program that differs from the one before: those that still hold, moved with their functions.

        dirty: functions that are not what they were; moved: by how many lines the others moved.
        """
        events = cls(callgraph, locksets)
        stale, points_to, had = events._stale(before, dirty), callgraph.points_to, before._facts

        def kept(key: FunctionKey) -> dict[Given, tuple[Fact, ...]]:
            if key in stale or key not in points_to:
                return {}
            lines = moved.get(key, 0)
            return {g: tuple(shifted(f, lines) for f in facts) if lines else facts for g, facts in had.of(key).items()}

        events._facts = MemoTable(kept)
        events._before, events.remade = before, stale
        return events

    def _stale(self, before: EventTable, dirty: frozenset[FunctionKey]) -> frozenset[FunctionKey]:
        """Functions whose facts have to be made again."""
        stale, callers = set(dirty) | self._locksets.redone, self._callgraph.callers
        for key in dirty:  # a predicate is looked at down to the functions that it calls
            for caller in callers.get(key, ()):
                stale |= {c for c in (caller, *callers.get(caller, ())) if before.sleeps(c)}
        return frozenset(stale)

    def sleeps(self, key: FunctionKey) -> bool:
        """Whether the function has a sleep of its own."""
        return any(isinstance(f, Wait) for f in self._facts.get(key) or ())

    def view(self, key: FunctionKey, given: Given = ()) -> View:
        """A function as producers see it."""
        found = self._views.get((key, given))
        if found is None:
            found = self._views[key, given] = View(self._callgraph, self._locksets, key, given)
        return found

    def of(self, key: FunctionKey, given: Given = ()) -> tuple[Fact, ...]:
        """Facts of one function, in the order of the text; none for one that is unreadable or not there."""
        found = self._facts.get(key, given)
        if found is None:
            made: list[Fact] = []
            function = self._callgraph.names.functions.get(key)
            if function is not None and not function.unreadable:
                view = self.view(key, given)
                for producer in PRODUCERS:
                    made += producer.facts(view)
                made += gates.facts(view, tuple(made))
            made.sort(key=lambda fact: fact.at.line)
            found = self._facts.put(key, given, tuple(made))
        return found

    def all(self) -> Mapping[FunctionKey, tuple[Fact, ...]]:
        """Facts of all functions, by key."""
        return {key: self.of(key) for key in self._callgraph.functions()}

    def having(self, kind: type[F]) -> tuple[tuple[FunctionKey, F], ...]:
        """Every fact of a kind, with the key of its function."""
        found = self._having.get(kind)
        if found is None:
            keys = self.kinds.get(kind, ())
            found = self._having[kind] = tuple((key, f) for key in keys for f in self.of(key) if type(f) is kind)
        return found  # type: ignore[return-value]

    @cached_property
    def kinds(self) -> Mapping[type[Fact], tuple[FunctionKey, ...]]:
        """Kind of fact -> the functions that have some, in the order of the program."""
        if self._kinds is not None:
            return self._kinds()
        return self._by_kind(self._callgraph.functions()) if self._before is None else self._kinds_after(self._before)

    def _by_kind(self, keys: Iterable[FunctionKey]) -> dict[type[Fact], tuple[FunctionKey, ...]]:
        found: dict[type[Fact], dict[FunctionKey, None]] = {}
        for key in keys:
            for fact in self.of(key):
                found.setdefault(type(fact), {})[key] = None
        return {kind: tuple(of_kind) for kind, of_kind in found.items()}

    def _kinds_after(self, before: EventTable) -> dict[type[Fact], tuple[FunctionKey, ...]]:
        was, now, stale = before._callgraph.points_to, self._callgraph.points_to, self.remade
        place = {key: number for number, key in enumerate(now)}
        new = self._by_kind(key for key in now if (key in stale or key not in was) and is_function(key))
        old = {kind: [k for k in of_kind if k in now and k not in stale] for kind, of_kind in before.kinds.items()}
        return {
            kind: tuple(sorted((*old.get(kind, ()), *new.get(kind, ())), key=place.__getitem__))
            for kind in old.keys() | new.keys()
        }

    @cached_property
    def tested(self) -> frozenset[str]:
        """Objects that the predicate of some sleep looks at."""
        found = {read for _, wait in self.having(Wait) for read in wait.reads}
        return frozenset(found | {read.partition(" & ")[0] for read in found})


def shifted(fact: Fact, lines: int) -> Fact:
    """The fact, further down (up when negative) in its file."""
    at = Place(fact.at.file, fact.at.line + lines, fact.at.function)
    return msgspec.structs.replace(fact, at=at)


def of_kind(facts: Iterable[tuple[Fact, ...]], kind: type[Fact]) -> list[Fact]:
    """All facts of a kind."""
    return [fact for group in facts for fact in group if type(fact) is kind]
