"""Reads what one function (or the file scope) does with functions: calls them, puts them into slots, hands them on."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.callgraph.own_device import OwnDevice
from reviewbot.analysis.callgraph.pointer_flow import (
    RUNS,
    ContractRun,
    EntryPoint,
    FlowConstraints,
    Handed,
    HandlerBinding,
    Placed,
    Started,
    alternatives,
    argument,
    as_function,
    carries_function,
    node_of,
    runs,
    through,
)
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
    TableEntry,
    Type,
)
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.kernel.context_schema import TableKind, TableMacro
from reviewbot.kernel.schema import BindGroup, CallbackGroup, QueueGroup, ThreadGroup


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
        self.begun: dict[tuple[FunctionKey, FunctionKey], None] = {}

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
            tuple(self.begun),
        )

    # --- file scope

    def file(self, path: str) -> None:
        """Initialisers of operations tables, module_init(), DECLARE_WORK() and the like."""
        unit = self.names.library.declared[path]
        for slot in unit.slots:
            handler = as_function(self.names, slot.value, path)
            if handler is not None:
                self._initialised(path, slot, handler)
        for call in unit.calls_at_file_scope:
            self._registered(path, call)
        made = [slot.value for slot in unit.slots if isinstance(slot.value, Call)]
        for call in (*made, *unit.calls_at_file_scope):
            for macro in KERNEL.filled.get(call.callee, ()):
                self._filled(path, call, macro)
        self._attributes(path)

    def _initialised(self, path: str, slot: TableEntry, handler: FunctionKey) -> None:
        """A function in the initialiser of a table: put there, and entered as functions of this slot are."""
        name = self._slot_name(slot, path)
        self.puts[name, handler] = None
        if slot.field:  # an array of functions has no slots
            self.placed.append(Placed(name, handler, self.key, slot.line))
        if name in KERNEL.held_by_slot and slot.variable:
            self._entered(name, handler, objects.in_file(path, slot.variable))
        if (begin := KERNEL.begun.get(name)) and slot.variable:
            own = (s for s in self.names.library.declared[path].slots if s.variable == slot.variable)
            first = (as_function(self.names, s.value, path) for s in own if self._slot_name(s, path) == begin)
            self.begun.update(((handler, one), None) for one in first if one is not None)
        for _, kind in KERNEL.tables_of.get(name, ()):
            if kind.given and slot.variable in self._tables_in(path, kind.given):
                self._entered(kind.entry(name), handler, "")

    def _registered(self, path: str, call: Call) -> None:
        """A call at file scope that enters its argument in a context, or gives a work item its handler."""
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
        for value in alternatives(event.right):
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
        found = (as_function(self.names, one, body.file, body) for value in values for one in alternatives(value))
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
