"""C -> effect programs: what a function does to the locks and sleeps of a circle, read off its flow graph.

The flow graph is walked from the root of a task, calls inlined where they touch something of the circle and left out
elsewhere, so that what remains is a small automaton. A callee is read once for what is held and known where it is
called, made small, and put in its callers' place. Branches agree with each other as in `facts.flow`: a value that was
tested stays what it is until it is assigned. Ways that cannot be are cut backwards: who gives back what it does not
hold, who returns with a lock. Where nothing is left, or too much, `Unreadable` says so: then nothing may be concluded.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from reviewbot.csource.ir import Assign, Call, CallEvent, Expr, Return
from reviewbot.facts import objects
from reviewbot.facts.body import Body
from reviewbot.facts.expr import ANY, PLUS, ZERO, bare, show
from reviewbot.facts.flow import VOID, Plan, Values, assign, forget_addressed, onward, returned
from reviewbot.facts.kinds import Flush, Site, Wait, Wake
from reviewbot.facts.world import World
from reviewbot.kernel import KERNEL, LockCall
from reviewbot.kernel.schema import Contract
from reviewbot.program import Op, Program, alive, reduced
from reviewbot.types import Place

MOST_STATES = 60_000
"""States of all programs of one circle before they are given up."""
MOST_PATHS = 24
"""Most sets of values that a block is visited with before they are forgotten."""
DEEPEST = 16
"""Longest chain of calls."""
SHARED = frozenset({("sem", "x"), ("queue", "r"), ("percpu_ref", "r")})
"""Held things that another task may give back: class and mode."""


class Unreadable(Exception):
    """The program could not be extracted: cut off, unbalanced or too large; the message says which."""


class TooLarge(Unreadable):
    """The program is larger than what can be searched."""


class Token(NamedTuple):
    """A lock that the task holds; `other`: of another instance than the one that is followed."""

    lock: str
    mode: str
    base: str
    other: bool


Held = tuple[Token, ...]


class Frame(NamedTuple):
    """A function as it is called: with which objects, held locks and known values of its parameters."""

    key: str
    ids: tuple[str, ...]
    types: tuple[str, ...]
    bases: tuple[str, ...]
    held: Held
    given: Values


class State(NamedTuple):
    """Where a function is: block, event, what is held and what is known of values."""

    block: int
    event: int
    held: Held
    values: Values


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
    followed whether they touch a resource or not.
    """

    def __init__(
        self, world: World, locks: Iterable[str], waits: Iterable[str], chains: Iterable[tuple[str, ...]]
    ) -> None:
        self.world = world
        self.locks, self.waits = frozenset(locks), frozenset(waits)
        self.steps = {step for chain in chains for step in pairwise(chain)}
        self._keep = False
        self._left = MOST_STATES
        self._programs: dict[tuple[Frame, bool], Program | None] = {}
        self._open: list[str] = []
        self._touched: dict[tuple[str, tuple[str, ...]], bool] = {}
        self._readers: dict[str, Reader] = {}

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
        text = show(call)
        after = after._replace(values=frozenset(v for v in values if v[0] != text))
        place = Place(reader.body.file, call.line, reader.body.name)
        acts = reader.acts(event)
        if acts is not None and not runs(call.callee):
            yield from self._primitive(frame, after, acts, call, place, text)
            return
        targets = self.world.links.reached(frame.key, call)
        followed = [t for t in targets if self._follows(frame, reader, call, t)]
        for target in followed:
            inner = self._enter(frame, after, reader, call, target)
            program = self._called(inner)
            if program is not None:
                back = after._replace(held=(), values=self._lasting(after.values))
                for start in sorted(program.start):
                    yield None, Inside(inner, start, back, text)
        if len(followed) < len(targets) or not targets:
            yield None, after

    def _follows(self, frame: Frame, reader: Reader, call: Call, target: str) -> bool:
        if (frame.key, target) in self.steps:
            return True
        if self.world.has_context(frame.key, call) or self.world.function(target).unreadable:
            return False
        ids = self._ids(frame, reader, call)
        found = self._touched.get((target, ids))
        if found is None:
            found = self._touched[target, ids] = self._touches(target, ids, reader, call)
        return found

    def _touches(self, target: str, ids: tuple[str, ...], reader: Reader, call: Call) -> bool:
        types = tuple(reader.body.type(a).name for a in call.args)
        for effect in self.world.does(target):
            if effect.kind in ("lock", "wait", "wake", "flush") and effect.object:
                what = objects.bind(effect.object, ids, types)
                if what in (self.locks if effect.kind == "lock" else self.waits):
                    return True
        record = self.world.locking.record(target)
        tokens = [t for left in record.left for t in (*left.takes, *left.drops)]
        return any(objects.bind(t.lock, ids, types) in self.locks for t in tokens)

    def _ids(self, frame: Frame, reader: Reader, call: Call) -> tuple[str, ...]:
        return tuple(objects.bind(reader.body.identity(a), frame.ids, frame.types) for a in call.args)

    def _enter(self, frame: Frame, after: State, reader: Reader, call: Call, target: str) -> Frame:
        body = reader.body
        types = tuple(body.type(a).name for a in call.args)
        bases = tuple(_bound(body.base(a), frame.bases) for a in call.args)
        known = dict(after.values)
        given = dict(self.world.locking.given(body, call, target))
        callee = self.world.body(target)
        for parameter, arg in zip(callee.function.parameters, call.args, strict=False):
            signs = known.get(show(bare(arg)))
            if signs is not None and parameter.name not in callee.values:
                given[parameter.name] = signs
        followed = self.reader(target).live[0]
        kept = frozenset((k, v) for k, v in given.items() if k in followed)
        return Frame(target, self._ids(frame, reader, call), types, bases, after.held, kept)

    def _lasting(self, values: Values) -> Values:
        """What is still known after a lock was waited for: what stands in memory may have changed."""
        return frozenset(v for v in values if "->" not in v[0] or "(" in v[0]) if self._keep else values

    def _primitive(
        self, frame: Frame, after: State, acts: tuple[Act, ...], call: Call, place: Place, text: str
    ) -> Iterator[tuple[Op | None, Hashable]]:
        """What the kernel's own call does, one act after the other; only one of a call's acts can branch."""
        for act in acts:
            what = objects.bind(act.object, frame.ids, frame.types)
            if act.kind == "lock" and what in self.locks:
                yield from self._lock(after, act, what, _bound(act.base, frame.bases), place, text)
                return
            if act.kind in ("wait", "wake", "flush") and what in self.waits:
                yield Op(act.kind, what, act.mode, call.callee, place), after
                return
        yield None, after

    def _lock(
        self, after: State, act: Act, lock: str, base: str, place: Place, text: str
    ) -> Iterator[tuple[Op | None, Hashable]]:
        held = after.held
        shared = (act.klass, act.mode) in SHARED
        if act.does in ("release", "downgrade"):
            if shared:
                yield Op("give", lock, act.mode, act.call, place), after
                return
            mine = next((t for t in held if t.lock == lock and t.base == base), None)
            mine = mine or next((t for t in reversed(held) if t.lock == lock), None)
            if mine is None:
                return  # gives back what it does not hold: this way cannot be
            rest = list(held)
            rest.remove(mine)
            op = None if mine.other else Op("give", lock, mine.mode, act.call, place)
            yield op, after._replace(held=tuple(rest))
            return
        other = any(t.lock == lock and t.base != base for t in held)
        if act.does == "transient":
            yield (None if other else Op("pass", lock, act.mode, act.call, place)), after
            return
        now = held if shared else (*held, Token(lock, act.mode, base, other))
        if len(now) > 8:
            return
        result = {"try": PLUS, "killable": ZERO}.get(act.does)
        values = self._lasting(after.values)
        if result is not None:
            values |= {(text, result)}
        taken = after._replace(held=now, values=frozenset(values))
        if act.does == "try":
            failed = after._replace(values=frozenset(after.values | {(text, ZERO)}))
            yield (None if other else Op("try", lock, act.mode, act.call, place)), taken
            yield (None if other else Op("fail", lock, act.mode, act.call, place)), failed
            return
        yield (None if other else Op("take", lock, act.mode, act.call, place)), taken


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


def runs(callee: str) -> bool:
    """Whether a call of the kernel's runs a function of the driver's, by contract."""
    return any(isinstance(effect, Contract) and effect.runs for effect in KERNEL.effects.get(callee, ()))


class Act(NamedTuple):
    """What a kernel call does to an object, in the words of the function that makes it."""

    kind: str
    object: str
    mode: str
    call: str
    does: str = ""
    klass: str = ""
    base: str = ""


class Reader:
    """One function made ready for the walk."""

    def __init__(self, world: World, key: str) -> None:
        self.world, self.key = world, key
        self.body: Body = world.body(key)
        self.plan: Plan = world.locking.plan(key)

    @cached_property
    def keys(self) -> frozenset[str]:
        """Values that are followed: what decides on locks, what is tested twice, results of calls that are at hand."""
        keys = set(self.plan.followed(True, (p.name for p in self.body.function.parameters)))
        called = {show(e.call) for b in self.plan.blocks for e in b.events if isinstance(e, CallEvent)}
        for block in self.plan.blocks:
            for event in block.events:
                if isinstance(event, Assign) and event.op == "=" and show(bare(event.right)) in called:
                    keys.add(show(event.left))
        return frozenset(keys | called)

    @cached_property
    def live(self) -> list[frozenset[str]]:
        """Values that may still be tested, block by block."""
        return self.plan.live(self.keys)

    @cached_property
    def _facts(self) -> dict[tuple[int, str], list[Site]]:
        found: dict[tuple[int, str], list[Site]] = {}
        for fact in self.world.own_facts(self.key):
            if isinstance(fact, Wait | Wake | Flush):
                found.setdefault((fact.at.line, fact.call), []).append(fact)
        return found

    def acts(self, event: CallEvent) -> tuple[Act, ...] | None:
        """What the kernel's own call does; None for a call that is none of the kernel's."""
        call = event.call
        if not call.callee or call.callee in self.body.locals:
            return None
        effects = KERNEL.effects.get(call.callee)
        if effects is None:
            return None
        out = []
        for effect in effects:
            if isinstance(effect, LockCall):
                group = effect.group
                lock = self.world.locking.lock_of(self.body, call, effect)
                arg: Expr | None = call.args[group.argument] if group.argument is not None and call.args else None
                base = self.body.base(arg) if arg is not None else ""
                out.append(Act("lock", lock, group.mode, call.callee, effect.does, group.klass, base))
            elif isinstance(effect, Contract):
                out += [Act("lock", lock, "x", call.callee, "transient", "mutex") for lock in effect.takes]
        for fact in self._facts.get((call.line, call.callee), ()):
            if isinstance(fact, Wait) and not fact.timeout and not fact.announce:
                out.append(Act("wait", fact.object, fact.klass, call.callee))
            elif isinstance(fact, Wake):
                out.append(Act("wake", fact.object, fact.klass, call.callee))
            elif isinstance(fact, Flush):
                out.append(Act("flush", fact.object, "cancel" if fact.cancel else "flush", call.callee))
        return tuple(out)


def _bound(base: str, bases: tuple[str, ...]) -> str:
    return objects.bind(base, bases, ()) if "$" in base else base


__all__ = ["Extractor", "Op", "Program", "TooLarge", "Unreadable"]
