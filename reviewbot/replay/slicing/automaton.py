"""What a task does to the resources of a circle, as a small automaton: steps, and free choice between places."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

from reviewbot.analysis.callgraph.components import components
from reviewbot.types import Place


class SlicedOp(NamedTuple):
    """One step. kind: take, give, keep (for read what was taken for write), pass (take and give), try, fail (to take), spoil
    (give what is not held), wait, wake, flush.

    `call` is the kernel's name for it.
    """

    kind: str
    object: str
    mode: str
    call: str
    place: Place


class RawAutomaton:
    """A graph under construction. states: by number, in the order found; ways: per state its moves (step, or None for a
    silent one; number of the next state), None for an end."""

    def __init__(self) -> None:
        self.states: list[Hashable] = []
        self.ways: list[list[tuple[SlicedOp | None, int]] | None] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, state: Hashable) -> int:
        """The number of a state. A new one is added, as an end until its ways are set."""
        number = self._numbers.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
            self.ways.append(None)
        return number


class Ways(NamedTuple):
    """The moves from one place of an automaton: each step with the set of places after it, one of which is chosen
    freely."""

    steps: tuple[tuple[SlicedOp, frozenset[int]], ...]


class TaskAutomaton(NamedTuple):
    """A task automaton. start: places it can begin at; places: number -> moves; ends: number of a final place -> the
    state that it stands for."""

    start: frozenset[int]
    places: Mapping[int, Ways]
    ends: Mapping[int, Hashable]

    def ops(self) -> set[SlicedOp]:
        """The set of all steps in it."""
        return {op for ways in self.places.values() for op, _ in ways.steps}


def alive(graph: RawAutomaton) -> set[int]:
    """The states from which an end can be reached, ends included."""
    into: list[list[int]] = [[] for _ in graph.ways]
    for state, ways in enumerate(graph.ways):
        for _, after in ways or ():
            into[after].append(state)
    todo = [state for state, ways in enumerate(graph.ways) if ways is None]
    found = set(todo)
    while todo:
        for state in into[todo.pop()]:
            if state not in found:
                found.add(state)
                todo.append(state)
    return found


def reduced(graph: RawAutomaton, start: int, living: set[int]) -> TaskAutomaton:
    """The same program without its silent moves, equal places taken together (partition refinement)."""
    fronts = _Fronts(graph, living)
    moves: dict[int, tuple[tuple[SlicedOp, frozenset[int]], ...]] = {}
    first = fronts.of(start)
    todo = list(first)
    while todo:
        state = todo.pop()
        if state not in moves:
            ways = graph.ways[state] or ()
            moves[state] = tuple({(op, fronts.of(after)): None for op, after in ways if op and after in living})
            todo += [s for _, after in moves[state] for s in after if s not in moves]
    klass = _classes(graph, moves)
    places = {
        klass[state]: Ways(tuple(sorted({(op, frozenset(klass[s] for s in after)) for op, after in ways}, key=_order)))
        for state, ways in moves.items()
    }
    ends = {klass[state]: graph.states[state] for state in moves if graph.ways[state] is None}
    return TaskAutomaton(frozenset(klass[s] for s in first), places, ends)


def _order(step: tuple[SlicedOp, frozenset[int]]) -> tuple[SlicedOp, list[int]]:
    return step[0], sorted(step[1])


class _Fronts:
    """The next states that do something (or end), through silent moves."""

    def __init__(self, graph: RawAutomaton, living: set[int]) -> None:
        self._found: list[frozenset[int] | None] = [
            frozenset((state,)) if ways is None or any(op is not None for op, _ in ways) else None
            for state, ways in enumerate(graph.ways)
        ]
        self._graph, self._living = graph, living

    def of(self, state: int) -> frozenset[int]:
        """Found for all that can be reached without doing anything, the last states first."""
        found = self._found[state]
        if found is None:
            for component in components(self._silent, [state]):
                parts = {f for at in component for after in self._onward(at) if (f := self._found[after]) is not None}
                front = next(iter(parts)) if len(parts) == 1 else frozenset().union(*parts)
                for at in component:
                    self._found[at] = front
            found = self._found[state]
            assert found is not None
        return found

    def _onward(self, state: int) -> list[int]:
        return [after for _, after in self._graph.ways[state] or () if after in self._living]

    def _silent(self, state: int) -> list[int]:
        return [after for after in self._onward(state) if self._found[after] is None]


def _classes(graph: RawAutomaton, moves: Mapping[int, tuple[tuple[SlicedOp, frozenset[int]], ...]]) -> dict[int, int]:
    """States that nobody can tell apart have one number, the same in every run; ends have numbers of their own."""
    states = graph.states
    ends = sorted((s for s in moves if graph.ways[s] is None), key=lambda s: repr(states[s]))
    klass = dict.fromkeys(moves, 0)
    klass.update({state: -1 - n for n, state in enumerate(ends)})
    ops = {op: n for n, op in enumerate(sorted({op for ways in moves.values() for op, _ in ways}))}
    fronts = {front: n for n, front in enumerate({front: None for ways in moves.values() for _, front in ways})}
    steps = {state: [(ops[op], fronts[front]) for op, front in ways] for state, ways in moves.items()}
    count = 0
    while True:
        onto = [tuple(sorted({klass[s] for s in front})) for front in fronts]
        keys = {
            state: (klass[state], tuple(sorted({(op, onto[front]) for op, front in ways})))
            for state, ways in steps.items()
        }
        numbers = {key: n for n, key in enumerate(sorted(set(keys.values())))}
        klass = {state: numbers[key] for state, key in keys.items()}
        if len(numbers) == count:
            return klass
        count = len(numbers)
