"""One function body: the identity of the objects its expressions stand for, and what its locals are set to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from reviewbot.analysis.code.expr import ZERO, bare, parts, show, sign
from reviewbot.analysis.code.identity import UNKNOWN, field_of, in_file
from reviewbot.analysis.code.names import Names, NameScope
from reviewbot.csource.accessors import put_in
from reviewbot.csource.ir import (
    AddressOf,
    Assign,
    Call,
    CallEvent,
    CastExpr,
    Deref,
    Event,
    Expr,
    Field,
    IndexExpr,
    Name,
    OpExpr,
    Return,
)
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_IDENTITY_LENGTH, MAX_LOCAL_CHAIN


class Body(NameScope):
    """A function with its names resolved. `key` is `file:function`."""

    def __init__(self, names: Names, key: FunctionKey) -> None:
        super().__init__(names, key)
        self._identities: dict[int, tuple[Expr, str]] = {}

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.function.name

    def events(self) -> Iterator[Event]:
        """All events, block by block."""
        for block in self.function.blocks:
            yield from block.events

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """All calls that are made, in the order of the text; guards' acquire and release included."""
        return tuple(e.call for e in self.events() if isinstance(e, CallEvent))

    @cached_property
    def onward(self) -> tuple[frozenset[int], ...]:
        """For each block the blocks that can come after it; itself among them when it is part of a loop."""
        direct = [{edge.to for edge in block.edges} for block in self.function.blocks]
        found = []
        for start in range(len(direct)):
            seen: set[int] = set()
            todo = list(direct[start])
            while todo:
                at = todo.pop()
                if at not in seen:
                    seen.add(at)
                    todo += direct[at]
            found.append(frozenset(seen))
        return tuple(found)

    @cached_property
    def values(self) -> dict[str, list[tuple[str, Expr]]]:
        """Local or parameter -> (operator, value) of its assignments."""
        found: dict[str, list[tuple[str, Expr]]] = {}
        for event in self.events():
            if isinstance(event, Assign) and isinstance(event.left, Name) and event.left.name in self.locals:
                found.setdefault(event.left.name, []).append((event.op, event.right))
        return found

    # --- identity

    def identity(self, expr: Expr, depth: int = 0) -> str:
        """Which object the expression designates or points to; see `objects`. `&` and `*` make no difference."""
        found = self._identities.get(id(expr))
        if found is not None:
            return found[1]
        known = self._identity(expr, depth)
        known = KERNEL.renamed.get(known, known)
        if len(known) > MAX_IDENTITY_LENGTH:
            known = UNKNOWN
        self._identities[id(expr)] = expr, known  # held on to: the id of one that is gone would be given to another one
        return known

    def _identity(self, expr: Expr, depth: int) -> str:
        chain = ""
        while True:
            if isinstance(expr, Field):
                chain = f"{expr.name}.{chain}" if chain else expr.name
                if expr.arrow or self._pointer(expr.base):
                    return self._field(expr.base, chain)
                if part := self._part(expr.base):
                    return f"{part}.{chain}"
                expr = expr.base
            elif (within := _within(expr)) is not None:
                expr = within
            else:
                return self._object(expr, chain, depth)

    def _object(self, expr: Expr, chain: str, depth: int) -> str:
        """The identity of members (`a.b`, or none) of what an expression stands for by itself."""
        match expr:
            case CastExpr(type_):
                return f"{type_}.{chain}" if chain else f"*{type_}"
            case Call():
                if not chain and depth < MAX_LOCAL_CHAIN and isinstance(place := self.place(expr), AddressOf):
                    return self.identity(place, depth + 1)
                type_name = self.type(expr).name
                if type_name and self.names.has_struct(type_name):
                    return f"{type_name}.{chain}" if chain else f"*{type_name}"
            case OpExpr("?:", (_, then, other)):
                first, second = self.identity(then, depth), self.identity(other, depth)
                return first if first == second and not chain else UNKNOWN
            case Name(name):
                if name in self._changed and id(expr) in self._stale:
                    return self._other(name, chain)
                return self._root(name, chain, depth)
        return UNKNOWN

    def _pointer(self, expr: Expr) -> bool:
        """Whether `expr.field` reads through a pointer after all: `(*p).f`, `p[0].f`."""
        match expr:
            case Deref():
                return True
            case IndexExpr(base):
                t = self.type(base)
                return t.pointers > 0 and not t.array
        return False

    def _part(self, expr: Expr) -> str:
        """The struct that an expression is, where it is the only part of its kind in a larger one: by a pointer to the part
        or through the whole, it is the same object."""
        while isinstance(expr, IndexExpr):
            expr = expr.base
        if not isinstance(expr, Field):
            return ""
        root = expr.base if expr.arrow else expr
        while isinstance(root, Field | IndexExpr) and not (isinstance(root, Field) and root.arrow):
            root = root.base
        if isinstance(root, Name) and not self.type(root).pointers:
            return ""  # a part of a variable: there is one
        whole, part = self.type(expr.base).name, self.type(expr).name
        return part if self.names.only_part(whole, part) else ""

    def _field(self, base: Expr, chain: str) -> str:
        owner = self.type(base).name
        if owner:
            return f"{owner}.{chain}"
        inner = bare(base)
        if isinstance(inner, Name) and inner.name in self.parameters and self.function.macro:
            return f"@{self.parameters[inner.name]}.{chain}"
        return UNKNOWN

    def _root(self, name: str, chain: str, depth: int) -> str:
        tail = f".{chain}" if chain else ""
        if name in self.parameters:
            return f"${self.parameters[name]}{tail}"
        if name in self.statics:
            return field_of(in_file(self.file, name), chain)
        if name in self.locals:
            type_ = self.locals[name]
            if type_.pointers and not chain:
                alias = self._alias(name, depth)
                if alias:
                    return alias
                struct = self.names.resolve(type_).name
                return f"*{struct}" if struct and self.names.has_struct(struct) else f"{self.name}(){name}"
            return f"{self.name}(){name}{tail}"
        return field_of(self.names.variable(name, self.file)[0], chain)

    @cached_property
    def _changed(self) -> frozenset[str]:
        """Parameters that the function gives another value."""
        given = self.parameters.keys() & self.values.keys()
        return frozenset(name for name in given if any(op == "=" for op, _ in self.values[name]))

    @cached_property
    def _stale(self) -> frozenset[int]:
        """ids of the names of such parameters where the value may not be the caller's any more."""
        blocks = self.function.blocks
        dirty: list[frozenset[str]] = [frozenset()] * len(blocks)
        found: set[int] = set()
        todo = [0] if blocks else []
        seen: set[int] = set()
        while todo:
            number = todo.pop()
            now = dirty[number]
            seen.add(number)
            for event in blocks[number].events:
                found |= _names_of(event, now)
                if isinstance(event, Assign) and isinstance(event.left, Name) and event.op == "=":
                    now |= {event.left.name} & self._changed
            for edge in blocks[number].edges:
                if edge.when is not None:
                    found |= {id(e) for e in parts(edge.when) if isinstance(e, Name) and e.name in now}
                if edge.to not in seen or not now <= dirty[edge.to]:
                    dirty[edge.to] |= now
                    todo.append(edge.to)
        return frozenset(found)

    def _other(self, name: str, chain: str) -> str:
        """A parameter that is not what the caller handed in any more: some object of its type."""
        if chain:
            return f"{self.name}(){name}.{chain}"  # a struct that was handed over by value
        struct = self.names.resolve(self.locals[name]).name
        return f"*{struct}" if struct and self.names.has_struct(struct) else f"{self.name}(){name}"

    def _alias(self, name: str, depth: int) -> str:
        """What a local pointer stands for when all its assignments agree, else an empty string."""
        if depth >= MAX_LOCAL_CHAIN:
            return ""
        found = set()
        for op, value in self.values.get(name, ()):
            if op != "=" or show(value) in ("NULL", "0"):
                continue
            found.add(self.identity(value, depth + 1) if self._names_an_object(value) else UNKNOWN)
        if len(found) == 1:
            (only,) = found
            return only if only != UNKNOWN and not only.startswith("*") else ""
        return ""

    def _names_an_object(self, value: Expr) -> bool:
        match bare(value):
            case Field() | AddressOf() | IndexExpr() | Deref() | Name():
                return True
            case CastExpr(_, _, _, macro):
                return not macro
            case Call() as call:
                return isinstance(self.place(call), AddressOf)
        return False

    def field(self, expr: Expr) -> str:
        """Innermost `struct.member` that the expression reads: the slot of a function pointer; else empty."""
        expr = bare(expr)
        while isinstance(expr, Deref | IndexExpr | AddressOf):
            expr = bare(expr.base)
        if isinstance(expr, Field):
            owner = self.type(expr.base).name
            return f"{owner}.{expr.name}" if owner else ""
        if isinstance(expr, Name) and expr.name in self.locals and expr.name not in self.parameters:
            slots = {
                self.field(value) for op, value in self.values.get(expr.name, ()) if isinstance(bare(value), Field)
            }
            return slots.pop() if len(slots) == 1 else ""
        return ""

    def base(self, expr: Expr) -> str:
        """The instance in this function's own words, a parameter as `$i`: tells two locks of one class apart."""
        while isinstance(expr, AddressOf | Deref) or (isinstance(expr, CastExpr) and not expr.macro):
            expr = expr.base
        if (found := self._found_by_accessors(expr)) is not None:
            return found
        text = show(expr)
        root: Expr = expr
        while isinstance(root, Field | IndexExpr | Deref):
            root = root.base
        if not isinstance(root, Name) or root.name not in self.parameters or not text.startswith(root.name):
            return text
        if root.name in self._changed and id(root) in self._stale:
            return text
        return f"${self.parameters[root.name]}{text[len(root.name) :]}"

    def _found_by_accessors(self, expr: Expr) -> str | None:
        """The instance where accessors or the like lead to it: with these written out, in the parameters that the function
        does not set anew. None for any other expression."""
        plain = self._without_accessors(expr)
        if plain is expr:
            return None
        names = {e.name for e in parts(plain) if isinstance(e, Name)} & self.parameters.keys()
        if names & self._changed:
            return None
        while isinstance(plain, AddressOf | Deref):
            plain = plain.base
        return show(put_in(plain, {name: Name(f"${self.parameters[name]}") for name in names}))

    def _without_accessors(self, expr: Expr, depth: int = 0) -> Expr:
        """A place with the accessors in it written out, and the local that it begins with where that stands for one of
        them, without casts then; the same expression where there are none."""
        if depth > MAX_LOCAL_CHAIN:
            return expr
        match expr:
            case Field(base, name, arrow):
                plain = self._without_accessors(base, depth)
                if plain is base:
                    return expr
                return Field(plain.base, name, False) if isinstance(plain, AddressOf) else Field(plain, name, arrow)
            case CastExpr(type_, _, base, macro) if depth:
                plain = self._without_accessors(base, depth)
                return Field(plain, f"^{type_}", True) if macro else plain
            case AddressOf(base) if depth:
                return AddressOf(self._without_accessors(base, depth))
            case Call() if (place := self.place(expr)) is not None:
                return self._without_accessors(place, depth + 1)
            case Name(name) if name in self.locals and name not in self.parameters:
                return self._from_parameters(expr, depth + 1) or expr
        return expr

    def _from_parameters(self, local: Name, depth: int) -> Expr | None:
        """What a local stands for that is set once, to what an accessor or container_of() finds from parameters."""
        values = [bare(v) for op, v in self.values.get(local.name, ()) if op != "=" or sign(bare(v)) != ZERO]
        if len(values) != 1 or not (_of_whole(values[0]) or self._accessor(values[0])):
            return None
        plain = self._without_accessors(values[0], depth)
        names = {e.name for e in parts(plain) if isinstance(e, Name)}
        return plain if names <= self.parameters.keys() - self._changed else None

    def _accessor(self, expr: Expr) -> bool:
        return isinstance(expr, Call) and self.place(expr) is not None


def _of_whole(expr: Expr) -> bool:
    """Whether an expression is a container_of() or its like."""
    return isinstance(expr, CastExpr) and bool(expr.macro)


def _names_of(event: Event, names: frozenset[str]) -> set[int]:
    """ids of what names one of the variables in an event, except where it is set."""
    if not names:
        return set()
    match event:
        case CallEvent(call):
            exprs: tuple[Expr, ...] = (call,)
        case Assign(left, right):
            exprs = (right,) if isinstance(left, Name) else (left, right)
        case Return(value) if value is not None:
            exprs = (value,)
        case _:
            return set()
    return {id(e) for expr in exprs for e in parts(expr) if isinstance(e, Name) and e.name in names}


def _within(expr: Expr) -> Expr | None:
    """The expression with the same object, or a part of it, that an expression is made of; None where it stands for one by
    itself."""
    match expr:
        case AddressOf(base) | Deref(base) | IndexExpr(base) | OpExpr("+" | "-", (base, _)):
            return base
        case OpExpr("=" | ",", (*_, value)):
            return value
        case CastExpr(type_, _, base, macro) if not (macro and type_):
            return base
        case Call() if (plain := bare(expr)) is not expr:
            return plain
    return None
