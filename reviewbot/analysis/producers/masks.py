"""Masks that are set now and take effect at later allocations: of a mapping, of a socket, of the cipher that is chosen."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.code import gfp
from reviewbot.analysis.code.expr import show
from reviewbot.analysis.events.kinds import Fact, Mask
from reviewbot.analysis.producers.view import View
from reviewbot.csource.ir import Assign, Expr, Field
from reviewbot.kernel import KERNEL, schema

_FIELDS = {field: group for group in KERNEL.api.mask for field in group.fields}


def facts(view: View) -> Iterator[Fact]:
    """Mask facts of one function."""
    for made, group in view.having(schema.MaskGroup):
        arg = view.arg(made.call, group.gfp)
        if arg is None:
            continue
        if group.flag:
            klass = "noio" if group.flag in show(arg) else "full"
            yield Mask(**view.site(made), of=group.of, object=view.result(made.call), klass=klass)
        else:
            kept = view.object(made.call, group.object)
            yield Mask(**view.site(made), of=group.of, object=kept, klass=_class(view, arg))
    for event in view.body.events():
        if isinstance(event, Assign) and event.op == "=" and isinstance(event.left, Field):
            field = view.body.field(event.left)
            if field in _FIELDS:
                at, of = view.place(event.line), _FIELDS[field].of
                klass = _class(view, event.right)
                yield Mask(function=view.name, at=at, call=field, of=of, object=field, klass=klass)


def _class(view: View, mask: Expr) -> str:
    """The class that the widest alternative comes to; a mask that was there before counts as unlimited."""
    found = {gfp.kind(text) or gfp.taken_from(text) for text in gfp.masks(view.body, mask)}
    return max(found, key=gfp.RANK.__getitem__)
