"""Breadth-first search of all states that a model can reach, with limits.

The result is the whole graph in arrays of numbers: states in the order found, and for each all ways on. These are looked
up in a table at first (`reviewbot.sim.table`); for many states the automaton becomes a Python function
(`reviewbot.sim.generate`).
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import TypeVar

import msgspec

from reviewbot.sim.automaton import Automaton, OutOfRange, apply, is_open
from reviewbot.sim.generate import generate
from reviewbot.sim.reduce import Moves, fused, plain
from reviewbot.sim.table import look_up

BATCH = 1024
"""States between two looks at the limits."""
LOOKED_UP = 50
"""States for each move of the automaton that are expanded by look-ups, before a function is made of it."""
PER_STATE = 28 + 12 + 4 + 8 + 56 + 32 + 4
"""Bytes a state costs besides its content: key, rounding, spread, list, table, its index, start."""
SPREAD = 0x278DDE6D
"""A state times this is its key where nothing is left out. Python's hash of a state itself is its last bytes mostly, and
those are few: a table of a million states is asked at seven places to find one, at one or two with this (Knuth, TAOCP 3,
6.4). It is a digit of Python's long numbers, by which they are divided fast."""


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
    order: list[int] = []
    """The key of each state: all its bytes as one big-endian number, so that a step is one addition, times `factor`."""
    starts: array[int] = msgspec.field(default_factory=lambda: array("I", [0]))
    targets: array[int] = msgspec.field(default_factory=lambda: array("I"))
    """State i leads to targets[starts[i]:starts[i + 1]]."""
    marks: set[str] = msgspec.field(default_factory=set)
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
        return (self.order[number] // self.factor).to_bytes(len(self.automaton.initial), "big")

    def numbers(self) -> Iterable[int]:
        """All states, each as one number, in their order."""
        return self.order if self.factor == 1 else (key // self.factor for key in self.order)

    def onward(self, number: int) -> array[int]:
        """The states that a state leads to."""
        return self.targets[self.starts[number] : self.starts[number + 1]]

    def way(self, number: int) -> list[int]:
        """The numbers of the states on a shortest way to a state, from the initial one to it."""
        firsts, known = [0], 1  # the edge that led to each state first: in this order they have their numbers
        for edge, target in enumerate(self.targets):
            if target == known:
                firsts.append(edge)
                known += 1
                if target == number:
                    break
        way = [number]
        while way[-1]:
            way.append(bisect_right(self.starts, firsts[way[-1]]) - 1)
        return way[::-1]

    def path(self, number: int) -> list[bytes]:
        """The states on a shortest way to a state."""
        return [self.state(at) for at in self.way(number)]


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
    space = Space(automaton, fused(automaton) if reduce else plain(automaton), reduce)
    order = space.order
    index: dict[int, int] = defaultdict(count().__next__)  # a key that is asked for gets the next number
    order.append(int.from_bytes(automaton.initial, "big") * space.factor)
    index[order[0]]
    few = LOOKED_UP * sum(len(ways) for places in space.moves for ways in places)
    expand = look_up(space, index)
    until, begin, made = time.process_time() + limits.seconds, 0, False
    while begin < len(order) and not space.reason:
        if begin >= few and not made:
            expand, made = generate(space, index), True
        end = min(len(order), begin + BATCH)
        try:
            expand(begin, end)
        except (ValueError, OverflowError):
            space.reason, space.broken = _out_of_range(space), True
            break
        new = list(islice(reversed(index), len(index) - len(order)))
        order.extend(reversed(new))
        begin = end
        if begin < len(order):
            space.reason = _exhausted(space, limits, until)
    if made:  # a function and its globals hold each other, and so all of this
        expand.__globals__.clear()
    return space


def _exhausted(space: Space, limits: Limits, until: float) -> str:
    """The limit that is hit, in words."""
    if len(space.order) > limits.states:
        return f"more than {limits.states:,} states"
    if len(space.order) * (PER_STATE + len(space.automaton.initial)) + len(space.targets) * 4 > limits.bytes:
        return f"more than {limits.bytes >> 20:,} MB"
    return f"more than {limits.seconds:g} s" if time.process_time() > until else ""


def _out_of_range(space: Space) -> str:
    """Which cell it was: changed by a step out of the state that the search stopped in, or by one into it."""
    for at in space.way(space.expanded)[-2:]:
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
