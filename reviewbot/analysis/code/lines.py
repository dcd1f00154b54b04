"""Questions to a function's text that facts do not answer: where a field is read, whether an object is set, which lists
of an array are joined."""

from __future__ import annotations

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import bare, parts, show
from reviewbot.csource.ir import Assign, CallEvent, Expr, Field


def reads(body: Body, object: str) -> tuple[int, ...]:
    """Numbers of the lines that read a field (`struct.member`): assigned from, handed to a call, tested."""
    found = []
    for block in body.function.blocks:
        for event in block.events:
            if isinstance(event, Assign) and _mentions(body, event.right, object):
                found.append(event.line)
            elif isinstance(event, CallEvent) and any(_mentions(body, a, object) for a in event.call.args):
                found.append(event.call.line)
        if any(edge.when is not None and _mentions(body, edge.when, object) for edge in block.edges):
            found.append(block.line)
    return tuple(found)


def _mentions(body: Body, expr: Expr, object: str) -> bool:
    return any(isinstance(part, Field) and body.identity(part) == object for part in parts(expr))


def sets(body: Body, object: str) -> bool:
    """True when the function itself assigns to the object with this identity."""
    return any(isinstance(e, Assign) and body.identity(e.left) == object for e in body.events())


def assigned(body: Body, word: str) -> tuple[int, ...]:
    """Numbers of the lines that assign something in whose text `word` occurs."""
    return tuple(e.line for e in body.events() if isinstance(e, Assign) and word in show(e.right))


def appended(body: Body, callee: str) -> dict[tuple[str, str], int]:
    """(first, second argument) -> line of the calls whose first two arguments are elements of one array."""
    found = {}
    for call in body.calls:
        if call.callee == callee and len(call.args) > 1:
            first, second = (show(bare(a)).lstrip("&").replace(" ", "") for a in call.args[:2])
            if first.partition("[")[0] == second.partition("[")[0] and "[" in first and "[" in second:
                found[first, second] = call.line
    return found
