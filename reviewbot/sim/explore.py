"""Breadth-first search of all states that a model can reach, with limits.

The result is the whole graph in arrays of numbers: states in the order found, the first way to each, all ways on. The
first few states are expanded by reading the automaton; then it becomes a Python function (`reviewbot.sim.generate`).
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import NamedTuple, TypeVar

import msgspec

from reviewbot.sim.automaton import ALWAYS, Automaton, Class, Guard, OutOfRange, apply, is_open
from reviewbot.sim.generate import SPREAD, Sorted, added, generate, leaves_range
from reviewbot.sim.reduce import Move, Moves, fused, plain

BATCH = 1024
"""States between two looks at the limits."""
READ = 1
"""States for each move of the automaton that are expanded by reading it, before a function is made of it."""
PER_STATE = 2 * (28 + 12) + 4 + 8 + 56 + 32 + 4 + 4
"""Bytes a state costs besides twice its content: number and key, rounding, list, table, its index, who found it, start."""


class Limits(msgspec.Struct, frozen=True):
    """Where a search gives up. What it has not seen then is inconclusive, never free.

    states: number of states. seconds: of processor time, so that a busy machine does not change what is found.
    bytes: of memory for states and edges, estimated.
    """

    states: int = 1_000_000
    seconds: float = 60.0
    bytes: int = 1 << 30


class Space(msgspec.Struct, eq=False):
    """The states that a search has reached, numbered in breadth-first order."""

    automaton: Automaton
    moves: Moves
    ordered: bool
    """Whether the tasks of a class are sorted."""
    order: list[int]
    """Each state as one big-endian number: a step then is one addition."""
    known: array[int]
    """How many states were known when a state had its ways on: it is the first way to those that it added."""
    starts: array[int]
    targets: array[int]
    """State i leads to targets[starts[i]:starts[i + 1]]."""
    marks: set[str]
    """Marks that were reached."""
    reason: str = ""
    """Why the search is not complete."""
    broken: bool = False
    """A cell has left its range: nothing that was found counts."""

    @property
    def factor(self) -> int:
        """A state times this is its key: without reductions there are so many that their keys have to be spread."""
        return 1 if self.ordered else SPREAD

    @property
    def complete(self) -> bool:
        """Whether every reachable state is there, with all its ways on."""
        return not self.reason

    @property
    def expanded(self) -> int:
        """How many states have their ways on, from the first."""
        return len(self.starts) - 1

    def state(self, number: int) -> bytes:
        """A state by its number."""
        return self.order[number].to_bytes(len(self.automaton.initial), "big")

    def parent(self, number: int) -> int:
        """The state that a state was first reached from; the first has itself."""
        return bisect_right(self.known, number)

    def onward(self, number: int) -> array[int]:
        """The states that a state leads to."""
        return self.targets[self.starts[number] : self.starts[number + 1]]

    def path(self, number: int) -> list[bytes]:
        """A shortest way to a state, from the initial one."""
        way = [number]
        while way[-1]:
            way.append(self.parent(way[-1]))
        return [self.state(i) for i in reversed(way)]


class OutOfTime(Exception):
    """The time is up that a caller has given."""


T = TypeVar("T")


def timed(items: Iterable[T], until: float) -> Iterator[T]:
    """The items, with a look at the clock (time.process_time) now and then. Errors: OutOfTime."""
    for nth, item in enumerate(items):
        if not nth % BATCH and time.process_time() > until:
            raise OutOfTime
        yield item


def explore(automaton: Automaton, limits: Limits, *, reduce: bool = True) -> Space:
    """Search; with `reduce` tasks are sorted and releases fused (`reviewbot.sim.reduce`), else nothing is left out."""
    moves = fused(automaton) if reduce else plain(automaton)
    initial = int.from_bytes(automaton.initial, "big")
    space = Space(automaton, moves, reduce, [initial], array("I"), array("I", [0]), array("I"), set())
    index: dict[int, int] = defaultdict(count().__next__)  # a key that is asked for gets the next number
    index[initial * space.factor]
    few = READ * sum(len(ways) for places in moves for ways in places)
    batch: Callable[[int, int], None] = _Reader(space, index)
    until, begin, made = time.process_time() + limits.seconds, 0, False
    while begin < len(space.order) and not space.reason:
        if begin >= few and not made:
            batch, made = generate(space, index), True
        end = min(len(space.order), begin + (BATCH if made else max(1, few)))
        try:
            batch(begin, end)
        except (ValueError, OverflowError, OutOfRange):
            space.reason, space.broken = _out_of_range(space), True
            break
        new = list(islice(reversed(index), len(index) - len(space.order)))
        space.order.extend(reversed(new) if space.ordered else [key // space.factor for key in reversed(new)])
        begin = end
        if begin < len(space.order):
            space.reason = _exhausted(space, limits, until)
    if made:  # a function and its globals hold each other, and so all of this
        batch.__globals__.clear()
    return space


def _exhausted(space: Space, limits: Limits, until: float) -> str:
    """The limit that is hit, in words."""
    if len(space.order) > limits.states:
        return f"more than {limits.states:,} states"
    if len(space.order) * (PER_STATE + 2 * len(space.automaton.initial)) + len(space.targets) * 4 > limits.bytes:
        return f"more than {limits.bytes >> 20:,} MB"
    return f"more than {limits.seconds:g} s" if time.process_time() > until else ""


class _Way(NamedTuple):
    """A move from a place, as it is read again and again."""

    move: Move
    guard: Guard | None
    """None where it is always open."""
    constant: int | None
    """What it adds to the state, where that is always the same but for the order of the tasks."""
    order: Sorted | None


class _Reader:
    """Expands states by reading the automaton: for so few states that making a function of it costs more."""

    def __init__(self, space: Space, index: dict[int, int]) -> None:
        self.space, self.index = space, index
        self.ways: list[dict[int, list[_Way]]] = [{} for _ in space.automaton.classes]

    def prepared(self, number: int, place: int) -> list[_Way]:
        """The moves from a place."""
        ways = self.ways[number]
        if place not in ways:
            automaton, c = self.space.automaton, self.space.automaton.classes[number]
            size, several = len(automaton.initial), c.n > 1
            ways[place] = []
            for move in self.space.moves[number][place]:
                terms, always = added(move.changes, size)
                always += 0 if several else (move.target - place) << 8 * (size - c.end)
                fixed = not terms and not leaves_range(move.changes) and (self.space.ordered or not several)
                order = Sorted(automaton, c, place, move.target) if several and self.space.ordered else None
                guard = None if move.guard == ALWAYS else move.guard
                ways[place].append(_Way(move, guard, always if fixed else None, order))
        return ways[place]

    def __call__(self, begin: int, end: int) -> None:
        """Expand the states of these numbers. Errors: ValueError, OverflowError, OutOfRange."""
        space, index, cells = self.space, self.index, len(self.space.automaton.cells)
        for at in range(begin, end):
            value, state = space.order[at], space.state(at)
            if not state[:cells].isascii():
                raise ValueError("a cell has left its range")
            for number, c in enumerate(space.automaton.classes):
                before = -1
                for task, place in enumerate(c.places(state)):
                    if space.ordered and place == before:  # the task before it is in the same place and has done it
                        continue
                    before = place
                    for move, guard, constant, order in self.ways[number].get(place) or self.prepared(number, place):
                        if guard is None or is_open(guard, state):
                            if constant is None:
                                after = self.after(c, state, task, move)
                            else:
                                after = value + constant + (order[state[c.offset : c.end]] if order is not None else 0)
                            space.targets.append(index[after * space.factor])
                            if move.marks:
                                space.marks.update(move.marks)
            space.starts.append(len(space.targets))
            space.known.append(len(index))

    def after(self, c: Class, state: bytes, task: int, move: Move) -> int:
        """The state after a move, done step by step."""
        changed = bytearray(state)
        apply(move.changes, changed, self.space.automaton.cells)
        c.put(changed, task, move.target)
        if self.space.ordered and c.n > 1:
            for nth, there in enumerate(sorted(c.places(changed))):
                c.put(changed, nth, there)
        return int.from_bytes(changed, "big")


def _out_of_range(space: Space) -> str:
    """Which cell it was: changed by a step out of the state that the search stopped in, or by one into it."""
    number = space.expanded
    for at in (space.parent(number), number):
        state = space.state(at)
        for c, moves in zip(space.automaton.classes, space.moves, strict=True):
            for place in c.places(state):
                for move in moves[place]:
                    try:
                        if is_open(move.guard, state):
                            apply(move.changes, bytearray(state), space.automaton.cells)
                    except OutOfRange as error:
                        return str(error)
    raise AssertionError("no cell is out of range")
