"""The one form that search, replay, text and Promela share: for each place of each class of tasks, its ways on.

A state is bytes: one for each cell, then the place of every task, those of one class side by side (one byte each, two
where the class has more than 256 places). Cells and places are numbers here; `Automaton.cells` says what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from reviewbot.limits import MAX_CELL
from reviewbot.sim.program import Act, Cell, Model
from reviewbot.sim.work import Runner


class Cond(NamedTuple):
    """`state[cell] op value`, or another cell's content where `other` is set."""

    cell: int
    op: Literal["==", "!=", "<", ">="]
    value: int
    other: bool = False


class CellChange(NamedTuple):
    """`=`: set, `+`: add, `drop`: one less but never below 0; `value` is a cell where `other` is set."""

    cell: int
    op: Literal["=", "+", "drop"]
    value: int
    other: bool = False


Guard = tuple[tuple[Cond, ...], ...]
"""One of these has to hold, each being a conjunction: () is never, ((),) is always."""

ALWAYS: Guard = ((),)


class AutomatonEdge(msgspec.Struct, frozen=True, gc=False):
    """One way on from a place."""

    guard: Guard
    changes: tuple[CellChange, ...]
    target: int
    act: Act
    """Where it comes from: words, place in the source, what is waited for."""
    marks: tuple[str, ...] = ()


class Work(NamedTuple):
    """A routine that a runner runs, the cell that counts how often it is queued, and where its threads begin it."""

    runner: Runner
    title: str
    pending: int
    entries: tuple[tuple[int, int], ...]
    """(class, first place) for each class of threads that may run it."""


class Class(msgspec.Struct, frozen=True):
    """A class of identical tasks or threads."""

    name: str
    n: int
    entry: int
    home: frozenset[int]
    """Places where a task has nothing to do: it has finished, or waits for work."""
    edges: tuple[tuple[AutomatonEdge, ...], ...]
    """By place."""
    offset: int
    """Where its tasks begin in the state."""
    width: int
    """Bytes for each task."""

    def place(self, state: bytes | bytearray, task: int) -> int:
        """The place of one task, counted from 0 within its class."""
        at = self.offset + task * self.width
        return state[at] if self.width == 1 else state[at] << 8 | state[at + 1]

    def places(self, state: bytes | bytearray) -> list[int]:
        """The places of all its tasks."""
        if self.width == 1:
            return list(state[self.offset : self.offset + self.n])
        return [self.place(state, i) for i in range(self.n)]

    def put(self, state: bytearray, task: int, place: int) -> None:
        """Move one task."""
        at = self.offset + task * self.width
        state[at : at + self.width] = place.to_bytes(self.width, "big")

    @property
    def end(self) -> int:
        """Where the class's part of a state ends, in bytes."""
        return self.offset + self.n * self.width


class Automaton(msgspec.Struct, frozen=True):
    """A compiled model."""

    model: Model
    cells: tuple[Cell, ...]
    classes: tuple[Class, ...]
    works: tuple[Work, ...]
    initial: bytes

    @property
    def too_high(self) -> int:
        """The bits of a state as a number that are set where a cell has left its range."""
        places = len(self.initial) - len(self.cells)
        return int.from_bytes(bytes([MAX_CELL + 1] * len(self.cells) + [0] * places), "big")

    def away(self, state: bytes) -> bool:
        """Whether a task is not at home."""
        return not self.at_home(state)

    def at_home(self, state: bytes) -> bool:
        """Whether all tasks are at home."""
        return all(place in c.home for c in self.classes for place in c.places(state))


class OutOfRange(Exception):
    """A cell left its range: the model counts without bound, or gives back what was not taken."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(f"{cell} left the range 0..{MAX_CELL}: unbounded, or given back without having been taken")


def is_open(guard: Guard, state: bytes) -> bool:
    """Whether a guard lets a task through in the state."""
    for conjunction in guard:
        for cell, op, value, other in conjunction:
            left, right = state[cell], state[value] if other else value
            if left < right if op == ">=" else left >= right if op == "<" else (left == right) != (op == "=="):
                break
        else:
            return True
    return False


def holds(cond: Cond, state: bytes) -> bool:
    """Whether one condition holds in the state."""
    return is_open(((cond,),), state)


def apply(changes: tuple[CellChange, ...], state: bytearray, cells: tuple[Cell, ...]) -> None:
    """Do the changes in order. Errors: OutOfRange."""
    for cell, op, value, other in changes:
        by = state[value] if other else value
        new = by if op == "=" else state[cell] + by if op == "+" else max(0, state[cell] - by)
        if not 0 <= new <= MAX_CELL:
            raise OutOfRange(cells[cell])
        state[cell] = new


def fire(automaton: Automaton, state: bytes, c: Class, task: int, edge: AutomatonEdge) -> bytes:
    """The state after one task took one way on, whose guard holds. Errors: OutOfRange."""
    after = bytearray(state)
    apply(edge.changes, after, automaton.cells)
    c.put(after, task, edge.target)
    return bytes(after)


def successors(automaton: Automaton, state: bytes) -> Iterator[tuple[int, int, AutomatonEdge, bytes]]:
    """Every (class, task, edge, state after) from a state: the plain meaning of the automaton, for checking others."""
    for number, c in enumerate(automaton.classes):
        for task in range(c.n):
            for edge in c.edges[c.place(state, task)]:
                if is_open(edge.guard, state):
                    yield number, task, edge, fire(automaton, state, c, task, edge)
