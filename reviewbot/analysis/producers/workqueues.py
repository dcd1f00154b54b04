"""Workqueues: their flags decide who runs what is queued on them when no kworker can be made."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewbot.analysis.code.expr import show
from reviewbot.analysis.events.kinds import Fact, Workqueue
from reviewbot.analysis.producers.view import View
from reviewbot.csource.ir import Expr
from reviewbot.kernel import KERNEL, schema

_FLAG = re.compile(rf"\b_*(?:{'|'.join(KERNEL.starts('wq_prefix'))})\w+")


def facts(view: View) -> Iterator[Fact]:
    """Workqueue facts of one function."""
    for made, effect in view.having(schema.WorkqueueGroup):
        active = view.arg(made.call, effect.max_active)
        yield Workqueue(
            **view.site(made),
            object=view.result(made.call),
            name=show(view.arg(made.call, effect.name)),
            flags=tuple(sorted({*effect.implied, *flags(view, view.arg(made.call, effect.flags))})),
            max_active="1" if effect.ordered else show(active),
            ordered=effect.ordered,
        )


def flags(view: View, expr: Expr | None) -> tuple[str, ...]:
    """Names of the flags that an expression may set: locals and macros are looked through."""
    if expr is None:
        return ()
    text = show(expr)
    found = set(_FLAG.findall(text))
    for word in re.findall(r"[A-Za-z_]\w*", text):
        for _, value in view.body.values.get(word, ()):
            found |= set(_FLAG.findall(show(value)))
        if word not in found and (define := view.body.names.define(word, view.body.file)):
            found |= set(_FLAG.findall(define))
    return tuple(sorted(found))
