"""Prints the intermediate form of functions readably: `python -m reviewbot.csource.show FILE [FUNCTION...]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from reviewbot.csource.ir import (
    AddressOf,
    Assign,
    Call,
    CallEvent,
    CastExpr,
    Const,
    Deref,
    Event,
    Expr,
    Field,
    FlowEdge,
    Function,
    IndexExpr,
    Jump,
    Name,
    OpExpr,
    Return,
    Type,
    Unknown,
)


def expression(expr: Expr | None) -> str:
    """An expression as C, more or less."""
    match expr:
        case Name(name):
            return name
        case Field(base, name, arrow):
            return f"{expression(base)}{'->' if arrow else '.'}{name}"
        case Deref(base):
            return f"*{expression(base)}"
        case AddressOf(base):
            return f"&{expression(base)}"
        case IndexExpr(base, index):
            return f"{expression(base)}[{expression(index)}]"
        case Const(text):
            return text
        case CastExpr(name, pointers, base, macro, member):
            if macro:
                return f"{macro}({expression(base)}, {name}, {member})"
            return f"({name}{' ' + '*' * pointers if pointers else ''}){expression(base)}"
        case Call(callee, target, args):
            return f"{callee or '(' + expression(target) + ')'}({', '.join(map(expression, args))})"
        case OpExpr("?:", (test, yes, no)):
            return f"({expression(test)} ? {expression(yes)} : {expression(no)})"
        case OpExpr(op, args):
            if len(args) == 2:
                return f"({expression(args[0])} {op} {expression(args[1])})"
            if len(args) == 1:
                return f"{op}{expression(args[0])}"
            return f"{op}({', '.join(map(expression, args))})" if args else op
        case Unknown(text):
            return f"<{text}>"
    return "-"


def event(event: Event) -> str:
    """An event on one line."""
    match event:
        case CallEvent(call, guard):
            return f"{guard + ' ' if guard else ''}{expression(call)}"
        case Assign(left, right, _, op):
            return f"{expression(left)} {op} {expression(right)}"
        case Return(value):
            return f"return {expression(value)}" if value is not None else "return"
        case Jump(label):
            return f"leave to {label}"


def way(edge: FlowEdge) -> str:
    """An edge on one line."""
    if edge.when is None:
        return f"-> {edge.to}"
    return f"-> {edge.to} {'if' if edge.taken else 'unless'} {expression(edge.when)}"


def type_name(kind: Type) -> str:
    """A type as C, more or less."""
    return f"{kind.name}{' ' + '*' * kind.pointers if kind.pointers else ''}{'[]' * kind.array}{'()' * kind.function}"


def function(function: Function) -> Iterator[str]:
    """A function: its head, then its blocks with their events and ways on."""
    words = [*function.attributes, *(["static"] if function.static else []), *(["macro"] if function.macro else [])]
    words += ["unreadable"] if function.unreadable else []
    parameters = ", ".join(f"{type_name(p.type)} {p.name}" for p in function.parameters)
    yield f"{function.line}-{function.end} {type_name(function.result)} {function.name}({parameters}) {' '.join(words)}"
    for kind, argument in function.annotations:
        yield f"  {kind} {argument}"
    for variable in function.locals:
        yield f"  local {type_name(variable.type)} {variable.name}{' static' if variable.static else ''}"
    if function.value is not None:
        yield f"  value {expression(function.value)}"
    for number, block in enumerate(function.blocks):
        yield f"  {number}:{' loop ' + block.loop if block.loop else ''} ({block.line})"
        for happens in block.events:
            line = happens.call.line if isinstance(happens, CallEvent) else happens.line
            yield f"    {line:5} {event(happens)}"
        for edge in block.edges:
            yield f"          {way(edge)}"


def main(arguments: list[str]) -> None:
    """Print the functions of a file, or those that are named."""
    from reviewbot.csource.lower import lower

    unit = lower(Path(arguments[0]).read_bytes())
    for found in unit.functions:
        if len(arguments) == 1 or found.name in arguments[1:]:
            print("\n".join(function(found)))


if __name__ == "__main__":
    main(sys.argv[1:])
