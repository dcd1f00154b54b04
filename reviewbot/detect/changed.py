"""One thing that a patch does to the code of a function: what it is, where it stands, and how it is told."""

from __future__ import annotations

from typing import NamedTuple

from reviewbot.detect.guarded import (
    BARRIER,
    CALL,
    LEAVE,
    LOCK,
    RETURN,
    SET,
    UNLOCK,
    WAIT,
    WAKE,
    WRITE,
    Guard,
    GuardedEvent,
)
from reviewbot.function_key import FunctionKey
from reviewbot.limits import MAX_CONDITIONS_SHOWN
from reviewbot.types import Place

NEW, GONE, GUARD, MOVED, OTHER = "new", "gone", "guard", "moved", "other"
_WEIGHT = {LOCK: 0, UNLOCK: 0, WAIT: 0, WAKE: 0, BARRIER: 0, WRITE: 3, RETURN: 3, SET: 3, LEAVE: 2, CALL: 2}
_BLOCKING = frozenset({"lock", "wait", "flush", "wake", "queue", "finish", "submit"})


class Changed(NamedTuple):
    """One thing that is not as it was.

    kind: new; gone; guard (done under other conditions); moved (before or after something else); other (the same call
    with other arguments).
    """

    kind: str
    anchor: FunctionKey
    """Key of the function, as the side after has it (the side before where it is gone)."""
    before: GuardedEvent | None = None
    after: GuardedEvent | None = None
    lost: Guard = frozenset()
    """Conditions that were needed and are not any more."""
    gained: Guard = frozenset()
    """Conditions that are needed now."""
    also: tuple[GuardedEvent, ...] = ()
    """Other events whose guards changed in the same way."""
    past: GuardedEvent | None = None
    """What it was moved past."""
    later: bool = False
    """Whether it is done after that now, and was done before."""

    @property
    def event(self) -> GuardedEvent:
        """The event as the side after has it, or had it before."""
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def places(self) -> tuple[Place, ...]:
        """The lines that it is about: of the event, then of the conditions that changed; of what came or went, the
        nearest condition."""
        changed = self.lost | self.gained
        events = [e for e in (self.after, self.before) if e is not None]
        if self.kind in (NEW, GONE):
            changed |= {branch.literal for e in events for branch in e.branches[-1:]}
        tests = [Place(e.at.file, b.line, e.at.function) for e in events for b in e.branches if b.literal in changed]
        return tuple(dict.fromkeys((*(e.at for e in events), *tests)))

    @property
    def weight(self) -> tuple[int, int, int]:
        """What comes first: what tasks wait for, then what may hide it, then the rest; by the order of the text."""
        events = (self.event, *self.also)
        best = min(weight_of(e) for e in events)
        return best, {MOVED: 0, GONE: 1, NEW: 1, GUARD: 1, OTHER: 2}[self.kind], self.event.at.line

    def written(self, conditions: Guard) -> tuple[str, ...]:
        """Conditions that came or went as they are written, the outermost first."""
        branches = [b for event in (self.before, self.after) if event is not None for b in event.branches]
        return tuple(dict.fromkeys(b.text for b in branches if b.literal in conditions))

    def says(self) -> str:
        """The change as a phrase."""
        event = self.event
        if self.kind == GUARD:
            parts = [f"only if {' && '.join(self.written(self.gained))}"] if self.gained else []
            parts += [f"no longer only if {' && '.join(self.written(self.lost))}"] if self.lost else []
            more = f" (and {len(self.also)} more)" if self.also else ""
            return f"{event}{more}: {', '.join(parts)}"
        if self.kind == MOVED and self.past is not None:
            return f"{event}: now {'after' if self.later else 'before'} {self.past}"
        if self.kind == OTHER and self.before is not None:
            return f"{event}: was {self.before}"
        near = [branch.text for branch in event.branches][-MAX_CONDITIONS_SHOWN:]
        under = f" if {' && '.join(dict.fromkeys(near))}" if near else ""
        return f"{event}{under}" + (" && ..." if len(near) < len(event.guard) else "")


def weight_of(event: GuardedEvent) -> int:
    """How much an event matters to those who wait: 0 the most."""
    if event.op == CALL:
        return 1 if event.below & _BLOCKING else 2
    if event.op == WRITE and event.ordered:
        return 1
    return _WEIGHT.get(event.op, 1)
