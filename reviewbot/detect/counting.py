"""What the ways through a function do to one counter: how much higher they leave it, and with which result."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import NamedTuple

from reviewbot.analysis.code.expr import ANY, PLUS, ZERO
from reviewbot.analysis.events.kinds import Queue, Site, Submit, Thread, Write
from reviewbot.analysis.program.program import Component, Program
from reviewbot.csource.ir import Assign, Call, CallEvent
from reviewbot.detect.counters import BOTH, HAND, LOWER, MOVES, RAISE, Counters
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import (
    MAX_COUNTED,
    MAX_COUNTER_STATES,
)
from reviewbot.replay.slicing.automaton import alive, reduced
from reviewbot.replay.slicing.frames import End, Frame
from reviewbot.replay.slicing.lock_calls import LockState
from reviewbot.replay.slicing.reader import FunctionReader
from reviewbot.replay.slicing.slicer import Extractor, SlicedOp, TaskAutomaton, Unreadable
from reviewbot.types import Place

_HANDS = frozenset({"queue", "submit"})


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
                if fact.op in MOVES:
                    return SlicedOp(MOVES[fact.op], self.counter, "", "", place)
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
                if fact.op in MOVES:
                    tried = call.callee.endswith(_TRIED) or KERNEL.counted.get(call.callee, (None, ""))[1] == "?"
                    yield from _moves(fact.op, tried, step, after, text)
                    return
        reached = reader.program.callgraph.reached(frame.key, call)
        each = {self.counters.bulk(self.counter, t) for t in reached}
        if len(each) == 1 and (kind := next(iter(each))):
            yield None if kind == BOTH else SlicedOp(kind, self.counter, "each", call.callee, place), after
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
    step = step._replace(kind=MOVES[op])
    if tried:
        yield step, after._replace(values=after.values | {(text, PLUS)})
        yield None, after._replace(values=after.values | {(text, ZERO)})
    else:
        yield step, after


class CounterEnd(NamedTuple):
    """How a way through a function ends: how much higher the counter is, whether it was handed on, the signs of the
    result."""

    net: int
    handed: bool
    signs: int


def ends(automaton: TaskAutomaton) -> frozenset[CounterEnd] | None:
    """All outcomes of a program; None where a loop raises or lowers without bound."""
    todo = [(place, 0, False) for place in automaton.start]
    seen, found = set(todo), set[CounterEnd]()
    while todo:
        place, net, handed = todo.pop()
        ways = automaton.places[place]
        if not ways.steps:
            end = automaton.ends.get(place)
            found.add(CounterEnd(net, handed, end.signs if isinstance(end, End) else ANY))
        for op, after in ways.steps:
            now = {RAISE: net + 1, LOWER: net - 1}.get(op.kind, net)
            if abs(now) > MAX_COUNTED:
                return None
            for to in after:
                state = (to, now, handed or op.kind == HAND)
                if state not in seen:
                    seen.add(state)
                    todo.append(state)
    return frozenset(found)


def outcomes(program: Program, key: FunctionKey, counter: str) -> frozenset[CounterEnd] | None:
    """How the ways through a function leave a counter; None where that cannot be said."""
    known_ = program.component(_CounterEnds).of
    if (key, counter) not in known_:
        try:
            known_[key, counter] = ends(Counting(program, counter).results(key))
        except Unreadable:
            known_[key, counter] = None
    return known_[key, counter]


class _CounterEnds(Component):
    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.of: dict[tuple[FunctionKey, str], frozenset[CounterEnd] | None] = {}
