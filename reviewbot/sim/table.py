"""What the ways on from a state add to it, looked up by what they depend on.

What a task may do next depends on its place and on the cells that are read there, and of those a search meets a few
only, whatever all others do in between: each is worked out once, and then found in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct

from reviewbot.limits import MAX_CELL, MAX_TABLE_ENTRIES
from reviewbot.sim.automaton import CellChange, is_open
from reviewbot.sim.reduce import Move
from reviewbot.sim.space import Space


def look_up(space: Space, index: dict[int, int]) -> Callable[[int, int], None]:
    """A function that expands the states of these numbers: it takes no time to make, unlike that of `generate`.

    Errors: the function raises ValueError or OverflowError where a cell leaves its range.
    """
    automaton, factor, groups = space.automaton, space.factor, _groups(space)
    size, too_high = len(automaton.initial), automaton.too_high
    split = Struct(
        f"{len(automaton.cells)}x" + "".join(f"{group[-1].end - group[0].begin}s" for group in groups)
    ).unpack
    masks: list[dict[bytes, int]] = [{} for _ in groups]  # by the places of a group: all that it depends on there
    ways: list[dict[int, tuple[int, ...]]] = [{} for _ in groups]  # by a state with all blank but that: what moves add
    order, starts, targets = space.order, space.starts, space.targets
    target, start = targets.append, starts.append

    def expand(begin: int, end: int) -> None:
        for key in order[begin:end]:
            state = key if factor == 1 else key // factor
            if state & too_high:
                raise ValueError("a cell has left its range")
            for nth, row in enumerate(split(state.to_bytes(size, "big"))):
                try:
                    found = ways[nth][state & masks[nth][row]]
                except KeyError:
                    found = work_out(nth, row, state)
                for by in found:
                    target(index[key + by])
            start(len(targets))

    def work_out(nth: int, row: bytes, state: int) -> tuple[int, ...]:
        if len(ways[nth]) >= MAX_TABLE_ENTRIES:
            ways[nth].clear()
            masks[nth].clear()
        found: list[int] = []
        content, mask = state.to_bytes(size, "big"), 0
        for tasks in groups[nth]:
            mask |= tasks.look(state, content, found)
        masks[nth][row] = mask
        ways[nth][state & mask] = result = tuple(found)
        return result

    return expand


def _groups(space: Space) -> list[list[_Tasks]]:
    """What is looked up together: tasks that are sorted together, else two neighbours."""
    groups: list[list[_Tasks]] = []
    for number, c in enumerate(space.automaton.classes):
        step = max(1, c.n if space.ordered else 1)  # a model may have none of a class
        for first in range(0, c.n, step):
            tasks = _Tasks(space, number, first, step)
            if step == 1 and groups and len(groups[-1]) == groups[-1][0].n == 1:
                groups[-1].append(tasks)
            else:
                groups.append([tasks])
    return groups


class _Tasks:
    """Some tasks of a class, side by side in the state."""

    def __init__(self, space: Space, number: int, first: int, n: int) -> None:
        self.space, self.moves, self.size = space, space.moves[number], len(space.automaton.initial)
        c = space.automaton.classes[number]
        self.n, self.factor, self.row = n, space.factor, Struct(f">{n}{'B' if c.width == 1 else 'H'}")
        self.begin, self.end = c.offset + first * c.width, c.offset + (first + n) * c.width
        self.shift = 8 * (self.size - self.end)
        self.all: int = (256**self.row.size - 1) << self.shift
        self.known: dict[int, tuple[int, dict[int, list[tuple[int, int]]]]] = {}
        """By place: the mask of the cells that are read there; and the moves that are open, by these cells."""

    def look(self, state: int, content: bytes, found: list[int]) -> int:
        """What they depend on in a state, as a mask; adds to `found` what each open move adds to its key."""
        mask, here = self.all, state & self.all
        places: tuple[int, ...] = self.row.unpack_from(content, self.begin)
        for nth, place in enumerate(places):
            if nth and place == places[nth - 1]:  # the task before it is there too and does the same
                continue
            if place not in self.known:
                self.known[place] = self.reads(self.moves[place]), {}
            reads, moves = self.known[place]
            mask |= reads
            if (cells := state & reads) not in moves:
                moves[cells] = list(self.open(place, content))
            for target, by in moves[cells]:
                if self.n == 1:
                    by += (target - place) << self.shift
                else:
                    after = self.row.pack(*sorted((*places[:nth], target, *places[nth + 1 :])))
                    by += (int.from_bytes(after, "big") << self.shift) - here
                found.append(by * self.factor)
        return mask

    def open(self, place: int, state: bytes) -> Iterator[tuple[int, int]]:
        """Where the moves lead that are open, and what their changes add."""
        for move in self.moves[place]:
            if is_open(move.guard, state):
                self.space.marks.update(move.marks)
                yield move.target, added(move.changes, state)

    def reads(self, moves: tuple[Move, ...]) -> int:
        """The mask of the cells that decide which of the moves are open, and what they add."""
        cells: set[int] = set()
        for move in moves:
            for conjunction in move.guard:
                for cell, _, value, other in conjunction:
                    cells.update((cell, value) if other else (cell,))
            for cell, op, value, other in move.changes:
                if op != "+" or other:
                    cells.update((cell, value) if other else (cell,))
        kept = bytearray(self.size)
        for cell in cells:
            kept[cell] = 0xFF
        return int.from_bytes(kept, "big")


def added(changes: tuple[CellChange, ...], state: bytes) -> int:
    """What changes of cells add to a state, of which only what they read has to be there. Errors: ValueError."""
    now: dict[int, int] = {}
    for cell, op, value, other in changes:
        by = now.get(value, state[value]) if other else value
        if abs(by) > MAX_CELL:
            raise ValueError("a change that no cell can take is there to end the search")
        before = now.get(cell, state[cell])
        now[cell] = by if op == "=" else before + by if op == "+" else max(0, before - by)
    return sum([(new - state[cell]) << 8 * (len(state) - cell - 1) for cell, new in now.items()])
