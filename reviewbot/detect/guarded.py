"""Guarded events: what a function does, in the order of the text, each thing with the conditions under which it is done.

What a function hands to a helper that only one side of a change has is read as if it stood in the function itself: code
that was moved out of a function, or back into it, compares equal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from reviewbot.analysis.code.canonical import Canonical, Literal, Spot
from reviewbot.analysis.code.dominance import spell
from reviewbot.analysis.code.expr import MINUS, PLUS, ZERO, bare, show, sign
from reviewbot.analysis.code.identity import Scope, scope
from reviewbot.analysis.events.kinds import Site
from reviewbot.analysis.producers.view import Made, View
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import AddressOf, Assign, Call, CallEvent, Const, Deref, Expr, Name, Return
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
CALL, WRITE, RETURN, LEAVE, SET, QUIET = "call", "write", "return", "leave", "set", "quiet"
SEVERAL = "one of several values"
TESTED = frozenset({"tested"})
"""Said of a write to what a sleeper tests."""
MERGED = frozenset({"merged"})
"""Said of a local that is used where several of its values can be."""
OPAQUE = "opaque"
"""Said of a call of which nothing is known: neither what it does nor the function that it reaches."""
_ORDERED = frozenset({LOCK, UNLOCK, WAIT, WAKE, QUEUE, SUBMIT, END, BARRIER})
_ORDERED_BELOW = frozenset({"lock", "wait", "flush", "wake", "queue", "finish", "submit", "unlock", *TESTED})


_TESTS = KERNEL.error_test | KERNEL.error_or_null_test | KERNEL.error_value
"""Calls that only say what a value is."""


class GuardBranch(NamedTuple):
    """A condition under which something is done: its canonical words, its line, and how it is written there."""

    literal: Literal
    line: int
    text: str


Branches = tuple[GuardBranch, ...]


class GuardedEvent(NamedTuple):
    """One thing that a function does.

    op: lock, unlock, wait, wake, queue, submit, end I/O, allocate, ... as the kernel's knowledge has it; call for a call
    of which it says nothing; write to what others see; return; leave (a loop); set (a local that other things are made
    of); quiet for what changes nothing that tasks wait for.
    """

    op: str
    callee: str
    """What is called; what is written to, or set; empty for a return."""
    words: str
    """All of it, in canonical words."""
    guard: Guard
    at: Place
    way: tuple[Spot, ...]
    """Where it stands: in the function, then in each helper that is read in its place."""
    branches: Branches = ()
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
        return f"{CALL if self.op == QUIET else self.op} {self.text or self.words}".strip()


class _Stand(NamedTuple):
    """Where an event stands: the conditions that hold there, with their lines, and the way to it, see `GuardedEvent`."""

    guard: Guard
    branches: Branches
    way: tuple[Spot, ...]

    @property
    def spot(self) -> Spot:
        """Its place in the function that it is written in."""
        return self.way[-1]

    @property
    def own(self) -> bool:
        """Whether that is the function itself, and no helper."""
        return len(self.way) == 1


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
        if self.program.function(key).unreadable:
            return ()
        found: list[GuardedEvent] = []
        reading = _Reading(self, key, None, frozenset(), (key,))
        for event in self._of(reading, frozenset(), (), ()):
            found.append(event)
            if len(found) > MAX_GUARDED_EVENTS:
                return ()
        merged = {reading.words.name(name) for name in reading.words.merged}
        return tuple(e._replace(below=MERGED) if e.op == SET and e.callee in merged else e for e in found)

    def _of(self, reading: _Reading, guard: Guard, branches: Branches, way: tuple[Spot, ...]) -> Iterator[GuardedEvent]:
        calls = iter(reading.view.made)
        for number, block in enumerate(reading.view.body.function.blocks):
            own, lines = reading.conditions.of(number)
            here, where = guard | own, (*branches, *lines)
            for index, event in enumerate(block.events):
                stand = _Stand(here, where, (*way, Spot(number, index)))
                match event:
                    case CallEvent():
                        yield from self._call(reading, next(calls), stand)
                    case Assign():
                        yield from self._assignment(reading, event, stand)
                    case Return() if stand.own:
                        yield self._return(reading, event, stand)
            yield from (e._replace(stack=reading.stack) for e in reading.conditions.leaves(number, here, where, way))

    def _call(self, reading: _Reading, made: Made, stand: _Stand) -> Iterator[GuardedEvent]:
        """A call, or the events of the helper that is read in its place."""
        call, (here, where, way) = made.call, stand
        helper = reading.inlined(call, stand.spot)
        if helper is not None:
            yield from self._of(helper, here, where, way)
            return
        op, below = self._kind(reading.view, call, made.effects)
        text = reading.words.text(call, stand.spot)
        callee, at = call.callee or text.partition("(")[0], reading.view.place(call.line)
        facts = reading.sites.get((call.line, call.callee or show(call.target)), ())
        yield GuardedEvent(op, callee, text, here, at, way, where, below, facts, call.text, reading.stack)

    def _assignment(self, reading: _Reading, event: Assign, stand: _Stand) -> Iterator[GuardedEvent]:
        """A local of the function itself that is set, or a write to what others see; nothing for what is in between."""
        (left, right, op), words, (here, where, way) = (event.left, event.right, event.op), reading.words, stand
        at = reading.view.place(event.line)
        if local := words.local(left) or words.part_of(left):
            if stand.own:
                name = words.name(local)
                whole = name if words.local(left) else words.text(left, stand.spot)
                text = f"{whole} {op} {words.text(right, stand.spot)}"
                yield GuardedEvent(SET, name, text, here, at, way, where, stack=reading.stack)
        elif target := self._written(reading.view, left):
            tested = TESTED if target in self.program.events.tested else frozenset[str]()
            text = f"{words.text(left, stand.spot)} {op} {words.text(right, stand.spot)}"
            yield GuardedEvent(WRITE, target, text, here, at, way, where, tested, (), "", reading.stack)

    def _return(self, reading: _Reading, event: Return, stand: _Stand) -> GuardedEvent:
        text = reading.words.text(event.value, stand.spot) if event.value is not None else ""
        text = SEVERAL if text[:1] == "~" or " | " in text else text
        at = reading.view.place(event.line)
        return GuardedEvent(RETURN, "", text, stand.guard, at, stand.way, stand.branches, stack=reading.stack)

    def helper(self, key: FunctionKey, call: Call, stack: tuple[FunctionKey, ...]) -> FunctionKey | None:
        """The function that is read in place of a call."""
        if not self.helpers or not call.callee or len(stack) > MAX_NESTED_HELPERS:
            return None
        for target in self.program.callgraph.reached(key, call):
            if target in self.helpers and target not in stack and not self.program.function(target).unreadable:
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
        reached = self.program.callgraph.reached(view.key, call)
        below = {e.kind for target in reached for e in self.program.does(target)}
        if not reached:
            below.add(OPAQUE)
        if any(delta.drops for target in reached for delta in self.program.locksets.record(target).changes):
            below.add("unlock")
        return CALL, frozenset(below)

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


class _Reading:
    """A function as it is read: for itself, or in the place of a call.

    given: text of its parameters, by name. behind: parameters that point to a local of the caller.
    """

    def __init__(
        self,
        events: GuardedEvents,
        key: FunctionKey,
        given: Mapping[str, str] | None,
        behind: frozenset[str],
        stack: tuple[FunctionKey, ...],
    ) -> None:
        self._events, self.stack = events, stack
        self.view = events.program.view(key)
        self.words = Canonical(self.view.body, given, events.names.get(key, {}), self.inlined, behind)
        self.conditions = _Conditions(self.view, self.words)
        self._inlined: dict[tuple[FunctionKey, tuple[str, ...]], _Reading] = {}

    def inlined(self, call: Call, at: Spot, depth: int = 0) -> _Reading | None:
        """The function that is read in place of a call; None for a call that is one."""
        helper = self._events.helper(self.view.key, call, self.stack)
        if helper is None:
            return None
        texts = tuple(self.words.text(arg, at, depth) for arg in call.args)
        found = self._inlined.get((helper, texts))
        if found is None:
            names = [p.name for p in self._events.program.body(helper).function.parameters]
            behind = {name for name, arg in zip(names, call.args, strict=False) if self._local(bare(arg))}
            given = dict(zip(names, texts, strict=False))
            found = _Reading(self._events, helper, given, frozenset(behind), (*self.stack, helper))
            self._inlined[helper, texts] = found
        return found

    def _local(self, arg: Expr) -> bool:
        return isinstance(arg, AddressOf) and isinstance(arg.base, Name) and bool(self.words.local(arg.base))

    @cached_property
    def sites(self) -> dict[tuple[int, str], tuple[Site, ...]]:
        """The facts about its calls, by line and by what is called."""
        found: dict[tuple[int, str], tuple[Site, ...]] = {}
        for fact in self._events.program.own_facts(self.view.key):
            if isinstance(fact, Site):
                found[fact.at.line, fact.call] = (*found.get((fact.at.line, fact.call), ()), fact)
        return found

    @cached_property
    def _returns(self) -> tuple[tuple[Expr | None, Spot], ...]:
        blocks = self.view.body.function.blocks
        reached = {0, *self.view.body.onward[0]} if blocks else set()
        return tuple(
            (event.value, Spot(number, index))
            for number in sorted(reached)
            for index, event in enumerate(blocks[number].events)
            if isinstance(event, Return)
        )

    def value(self) -> str:
        """What a call of it is worth; empty where that cannot be said."""
        said = {self.words.text(value, spot) for value, spot in self._returns if value is not None}
        return "" if any(text.startswith("~") for text in said) else " | ".join(sorted(said))

    def literals(self, taken: bool) -> frozenset[Literal] | None:
        """What holds where a call of it is true (or not): what leads to the only return that can say so, or to each of
        them."""
        signs = MINUS | PLUS if taken else ZERO
        ways = [(value, spot) for value, spot in self._returns if value is not None and sign(value) & signs]
        guards = [self.conditions.of(spot.block)[0] for _, spot in ways]
        if not ways:
            return None
        holds = frozenset.intersection(*guards)
        value, spot = ways[0]
        if len(ways) == 1:
            return holds if isinstance(value, Const | None) else holds | self.words.literals(value, taken, spot)
        said = self.value()
        return holds | {Literal(said, signs)} if said else None

    def left(self, position: int) -> str:
        """What it leaves behind a pointer to a local that it was handed; empty where that cannot be said."""
        parameters = self.view.body.function.parameters
        name = Deref(Name(parameters[position].name)) if position < len(parameters) else None
        if name is None or not self.words.local(name):
            return ""
        said = {self.words.text(name, spot) for _, spot in self._returns}
        return "" if any(text.startswith("~") for text in said) else " | ".join(sorted(said))


class _Conditions:
    """The conditions of the blocks of a function, in canonical words."""

    def __init__(self, view: View, words: Canonical) -> None:
        self._view, self._words = view, words
        self._blocks = view.body.function.blocks
        self._memo: dict[int, tuple[Guard, Branches]] = {}

    def of(self, block: int) -> tuple[Guard, Branches]:
        """What holds in a block, and the lines where it is tested, the nearest last."""
        found = self._memo.get(block)
        if found is None:
            branches: dict[Literal, GuardBranch] = {}
            for source, when, taken in self._view.dominance.tests(block):
                for literal in self._literals(source, when, taken):
                    branches.setdefault(literal, GuardBranch(literal, self._line(source, when), _written(when, taken)))
            found = self._memo[block] = frozenset(branches), tuple(reversed(branches.values()))
        return found

    def _literals(self, source: int, when: Expr, taken: bool) -> frozenset[Literal]:
        return self._words.literals(when, taken, Spot(source, len(self._blocks[source].events)))

    def _line(self, source: int, when: Expr) -> int:
        block = self._blocks[source]
        return next((e.line for e in block.edges if e.when is when and e.line), block.line)

    def leaves(self, number: int, guard: Guard, branches: Branches, way: tuple[Spot, ...]) -> Iterator[GuardedEvent]:
        """The ways out of the loops that a block is in."""
        loops = [loop for loop in self._view.dominance.loops if number in loop]
        for edge in self._blocks[number].edges:
            if all(edge.to in loop for loop in loops):
                continue
            literals = self._literals(number, edge.when, edge.taken) if edge.when is not None else frozenset()
            line = edge.line or self._blocks[number].line
            words = " && ".join(sorted(map(str, literals)))
            spot = Spot(number, len(self._blocks[number].events))
            text = _written(edge.when, edge.taken) if edge.when is not None else ""
            lines = (*branches, *(GuardBranch(literal, line, text) for literal in literals))
            at = self._view.place(line)
            yield GuardedEvent(LEAVE, "", words, guard | literals, at, (*way, spot), lines, text="the loop")


def _written(when: Expr, taken: bool) -> str:
    """A condition that holds, as it is written: `x->busy`, `!x->busy`, `!(a == b)`."""
    text = spell(when, taken)
    return f"!{text[2:-1]}" if text.startswith("!(") and " " not in text else text
