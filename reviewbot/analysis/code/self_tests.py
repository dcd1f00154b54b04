"""Conditions that compare what code runs in with an object: `current_work() == &d->work`."""

from __future__ import annotations

from collections.abc import Collection

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import bare
from reviewbot.csource.ir import Call, Expr, Name, OpExpr


def compared(body: Body, when: Expr, aware: Collection[str]) -> str:
    """The object with which a condition of a function compares what one of the calls or variables `aware` says that it
    runs in; empty where it is no such comparison."""
    e = bare(when)
    if not isinstance(e, OpExpr) or e.op not in ("==", "!=") or len(e.args) != 2:
        return ""
    for mine, other in (e.args, e.args[::-1]):
        one = bare(mine)
        name = one.callee if isinstance(one, Call) else one.name if isinstance(one, Name) else ""
        if name in aware:
            return body.identity(bare(other))
    return ""
