"""What a deadlock is, and who waits for whom in it.

A place of a class of tasks is dead in a state if a task is there and no task ever leaves it in any future. A knot is a
circle of dead tasks away from home, each waiting for something that only dead tasks (or work that only dead threads
could run) would bring. It is complete in the first state where that holds; an endless task elsewhere hides nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import inf

import msgspec

from reviewbot.sim.automaton import ALWAYS, Automaton, AutomatonEdge, Class, Cond, Guard, Work, holds, is_open
from reviewbot.sim.explore import OutOfTime, timed
from reviewbot.sim.future import Future, FutureEffect, FutureSpot
from reviewbot.sim.graph import bottoms, circles
from reviewbot.sim.locks import Cpu
from reviewbot.sim.program import Act, Resource
from reviewbot.sim.reduce import Moves
from reviewbot.sim.space import Space
from reviewbot.types import KnotEdge

Node = FutureSpot | Work
"""Work that is queued and that no thread can take waits as well."""


class Knot(msgspec.Struct, frozen=True):
    """A circle of dead tasks, in the order of waiting: each waits for the next, the last for the first."""

    nodes: tuple[Node, ...]
    members: tuple[Node, ...]
    """The circle, and everybody else that could bring what somebody in it waits for, and is dead as well."""
    waits: tuple[KnotEdge, ...]
    key: tuple[tuple[str, str], ...]
    """(who, what it waits for), sorted: the same circle in another model has the same key."""
    names: frozenset[str]
    """Everything it passes through: resources, classes of tasks, queued routines."""


def knots(space: Space, until: float = inf, graph: WaitFor | None = None) -> list[tuple[int, Knot]]:
    """All knots, each once, with the first state where it is complete, in breadth-first order, small ones first.

    In a space that is not complete only states without any way on are looked at: what may still happen elsewhere is
    not known. until: time.process_time() when the time is up. graph: that of the automaton, if it is at hand already.
    Errors: OutOfTime.
    """
    graph = graph or WaitFor(space.automaton)
    dead = _dead(space, graph, until)
    found: dict[tuple[tuple[str, str], ...], Knot] = {}
    settled = _settled(space, dead, until)
    for state in _last(space, graph, dead, settled, until):
        for knot in graph.knots(space.state(state), dead[state]):
            found.setdefault(knot.key, knot)
    if settled and not found:
        found = {knot.key: knot for knot in graph.knots(space.state(settled[0]), dead[settled[0]], strict=False)}
    pairs = [(_complete(space, graph, dead, knot), knot) for knot in found.values()]
    return sorted(pairs, key=lambda pair: (pair[0], len(pair[1].nodes)))


def _settled(space: Space, dead: dict[int, int], until: float) -> list[int]:
    """The states from which nobody else will ever be dead: every deadlock comes to one in the end."""
    left = [state for state, mask in dead.items() if all(dead.get(after) == mask for after in space.onward(state))]
    settled = set(left)
    while True:
        for state in timed(reversed(left), until):
            if not settled.issuperset(space.onward(state)):
                settled.discard(state)
        if len(settled) == len(left):
            return left
        left = [state for state in left if state in settled]


def _last(space: Space, graph: WaitFor, dead: dict[int, int], settled: list[int], until: float) -> list[int]:
    """Of the states where everybody is dead who is going to be, those where nobody else could still finish.

    Who has not finished may seem to bring what the dead wait for. One state is enough for the same dead, queued works,
    and others that are not done.
    """
    kept: dict[tuple[int, bytes], dict[int, int]] = {}
    for state in timed(settled, until):
        content = space.state(state)
        others = kept.setdefault((dead[state] & graph.away, graph.queued(content)), {})
        alive = graph.occupied(content) & graph.away & ~dead[state]
        if not any(fewer & alive == fewer for fewer in others):
            for more in [more for more in others if more & alive == alive]:
                del others[more]
            others[alive] = state
    return sorted(state for others in kept.values() for state in others.values())


def _complete(space: Space, graph: WaitFor, dead: dict[int, int], knot: Knot) -> int:
    """The first state where all members of a knot are dead, and wait for nobody else who is dead there."""
    mask = sum(graph.bit(node) for node in knot.members if isinstance(node, FutureSpot))
    works = [node for node in knot.members if isinstance(node, Work)]
    first = -1
    for state, there in dead.items():
        if there & mask == mask and all(space.state(state)[work.pending] for work in works):
            if graph.closed(knot, space.state(state), there):
                return state
            first = state if first < 0 else first
    return first


def _dead(space: Space, graph: WaitFor, until: float) -> dict[int, int]:
    """For the states with a dead task away from home, in order: the dead places as a bit mask."""
    if not space.complete:
        ends = [state for state in range(space.expanded) if space.starts[state] == space.starts[state + 1]]
        away = (state for state in ends if space.automaton.away(space.state(state)))
        return {state: graph.occupied(space.state(state)) for state in away}
    doomed, starts, targets = _doomed(space, until), space.starts, space.targets
    tasks = {state: graph.tasks(space.moves, space.state(state)) for state in timed(doomed, until)}
    future = {state: moving for state, (_, moving) in tasks.items()}
    changed = True
    while changed:
        changed = False
        for state in timed(reversed(doomed), until):
            mask = before = future[state]
            for after in targets[starts[state] : starts[state + 1]]:
                mask |= future[after]
            if mask != before:
                future[state], changed = mask, True
    dead = {state: occupied & ~future[state] for state, (occupied, _) in tasks.items()}
    return {state: mask for state, mask in dead.items() if mask & graph.away}


def _doomed(space: Space, until: float) -> list[int]:
    """The states from which no state with everybody at home can be reached; all others are free of dead tasks."""
    good, starts, targets = _at_home(space), space.starts.tolist(), space.targets
    doomed = [state for state in range(len(good) - 1, -1, -1) if not good[state]]
    while True:
        if time.process_time() > until:
            raise OutOfTime
        still = []
        for state in doomed:
            for after in targets[starts[state] : starts[state + 1]]:
                if good[after]:
                    good[state] = True
                    break
            else:
                still.append(state)
        if len(still) == len(doomed):
            return doomed[::-1]
        doomed = still


def _at_home(space: Space) -> list[bool]:
    """For each state whether everybody is at home."""
    automaton = space.automaton
    if any(len(c.home) != 1 for c in automaton.classes):
        return [automaton.at_home(space.state(state)) for state in range(len(space.order))]
    home = b"".join(place.to_bytes(c.width, "big") * c.n for c in automaton.classes for place in c.home)
    places, there = (1 << 8 * len(home)) - 1, int.from_bytes(home, "big")  # places come last
    return [state & places == there for state in space.numbers()]


class WaitFor:
    """The wait-for graph of an automaton in a state: who needs which change of a cell, and who would still make it."""

    def __init__(self, automaton: Automaton) -> None:
        self.automaton = automaton
        self.rows: list[tuple[Class, list[int]]] = []
        """Each class, and a bit for each of its places."""
        self.away, bit = 0, 1
        for c in automaton.classes:
            self.rows.append((c, [bit << place for place in range(len(c.edges))]))
            self.away |= sum(bit << place for place in range(len(c.edges)) if place not in c.home)
            bit <<= len(c.edges)
        self.future = Future(automaton)
        self.threads = self.future.threads

    def bit(self, spot: FutureSpot) -> int:
        """The bit of a place in a mask."""
        return self.rows[spot.number][1][spot.place]

    @cached_property
    def meant(self) -> Future:
        """The future of what is done to a resource on purpose: giving back to a pool is not meant to free memory."""
        return Future(self.automaton, meant=True)

    def at_home(self, spot: FutureSpot) -> bool:
        """Whether tasks there have nothing to do."""
        return spot.place in self.automaton.classes[spot.number].home

    def edges(self, spot: FutureSpot) -> tuple[AutomatonEdge, ...]:
        """The ways on from there."""
        return self.automaton.classes[spot.number].edges[spot.place]

    def spots(self, state: bytes) -> list[FutureSpot]:
        """Where there are tasks, each place once, in order: of two circles of one length the first one counts."""
        classes = self.automaton.classes
        return [FutureSpot(number, place) for number, c in enumerate(classes) for place in sorted(set(c.places(state)))]

    def occupied(self, state: bytes) -> int:
        """The places where there are tasks, as a bit mask."""
        mask = 0
        for c, bits in self.rows:
            for place in c.places(state):
                mask |= bits[place]
        return mask

    def tasks(self, moves: Moves, state: bytes) -> tuple[int, int]:
        """The places where there are tasks, and those that a task can leave in the state, as bit masks."""
        occupied = moving = 0
        for (c, bits), ways in zip(self.rows, moves, strict=True):
            for place in c.places(state):
                occupied |= bits[place]
                for move in ways[place]:
                    if is_open(move.guard, state):
                        moving |= bits[place]
                        break
        return occupied, moving

    def queued(self, state: bytes) -> bytes:
        """How often each work is queued."""
        return bytes(state[work.pending] for work in self.automaton.works)

    def brings(self, node: Node, wanted: frozenset[FutureEffect]) -> bool:
        """Whether somebody there would still make one of the wanted changes."""
        return self._brings(self.future, node, wanted)

    def _brings(self, future: Future, node: Node, wanted: frozenset[FutureEffect]) -> bool:
        spots = [node] if isinstance(node, FutureSpot) else [FutureSpot(*entry) for entry in node.entries]
        return any(future.brings(spot, effect) for spot in spots for effect in wanted)

    # --- knots

    def knots(self, state: bytes, dead: int, strict: bool = True) -> list[Knot]:
        """The circles among the dead that nobody else could break. `strict` False takes the others' word for it."""
        spots = self.spots(state)
        alive = [spot for spot in spots if not self.bit(spot) & dead]
        members: dict[Node, tuple[Node, ...]] = {}
        for spot in spots:
            if self.bit(spot) & dead and not self.at_home(spot):
                members[spot] = ()
        for work in self.automaton.works:
            if state[work.pending] and not self._can_be_taken(work, state, alive):
                members[work] = ()
        if strict:
            self._drop_hopeful(members, state, alive)
        for node in members:
            members[node] = tuple(self.providers(node, state, list(members)))
        groups = [group for group in bottoms(members) if any(isinstance(node, FutureSpot) for node in group)]
        meant = {node: self._meant(node, state, members[node]) for group in groups for node in group}
        return [self._knot(circle, group, state, members) for group in groups for circle in circles(group, meant)]

    def _meant(self, node: Node, state: bytes, providers: tuple[Node, ...]) -> tuple[Node, ...]:
        """Those of the providers that are there for it, where there are any."""
        if len(providers) < 2 or isinstance(node, Work):
            return providers
        wanted, on = self.wanted(node, state), self.blocked(node).on
        if any(self.automaton.cells[effect.cell].owner is not on for effect in wanted):
            return providers
        return tuple(other for other in providers if self._brings(self.meant, other, wanted)) or providers

    def closed(self, knot: Knot, state: bytes, dead: int) -> bool:
        """Whether no dead task outside of the knot would bring what its members wait for."""
        spots = (spot for spot in self.spots(state) if self.bit(spot) & dead and not self.at_home(spot))
        others = [spot for spot in spots if spot not in knot.members]
        return not any(True for node in knot.members for _ in self.providers(node, state, others))

    def _drop_hopeful(self, members: dict[Node, tuple[Node, ...]], state: bytes, alive: list[FutureSpot]) -> None:
        """Take out who waits for somebody that is not stuck, until nobody is left who does."""
        movable: list[Node] = [
            *(spot for spot in alive if not (spot.number in self.threads and self.at_home(spot))),
            *(work for work in self.automaton.works if state[work.pending] and work not in members),
        ]
        while hopeful := [node for node in members if any(True for _ in self.providers(node, state, movable))]:
            for node in hopeful:
                del members[node]
            movable = list(hopeful)

    def _can_be_taken(self, work: Work, state: bytes, alive: list[FutureSpot]) -> bool:
        """Whether a thread is at home that may take the work now, or one is busy that will be."""
        for number, entry in work.entries:
            c = self.automaton.classes[number]
            begin = next(edge for edge in c.edges[c.entry] if edge.target == entry)
            for spot in alive:
                if spot.number == number and (not self.at_home(spot) or is_open(begin.guard, state)):
                    return True
            if c.entry in c.places(state) and is_open(begin.guard, state):
                return True
        return False

    def wanted(self, node: Node, state: bytes) -> frozenset[FutureEffect]:
        """The changes of cells that would let it go on."""
        guards = [edge.guard for edge in self.edges(node)] if isinstance(node, FutureSpot) else self._begins(node)
        return frozenset(effect for cond in _false(guards, state) for effect in _remedies(cond))

    def _begins(self, work: Work) -> list[Guard]:
        classes = self.automaton.classes
        return [e.guard for n, entry in work.entries for e in classes[n].edges[classes[n].entry] if e.target == entry]

    def providers(self, node: Node, state: bytes, among: Sequence[Node]) -> Iterator[Node]:
        """Those of `among` that would still bring what the node waits for; itself has to be let go before it can."""
        wanted = self.wanted(node, state)
        for other in among:
            if other == node:
                continue
            if self.brings(other, wanted) or (isinstance(node, Work) and self._occupies(other, node, state)):
                yield other

    def _occupies(self, node: Node, work: Work, state: bytes) -> bool:
        """Whether the task is one of the threads that would have to take the work, and none of them is at home."""
        if not isinstance(node, FutureSpot) or self.at_home(node):
            return False
        classes = self.automaton.classes
        return any(node.number == n and classes[n].entry not in classes[n].places(state) for n, _ in work.entries)

    # --- words

    def _knot(
        self, circle: tuple[Node, ...], group: list[Node], state: bytes, members: dict[Node, tuple[Node, ...]]
    ) -> Knot:
        waits = tuple(
            KnotEdge(self.name(node), self.waits_for(node, state), ", ".join(map(self.name, members[node])) or "nobody")
            for node in circle
        )
        names = frozenset(name for node in circle for name in self._names(node, state))
        return Knot(circle, tuple(group), waits, tuple(sorted({(w.task, w.waits_for) for w in waits})), names)

    def name(self, node: Node) -> str:
        """Who waits there, without telling tasks of a class apart."""
        if isinstance(node, Work):
            return f"the queued {node.title.removeprefix('the ')}"
        return self.automaton.classes[node.number].name

    def blocked(self, spot: FutureSpot) -> Act:
        """The act whose words say best why a task does not move: the first one that says what it waits for."""
        edges = self.edges(spot)
        return next((edge.act for edge in edges if edge.act.waits), edges[0].act)

    def interrupted(self, spot: FutureSpot, state: bytes) -> Resource | None:
        """The processor, where nothing but an interrupt that runs on it keeps a task from going on."""
        owners = {self.automaton.cells[c.cell].owner for c in _false([edge.guard for edge in self.edges(spot)], state)}
        return next(iter(owners)) if owners and all(isinstance(owner, Cpu) for owner in owners) else None

    def waits_for(self, node: Node, state: bytes) -> str:
        """What it waits for, a noun."""
        if isinstance(node, Work):
            return f"a thread of {node.runner}"
        if cpu := self.interrupted(node, state):
            return str(cpu)
        return _wanted(self.blocked(node))

    def how(self, spot: FutureSpot, state: bytes) -> str:
        """In what it waits, a verb."""
        if cpu := self.interrupted(spot, state):
            return f"is interrupted on {cpu}"
        act = self.blocked(spot)
        if act.call.startswith("waits"):
            return act.call
        if re.search(r"\((the|its|a) ", act.call):  # no call that could be found in the source
            return f"waits for {_wanted(act)}"
        return f"blocks in {act.call}" if act.call else f"waits for {_wanted(act)}"

    def _names(self, node: Node, state: bytes) -> Iterator[str]:
        if isinstance(node, Work):
            yield from (node.title, node.runner.name)
            return
        yield self.automaton.classes[node.number].name
        yield from (edge.act.on.name for edge in self.edges(node) if edge.act.on is not None)
        guards = [edge.guard for edge in self.edges(node)]
        yield from (self.automaton.cells[cond.cell].owner.name for cond in _false(guards, state))


def _wanted(act: Act) -> str:
    """What a task that cannot take this way waits for."""
    return act.waits or str(act.when if act.on is None else act.on)


def _remedies(cond: Cond) -> Iterator[FutureEffect]:
    """The changes that can make a false condition true."""
    if cond.op != "<" or cond.other:
        yield FutureEffect(cond.cell, True)
    if cond.op != ">=" or cond.other:
        yield FutureEffect(cond.cell, False)
    if cond.other:
        yield from (FutureEffect(cond.value, True), FutureEffect(cond.value, False))


def _false(guards: list[Guard], state: bytes) -> Iterator[Cond]:
    """The conditions that keep the guards shut."""
    for guard in guards:
        if guard != ALWAYS:
            yield from (cond for conjunction in guard for cond in conjunction if not holds(cond, state))
