"""The states that a search of a model has reached, and the ways between them, in arrays of numbers."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable

import msgspec

from reviewbot.sim.automaton import Automaton
from reviewbot.sim.reduce import Moves

SPREAD = 0x278DDE6D
"""A state times this is its key where nothing is left out. Python's hash of a state itself is its last bytes mostly, and
those are few: a table of a million states is asked at seven places to find one, at one or two with this (Knuth, TAOCP 3,
6.4). It is a digit of Python's long numbers, by which they are divided fast."""


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
