"""Whether one run can go down a chain of calls, as far as a look at each function by itself shows.

Two things speak against it: a constant that is handed in and decides that the next call is not made, and, for a chain
that starts in an interrupt, a call on the way that can only be made where sleeping is allowed. Of a constant its number
counts where that can be told (an enumerator, flags), else its sign; what the caller has tested before the call counts like
a constant. A parameter has what it was handed until it is set.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.code import gfp
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.constants import Constants
from reviewbot.analysis.code.dominance import Dominance
from reviewbot.analysis.code.expr import ANY, MINUS, PLUS, ZERO, bare, parts, show, sign, test
from reviewbot.csource.ir import AddressOf, Assign, Call, CallEvent, Expr, Name, OpExpr
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import BLOCKING, KERNEL, LockCall, PoolCall
from reviewbot.kernel.schema import AllocateGroup, WaitGroup
from reviewbot.limits import MAX_POINTER_TARGETS

COMPARES: Mapping[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Known(NamedTuple):
    """What is known of the value of a parameter: the signs that it can have, and the number that it is, if that is known."""

    signs: int = ANY
    number: int | None = None


Given = tuple[tuple[str, Known], ...]
"""Parameters with what is known of them, sorted by name."""


class Need(NamedTuple):
    """A condition on a parameter for a call to be made: the `signs` that have to come of it, of `op` (`&`, `==`, `<` ...; none:
    of the value itself) and the number `operand`, None where that is not known."""

    parameter: str
    signs: int
    op: str = ""
    operand: int | None = None


Needs = tuple[tuple[Need, ...], ...]
"""What has to hold for a call: of each group one is enough."""


class BranchSpot(NamedTuple):
    """One place at which a function calls another: what its parameters have to be, which of them have been set by
    then, whether it slept before, and which signs its variables have as it tested them."""

    call: Call
    needs: Needs
    set: frozenset[str]
    slept: bool
    tested: tuple[tuple[str, int], ...]


class Feasible:
    """Says which chains of calls one run can take, going by constant arguments and by calls that sleep."""

    def __init__(self, callgraph: CallGraph) -> None:
        self.callgraph = callgraph
        self._constants = Constants(callgraph.names)
        self._spots: dict[FunctionKey, dict[FunctionKey, list[BranchSpot]]] = {}
        self._lines: dict[FunctionKey, dict[int, list[Needs]]] = {}
        self._steps: dict[tuple[FunctionKey, FunctionKey, Given], tuple[bool, Given]] = {}

    def sleeps(self, chain: tuple[FunctionKey, ...]) -> bool:
        """Whether some function of a chain (keys, outermost first) sleeps on every path to the next call."""
        return any((spots := self._of(*pair)) and all(s.slept for s in spots) for pair in pairwise(chain))

    def goes(self, chain: tuple[FunctionKey, ...], lines: Collection[int] = ()) -> bool:
        """False when a constant argument handed down a chain (keys, outermost first) rules out one of its calls, or all
        that are made at some lines of its last function."""
        given: Given = ()
        for caller, callee in pairwise(chain):
            step = self._steps.get((caller, callee, given))
            if step is None:
                step = self._steps[caller, callee, given] = self._step(caller, callee, dict(given))
            possible, given = step
            if not possible:
                return False
        spots = [needs for line in lines for needs in self._at(chain[-1], line)] if given else []
        return not spots or any(_possible(dict(given), needs) for needs in spots)

    def handed(self, chain: tuple[FunctionKey, ...]) -> tuple[frozenset[str], ...]:
        """The parameters of each function of a chain (keys, outermost first) that are given a constant on it; those of the
        first one come from elsewhere."""
        given: Given = ()
        found = [frozenset[str]()]
        for caller, callee in pairwise(chain):
            _, given = self._step(caller, callee, dict(given))
            found.append(frozenset(name for name, known in given if known.number is not None))
        return tuple(found)

    def _at(self, key: FunctionKey, line: int) -> Sequence[Needs]:
        """What the parameters of a function have to be for each call of a line."""
        if key not in self._lines:
            body, found = self.callgraph.body(key), dict[int, list[Needs]]()
            asked = _Asked(body, self._constants)
            for number, block in enumerate(body.function.blocks):
                lines = {event.call.line for event in block.events if isinstance(event, CallEvent)}
                needs = asked.needs(number) if lines else ()
                for at in lines:
                    found.setdefault(at, []).append(needs)
            self._lines[key] = found
        return self._lines[key].get(line, ())

    def changed(self, other: Feasible, key: FunctionKey) -> set[FunctionKey]:
        """Keys from which on chains through a function `key` of both programs can differ: the function itself, or some
        of its callees; empty when they cannot."""
        if self._passes(key) != other._passes(key):
            return {key}
        mine, others = set(self.callgraph.callees_of(key)), set(other.callgraph.callees_of(key))
        return mine ^ others | {c for c in mine & others if _said(self._of(key, c)) != _said(other._of(key, c))}

    def _passes(self, key: FunctionKey) -> tuple[object, ...]:
        """What of a function is looked at in chains through it, but for the calls that it makes."""
        body = self.callgraph.body(key)
        own = frozenset(p.name for p in body.function.parameters if p.name in body.values)
        values = [bare(e.right) for e in body.events() if isinstance(e, Assign)]
        tables = tuple(v.base.name for v in values if isinstance(v, AddressOf) and isinstance(v.base, Name))
        points_to = self.callgraph.wiring(key)._replace(
            flows=()
        )  # these change who is called, here or elsewhere, or nothing
        return own, tables, points_to.shape[2:]

    def _step(self, caller: FunctionKey, callee: FunctionKey, given: Mapping[str, Known]) -> tuple[bool, Given]:
        """Whether a call is made with these parameters, and what it hands on."""
        spots = self._of(caller, callee)
        made = [s for s in spots if _possible(given, s.needs)]
        return bool(made or not spots), self._given(given, caller, callee, made)

    def _of(self, caller: FunctionKey, callee: FunctionKey) -> Sequence[BranchSpot]:
        """The places of a call; none where it is made through a pointer that may stand for many functions only."""
        found = self._spots.get(caller)
        if found is None:
            found = self._spots[caller] = self._find(caller)
        return found.get(callee, ())

    def _find(self, caller: FunctionKey) -> dict[FunctionKey, list[BranchSpot]]:
        """Callee -> the places where a function calls it, by name or as one of a few that a pointer may stand for."""
        body = self.callgraph.body(caller)
        sleeping: dict[int, int] = {}
        calls: list[tuple[FunctionKey, Call, int, int]] = []
        for number, block in enumerate(body.function.blocks):
            for place, event in enumerate(block.events):
                if isinstance(event, CallEvent):
                    calls += ((callee, event.call, number, place) for callee in self._called(body, event.call))
                    if _sleeps(body, event.call):
                        sleeping.setdefault(number, place)
        asked = _Asked(body, self._constants)
        slept = {
            block for block in {number for *_, number, _ in calls} if sleeping.keys() & asked.dominance.above(block)
        }
        needs: dict[int, Needs] = {}
        found: dict[FunctionKey, list[BranchSpot]] = {}
        for callee, call, number, place in calls:
            before = number in slept or sleeping.get(number, place) < place
            if number not in needs:
                needs[number] = asked.needs(number)
            tested = asked.tested(number, call)
            found.setdefault(callee, []).append(BranchSpot(call, needs[number], asked.set_by(number), before, tested))
        return found

    def _called(self, body: Body, call: Call) -> Sequence[FunctionKey]:
        """The functions that a call is one of, with its arguments; none where it may be many."""
        if call.callee and call.callee not in body.locals:
            callee = self.callgraph.names.function(call.callee, body.file)
            return () if callee is None else (callee,)
        found = self.callgraph.reached(body.key, call)
        return found if len(found) <= MAX_POINTER_TARGETS else ()

    def _given(
        self, given: Mapping[str, Known], caller: FunctionKey, callee: FunctionKey, spots: Sequence[BranchSpot]
    ) -> Given:
        """What all calls that are made hand to the parameters of the callee."""
        found: dict[str, Known] = {}
        body = self.callgraph.body(caller)
        parameters = self.callgraph.names.functions[callee].parameters
        for i, parameter in enumerate(parameters if spots else ()):
            handed = [self._handed(given, spot, _argument(spot.call, i, len(parameters)), body) for spot in spots]
            numbers = {one.number for one in handed}
            signs = 0
            for one in handed:
                signs |= one.signs
            if signs != ANY:
                found[parameter.name] = Known(signs, numbers.pop() if len(numbers) == 1 else None)
        return tuple(sorted(found.items()))

    def _handed(self, given: Mapping[str, Known], spot: BranchSpot, argument: Expr | None, body: Body) -> Known:
        """What is known of an argument of a call."""
        if argument is None:
            return Known()
        arg = bare(argument)
        known = self._known(given, spot, arg, body)
        signs = known.signs & dict(spot.tested).get(arg.name, ANY) if isinstance(arg, Name) else known.signs
        return known._replace(signs=signs or known.signs)

    def _known(self, given: Mapping[str, Known], spot: BranchSpot, arg: Expr, body: Body) -> Known:
        """What is known of an argument by what the function was handed, and by itself."""
        still = {name: known for name, known in given.items() if name not in spot.set}
        if isinstance(arg, Name) and arg.name in given:
            return still.get(arg.name, Known())
        number = self._constants.worth(arg, body, {n: k.number for n, k in still.items() if k.number is not None})
        return Known(sign(arg)) if number is None else Known(_sign_of(number), number)


class _Asked:
    """What a function asks of its parameters on the way to its blocks, as long as they are what it was handed."""

    def __init__(self, body: Body, constants: Constants) -> None:
        self.dominance = Dominance(body.function.blocks)
        self._body, self._constants = body, constants
        self._parameters = frozenset(p.name for p in body.function.parameters)
        self._settings = dict(_settings(body))
        self._sets = {name: blocks for name, blocks in self._settings.items() if name in self._parameters}

    def needs(self, block: int) -> Needs:
        """What the parameters have to be for a block to be come to."""
        if not self._parameters:
            return ()
        every = (self._alternatives(*asked) for asked in self.dominance.tests(block))
        return tuple(group for group in every if group)

    def tested(self, block: int, call: Call) -> tuple[tuple[str, int], ...]:
        """The signs that variables which a call of a block is given have by the tests before it, where they are set before
        the test only."""
        found: dict[str, int] = {}
        given = {plain.name for arg in call.args if isinstance(plain := bare(arg), Name)}
        for at, when, taken in self.dominance.tests(block) if given else ():
            need = self._need(when, taken)
            before = {at, *self.dominance.above(at)}
            if not need.op and need.parameter in given and self._settings.get(need.parameter, set()) <= before:
                found[need.parameter] = found.get(need.parameter, ANY) & need.signs
        return tuple(sorted(found.items()))

    def set_by(self, block: int) -> frozenset[str]:
        """The parameters that may have been set before the end of a block."""
        onward = self._body.onward
        return frozenset(
            name for name, sets in self._sets.items() if any(at == block or block in onward[at] for at in sets)
        )

    def _alternatives(self, block: int, when: Expr, taken: bool) -> tuple[Need, ...]:
        """What a test at the end of a block says of parameters, one of which is enough; empty where something else may
        decide."""
        whens = when.args if isinstance(when, OpExpr) and when.op == "||" and taken else (when,)
        needs = [self._need(one, taken) for one in whens]
        unset = self._parameters - self.set_by(block)
        return tuple(needs) if all(need.parameter in unset for need in needs) else ()

    def _need(self, when: Expr, taken: bool) -> Need:
        """What a condition says of the variable that it tests; of nothing that has a name where it does not."""
        t = test(when)
        value, signs = bare(t.value), t.yes if taken else t.no
        match value:
            case Name(name):
                return Need(name, signs)
            case OpExpr(op, (left, right)) if (op == "&" or op in COMPARES) and isinstance(first := bare(left), Name):
                return Need(first.name, signs, op, self._constants.worth(right, self._body))
        return Need("", signs)


def _settings(body: Body) -> Iterator[tuple[str, set[int]]]:
    """Names that a function sets, or takes the address of, with the blocks in which it does."""
    found: dict[str, set[int]] = {}
    for number, block in enumerate(body.function.blocks):
        for event in block.events:
            values = event.call.args if isinstance(event, CallEvent) else ()
            if isinstance(event, Assign):
                values = (event.right,)
                if isinstance(event.left, Name):
                    found.setdefault(event.left.name, set()).add(number)
            for value in values:
                for part in parts(value):
                    if isinstance(part, AddressOf) and isinstance(part.base, Name):
                        found.setdefault(part.base.name, set()).add(number)
    yield from found.items()


def _said(spots: Sequence[BranchSpot]) -> list[tuple[object, ...]]:
    """What is looked at of the places of a call, by `Handing` as well."""
    return [([*map(_handed, spot.call.args)], spot.needs, spot.set, spot.slept, spot.tested) for spot in spots]


def _argument(call: Call, position: int, parameters: int) -> Expr | None:
    """The argument for one of the parameters of a callee. Of fewer arguments than parameters one is a macro that stands for
    several: those before it count from the first one, those behind it from the last."""
    args = call.args
    if len(args) >= parameters:
        return args[position]
    several = [n for n, arg in enumerate(args) if isinstance(arg, Call) and arg.callee.isupper()]
    last = position - parameters + len(args)
    if several and (position < several[0] or last > several[-1]):
        return args[position if position < several[0] else last]
    return None


def _handed(arg: Expr) -> tuple[str, int]:
    """Of an argument the variable that it is, or whose address, or what operators make of constants, and its signs."""
    plain = bare(arg)
    named = plain.base if isinstance(plain, AddressOf) else plain
    address = "&" if named is not plain else ""
    made = show(plain) if isinstance(plain, OpExpr) and not any(isinstance(part, Call) for part in parts(plain)) else ""
    return (f"{address}{named.name}" if isinstance(named, Name) else made), sign(plain)


def _possible(given: Mapping[str, Known], needs: Needs) -> bool:
    """Whether nothing that is known of a function's parameters says that one of some conditions does not hold."""
    return all(any(_value(given.get(n.parameter, Known()), n) & n.signs for n in group) for group in needs)


def _value(known: Known, need: Need) -> int:
    """The signs that the value of a condition can have."""
    if not need.op:
        return known.signs
    if known.number is not None and need.operand is not None:
        if need.op == "&":
            return _sign_of(known.number & need.operand)
        if (known.number < 0) is (need.operand < 0):  # else the types decide what is compared
            return PLUS if COMPARES[need.op](known.number, need.operand) else ZERO
    return ZERO if need.op == "&" and known.signs == ZERO else ANY


def _sign_of(number: int) -> int:
    return ZERO if number == 0 else MINUS if number < 0 else PLUS


def _sleeps(body: Body, call: Call) -> bool:
    """Whether a call can only be made where sleeping is allowed."""
    for effect in KERNEL.effects.get(call.callee, ()):
        if isinstance(effect, LockCall):
            if effect.does in BLOCKING and KERNEL.sleeping(effect.group.klass):
                return True
        elif isinstance(effect, WaitGroup):
            if not effect.announce:
                return True
        elif isinstance(effect, AllocateGroup) or (isinstance(effect, PoolCall) and effect.does == "take"):
            masks = _masks(body, call, effect)
            if masks and all(gfp.kind(mask) in ("full", "nofs", "noio") for mask in masks):
                return True
    return False


def _masks(body: Body, call: Call, effect: AllocateGroup | PoolCall) -> tuple[str, ...]:
    if isinstance(effect, AllocateGroup) and effect.flags:
        return (effect.flags,)
    group = effect if isinstance(effect, AllocateGroup) else effect.group
    if group.gfp is not None and group.gfp < len(call.args):
        return gfp.masks(body, call.args[group.gfp])
    return (group.default,) if group.default else ()
