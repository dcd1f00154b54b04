"""What a task does to the resources of a circle, as a small automaton: steps, and free choice between places."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

from reviewbot.facts.link import components
from reviewbot.types import Place


class Op(NamedTuple):
    """One step. kind: take, give, pass (take and give), try, fail (to take), wait, wake, flush.

    `call` is the kernel's name for it.
    """

    kind: str
    object: str
    mode: str
    call: str
    place: Place


Raw = Mapping[Hashable, list[tuple[Op | None, Hashable]]]
"""A graph: state -> ways on, silent ones without a step. A state that is no key is an end."""


class Ways(NamedTuple):
    """A place of the program: one of these steps, each with the set of places after it (one of which is chosen)."""

    steps: tuple[tuple[Op, frozenset[int]], ...]


class Program(NamedTuple):
    """A task's effects: the places it can begin with, every place, and what the ends among them are."""

    start: frozenset[int]
    places: Mapping[int, Ways]
    ends: Mapping[int, Hashable]

    def ops(self) -> set[Op]:
        """Every step that there is."""
        return {op for ways in self.places.values() for op, _ in ways.steps}


def alive(graph: Raw) -> set[Hashable]:
    """The states from which an end can be reached, ends included."""
    into: dict[Hashable, list[Hashable]] = {}
    for state, ways in graph.items():
        for _, after in ways:
            into.setdefault(after, []).append(state)
    todo = [state for state in into if state not in graph]
    found = set(todo)
    while todo:
        for state in into.get(todo.pop(), ()):
            if state not in found:
                found.add(state)
                todo.append(state)
    return found


def reduced(graph: Raw, start: Hashable, living: set[Hashable]) -> Program:
    """The same program without its silent moves, equal places taken together (partition refinement)."""
    fronts = _Fronts(graph, living)
    moves: dict[Hashable, tuple[tuple[Op, frozenset[Hashable]], ...]] = {}
    first = fronts.of(start)
    todo = list(first)
    while todo:
        state = todo.pop()
        if state not in moves:
            moves[state] = tuple((op, fronts.of(after)) for op, after in graph.get(state, ()) if op and after in living)
            todo += [s for _, after in moves[state] for s in after]
    klass = _classes(graph, moves)
    places = {
        klass[state]: Ways(tuple(sorted({(op, frozenset(klass[s] for s in after)) for op, after in ways}, key=_order)))
        for state, ways in moves.items()
    }
    ends = {klass[state]: state for state in moves if state not in graph}
    return Program(frozenset(klass[s] for s in first), places, ends)


def _order(step: tuple[Op, frozenset[int]]) -> tuple[Op, list[int]]:
    return step[0], sorted(step[1])


class _Fronts:
    """The next states that do something (or end), through silent moves."""

    def __init__(self, graph: Raw, living: set[Hashable]) -> None:
        self.graph, self.living = graph, living
        self._found: dict[Hashable, frozenset[Hashable]] = {}

    def of(self, state: Hashable) -> frozenset[Hashable]:
        """Found for all that can be reached without doing anything, the last states first."""
        if state not in self._found:
            for component in components(self._silent, [state]):
                acting: set[Hashable] = set()
                for at in component:
                    if self._acts(at):
                        acting.add(at)
                    else:
                        for _, after in self.graph[at]:
                            acting |= self._found.get(after, frozenset())
                front = frozenset(acting)
                self._found.update(dict.fromkeys(component, front))
        return self._found[state]

    def _acts(self, state: Hashable) -> bool:
        ways = self.graph.get(state)
        return ways is None or any(op is not None for op, _ in ways)

    def _silent(self, state: Hashable) -> list[Hashable]:
        if self._acts(state):
            return []
        return [after for _, after in self.graph[state] if after in self.living and after not in self._found]


def _classes(graph: Raw, moves: Mapping[Hashable, tuple[tuple[Op, frozenset[Hashable]], ...]]) -> dict[Hashable, int]:
    """States that nobody can tell apart have one number, the same in every run; ends have numbers of their own."""
    ends = {state: -1 - n for n, state in enumerate(sorted((s for s in moves if s not in graph), key=repr))}
    klass: dict[Hashable, int] = {state: ends.get(state, 0) for state in moves}
    fronts = {after for ways in moves.values() for _, after in ways}
    count = 0
    while True:
        onto = {after: tuple(sorted({klass[s] for s in after})) for after in fronts}
        keys = {
            state: (klass[state], tuple(sorted({(op, onto[after]) for op, after in ways})))
            for state, ways in moves.items()
        }
        numbers = {key: n for n, key in enumerate(sorted(set(keys.values())))}
        klass = {state: numbers[key] for state, key in keys.items()}
        if len(numbers) == count:
            return klass
        count = len(numbers)
