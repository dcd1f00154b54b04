"""What kept a task from waiting, and is gone since a change: a try in place of a wait, interrupts that were off, a scope of
allocations, work that did it later, a queue of its own.

Whether it is still needed is not known. What is found here rests on the difference of the two versions alone and is not
replayed: it is shown to whoever reviews, and never said aloud.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from reviewbot.analysis.code.identity import known
from reviewbot.analysis.code.identity import spoken as short
from reviewbot.analysis.events.fact import Fact
from reviewbot.analysis.events.kinds import OWN_THREAD, Lock, Queue, Workqueue
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.detect.changed import GONE, NEW, OTHER, Changed
from reviewbot.detect.edges import UNTIMED
from reviewbot.detect.guarded import CALL, LOCK, OPAQUE, WAIT, GuardedEvent, GuardedEvents
from reviewbot.detect.more_waits import blocks
from reviewbot.detect.providers import lock_class
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import BLOCKING, KERNEL
from reviewbot.score import Doubt
from reviewbot.types import Place, Value

RESCUER = "has a rescuer"
_BELOW = frozenset({"lock", "wait", "flush"})
"""Kinds of effects of a call for which a task can have to wait."""
F = TypeVar("F", bound=Fact)

_STRENGTH = {"save": 2, "off": 2, "bh": 1}
"""How much a lock keeps away while it is held."""


class Protection(Value, frozen=True):
    """Something that kept a task from waiting and is gone."""

    key: FunctionKey
    says: str
    """What the function does now, and did not, as a phrase that goes on after its name."""
    at: Place
    object: str
    """The lock, the work item or the call that it is about."""
    rests: str = ""
    """The change of the code that it rests on, as a phrase with its place."""
    doubts: tuple[Doubt, ...] = ()
    """Why it may be none after all."""

    @property
    def function(self) -> str:
        """Name of the function."""
        return name_of(self.key)


def gone(before: Program, after: Program, changes: Sequence[Changed]) -> Iterator[Protection]:
    """The protections that functions which both sides have did without, each once."""
    anchors: dict[FunctionKey, list[Changed]] = {}
    for change in changes:
        anchors.setdefault(change.anchor, []).append(change)
    seen: set[tuple[FunctionKey, str]] = set()
    for key, own in anchors.items():
        if key not in before.names.functions or key not in after.names.functions:
            continue
        anchor = _Anchor(before, after, key, own)
        for found in anchor.found():
            if (key, found.object) not in seen:
                seen.add((key, found.object))
                yield found


class _Anchor:
    """One function that both sides have, with what a patch does to it."""

    def __init__(self, before: Program, after: Program, key: FunctionKey, changes: Sequence[Changed]) -> None:
        self.before, self.after, self.key, self.changes = before, after, key, changes
        self.gone = [c.before for c in changes if c.kind in (GONE, OTHER) and c.before is not None]
        self.new = [c.after for c in changes if c.kind in (NEW, OTHER) and c.after is not None]

    def found(self) -> Iterator[Protection]:
        """All that is gone from it."""
        for kind in (
            self._tried,
            self._scopes,
            self._interrupts,
            self._queues,
            self._later,
            self._siblings,
        ):
            yield from kind()

    def _one(self, event: GuardedEvent, object_: str, says: str, doubts: tuple[Doubt, ...] = ()) -> Protection:
        rests = f"{event.at}: {event.at.function}: {event}"
        return Protection(key=self.key, says=says, at=event.at, object=object_, rests=rests, doubts=doubts)

    # --- locks

    def _tried(self) -> Iterator[Protection]:
        tried = {(f.lock, f.base) for f in _facts(self.gone, Lock) if f.how == "try"}
        for event in self.new:
            for fact in event.facts:
                if isinstance(fact, Lock) and fact.how in BLOCKING and (fact.lock, fact.base) in tried:
                    yield self._one(
                        event, fact.lock, f"waits for {short(fact.lock)}, which it only tried to take before"
                    )

    def _scopes(self) -> Iterator[Protection]:
        if any(fact.klass == "scope" for fact in _facts(self.new, Lock)) or not self._asks:
            return
        for event in self.gone:
            for fact in event.facts:
                if isinstance(fact, Lock) and fact.klass == "scope" and fact.how == "acquire":
                    yield self._one(event, fact.lock, f"does without {event.callee}() what it did inside of it")

    @property
    def _asks(self) -> bool:
        """Whether the function still asks for memory, or calls what may."""
        if any(effect.kind == "memory" for effect in self.after.does(self.key)):
            return True
        return any(event.op == CALL and OPAQUE in event.below for event in GuardedEvents(self.after).of(self.key))

    def _interrupts(self) -> Iterator[Protection]:
        was = {f.lock: _STRENGTH.get(f.irq, 0) for f in _facts(self.gone, Lock)}
        for event in self.new:
            for fact in event.facts:
                if not isinstance(fact, Lock) or was.get(fact.lock, 0) <= _STRENGTH.get(fact.irq, 0):
                    continue
                other = next(self._stronger(fact.lock, was[fact.lock]), None)
                if other is not None and not self._off(event):
                    says = f"leaves interrupts on under {short(fact.lock)}, which {other.function}() takes with {other.call}()"
                    yield self._one(event, fact.lock, says)

    def _off(self, event: GuardedEvent) -> bool:
        """Whether interrupts or softirqs are off before an event."""
        made = self.after.view(event.at.key).made
        return any(one.at.off for one in made if one.call.line == event.at.line)

    def _stronger(self, lock: str, strength: int) -> Iterator[Lock]:
        """Where others take a lock in the way that is gone."""
        for key, fact in self.after.all(Lock):
            if fact.lock == lock and key != self.key and _STRENGTH.get(fact.irq, 0) >= strength:
                yield fact

    # --- who does it, and when

    def _queues(self) -> Iterator[Protection]:
        was = {f.work: f.workqueue for f in _facts(self.gone, Queue) if known(f.work) and known(f.workqueue)}
        for event in self.new:
            for fact in event.facts:
                old = was.get(fact.work, "") if isinstance(fact, Queue) else ""
                if not isinstance(fact, Queue) or old in ("", fact.workqueue) or not _made(self.after, fact.workqueue):
                    continue
                for what in sorted(_known_for(self.before, old) - _known_for(self.after, fact.workqueue)):
                    says = (
                        f"queues {short(fact.work)} on {short(fact.workqueue)}, and did on {short(old)}, which {what}"
                    )
                    yield self._one(event, fact.work, says)

    def _later(self) -> Iterator[Protection]:
        works = {f.work for f in _facts(self.gone, Queue) if f.work}
        for work in sorted(works - {f.work for f in _facts(self.new, Queue)}):
            handlers = [b.handler for b in self.before.callgraph.bound if b.work == work]
            names = {name_of(k) for handler in handlers for k in (handler, *self.before.callees(handler))}
            for event in self.new:
                if event.op == CALL and event.callee in names and self._waits(self.after, event):
                    yield self._one(
                        event, work, f"calls {event.callee}() itself, and left that to {short(work)} before"
                    )

    def _siblings(self) -> Iterator[Protection]:
        calls = {event.callee: event for event in self.gone if event.callee.isidentifier()}
        for event in self.new:
            for name in [n for n in calls if _milder(n, event.callee)] if event.callee not in calls else ():
                if self._does_more(calls[name], event):
                    says = f"calls {event.callee}() in place of {name}()"
                    yield self._one(event, event.callee, says, (Doubt.NAMES,))

    def _does_more(self, old: GuardedEvent, new: GuardedEvent) -> bool:
        """Whether the new call can have to wait for something that the old one cannot, or it is not known what it does: then
        its name says it."""
        return OPAQUE in new.below or (self._waits(self.after, new) and not self._waits(self.before, old))

    def _waits(self, program: Program, event: GuardedEvent) -> bool:
        """Whether a task may have to sleep in a call until others do their part."""
        if event.op in (WAIT, LOCK):
            return blocks(event)
        if event.op != CALL or not event.below & _BELOW:
            return False
        calls = (m.call for m in program.view(event.at.key).made if m.call.line == event.at.line)
        targets = {
            t
            for call in calls
            if call.callee in ("", event.callee)
            for t in program.callgraph.reached(event.at.key, call)
        }
        return any(_sleeps(program, effect) for target in targets for effect in program.does(target))


def _sleeps(program: Program, effect: Effect) -> bool:
    if effect.kind == "lock":
        klass = lock_class(program, effect.object)
        return bool(klass) and all(map(KERNEL.sleeping, klass.split("/")))
    return effect.kind == "flush" or (effect.kind == "wait" and effect.detail in UNTIMED)


def _known_for(program: Program, queue: str) -> set[str]:
    """What a workqueue can be relied upon for: those of the kernel's own by their flags, others as the program makes them."""
    if queue in KERNEL.global_workqueues:
        return set() if OWN_THREAD.isdisjoint(KERNEL.global_workqueues[queue]) else {RESCUER}
    made = [fact for _, fact in program.all(Workqueue) if fact.object == queue]
    ordered = {"runs one item at a time"} if made and all(fact.ordered for fact in made) else set[str]()
    return ordered | ({RESCUER} if made and all(fact.rescuer for fact in made) else set())


def _made(program: Program, queue: str) -> bool:
    """Whether it is known how a workqueue is made: of one that nobody here makes nothing follows."""
    return queue in KERNEL.global_workqueues or any(fact.object == queue for _, fact in program.all(Workqueue))


def _facts(events: Iterable[GuardedEvent], kind: type[F]) -> Iterator[F]:
    return (fact for event in events for fact in event.facts if isinstance(fact, kind))


def _milder(old: str, new: str) -> bool:
    """Whether a function is named like another one, but for a word that says that this one waits for less."""
    if old == new:
        return False
    words, others = old.strip("_").split("_"), new.strip("_").split("_")
    mild, strong = KERNEL.words["milder"], KERNEL.words["waits_in_name"]
    less = [w for w in words if w not in mild], [w for w in others if w not in strong]
    return less[0] == less[1] and (len(words) > len(less[0]) or len(others) > len(less[1]))
