"""Who waits for whom: what is waited for with a lock held, who would bring it, and the circles that a change closes.

The graph is never built as a whole. It begins at the functions that a change touched: each lock held there (by the
function or by its callers) at each place that waits is an edge `lock -> what is waited for`. From a new edge it goes on
to those who provide what is waited for (who takes the other lock, who wakes, the handler that is flushed, who keeps a
queue from freezing) and asks whether they want the lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec

from reviewbot.analysis.code.dominance import Dominance
from reviewbot.analysis.code.expr import show
from reviewbot.analysis.code.identity import known
from reviewbot.analysis.locks.flow import walk
from reviewbot.analysis.locks.lockset_summary import NAMES, left_by, with_names
from reviewbot.analysis.program.program import Program
from reviewbot.detect.edges import REAL, Actor, Circle, Edge, changed, edges
from reviewbot.detect.providers import barred, chosen, lock_class, providers, wants
from reviewbot.detect.sure import doubtful, one_run
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_ALTERNATIVES, MAX_CALLS_TO_LOCK, MAX_CALLS_TO_WAIT, MAX_PROVIDERS
from reviewbot.types import Cut, Place

HOLDS = KERNEL.pattern("holds")
"""Names of functions that take something or give it back."""
ONE_IS_ENOUGH = ("lock", "work", "workqueue", "timer", "thread", "irq")
"""Kinds of cycles in which one of several providers is enough: a lock is held by one, a flush waits for each handler."""
_WORD = re.compile(r"\w+")
Pair = tuple[str, str, str, str]
"""What is held and what is waited for."""


def circles(before: Program, after: Program, names: Iterable[tuple[str, str]]) -> Iterator[Circle | Cut]:
    """The circles through edges that the functions `names` (file, name) have after a change and had not before; between
    them, what was not looked at.

    An edge counts as old where the function had it, or where it is new but its pair was anywhere in the file already.
    """
    names = tuple(names)
    old: dict[str, list[FunctionKey]] = {}
    for key in changed(before, names):
        old.setdefault(name_of(key), []).append(key)
    there: dict[str, set[Pair]] = {}
    files = {file for file, _ in names}
    seen: set[tuple[str, Pair]] = set()
    had: set[Pair] | None = None
    for key in changed(after, names):
        if (cut := after.effects.cut(key)) is not None:
            yield cut
        for edge in providers(after).edges(key):
            if (edge.name, edge.pair) in seen or not _meant(after, edge):
                continue
            if edge.name not in there:
                of_name = (e for k in old.get(edge.name, ()) for e in providers(before).edges(k))
                there[edge.name] = {e.pair for e in of_name if _meant(before, e)}
            if edge.pair in there[edge.name]:
                continue
            seen.add((edge.name, edge.pair))
            if key not in before.names.functions:
                had = _pairs(before, files) if had is None else had
                if edge.pair in had:
                    continue
            yield from closings(after, edge)


def _meant(program: Program, edge: Edge) -> bool:
    """Whether a run goes down an edge, and its lock can be the very instance that is meant: one that is taken many calls
    further down is another."""
    far = providers(program).far(edge.effect.object)
    near = edge.effect.kind != "lock" or far == MAX_CALLS_TO_LOCK or len(edge.down) <= far
    return near and one_run(program, edge)


def _pairs(program: Program, files: set[str]) -> set[Pair]:
    return {e.pair for file in files for k in program.functions(file) for e in providers(program).edges(k)}


def closings(program: Program, edge: Edge) -> Iterator[Circle | Cut]:
    """The wait cycles that an edge closes, one for each provider that may be the other half; see `close`."""
    circle = close(program, edge)
    if not isinstance(circle, Circle) or not circle.providers or circle.kind not in ONE_IS_ENOUGH:
        if circle is not None:
            yield circle
        return
    roots: set[tuple[FunctionKey, FunctionKey]] = set()
    for actor in (*circle.providers, *circle.others):
        if (actor.root, actor.chain[-1]) not in roots and len(roots) < MAX_ALTERNATIVES:
            roots.add((actor.root, actor.chain[-1]))
            yield msgspec.structs.replace(circle, providers=(actor,), others=())


def close(program: Program, edge: Edge) -> Circle | Cut | None:
    """The wait cycle that an edge of `program` closes; None where somebody can end the wait without the lock, or where it
    is too doubtful: each `return None` is one such reason. A cut where too many would have to be asked.

    Where one provider is enough, it is the one that is fewest calls from the lock; `others` has the rest.
    """
    found = providers(program)
    lock, effect = edge.lock, edge.effect
    holder = edge.actor(found.context(edge.chain[0]))
    if effect.kind == "lock" and "*" in (lock.lock[:1], effect.object[:1]):
        return None  # a page, of whatever file
    if effect.kind == "lock" and lock_class(program, effect.object) == "tree":
        return None  # a node, of whatever tree
    if len(edge.down) > (found.far(effect.object) if effect.kind == "lock" else MAX_CALLS_TO_WAIT):
        return None
    if effect.kind == "lock" and effect.object == lock.lock:
        return _again(edge, holder) if not doubtful(program, edge) else None
    if (effect.detail, lock.klass, lock.mode) == ("freeze", "queue", "w"):
        return None  # who has frozen a queue finds nobody inside: quiesced, or frozen once more
    if doubtful(program, edge):
        return None
    actors = tuple(a for a in found.of(edge) if found.related(edge, a))
    if effect.kind == "lock":
        near = [a for a in actors if len(a.down) <= found.far(lock.lock)]
        wanting = sorted(near, key=lambda a: (len(a.down), len(a.chain)))
    else:
        wanting = [a for a in actors if wants(program, a.root, lock.lock)]
    if effect.detail == "thread":
        user = edge.chain[0]
        wanting = [
            a for a in wanting if not (chosen(program, a.root, lock.lock) or barred(program, a.root, lock.lock, user))
        ]
    every = effect.kind == "wait"
    if not wanting or (every and len(wanting) < len(actors)):
        return None
    if effect.kind != "lock" and len(wanting) > MAX_PROVIDERS:
        return Cut("providers of what a function waits for", MAX_PROVIDERS, edge.chain[-1])
    others = () if every else tuple(wanting[1:])
    actors = tuple(actors) if every else (wanting[0],)
    writer = None
    if lock.mode == "r" and all(wants(program, a.root, lock.lock) <= {"r"} for a in actors):
        if lock.klass not in ("rwsem", "transaction"):
            return None
        writer = found.writer(lock.lock)
        if writer is None and lock.lock not in KERNEL.written:
            return None
    return Circle(
        kind="lock" if effect.kind == "lock" else effect.detail,
        lock=lock.lock,
        klass=lock.klass,
        mode=lock.mode,
        object=effect.object,
        detail=effect.detail,
        wait_class=lock_class(program, effect.object) if effect.kind == "lock" else "",
        holder=holder,
        providers=actors,
        others=others,
        writer=writer,
        also=tuple((h.lock, h.klass) for h in edge.held if h.lock != lock.lock and h.klass in REAL),
        reads=edge.reads,
        ends=edge.down[-1] if edge.down else edge.place,
    )


def _again(edge: Edge, holder: Actor) -> Circle | None:
    """A lock that is taken by who has it; readers that meet again are let in."""
    lock, effect = edge.lock, edge.effect
    if lock.mode == effect.detail == "r" or lock.klass in ("sem", "queue") or lock.klass in KERNEL.latches:
        return None
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
        also=tuple((h.lock, h.klass) for h in edge.held if h.lock != lock.lock and h.klass in REAL),
        ends=edge.down[-1] if edge.down else edge.place,
    )


def kept(before: Program, after: Program, names: Iterable[tuple[str, str]]) -> Iterator[tuple[Circle, str]]:
    """Locks that a function of `names` (file, name) leaves held since the change, each with the function's key; the
    detail of the circle names the results for which it does.

    Paths are walked twice, with conditions correlated and one by one: the first misses locks that were taken under a
    changed condition, the second sees paths that no run takes. What is new in either is looked into.
    """
    for key in changed(after, names):
        if key not in before.names.functions or after.function(key).macro or after.function(key).unreadable:
            continue
        locks = after.locksets.record(key)
        if not (locks.at or locks.left) or unread(after, key) - unread(before, key):
            continue
        found: dict[str, tuple[str, str, frozenset[str]]] = {}
        for correlate in (True, False):
            had = _leaves(before, key, correlate)
            for lock, (klass, mode, results) in _leaves(after, key, correlate).items():
                if not correlate and lock in had:
                    continue  # taken and given back under one condition, which single ones do not see
                found.setdefault(lock, (klass, mode, frozenset()))
                found[lock] = (klass, mode, found[lock][2] | (results - had.get(lock, ("", "", frozenset()))[2]))
        for lock, (klass, mode, new) in found.items():
            if (
                not new
                or klass.split("/")[0] not in REAL - {"sem", "queue", "transaction"} - KERNEL.latches
                or not known(lock)
            ):
                continue
            if _hands_out(after, key, lock) or _where_there(after, key, lock) or _under_one(after, key, lock):
                continue
            writer = providers(after).writer(lock) if mode == "r" else None
            if mode == "r" and writer is None and lock not in KERNEL.written:
                continue
            yield (_left(after, key, lock, klass, mode, new, writer), key)


def _where_there(program: Program, key: FunctionKey, lock: str) -> bool:
    """Whether a function gives a lock back where its object is there at all: `if (x) unlock(x)` says nothing of when."""
    plan, calls = program.locksets.plan(key), program.body(key).calls
    giving = [n for n, changes in plan.changes.items() if any(t.lock == lock for c in changes for t in c.drops)]
    objects = {show(arg) for n in giving for arg in calls[n].args}
    tested = {plan.test(edge.when).key for block in plan.blocks for edge in block.edges if edge.when is not None}
    return bool(objects & tested)


def _under_one(program: Program, key: FunctionKey, lock: str) -> bool:
    """Whether a lock is taken under a condition that is asked again where it is given back: `if (!locked) unlock(x)`."""
    plan = program.locksets.plan(key)
    takes, drops = list[int](), list[int]()
    for number, block in enumerate(plan.blocks):
        calls = (plan.number[id(event)] for event in block.events if id(event) in plan.number)
        for change in (c for n in calls for c in plan.changes.get(n, ())):
            takes += [number for token in change.takes if token.lock == lock]
            drops += [number for token in change.drops if token.lock == lock]
    return bool(takes) and Dominance(plan.blocks).asked_again(takes, drops)


def _hands_out(program: Program, key: FunctionKey, lock: str) -> bool:
    """Whether a function says of itself that it returns with a lock held: __acquires(&x->lock)."""
    said = [text for kind, text in program.function(key).annotations if kind == "acquires"]
    return any(_WORD.findall(text)[-1:] == _WORD.findall(lock)[-1:] for text in said)


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


def _left(
    program: Program, key: FunctionKey, lock: str, klass: str, mode: str, results: frozenset[str], writer: Actor | None
) -> Circle:
    """One lock left held, on the way in that has it where one has."""
    ways = [way for way in program.entry(key) if lock in way.locks()] or list(program.entry(key))
    chain = _concerned(program, min((way.chain for way in ways), key=len), lock)
    return Circle(
        kind="kept",
        lock=lock,
        klass=klass,
        mode=mode,
        object=lock,
        detail=", ".join(sorted(results)),
        wait_class="",
        holder=Actor(
            chain=chain,
            context=providers(program).context(chain[0]),
            at=Place(program.names.file[key], program.function(key).line, program.function(key).name),
        ),
        providers=(),
        writer=writer and msgspec.structs.replace(writer, chain=writer.chain[-1:]),
    )


def _concerned(program: Program, chain: tuple[FunctionKey, ...], lock: str) -> tuple[FunctionKey, ...]:
    """The end of a chain of calls, from the outermost function on that does something to a lock."""
    for number, (key, below) in enumerate(pairwise(chain)):
        plan, calls = program.locksets.plan(key), program.body(key).calls
        for index, changes in plan.changes.items():
            does = {t.lock for change in changes for t in (*change.takes, *change.drops)}
            if lock in does and calls[index].callee != name_of(below):
                return chain[number:]
    return chain[-1:]


def _leaves(program: Program, key: FunctionKey, correlate: bool) -> dict[str, tuple[str, str, frozenset[str]]]:
    """Lock -> class, mode and classes of result with which some return leaves it held (or a caller's not given back).

    correlate: whether conditions agree with each other; what was tested before a lock was taken may have changed since.
    """
    out: dict[str, tuple[str, str, frozenset[str]]] = {}
    paths = walk(program.locksets.plan(key), {}, correlate=correlate)
    left = () if paths.cut else with_names(left_by(paths.exits))
    dropped = {t.lock: t for x in left for t in x.drops}
    for x in left:
        result = NAMES.get(x.result, "")
        tokens = [t for t in x.takes if t.mine]
        if x.agreed:
            tokens += [t for lock, t in dropped.items() if lock not in {d.lock for d in x.drops}]
        else:
            tokens += x.drops
        for t in tokens:
            _, _, results = out.get(t.lock, ("", "", frozenset()))
            out[t.lock] = (t.klass, t.mode, results | {result})
    return out


__all__ = [
    "Actor",
    "Circle",
    "Edge",
    "changed",
    "circles",
    "edges",
    "kept",
    "lock_class",
    "providers",
    "unread",
    "wants",
]
