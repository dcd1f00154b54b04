"""What each task has in its hands after each step of a schedule, in words: the bars of its picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reviewbot.sim.automaton import Automaton, CellChange
from reviewbot.sim.waiting import TaskRun, WaitingTask

Key = tuple[int, bool]
"""A cell that a task made higher (True) or lower, and so has something of it."""


class Holdings:
    """What tasks have, by the number of the state: 0 is the beginning, n comes after the run n of the schedule."""

    def __init__(self, automaton: Automaton, runs: Sequence[TaskRun]) -> None:
        self._automaton = automaton
        self._now: dict[WaitingTask, Counter[Key]] = {}
        self._after: list[dict[WaitingTask, tuple[str, ...]]] = [{}]
        for run in runs:
            for change in run.edge.changes:
                if change.op == "+" and not change.other:
                    self._change(run.task, change)
            self._after.append({task: self._words(kept) for task, kept in self._now.items()})

    def at(self, state: int, task: WaitingTask) -> tuple[str, ...]:
        """What a task has in a state, the oldest first."""
        return self._after[state].get(task, ())

    def _word(self, key: Key) -> str:
        cell = self._automaton.cells[key[0]]
        return cell.owner.held(cell.role, key[1])

    def _words(self, kept: Counter[Key]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._word(key) for key, number in kept.items() if number > 0))

    def _change(self, task: WaitingTask, change: CellChange) -> None:
        """A take, or giving back what the task took itself, else what another one took: an element that ends elsewhere."""
        for _ in range(abs(change.value)):
            takes, gives = (change.cell, change.value > 0), (change.cell, change.value < 0)
            if self._word(gives):
                holders = [task, *(other for other in self._now if other != task)]
                holder = next((one for one in holders if self._now.get(one, Counter())[gives] > 0), None)
                if holder is not None:
                    self._now[holder][gives] -= 1
                    if not self._now[holder][gives]:
                        del self._now[holder][gives]  # taken again, it is the newest
            elif self._word(takes):
                self._now.setdefault(task, Counter())[takes] += 1
