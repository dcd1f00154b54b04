"""Allocations, with what their masks can be and what scopes around them leave of it."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.code import gfp
from reviewbot.analysis.code.expr import parts
from reviewbot.analysis.code.identity import UNKNOWN
from reviewbot.analysis.events.kinds import Allocation, Fact
from reviewbot.analysis.locks.lockset_summary import At
from reviewbot.analysis.producers.view import View
from reviewbot.csource.ir import Call, Name
from reviewbot.kernel import schema


def facts(view: View) -> Iterator[Fact]:
    """Allocation facts of one function."""
    for made, effect in view.having(schema.AllocateGroup):
        given, implied = view.arg(made.call, effect.gfp) is not None, effect.flags or effect.default
        if not implied and not given:
            continue  # the call had a mask in another kernel version
        alternatives = mask(view, made.call, effect.gfp) if given else (implied,)
        if effect.flags:
            alternatives = tuple(effect.flags if a.startswith(UNKNOWN) else a for a in alternatives)
        if _narrowed(view, made.call, effect):
            alternatives = tuple(gfp.within(a, ("nofs",)) for a in alternatives)
        yield Allocation(**view.site(made), gfp=alternatives, classes=gfp.classes(alternatives, scopes(made.at)))


def _narrowed(view: View, call: Call, effect: schema.AllocateGroup) -> bool:
    """Whether another argument keeps filesystems out of what the mask allows."""
    arg = view.arg(call, effect.narrowed)
    return arg is not None and any(isinstance(part, Name) and part.name in effect.nofs for part in parts(arg))


def mask(view: View, call: Call, position: int | None) -> tuple[str, ...]:
    """The alternatives of the mask at an argument position."""
    arg = view.arg(call, position)
    return gfp.masks(view.body, arg) if arg is not None else (UNKNOWN,)


def scopes(at: At) -> tuple[str, ...]:
    """The memalloc scopes that are open on every path."""
    return tuple(h.lock for h in at.held if h.klass == "scope")
