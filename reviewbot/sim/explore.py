"""Breadth-first search of all states that a model can reach, with limits.

The result is the whole graph in arrays of numbers: states in the order found, and for each all ways on. These are looked
up in a table at first (`reviewbot.sim.table`); for many states the automaton becomes a Python function
(`reviewbot.sim.generate`).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import TypeVar

import msgspec

from reviewbot.sim.automaton import Automaton, OutOfRange, apply, is_open
from reviewbot.sim.generate import generate
from reviewbot.sim.reduce import fused, plain
from reviewbot.sim.space import Space
from reviewbot.sim.table import look_up

BATCH = 1024
"""States between two looks at the limits."""
LOOKED_UP = 50
"""States for each move of the automaton that are expanded by look-ups, before a function is made of it."""
PER_STATE = 28 + 12 + 4 + 8 + 56 + 32 + 4
"""Bytes a state costs besides its content: key, rounding, spread, list, table, its index, start."""


class SearchLimits(msgspec.Struct, frozen=True):
    """Where a search gives up. What it has not seen then is inconclusive, never free.

    states: number of states. seconds: of processor time, so that a busy machine does not change what is found.
    bytes: of memory for states and edges, estimated.
    """

    states: int = 1_000_000
    seconds: float = 60.0
    bytes: int = 1 << 30


class OutOfTime(Exception):
    """The time is up that a caller has given."""


T = TypeVar("T")


def timed(items: Iterable[T], until: float) -> Iterator[T]:
    """The items, with a look at the clock (time.process_time) now and then. Errors: OutOfTime."""
    for nth, item in enumerate(items):
        if not nth % BATCH and time.process_time() > until:
            raise OutOfTime
        yield item


def explore(automaton: Automaton, limits: SearchLimits, *, reduce: bool = True) -> Space:
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


def _exhausted(space: Space, limits: SearchLimits, until: float) -> str:
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
