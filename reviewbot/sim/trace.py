"""From a state of the search to a schedule that a person can follow, executed again before it is shown.

The search sorts tasks and joins releases. Here each step is one edge of the automaton, taken by one particular task,
whose guard is evaluated anew in the state that the steps before have made: a schedule that comes out of here happens
in the model.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec

from reviewbot.sim.automaton import Automaton, Class, Work, apply, fire, is_open
from reviewbot.sim.future import FutureSpot
from reviewbot.sim.holding import Holdings
from reviewbot.sim.knot import Knot, Node, WaitFor
from reviewbot.sim.reduce import Move
from reviewbot.sim.space import Space
from reviewbot.sim.waiting import TaskRun, Waiting, WaitingTask
from reviewbot.types import Place, Step, Trace


class ReplayError(Exception):
    """The search claims a step that the automaton does not have: a fault of ours."""


def replay(space: Space, way: list[bytes]) -> list[TaskRun]:
    """Execute a way of the search, edge by edge, on the automaton without reductions. Errors: ReplayError."""
    automaton, now = space.automaton, space.automaton.initial
    runs: list[TaskRun] = []
    for before, after in pairwise(way):
        task, move = _mover(space, before, after, now, runs[-1].task if runs else None)
        c = automaton.classes[task.number]
        for edge in move.edges:
            if edge not in c.edges[c.place(now, task.nth)] or not is_open(edge.guard, now):
                raise ReplayError(f"{c.name} cannot take step {len(runs) + 1}: {edge.act.text or edge.act.when}")
            now = fire(automaton, now, c, task.nth, edge)
            runs.append(TaskRun(task, edge, now))
        if ordered(automaton, now) != (after if space.ordered else ordered(automaton, after)):
            raise ReplayError(f"after step {len(runs)} the state is not the one that the search found")
    return runs


def _mover(space: Space, before: bytes, after: bytes, now: bytes, last: WaitingTask | None) -> tuple[WaitingTask, Move]:
    """Who moved between two states of the search, and how; the task that moved last, where it may have been that."""
    found: list[tuple[WaitingTask, Move]] = []
    for number, c in enumerate(space.automaton.classes):
        for nth in range(c.n):
            for move in space.moves[number][c.place(now, nth)]:
                if is_open(move.guard, now) and _leads(space.automaton, c, nth, move, now, after):
                    found.append((WaitingTask(number, nth), move))
    if not found:
        raise ReplayError("no task can take a step of the search")
    return next((way for way in found if way[0] == last), found[0])


def _leads(automaton: Automaton, c: Class, nth: int, move: Move, now: bytes, after: bytes) -> bool:
    """Whether a move makes the cells, and the places of its class, what they are in the state after it."""
    state = bytearray(now)
    apply(move.changes, state, automaton.cells)
    c.put(state, nth, move.target)
    cells = len(automaton.cells)
    return state[:cells] == after[:cells] and sorted(c.places(state)) == sorted(c.places(after))


def ordered(automaton: Automaton, state: bytes) -> bytes:
    """The state with the tasks of each class sorted."""
    result = bytearray(state)
    for c in automaton.classes:
        if c.n > 1:
            for index, place in enumerate(sorted(c.places(state))):
                c.put(result, index, place)
    return bytes(result)


def trace(space: Space, way: list[bytes], knot: Knot, graph: WaitFor | None = None) -> Trace:
    """The schedule into a knot, and who then waits for whom. way: `Space.path` to the state where it is complete.

    Steps are single; a step that is not worth telling has no text and is left out. Where a task of the knot comes to
    wait for good, that is a step of its own. Errors: ReplayError.
    """
    return Teller(space, replay(space, way), knot, graph or WaitFor(space.automaton)).trace()


class Teller:
    """A schedule in words, with what each task holds, and a step of its own for who comes to wait for good."""

    def __init__(self, space: Space | Automaton, runs: list[TaskRun], knot: Knot, graph: WaitFor) -> None:
        self.automaton = space if isinstance(space, Automaton) else space.automaton
        self.runs, self.knot = runs, knot
        self.states = [self.automaton.initial, *(run.state for run in runs)]
        self.waiting = Waiting(graph, runs, knot)
        self.holdings = Holdings(self.automaton, runs)
        self.graph = graph

    def trace(self, everything: bool = False) -> Trace:
        """The schedule; with `everything` what is taken and given back in one turn is told, too.

        Errors: ReplayError where a task of the knot is not where that has it, or can go on.
        """
        at = self.waiting.at
        for node in self.knot.nodes:
            if not (self.states[-1][node.pending] if isinstance(node, Work) else at(node)):
                raise ReplayError(f"{self.graph.name(node)} is not where the knot has it")
        nodes = dict.fromkeys((*self.knot.members, *self.knot.nodes))
        stuck = [task for node in nodes if isinstance(node, FutureSpot) for task in at(node)]
        blocked: dict[int, list[WaitingTask]] = {}
        for task in stuck:
            blocked.setdefault(self.since(task), []).append(task)
        steps: list[Step] = []
        told: list[int] = []
        """The number of steps that are told when a state is reached."""
        waiting: dict[WaitingTask, int] = {}
        idle = set() if everything else self.idle()
        for number in range(len(self.states)):
            if number and number not in idle:
                run = self.runs[number - 1]
                steps += self.step(run.task, number, self.words(run, self.states[number]), run.edge.act.at)
            told.append(len(steps))
            for task in blocked.get(number, ()):
                spot = self.waiting.spot(task)
                noun = self.graph.waits_for(spot, self.states[-1])
                how, at_ = self.graph.how(spot, self.states[-1]), self.graph.blocked(spot).at
                steps += self.step(task, number, how, at_, noun)
                waiting[task] = len(steps)
        since = [self.began(node, told, waiting) for node in self.knot.nodes]
        waits = self.waiting.waits() if self.knot.nodes else ()
        return Trace(
            tuple(steps), tuple(msgspec.structs.replace(w, since=n) for w, n in zip(waits, since, strict=True))
        )

    def began(self, node: Node, told: list[int], waiting: dict[WaitingTask, int]) -> int:
        """The step with which the waiting of a node began: that in which a task blocks, or which queues the work."""
        if isinstance(node, Work):
            empty = [number for number, state in enumerate(self.states) if not state[node.pending]]
            return told[empty[-1] + 1] if empty else 0
        return max(waiting.get(task, 0) for task in self.waiting.at(node))

    def idle(self) -> set[int]:
        """Steps of one turn after which all is as it was before them: a lock that was taken and given back."""
        cells = len(self.automaton.cells)
        seen = [state[:cells] for state in self.states]
        found: set[int] = set()
        for first in range(1, len(seen)):
            if first in found or seen[first] == seen[first - 1]:
                continue
            last = first
            for number in range(first + 1, len(seen)):
                if self.runs[number - 1].task != self.runs[first - 1].task:
                    break
                if seen[number] == seen[first - 1] != seen[number - 1]:
                    last = number
            if last > first:
                found.update(range(first, last + 1))
        return found

    def step(self, task: WaitingTask, number: int, text: str, at: Place | None, waits: str = "") -> list[Step]:
        """What a task does on its way to the state of that number, or in it; nothing where there are no words for it."""
        if not text:
            return []
        place = at or Place("", 0)
        function, holds = place.function if place.file else "", self.holdings.at(number, task)
        return [Step(self.waiting.name(task), text, place.file, place.line, function, holds, waits)]

    def words(self, run: TaskRun, after: bytes) -> str:
        """What a step does, in words; `after` is the state that it leads to."""
        text, last = run.edge.act.text, run.edge.act.last
        if "{one}" not in text:
            return text
        one = "an" if text.partition("{one} ")[2][:1] in "aeiou" else "a"
        for number, cell in enumerate(self.automaton.cells):
            if last and cell.owner is last.owner and (cell.role, cell.of) == (last.role, last.of) and not after[number]:
                one = "the last"
        return text.replace("{one}", one)

    def since(self, task: WaitingTask) -> int:
        """The step after which the task could not go on any more."""
        place = self.waiting.spot(task).place
        c = self.automaton.classes[task.number]
        since = len(self.states) - 1
        for number in range(since, -1, -1):
            state = self.states[number]
            if c.place(state, task.nth) != place or any(is_open(edge.guard, state) for edge in c.edges[place]):
                break
            since = number
        else:
            return since
        if since == len(self.states) - 1 and any(is_open(e.guard, self.states[-1]) for e in c.edges[place]):
            raise ReplayError(f"{self.waiting.name(task)} can go on, so it is not stuck")
        return since
