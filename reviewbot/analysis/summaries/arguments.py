"""The effects of a callee in the words of its caller: objects and gfp masks that it is handed."""

from __future__ import annotations

from functools import cached_property

from reviewbot.analysis.code import gfp
from reviewbot.analysis.code import identity as objects
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.producers.view import Made
from reviewbot.csource.ir import Expr
from reviewbot.kernel import KERNEL


class Arguments:
    """The arguments of a call, read when an effect names one."""

    def __init__(self, body: Body, made: Made) -> None:
        self._body, self._args = body, made.call.args

    @cached_property
    def _ids(self) -> tuple[str, ...]:
        return tuple(self._body.identity(a) for a in self._args)

    @cached_property
    def _types(self) -> tuple[str, ...]:
        return tuple(self._body.type(a).name for a in self._args)

    @cached_property
    def masks(self) -> tuple[tuple[str, ...], ...]:
        """Values of each as a gfp mask."""
        return tuple(gfp.masks(self._body, a) if _may_be_mask(self._body, a) else () for a in self._args)

    def bind(self, identity: str) -> str:
        """An object in the words of the caller."""
        if "$" not in identity and "@" not in identity:
            return identity
        return objects.bind(identity, self._ids, self._types)


def _may_be_mask(body: Body, arg: Expr) -> bool:
    name = body.type(arg).name
    return name in (*KERNEL.words["gfp_type"], "", "int", "unsigned", "unsigned int")


def details(detail: str, masks: tuple[tuple[str, ...], ...], inside: tuple[str, ...]) -> list[str]:
    """The gfp classes, or masks, that a callee's allocation has for the caller.

    masks: those of each argument. inside: memalloc scopes around the call.
    """
    if "$" not in detail:
        return [gfp.scoped(detail, inside) if detail in gfp.RANK else detail]
    out = []
    for mask in gfp.bind(detail, masks):
        klass = gfp.kind(mask)
        if klass:
            out.append(gfp.scoped(klass, inside))
        elif not mask.startswith(objects.UNKNOWN):
            out.append(gfp.within(mask, inside))
    return out
