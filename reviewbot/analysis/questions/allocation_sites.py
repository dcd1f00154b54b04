"""Where a function asks for memory, itself or through what it calls, and how far reclaim may go for it there.

What counts is the class that is left within the memalloc scopes around: `full` may enter filesystems and wait for I/O,
`nofs` may wait for I/O, `noio` waits for neither, `nowait` and `atomic` fail instead of waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from reviewbot.analysis.code import gfp
from reviewbot.analysis.code.memo import Given
from reviewbot.analysis.events.kinds import Allocation, Held, Take
from reviewbot.analysis.producers.allocations import scopes
from reviewbot.analysis.producers.view import Made, View
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.function_key import NO_FUNCTION, FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_CALLERS_OF_MASK, MAX_POINTER_TARGETS
from reviewbot.types import Place

if TYPE_CHECKING:
    from reviewbot.analysis.program.program import Program


class AllocationSite(NamedTuple):
    """One place in a function where memory is asked for."""

    call: str
    """The call of the kernel's API, or the function that asks in turn."""
    at: Place
    gfp: str
    """The mask that reaches furthest, as written; empty when it is somewhere below the call."""
    klass: str
    """What it comes to within the scopes; empty when that is not known."""
    raw: str
    """What it would come to without the scopes."""
    scopes: tuple[str, ...]
    held: tuple[Held, ...]
    maybe: tuple[Held, ...]
    dropped: tuple[str, ...]
    effect: Effect | None = None
    """For a call of a function at hand: the effect by which it asks, in that function's terms."""
    target: FunctionKey = NO_FUNCTION
    guessed: bool = False
    """A call through an operations table whose functions are not at hand: it may ask for anything."""
    handed: str = ""
    """The mask in the function's own terms (`$2&~__GFP_FS`), where its callers hand it in."""
    given: Given = ()
    """Constants of the call by which the target chooses how it asks."""

    @property
    def rank(self) -> int:
        """How far reclaim may go: see `gfp.RANK`; -1 when that is not known."""
        return gfp.RANK.get(self.klass, -1)


def spoken_call(call: str) -> str:
    """A call as a sentence has it: `kmalloc()`, or `->write_info()` of one through a slot of an operations table."""
    return f"->{call.rpartition('.')[2]}()" if "." in call else f"{call}()"


def asks(program: Program, key: FunctionKey) -> tuple[AllocationSite, ...]:
    """The places of a function that ask for memory, in the order of the text; none of one that is not there."""
    if key not in program.names.functions or program.function(key).unreadable:
        return ()
    view = program.view(key)
    own: dict[tuple[int, str], list[Allocation | Take]] = {}
    for fact in program.own_facts(key):
        if isinstance(fact, Allocation | Take):
            own.setdefault((fact.at.line, fact.call), []).append(fact)
    found = []
    for made in view.made:
        facts = own.pop((made.call.line, made.call.callee), None)
        if facts:
            found.append(_own(program, key, facts[0]))
        elif not made.effects and (ask := _through(program, view, made)):
            found.append(ask)
    return tuple(found)


def which(found: Iterable[AllocationSite], ask: AllocationSite) -> str:
    """The number of an allocation site among those with the same call, as text: which it is, and of how many. For
    `nth`."""
    places = [a.at for a in found if a.call == ask.call]
    return f"{places.index(ask.at)} of {len(places)}"


def nth(found: Iterable[AllocationSite], call: str, which: str) -> AllocationSite | None:
    """The allocation site that `which` numbered. Where there are more or fewer sites with that call now, the one with
    the widest mask; None without any."""
    named = [a for a in found if a.call == call]
    number, of = map(int, which.split(" of "))
    return named[number] if len(named) == of else max(named, key=lambda a: a.rank, default=None)


def weaker(
    before: Iterable[AllocationSite], after: Iterable[AllocationSite]
) -> Iterator[tuple[AllocationSite, AllocationSite]]:
    """Pairs of the same call in two versions of a function, where reclaim may go further in the second one.

    What only callers hand in otherwise is no change of the function: it is one of theirs. What was known and can only
    be guessed now has not become weaker.
    """
    old, new = _named(before), _named(after)
    for call, places in new.items():
        was = old.get(call, [])
        if len(was) == len(places):
            pairs = [(a, b) for a, b in zip(was, places, strict=True) if not _otherwise(a, b)]
            yield from ((a, b) for a, b in pairs if -1 < a.rank < b.rank and not _alike(a, b))
            continue
        # calls came or went: only one that reaches further than every one before is surely another
        most = max((a.rank for a in was), default=-1)
        if most >= 0:
            first = max(was, key=lambda a: a.rank)
            rest = [b for b in places if b.rank > most and not _otherwise(first, b)]
            yield from ((first, b) for b in rest if not any(_alike(a, b) for a in was))


def as_far(sites: Iterable[AllocationSite], ask: AllocationSite, lock: str = "") -> bool:
    """Whether one of some allocation sites, by a call of its own, lets reclaim go as far as another one does, with the lock
    held if one is named: then the other one changes nothing for those who wait for their function."""
    own = (s for s in sites if not s.guessed and not s.target and s.rank >= ask.rank)
    return any(not lock or lock in {held.lock for held in s.held} for s in own)


def uncalled(program: Program, key: FunctionKey, sites: Iterable[AllocationSite]) -> Iterator[AllocationSite]:
    """Those of some allocation sites whose call a function does not have in a program, by whatever name it had then."""
    calls = program.body(key).calls if key in program.names.functions else ()
    had = {KERNEL.older.get(call.callee, call.callee) for call in calls}
    return (site for site in sites if KERNEL.older.get(site.call, site.call) not in had)


def _alike(one: AllocationSite, other: AllocationSite) -> bool:
    """Whether both do the same with the mask of their callers."""
    return bool(one.handed) and (one.handed, one.scopes) == (other.handed, other.scopes)


def _otherwise(one: AllocationSite, other: AllocationSite) -> bool:
    """Whether no change of the call says that it asks for more: it can only be guessed now, or what is called asks."""
    below = other.effect is not None and other.effect.detail in gfp.RANK and one.effect != other.effect
    below = below and one.given == other.given
    return (other.guessed and not one.guessed) or (below and one.scopes == other.scopes)


def _named(found: Iterable[AllocationSite]) -> dict[str, list[AllocationSite]]:
    named: dict[str, list[AllocationSite]] = {}
    for ask in found:
        named.setdefault(KERNEL.older.get(ask.call, ask.call), []).append(ask)
    return named


def _own(program: Program, key: FunctionKey, fact: Allocation | Take) -> AllocationSite:
    inside = tuple(h.lock for h in fact.held if h.klass == "scope")
    reach = [(mask, kind) for mask in fact.gfp for kind in resolved(program, key, mask)]
    mask, raw = max(reach, key=lambda x: gfp.RANK[x[1]], default=("", ""))
    klass = gfp.scoped(raw, inside) if raw else ""
    site = (inside, fact.held, fact.maybe, fact.dropped)
    handed = mask if "$" in mask else ""
    return AllocationSite(fact.call, fact.at, "" if handed else mask, klass, raw, *site, handed=handed)


def resolved(program: Program, key: FunctionKey, mask: str, deep: int = MAX_CALLERS_OF_MASK) -> frozenset[str]:
    """Classes that a mask comes to; where callers hand it in, what those that are at hand say."""
    if kind := gfp.kind(mask):
        return frozenset({kind})
    symbol = gfp.parse(mask).symbol
    if not symbol.startswith("$") or not deep:
        return frozenset()
    found: set[str] = set()
    name, position = program.function(key).name, int(symbol[1:])
    for caller in program.callers(key):
        body = program.body(caller)
        for call in body.calls:
            if call.callee == name and position < len(call.args):
                masks = gfp.masks(body, call.args[position])
                given = ((),) * position + (masks,)
                for bound in gfp.bind(mask, given):
                    found |= resolved(program, caller, bound, deep - 1)
    return frozenset(found)


def _through(program: Program, view: View, made: Made) -> AllocationSite | None:
    call = made.call
    targets = view.callgraph.reached(view.key, call)
    inside = scopes(made.at)
    site = (inside, made.at.held, made.at.maybe, made.at.dropped)
    name = call.callee or (view.callgraph.through(view.key, call) or "")
    name = name if isinstance(name, str) else ""
    most: tuple[int, str, str, Effect, FunctionKey, str] | None = None
    if len(targets) <= MAX_POINTER_TARGETS and not program.has_context(view.key, call):
        for target in targets:
            program.does(target)
            for effect, inner, _ in program.effects.call(view, made, target):
                if effect.kind != "memory":
                    continue
                known = {effect.detail} & gfp.RANK.keys()
                for kind in sorted(known or resolved(program, view.key, effect.detail)):
                    raw = _unscoped(program, view, made, inner.detail) or kind
                    if most is None or (gfp.RANK[kind], gfp.RANK[raw]) > (most[0], gfp.RANK[most[2]]):
                        most = (gfp.RANK[kind], kind, raw, inner, target, "" if known else effect.detail)
    if most is not None:
        given = program.effects.given(view, made, most[4])
        at = view.place(call.line)
        return AllocationSite(name, at, "", most[1], most[2], *site, most[3], most[4], handed=most[5], given=given)
    pointer = not call.callee or call.callee in view.body.locals
    if pointer and "." in name:
        return AllocationSite(name, view.place(call.line), "", gfp.scoped("full", inside), "full", *site, guessed=True)
    return None


def _unscoped(program: Program, view: View, made: Made, inner: str) -> str:
    """What an effect is without the scopes around the call, from its mask in the callee's terms; empty if not known."""
    if inner in gfp.RANK:
        return inner
    masks = tuple(gfp.masks(view.body, arg) for arg in made.call.args)
    kinds = {kind for bound in gfp.bind(inner, masks) for kind in resolved(program, view.key, bound)}
    return max(kinds, key=gfp.RANK.__getitem__, default="")


__all__ = ["AllocationSite", "asks", "nth", "resolved", "weaker", "which"]
