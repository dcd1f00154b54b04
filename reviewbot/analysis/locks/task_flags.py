"""Scopes over allocations that a task enters by its flags: `current->flags |= PF_MEMALLOC_NOIO`, and calls for several."""

from __future__ import annotations

from typing import NamedTuple

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import WORD, bare, show
from reviewbot.csource.ir import Assign, Call, CastExpr, Expr, OpExpr
from reviewbot.kernel import KERNEL
from reviewbot.kernel.schema import TaskFlag


class ScopeChange(NamedTuple):
    """Scopes that a statement enters and leaves; at most one of the two is not empty."""

    enters: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()


def assigned(body: Body, event: Assign) -> ScopeChange:
    """What an assignment to the flags of the running task does."""
    if not show(event.left).startswith("current->"):
        return ScopeChange()
    group = KERNEL.task_flags.get(body.identity(event.left))
    if group is None:
        return ScopeChange()
    named, cleared = _named(group, event.right), _cleared(group, event.right)
    match event.op:
        case "|=":
            return ScopeChange(enters=named)
        case "&=":
            return ScopeChange(leaves=cleared)
        case "=" if cleared:  # (current->flags & ~PF_X) | (saved & PF_X)
            return ScopeChange(leaves=cleared)
        case "=":
            return ScopeChange(enters=named) if named else ScopeChange(leaves=tuple(group.scopes.values()))
    return ScopeChange()


def called(call: Call) -> ScopeChange | None:
    """What a call does to the flags of the running task; None for one that has nothing to do with them."""
    group = KERNEL.task_flags.get(call.callee)
    if group is None or not call.args:
        return None
    if call.callee in group.set:
        return ScopeChange(enters=_named(group, call.args[0]))
    return ScopeChange(
        leaves=tuple(group.scopes.values()) if call.callee in group.restore else _named(group, call.args[-1])
    )


def _named(group: TaskFlag, flags: Expr) -> tuple[str, ...]:
    words = set(WORD.findall(show(flags)))
    return tuple(scope for flag, scope in group.scopes.items() if flag in words)


def _cleared(group: TaskFlag, value: Expr) -> tuple[str, ...]:
    """Flags that are masked out: `~PF_X`, anywhere in the value."""
    found: dict[str, None] = {}
    todo = [value]
    while todo:
        e = bare(todo.pop())
        if isinstance(e, OpExpr) and e.op == "~":
            found.update(dict.fromkeys(_named(group, e)))
        elif isinstance(e, OpExpr):
            todo += e.args
        elif isinstance(e, CastExpr):
            todo.append(e.base)
    return tuple(found)
