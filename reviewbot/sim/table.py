"""What the ways on from a state add to it, looked up by what they depend on.

What a class of tasks may do next depends on its places and on the cells that are read there, and of those a search
meets a few only, whatever all others do in between: each is worked out once, and then found in a table.
"""

from __future__ import annotations

from operator import getitem
from struct import Struct, iter_unpack
from typing import TYPE_CHECKING

from reviewbot.sim.automaton import MOST, Change, is_open
from reviewbot.sim.reduce import Move

if TYPE_CHECKING:
    from reviewbot.sim.explore import Space

MOST_KNOWN = 20_000
"""Entries of one table, which then begins anew."""


class Table:
    """Expands states by looking up their ways on: for so few states that making a function of them costs more."""

    def __init__(self, space: Space, index: dict[int, int]) -> None:
        self.space, self.index = space, index
        self.rows = [Rows(ways) for ways in _ways(space)]
        cells = len(space.automaton.cells)
        self.split = Struct(f"{cells}x" + "".join(f"{rows.ways.end - rows.ways.begin}s" for rows in self.rows)).unpack

    def __call__(self, begin: int, end: int) -> None:
        """Expand the states of these numbers. Errors: ValueError, OverflowError."""
        space, index, rows, split = self.space, self.index, self.rows, self.split
        target, start, targets = space.targets.append, space.starts.append, space.targets
        size, too_high, factor = len(space.automaton.initial), space.automaton.too_high, space.factor
        for key in space.order[begin:end]:
            state = key if factor == 1 else key // factor
            if state & too_high:
                raise ValueError("a cell has left its range")
            for mask, ways in map(getitem, rows, split(state.to_bytes(size, "big"))):
                for by in ways[state & mask]:
                    target(index[key + by])
            start(len(targets))


class Ways(dict[int, tuple[int, ...]]):
    """What some tasks of a class may add to a state's key, by that state with all blank that they do not depend on."""

    def __init__(self, space: Space, number: int, first: int, n: int) -> None:
        super().__init__()
        self.space, self.moves, self.size = space, space.moves[number], len(space.automaton.initial)
        c = space.automaton.classes[number]
        self.width = c.width
        self.begin, self.end = c.offset + first * c.width, c.offset + (first + n) * c.width

    def __missing__(self, blanked: int) -> tuple[int, ...]:
        if len(self) >= MOST_KNOWN:
            self.clear()
        state = blanked.to_bytes(self.size, "big")
        places = self.places(state[self.begin : self.end])
        found: list[int] = []
        for nth, place in enumerate(places):
            if place in places[:nth]:  # a task before it is there too and does the same
                continue
            for move in self.moves[place]:
                if is_open(move.guard, state):
                    self.space.marks.update(move.marks)
                    after = sorted([*places[:nth], move.target, *places[nth + 1 :]])
                    found.append((self.moved(places, after) + self.changed(move.changes, state)) * self.space.factor)
        self[blanked] = result = tuple(found)
        return result

    def places(self, row: bytes) -> list[int]:
        """The places of the tasks."""
        return list(row) if self.width == 1 else [place for (place,) in iter_unpack(">H", row)]

    def moved(self, before: list[int], after: list[int]) -> int:
        """What it adds that the tasks leave some places for others."""
        row, base = 0, 256**self.width
        for old, new in zip(before, after, strict=True):
            row = row * base + new - old
        return row << 8 * (self.size - self.end)

    def changed(self, changes: tuple[Change, ...], state: bytes) -> int:
        """What changes of cells add; the cells that they read are not blank. Errors: ValueError."""
        now: dict[int, int] = {}
        for cell, op, value, other in changes:
            by = now.get(value, state[value]) if other else value
            if abs(by) > MOST:
                raise ValueError("a change that no cell can take is there to end the search")
            before = now.get(cell, state[cell])
            now[cell] = by if op == "=" else before + by if op == "+" else max(0, before - by)
        return sum((new - state[cell]) << 8 * (self.size - cell - 1) for cell, new in now.items())


class Rows(dict[bytes, tuple[int, Ways]]):
    """What is not blank where those tasks are in some places: these, and the cells that are read there; and the table."""

    def __init__(self, ways: Ways) -> None:
        super().__init__()
        self.ways = ways

    def __missing__(self, row: bytes) -> tuple[int, Ways]:
        if len(self) >= MOST_KNOWN:
            self.clear()
        kept = bytearray(self.ways.size)
        kept[self.ways.begin : self.ways.end] = b"\xff" * len(row)
        for place in self.ways.places(row):
            for cell in reads(self.ways.moves[place]):
                kept[cell] = 0xFF
        self[row] = found = int.from_bytes(kept, "big"), self.ways
        return found


def reads(moves: tuple[Move, ...]) -> set[int]:
    """The cells that decide which of the moves are open, and what they add."""
    found: set[int] = set()
    for move in moves:
        for conjunction in move.guard:
            for cell, _, value, other in conjunction:
                found.update((cell, value) if other else (cell,))
        for cell, op, value, other in move.changes:
            if op != "+":
                found.add(cell)
            if other:
                found.add(value)
    return found


def _ways(space: Space) -> list[Ways]:
    """For each class, the tasks that are sorted together, or each task."""
    found = []
    for number, c in enumerate(space.automaton.classes):
        step = c.n if space.ordered else 1
        found += [Ways(space, number, first, step) for first in range(0, c.n, step)]
    return found
