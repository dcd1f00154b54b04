"""Functions and macros that do nothing but say where something is: `file_inode(file)`, `HFSPLUS_I(inode)`.

What such a call gives is written as well without it, so that two ways to name one object can be told to be one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from reviewbot.csource.ir import (
    AddressOf,
    Block,
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
    Return,
)


def place_given(parameters: Collection[str], blocks: Sequence[Block]) -> Expr | None:
    """The place that a function returns, where finding it is all that it does; None for any other function.

    parameters: their names; blocks: those of the function.
    """
    if len(blocks) != 1 or blocks[0].edges:
        return None
    match blocks[0].events:
        case (*before, Return(value)) if value is not None and is_place(value, parameters):
            made = [*_calls(value)]  # those of the value come before the return, and nothing else may
            return value if all(isinstance(event, CallEvent) and event.call in made for event in before) else None
    return None


def is_place(expr: Expr, parameters: Collection[str]) -> bool:
    """Whether an expression is a place that is found from some parameters and nothing else, and not one of them as it is."""
    return not isinstance(expr, Name) and _found_from(expr, parameters)


def _found_from(expr: Expr, parameters: Collection[str]) -> bool:
    match expr:
        case Name(name):
            return name in parameters
        case Field(base) | Deref(base) | AddressOf(base) | CastExpr(_, _, base):
            return _found_from(base, parameters)
        case IndexExpr(base, index):
            return _found_from(base, parameters) and _counted_from(index, parameters)
        case Call(callee, _, args):
            return bool(callee and args) and all(_found_from(arg, parameters) for arg in args)
    return False


def _calls(place: Expr) -> Iterator[Call]:
    match place:
        case Field(base) | Deref(base) | AddressOf(base) | CastExpr(_, _, base):
            yield from _calls(base)
        case IndexExpr(base, index):
            yield from (*_calls(base), *_calls(index))
        case OpExpr(_, args):
            yield from (call for arg in args for call in _calls(arg))
        case Call(_, _, args):
            yield place
            yield from (call for arg in args for call in _calls(arg))


def _counted_from(expr: Expr, parameters: Collection[str]) -> bool:
    match expr:
        case Const():
            return True
        case OpExpr(_, args):
            return all(_counted_from(arg, parameters) for arg in args)
    return _found_from(expr, parameters)


def put_in(expr: Expr, given: dict[str, Expr]) -> Expr:
    """A place with other expressions in the place of its parameters."""
    match expr:
        case Name(name):
            return given.get(name, expr)
        case Field(base, name, arrow):
            return Field(put_in(base, given), name, arrow)
        case Deref(base):
            return Deref(put_in(base, given))
        case AddressOf(base):
            return AddressOf(put_in(base, given))
        case CastExpr(type_, pointers, base, macro, member):
            return CastExpr(type_, pointers, put_in(base, given), macro, member)
        case IndexExpr(base, index):
            return IndexExpr(put_in(base, given), put_in(index, given))
        case Call(callee, target, args, line, text):
            return Call(callee, target, tuple(put_in(arg, given) for arg in args), line, text)
        case OpExpr(op, args):
            return OpExpr(op, tuple(put_in(arg, given) for arg in args))
    return expr
