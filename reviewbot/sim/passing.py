"""The steps of a schedule that gets stuck, led through a model that does not: how the same tasks get through there."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from reviewbot.limits import MAX_PASSING_STATES
from reviewbot.sim.automaton import Automaton, OutOfRange, successors
from reviewbot.sim.compile import compile_model
from reviewbot.sim.knot import Knot, WaitFor
from reviewbot.sim.program import Model
from reviewbot.sim.trace import Teller
from reviewbot.sim.waiting import TaskRun, WaitingTask
from reviewbot.types import Step, Trace

_Is = Callable[[TaskRun], bool]
NUMBER = re.compile(r" #\d+$")
"""What tells a task from the others of its class."""
ONE = re.compile(r"\b(the last|an?)\b")


def passing(model: Model, stuck: Trace) -> Trace | None:
    """The schedule of another model that takes the steps of `stuck` in their order, as far as it has them, and then the
    fewest until everybody is done; None where no such way is found within MAX_PASSING_STATES."""
    automaton = compile_model(model)
    way = _Way(automaton)
    for step in stuck.steps:
        if not step.waits:
            way.follow(step)
    if not way.end():
        return None
    return Teller(automaton, way.runs, Knot((), (), (), (), frozenset()), WaitFor(automaton)).trace(everything=True)


class _Way:
    def __init__(self, automaton: Automaton) -> None:
        self.automaton = automaton
        self.runs: list[TaskRun] = []
        self.left = MAX_PASSING_STATES

    @property
    def state(self) -> bytes:
        return self.runs[-1].state if self.runs else self.automaton.initial

    def follow(self, step: Step) -> None:
        """Take a step, if its task comes to it through what is not told: by itself, else with the help of others."""
        name = NUMBER.sub("", step.task)

        def wanted(run: TaskRun) -> bool:
            return self._name(run) == name and _says(run, step.step)

        alone = self._search(wanted, lambda run: self._name(run) == name, silent=True)
        self.runs += alone or self._search(wanted, lambda run: True, silent=True) or ()

    def end(self) -> bool:
        """Go on until everybody is done, a task as long as it can; False where nobody gets there."""
        if self.automaton.at_home(self.state):
            return True
        found = self._search(lambda run: self.automaton.at_home(run.state), lambda run: True)
        self.runs += found or ()
        return bool(found)

    def _search(self, wanted: _Is, allowed: _Is, silent: bool = False) -> Sequence[TaskRun] | None:
        """The shortest way to a wanted step by allowed ones; `silent`: those before it have no words."""
        seen = {self.state}
        queue: deque[tuple[TaskRun, ...]] = deque([()])
        while queue:
            way = queue.popleft()
            for run in self._onward(way):
                if not allowed(run):
                    continue
                if wanted(run):
                    return (*way, run)
                if run.state in seen or (silent and run.edge.act.text) or not self.left:
                    continue
                self.left -= 1
                seen.add(run.state)
                queue.append((*way, run))
        return None

    def _onward(self, way: tuple[TaskRun, ...]) -> Iterator[TaskRun]:
        """What may come next; first what the task does that moved last."""
        state = way[-1].state if way else self.state
        last = way[-1].task if way else self.runs[-1].task if self.runs else None
        try:
            found = [
                TaskRun(WaitingTask(number, nth), edge, after)
                for number, nth, edge, after in successors(self.automaton, state)
            ]
        except OutOfRange:
            return
        yield from sorted(found, key=lambda run: run.task != last)

    def _name(self, run: TaskRun) -> str:
        return self.automaton.classes[run.task.number].name


def _says(run: TaskRun, text: str) -> bool:
    told = run.edge.act.text
    return told == text or ("{one}" in told and told.replace("{one}", "") == ONE.sub("", text, count=1))
