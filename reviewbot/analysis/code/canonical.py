"""Expressions in words that survive renamed locals, moved lines and statements that were split: what two versions of a
function are compared by.

    $dm_bufio_client      a parameter, by its type (and ~2, ~3 where the function has several of that type)
    foo($dev)             a local, by the value that reaches the place; `a | b` where one of several can
    foo()'1               what foo() leaves in its second argument
    ~left                 a local that many values reach, by its name (that of the other version, where it was renamed)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

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


_SIGNS = {1: "!", 2: "<0 ", 3: "<=0 ", 4: ">0 ", 5: ">=0 "}
_ANY_VALUE = "~"
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class _Definition(NamedTuple):
    """A value that a local is given at a spot: an expression, or text for what a call leaves in it."""

    spot: Spot
    value: Expr | None
    text: str = ""


class Canonical:
    """The canonical words of one function.

    given: text for parameters, by name, where the function stands for its body inside of a caller.
    names: local -> its name in the version that this one is compared with.
    """

    def __init__(
        self, body: Body, given: Mapping[str, str] | None = None, names: Mapping[str, str] = _NO_NAMES
    ) -> None:
        self._body, self._names = body, names
        self._given = dict(given) if given is not None else self._parameters()
        self._memo: dict[tuple[int, Spot], str] = {}

    def _parameters(self) -> dict[str, str]:
        seen: dict[str, int] = {}
        found: dict[str, str] = {}
        for variable in self._body.function.parameters:
            type_ = variable.type.name or "void"
            seen[type_] = seen.get(type_, 0) + 1
            found[variable.name] = f"${type_}" + (f"~{seen[type_]}" if seen[type_] > 1 else "")
        return found

    # --- values that reach a place

    @cached_property
    def _definitions(self) -> dict[int, list[tuple[int, str, _Definition]]]:
        """Block -> (number of the event, local, value) in the order of the text."""
        found: dict[int, list[tuple[int, str, _Definition]]] = {}
        names = self._body.locals
        for number, block in enumerate(self._body.function.blocks):
            for index, event in enumerate(block.events):
                spot = Spot(number, index)
                if isinstance(event, Assign) and isinstance(event.left, Name) and event.left.name in names:
                    name = event.left.name
                    value = event.right if event.op == "=" else None
                    found.setdefault(number, []).append((index, name, _Definition(spot, value, _ANY_VALUE)))
                elif isinstance(event, CallEvent):
                    for position, arg in enumerate(event.call.args):
                        inner = bare(arg)
                        if isinstance(inner, AddressOf) and isinstance(inner.base, Name) and inner.base.name in names:
                            text = f"{event.call.callee}()'{position}"
                            definition = _Definition(spot, None, text)
                            found.setdefault(number, []).append((index, inner.base.name, definition))
        return found

    @cached_property
    def _reaching(self) -> list[dict[str, frozenset[_Definition]]]:
        """For each block, local -> the values that reach its beginning (least fixpoint)."""
        blocks = self._body.function.blocks
        into: list[dict[str, frozenset[_Definition]]] = [{} for _ in blocks]
        last = {n: {name: d for _, name, d in made} for n, made in self._definitions.items()}
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
        if depth == 0 and name in self._memo:
            return self._memo[name]
        words = self._text(expr, at, depth)
        if len(words) > MAX_CANONICAL_TEXT:
            words = _ANY_VALUE + self._body.type(expr).name
        if depth == 0:
            self._memo[name] = words
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
            case Field(base, name, arrow):
                below = base.base if isinstance(base, AddressOf | Deref) else base
                return f"{inner(below).removeprefix('&')}{'.' if not arrow and below is base else '->'}{name}".replace(
                    "->", "."
                )
            case Deref(base):
                text = inner(base)
                return text[1:] if text[:1] == "&" else f"*{text}"
            case AddressOf(base):
                text = inner(base)
                return text[1:] if text[:1] == "*" else f"&{text}"
            case IndexExpr(base, index):
                return f"{inner(base)}[{inner(index)}]"
            case CastExpr(type_, _, base, macro, member):
                return f"{macro}({inner(base)}, {type_}, {member})" if macro else inner(base)
            case Call(callee, target, args):
                plain = bare(expr)
                if plain is not expr:
                    return inner(plain)
                through = callee or (inner(target) if target is not None else "")
                return f"{through}({', '.join(map(inner, args))})"
            case OpExpr(op, args):
                return f"({f' {op} '.join(map(inner, args))})" if len(args) > 1 else f"{op}{''.join(map(inner, args))}"
        return "?"

    def _name(self, name: str, at: Spot, depth: int) -> str:
        if name not in self._body.locals:
            return self._body.identity(Name(name)) if name in self._body.statics else name
        values = self._values(name, at)
        if not values:
            return self._given.get(name) or self._any(name)
        if name in self._given and self._may_be_entry(name, at):
            return self._any(name)
        if len(values) > MAX_REACHING_VALUES or depth >= MAX_CANONICAL_DEPTH:
            return self._any(name)
        said = {d.text if d.value is None else self.text(d.value, d.spot, depth + 1) for d in values}
        if any(words.startswith(_ANY_VALUE) for words in said):
            return self._any(name)
        return " | ".join(sorted(said))

    def _any(self, name: str) -> str:
        return _ANY_VALUE + self._names.get(name, name)

    def _may_be_entry(self, name: str, at: Spot) -> bool:
        """Whether a parameter that is given other values may still have the caller's here: it is not told apart."""
        return not any(i < at.event and local == name for i, local, _ in self._definitions.get(at.block, ()))

    def literals(self, when: Expr, taken: bool, at: Spot) -> frozenset[Literal]:
        """What holds where a branch on a condition was taken (or not): a literal for each part of `a && b` that is
        known to hold."""
        inner = bare(when)
        match inner:
            case OpExpr("!", (arg,)):
                return self.literals(arg, not taken, at)
            case OpExpr("&&" | "||" as op, args) if (op == "&&") == taken:
                return frozenset().union(*(self.literals(arg, taken, at) for arg in args))
        found = test(inner)
        signs = found.yes if taken else found.no
        return frozenset((Literal(self.text(found.value, at), signs),))
