"""Who waits for whom: what is waited for with a lock held, who would bring it, and the circles that a change closes.

The graph is never built as a whole. It begins at the functions that a change touched: each lock held there (by the
function or by its callers) at each place that waits is an edge `lock -> what is waited for`. From a new edge it goes on
to those who provide what is waited for (who takes the other lock, who wakes, the handler that is flushed, who keeps a
queue from freezing) and asks whether they want the lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import islice

import msgspec

from reviewbot.analysis.code.expr import show
from reviewbot.analysis.code.identity import known
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.detect import runs
from reviewbot.detect.edges import REAL, Actor, Circle, Edge, changed, edges, waits
from reviewbot.detect.instances import again, same_object, taker
from reviewbot.detect.leads import Dropped
from reviewbot.detect.levels import levels
from reviewbot.detect.providers import barred, chosen, lock_class, providers, wants
from reviewbot.detect.references import pinned
from reviewbot.detect.sure import HOLDS, doubtful, last_reference, named, way_in, ways_in
from reviewbot.detect.wrapped import replaced
from reviewbot.function_key import FunctionKey, file_of, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import (
    MAX_ALTERNATIVES,
    MAX_CALLS_TO_LOCK,
    MAX_CALLS_TO_UNENDED,
    MAX_CALLS_TO_WAIT,
    MAX_DOUBTFUL_EDGES,
    MAX_EDGES_OF_CHANGE,
    MAX_PROVIDERS,
    MAX_WAYS_IN,
)
from reviewbot.score import Doubt
from reviewbot.types import Cut

ONE_IS_ENOUGH = ("lock", "work", "workqueue", "timer", "thread", "irq", "attribute")
"""Kinds of cycles in which one of several providers is enough: a lock is held by one, a flush waits for each handler."""
PLAIN = ("mutex", "rwsem", "device")
"""Classes of locks for which tasks sleep and that protect something."""
UNENDED = "unended"
"""Kind of half a circle: nobody is seen to end the wait."""
SAME = ("the function had the same before", "the file had the same before", "the same was closed before")
"""Reasons for which an edge is not new."""
Pair = tuple[str, str, str, str]
"""What is held and what is waited for."""


def circles(before: Program, after: Program, names: Iterable[tuple[str, str]]) -> Iterator[Circle | Cut | Dropped]:
    """The circles through edges that the functions `names` (file, name) have after a change and had not before; between
    them, what was not looked at.

    An edge counts as old where the function had it, and as near, or where it is new but its pair was anywhere in the file
    already.
    """
    names = tuple(names)
    old = _OldEdges(before, names)
    seen: set[tuple[str, Pair]] = set()
    unsure: dict[tuple[str, Pair], Edge] = {}
    looked = 0
    for key in changed(after, names):
        if looked > MAX_EDGES_OF_CHANGE:
            yield Cut("hold-and-wait edges of a change", MAX_EDGES_OF_CHANGE, key)
            break
        if (cut := after.effects.cut(key)) is not None:
            yield cut
        for edge in providers(after).edges(key):
            if (edge.name, edge.pair) in seen:
                continue
            looked += 1
            told = replaced(before, after, edge)
            meant = way_in(after, edge) is not None if told else _meant(after, edge)
            if not told and old.has(after, edge, meant):
                yield Dropped(edge, SAME[0])
                continue
            if meant:
                seen.add((edge.name, edge.pair))
            if key not in before.names.functions and edge.pair in old.anywhere:
                yield Dropped(edge, SAME[1])
            elif told and meant:
                yield from map(_one, closings(after, edge))
            elif meant:
                yield from _through(before, after, edge, old)
            elif way_in(after, edge) is None:
                yield Dropped(edge, Doubt.RUN.says)
            else:
                unsure.setdefault((edge.name, edge.pair), edge)
    left = sorted((e for pair, e in unsure.items() if pair not in seen), key=lambda e: (len(e.down), len(e.chain)))
    for edge in left[:MAX_DOUBTFUL_EDGES]:
        yield from closings(after, edge)
    for edge in left[MAX_DOUBTFUL_EDGES:]:
        yield Dropped(edge, Doubt.DEPTH.says)


class _OldEdges:
    """The edges of the side before, to tell which of the side after are new."""

    def __init__(self, before: Program, names: Iterable[tuple[str, str]]) -> None:
        names = tuple(names)
        self._before, self._files = before, {file for file, _ in names}
        self._keys: dict[str, list[FunctionKey]] = {}
        for key in changed(before, names):
            self._keys.setdefault(name_of(key), []).append(key)
        self._of: dict[str, dict[Pair, list[Edge]]] = {}

    def has(self, after: Program, edge: Edge, meant: bool) -> bool:
        """Whether the function had such an edge: any for one that is not `meant`, else one that is, and as near; for one that
        takes the very lock that is held, one that does so, too."""
        before, was = self._before, self._like(edge)
        if was and not meant:
            return True
        if was and again(after, edge):
            was = [e for e in was if again(before, e)]
        return any(_meant(before, e) and _as_near(before, e, after, edge) for e in was)

    def _like(self, edge: Edge) -> list[Edge]:
        """The edges of the function of that name with the same pair."""
        if edge.name not in self._of:
            found = self._of[edge.name] = {}
            for old in (e for k in self._keys.get(edge.name, ()) for e in providers(self._before).edges(k)):
                found.setdefault(old.pair, []).append(old)
        return self._of[edge.name].get(edge.pair, [])

    @cached_property
    def anywhere(self) -> frozenset[Pair]:
        """The pairs of all functions of the files."""
        found = providers(self._before)
        return frozenset(e.pair for file in self._files for k in self._before.functions(file) for e in found.edges(k))


def _through(before: Program, after: Program, edge: Edge, old: _OldEdges) -> Iterator[Circle | Cut | Dropped]:
    """The circles that a new edge closes; of half a one, of which nobody is seen to end the wait, only where its pair is new
    in the file, and is no turned order."""
    for one in closings(after, edge):
        if isinstance(one, Circle) and one.kind == UNENDED:
            if edge.pair in old.anywhere:
                yield Dropped(edge, SAME[1])
                continue
            if _turned_round(before, edge):
                yield Dropped(edge, "the patch turns the order of the two round")
                continue
        yield one


def _one(found: Circle | Cut | Dropped) -> Circle | Cut | Dropped:
    """A circle of which the patch itself tells that it is about one instance."""
    return msgspec.structs.replace(found, one=True, doubts=()) if isinstance(found, Circle) else found


def _near(program: Program, edge: Edge) -> bool:
    """Whether the wait is not too many calls below. A lock that is proven to be the very one that is held is that one
    however far below it is taken."""
    if edge.effect.kind != "lock" or again(program, edge):
        return len(edge.down) <= MAX_CALLS_TO_WAIT
    return len(edge.down) <= _far(program, edge)


def _far(program: Program, edge: Edge) -> int:
    """How many calls below an edge's place the lock may be taken that it waits for."""
    return providers(program).far(edge.effect.object, _files(program, edge), [at.key for at in edge.down])


def _files(program: Program, edge: Edge) -> set[str]:
    """The files of the functions that have the lock of an edge."""
    return {file_of(key) for key in edge.chain[taker(program, edge) :]}


def _meant(program: Program, edge: Edge) -> bool:
    """Whether a run goes down an edge, and its lock can be the very instance that is meant: one that is taken many calls
    further down is another, unless the arguments prove that it is the same."""
    if way_in(program, edge) is None:
        return False
    far = edge.effect.kind != "lock" or _far(program, edge) == MAX_CALLS_TO_LOCK
    return far or _near(program, edge)


def _as_near(before: Program, old: Edge, after: Program, new: Edge) -> bool:
    """Whether an edge of before waits no further down than a new one may: what was taken many calls below, of whichever object,
    does not stand for what a function takes at once now."""
    return _near(before, old) or not _near(after, new)


def closings(program: Program, edge: Edge) -> Iterator[Circle | Cut | Dropped]:
    """The wait cycles that an edge closes, by its first way in one for each provider that may be the other half, see `close`;
    then by some other ways in: what is held on them decides which calls below can be."""
    first, *others = [*islice(ways_in(program, edge), MAX_WAYS_IN)] or [edge]
    found = [*_closings(program, first)]
    yield from found
    if any(isinstance(one, Circle) for one in found):
        for way in others:
            yield from islice((one for one in _closings(program, way) if isinstance(one, Circle)), 1)


def _closings(program: Program, edge: Edge) -> Iterator[Circle | Cut | Dropped]:
    """The wait cycles that one way into an edge closes. A task that waits for itself needs nobody above the function that
    takes the lock."""
    circle = close(program, edge)
    if isinstance(circle, Circle) and circle.kind == "self" and (above := taker(program, edge)):
        yield circle
        chain = edge.chain[above:]
        holder = msgspec.structs.replace(circle.holder, chain=chain, context=providers(program).context(chain[0]))
        yield msgspec.structs.replace(circle, holder=holder)
        return
    if not isinstance(circle, Circle) or not circle.providers or circle.kind not in ONE_IS_ENOUGH:
        yield circle
        return
    roots: set[tuple[FunctionKey, FunctionKey]] = set()
    for actor in (*circle.providers, *circle.others):
        if (actor.root, actor.chain[-1]) not in roots and len(roots) < MAX_ALTERNATIVES:
            roots.add((actor.root, actor.chain[-1]))
            one = msgspec.structs.replace(circle, providers=(actor,), others=())
            files = circle.kind == "attribute"  # of all that are removed the one that this provider is in
            yield msgspec.structs.replace(one, object=actor.flushed, wait_class="active") if files else one


def close(program: Program, edge: Edge) -> Circle | Cut | Dropped:
    """The wait cycle that an edge of `program` closes, unless somebody can end the wait without the lock, or it is
    too doubtful: then the edge is dropped, with the reason. A cut where too many would have to be asked.

    Where one provider is enough, it is the one that is fewest calls from the lock; `others` has the rest.
    """
    if edge.lock.klass in KERNEL.resources:
        return runs.closed(program, edge)
    edge = way_in(program, edge) or edge
    holder = edge.actor(providers(program).context(edge.chain[0]))
    deep = () if _near(program, edge) else (Doubt.DEPTH,)
    if edge.effect.kind == "lock" and edge.effect.object == edge.lock.lock:
        return _once_more(program, edge, holder, deep)
    if why := _other_instance(program, edge):
        return Dropped(edge, why)
    doubts = (*deep, *doubtful(program, edge))
    if Doubt.RUN in doubts:
        return Dropped(edge, Doubt.RUN.says)
    actors = tuple(a for a in providers(program).of(edge) if providers(program).related(edge, a))
    actors = tuple(a for a in actors if edge.effect.kind != "lock" or not pinned(program, edge, a))
    wanting, more = _wanting(program, edge, actors)
    if not wanting:
        return _open(program, edge, holder, actors, doubts)
    return _closed(program, edge, holder, wanting, (*doubts, *more))


def _once_more(program: Program, edge: Edge, holder: Actor, deep: tuple[Doubt, ...]) -> Circle | Dropped:
    """A lock that is waited for with one of that name held: the same one, as far as can be told."""
    if same_object(program, edge):
        return _again(program, edge, holder, deep)
    if edge.lock.lock in KERNEL.words["own_locks"]:
        return _again(program, edge, holder, (*deep, Doubt.OWN))
    if why := _other_instance(program, edge):
        return Dropped(edge, why)
    return _again(program, edge, holder, deep)


def _other_instance(program: Program, edge: Edge) -> str:
    """Why what is waited for is hardly that of the object whose lock is held; empty where nothing speaks for that."""
    lock, effect = edge.lock, edge.effect
    if effect.kind == "lock" and "*" in (lock.lock[:1], effect.object[:1]):
        return "a page, of whatever file"
    if effect.kind == "lock" and lock_class(program, effect.object) == "tree":
        return "a node, of whatever tree"
    if effect.detail in ("freeze", "dispatch") and (lock.klass, lock.mode) == ("queue", "w"):
        return "who has frozen a queue finds nobody inside: quiesced, or frozen once more"
    return ""


def _wanting(program: Program, edge: Edge, actors: Sequence[Actor]) -> tuple[list[Actor], tuple[Doubt, ...]]:
    """Those who can end the wait of an edge and want its lock, the nearest first, and what is doubtful of them."""
    lock, effect, found = edge.lock, edge.effect, providers(program)
    if effect.kind == "lock":
        files = _files(program, edge)
        near = [a for a in actors if len(a.down) <= found.far(lock.lock, files, a.down)]
        sure = [a for a in near if named(program, (*a.chain, *a.down), files)]
        free = [a for a in sure if not _by_last_reference(program, edge, a)]
        doubts = () if free else (Doubt.LAST if sure else Doubt.POINTER if near else Doubt.FAR_PROVIDER,)
        return sorted(free or sure or near or actors, key=lambda a: (len(a.down), len(a.chain))), doubts
    wanting = [a for a in actors if wants(program, a.root, lock.lock) and not pinned(program, edge, a)]
    if effect.detail == "thread":
        user = edge.chain[0]
        wanting = [
            a for a in wanting if not (chosen(program, a.root, lock.lock) or barred(program, a.root, lock.lock, user))
        ]
    others = effect.kind == "wait" and len(wanting) < len(actors)
    return wanting, (Doubt.OTHER_PROVIDER,) if others else ()


def _by_last_reference(program: Program, edge: Edge, actor: Actor) -> bool:
    """Whether who holds the lock that is waited for wants the other one with the last reference to an object only."""
    asks = partial(_asks_for, edge.lock.lock)
    back = edges(program, actor.chain[-1], asks, lock=edge.effect.object)
    return any(e.chain == actor.chain and e.place == actor.at and last_reference(program, e) for e in back)


def _open(
    program: Program, edge: Edge, holder: Actor, actors: Sequence[Actor], doubts: tuple[Doubt, ...]
) -> Circle | Dropped:
    """What is to be said of a wait that nobody ends who wants the lock: half a circle where nobody at all is seen to."""
    if actors:
        return Dropped(edge, "nobody who ends the wait wants the lock")
    if not _unended(program, edge):
        return Dropped(edge, "nobody is seen to end the wait")
    doubts = (*doubts, Doubt.UNSEEN, *[Doubt.BELOW] * len(edge.down))
    if edge.effect.kind == "lock" and program.names.own(edge.effect.object):
        doubts = (*doubts, Doubt.TAKERS)
    return _unfinished(program, edge, holder, UNENDED, doubts)


def _closed(
    program: Program, edge: Edge, holder: Actor, wanting: Sequence[Actor], doubts: tuple[Doubt, ...]
) -> Circle | Cut | Dropped:
    """The circle of an edge with those who can end its wait and want its lock."""
    lock, effect = edge.lock, edge.effect
    if effect.kind != "lock" and len(wanting) > MAX_PROVIDERS:
        return Cut("providers of what a function waits for", MAX_PROVIDERS, edge.chain[-1])
    actors = wanting if effect.kind == "wait" else wanting[:1]  # each of those who may wake, or one who has the lock
    writer = None
    if lock.mode == "r" and all(wants(program, a.root, lock.lock) <= {"r"} for a in actors):
        writer = providers(program).writer(lock.lock) if lock.klass in ("rwsem", "transaction") else None
        if lock.klass not in ("rwsem", "transaction") or (writer is None and lock.lock not in KERNEL.written):
            return Dropped(edge, "all of them read, and nobody writes")
    found = _unfinished(program, edge, holder, "lock" if effect.kind == "lock" else effect.detail, doubts)
    return msgspec.structs.replace(found, providers=tuple(actors), others=tuple(wanting[len(actors) :]), writer=writer)


def _unfinished(program: Program, edge: Edge, holder: Actor, kind: str, doubts: tuple[Doubt, ...]) -> Circle:
    """The half of a circle that its holder is."""
    lock, effect = edge.lock, edge.effect
    return Circle(
        kind=kind,
        lock=lock.lock,
        klass=lock.klass,
        mode=lock.mode,
        object=effect.object,
        detail=effect.detail,
        wait_class=lock_class(program, effect.object) if effect.kind == "lock" else "",
        holder=holder,
        providers=(),
        also=tuple((h.lock, h.klass) for h in edge.held if h.lock != lock.lock and h.klass in REAL),
        reads=edge.reads,
        ends=edge.down[-1] if edge.down else edge.place,
        doubts=doubts,
        levels=levels(program, edge),
    )


def _unended(program: Program, edge: Edge) -> bool:
    """Whether a wait for which nobody is seen is one that others have to end, not far below who holds the lock. A spinlock
    that nobody takes the other way round is a leaf of all orders, and there are many of them; what stops all I/O has an
    order of its own."""
    effect = edge.effect
    if not waits(effect) or not known(effect.object) or len(edge.down) > MAX_CALLS_TO_UNENDED:
        return False
    classes = [*edge.lock.klass.split("/")]
    if effect.kind == "lock":
        classes += lock_class(program, effect.object).split("/")
    return (
        effect.kind != "flush"
        and effect.detail not in ("freeze", "dispatch")
        and all(klass in PLAIN for klass in classes)
    )


def _turned_round(before: Program, edge: Edge) -> bool:
    """Whether somebody waited for what is held, with what is waited for held, on the side before."""
    held, other = edge.lock.lock, edge.effect.object
    keys = providers(before).holders.get(other, ())
    return any(True for key in keys for _ in edges(before, key, partial(_asks_for, held), lock=other))


def _asks_for(object_: str, effect: Effect) -> bool:
    return effect.kind in ("lock", "wait") and effect.object == object_


def _again(program: Program, edge: Edge, holder: Actor, deep: tuple[Doubt, ...]) -> Circle | Dropped:
    """A lock that is taken by who has it. A reader that comes again to the same semaphore is let in unless a writer came
    meanwhile."""
    lock, effect = edge.lock, edge.effect
    doubts = (*deep, *doubtful(program, edge))
    if Doubt.RUN in doubts:
        return Dropped(edge, Doubt.RUN.says)
    if lock.klass in ("sem", "queue") or lock.klass in KERNEL.latches:
        return Dropped(edge, "its owner may take it again")
    writer = None
    if lock.mode == effect.detail == "r":
        if lock.klass != "rwsem" or not same_object(program, edge):
            return Dropped(edge, "a reader that comes again is let in, or it is another object")
        writer = providers(program).writer(lock.lock)
        if writer is None and lock.lock not in KERNEL.changed:
            return Dropped(edge, "nobody writes")
    return Circle(
        kind="self",
        lock=lock.lock,
        klass=lock.klass,
        mode=lock.mode,
        object=lock.lock,
        detail=effect.detail,
        wait_class="",
        holder=holder,
        providers=(),
        writer=writer and msgspec.structs.replace(writer, chain=writer.chain[-1:]),
        also=tuple((h.lock, h.klass) for h in edge.held if h.lock != lock.lock and h.klass in REAL),
        ends=edge.down[-1] if edge.down else edge.place,
        doubts=doubts,
        taken_by=name_of(edge.chain[taker(program, edge)]),
    )


def unread(program: Program, key: FunctionKey) -> set[str]:
    """Names of the functions called that may change what is held and whose bodies are not at hand, calls through
    pointers among them."""
    body, found = program.body(key), set[str]()
    for call in body.calls:
        if program.callgraph.reached(key, call):
            continue
        direct = call.callee and call.callee not in body.locals
        if not direct or (call.callee not in KERNEL.effects and HOLDS.search(call.callee)):
            found.add(call.callee or show(call.target))
    return found


__all__ = [
    "Actor",
    "Circle",
    "Edge",
    "changed",
    "circles",
    "edges",
    "lock_class",
    "providers",
    "unread",
    "wants",
]
