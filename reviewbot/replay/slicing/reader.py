"""One function made ready for extraction: its flow graph, the values that are followed, what its kernel calls do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

from reviewbot.analysis.callgraph.pointer_flow import visited
from reviewbot.analysis.code import identity
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import bare, show, test
from reviewbot.analysis.code.self_tests import compared
from reviewbot.analysis.events.kinds import Flush, Site, Wait, Wake
from reviewbot.analysis.locks.levels import level
from reviewbot.analysis.locks.plan import PreparedCfg, Values
from reviewbot.analysis.program.program import Component, Program
from reviewbot.csource.ir import Assign, Block, Call, CallEvent, Expr, OpExpr, Return
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL, LockCall, lock_words
from reviewbot.kernel.schema import Contract
from reviewbot.limits import MAX_CALLS_TO_TEST
from reviewbot.types import Place


def runs(callee: str) -> bool:
    """Whether a call of the kernel's runs a function of the driver's, by contract."""
    return any(isinstance(effect, Contract) and effect.runs for effect in KERNEL.effects.get(callee, ()))


DONE = frozenset({"lock", "wait", "wake", "flush"})
"""Effects for which a function may be followed into."""


class CallAct(NamedTuple):
    """What a kernel call does to an object, in the words of the function that makes the call."""

    kind: str
    object: str
    mode: str
    call: str
    does: str = ""
    klass: str = ""
    base: str = ""
    level: str = ""


class Target(NamedTuple):
    """A function that a call is followed into: what the text says of its parameters, those that stand for a text of
    the caller's, and the values that are followed there."""

    key: FunctionKey
    given: Values
    texts: tuple[tuple[str, str], ...]
    followed: frozenset[str]


class Seen(NamedTuple):
    """A call in the words of its function. acts: what it does, for a kernel call that runs no function of the driver;
    visit: key of the function that an iterator calls."""

    text: str
    place: Place
    acts: tuple[CallAct, ...] | None
    visit: FunctionKey | None
    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    reached: tuple[FunctionKey, ...] = ()
    apart: bool = False
    """Through a slot that has a context of its own."""


class FunctionReader(Component):
    """One function made ready for the walk; `reader` gives it."""

    def __init__(self, program: Program, key: FunctionKey) -> None:
        super().__init__(program)
        self.key = key
        self.body: Body = program.body(key)
        self.plan: PreparedCfg = program.locksets.plan(key)
        self._seen: dict[int, Seen] = {}
        self._targets: dict[tuple[int, str], Target] = {}

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
    def self_tests(self) -> Mapping[int, tuple[tuple[str, str], ...]]:
        """Block -> the conditions at its end, as values that are followed, by which the function asks whether it runs for
        an object, each with the object."""
        found: dict[int, tuple[tuple[str, str], ...]] = {}
        for number, block in enumerate(self.plan.blocks):
            whens = [edge.when for edge in block.edges if edge.when is not None]
            asked = {(self.plan.test(w).key, compared(self.body, w, KERNEL.aware)) for w in whens}
            if any(object_ for _, object_ in asked):
                found[number] = tuple(sorted(pair for pair in asked if pair[1]))
        return found

    @cached_property
    def live(self) -> list[frozenset[str]]:
        """Values that may still be asked for before they are assigned anew, block by block."""
        return lived(self.plan, self.keys, self._handed)

    def _handed(self, call: Call) -> set[str]:
        return {show(bare(arg)) for arg in handed(self.program, self.key, call, MAX_CALLS_TO_TEST)}

    @cached_property
    def _facts(self) -> dict[tuple[int, str], list[Site]]:
        found: dict[tuple[int, str], list[Site]] = {}
        for fact in self.program.own_facts(self.key):
            if isinstance(fact, Wait | Wake | Flush):
                found.setdefault((fact.at.line, fact.call), []).append(fact)
        return found

    def seen(self, event: CallEvent) -> Seen:
        """A call, read once."""
        found = self._seen.get(id(event))
        if found is None:
            call, body, program = event.call, self.body, self.program
            acts, visit = self._acts(event), visited(program.names, body, call)
            text, place = self.plan.text(call), Place(body.file, call.line, body.name)
            if acts is not None and call.callee in KERNEL.cuts and not runs(call.callee):
                found = Seen(text, place, acts, visit)
            else:
                found = Seen(
                    text,
                    place,
                    None if runs(call.callee) else acts,
                    visit,
                    tuple(body.identity(arg) for arg in call.args),
                    tuple(body.type(arg).name for arg in call.args),
                    tuple(body.base(arg) for arg in call.args),
                    program.callgraph.reached(self.key, call),
                    program.has_context(self.key, call),
                )
            self._seen[id(event)] = found
        return found

    def target(self, call: Call, key: FunctionKey) -> Target:
        """What a call into a function hands over."""
        found = self._targets.get((id(call), key))
        if found is None:
            callee = self.program.body(key)
            texts = tuple(
                (parameter.name, show(bare(arg)))
                for parameter, arg in zip(callee.function.parameters, call.args, strict=False)
                if parameter.name not in callee.values
            )
            given = frozenset(self.program.locksets.given(self.body, call, key))
            found = self._targets[id(call), key] = Target(key, given, texts, reader(self.program, key).live[0])
        return found

    def _acts(self, event: CallEvent) -> tuple[CallAct, ...] | None:
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
                lock = self.program.locksets.lock_of(self.body, call, effect)
                arg: Expr | None = call.args[group.argument] if group.argument is not None and call.args else None
                base = self.body.base(arg) if arg is not None else ""
                at = level(self.body, call, effect)
                out.append(CallAct("lock", lock, group.mode, call.callee, effect.does, group.klass, base, at))
            elif isinstance(effect, Contract):
                for lock, mode, klass in map(lock_words, effect.takes):
                    out.append(CallAct("lock", lock, mode, call.callee, "transient", klass))
        for fact in self._facts.get((call.line, call.callee), ()):
            if isinstance(fact, Wait) and not fact.timeout and not fact.announce:
                out.append(CallAct("wait", fact.object, fact.klass, call.callee))
            elif isinstance(fact, Wake):
                out.append(CallAct("wake", fact.object, fact.klass, call.callee))
            elif isinstance(fact, Flush):
                out.append(CallAct("flush", fact.object, "cancel" if fact.cancel else "flush", call.callee))
        return tuple(out)


class Readers(Component):
    """The functions of a program that were made ready so far, and the parameters that functions were seen to test."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.of: dict[FunctionKey, FunctionReader] = {}
        """By key."""
        self.tests: dict[tuple[FunctionKey, int], frozenset[str]] = {}
        """By key and number of calls; see `tests`."""


def reader(program: Program, key: FunctionKey) -> FunctionReader:
    """A function made ready, once for all that walk it."""
    readers = program.component(Readers).of
    found = readers.get(key)
    if found is None:
        found = readers[key] = FunctionReader(program, key)
    return found


def handed(program: Program, key: FunctionKey, call: Call, deep: int) -> list[Expr]:
    """The arguments of a call that a function tests which it reaches, or one that this hands them on to."""
    found = []
    for target in program.callgraph.reached(key, call):
        left = any(way.takes or way.drops for way in program.locksets.record(target).left)
        if left or any(effect.kind in DONE for effect in program.does(target)):
            wanted = tests(program, target, deep)
            parameters = program.function(target).parameters
            found += [arg for one, arg in zip(parameters, call.args, strict=False) if one.name in wanted]
    return found


def tests(program: Program, key: FunctionKey, deep: int) -> frozenset[str]:
    """The parameters that a function tests, or hands to one that does, so many calls deep."""
    known = program.component(Readers).tests
    found = known.get((key, deep))
    if found is None:
        body = program.body(key)
        conditions = (edge.when for block in body.function.blocks for edge in block.edges if edge.when is not None)
        values = {test(when).key for when in conditions}
        if deep:
            values |= {show(bare(arg)) for call in body.calls for arg in handed(program, key, call, deep - 1)}
        found = known[key, deep] = frozenset(one.name for one in body.function.parameters if one.name in values)
    return found


def lived(plan: PreparedCfg, keys: frozenset[str], handed: Callable[[Call], set[str]]) -> list[frozenset[str]]:
    """Per block: the values among `keys` that are asked for from its start on, before anything is assigned to them.

    handed: what a call hands to a function that asks for it.
    """
    mentioning: dict[str, set[str]] = {}
    for key in keys:
        for word in plan.words(key):
            mentioning.setdefault(word, set()).add(key)
    needs: list[set[str]] = []
    keeps: list[frozenset[str]] = []
    for block in plan.blocks:
        need, lost = _through(plan, block, keys, mentioning, handed)
        needs.append(need & keys)
        keeps.append(keys - lost)
    changed = True
    while changed:
        changed = False
        for i in range(len(needs) - 1, -1, -1):
            size = len(needs[i])
            for edge in plan.blocks[i].edges:
                needs[i] |= needs[edge.to] & keeps[i]
            changed = changed or len(needs[i]) > size
    return [frozenset(need) for need in needs]


def _through(
    plan: PreparedCfg,
    block: Block,
    keys: frozenset[str],
    mentioning: Mapping[str, set[str]],
    handed: Callable[[Call], set[str]],
) -> tuple[set[str], set[str]]:
    """The values that a block asks for before it changes them, and those that it changes.

    mentioning: word -> the values in whose text it is.
    """
    need = {plan.test(edge.when).key for edge in block.edges if edge.when is not None}
    if not block.edges and plan.body.function.value is not None:
        need |= asked(plan.body.function.value)
    lost = set[str]()
    for event in reversed(block.events):
        gone = set[str]()
        if isinstance(event, Return):
            need = asked(event.value) if event.value is not None else set()
        elif isinstance(event, Assign):
            left, name, right, plain, _ = plan.store(event)
            gone |= mentioning.get(name, set()) if name else {key for key in keys if left in key}
            need -= gone
            if plain and left in keys:
                need |= asked(right)
        elif isinstance(event, CallEvent):
            gone = {plan.text(event.call)}.union(*(mentioning.get(name, set()) for name in plan.handed(event.call)))
            need -= gone
            need |= handed(event.call)
        lost |= gone
    return need, lost


def asked(value: Expr) -> set[str]:
    """The values (as text) that have to be followed for the signs of `value`, which is returned or assigned, to be
    known."""
    plain = bare(value)
    found = {show(plain), test(value).key}
    if isinstance(plain, OpExpr) and plain.op == "?:" and len(plain.args) == 3:
        found.add(test(plain.args[0]).key)
        found |= asked(plain.args[1]) | asked(plain.args[2])
    return found


def bound(base: str, bases: tuple[str, ...]) -> str:
    """The instance of an object in the caller's words: `$i` in `base` replaced by the i-th of `bases`."""
    return identity.bind(base, bases, ()) if "$" in base else base
