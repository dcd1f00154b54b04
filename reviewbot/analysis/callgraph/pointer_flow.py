"""What one function (or the file scope) does with functions: calls them, puts them into slots, hands them on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reviewbot.analysis.callgraph.own_device import OwnDevice
from reviewbot.analysis.code import identity as objects
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import bare, show
from reviewbot.analysis.code.names import Names
from reviewbot.csource.ir import (
    AddressOf,
    Assign,
    Call,
    CallEvent,
    CastExpr,
    Deref,
    Expr,
    Field,
    IndexExpr,
    Name,
    OpExpr,
    TableEntry,
    Type,
)
from reviewbot.function_key import FunctionKey, file_of
from reviewbot.kernel import KERNEL
from reviewbot.kernel.context_schema import TableKind, TableMacro
from reviewbot.kernel.schema import BindGroup, CallbackGroup, QueueGroup, ThreadGroup

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
        return (*self[:7], bound, started, placed, self.queued, self.handed, self.kept, self.belongs, self.locks)

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


class Wiring:
    """Collects what one function, or one file's scope, does with functions."""

    def __init__(self, names: Names, key: FunctionKey) -> None:
        self.names = names
        self.key = key
        self.calls: dict[str, None] = {}
        self.direct: dict[FunctionKey, None] = {}
        self.nodes: dict[str, None] = {}
        self.runs: dict[ContractRun, None] = {}
        self.puts: dict[tuple[str, FunctionKey], None] = {}
        self.flows: dict[tuple[str, str], None] = {}
        self.roots: dict[tuple[FunctionKey, EntryPoint], None] = {}
        self.bound: list[HandlerBinding] = []
        self.started: list[Started] = []
        self.placed: list[Placed] = []
        self.queued: dict[tuple[str, str], None] = {}
        self.handed: dict[Handed, None] = {}
        self.kept: dict[str, None] = {}
        self.belongs: dict[tuple[str, str], None] = {}
        self.locks: dict[tuple[str, str], None] = {}

    def done(self) -> FlowConstraints:
        """What was collected."""
        return FlowConstraints(
            tuple(self.calls),
            tuple(self.direct),
            tuple(self.nodes),
            tuple(self.runs),
            tuple(self.puts),
            tuple(self.flows),
            tuple(self.roots),
            tuple(self.bound),
            tuple(self.started),
            tuple(self.placed),
            tuple(self.queued),
            tuple(self.handed),
            tuple(self.kept),
            tuple(self.belongs),
            tuple(self.locks),
        )

    # --- file scope

    def file(self, path: str) -> None:
        """Initialisers of operations tables, module_init(), DECLARE_WORK() and the like."""
        unit = self.names.library.declared[path]
        for slot in unit.slots:
            handler = as_function(self.names, slot.value, path)
            if handler is not None:
                name = self._slot_name(slot, path)
                self.puts[name, handler] = None
                if slot.field:  # an array of functions has no slots
                    self.placed.append(Placed(name, handler, self.key, slot.line))
                if name in KERNEL.held_by_slot and slot.variable:
                    self._entered(name, handler, objects.in_file(path, slot.variable))
                for _, kind in KERNEL.tables_of.get(name, ()):
                    if kind.given and slot.variable in self._tables_in(path, kind.given):
                        self._entered(kind.entry(name), handler, "")
        for call in unit.calls_at_file_scope:
            context = KERNEL.registered.get(call.callee)
            if context is not None and call.args:
                handler = as_function(self.names, call.args[0], path)
                if handler is not None:
                    self.roots[handler, EntryPoint(context, "", call.callee)] = None
            for effect in KERNEL.effects.get(call.callee, ()):
                if isinstance(effect, BindGroup) and len(call.args) > effect.function:
                    handler = as_function(self.names, call.args[effect.function], path)
                    work = bare(call.args[effect.object])
                    if handler is not None and isinstance(work, Name):
                        identity, _ = self.names.variable(work.name, path)
                        identity = objects.in_file(path, work.name) if identity == work.name else identity
                        self.bound.append(HandlerBinding(identity, handler, effect.runner, self.key, call.line))

        made = [slot.value for slot in unit.slots if isinstance(slot.value, Call)]
        for call in (*made, *unit.calls_at_file_scope):
            for macro in KERNEL.filled.get(call.callee, ()):
                self._filled(path, call, macro)
        self._attributes(path)

    def _filled(self, path: str, call: Call, macro: TableMacro) -> None:
        """Functions that a macro puts into a table."""
        for field, value in zip(macro.fields, call.args[macro.first :], strict=False):
            handler = as_function(self.names, value, path)
            if handler is not None:
                self.puts[f"{macro.type}.{field}", handler] = None
                self.placed.append(Placed(f"{macro.type}.{field}", handler, self.key, call.line))

    def _tables_in(self, path: str, member: str) -> set[str]:
        """Tables of a file whose address is put into a member of another one."""
        values = (bare(s.value) for s in self.names.library.declared[path].slots if self._slot_name(s, path) == member)
        return {v.base.name for v in values if isinstance(v, AddressOf) and isinstance(v.base, Name)}

    def _table(self, body: Body, arg: Expr, kind: TableKind) -> None:
        """The functions of a table that a call is handed: of a variable of the file, or set in the same function."""
        table = bare(arg)
        if not isinstance(table, AddressOf):
            return
        base, filled = table.base, list[tuple[str, Expr]]()
        if isinstance(base, Name) and base.name not in body.locals:
            own = (slot for slot in self.names.library.declared[body.file].slots if slot.variable == base.name)
            filled = [(self._slot_name(slot, body.file), slot.value) for slot in own]
        else:
            filled = [
                (body.field(event.left), event.right)
                for event in body.events()
                if isinstance(event, Assign)
                and isinstance(event.left, Field)
                and show(event.left.base) in (show(base), show(table))
            ]
        for slot, value in filled:
            handler = as_function(self.names, value, body.file, body) if slot in kind.slots else None
            if handler is not None:
                self._entered(kind.entry(slot), handler, "")

    def _attributes(self, path: str) -> None:
        """Attributes that a macro makes of their functions: the functions are entered for the attribute."""
        unit = self.names.library.declared[path]
        made = [(call, "", "") for call in unit.calls_at_file_scope]
        made += [(v.init, v.name, v.type.name) for v in unit.variables if isinstance(v.init, Call)]
        for call, variable, kind in made:
            macro = KERNEL.attributes.get(call.callee)
            if macro is None or len(call.args) <= macro.stem or bool(variable) == bool(macro.variable):
                continue
            name, owner = show(call.args[0]), macro.type or self.names.resolve(Type(kind)).name
            functions: list[Expr] = [Name(form.format(show(call.args[macro.stem]))) for form in macro.named]
            functions += [call.args[i] for i in macro.positions if i < len(call.args)]
            for member, function in zip(macro.slots, functions, strict=False):
                slot, handler = f"{owner}.{member}", as_function(self.names, function, path)
                if handler is not None and slot in KERNEL.slots:
                    self.placed.append(Placed(slot, handler, self.key, call.line))
                    self._entered(slot, handler, objects.in_file(path, macro.variable.format(name) or variable))

    def _entered(self, slot: str, handler: FunctionKey, runner: str) -> None:
        self.roots[handler, EntryPoint(KERNEL.slots[slot].context, runner, slot)] = None

    def _slot_name(self, slot: TableEntry, path: str) -> str:
        owner = self.names.resolve(Type(slot.type)).name
        *outer, last = [p for p in slot.field.split(".") if not p.startswith("[")] or [slot.field]
        for name in outer:
            owner = self.names.resolve(self.names.member(owner, name, path)).name or owner
        return f"{owner}.{self._member(owner, last, path)}"

    def _member(self, owner: str, field: str, path: str) -> str:
        """The member that a value without a name goes into, as far as it can be told that it takes functions."""
        if field.startswith("#"):
            members = tuple(self.names.members(owner, path).values())
            position = int(field[1:])
            if position < len(members) and self.names.resolve(members[position].type).function:
                return members[position].name
        return field

    # --- a function

    def function(self, body: Body) -> None:
        """All that a function does with functions."""
        own = OwnDevice(body)
        self.kept = dict.fromkeys(own.kept())
        for call in body.calls if own.knows else ():
            callee = self.names.function(call.callee, body.file) if call.callee not in body.locals else None
            for position, arg in enumerate(call.args):
                if callee is not None and isinstance(arg, Name) and own.device(arg.name):
                    self.belongs.update(((argument(callee, position), one), None) for one in own.of(arg.name))
        for event in body.events():
            if isinstance(event, Assign):
                if isinstance(event.left, Field) and event.op == "=":
                    self._assigned(body, event)
            elif isinstance(event, CallEvent):
                self._called(body, event.call)

    def _assigned(self, body: Body, event: Assign) -> None:
        member = body.field(event.left)
        if member in KERNEL.held_locks and isinstance(bare(event.right), AddressOf):
            self.locks[member, body.identity(event.right)] = None
        for value in _alternatives(event.right):
            handler = as_function(self.names, value, body.file, body)
            if handler is not None:
                slot = body.field(event.left)
                if slot:
                    self.puts[slot, handler] = None
                    self.placed.append(Placed(slot, handler, self.key, event.line))
            elif isinstance(bare(value), Name | Field):
                left = body.type(event.left)
                if left.function or left.name.endswith(("_fn", "_func", "_t")):
                    source, slot = node_of(value, body), body.field(event.left)
                    if source is not None and slot and source != slot:
                        self.flows[source, slot] = None

    def _called(self, body: Body, call: Call) -> None:
        if not call.callee or call.callee in body.locals:
            node = through(body, call)
            if node is not None:
                self.nodes[node] = None
                self._through(body, call, node)
            return
        self.calls[call.callee] = None
        callee = self.names.function(call.callee, body.file)
        if call.callee in RUNS:
            self.runs.update(dict.fromkeys(runs(body, call)))
        elif callee is not None:
            self.direct[callee] = None
        kind = KERNEL.handed_tables.get(call.callee)
        if kind is not None and kind.argument < len(call.args):
            self._table(body, call.args[kind.argument], kind)
        for effect in KERNEL.effects.get(call.callee, ()):
            self._by_api(body, call, effect)
        if callee is not None:
            self._arguments(body, call, callee)

    def _by_api(self, body: Body, call: Call, effect: object) -> None:
        if isinstance(effect, BindGroup | ThreadGroup | CallbackGroup) and len(call.args) > effect.function:
            for handler in self._handlers(body, call.args[effect.function]):
                self._given(body, call, effect, handler)
        elif isinstance(effect, QueueGroup) and len(call.args) > effect.work:
            queue = effect.object
            if effect.workqueue is not None:
                queue = body.identity(call.args[effect.workqueue])
            self.queued[body.identity(call.args[effect.work]), queue] = None

    def _handlers(self, body: Body, arg: Expr) -> Iterator[FunctionKey]:
        """The functions that an argument can be: by name, or each that a local is set to."""
        name = bare(arg)
        values = [arg]
        if isinstance(name, Name) and name.name in body.locals and name.name not in body.parameters:
            values = [value for op, value in body.values.get(name.name, ()) if op == "="]
        found = (as_function(self.names, one, body.file, body) for value in values for one in _alternatives(value))
        yield from dict.fromkeys(key for key in found if key is not None)

    def _given(
        self, body: Body, call: Call, effect: BindGroup | ThreadGroup | CallbackGroup, handler: FunctionKey
    ) -> None:
        """A call gives a handler to what runs it."""
        if isinstance(effect, BindGroup):
            work = body.identity(call.args[effect.object])
            self.bound.append(HandlerBinding(work, handler, effect.runner, self.key, call.line))
        elif isinstance(effect, ThreadGroup):
            self.started.append(Started(call.callee, handler, self.key, call.line))
        elif effect.context == "here":
            self.direct[handler] = None
        elif effect.context != "caller":
            self.roots[handler, EntryPoint(effect.context, effect.thread, call.callee)] = None

    def _arguments(self, body: Body, call: Call, callee: FunctionKey) -> None:
        for position, what, known in self._functions(body, call):
            if known:
                self.puts[argument(callee, position), FunctionKey(what)] = None
            elif carries_function(self.names, callee, position):
                self.flows[what, argument(callee, position)] = None

    def _through(self, body: Body, call: Call, node: str) -> None:
        for position, what, known in self._functions(body, call):
            if known or self.names.resolve(body.type(call.args[position])).function:
                self.handed[Handed(node, position, what, known)] = None

    def _functions(self, body: Body, call: Call) -> Iterator[tuple[int, str, bool]]:
        """Arguments that can be functions: position, key or node, whether it is a key."""
        for position, arg in enumerate(call.args):
            if isinstance(bare(arg), Name | Field | AddressOf | Deref | IndexExpr | CastExpr):
                handler = as_function(self.names, arg, body.file, body)
                if handler is not None:
                    yield position, handler, True
                elif (node := node_of(arg, body)) is not None:
                    yield position, node, False


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


def _alternatives(expr: Expr) -> Iterator[Expr]:
    e = bare(expr)
    if isinstance(e, OpExpr) and e.op == "?:" and len(e.args) == 3:
        yield from _alternatives(e.args[1])
        yield from _alternatives(e.args[2])
    else:
        yield e
