"""Reserves: who makes them with how many elements, who takes and gives elements back, which request names which."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.code import gfp
from reviewbot.analysis.code.expr import show
from reviewbot.analysis.events.kinds import Fact, Give, Link, Reserve, Take
from reviewbot.analysis.producers.allocations import mask, scopes
from reviewbot.analysis.producers.view import View
from reviewbot.csource.ir import Assign, Field
from reviewbot.kernel import KERNEL

SERVED = frozenset({c.klass for c in KERNEL.api.client} | set(KERNEL.words["serving_types"]))
"""Types of what serves a request: a field of such a type, set in a function, says who serves it."""


def facts(view: View) -> Iterator[Fact]:
    """Take, Give, Reserve and Link facts of one function."""
    for made, effect in view.pools():
        group = effect.group
        pool = view.object(made.call, group.pool, group.object)
        if effect.does == "make" and group.result:
            pool = view.result(made.call)
        site = view.site(made)
        if effect.does == "take":
            alternatives = mask(view, made.call, group.gfp) if group.gfp is not None else (group.default or "0",)
            classes = gfp.classes(alternatives, scopes(made.at))
            yield Take(**site, pool=pool, what=group.what, gfp=alternatives, classes=classes)
        elif effect.does == "give":
            yield Give(**site, pool=pool, what=group.what)
        elif effect.does == "drop":
            yield Reserve(**site, pool=pool, what=group.what, drop=True)
        else:
            count = view.arg(made.call, group.count)
            text = show(count)
            flags = view.arg(made.call, group.flags)
            yield Reserve(
                **site,
                pool=pool,
                what=group.what,
                count=text,
                number=view.body.names.value(text, view.body.file),
                flags=show(flags),
            )
    yield from _callgraph(view)


def _callgraph(view: View) -> Iterator[Fact]:
    for event in view.body.events():
        if isinstance(event, Assign) and event.op == "=" and isinstance(event.left, Field):
            kind = view.body.type(event.left)
            if kind.pointers == 1 and kind.name in SERVED:
                slot, served = view.body.field(event.left), view.body.identity(event.right)
                if slot and not served.startswith(("?", "*")) and served not in ("NULL", slot) and "()" not in served:
                    yield Link(function=view.name, at=view.place(event.line), slot=slot, object=served)
