"""C -> effect programs: what a function does to the locks and sleeps of a circle, read off its flow graph.

The flow graph is walked from the root of a task, calls inlined where they touch something of the circle and left out
elsewhere, so that what remains is a small automaton. A callee is read once for what is held and known where it is
called, made small, and put in its callers' place. Branches agree with each other as in `facts.flow`: a value that was
tested stays what it is until it is assigned. Ways that cannot be are cut backwards: who gives back what it does not
hold, who returns with a lock. Where nothing is left, or too much, `Unreadable` says so: then nothing may be concluded.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from reviewbot.csource.ir import Assign, Call, CallEvent, Return
from reviewbot.effects_locks import Held, State, Token, lasting, locked
from reviewbot.effects_reader import Act, Reader, bound, runs
from reviewbot.facts import objects
from reviewbot.facts.expr import ANY, bare, show
from reviewbot.facts.flow import VOID, assign, forget_addressed, onward, returned
from reviewbot.facts.plan import Values
from reviewbot.facts.wiring import visited
from reviewbot.facts.world import World
from reviewbot.kernel import KERNEL
from reviewbot.program import Op, Program, alive, reduced
from reviewbot.types import Place

MOST_STATES = 60_000
"""States of all programs of one circle before they are given up."""
MOST_PATHS = 24
"""Most sets of values that a block is visited with before they are forgotten."""
DEEPEST = 16
"""Longest chain of calls."""


class Unreadable(Exception):
    """The program could not be extracted: cut off, unbalanced or too large; the message says which."""


class TooLarge(Unreadable):
    """The program is larger than what can be searched."""


class Frame(NamedTuple):
    """A function as it is called: with which objects, held locks and known values of its parameters."""

    key: str
    ids: tuple[str, ...]
    types: tuple[str, ...]
    bases: tuple[str, ...]
    held: Held
    given: Values


class Target(NamedTuple):
    """A function that a call is followed into: what the text says of its parameters, those that stand for a text of
    the caller's, and the values that are followed there."""

    key: str
    given: Values
    texts: tuple[tuple[str, str], ...]
    followed: frozenset[str]


class Site(NamedTuple):
    """A call as a frame makes it: all of it that does not change with what is held and known."""

    text: str
    place: Place
    acts: tuple[Act, ...] | None
    ids: tuple[str, ...]
    types: tuple[str, ...]
    bases: tuple[str, ...]
    targets: tuple[Target, ...]
    skips: bool
    """It may also be none of the targets."""


class Inside(NamedTuple):
    """At a place of a callee's program; `after` is where the caller goes on."""

    frame: Frame
    place: int
    after: State
    text: str


class End(NamedTuple):
    """A return: with what is held and the signs of the result; `escapes`: from a macro, out of its user."""

    held: Held
    signs: int
    escapes: bool = False


Graph = dict[Hashable, list[tuple[Op | None, Hashable]]]


class Extractor:
    """Reads programs off one world, for one set of resources.

    locks: the locks that are followed. waits: events, completions and flushed objects. chain: functions that are
    followed whether they touch a resource or not. lean: the chains say who waits for a lock; of other callees only
    those count that leave one held, or drop one.
    """

    def __init__(
        self,
        world: World,
        locks: Iterable[str],
        waits: Iterable[str],
        chains: Iterable[tuple[str, ...]],
        lean: bool = False,
    ) -> None:
        self.world = world
        self.locks, self.waits = frozenset(locks), frozenset(waits)
        self.lean = lean
        self.steps = {step for chain in chains for step in pairwise(chain)}
        self._keep = False
        self._left = MOST_STATES
        self._programs: dict[tuple[Frame, bool], Program | None] = {}
        self._open: list[str] = []
        self._touched: dict[tuple[str, tuple[str, ...], bool], bool] = {}
        self._readers: dict[str, Reader] = {}
        self._sites: dict[tuple[int, tuple[str, ...], tuple[str, ...], tuple[str, ...], bool], Site] = {}

    def program(self, root: str, holds: tuple[tuple[str, str], ...] = (), keep: bool = False) -> Program:
        """The program of a task that runs a function, entered with some locks (and modes) held.

        `keep`: a return that leaves something held counts as well. Raises Unreadable.
        """
        if root not in self.world.names.functions or self.world.function(root).unreadable:
            raise Unreadable(f"{root.rpartition(':')[2]}() is not at hand")
        function = self.world.function(root)
        n = len(function.parameters)
        ids = tuple(f"${i}" for i in range(n))
        inside = tuple(Token(lock, mode, "", False) for lock, mode in holds)
        self._keep = keep
        graph, start = self._graph(Frame(root, ids, ("",) * n, ids, inside, frozenset()))
        end = End((), ANY)
        for ways in graph.values():
            ways[:] = [(op, end if isinstance(a, End) else a) for op, a in ways if self._settled(a, inside)]
        living = alive(graph)
        if start not in living:
            raise Unreadable(f"no way through {function.name}() gives back what it takes")
        return reduced(graph, start, living)

    @property
    def exhausted(self) -> bool:
        """Whether nothing more will be read."""
        return self._left < 0

    def refill(self) -> None:
        """Read on: for a smaller part of what was too large."""
        self._left = MOST_STATES

    def _settled(self, after: Hashable, inside: Held) -> bool:
        """Whether a task may end there: with what it was called with, and nothing more."""
        if not isinstance(after, End) or self._keep:
            return True
        return {t for t in after.held if not t.other} == set(inside)

    def reader(self, key: str) -> Reader:
        """A function made ready."""
        found = self._readers.get(key)
        if found is None:
            found = self._readers[key] = Reader(self.world, key)
        return found

    # --- one function

    def _called(self, frame: Frame) -> Program | None:
        """The program of a callee; None where it never returns, or is being read already: no second round."""
        if (frame, self._keep) not in self._programs:
            if frame.key in self._open or len(self._open) >= DEEPEST:
                return None
            graph, start = self._graph(frame)
            living = alive(graph)
            self._programs[frame, self._keep] = reduced(graph, start, living) if start in living else None
        return self._programs[frame, self._keep]

    def _graph(self, frame: Frame) -> tuple[Graph, State]:
        reader = self.reader(frame.key)
        graph: Graph = {}
        crowd: dict[int, set[Values]] = {}
        start = State(0, 0, frame.held, frame.given)
        todo: list[Hashable] = [start]
        self._open.append(frame.key)
        try:
            while todo:
                state = todo.pop()
                if state in graph or isinstance(state, End):
                    continue
                ways = graph[state] = []
                self._left -= 1
                if self._left < 0:
                    raise TooLarge(f"{reader.body.name}() has too many ways")
                if isinstance(state, Choice):
                    found: Iterator[tuple[Op | None, Hashable]] = iter([(None, s) for s in state.states])
                elif isinstance(state, Inside):
                    found = self._inside(state)
                else:
                    found = self._ways(frame, reader, state)
                for op, after in found:
                    if isinstance(after, State) and after.event == 0:
                        after = _forget(after, reader, crowd)
                    ways.append((op, after))
                    todo.append(after)
        finally:
            self._open.pop()
        return graph, start

    def _ways(self, frame: Frame, reader: Reader, state: Hashable) -> Iterator[tuple[Op | None, Hashable]]:
        assert isinstance(state, State)
        block = reader.plan.blocks[state.block]
        if state.event >= len(block.events):
            if not block.edges:
                value = reader.plan.body.function.value
                yield None, End(state.held, returned(value, dict(state.values)))
            for to, (_, values) in onward(reader.plan, block, ((), state.values)):
                yield None, State(to, 0, state.held, values)
            return
        event = block.events[state.event]
        after = state._replace(event=state.event + 1)
        if isinstance(event, CallEvent):
            yield from self._call(frame, after, event, reader)
        elif isinstance(event, Assign):
            _, values = assign(reader.plan, event, ((), state.values), reader.keys)
            yield None, after._replace(values=values)
        elif isinstance(event, Return):
            macro = reader.plan.body.function.macro
            yield None, End(state.held, returned(event.value, dict(state.values)), macro)

    def _inside(self, state: Inside) -> Iterator[tuple[Op | None, Hashable]]:
        """A step of a callee's program, or the way back from it."""
        program = self._called(state.frame)
        assert program is not None
        end = program.ends.get(state.place)
        if isinstance(end, End):
            if end.escapes:
                yield None, End(end.held, end.signs)
                return
            values = {k: v for k, v in state.after.values if k != state.text}
            if end.signs not in (ANY, VOID):
                values[state.text] = end.signs & ANY
            yield None, state.after._replace(held=end.held, values=frozenset(values.items()))
            return
        for op, places in program.places[state.place].steps:
            first, *rest = sorted(places)
            if not rest:
                yield op, state._replace(place=first)
            else:
                yield op, Choice(tuple(state._replace(place=p) for p in (first, *rest)))

    # --- calls

    def _call(
        self, frame: Frame, after: State, event: CallEvent, reader: Reader
    ) -> Iterator[tuple[Op | None, Hashable]]:
        call = event.call
        if call.callee in KERNEL.noreturn:
            return
        _, values = forget_addressed(reader.plan, call, ((), after.values))
        site = self._site(frame, reader, event)
        after = after._replace(values=frozenset(v for v in values if v[0] != site.text))
        if site.acts is not None:
            yield from self._primitive(frame, after, site.acts, call, site.place, site.text)
            return
        for target in site.targets:
            inner = self._enter(after, site, target)
            program = self._called(inner)
            if program is not None:
                back = after._replace(held=(), values=lasting(after.values, self._keep))
                for start in sorted(program.start):
                    yield None, Inside(inner, start, back, site.text)
        if site.skips:
            yield None, after

    def _site(self, frame: Frame, reader: Reader, event: CallEvent) -> Site:
        """The call, read once for each set of objects that a function is called with."""
        name = id(event), frame.ids, frame.types, frame.bases, self._keep
        found = self._sites.get(name)
        if found is None:
            found = self._sites[name] = self._read(frame, reader, event)
        return found

    def _read(self, frame: Frame, reader: Reader, event: CallEvent) -> Site:
        call, body = event.call, reader.body
        text, place = show(call), Place(body.file, call.line, body.name)
        visit = visited(self.world.names, body, call)
        if visit is not None and (frame.key, visit) in self.steps:
            n = len(self.world.function(visit).parameters)
            unknown = (objects.UNKNOWN,) * n  # what it is given is the iterator's
            target = Target(visit, frozenset(), (), self.reader(visit).live[0])
            return Site(text, place, None, unknown, ("",) * n, unknown, (target,), True)
        acts = reader.acts(event)
        if acts is not None and not runs(call.callee):
            return Site(text, place, acts, (), (), (), (), False)
        reached = self.world.links.reached(frame.key, call)
        targets = tuple(self._target(reader, call, t) for t in reached if self._follows(frame, reader, call, t))
        return Site(
            text,
            place,
            None,
            self._ids(frame, reader, call),
            tuple(body.type(a).name for a in call.args),
            tuple(bound(body.base(a), frame.bases) for a in call.args),
            targets,
            len(targets) < len(reached) or not reached,
        )

    def _target(self, reader: Reader, call: Call, key: str) -> Target:
        callee = self.world.body(key)
        texts = tuple(
            (parameter.name, show(bare(arg)))
            for parameter, arg in zip(callee.function.parameters, call.args, strict=False)
            if parameter.name not in callee.values
        )
        given = frozenset(self.world.locking.given(reader.body, call, key))
        return Target(key, given, texts, self.reader(key).live[0])

    def _follows(self, frame: Frame, reader: Reader, call: Call, target: str) -> bool:
        if (frame.key, target) in self.steps:
            return True
        if self.world.has_context(frame.key, call) or self.world.function(target).unreadable:
            return False
        ids = self._ids(frame, reader, call)
        found = self._touched.get((target, ids, self._keep))
        if found is None:
            found = self._touched[target, ids, self._keep] = self._touches(target, ids, reader, call)
        return found

    def _touches(self, target: str, ids: tuple[str, ...], reader: Reader, call: Call) -> bool:
        types = tuple(reader.body.type(a).name for a in call.args)
        record = self.world.locking.record(target)
        tokens = [t for left in record.left for t in (*left.takes, *left.drops)]
        if any(objects.bind(t.lock, ids, types) in self.locks for t in tokens):
            return True
        for effect in self.world.does(target):
            if effect.kind in ("wait", "wake", "flush") or (
                effect.kind == "lock" and (not self.lean or (record.moves and not self._keep))
            ):
                what = effect.object and objects.bind(effect.object, ids, types)
                if what and what in (self.locks if effect.kind == "lock" else self.waits):
                    return True
        return False

    def _ids(self, frame: Frame, reader: Reader, call: Call) -> tuple[str, ...]:
        return tuple(objects.bind(reader.body.identity(a), frame.ids, frame.types) for a in call.args)

    def _enter(self, after: State, site: Site, target: Target) -> Frame:
        known, given = dict(after.values), dict(target.given)
        for parameter, text in target.texts:
            signs = known.get(text)
            if signs is not None:
                given[parameter] = signs
        kept = frozenset((k, v) for k, v in given.items() if k in target.followed)
        return Frame(target.key, site.ids, site.types, site.bases, after.held, kept)

    def _primitive(
        self, frame: Frame, after: State, acts: tuple[Act, ...], call: Call, place: Place, text: str
    ) -> Iterator[tuple[Op | None, Hashable]]:
        """What the kernel's own call does, one act after the other; only one of a call's acts can branch."""
        for act in acts:
            what = objects.bind(act.object, frame.ids, frame.types)
            if act.kind == "lock" and what in self.locks:
                yield from locked(after, act, what, bound(act.base, frame.bases), place, text, self._keep)
                return
            if act.kind in ("wait", "wake", "flush") and what in self.waits:
                yield Op(act.kind, what, act.mode, call.callee, place), after
                return
        yield None, after


class Choice(NamedTuple):
    """One of these, by free choice."""

    states: tuple[Inside, ...]


def _forget(state: State, reader: Reader, crowd: dict[int, set[Values]]) -> State:
    """Only what may still be tested is known; nothing where a block sees too many sets of values."""
    values = frozenset(v for v in state.values if v[0] in reader.live[state.block])
    here = crowd.setdefault(state.block, set())
    if values not in here and len(here) >= MOST_PATHS:
        values = frozenset()
    here.add(values)
    return state._replace(values=values)


__all__ = ["Extractor", "Op", "Program", "TooLarge", "Unreadable"]
