"""Reading expressions of the IR: their text, what they mention, and what a condition says of a value.

What is known of a value is a set of signs: a mask of ZERO (0, NULL, false), MINUS (error number or pointer), PLUS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewbot.csource.ir import AddressOf, Call, CastExpr, Const, Deref, Expr, Field, IndexExpr, Name, OpExpr
from reviewbot.kernel import KERNEL

ZERO, MINUS, PLUS = 1, 2, 4
ANY = ZERO | MINUS | PLUS

WORD = re.compile(r"[A-Za-z_]\w*")
_NUMBER = re.compile(r"(-?)(0[xX][0-9a-fA-F]+|\d+)[uUlL]*$")


def show(expr: Expr | None) -> str:
    """The expression as C text in one canonical spelling (no white space but around binary operators)."""
    match expr:
        case None:
            return ""
        case Name(name):
            return name
        case Field(base, name, arrow):
            return f"{show(base)}{'->' if arrow else '.'}{name}"
        case Deref(base):
            return f"*{show(base)}"
        case AddressOf(base):
            return f"&{show(base)}"
        case IndexExpr(base, index):
            return f"{show(base)}[{show(index)}]"
        case Const(text):
            return text
        case CastExpr(type_, pointers, base, macro, _):
            if macro:
                return f"{macro}({show(base)}, {type_})"
            return f"({type_}{' ' + '*' * pointers if pointers else ''}){show(base)}"
        case Call(callee, target, args):
            return f"{callee or show(target)}({', '.join(map(show, args))})"
        case OpExpr(op, args):
            return _operation(op, args)
        case _:
            return "?"


def _operation(op: str, args: tuple[Expr, ...]) -> str:
    if len(args) == 1:
        return f"{op}{show(args[0])}"
    if op == "?:" and len(args) == 3:
        return f"{show(args[0])} ? {show(args[1])} : {show(args[2])}"
    if len(args) == 2:
        return f"{show(args[0])} {op} {show(args[1])}"
    return f"{op}({', '.join(map(show, args))})"


def parts(expr: Expr) -> Iterator[Expr]:
    """The expression and all that it is made of, outside first."""
    todo = [expr]
    while todo:
        e = todo.pop()
        yield e
        match e:
            case Field(base) | Deref(base) | AddressOf(base):
                todo.append(base)
            case CastExpr(_, _, base):
                todo.append(base)
            case IndexExpr(base, index):
                todo += (base, index)
            case Call(_, target, args):
                todo += args
                if target is not None:
                    todo.append(target)
            case OpExpr(_, args):
                todo += args


def bare(expr: Expr) -> Expr:
    """The expression without casts and without calls that hand their argument on (likely(), READ_ONCE(), ...)."""
    while True:
        if isinstance(expr, CastExpr) and not expr.macro:
            expr = expr.base
        elif isinstance(expr, Call) and expr.callee in KERNEL.transparent and expr.args:
            expr = expr.args[0]
        else:
            return expr


def number(text: str) -> int | None:
    """The value of an integer literal, or None."""
    found = _NUMBER.match(text.strip())
    if not found:
        return None
    digits = found.group(2)
    try:
        value = (
            int(digits, 16)
            if digits[:2] in ("0x", "0X")
            else int(digits, 8 if digits[0] == "0" and len(digits) > 1 else 10)
        )
    except ValueError:
        return None
    return -value if found.group(1) else value


def sign(expr: Expr | None) -> int:
    """The signs that a value can have, going by its text alone, as bits PLUS, ZERO, MINUS; ANY when nothing is
    known."""
    if expr is None:
        return ANY
    expr = bare(expr)
    match expr:
        case Const(text) | Name(text):
            return _word_sign(text, isinstance(expr, Const))
        case OpExpr("-", (arg,)):
            inner = sign(arg)
            if inner == ANY and isinstance(arg, Name) and arg.name.isupper() and arg.name.startswith("E"):
                return MINUS
            return {PLUS: MINUS, MINUS: PLUS, ZERO: ZERO}.get(inner, ANY)
        case OpExpr("!" | "==" | "!=" | "<" | ">" | "<=" | ">=" | "&&" | "||"):
            return ZERO | PLUS
        case OpExpr("?:", (_, then, other)):
            return sign(then) | sign(other)
        case AddressOf():
            return PLUS
        case Call():
            return _result_sign(expr)
    return ANY


def _word_sign(text: str, literal: bool) -> int:
    """The signs of a name or a literal."""
    if text in ("NULL", "false"):
        return ZERO
    if text == "true" or text[:1] == '"':
        return PLUS
    value = number(text) if literal else None
    return ANY if value is None else ZERO if value == 0 else MINUS if value < 0 else PLUS


def _result_sign(call: Call) -> int:
    """The signs of what a call returns."""
    if call.callee in KERNEL.words["option_test"] and call.args and show(call.args[0]) in KERNEL.never:
        return ZERO
    if call.callee in KERNEL.words["error_or_zero"]:
        return ZERO | MINUS
    return MINUS if call.callee in KERNEL.error_value else ANY


class ConditionTest:
    """A branch condition: the value that decides (`key`, as text), and the signs it has when the branch is taken
    (`yes`) and when not (`no`)."""

    __slots__ = ("key", "no", "value", "yes")

    def __init__(self, value: Expr, yes: int, no: int) -> None:
        self.value, self.yes, self.no = value, yes, no
        self.key = show(value)


_COMPARE = {
    "==": (ZERO, MINUS | PLUS),
    "!=": (MINUS | PLUS, ZERO),
    "<": (MINUS, ZERO | PLUS),
    ">=": (ZERO | PLUS, MINUS),
    ">": (PLUS, ZERO | MINUS),
    "<=": (ZERO | MINUS, PLUS),
}


def test(when: Expr) -> ConditionTest:
    """Read a condition: `!x`, `x == 0`, `IS_ERR(x)`, `x < 0`, ... down to the value that it stands on."""
    e = bare(when)
    match e:
        case OpExpr("!", (arg,)):
            inner = test(arg)
            return ConditionTest(inner.value, inner.no, inner.yes)
        case OpExpr("=", (left, _)):
            return test(left)
        case OpExpr(op, (left, right)) if op in _COMPARE:
            signs = sign(right)
            if signs == ZERO:
                inner_left = bare(left)
                if isinstance(inner_left, OpExpr) and inner_left.op == "=":
                    inner_left = inner_left.args[0]
                return ConditionTest(inner_left, *_COMPARE[op])
            if op == "!=":
                equal = OpExpr("==", (left, right))
                return ConditionTest(equal, ZERO, PLUS)
            return ConditionTest(OpExpr(op, (left, right)), PLUS, ZERO)
        case Call(callee, _, args) if args:
            if callee in KERNEL.error_test:
                return ConditionTest(bare(args[0]), MINUS, ZERO | PLUS)
            if callee in KERNEL.error_or_null_test:
                return ConditionTest(bare(args[0]), MINUS | ZERO, PLUS)
    return ConditionTest(e, MINUS | PLUS, ZERO)
