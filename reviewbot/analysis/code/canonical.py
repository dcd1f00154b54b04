"""Expressions in words that survive renamed locals, moved lines and statements that were split: what two versions of a
function are compared by.

    $dm_bufio_client      a parameter, by its type (and ~2, ~3 where the function has several of that type)
    foo($dev)             a local, by the value that reaches the place; `a | b` where one of several can
    foo()'1               what foo() leaves in its second argument
    ~left                 a local that many values reach, or one made of itself, by its name (that of the other version,
                          where it was renamed)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple, Protocol

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import bare, test
from reviewbot.csource.ir import (
    AddressOf,
    Assign,
    Call,
    CallEvent,
    CastExpr,
    Const,
    Deref,
    Expr,
    Field,
    IndexExpr,
    Name,
    OpExpr,
)
from reviewbot.limits import MAX_CANONICAL_DEPTH, MAX_CANONICAL_TEXT, MAX_REACHING_VALUES


class Spot(NamedTuple):
    """A place in a function: a block, and the number of an event in it (the events' count for its branch)."""

    block: int
    event: int


class Literal(NamedTuple):
    """A condition that holds: the value tested, in canonical words, and the signs that it has (see `expr.ConditionTest`)."""

    value: str
    signs: int

    def __str__(self) -> str:
        return f"{_SIGNS.get(self.signs, '')}{self.value}"


class Inlined(Protocol):
    """A function that is read in the place of a call."""

    def value(self) -> str:
        """What the call is worth, in the caller's words; empty where that cannot be said."""

    def literals(self, taken: bool) -> frozenset[Literal] | None:
        """What holds where the call is true (or not), None where that cannot be said."""

    def left(self, position: int) -> str:
        """What it leaves behind a pointer that it was handed; empty where that cannot be said."""


_SIGNS = {1: "!", 2: "<0 ", 3: "<=0 ", 4: ">0 ", 5: ">=0 "}
_ANY_VALUE = "~"
_NO_NAMES: Mapping[str, str] = MappingProxyType({})
_LOGIC = ("!", "&&", "||", "==", "!=", "<", ">", "<=", ">=")


class _Definition(NamedTuple):
    """A value that a local is given at a spot: an expression, or text for what a call leaves in it."""

    spot: Spot
    value: Expr | None
    text: str = ""
    call: Call | None = None
    position: int = 0


class Canonical:
    """The canonical words of one function.

    given: text for parameters, by name, where the function stands for its body inside of a caller.
    names: local -> its name in the version that this one is compared with.
    inlined: what is read in the place of a call, if anything; it is told how deep in values of locals that is asked.
    behind: parameters that point to a local of the caller.
    """

    def __init__(
        self,
        body: Body,
        given: Mapping[str, str] | None = None,
        names: Mapping[str, str] = _NO_NAMES,
        inlined: Callable[[Call, Spot, int], Inlined | None] = lambda call, at, depth: None,
        behind: frozenset[str] = frozenset(),
    ) -> None:
        self._body, self._names, self._inlined = body, names, inlined
        self._given = dict(given) if given is not None else self._parameters()
        self._behind = {name: f"*{name}" for name in behind}
        self._given.update({star: self._given[name].removeprefix("&") for name, star in self._behind.items()})
        self._memo: dict[tuple[int, Spot], tuple[Expr, str]] = {}
        self._open: set[tuple[str, Spot]] = set()
        """Definitions of locals whose words are being made."""
        self.merged: set[str] = set()
        """Locals that were met where several values reach them."""

    def _parameters(self) -> dict[str, str]:
        seen: dict[str, int] = {}
        found: dict[str, str] = {}
        for variable in self._body.function.parameters:
            type_ = variable.type.name or "void"
            seen[type_] = seen.get(type_, 0) + 1
            found[variable.name] = f"${type_}" + (f"~{seen[type_]}" if seen[type_] > 1 else "")
        return found

    # --- values that reach a place

    def local(self, left: Expr) -> str:
        """The local that an assignment sets; behind a pointer parameter, if that points to a local of the caller."""
        match left:
            case Name(name) if name in self._body.locals:
                return name
            case Deref(Name(name)) if name in self._behind:
                return self._behind[name]
        return ""

    def part_of(self, left: Expr) -> str:
        """The local that an assignment sets a part of: `x.field`, `x[i]`."""
        while (isinstance(left, Field) and not left.arrow) or isinstance(left, IndexExpr):
            left = left.base
        type_ = self._body.locals.get(left.name) if isinstance(left, Name) else None
        return self.local(left) if type_ is not None and (type_.array or not type_.pointers) else ""

    @cached_property
    def _definitions(self) -> dict[int, list[tuple[int, str, _Definition]]]:
        """Block -> (number of the event, local, value) in the order of the text."""
        found: dict[int, list[tuple[int, str, _Definition]]] = {}
        for number, block in enumerate(self._body.function.blocks):
            for index, event in enumerate(block.events):
                spot = Spot(number, index)
                if isinstance(event, Assign) and (name := self.local(event.left)):
                    value = event.right if event.op == "=" else None
                    found.setdefault(number, []).append((index, name, _Definition(spot, value, _ANY_VALUE)))
                elif isinstance(event, CallEvent):
                    for position, arg in enumerate(event.call.args):
                        inner = bare(arg)
                        inner = inner.base if isinstance(inner, AddressOf) else Deref(inner)
                        if name := self.local(inner):
                            text = f"{event.call.callee}()'{position}"
                            definition = _Definition(spot, None, text, event.call, position)
                            found.setdefault(number, []).append((index, name, definition))
        return found

    @cached_property
    def _reaching(self) -> list[dict[str, frozenset[_Definition]]]:
        """For each block, local -> the values that reach its beginning (least fixpoint)."""
        blocks = self._body.function.blocks
        into: list[dict[str, frozenset[_Definition]]] = [{} for _ in blocks]
        last = {n: {name: d for _, name, d in made} for n, made in self._definitions.items()}
        changed = {name for made in last.values() for name in made}
        if blocks:  # a parameter that is given other values has the caller's at first
            first = Spot(0, -1)
            into[0] = {n: frozenset((_Definition(first, None, t),)) for n, t in self._given.items() if n in changed}
        todo, seen = [0] if blocks else [], set[int]()
        while todo:
            number = todo.pop()
            seen.add(number)
            out = dict(into[number])
            out.update({name: frozenset((d,)) for name, d in last.get(number, {}).items()})
            for edge in blocks[number].edges:
                below = into[edge.to]
                grown = False
                for name, values in out.items():
                    if not values <= below.get(name, frozenset()):
                        below[name] = below.get(name, frozenset()) | values
                        grown = True
                if grown or edge.to not in seen:
                    todo.append(edge.to)
        return into

    def _values(self, name: str, at: Spot) -> frozenset[_Definition]:
        found = self._reaching[at.block].get(name, frozenset())
        for index, local, definition in self._definitions.get(at.block, ()):
            if index >= at.event:
                break
            if local == name:
                found = frozenset((definition,))
        return found

    # --- words

    def text(self, expr: Expr, at: Spot, depth: int = 0) -> str:
        """The expression as it is evaluated at a place."""
        name = id(expr), at
        whole = depth == 0 and not self._open  # inside of its own value a local is its name
        if whole and name in self._memo:
            return self._memo[name][1]
        words = self._text(expr, at, depth)
        if len(words) > MAX_CANONICAL_TEXT:
            words = _ANY_VALUE + self._body.type(expr).name
        if whole:
            self._memo[name] = expr, words
        return words

    def _text(self, expr: Expr, at: Spot, depth: int) -> str:
        def inner(e: Expr) -> str:
            return self.text(e, at, depth + 1)

        if depth > 4 * MAX_CANONICAL_DEPTH:
            return _ANY_VALUE
        match expr:
            case Name(name):
                return self._name(name, at, depth)
            case Const(text):
                return "string" if text[:1] == '"' else text
            case Field(base, name):
                below = base.base if isinstance(base, AddressOf | Deref) else base
                return f"{inner(below).removeprefix('&')}.{name}".replace("->", ".")
            case Deref(Name(name)) if name in self._behind:
                return self._name(self._behind[name], at, depth)
            case Deref(base):
                return _undone(inner(base), "&", "*")
            case AddressOf(base):
                return _undone(inner(base), "*", "&")
            case IndexExpr(base, index):
                return f"{inner(base)}[{inner(index)}]"
            case CastExpr(type_, _, base, macro, member):
                return f"{macro}({inner(base)}, {type_}, {member})" if macro else inner(base)
            case Call():
                return self._call(expr, at, depth, inner)
            case OpExpr(op, args):
                return f"({f' {op} '.join(map(inner, args))})" if len(args) > 1 else f"{op}{''.join(map(inner, args))}"
        return "?"

    def _call(self, call: Call, at: Spot, depth: int, inner: Callable[[Expr], str]) -> str:
        """What a call hands on or what the helper returns that is read in its place; else the call with its arguments."""
        plain = bare(call)
        if plain is not call:
            return inner(plain)
        read = self._inlined(call, at, depth + 1)
        if read is not None:
            return read.value() or _ANY_VALUE + call.callee
        through = call.callee or (inner(call.target) if call.target is not None else "")
        return f"{through}({', '.join(map(inner, call.args))})"

    def _name(self, name: str, at: Spot, depth: int) -> str:
        if name not in self._body.locals and name not in self._given:
            return self._body.identity(Name(name)) if name in self._body.statics else name
        values = self._values(name, at)
        own = self._any(name)
        if len(values) != 1:
            self.merged.add(name)
        if not values:
            return self._given.get(name) or own
        made = {(name, d.spot) for d in values}
        if len(values) > MAX_REACHING_VALUES or depth >= MAX_CANONICAL_DEPTH or made & self._open:
            self.merged.add(name)
            return own
        self._open |= made
        said = {self._said(d, depth) for d in values}
        self._open -= made
        itself = re.compile(re.escape(own) + r"(?!\w)")
        if any(words.startswith(_ANY_VALUE) or itself.search(words) for words in said):
            self.merged.add(name)
            return own
        return " | ".join(sorted(said))

    def _said(self, definition: _Definition, depth: int) -> str:
        if definition.value is not None:
            return self.text(definition.value, definition.spot, depth + 1)
        if definition.call is not None:
            read = self._inlined(definition.call, definition.spot, depth + 1)
            return (read.left(definition.position) if read is not None else "") or definition.text
        return definition.text

    def name(self, local: str) -> str:
        """The name of a local in the version that this one is compared with."""
        return self._names.get(local, local)

    def _any(self, name: str) -> str:
        return _ANY_VALUE + self.name(name)

    def literals(self, when: Expr, taken: bool, at: Spot) -> frozenset[Literal]:
        """What holds where a branch on a condition was taken (or not): a literal for each part of `a && b` that is
        known to hold."""
        inner = bare(when)
        match inner:
            case OpExpr("!", (arg,)):
                return self.literals(arg, not taken, at)
            case OpExpr("&&" | "||" as op, args) if (op == "&&") == taken:
                return frozenset().union(*(self.literals(arg, taken, at) for arg in args))
            case Call():
                read = self._inlined(inner, at, 0)
                if read is not None and (holds := read.literals(taken)) is not None:
                    return holds
            case Name(name) if name in self._body.locals:
                holds = self._decided(name, taken, at)
                if holds is not None:
                    return holds
        found = test(inner)
        signs = found.yes if taken else found.no
        return frozenset((Literal(self.text(found.value, at), signs),))

    def _decided(self, name: str, taken: bool, at: Spot) -> frozenset[Literal] | None:
        """What holds where a local is true (or not) that was set to a condition, or to what a helper says."""
        values = self._values(name, at)
        if len(values) != 1:
            return None
        (definition,) = values
        made = name, definition.spot
        value = bare(definition.value) if definition.value is not None and made not in self._open else None
        logic = isinstance(value, OpExpr) and value.op in _LOGIC
        if value is None or not (logic or (isinstance(value, Call) and self._inlined(value, definition.spot, 0))):
            return None
        self._open.add(made)
        holds = self.literals(value, taken, definition.spot)
        self._open.discard(made)
        return holds


def _undone(text: str, inverse: str, operator: str) -> str:
    """The text with an operator before it, or without the one that this undoes: `*` and `&`."""
    return text[1:] if text[:1] == inverse else f"{operator}{text}"
