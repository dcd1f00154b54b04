"""Guarded events: what a function does, in the order of the text, each thing with the conditions under which it is done.

What a function hands to a helper that only one side of a change has is read as if it stood in the function itself: code
that was moved out of a function, or back into it, compares equal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from reviewbot.analysis.code.canonical import Canonical, Literal, Spot
from reviewbot.analysis.code.expr import bare, show
from reviewbot.analysis.code.identity import Scope, scope
from reviewbot.analysis.events.kinds import Site
from reviewbot.analysis.producers.view import View
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import Assign, Call, CallEvent, Expr, Name, Return
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL, ClientCall, Effect, LockCall, PoolCall, schema
from reviewbot.limits import MAX_GUARDED_EVENTS, MAX_NESTED_HELPERS
from reviewbot.types import Place

Guard = frozenset[Literal]

LOCK, UNLOCK, WAIT, WAKE, QUEUE, SUBMIT, END, BARRIER = (
    "lock",
    "unlock",
    "wait",
    "wake",
    "queue",
    "submit",
    "end I/O",
    "barrier",
)
CALL, WRITE, RETURN, LEAVE, QUIET = "call", "write", "return", "leave", "quiet"
SEVERAL = "one of several values"
TESTED = frozenset({"tested"})
"""Said of a write to what a sleeper tests."""
_ORDERED = frozenset({LOCK, UNLOCK, WAIT, WAKE, QUEUE, SUBMIT, END, BARRIER})
_ORDERED_BELOW = frozenset({"lock", "wait", "flush", "wake", "queue", "finish", "submit", *TESTED})


_TESTS = KERNEL.error_test | KERNEL.error_or_null_test | KERNEL.error_value
"""Calls that only say what a value is."""


class GuardedEvent(NamedTuple):
    """One thing that a function does.

    op: lock, unlock, wait, wake, queue, submit, end I/O, allocate, ... as the kernel's knowledge has it; call for a call
    of which it says nothing; write to what others see; return; leave (a loop); quiet for what changes nothing that
    tasks wait for.
    """

    op: str
    callee: str
    """What is called; what is written to; empty for a return."""
    words: str
    """All of it, in canonical words."""
    guard: Guard
    at: Place
    way: tuple[Spot, ...]
    """Where it stands: in the function, then in each helper that is read in its place."""
    branches: tuple[tuple[Literal, int], ...] = ()
    """The conditions of the guard, with the lines where they stand, the nearest last."""
    below: frozenset[str] = frozenset()
    """Kinds of effects that a call has through its callees."""
    facts: tuple[Site, ...] = ()
    """The facts about it."""
    text: str = ""
    """The call as it is written."""
    stack: tuple[FunctionKey, ...] = ()
    """The function, and the helpers that are read in its place, down to the one where this stands; by key."""

    @property
    def token(self) -> tuple[str, str]:
        """What two events are the same by, whatever their guards."""
        return self.op, self.words

    @property
    def ordered(self) -> bool:
        """Whether other things that are done before or after it make a difference: locks, waits, wake-ups, queues, I/O,
        barriers, and writes that a sleeper tests; by the call itself, or below it."""
        return self.op in _ORDERED or bool(self.below & _ORDERED_BELOW)

    def __str__(self) -> str:
        """The event for people: as it is written, where it is a call."""
        return f"{self.op} {self.text or self.words}".strip()


class GuardedEvents:
    """The guarded events of functions of one side.

    helpers: keys of functions that are read in place of their calls. names: key of a function -> its local -> the name
    that the local has on the other side.
    """

    def __init__(
        self,
        program: Program,
        helpers: Collection[FunctionKey] = (),
        names: Mapping[FunctionKey, Mapping[str, str]] | None = None,
    ) -> None:
        self.program, self.helpers = program, frozenset(helpers)
        self.names = names or {}
        self.read: set[FunctionKey] = set()
        """Helpers that were read in the place of a call."""

    def of(self, key: FunctionKey) -> tuple[GuardedEvent, ...]:
        """The events of a function, in the order of the text; none for one that cannot be read."""
        found: list[GuardedEvent] = []
        for event in self._of(key, None, frozenset(), (), (key,), ()):
            found.append(event)
            if len(found) > MAX_GUARDED_EVENTS:
                return ()
        return tuple(found)

    def _of(
        self,
        key: FunctionKey,
        given: Mapping[str, str] | None,
        guard: Guard,
        branches: tuple[tuple[Literal, int], ...],
        stack: tuple[FunctionKey, ...],
        way: tuple[Spot, ...],
    ) -> Iterator[GuardedEvent]:
        if self.program.function(key).unreadable:
            return
        view = self.program.view(key)
        words = Canonical(view.body, given, self.names.get(key, {}))
        conditions = _Conditions(view, words)
        calls = iter(view.made)
        sites: dict[tuple[int, str], tuple[Site, ...]] = {}
        for fact in self.program.own_facts(key):
            if isinstance(fact, Site):
                sites[fact.at.line, fact.call] = (*sites.get((fact.at.line, fact.call), ()), fact)
        for number, block in enumerate(view.body.function.blocks):
            own, lines = conditions.of(number)
            here, where = guard | own, (*branches, *lines)
            for index, event in enumerate(block.events):
                spot = Spot(number, index)
                place = (*way, spot)
                match event:
                    case CallEvent(call):
                        made = next(calls)
                        helper = self._helper(key, call, stack)
                        if helper is not None:
                            parameters = self.program.body(helper).function.parameters
                            texts = [words.text(arg, spot) for arg in call.args]
                            inner = {p.name: t for p, t in zip(parameters, texts, strict=False)}
                            yield from self._of(helper, inner, here, where, (*stack, helper), place)
                            continue
                        op, below = self._kind(view, call, made.effects)
                        text = words.text(call, spot)
                        callee = call.callee or text.partition("(")[0]
                        at = view.place(call.line)
                        facts = sites.get((call.line, made.call.callee or show(made.call.target)), ())
                        yield GuardedEvent(op, callee, text, here, at, place, where, below, facts, call.text, stack)
                    case Assign(left, right, line, op):
                        target = self._written(view, left)
                        if target:
                            tested = TESTED if target in self.program.events.tested else frozenset[str]()
                            text = f"{words.text(left, spot)} {op} {words.text(right, spot)}"
                            at = view.place(line)
                            yield GuardedEvent(WRITE, target, text, here, at, place, where, tested, (), "", stack)
                    case Return(value, line) if not way:
                        text = words.text(value, spot) if value is not None else ""
                        text = SEVERAL if text[:1] == "~" or " | " in text else text
                        yield GuardedEvent(RETURN, "", text, here, view.place(line), place, where, stack=stack)
            yield from (e._replace(stack=stack) for e in conditions.leaves(number, here, where, way))

    def _helper(self, key: FunctionKey, call: Call, stack: tuple[FunctionKey, ...]) -> FunctionKey | None:
        """The function that is read in place of a call."""
        if not call.callee or len(stack) > MAX_NESTED_HELPERS:
            return None
        for target in self.program.callgraph.reached(key, call):
            if target in self.helpers and target not in stack:
                self.read.add(target)
                return target
        return None

    def _kind(self, view: View, call: Call, effects: tuple[Effect, ...]) -> tuple[str, frozenset[str]]:
        for effect in effects:
            if op := kind_of(effect):
                tested = isinstance(effect, schema.WriteGroup) and self._tested(view, call, effect)
                return op, TESTED if tested else frozenset()
        name = call.callee
        if name in KERNEL.words["barrier"]:
            return BARRIER, frozenset()
        if name in _TESTS or name in KERNEL.inert or name.startswith(KERNEL.inert_starts):
            return QUIET, frozenset()
        below = frozenset(
            e.kind for target in self.program.callgraph.reached(view.key, call) for e in self.program.does(target)
        )
        return CALL, below

    def _tested(self, view: View, call: Call, effect: schema.WriteGroup) -> bool:
        return view.object(call, effect.argument) in self.program.events.tested

    def _written(self, view: View, left: Expr) -> str:
        """The object that is written to, where others can see it."""
        inner = bare(left)
        if isinstance(inner, Name) and inner.name in view.body.locals and inner.name not in view.body.statics:
            return ""
        identity = view.body.identity(left)
        return "" if scope(identity) is Scope.STACK else identity


def kind_of(effect: Effect) -> str:
    """What a call with an effect does, as events name it; empty for one that only says more of others."""
    match effect:
        case LockCall(_, does):
            return UNLOCK if does in ("release", "downgrade") else LOCK
        case PoolCall(_, does) | ClientCall(_, does):
            return does
        case schema.WaitGroup() | schema.FlushGroup():
            return WAIT
        case schema.WakeGroup():
            return WAKE
        case schema.FinishGroup():
            return END
        case schema.SubmitGroup():
            return SUBMIT
        case schema.QueueGroup():
            return QUEUE
        case schema.AllocateGroup():
            return "allocate"
        case schema.WriteGroup():
            return WRITE
        case schema.MaskGroup() | schema.WorkqueueGroup() | schema.BindGroup() | schema.ThreadGroup():
            return "make"
    return ""


class _Conditions:
    """The conditions of the blocks of a function, in canonical words."""

    def __init__(self, view: View, words: Canonical) -> None:
        self._view, self._words = view, words
        self._blocks = view.body.function.blocks
        self._memo: dict[int, tuple[Guard, tuple[tuple[Literal, int], ...]]] = {}

    def of(self, block: int) -> tuple[Guard, tuple[tuple[Literal, int], ...]]:
        """What holds in a block, and the lines where it is tested, the nearest last."""
        found = self._memo.get(block)
        if found is None:
            lines: dict[Literal, int] = {}
            for source, when, taken in self._view.dominance.tests(block):
                for literal in self._literals(source, when, taken):
                    lines.setdefault(literal, self._line(source, when))
            found = self._memo[block] = frozenset(lines), tuple(reversed(lines.items()))
        return found

    def _literals(self, source: int, when: Expr, taken: bool) -> frozenset[Literal]:
        return self._words.literals(when, taken, Spot(source, len(self._blocks[source].events)))

    def _line(self, source: int, when: Expr) -> int:
        block = self._blocks[source]
        return next((e.line for e in block.edges if e.when is when and e.line), block.line)

    def leaves(
        self, number: int, guard: Guard, branches: tuple[tuple[Literal, int], ...], way: tuple[Spot, ...]
    ) -> Iterator[GuardedEvent]:
        """The ways out of the loops that a block is in."""
        onward = self._view.body.onward
        if number not in onward[number]:
            return
        for edge in self._blocks[number].edges:
            if number in onward[edge.to] or edge.to == number:
                continue
            literals = self._literals(number, edge.when, edge.taken) if edge.when is not None else frozenset()
            line = edge.line or self._blocks[number].line
            words = " && ".join(sorted(map(str, literals)))
            spot = Spot(number, len(self._blocks[number].events))
            lines = (*branches, *((literal, line) for literal in literals))
            yield GuardedEvent(LEAVE, "", words, guard, self._view.place(line), (*way, spot), lines)
