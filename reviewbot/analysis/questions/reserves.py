"""Where a function takes elements of reserves, itself or through what it calls, and what happens to them.

An element that the function does not give back itself stays with the request until its I/O below is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from reviewbot.analysis.code import gfp
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.identity import known
from reviewbot.analysis.events.kinds import Give, Held, Take
from reviewbot.analysis.producers.view import Made, View
from reviewbot.analysis.questions.allocation_sites import resolved
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.kernel.schema import SubmitGroup
from reviewbot.limits import MAX_POINTER_TARGETS
from reviewbot.types import Place

if TYPE_CHECKING:
    from reviewbot.analysis.program.program import Program

WAITS = frozenset({"io", "submit", "flush"})
_USES = frozenset(name for client in KERNEL.api.client for name in client.uses)


class Drain(NamedTuple):
    """One place where an element of a reserve is taken. rank: how far reclaim may recurse for it (`gfp.RANK`); 0 never
    waits."""

    pool: str
    call: str
    at: Place
    rank: int
    held: tuple[Held, ...]
    maybe: tuple[Held, ...]
    block: int
    own: bool
    """Taken here, not in something that is called."""
    started: bool = False
    """The call that takes it starts I/O as well, whose end gives it back whatever the caller does next."""

    def under(self) -> frozenset[str]:
        """Locks that only one task can hold there, on some path at least."""
        return frozenset(h.lock for h in (*self.held, *self.maybe) if alone(h))


def alone(held: Held) -> bool:
    """Whether a lock lets one task at a time sleep with it: readers share theirs."""
    return held.klass in ("mutex", "rwsem", "sem") and held.mode != "r"


def drains(program: Program, key: FunctionKey) -> tuple[Drain, ...]:
    """The places where a function takes elements, itself or in a callee, in the order of the text."""
    if program.function(key).unreadable:
        return ()
    view = program.view(key)
    takes: dict[tuple[int, str], list[Take]] = {}
    for fact in program.own_facts(key):
        if isinstance(fact, Take):
            takes.setdefault((fact.at.line, fact.call), []).append(fact)
    found = []
    for made in view.made:
        own = takes.pop((made.call.line, made.call.callee), None)
        if own:
            kinds = [k for mask in own[0].gfp for k in resolved(program, key, mask)]
            found.append(_drain(own[0].pool, made, view, kinds, True))
        elif not made.effects:
            found += _through(program, view, made)
    return tuple(found)


def _drain(pool: str, made: Made, view: View, kinds: list[str], own: bool) -> Drain:
    rank = max((gfp.RANK[k] for k in kinds), default=-1)
    at = view.place(made.call.line)
    return Drain(pool, made.call.callee, at, rank, made.at.held, made.at.maybe, made.block, own)


def _through(program: Program, view: View, made: Made) -> Iterator[Drain]:
    targets = view.callgraph.reached(view.key, made.call)
    if not targets or len(targets) > MAX_POINTER_TARGETS or program.has_context(view.key, made.call):
        return
    ranks: dict[str, list[str]] = {}
    started = _starts_io(program, view, made)
    for target in targets:
        program.does(target)
        for effect, _, _ in program.effects.call(view, made, target):
            if effect.kind == "pool" and known(effect.object):
                kinds = {effect.detail} & gfp.RANK.keys() or resolved(program, view.key, effect.detail)
                ranks.setdefault(effect.object, []).extend(kinds)
    for pool, every in ranks.items():
        yield _drain(pool, made, view, every, False)._replace(started=started)


def kept(program: Program, key: FunctionKey, pool: str) -> bool:
    """True when an element that the function takes from `pool` is held over I/O: given back elsewhere, or only after
    I/O."""
    own = program.own_facts(key)
    takes = [f.at.line for f in own if isinstance(f, Take) and f.pool == pool]
    gives = [f.at.line for f in own if isinstance(f, Give) and f.pool == pool]
    if not takes or not gives or max(gives) < min(takes):
        return True
    between = range(min(takes), max(gives) + 1)
    view = program.view(key)
    return any(made.call.line in between and _starts_io(program, view, made) for made in view.made)


def _starts_io(program: Program, view: View, made: Made) -> bool:
    if made.call.callee in _USES or any(isinstance(effect, SubmitGroup) for effect in made.effects):
        return True
    targets = view.callgraph.reached(view.key, made.call)
    return any(effect.kind in WAITS for target in targets for effect in program.does(target))


def several(body: Body, first: Drain, second: Drain) -> bool:
    """True when one run of the function can take at the second place after the first; for one place given twice: when
    it can take there again."""
    if first.block == second.block and first.at.line < second.at.line:
        return True
    return second.block in body.onward[first.block]


__all__ = ["Drain", "alone", "drains", "kept", "several"]
