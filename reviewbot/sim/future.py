"""What a task in a place would still bring about if it could go on: the ground for saying who waits for whom."""

from __future__ import annotations

from typing import NamedTuple

from reviewbot.limits import MAX_NESTED_TAKES
from reviewbot.sim.automaton import Automaton, AutomatonEdge, CellChange


class FutureSpot(NamedTuple):
    """Where tasks are: a class, and a place of it."""

    number: int
    place: int


class FutureEffect(NamedTuple):
    """A cell higher (or lower) than it is now."""

    cell: int
    higher: bool


class Future:
    """Answers whether a task that is somewhere will have an effect on its way home.

    Somewhere on its way, that is: who takes first and gives back later is of no help to others, who holds already and
    gives back is. Work that it queues on the way is its doing as well. At home it does nothing of its own accord.
    meant: only what an act does to the resource that it is about counts.
    """

    def __init__(self, automaton: Automaton, meant: bool = False) -> None:
        self.automaton = automaton
        self.only_meant = meant
        self.entries = {work.pending: [FutureSpot(*entry) for entry in work.entries] for work in automaton.works}
        self.threads = frozenset(number for work in automaton.works for number, _ in work.entries)
        self._possible = self._effects_of_classes()
        self._onward: dict[FutureSpot, list[tuple[tuple[CellChange, ...], tuple[FutureSpot, ...]]]] = {}
        self._known: dict[tuple[FutureSpot, FutureEffect], bool] = {}

    def brings(self, spot: FutureSpot, effect: FutureEffect) -> bool:
        """Whether a task there would have the effect."""
        if effect not in self._possible[spot.number]:
            return False
        key = spot, effect
        if key not in self._known:
            self._known[key] = self._search(spot, effect)
        return self._known[key]

    def _effects_of_classes(self) -> list[set[FutureEffect]]:
        """For each class what its tasks may do anywhere, and the works that they queue: no more than that."""
        found: list[set[FutureEffect]] = []
        queues: list[set[int]] = []
        for c in self.automaton.classes:
            changes = [change for edges in c.edges for edge in edges for change in self._changes(edge)]
            found.append(
                {
                    FutureEffect(ch.cell, higher)
                    for ch in changes
                    for higher in (True, False)
                    if _after(ch, 0, higher) > 0
                }
            )
            queues.append({entry.number for ch in changes for entry in self.entries.get(ch.cell, ())})
        for _ in found:  # as far as works queue works
            for mine, others in zip(found, queues, strict=True):
                mine.update(*(found[other] for other in others))
        return found

    def _search(self, spot: FutureSpot, effect: FutureEffect) -> bool:
        if spot.number in self.threads and spot.place in self.automaton.classes[spot.number].home:
            return False
        todo = [(spot, 0)]
        seen = set(todo)
        while todo:
            at, net = todo.pop()
            for changes, onward in self._ways(at):
                after = net
                for change in changes:
                    if change.cell == effect.cell and after != UNKNOWN:
                        after = _after(change, after, effect.higher)
                if after > 0:
                    return True
                if after != UNKNOWN:
                    for where in onward:
                        step = where, after
                        if step not in seen:
                            seen.add(step)
                            todo.append(step)
        return False

    def _ways(self, spot: FutureSpot) -> list[tuple[tuple[CellChange, ...], tuple[FutureSpot, ...]]]:
        """Each edge's changes, and where the task then is and where somebody begins the work that it has queued."""
        if spot not in self._onward:
            c = self.automaton.classes[spot.number]
            self._onward[spot] = ways = []
            for edge in c.edges[spot.place]:
                onward = [] if edge.target in c.home else [FutureSpot(spot.number, edge.target)]
                for change in edge.changes:
                    if change.op == "+" and change.value > 0:
                        onward += self.entries.get(change.cell, ())
                ways.append((self._changes(edge), tuple(onward)))
        return self._onward[spot]

    def _changes(self, edge: AutomatonEdge) -> tuple[CellChange, ...]:
        on = edge.act.on
        if not self.only_meant or on is None:
            return edge.changes
        return tuple(change for change in edge.changes if self.automaton.cells[change.cell].owner is on)


UNKNOWN = -2 * MAX_NESTED_TAKES
"""The cell was set to something that is not the effect: how far it is from where it began is not known any more."""


def _after(change: CellChange, net: int, higher: bool) -> int:
    """How far in the wanted direction the cell is after a change, at most MOST against it."""
    if change.op == "=":
        return 1 if change.other or (change.value > 0) == higher else UNKNOWN
    by = -1 if change.op == "drop" else 1 if change.other else change.value
    return max(net + (by if higher else -by), -MAX_NESTED_TAKES)
