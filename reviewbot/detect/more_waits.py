"""Where a function waits that it did not wait before: a condition in front of a wait is gone.

What a condition was there for is not known, and often it was there because whoever provides what is waited for is the
task itself, or needs what it holds. What is found here rests on the difference of the two versions alone and is not
replayed: it is shown to whoever reviews, and never said aloud.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reviewbot.analysis.events.kinds import Flush, Lock, Wait
from reviewbot.analysis.program.program import Program
from reviewbot.detect.changed import GONE, GUARD, NEW, Changed
from reviewbot.detect.guarded import LEAVE, GuardedEvent, GuardedEvents
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import BLOCKING, KERNEL
from reviewbot.limits import MAX_EVENTS_OF_GUARD
from reviewbot.types import Place, Value

_ENDS_BY_ITSELF = frozenset({"io", "reschedule", "fault", "rcu"})
"""Classes of waits that nobody has to do anything for."""


class MoreWaits(Value, frozen=True):
    """A wait that a function does under fewer conditions."""

    key: FunctionKey
    what: str
    """The call as it is written."""
    at: Place
    object: str = ""
    """What is waited for, where that is known."""
    lost: tuple[str, ...] = ()
    """Conditions under which alone it was done."""
    rests: str = ""
    """The change of the code that it rests on, as a phrase with its place."""

    @property
    def function(self) -> str:
        """Name of the function."""
        return self.at.function


def more_waits(before: Program, after: Program, changes: Sequence[Changed]) -> Iterator[MoreWaits | Dropped]:
    """What waits more than it did, by functions that both sides have, one for each call; between it what came to nothing.

    A condition that went together with much else was a way out of the function, and says nothing of the wait.
    """
    seen: set[tuple[FunctionKey, str]] = set()
    replaced = {(c.anchor, c.event.callee) for c in changes if c.kind in (NEW, GONE)}
    events = GuardedEvents(before)
    for change in changes:
        key = change.anchor
        if key not in after.names.functions or key not in before.names.functions:
            continue
        for event in _events(change):
            if (key, event.callee) in seen or not blocks(event):
                continue
            if {*map(str, change.lost)} <= {e.words for e in events.of(key) if e.op == LEAVE}:
                yield Dropped(LeadPlace(event.at, f"does before a loop {event.text or event.words}"), "every loop ends")
                continue
            if (key, event.callee) in replaced:
                lead = LeadPlace(event.at, f"does under fewer conditions {event.text or event.words}")
                yield Dropped(lead, "the same is done or left out in another place, too")
                continue
            seen.add((key, event.callee))
            yield MoreWaits(
                key=key,
                what=event.text or event.words,
                at=change.places[0] if event is change.event else event.at,
                object=next((f.object for f in event.facts if isinstance(f, Wait | Flush) and f.object), ""),
                lost=change.written(change.lost),
                rests=f"{event.at}: {event.at.function}: {change.kind} {change.says()}",
            )


def _events(change: Changed) -> tuple[GuardedEvent, ...]:
    """What is done under fewer conditions."""
    if change.kind == GUARD and change.lost and not change.gained and len(change.also) < MAX_EVENTS_OF_GUARD:
        return (change.event, *change.also)
    return ()


def blocks(event: GuardedEvent) -> bool:
    """Whether an event itself waits for what others have to do. Of what waits in a callee far too much is harmless."""
    for fact in event.facts:
        if isinstance(fact, Wait) and fact.klass not in _ENDS_BY_ITSELF and not fact.timeout:
            return True
        if isinstance(fact, Flush):
            return True
        if isinstance(fact, Lock) and fact.how in BLOCKING and KERNEL.sleeping(fact.klass):
            return True
    return False
