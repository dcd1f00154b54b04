"""From a state of the search to a schedule that a person can follow, executed again before it is shown.

The search sorts tasks and joins releases. Here each step is one edge of the automaton, taken by one particular task,
whose guard is evaluated anew in the state that the steps before have made: a schedule that comes out of here happens
in the model.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from reviewbot.sim.automaton import Automaton, Class, Edge, Work, apply, fire, is_open
from reviewbot.sim.explore import Space
from reviewbot.sim.future import Effect, Spot
from reviewbot.sim.knot import Knot, Node, WaitFor
from reviewbot.sim.locks import Mutex, PercpuRef, RwSem, Semaphore, SpinLock
from reviewbot.sim.memory import Memory, Mempool
from reviewbot.sim.reduce import Move
from reviewbot.types import Place, Step, Trace, Wait

HOLDABLE = (Mutex, SpinLock, RwSem, Semaphore, PercpuRef, Memory, Mempool)
"""What a task has for itself after having taken it, unlike a completion that it has seen."""


class ReplayError(Exception):
    """The search claims a step that the automaton does not have: a fault of ours."""


class Task(NamedTuple):
    """One task of a class, by its position in the state."""

    number: int
    nth: int


class Run(NamedTuple):
    """One step of a schedule: who, how, and the state after it."""

    task: Task
    edge: Edge
    state: bytes


def replay(space: Space, state: int) -> list[Run]:
    """Execute a shortest way to a state, edge by edge, on the automaton without reductions. Errors: ReplayError."""
    automaton, now = space.automaton, space.automaton.initial
    runs: list[Run] = []
    way = space.path(state)
    for before, after in pairwise(way):
        task, move = _mover(space, before, after, now, runs[-1].task if runs else None)
        c = automaton.classes[task.number]
        for edge in move.edges:
            if edge not in c.edges[c.place(now, task.nth)] or not is_open(edge.guard, now):
                raise ReplayError(f"{c.name} cannot take step {len(runs) + 1}: {edge.act.text or edge.act.when}")
            now = fire(automaton, now, c, task.nth, edge)
            runs.append(Run(task, edge, now))
        if ordered(automaton, now) != ordered(automaton, after):
            raise ReplayError(f"after step {len(runs)} the state is not the one that the search found")
    return runs


def _mover(space: Space, before: bytes, after: bytes, now: bytes, last: Task | None) -> tuple[Task, Move]:
    """Who moved between two states of the search, and how; the task that moved last, where it may have been that."""
    found: list[tuple[Task, Move]] = []
    for number, c in enumerate(space.automaton.classes):
        for nth in range(c.n):
            for move in space.moves[number][c.place(now, nth)]:
                if is_open(move.guard, now) and _leads(space.automaton, c, nth, move, now, after):
                    found.append((Task(number, nth), move))
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
        for index, place in enumerate(sorted(c.places(state))):
            c.put(result, index, place)
    return bytes(result)


def trace(space: Space, state: int, knot: Knot) -> Trace:
    """The schedule into a knot, and who then waits for whom.

    Steps are single; a step that is not worth telling has no text and is left out. Where a task of the knot comes to
    wait for good, that is a step of its own. Errors: ReplayError.
    """
    return _Teller(space, replay(space, state), knot).trace()


class _Teller:
    def __init__(self, space: Space, runs: list[Run], knot: Knot) -> None:
        self.automaton, self.runs, self.knot = space.automaton, runs, knot
        self.states = [space.automaton.initial, *(run.state for run in runs)]
        self.graph = WaitFor(space.automaton)
        self.names: dict[Task, str] = {}
        for run in runs:
            self.name(run.task)

    def name(self, task: Task) -> str:
        """What a task is called: those of a class are numbered in the order in which they appear."""
        if task not in self.names:
            c = self.automaton.classes[task.number]
            count = sum(other.number == task.number for other in self.names)
            self.names[task] = c.name if c.n == 1 else f"{c.name} #{count + 1}"
        return self.names[task]

    def trace(self) -> Trace:
        for node in self.knot.nodes:
            if not (self.states[-1][node.pending] if isinstance(node, Work) else self.at(node)):
                raise ReplayError(f"{self.graph.name(node)} is not where the knot has it")
        stuck = [task for node in self.knot.nodes if isinstance(node, Spot) for task in self.at(node)]
        blocked: dict[int, list[Task]] = {}
        for task in stuck:
            blocked.setdefault(self.since(task), []).append(task)
        steps: list[Step] = []
        for number in range(len(self.states)):
            if number:
                run = self.runs[number - 1]
                steps += self.step(run.task, self.words(run, self.states[number]), run.edge.act.at)
            for task in blocked.get(number, ()):
                spot = self.spot(task)
                steps += self.step(task, self.graph.how(spot, self.states[-1]), self.graph.blocked(spot).at)
        return Trace(tuple(steps), tuple(self.waits()))

    def step(self, task: Task, text: str, at: Place | None) -> list[Step]:
        if not text:
            return []
        place = at or Place("", 0)
        return [Step(self.name(task), text, place.file, place.line, place.function if place.file else "")]

    def words(self, run: Run, after: bytes) -> str:
        text, last = run.edge.act.text, run.edge.act.last
        if "{one}" not in text:
            return text
        one = "an" if text.partition("{one} ")[2][:1] in "aeiou" else "a"
        for number, cell in enumerate(self.automaton.cells):
            if last and cell.owner is last.owner and (cell.role, cell.of) == (last.role, last.of) and not after[number]:
                one = "the last"
        return text.replace("{one}", one)

    # --- the knot

    def spot(self, task: Task) -> Spot:
        """Where the task is in the end."""
        return Spot(task.number, self.automaton.classes[task.number].place(self.states[-1], task.nth))

    def at(self, spot: Spot) -> list[Task]:
        """The tasks that are there in the end."""
        n = self.automaton.classes[spot.number].n
        return [task for i in range(n) if self.spot(task := Task(spot.number, i)) == spot]

    def since(self, task: Task) -> int:
        """The step after which the task could not go on any more."""
        place = self.spot(task).place
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
            raise ReplayError(f"{self.name(task)} can go on, so it is not stuck")
        return since

    def waits(self) -> list[Wait]:
        """Who waits for what, and who has it: those in the knot that hold it, else those that would bring it."""
        return [
            Wait(self.call(node), self.graph.waits_for(node, self.states[-1]), ", ".join(self.owners(node)) or "nobody")
            for node in self.knot.nodes
        ]

    def owners(self, node: Node) -> list[str]:
        """Whoever a task (or a queued work) waits for, by name."""
        state = self.states[-1]
        wanted = self.graph.wanted(node, state)
        spots = [other for other in self.knot.members if isinstance(other, Spot)]
        if holding := [self.name(task) for spot in spots for task in self.at(spot) if self.holds(task, wanted)]:
            return holding
        if bringing := [self.call(other) for other in self.graph.providers(node, state, self.knot.members)]:
            return bringing
        asleep: list[Node] = [spot for spot in self.graph.spots(state) if self.graph.at_home(spot)]
        if sleeping := [f"{self.call(other)}, which sleeps" for other in self.graph.providers(node, state, asleep)]:
            return sleeping
        return [self.call(node)] if self.graph.brings(node, wanted) else self.keeper(wanted)

    def holds(self, task: Task, wanted: frozenset[Effect]) -> bool:
        """Whether the task has taken what is wanted, and has not given it back."""
        taken: Counter[int] = Counter()
        for run in self.runs:
            if run.task == task:
                taken.update({ch.cell: ch.value for ch in run.edge.changes if ch.op == "+" and not ch.other})
        cells = [cell for cell in taken if isinstance(self.automaton.cells[cell].owner, HOLDABLE)]
        return any(Effect(cell, taken[cell] < 0) in wanted for cell in cells if taken[cell])

    def keeper(self, wanted: frozenset[Effect]) -> list[str]:
        """Who took last what nobody would ever give back."""
        for run in reversed(self.runs):
            for ch in run.edge.changes:
                if ch.op == "+" and not ch.other and Effect(ch.cell, ch.value < 0) in wanted:
                    return [f"{self.name(run.task)}, which never gives it back"]
        return []

    def call(self, node: Node) -> str:
        if isinstance(node, Work):
            return self.graph.name(node)
        return ", ".join(self.name(task) for task in self.at(node))
