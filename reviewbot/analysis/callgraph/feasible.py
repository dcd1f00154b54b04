"""Whether one run can go down a chain of calls, as far as a look at each function by itself shows.

Two things speak against it: a constant that is handed in and decides that the next call is not made, and, for a chain
that starts in an interrupt, a call on the way that can only be made where sleeping is allowed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.code import gfp
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.dominance import Dominance
from reviewbot.analysis.code.expr import ANY, ZERO, bare, sign, test
from reviewbot.csource.ir import AddressOf, Assign, Call, CallEvent, Expr, Name, OpExpr
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import BLOCKING, KERNEL, LockCall, PoolCall
from reviewbot.kernel.schema import AllocateGroup, WaitGroup

Given = tuple[tuple[str, int], ...]
"""Parameters with the signs that they have, sorted by name."""


class Need(NamedTuple):
    """A condition on a parameter for a call to be made: `signs` that the value must have; `masked`: that some of its
    bits must have."""

    parameter: str
    masked: bool
    signs: int


class BranchSpot(NamedTuple):
    """One place at which a function calls another by name: what its parameters have to be, and whether it slept before."""

    call: Call
    needs: tuple[Need, ...]
    slept: bool


class Feasible:
    """Says which chains of calls one run can take, going by constant arguments and by calls that sleep."""

    def __init__(self, callgraph: CallGraph) -> None:
        self.callgraph = callgraph
        self._spots: dict[FunctionKey, dict[FunctionKey, list[BranchSpot]]] = {}
        self._lines: dict[FunctionKey, dict[int, list[tuple[Need, ...]]]] = {}
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
        return not spots or any(not any(_against(dict(given), need) for need in needs) for needs in spots)

    def _at(self, key: FunctionKey, line: int) -> Sequence[tuple[Need, ...]]:
        """What the parameters of a function have to be for each call of a line."""
        if key not in self._lines:
            body, found = self.callgraph.body(key), dict[int, list[tuple[Need, ...]]]()
            dominance = Dominance(body.function.blocks)
            parameters = frozenset(p.name for p in body.function.parameters)
            for number, block in enumerate(body.function.blocks):
                lines = {event.call.line for event in block.events if isinstance(event, CallEvent)}
                needs = tuple(_need(*condition) for condition in (dominance.conditions(number) if lines else ()))
                for at in lines:
                    found.setdefault(at, []).append(tuple(n for n in needs if n.parameter in parameters))
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

    def _step(self, caller: FunctionKey, callee: FunctionKey, given: Mapping[str, int]) -> tuple[bool, Given]:
        """Whether a call is made with these parameters, and what it hands on."""
        spots = self._of(caller, callee)
        made = [s for s in spots if not any(_against(given, need) for need in s.needs)]
        return bool(made or not spots), self._given(given, callee, made)

    def _of(self, caller: FunctionKey, callee: FunctionKey) -> Sequence[BranchSpot]:
        """The places of a call; none where it is made through a pointer only."""
        found = self._spots.get(caller)
        if found is None:
            found = self._spots[caller] = self._find(caller)
        return found.get(callee, ())

    def _find(self, caller: FunctionKey) -> dict[FunctionKey, list[BranchSpot]]:
        """Callee -> the places where a function calls it by name."""
        body = self.callgraph.body(caller)
        sleeping: dict[int, int] = {}
        calls: list[tuple[FunctionKey, Call, int, int]] = []
        for number, block in enumerate(body.function.blocks):
            for place, event in enumerate(block.events):
                if isinstance(event, CallEvent) and event.call.callee and event.call.callee not in body.locals:
                    callee = self.callgraph.names.function(event.call.callee, body.file)
                    if callee is not None:
                        calls.append((callee, event.call, number, place))
                    if _sleeps(body, event.call):
                        sleeping.setdefault(number, place)
        dominance = Dominance(body.function.blocks)
        parameters = frozenset(p.name for p in body.function.parameters)
        slept = {block for block in {number for *_, number, _ in calls} if sleeping.keys() & dominance.above(block)}
        needs: dict[int, tuple[Need, ...]] = {}
        found: dict[FunctionKey, list[BranchSpot]] = {}
        for callee, call, number, place in calls:
            before = number in slept or sleeping.get(number, place) < place
            if number not in needs:
                every = (_need(*condition) for condition in (dominance.conditions(number) if parameters else ()))
                needs[number] = tuple(n for n in every if n.parameter in parameters)
            found.setdefault(callee, []).append(BranchSpot(call, needs[number], before))
        return found

    def _given(self, given: Mapping[str, int], callee: FunctionKey, spots: Sequence[BranchSpot]) -> Given:
        """What all calls that are made hand to parameters that the callee does not set."""
        found: dict[str, int] = {}
        target = self.callgraph.body(callee)
        for i, parameter in enumerate(target.function.parameters if spots else ()):
            signs = 0
            for spot in spots:
                arg = bare(spot.call.args[i]) if i < len(spot.call.args) else None
                known = given.get(arg.name) if isinstance(arg, Name) else None
                signs |= known if known is not None else sign(arg)
            if signs != ANY and parameter.name not in target.values:
                found[parameter.name] = signs
        return tuple(sorted(found.items()))


def _said(spots: Sequence[BranchSpot]) -> list[tuple[object, ...]]:
    """What is looked at of the places of a call, by `Handing` as well."""
    return [([*map(_handed, spot.call.args)], spot.needs, spot.slept) for spot in spots]


def _handed(arg: Expr) -> tuple[str, int]:
    """Of an argument the variable that it is, or whose address, and its signs."""
    plain = bare(arg)
    named = plain.base if isinstance(plain, AddressOf) else plain
    address = "&" if named is not plain else ""
    return (f"{address}{named.name}" if isinstance(named, Name) else ""), sign(plain)


def _need(when: Expr, taken: bool) -> Need:
    """What a condition says of the variable that it tests; of nothing that has a name where it does not."""
    t = test(when)
    value, signs = bare(t.value), t.yes if taken else t.no
    if isinstance(value, OpExpr) and value.op == "&" and isinstance(first := bare(value.args[0]), Name):
        return Need(first.name, True, signs)
    return Need(value.name if isinstance(value, Name) else "", False, signs)


def _against(given: Mapping[str, int], need: Need) -> bool:
    """Whether what is known of a function's parameters says that a condition does not hold."""
    known = given.get(need.parameter, ANY)
    if need.masked and known != ZERO:
        known = ANY
    return not known & need.signs


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
