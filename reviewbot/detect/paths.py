"""Which instance an expression means, as a path from what the root of a task was given: two of one class are told apart.

handed          what the root of the task was handed (its work item, its timer)
own.lock        a field of the object that this is part of, or that the thread was started for
=file.c:table   a variable
                nothing where it cannot be told: an element of a list or table, something that was looked up
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import bare, show
from reviewbot.analysis.code.identity import Scope, owner, scope
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import AddressOf, Call, CastExpr, Deref, Expr, Field, Name, Return
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_LOCAL_CHAIN, MAX_PATHS_OF_CALL

HANDED, OWN = "handed", "own"
Given = tuple[str, ...]
"""Paths of the arguments of a call."""


class InstancePaths:
    """The paths of expressions for one root: `struct` is the type of the object that what it was handed is part of."""

    def __init__(self, program: Program, struct: str) -> None:
        self.program, self.struct = program, struct

    def of(self, body: Body, expr: Expr, given: Given, depth: int = 0) -> str:
        """The path of an expression in a function that was called with these; empty where it cannot be told."""
        match bare(expr):
            case Name(name):
                return self._name(body, name, given, depth)
            case AddressOf(base) | Deref(base):
                return self.of(body, base, given, depth)
            case Field(base, name):
                path = self.of(body, base, given, depth)
                return f"{path}.{name}" if path else ""
            case CastExpr(type_, _, base, macro, member) if macro:
                return self.around(self._inside(body, base, given, depth), type_, member)
            case Call() as call:
                return self._result(body, call, given, depth)
        return ""

    def _name(self, body: Body, name: str, given: Given, depth: int) -> str:
        position = body.parameters.get(name)
        if position is not None and name not in body.values:
            return given[position] if position < len(given) else ""
        if name not in body.locals and position is None:
            return f"={body.identity(Name(name))}"
        values = {show(value): value for op, value in body.values.get(name, ()) if show(value) not in ("NULL", "0")}
        if position is not None or len(values) != 1 or depth >= MAX_LOCAL_CHAIN:
            return ""
        return self.of(body, next(iter(values.values())), given, depth + 1) or f"{name}@{body.key}"

    def _inside(self, body: Body, expr: Expr, given: Given, depth: int) -> str:
        """The path of what container_of() is given: to_delayed_work(work) is as good as the work."""
        match bare(expr):
            case Call(_, None, (arg,)) as call if not self.program.callgraph.reached(body.key, call):
                return self.of(body, arg, given, depth)
        return self.of(body, expr, given, depth)

    def around(self, path: str, type_: str, member: str) -> str:
        """What a path is a member of, as container_of() says: the structure and the member."""
        if path == HANDED:
            return OWN if type_ == self.struct else HANDED  # a delayed work around its work item
        return path.removesuffix(f".{member}") if member and path.endswith(f".{member}") else ""

    def _result(self, body: Body, call: Call, given: Given, depth: int) -> str:
        """What a function returns that does nothing else: `to_foo(work)`."""
        reached = self.program.callgraph.reached(body.key, call)
        if not reached and call.callee in KERNEL.words["whole_of_part"] and len(call.args) == 1:
            return self.of(body, call.args[0], given, depth)
        if len(reached) != 1 or depth >= MAX_LOCAL_CHAIN:
            return ""
        callee = self.program.body(reached[0])
        values = [e.value for e in callee.events() if isinstance(e, Return) and e.value is not None]
        if not values and callee.function.value is not None:
            values = [callee.function.value]
        if len(values) != 1:
            return ""
        return self.of(callee, values[0], self.handed(body, call, given, depth + 1), depth + 1)

    def handed(self, body: Body, call: Call, given: Given, depth: int = 0) -> Given:
        """The paths of the arguments of a call."""
        return tuple(self.of(body, arg, given, depth) for arg in call.args)

    # --- along calls

    def along(self, chain: Sequence[FunctionKey], given: Given) -> set[Given]:
        """What the last function of a chain of calls can be handed, one for each way to call it."""
        ways = {given}
        for caller, callee in pairwise(chain):
            calls = list(self._calls(caller, callee))
            body = self.program.body(caller)
            ways = {self.handed(body, call, way) for call in calls for way in ways}
            if len(ways) > MAX_PATHS_OF_CALL:
                return set()
        return ways

    def _calls(self, caller: FunctionKey, callee: FunctionKey, line: int = 0) -> Iterator[Call]:
        reached = self.program.callgraph.reached
        for call in self.program.body(caller).calls:
            if (not line or call.line == line) and callee in reached(caller, call):
                yield call

    def down(self, places: Sequence[tuple[FunctionKey, int]], ways: set[Given]) -> set[Given]:
        """The same along calls of which the lines are known; the last place is where the way ends."""
        for (caller, line), (callee, _) in pairwise(places):
            body = self.program.body(caller)
            ways = {self.handed(body, call, way) for call in self._calls(caller, callee, line) for way in ways}
            if len(ways) > MAX_PATHS_OF_CALL:
                return set()
        return ways


def part(identity: str, struct: str) -> str:
    """The path of an object that the root's own object has as a member; that of a variable; else an empty string."""
    if scope(identity) is Scope.GLOBAL:
        return f"={identity}"
    return f"{OWN}.{identity.partition('.')[2]}" if struct and owner(identity) == struct else ""


def first(given: Mapping[int, str]) -> Given:
    """Arguments of which some are known."""
    return tuple(given.get(i, "") for i in range(max(given, default=-1) + 1))
