"""Who waits for whom at the end of a schedule: tasks by name, what they hold, and one clause for each wait.

A clause names who has to end the wait and what he has to do for that, so that the next clause can go on with him:
`writer waits for kcopyd to wake up s->wait, kcopyd waits for ...`. What has to be done is known by the resource.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from reviewbot.sim.automaton import AutomatonEdge, Work
from reviewbot.sim.future import FutureEffect, FutureSpot
from reviewbot.sim.knot import Knot, Node, WaitFor
from reviewbot.sim.locks import Mutex, PercpuRef, Run, RwSem, Semaphore, SpinLock, Srcu
from reviewbot.sim.memory import Memory, Mempool
from reviewbot.sim.program import Resource
from reviewbot.types import KnotEdge

HOLDABLE = (Mutex, SpinLock, RwSem, Semaphore, PercpuRef, Srcu, Memory, Mempool)
"""What a task has for itself after having taken it, unlike a completion that it has seen."""

BIO = "the bio "
"""How the title of a routine begins that is nothing but the way of a bio."""
PLURAL = re.compile(r"(kworker|worker|writer)\b")
"""Names of classes of which all tasks can be told in one word."""


class WaitingTask(NamedTuple):
    """One task of a class, by its position in the state."""

    number: int
    nth: int


class TaskRun(NamedTuple):
    """One step of a schedule: who, how, and the state after it."""

    task: WaitingTask
    edge: AutomatonEdge
    state: bytes


class Waiting:
    """The end of a schedule, with the knot that it leads to."""

    def __init__(self, graph: WaitFor, runs: list[TaskRun], knot: Knot) -> None:
        self.graph, self.automaton, self.runs, self.knot = graph, graph.automaton, runs, knot
        self.state = runs[-1].state if runs else self.automaton.initial
        self._names: dict[WaitingTask, str] = {}
        self._told: set[Node] = set()
        for run in (*(run for run in runs if run.edge.act.text), *runs):
            self.name(run.task)

    def name(self, task: WaitingTask) -> str:
        """What a task is called: those of a class are numbered in the order in which they appear."""
        if task not in self._names:
            c = self.automaton.classes[task.number]
            count = sum(other.number == task.number for other in self._names)
            self._names[task] = c.name if c.n == 1 else f"{c.name} #{count + 1}"
        return self._names[task]

    def call(self, node: Node) -> str:
        """What stands there is called: queued work, or all the tasks."""
        return self.graph.name(node) if isinstance(node, Work) else ", ".join(self.name(t) for t in self.at(node))

    def spot(self, task: WaitingTask) -> FutureSpot:
        """Where the task is."""
        return FutureSpot(task.number, self.automaton.classes[task.number].place(self.state, task.nth))

    def at(self, spot: FutureSpot) -> list[WaitingTask]:
        """The tasks that are there."""
        n = self.automaton.classes[spot.number].n
        return [task for i in range(n) if self.spot(task := WaitingTask(spot.number, i)) == spot]

    def waits(self) -> tuple[KnotEdge, ...]:
        """Who waits for what, who has it (those in the knot that hold it, else those that would bring it), and how."""
        circle = self.knot.nodes
        return tuple(
            KnotEdge(
                self.call(node),
                self.graph.waits_for(node, self.state),
                ", ".join(self.owners(node)) or "nobody",
                self.clause(node, after),
            )
            for node, after in pairwise((*circle, circle[0]))
        )

    # --- who has it

    def owners(self, node: Node) -> list[str]:
        """Whoever a task (or a queued work) waits for, by name."""
        wanted = self.graph.wanted(node, self.state)
        if holding := self.holding(self.knot.members, wanted):
            return [self.name(task) for task in holding]
        if bringing := [self.call(other) for other in self.graph.providers(node, self.state, self.knot.members)]:
            return bringing
        if sleeping := self.sleeping(node):
            return [f"{name}, which sleeps" for name in sleeping]
        if self.graph.brings(node, wanted):
            return [self.call(node)]
        return [f"{name}, which never gives it back" for name in self.keeper(wanted)]

    def holding(self, nodes: Iterable[Node], wanted: frozenset[FutureEffect]) -> list[WaitingTask]:
        """The tasks at those places that have what is wanted."""
        spots = [node for node in nodes if isinstance(node, FutureSpot)]
        return [task for spot in spots for task in self.at(spot) if self.held(task, wanted)]

    def held(self, task: WaitingTask, wanted: frozenset[FutureEffect]) -> frozenset[FutureEffect]:
        """What of it the task has taken, and has not given back."""
        return wanted & self.taken.get(task, frozenset())

    @cached_property
    def taken(self) -> dict[WaitingTask, frozenset[FutureEffect]]:
        """What giving back would change, for each task that has taken something."""
        counts: dict[WaitingTask, Counter[int]] = {}
        for run in self.runs:
            changes = {ch.cell: ch.value for ch in run.edge.changes if ch.op == "+" and not ch.other}
            counts.setdefault(run.task, Counter()).update(changes)
        holdable = {n for n, cell in enumerate(self.automaton.cells) if isinstance(cell.owner, HOLDABLE)}
        return {
            task: frozenset(FutureEffect(cell, by < 0) for cell, by in count.items() if by and cell in holdable)
            for task, count in counts.items()
        }

    def sleeping(self, node: Node) -> list[str]:
        """Who would bring it, but has nothing to do."""
        asleep: list[Node] = [spot for spot in self.graph.spots(self.state) if self.graph.at_home(spot)]
        return [self.call(other) for other in self.graph.providers(node, self.state, asleep)]

    def keeper(self, wanted: frozenset[FutureEffect]) -> list[str]:
        """Who took last what nobody would ever give back."""
        for run in reversed(self.runs):
            for ch in run.edge.changes:
                if ch.op == "+" and not ch.other and FutureEffect(ch.cell, ch.value < 0) in wanted:
                    return [self.name(run.task)]
        return []

    # --- in words

    def clause(self, node: Node, after: Node) -> str:
        """That somebody waits for the next one of the circle, and what that one has to do; `after` may be `node`."""
        if isinstance(node, Work):
            does = "submit" if node.title.startswith(BIO) else "run"
            return f"{self.mention(node)} waits for {self.mention(after, every=False)} to {does} it"
        wanted, tasks = self.graph.wanted(node, self.state), self.at(node)
        waits = f"{self.mention(node)} {'wait' if len(tasks) > 1 else 'waits'} for"
        if node == after:
            return f"{waits} {self.alone(node, wanted)}"
        holding = self.holding([after], wanted)
        brought = frozenset(e for task in holding for e in self.held(task, wanted))
        brought = brought or frozenset(e for e in wanted if self.graph.brings(after, frozenset([e]))) or wanted
        every = len(tasks) > 1 or not any(effect.higher for effect in brought)
        who, asked = self.mention(after, holding, every), self.asked(node, brought)
        verb, _, what = asked.partition(" ")
        if isinstance(after, Work) and _bare(what) == _bare(after.title):
            asked = verb
        elif (name := str(self.graph.blocked(node).on)) in who:
            asked = asked.replace(name, "it")
        if self.spare(node, brought):
            return f"{waits} {self.missing(node, wanted - brought)}, or for {who} to {asked}"
        return f"{waits} {who} to {asked}"

    def missing(self, node: FutureSpot, wanted: frozenset[FutureEffect]) -> str:
        """What somebody waits for where something else would do as well, and who has it."""
        if self.holding([node], wanted):
            return self.alone(node, wanted)
        noun, keeper = self.graph.waits_for(node, self.state), self.keeper(wanted)
        return f"{noun}, of which {_and(keeper)} took the last" if keeper else noun

    def alone(self, node: FutureSpot, wanted: frozenset[FutureEffect]) -> str:
        """What somebody waits for who has to bring it himself, or whom nobody brings it any more."""
        noun, tasks = self.graph.waits_for(node, self.state), self.at(node)
        holding = self.holding([node], wanted)
        asked = self.asked(node, wanted)
        if len(tasks) > 1 and holding == tasks:
            return f"each other to {asked}"
        if holding == tasks and isinstance(self.graph.blocked(node).on, Run):
            return f"itself to {asked}"
        if holding == tasks:
            return (
                f"{noun} while it holds one itself"
                if noun.startswith(("a ", "an "))
                else f"{noun}, which it holds itself"
            )
        if holding:
            return f"{_and([self.name(task) for task in holding])} to {asked}"
        again = self.again(node, asked)
        if self.graph.brings(node, wanted):
            return f"{noun}, and nobody else would {again}"
        if sleeping := self.sleeping(node):
            return f"{_and(sleeping)}, which sleeps, to {asked}"
        if keeper := self.keeper(wanted):
            return f"{_and(keeper)} to {asked}, which it never does"
        return f"{noun}, and nobody is left to {again}"

    def spare(self, node: FutureSpot, brought: frozenset[FutureEffect]) -> bool:
        """Whether that is not the resource itself that is waited for, but what another could be made of."""
        on = self.graph.blocked(node).on
        return self.graph.interrupted(node, self.state) is None and all(self.owner(e) is not on for e in brought)

    def asked(self, node: FutureSpot, effects: frozenset[FutureEffect]) -> str:
        """What has to be done for whoever waits there; empty where nothing would help."""
        act = self.graph.blocked(node)
        for effect in sorted(effects, key=lambda e: (self.owner(e) is not act.on, e)):
            return self.owner(effect).asked(self.automaton.cells[effect.cell].role, act)
        return ""

    def again(self, node: FutureSpot, asked: str) -> str:
        """The same where what it is done to was just named."""
        if asked.startswith("wake up "):
            return "wake it up"
        name = str(self.graph.blocked(node).on)
        if asked == name:
            return asked.replace(" memory", " any")
        noun = self.graph.waits_for(node, self.state).removesuffix(" to finish")
        return asked.replace(noun, "it").replace(name, "it")

    def owner(self, effect: FutureEffect) -> Resource:
        """The resource that the effect is on."""
        return self.automaton.cells[effect.cell].owner

    def mention(self, node: Node, tasks: Sequence[WaitingTask] = (), every: bool = True) -> str:
        """Who stands there (or those of them), in a sentence: queued work is called queued only once."""
        if isinstance(node, Work):
            again = node.title if " " not in node.title else f"the {node.title.removeprefix('the ')}"
            name = again if node in self._told else self.graph.name(node)
            self._told.add(node)
            return name
        return self.several(tasks or self.at(node), every)

    def several(self, tasks: Sequence[WaitingTask], every: bool = True) -> str:
        """Some tasks in a sentence; all those of a class by its name, where that is a plain word."""
        c = self.automaton.classes[tasks[0].number] if tasks else None
        if c is not None and 1 < c.n == len(tasks) and PLURAL.match(c.name):
            first, _, rest = c.name.partition(" ")
            return f"the {first}s {rest}".rstrip() if every else f"a {c.name}"
        return _and([self.name(task) for task in tasks], "and" if every else "or")


def _bare(name: str) -> str:
    """A name without article and parentheses."""
    return re.sub(r"^(the|its) |\(\)$", "", name)


def _and(names: list[str], word: str = "and") -> str:
    names = [re.sub(r"^an? |^(?=another )", "the ", name).replace("the another ", "the other ") for name in names]
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
