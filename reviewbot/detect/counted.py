"""Counters that a function does not give back any more since a change, and who sleeps until they are zero.

A counter is what somebody sleeps for until it has fallen to zero, or whose last holder completes what somebody waits for;
besides those that the kernel itself counts so (`[[count]]` in kernel/api.toml). A function has to leave it as its callers
know it: what it raised it lowers again, and what it was called for to lower, it lowers on every way.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import ANY, PLUS, ZERO, bare, sign
from reviewbot.analysis.code.identity import Scope, known, scope
from reviewbot.analysis.events.kinds import Queue, Site, Submit, Thread, Wait, Wake, Write
from reviewbot.analysis.producers.predicates import senses
from reviewbot.analysis.program.program import Component, Program
from reviewbot.csource.ir import Assign, Call, CallEvent, Expr, OpExpr
from reviewbot.detect.edges import changed
from reviewbot.detect.waitfor import unread
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL, schema
from reviewbot.limits import (
    MAX_ALTERNATIVES,
    MAX_CALLS_ABOVE_COUNT,
    MAX_CALLS_TO_COUNT,
    MAX_COUNTED,
    MAX_COUNTER_STATES,
)
from reviewbot.replay.slicing.automaton import alive, reduced
from reviewbot.replay.slicing.frames import End, Frame
from reviewbot.replay.slicing.lock_calls import LockState
from reviewbot.replay.slicing.reader import FunctionReader
from reviewbot.replay.slicing.slicer import Extractor, SlicedOp, TaskAutomaton, Unreadable
from reviewbot.types import Place, Value

RAISE, LOWER, SET, HAND = "raise", "lower", "set", "hand"
"""Steps: one more, one less, set to one, given to somebody who may lower it."""
KEPT, OWED = "kept", "owed"
_MOVES = {"+": RAISE, "-": LOWER, "?": RAISE}
_HANDS = frozenset({"queue", "submit"})


class Sleeper(NamedTuple):
    """Who sleeps until a counter is zero: a function, its call, and the place where it is known."""

    function: str
    call: str
    at: Place | None


class Leak(Value, frozen=True):
    """A counter that a function may leave higher than it did.

    how: kept (it raised it itself), owed (it was called to lower it, and did on every way).
    """

    counter: str
    how: str
    way: tuple[FunctionKey, ...]
    """The function, below those of its callers that do not make up for it; by key."""
    sleeper: Sleeper
    handed: int = 0
    """Results with which it was left raised before, too: somebody else lowers it then."""

    @property
    def key(self) -> FunctionKey:
        """The function that leaves it."""
        return self.way[-1]

    @property
    def function(self) -> str:
        """Its name."""
        return name_of(self.key)


class Counters(Component):
    """The counters of a program that somebody waits for, and who changes them."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._above: dict[str, frozenset[FunctionKey]] = {}
        self._bulk: dict[tuple[str, FunctionKey], str] = {}

    @cached_property
    def sleepers(self) -> dict[str, Sleeper]:
        """Counter -> somebody who sleeps until it is zero."""
        found = {group.object: Sleeper(group.waits, "", None) for group, _ in KERNEL.counted.values()}
        for key, wait in self.program.all(Wait):
            for counter in self._until_zero(key, wait):
                found[counter] = Sleeper(wait.function, wait.call, wait.at)
        for completion, counter in self._completed_last.items():
            for _, wait in self.program.all(Wait):
                if wait.object == completion and not wait.timeout:
                    found.setdefault(counter, Sleeper(wait.function, wait.call, wait.at))
        return found

    def _until_zero(self, key: FunctionKey, wait: Wait) -> Iterator[str]:
        """The counters that have to be zero before a sleep ends."""
        if not wait.reads or (wait.timeout and wait.klass != "sleep"):
            return
        view = self.program.view(key)
        for made in view.made:
            if made.call.line != wait.at.line or made.call.callee != wait.call:
                continue
            if wait.klass == "sleep":
                yield from _polled(view.body, made.block, view.dominance.loops)
            for effect in made.effects:
                condition = view.arg(made.call, effect.condition) if isinstance(effect, schema.WaitGroup) else None
                if condition is not None:
                    yield from _zero(view.body, condition)

    @cached_property
    def _completed_last(self) -> dict[str, str]:
        """Completion -> the counter of which only the last holder completes it."""
        by: dict[str, set[str]] = {}
        for key, wake in self.program.all(Wake):
            if wake.klass == "completion" and known(wake.object):
                by.setdefault(wake.object, set()).add(self._last_of(key, wake))
        return {completion: next(iter(of)) for completion, of in by.items() if len(of) == 1 and "" not in of}

    def _last_of(self, key: FunctionKey, wake: Wake) -> str:
        """The counter that was lowered to zero before a completion; empty for none."""
        view = self.program.view(key)
        block = next((m.block for m in view.made if m.call.line == wake.at.line and m.call.callee == wake.call), None)
        if block is None:
            return ""
        for when, taken in view.dominance.conditions(block):
            call = bare(when)
            if taken and isinstance(call, Call) and _lowers(call):
                counter = view.object(call, 0)
                return counter if known(counter) else ""
        return ""

    @cached_property
    def _moved(self) -> dict[str, set[FunctionKey]]:
        found: dict[str, set[FunctionKey]] = {}
        for key, write in self.program.all(Write):
            if write.op in _MOVES and scope(write.object) is not Scope.STACK:
                found.setdefault(write.object, set()).add(key)
        return found

    def moving(self, counter: str) -> frozenset[FunctionKey]:
        """Functions that may change a counter, and those above them."""
        found = self._above.get(counter)
        if found is None:
            keys = set(self._moved.get(counter, ()))
            edge = set(keys)
            for _ in range(MAX_CALLS_ABOVE_COUNT):
                edge = {caller for key in edge for caller in self.program.callers(key)} - keys
                keys |= edge
            found = self._above[counter] = frozenset(keys)
        return found

    def near(self, counter: str, key: FunctionKey) -> bool:
        """Whether a function changes a counter itself, or by helpers right below it."""
        own, found = self._moved.get(counter, frozenset[FunctionKey]()), {key}
        for _ in range(MAX_CALLS_TO_COUNT):
            if not own.isdisjoint(found):
                return True
            found = {callee for k in found for callee in self.program.callees(k)}
        return not own.isdisjoint(found)

    def bulk(self, counter: str, key: FunctionKey) -> str:
        """`raise` or `lower` for a function that does nothing but that to a counter, for each object of a list."""
        if (counter, key) not in self._bulk:
            self._bulk[counter, key] = ""  # while it is looked at: a function that calls itself
            self._bulk[counter, key] = self._of_each(counter, key)
        return self._bulk[counter, key]

    def _of_each(self, counter: str, key: FunctionKey) -> str:
        if key not in self.moving(counter) or self.program.function(key).value is not None:
            return ""
        view, does, looped = self.program.view(key), set[str](), set[bool]()
        looping = frozenset[int]().union(*view.dominance.loops)
        for made in view.made:
            direct = move_of(self.program, key, made.call, counter)
            below = {self.bulk(counter, t) for t in self.program.callgraph.reached(key, made.call)} - {""}
            if direct:
                does.add(direct)
                looped.add(made.block in looping)
            elif below:
                does |= below
                looped.add(True)
            elif any(t in self.moving(counter) for t in self.program.callgraph.reached(key, made.call)):
                return ""
        return next(iter(does)) if len(does) == 1 and looped == {True} else ""


def move_of(program: Program, key: FunctionKey, call: Call, counter: str) -> str:
    """What a call of the kernel's does to a counter, in the function's own words; empty for nothing."""
    for fact in program.own_facts(key):
        if (
            isinstance(fact, Write)
            and fact.at.line == call.line
            and fact.call == call.callee
            and fact.object == counter
        ):
            return _MOVES.get(fact.op, "")
    return ""


def _lowers(call: Call) -> bool:
    return any(isinstance(e, schema.WriteGroup) and e.op == "-" for e in KERNEL.effects.get(call.callee, ()))


def _zero(body: Body, condition: Expr, sense: bool = True) -> frozenset[str]:
    """What has to be zero for a condition to be true (or, with `sense` False, for it to be false)."""
    match bare(condition):
        case OpExpr("!", (inner,)):
            return _zero(body, inner, not sense)
        case OpExpr("&&" | "||" as op, args):
            each = [_zero(body, arg, sense) for arg in args]
            return frozenset[str]().union(*each) if (op == "&&") is sense else frozenset.intersection(*each)
    found = senses(body, condition, sense)
    return frozenset(read for read, wanted in found.items() if wanted is False and len(found) == 1 and known(read))


def _polled(body: Body, block: int, loops: Iterable[frozenset[int]]) -> frozenset[str]:
    """What has to be zero for the innermost loop around a block to be left."""
    around = sorted((loop for loop in loops if block in loop), key=len)
    if not around:
        return frozenset()
    blocks, loop = body.function.blocks, around[0]
    out = [(e.when, e.taken) for n in loop for e in blocks[n].edges if e.to not in loop]
    if not out or any(when is None for when, _ in out):
        return frozenset()
    return frozenset.intersection(*(_zero(body, when, taken) for when, taken in out if when is not None))


class Counting(Extractor):
    """Programs of what functions do to one counter, with their results."""

    most = MAX_COUNTER_STATES

    def __init__(self, program: Program, counter: str) -> None:
        super().__init__(program, (), (), ())
        self.counter, self.counters = counter, program.component(Counters)
        self._facts: dict[FunctionKey, dict[tuple[int, str], list[Site]]] = {}

    def results(self, root: FunctionKey) -> TaskAutomaton:
        """The program of a function, each of whose ends says with which result it returns. Raises Unreadable."""
        if root not in self.program.names.functions or self.program.function(root).unreadable:
            raise Unreadable(f"{name_of(root)}() is not at hand")
        n = len(self.program.function(root).parameters)
        ids = tuple(f"${i}" for i in range(n))
        graph, start = self._graph(Frame(root, ids, ("",) * n, ids, (), frozenset()))
        living = alive(graph)
        if start not in living:
            raise Unreadable(f"no way leads through {name_of(root)}()")
        return reduced(graph, start, living)

    def _follows(self, frame: Frame, seen: object, target: FunctionKey) -> bool:
        apart = getattr(seen, "apart", False)
        if apart or self.program.function(target).unreadable:
            return False
        return target in self.counters.moving(self.counter)

    def _at_line(self, key: FunctionKey, line: int, call: str) -> list[Site]:
        if key not in self._facts:
            found = self._facts[key] = {}
            for fact in self.program.own_facts(key):
                if isinstance(fact, Write | Queue | Submit | Thread):
                    found.setdefault((fact.at.line, getattr(fact, "call", "")), []).append(fact)  # type: ignore[arg-type]
        return self._facts[key].get((line, call), [])

    def _assigned(self, frame: Frame, reader: FunctionReader, event: Assign) -> SlicedOp | None:
        for fact in self._at_line(frame.key, event.line, ""):
            if isinstance(fact, Write) and self._bind(fact.object, frame) == self.counter:
                place = Place(reader.body.file, event.line, reader.body.name)
                if fact.op in _MOVES:
                    return SlicedOp(_MOVES[fact.op], self.counter, "", "", place)
        return None

    def _call(
        self, frame: Frame, after: LockState, event: CallEvent, reader: FunctionReader
    ) -> Iterator[tuple[SlicedOp | None, Hashable]]:
        call = event.call
        place, text = Place(reader.body.file, call.line, reader.body.name), reader.plan.text(call)
        after = after._replace(values=frozenset(v for v in after.values if v[0] != text))
        for fact in self._at_line(frame.key, call.line, call.callee):
            if isinstance(fact, Write) and self._bind(fact.object, frame) == self.counter:
                step = SlicedOp("", self.counter, "", call.callee, place)
                if fact.op == "=" and len(call.args) == 2 and sign(call.args[1]) == PLUS:
                    yield step._replace(kind=SET), after
                    return
                if fact.op in _MOVES:
                    tried = call.callee.endswith(_TRIED) or KERNEL.counted.get(call.callee, (None, ""))[1] == "?"
                    yield from _moves(fact.op, tried, step, after, text)
                    return
        reached = reader.program.callgraph.reached(frame.key, call)
        each = {self.counters.bulk(self.counter, t) for t in reached}
        if len(each) == 1 and (kind := next(iter(each))):
            yield SlicedOp(kind, self.counter, "each", call.callee, place), after
            return
        if self._hands(frame.key, call, reached):
            for step_, state in super()._call(frame, after, event, reader):
                if step_ is None and isinstance(state, LockState):
                    yield SlicedOp(HAND, self.counter, "", call.callee or text, place), state
                else:
                    yield step_, state
            return
        yield from super()._call(frame, after, event, reader)

    def _hands(self, key: FunctionKey, call: Call, reached: tuple[FunctionKey, ...]) -> bool:
        """Whether a call may give somebody else what he lowers the counter for."""
        if any(isinstance(f, Queue | Submit | Thread) for f in self._at_line(key, call.line, call.callee)):
            return True
        if not reached:
            return not call.callee or call.callee in self.program.body(key).locals
        return any(e.kind in _HANDS for t in reached for e in self.program.does(t))


_TRIED = ("_not_zero", "_unless_zero", "_unless_negative", "_if_positive")


def _moves(
    op: str, tried: bool, step: SlicedOp, after: LockState, text: str
) -> Iterator[tuple[SlicedOp | None, LockState]]:
    step = step._replace(kind=_MOVES[op])
    if tried:
        yield step, after._replace(values=after.values | {(text, PLUS)})
        yield None, after._replace(values=after.values | {(text, ZERO)})
    else:
        yield step, after


class Outcome(NamedTuple):
    """How a way through a function ends: how much higher the counter is, whether it was handed on, the signs of the
    result."""

    net: int
    handed: bool
    signs: int


def ends(automaton: TaskAutomaton) -> frozenset[Outcome] | None:
    """All outcomes of a program; None where a loop raises or lowers without bound."""
    todo = [(place, 0, False) for place in automaton.start]
    seen, found = set(todo), set[Outcome]()
    while todo:
        place, net, handed = todo.pop()
        ways = automaton.places[place]
        if not ways.steps:
            end = automaton.ends.get(place)
            found.add(Outcome(net, handed, end.signs if isinstance(end, End) else ANY))
        for op, after in ways.steps:
            now = {RAISE: net + 1, LOWER: net - 1, SET: 1}.get(op.kind, net)
            if abs(now) > MAX_COUNTED:
                return None
            for to in after:
                state = (to, now, handed or op.kind == HAND)
                if state not in seen:
                    seen.add(state)
                    todo.append(state)
    return frozenset(found)


def outcomes(program: Program, key: FunctionKey, counter: str) -> frozenset[Outcome] | None:
    """How the ways through a function leave a counter; None where that cannot be said."""
    known_ = program.component(_Outcomes).of
    if (key, counter) not in known_:
        try:
            known_[key, counter] = ends(Counting(program, counter).results(key))
        except Unreadable:
            known_[key, counter] = None
    return known_[key, counter]


class _Outcomes(Component):
    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.of: dict[tuple[FunctionKey, str], frozenset[Outcome] | None] = {}


def leaks(before: Program, after: Program, names: Iterable[tuple[str, str]]) -> Iterator[Leak]:
    """The counters that functions `names` (file, name) leave raised since a change, or do not lower any more."""
    keys = [k for k in changed(after, names) if not after.function(k).macro and not after.function(k).unreadable]
    for counter, sleeper in after.component(Counters).sleepers.items():
        near = [k for k in keys if k in before.names.functions and before.component(Counters).near(counter, k)]
        if not near or _made_up(before, after, keys, counter):
            continue
        for key in near:
            if unread(after, key) - unread(before, key):
                continue
            how = _leaves(before, after, key, counter)
            if how and (way := _way(before, after, counter, (key,), how)):
                handed = _signs(o for o in outcomes(before, way[0], counter) or () if o.net > 0)
                yield Leak(counter=counter, how=how, way=way, sleeper=sleeper, handed=handed)


def _made_up(before: Program, after: Program, keys: Iterable[FunctionKey], counter: str) -> bool:
    """Whether some changed function lowers or raises the counter in a place where it did not: that may make up for
    another one, or be what others are to lower."""
    return any(_places(after, k, counter, op) > _places(before, k, counter, op) for k in keys for op in (LOWER, RAISE))


def _places(program: Program, key: FunctionKey, counter: str, op: str) -> int:
    """At how many places a function raises or lowers a counter, itself or by a call."""
    if key not in program.names.functions:
        return 0
    found = [_MOVES.get(f.op) for f in program.own_facts(key) if isinstance(f, Write) and f.object == counter]
    for call in program.body(key).calls:
        if move_of(program, key, call, counter):
            continue
        for target in program.callgraph.reached(key, call):
            if target != key and target in program.component(Counters).moving(counter):
                found.append(_net(program, target, counter))
    return found.count(op)


def _net(program: Program, key: FunctionKey, counter: str) -> str:
    """What a function comes to: raise, lower or neither."""
    if kind := program.component(Counters).bulk(counter, key):
        return kind
    nets = {outcome.net for outcome in outcomes(program, key, counter) or ()}
    return LOWER if nets and min(nets) < 0 else RAISE if nets and max(nets) > 0 else ""


def _way(
    before: Program, after: Program, counter: str, way: tuple[FunctionKey, ...], how: str
) -> tuple[FunctionKey, ...]:
    """The functions from one that nobody makes up for down to one that leaves a counter; empty where all callers do, or it
    does not leave it."""
    if _leaves(before, after, way[0], counter) != how:
        return ()
    callers = [c for c in _callers(after, way[0]) if c not in way]
    if not callers or len(way) > MAX_CALLS_ABOVE_COUNT:
        return way
    for caller in callers[:MAX_ALTERNATIVES]:
        if not _lowers_besides(after, caller, way[0], counter):
            if _left_alone(after, caller, counter, (caller, *way)):
                return way
        elif found := _way(before, after, counter, (caller, *way), how):
            return found
    return ()


def _left_alone(program: Program, key: FunctionKey, counter: str, way: tuple[FunctionKey, ...]) -> bool:
    """Whether a function has a caller, up to the outermost one, of which none lowers the counter besides."""
    callers = [c for c in _callers(program, key) if c not in way]
    if not callers or len(way) > MAX_CALLS_ABOVE_COUNT:
        return True
    return any(
        not _lowers_besides(program, caller, key, counter) and _left_alone(program, caller, counter, (caller, *way))
        for caller in callers[:MAX_ALTERNATIVES]
    )


def _callers(program: Program, key: FunctionKey) -> list[FunctionKey]:
    return [c for c in program.callers(key) if c in program.names.functions and program.body(c).function.blocks]


def _lowers_besides(program: Program, key: FunctionKey, callee: FunctionKey, counter: str) -> bool:
    """Whether a function may lower a counter, but for what it calls another one for."""
    moving = program.component(Counters).moving(counter)
    if any(isinstance(f, Write) and f.op == "-" and f.object == counter for f in program.own_facts(key)):
        return True
    for call in program.body(key).calls:
        if move_of(program, key, call, counter) == LOWER:
            return True
        for target in program.callgraph.reached(key, call):
            if target not in (key, callee) and target in moving and _may_lower(program, target, counter):
                return True
    return False


def _may_lower(program: Program, key: FunctionKey, counter: str) -> bool:
    found = outcomes(program, key, counter)
    return found is None or min(o.net for o in found) < 0 or program.component(Counters).bulk(counter, key) == LOWER


def _leaves(before: Program, after: Program, key: FunctionKey, counter: str) -> str:
    """How a function leaves a counter higher than it did with such a result; empty where it does not."""
    was, now = outcomes(before, key, counter), outcomes(after, key, counter)
    if not was or not now:
        return ""
    if {o.net for o in was} == {-1} and any(o.net == 0 and not o.handed for o in now):
        return OWED
    handed = _signs(o for o in was if o.net > 0)
    return KEPT if any(o.net > 0 and not o.signs & handed for o in now) else ""


def _signs(found: Iterable[Outcome]) -> int:
    signs = 0
    for outcome in found:
        signs |= outcome.signs
    return signs


__all__ = ["HAND", "KEPT", "LOWER", "OWED", "RAISE", "SET", "Counting", "Leak", "Outcome", "leaks", "outcomes"]
