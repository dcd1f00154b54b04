"""Function pointers: what one function (or a file's scope) does with them, and what an expression can point to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reviewbot.analysis.callgraph.own_device import OwnDevice
from reviewbot.analysis.code import identity as objects
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import bare
from reviewbot.analysis.code.names import Names
from reviewbot.csource.ir import AddressOf, Call, CastExpr, Deref, Expr, IndexExpr, Name, OpExpr
from reviewbot.function_key import FunctionKey, file_of
from reviewbot.kernel import KERNEL

RUNS = {name: group for group in KERNEL.api.contract if group.runs for name in group.calls}
"""Call -> the contract that says whose functions it runs."""
VISITS = {name: group.function for group in KERNEL.api.callback if group.context == "here" for name in group.calls}
"""Call -> position of the function that it calls back before it returns."""


class EntryPoint(NamedTuple):
    """Why a function is entered from outside the code at hand: a context, and the work item, thread or slot."""

    context: str
    runner: str = ""
    slot: str = ""


class HandlerBinding(NamedTuple):
    """A work item, timer or callback gets a handler (key), in a function (key; `path:` at file scope) at a line."""

    work: str
    handler: FunctionKey
    runner: str
    key: FunctionKey
    line: int


class Started(NamedTuple):
    """A kernel thread is started by a call, with its handler (key), in a function (key) at a line."""

    call: str
    handler: FunctionKey
    key: FunctionKey
    line: int


class Placed(NamedTuple):
    """A function (key) is put into a slot, in a function (key; `path:` for an initialiser) at a line."""

    slot: str
    handler: FunctionKey
    key: FunctionKey
    line: int

    @property
    def file(self) -> str:
        """The file that it stands in."""
        return file_of(self.key)


class Handed(NamedTuple):
    """A constraint at a call through `node`: its argument number `position` (from 0) is the function `what` (`known`),
    or whatever the node `what` holds."""

    node: str
    position: int
    what: str
    known: bool


class ContractRun(NamedTuple):
    """By contract a call runs the functions of a slot that are about a struct, or `struct.member` of the driver's whose
    device that member is."""

    slot: str
    owner: str
    own: bool

    @property
    def node(self) -> str:
        """What to call it among nodes."""
        return f"{self.slot}@{self.owner}"


class FlowConstraints(NamedTuple):
    """What one function does with function pointers: the local part of the call graph, with the constraints that
    points-to sets are solved from.

    A node is what can hold a function: a slot (`struct.field`), or `key#i`, the i-th argument (from 0) of a function.
    """

    calls: tuple[str, ...] = ()
    """Names that are called directly, whether their bodies are at hand or not."""
    direct: tuple[FunctionKey, ...] = ()
    """Keys of those whose bodies are."""
    nodes: tuple[str, ...] = ()
    """Pointers that are called through."""
    runs: tuple[ContractRun, ...] = ()
    """What calls run by contract."""
    puts: tuple[tuple[str, FunctionKey], ...] = ()
    """Functions that are put into a node."""
    flows: tuple[tuple[str, str], ...] = ()
    """Nodes whose content goes on into another node."""
    roots: tuple[tuple[FunctionKey, EntryPoint], ...] = ()
    """Functions handed to somebody who enters them in a context."""
    bound: tuple[HandlerBinding, ...] = ()
    started: tuple[Started, ...] = ()
    placed: tuple[Placed, ...] = ()
    queued: tuple[tuple[str, str], ...] = ()
    """Work items and the workqueues that they are queued on."""
    handed: tuple[Handed, ...] = ()
    kept: tuple[str, ...] = ()
    """Members (`struct.member`) with the device that the structure belongs to."""
    belongs: tuple[tuple[str, str], ...] = ()
    """Arguments of functions (`key#i`) that are handed a device, and the driver's structure that belongs to it."""
    locks: tuple[tuple[str, str], ...] = ()
    """Members (`struct.member`) by which the kernel is given a lock to hold over callbacks, and the lock."""
    begun: tuple[tuple[FunctionKey, FunctionKey], ...] = ()
    """Functions of a table, each with the one of the table that is called first and may return with locks held."""

    @property
    def functions(self) -> Iterator[FunctionKey]:
        """Keys of all functions that are mentioned in it: called, stored, handed on, or given to somebody who enters
        them. Some come twice."""
        yield from self.direct
        yield from (handler for _, handler in self.puts)
        yield from (handler for handler, _ in self.roots)
        yield from (bound.handler for bound in self.bound)
        yield from (started.handler for started in self.started)
        yield from (FunctionKey(handed.what) for handed in self.handed if handed.known)

    @property
    def shape(self) -> tuple[object, ...]:
        """All of it but line numbers: equal for two functions that differ in where they stand only."""
        bound = tuple((b.work, b.handler, b.runner) for b in self.bound)
        started = tuple((s.call, s.handler) for s in self.started)
        placed = tuple((p.slot, p.handler) for p in self.placed)
        return (*self[:7], bound, started, placed, *self[10:])

    def shifted(self, lines: int) -> FlowConstraints:
        """A copy with all lines moved down by `lines` (up when negative)."""
        if not lines or not (self.bound or self.started or self.placed):
            return self
        return self._replace(
            bound=tuple(x._replace(line=x.line + lines) for x in self.bound),
            started=tuple(x._replace(line=x.line + lines) for x in self.started),
            placed=tuple(x._replace(line=x.line + lines) for x in self.placed),
        )


def argument(key: FunctionKey, position: int) -> str:
    """The node of a function's argument."""
    return f"{key}#{position}"


def is_slot(node: str) -> bool:
    """Whether a node is a slot, not an argument."""
    return "#" not in node


def visited(names: Names, body: Body, call: Call) -> FunctionKey | None:
    """The function that a call of an iterator calls back, by key."""
    position = VISITS.get(call.callee)
    if position is None or position >= len(call.args):
        return None
    return as_function(names, call.args[position], body.file, body)


def runs(body: Body, call: Call) -> Iterator[ContractRun]:
    """What a call runs by contract, as far as it is told what the argument is about."""
    contract = RUNS.get(call.callee)
    if contract is None or contract.argument >= len(call.args):
        return
    arg, own = call.args[contract.argument], contract.whose == "own"
    part = objects.owner(body.identity(arg))
    owners = OwnDevice(body).about(arg) if own else (part,) if part else ()
    for owner in owners:
        for slot in contract.runs:
            yield ContractRun(slot, owner, own)


def carries_function(names: Names, callee: FunctionKey, position: int) -> bool:
    """Whether an argument of a function can be a function."""
    parameters = names.functions[callee].parameters
    if position >= len(parameters):
        return False
    t = parameters[position].type
    return t.function or not t.name or names.resolve(t).function


def as_function(names: Names, expr: Expr, path: str, body: Body | None = None) -> FunctionKey | None:
    """Key of the function that an expression names (not one that a local of `body` hides), or None."""
    e = bare(expr)
    while not isinstance(e, Name):
        if not isinstance(e, AddressOf | Deref | CastExpr | IndexExpr):
            return None
        e = bare(e.base)
    if body is not None and e.name in body.locals:
        return None
    key = names.function(e.name, path)
    return key if key is not None and not names.functions[key].macro else None


def node_of(expr: Expr, body: Body) -> str | None:
    """Where a function pointer that the expression reads comes from."""
    e = bare(expr)
    if isinstance(e, Name):
        if e.name in body.parameters:
            return argument(body.key, body.parameters[e.name])
        return body.field(e) or None if e.name in body.locals else None
    return body.field(e) or None


def through(body: Body, call: Call) -> str | None:
    """For a call through a pointer: where the pointer comes from; None for a direct call or an unknown pointer."""
    if call.callee and call.callee not in body.locals:
        return None
    target = bare(call.target) if call.target is not None else Name(call.callee)
    return node_of(target.base if isinstance(target, Deref) else target, body)


def alternatives(expr: Expr) -> Iterator[Expr]:
    """The values that an expression can have, by its `?:`."""
    e = bare(expr)
    if isinstance(e, OpExpr) and e.op == "?:" and len(e.args) == 3:
        yield from alternatives(e.args[1])
        yield from alternatives(e.args[2])
    else:
        yield e
