"""The numbers that constants stand for: literals, enumerators, macros of them, and what operators make of these.

C and Python write such expressions alike, and their operators bind alike: what a macro or an enumerator stands for, which is
text, is read by Python's own parser, and never run.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import bare, number
from reviewbot.analysis.code.names import Names
from reviewbot.csource.ir import Call, Const, Expr, Name, OpExpr
from reviewbot.limits import MAX_TYPEDEF_CHAIN

_LITERAL = re.compile(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]*\b")
_BITS = frozenset({"BIT", "BIT_ULL", "_BITUL", "_BITULL"})
"""Macros that make a number of that of a bit."""
_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "|": operator.or_,
    "&": operator.and_,
    "^": operator.xor,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<<": operator.lshift,
    ">>": operator.rshift,
}
_PYTHON: dict[type[ast.operator], str] = {
    ast.BitOr: "|",
    ast.BitAnd: "&",
    ast.BitXor: "^",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.LShift: "<<",
    ast.RShift: ">>",
}
NOTHING: Mapping[str, int] = {}
BITS = 64
"""So many has the largest number that C computes with."""


class Constants:
    """What constants are worth in the files of some names. Results are kept per file and name."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._found: dict[tuple[str, str], int | None] = {}
        self._deep = 0
        """Names that are being read, each for the one before."""

    def worth(self, expr: Expr, body: Body, known: Mapping[str, int] = NOTHING) -> int | None:
        """The number that an expression of a function is worth, or None. known: what variables of it are worth."""
        match bare(expr):
            case Const("true" | "false" as text) | Name("true" | "false" as text):
                return int(text == "true")
            case Const(text):
                return number(text)
            case Name(name):
                return known.get(name) if name in body.locals else self.named(name, body.file)
            case Call(callee, _, (arg,)) if callee in _BITS:
                return _applied("<<", 1, self.worth(arg, body, known))
            case OpExpr("~", (arg,)):
                inner = self.worth(arg, body, known)
                return None if inner is None else ~inner
            case OpExpr("-", (arg,)):
                return _applied("-", 0, self.worth(arg, body, known))
            case OpExpr(op, (left, right)) if op in _OPERATORS:
                return _applied(op, self.worth(left, body, known), self.worth(right, body, known))
        return None

    def named(self, name: str, file: str) -> int | None:
        """The number that an enumerator or a macro stands for in a file; None where that cannot be told, or is told twice."""
        key = file, name
        if key not in self._found and self._deep < MAX_TYPEDEF_CHAIN:
            self._found[key] = None  # should it be made of itself
            self._deep += 1
            self._found[key] = self._read(self._names.constant(name, file), file)
            self._deep -= 1
        return self._found.get(key)

    def _read(self, text: str, file: str) -> int | None:
        """The number that a text stands for."""
        plain = _LITERAL.sub(lambda literal: str(number(literal[0])), text)
        if not plain or not plain.isascii() or "'" in plain or '"' in plain:
            return None
        try:
            tree = ast.parse(plain.strip(), mode="eval")
        except (SyntaxError, ValueError):
            return None
        return self._sum(tree.body, file)

    def _sum(self, node: ast.expr, file: str) -> int | None:
        match node:
            case ast.Constant(int(value)) if not isinstance(value, bool):
                return value
            case ast.Name(name):
                return self.named(name, file)
            case ast.Call(ast.Name(name), [arg], []) if name in _BITS:
                return _applied("<<", 1, self._sum(arg, file))
            case ast.UnaryOp(ast.USub(), inner):
                return _applied("-", 0, self._sum(inner, file))
            case ast.UnaryOp(ast.Invert(), inner):
                found = self._sum(inner, file)
                return None if found is None else ~found
            case ast.BinOp(left, op, right) if type(op) in _PYTHON:
                return _applied(_PYTHON[type(op)], self._sum(left, file), self._sum(right, file))
        return None


def _applied(op: str, left: int | None, right: int | None) -> int | None:
    """What an operator makes of two numbers; None where one is not known, or the result is no number of a machine's."""
    if left is None or right is None or (op in ("<<", ">>") and not 0 <= right < BITS):
        return None
    found = _OPERATORS[op](left, right)
    return found if found.bit_length() <= BITS else None
