"""Wait cycles that close on the side of who ends a wait: a change makes a provider take a lock, take it before it wakes, or
no longer wake, and somebody else has held that lock over the wait all along; or wait for a handler that sleeps until then.

`reviewbot.detect.waitfor` begins at hold-and-wait edges that are new. Here the edge is old, and that it closes is new.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

from reviewbot.analysis.events.kinds import Flush, Lock, Queue, Site, Wait, Wake
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.detect.changed import GONE, GUARD, MOVED, NEW, OTHER, Changed
from reviewbot.detect.edges import Circle, Edge, edges, waits
from reviewbot.detect.leads import Dropped
from reviewbot.detect.providers import providers
from reviewbot.detect.resources import resources
from reviewbot.detect.waitfor import SAME, close, closings
from reviewbot.function_key import FunctionKey
from reviewbot.limits import MAX_EDGES_OF_LOCK
from reviewbot.score import Score
from reviewbot.types import Cut


def closed(before: Program, after: Program, changes: Sequence[Changed]) -> Iterator[Circle | Cut | Dropped]:
    """The circles of a program through old edges, that a change of those who end the wait closes.

    In: both programs, and the difference of the functions that the change touches. Between the circles, what was not
    looked at.
    """
    seen: set[tuple[FunctionKey, tuple[str, str, str, str]]] = set()
    for edge in _edges(before, after, changes):
        if isinstance(edge, Cut):
            yield edge
        elif (edge.key, edge.pair) not in seen:
            seen.add((edge.key, edge.pair))
            was = None
            for one in closings(after, edge):
                if isinstance(one, Circle):
                    was = _closed_before(before, edge) if was is None else was
                    if Score(one.doubts).value <= was:
                        yield Dropped(edge, SAME[2])
                        continue
                yield one


def _edges(before: Program, after: Program, changes: Sequence[Changed]) -> Iterator[Edge | Cut]:
    locks = sorted(requested(before, after, changes))
    ended = _ended(after, changes) if locks else set[str]()
    for lock in locks:
        keys = providers(after).holders.get(lock, [])
        found = (e for key in keys for e in edges(after, key, partial(_ended_in, ended), lock=lock))
        yield from islice(found, MAX_EDGES_OF_LOCK)
        if next(found, None) is not None:
            yield Cut("waits under a lock that a provider takes now", MAX_EDGES_OF_LOCK, lock)
    for object_ in sorted(_flushed(before, after, changes)):
        for root in resources(after).holders(object_):
            yield from edges(after, root, _woken, lock=object_)
    for key, object_ in _waiting(after, left_alone(changes)):
        yield from edges(after, key, partial(_waits_for, object_))


def _closed_before(before: Program, edge: Edge) -> float:
    """How surely the same edge was closed on the side before; 0 where it was not."""
    if edge.key not in before.names.functions:
        return 0.0
    found = [close(before, e) for e in providers(before).edges(edge.key) if e.pair == edge.pair]
    scores = (
        Score(one.doubts).value if isinstance(one, Circle) else 1.0 for one in found if not isinstance(one, Dropped)
    )
    return max(scores, default=0.0)


def _ended(program: Program, changes: Iterable[Changed]) -> set[str]:
    """What the runs through changed functions end: the work items, timers and threads that they are the runs of, with their
    workqueues, and what they wake."""
    keys = {change.anchor for change in changes if change.anchor in program.names.functions}
    roots = keys | {entered.chain[0] for key in keys for entered in program.entered(key)}
    roots |= {way.chain[0] for key in keys for way in program.entry(key)}
    found = {bound.work for bound in program.callgraph.bound if bound.handler in roots}
    found |= {queue for work in found for queue in program.callgraph.queued.get(work, ())}
    found |= {object_ for root in roots for object_ in resources(program).threads.get(root, ())}
    return found | {effect.object for root in roots for effect in program.does(root) if effect.kind == "wake"}


def _ended_in(ended: Container[str], effect: Effect) -> bool:
    """Whether an effect is a wait that one of some objects ends; what freezes or quiesces a queue, or removes a file of
    sysfs, waits for whoever is inside."""
    return _ended_by_others(effect) and (effect.object in ended or effect.detail in ("freeze", "dispatch", "attribute"))


def _ended_by_others(effect: Effect) -> bool:
    return effect.kind != "lock" and waits(effect)


def _woken(effect: Effect) -> bool:
    return effect.kind == "wait" and bool(effect.object)


def _waits_for(object_: str, effect: Effect) -> bool:
    return _ended_by_others(effect) and effect.object == object_


def _waiting(program: Program, objects: set[str]) -> Iterator[tuple[FunctionKey, str]]:
    """Functions that wait for one of some objects themselves."""
    waits = [(key, fact.object) for key, fact in program.all(Wait)]
    flushes = [(key, fact.object) for key, fact in program.all(Flush)]
    return (found for found in (*waits, *flushes) if found[1] in objects)


def requested(before: Program, after: Program, changes: Iterable[Changed]) -> set[str]:
    """Locks that a changed function takes now, itself or through its calls, and did not take, or takes on other ways or
    at another time."""
    found: set[str] = set()
    for key in dict.fromkeys(change.anchor for change in changes):
        if key in after.names.functions:
            found |= _locks(after, key) - _locks(before, key)
    for change in changes:
        if change.kind in (NEW, MOVED, GUARD):
            found |= {
                fact.lock for fact in _facts(change) if isinstance(fact, Lock) and fact.how not in ("try", "downgrade")
            }
    return found


def _flushed(before: Program, after: Program, changes: Iterable[Changed]) -> set[str]:
    """Work items, timers and threads that a changed function waits for now and did not, or at another time."""
    found: set[str] = set()
    for key in dict.fromkeys(change.anchor for change in changes):
        if key in after.names.functions:
            found |= _flushes(after, key) - _flushes(before, key)
    for change in changes:
        if change.kind in (NEW, MOVED, GUARD):
            found |= {fact.object for fact in _facts(change) if isinstance(fact, Flush)}
    return found


def _flushes(program: Program, key: FunctionKey) -> set[str]:
    if key not in program.names.functions:
        return set()
    return {effect.object for effect in program.does(key) if effect.kind == "flush"}


def _locks(program: Program, key: FunctionKey) -> set[str]:
    if key not in program.names.functions:
        return set()
    return {effect.object for effect in program.does(key) if effect.kind == "lock"}


def left_alone(changes: Iterable[Changed]) -> set[str]:
    """What is woken or queued less than it was: not at all, under more conditions, at another time, or another thing in
    its place."""
    found: set[str] = set()
    for change in changes:
        if change.kind in (GONE, MOVED, OTHER) or (change.kind == GUARD and change.gained):
            for fact in _facts(change):
                if isinstance(fact, Wake):
                    found.add(fact.object)
                elif isinstance(fact, Queue):
                    found |= {fact.work, fact.workqueue}
    return {object_ for object_ in found if object_}


def _facts(change: Changed) -> Iterator[Site]:
    for event in (change.before, change.after, change.past, *change.also):
        yield from event.facts if event is not None else ()
