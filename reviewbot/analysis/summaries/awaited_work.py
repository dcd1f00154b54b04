"""Which work items I/O waits for: queued where I/O passes, and their handlers end it, send it on, or wake who waits.

Such an item has to run for I/O to go on, whatever else is short: its workqueue needs a rescuer, its handler may not
recurse into I/O above. Work that is queued by such a handler counts as well, by way of a timer, too; and so does, from
wherever it is queued, an item whose handler ends bios or requests close by: somebody waits for these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.callgraph.contexts import ExecutionContext, ExecutionContexts
from reviewbot.analysis.code.identity import known
from reviewbot.analysis.events.kinds import Queue, Wait
from reviewbot.analysis.summaries.effect_summary import Effect, EffectSummaries
from reviewbot.analysis.summaries.event_table import EventTable
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_CALLS_TO_END_OF_IO
from reviewbot.types import Place

_ORDER = {"io_path": 0, "completion": 1, "reclaim": 2, "writeback": 3, "work": 4, "softirq": 5}
TIMER = "timer"
"""The `workqueue` of Queue facts of timers."""
ENDS = ("bio", "request", "page")


HandlerProgress = tuple[tuple[Effect, tuple[Place, ...]], ...]
"""What a handler does for I/O, each with the way down to its line."""


class AwaitedWork(NamedTuple):
    """A work item, on one workqueue, that has to run for I/O (or reclaim) to go on; with the evidence: how it is
    queued, and what its handler does for the I/O."""

    work: str
    workqueue: str
    context: str
    """What it is queued in: io_path, completion, reclaim, writeback, work or softirq (of another such item, or its
    timer); empty for an item that counts because it ends I/O."""
    queued: Queue
    """Where it is queued."""
    chain: tuple[str, ...]
    """Names of the functions from the context's root to the one that queues."""
    handler: FunctionKey
    """Key of the handler."""
    progress: HandlerProgress
    """What the handler does for the I/O, each with the way down to its line: finish, submit, io, wake, give."""

    @property
    def ends(self) -> bool:
        """Whether the handler ends or sends on I/O itself, rather than waking somebody."""
        return any(e.kind in ("finish", "submit", "io") for e, _ in self.progress)


class _Queued(NamedTuple):
    """A place that queues a work item: in which function (key), with the handlers that it runs, and the contexts of the
    function, those nearest to I/O first."""

    key: FunctionKey
    fact: Queue
    runs: list[FunctionKey]
    ways: list[ExecutionContext]


def served(
    callgraph: CallGraph, events: EventTable, contexts: ExecutionContexts, effects: EffectSummaries
) -> Iterator[AwaitedWork]:
    """All work items of a program that I/O waits for, in the order of the code."""
    places = _queued(callgraph, events, contexts)
    awaited = _awaited(events, contexts)

    @cache
    def progress_of(handler: FunctionKey) -> HandlerProgress:
        return _progress(effects, handler, awaited)

    waited: set[str] = set()
    done: set[tuple[str, str, FunctionKey]] = set()
    size = -1
    while len(waited) != size:
        size = len(waited)
        for place in places:
            for entered in place.ways:
                if _matters(entered, waited):
                    yield from _queued_in(entered, place, progress_of, waited, done)
    if not any(root.context == "io_path" for roots in callgraph.roots.values() for root in roots):
        return  # what is called a request here is none of the block layer's
    for key, fact, runs, _ in places:
        for handler in runs if fact.work not in waited and fact.workqueue != TIMER else ():
            progress = tuple(p for p in progress_of(handler) if _near(p))
            if progress and (fact.work, fact.workqueue, handler) not in done:
                done.add((fact.work, fact.workqueue, handler))
                name = name_of(key)
                yield AwaitedWork(fact.work, fact.workqueue, "", fact, (name,), handler, progress)


def _queued(callgraph: CallGraph, events: EventTable, contexts: ExecutionContexts) -> list[_Queued]:
    """Who sets an item up and queues it, queues what he set up."""
    handlers: dict[str, set[FunctionKey]] = {}
    own: dict[tuple[str, FunctionKey], set[FunctionKey]] = {}
    for b in callgraph.bound:
        if b.runner in ("work", "timer"):
            handlers.setdefault(b.work, set()).add(b.handler)
            own.setdefault((b.work, b.key), set()).add(b.handler)
    return [
        _Queued(
            key,
            fact,
            sorted(own.get((fact.work, key), handlers[fact.work])),
            sorted(contexts.of(key), key=lambda e: _ORDER.get(e.context, 9)),
        )
        for key, fact in events.having(Queue)
        if known(fact.work) and known(fact.workqueue) and fact.work in handlers
    ]


def _queued_in(
    entered: ExecutionContext,
    place: _Queued,
    progress_of: Callable[[FunctionKey], HandlerProgress],
    waited: set[str],
    done: set[tuple[str, str, FunctionKey]],
) -> Iterator[AwaitedWork]:
    """What is queued in a context that I/O waits for. Adds to `waited` the items, to `done` item, queue and handler."""
    fact = place.fact
    if fact.workqueue == TIMER:
        waited.add(fact.work)
        return
    for handler in place.runs:
        progress = progress_of(handler)
        if progress and (fact.work, fact.workqueue, handler) not in done:
            done.add((fact.work, fact.workqueue, handler))
            waited.add(fact.work)
            chain = tuple(name_of(k) for k in entered.chain)
            yield AwaitedWork(fact.work, fact.workqueue, entered.context, fact, chain, handler, progress)


def _near(progress: tuple[Effect, tuple[Place, ...]]) -> bool:
    effect, way = progress
    return effect.kind == "finish" and effect.detail in ("bio", "request") and len(way) <= MAX_CALLS_TO_END_OF_IO


def _matters(entered: ExecutionContext, waited: set[str]) -> bool:
    return KERNEL.contexts[entered.context].path or (
        entered.context in ("work", "softirq") and entered.runner in waited
    )


def _awaited(events: EventTable, contexts: ExecutionContexts) -> frozenset[str]:
    """Events, completions and bits that something on the I/O path sleeps for."""
    found: set[str] = set()
    for key in dict.fromkeys(key for key, _ in events.having(Wait)):
        if any(KERNEL.contexts[e.context].path for e in contexts.of(key)):
            found.update(f.object for f in events.of(key) if isinstance(f, Wait) and not f.timeout)
    return frozenset(f for f in found if known(f))


def _progress(effects: EffectSummaries, handler: FunctionKey, awaited: frozenset[str]) -> HandlerProgress:
    found = [
        effect
        for effect in effects.of(handler)
        if (effect.kind == "finish" and effect.detail in ENDS)
        or effect.kind in ("submit", "io")
        or (effect.kind == "wake" and (effect.detail == "run" or effect.object in awaited))
    ]
    found.sort(key=lambda e: (("finish", "submit", "io", "wake").index(e.kind), e))
    return tuple((effect, effects.chain(handler, effect)) for effect in found[:8])
