"""What a patch does to the code of a function: the ordered difference of the guarded events of both sides.

An anchor is a function that both sides have. Helpers that one side has only are read as part of it, so that moved,
renamed and split code compares equal; a call that became conditional, a condition that went, an exit that was added, an
order that was turned are what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.canonical import Literal
from reviewbot.analysis.program.program import Program
from reviewbot.detect.changed import GONE, NEW, OTHER, Changed
from reviewbot.detect.compare import compare
from reviewbot.detect.event_order import EventOrder, moved
from reviewbot.detect.guarded import (
    MERGED,
    QUIET,
    RETURN,
    SET,
    GuardedEvent,
    GuardedEvents,
)
from reviewbot.function_key import FunctionKey, name_of


class Difference:
    """The ordered difference of two programs in some functions.

    old, new: keys of the functions that the change touches, on each side.
    """

    def __init__(self, before: Program, after: Program, old: Iterable[FunctionKey], new: Iterable[FunctionKey]) -> None:
        self.before, self.after = before, after
        self._old, self._new = tuple(dict.fromkeys(old)), tuple(dict.fromkeys(new))

    @cached_property
    def pairs(self) -> dict[FunctionKey, FunctionKey]:
        """Anchors: key on the side after -> key on the side before."""
        here, there = self.after.names.functions, self.before.names.functions
        found = {key: key for key in self._new if key in there}
        found.update({key: key for key in self._old if key in here})
        moved = {name_of(key): key for key in self._old if key not in here}
        for key in self._new:
            if key not in there and name_of(key) in moved:
                found[key] = moved.pop(name_of(key))
        return found

    @cached_property
    def changes(self) -> tuple[Changed, ...]:
        """All changes, what matters most first."""
        paired = set(self.pairs.values())
        new_helpers = [k for k in self._new if k not in self.pairs]
        old_helpers = [k for k in self._old if k not in paired]
        names = {key: _renamed_locals(self.before.body(old), self.after.body(key)) for key, old in self.pairs.items()}
        now, was = GuardedEvents(self.after, new_helpers, names), GuardedEvents(self.before, old_helpers)
        found: dict[FunctionKey, list[Changed]] = {}
        for key, old in self.pairs.items():
            found[key] = self._compared(key, was.of(old), now.of(key))
        for key in self._joined(found, was, now):
            found.pop(key, None)
        out = [change for changes in found.values() for change in changes]
        for key in new_helpers:
            if key not in now.read:
                out += [Changed(NEW, key, after=e) for e in _alone(self.after, key)]
        for key in old_helpers:
            if key not in was.read:
                out += [Changed(GONE, key, before=e) for e in _alone(self.before, key)]
        return tuple(sorted(out, key=lambda change: (*change.weight, change.event.at.file)))

    def _joined(
        self, found: dict[FunctionKey, list[Changed]], was: GuardedEvents, now: GuardedEvents
    ) -> list[FunctionKey]:
        """Helpers that gave something to a caller of theirs, or took it: both are read as one where that says less.
        Their changes are those of the caller then."""
        gone: list[FunctionKey] = []
        for key, old in self.pairs.items():
            if not found[key]:
                continue
            for helper in self.after.callees(key):
                if helper == key or helper in gone or not found.get(helper):
                    continue
                if not _trade(found[key], found[helper]):
                    continue
                here = GuardedEvents(self.after, (*now.helpers, helper), now.names).of(key)
                there = GuardedEvents(self.before, (*was.helpers, self.pairs[helper])).of(old)
                joined = self._compared(key, there, here)
                if len(joined) < len(found[key]) + len(found[helper]):
                    found[key] = joined
                    gone.append(helper)
        return gone

    def _compared(
        self, key: FunctionKey, before: Sequence[GuardedEvent], after: Sequence[GuardedEvent]
    ) -> list[Changed]:
        if not before or not after:
            return []
        before, after = _with_same_locals(before, after)
        changes, same = compare(key, before, after)
        others, words = _own_others([*changes, *_quiet_others(key, before, after, changes)])
        if words:  # what follows from another argument (its result is tested, handed on) is no change of its own
            changes, same = compare(key, [_with(event, words) for event in before], after)
            changes = [*others, *(c for c in changes if c.after not in [other.after for other in others])]
        order = self.before.component(EventOrder), self.after.component(EventOrder)
        return [*changes, *moved(key, same, *order)]


def _alone(program: Program, key: FunctionKey) -> Iterator[GuardedEvent]:
    """What a function does that the other side has not, and that nobody calls who is compared."""
    return (e for e in GuardedEvents(program).of(key) if e.op not in (QUIET, RETURN, SET))


def _with_same_locals(
    before: Sequence[GuardedEvent], after: Sequence[GuardedEvent]
) -> tuple[list[GuardedEvent], list[GuardedEvent]]:
    """Both sides without what locals are set to that only one of them sets, or that nothing else is made of; without
    all of it where helpers are read along, which have other locals."""
    sides = before, after
    named = [{e.callee for e in side if e.op == SET} for side in sides]
    merged = {e.callee for side in sides for e in side if e.op == SET and e.below & MERGED}
    kept = merged & named[0] & named[1]
    if any(len(e.way) > 1 for side in sides for e in side):
        kept = set()
    first, second = ([e for e in side if e.op != SET or e.callee in kept] for side in sides)
    return first, second


def _quiet_others(
    anchor: FunctionKey, before: Sequence[GuardedEvent], after: Sequence[GuardedEvent], changes: Sequence[Changed]
) -> Iterator[Changed]:
    """Calls that nobody waits for and that have other arguments now, of which the result makes the changes."""
    was, now = ({e.words: e for e in side if e.op == QUIET} for side in (before, after))
    texts = [c.before.words for c in changes if c.before] + [lit.value for c in changes for lit in c.lost]
    gone = [e for words, e in was.items() if words not in now and any(words in text for text in texts)]
    for event in gone:
        fresh = [e for words, e in now.items() if words not in was and e.callee == event.callee]
        if len(fresh) == 1:
            yield Changed(OTHER, anchor, event, fresh[0])


def _own_others(changes: Iterable[Changed]) -> tuple[list[Changed], dict[str, str]]:
    """Calls that have other arguments now, without those of which the change of another call says it; their words
    before and after."""
    words: dict[str, str] = {}
    own = []
    calls = [(c, c.before, c.after) for c in changes if c.kind == OTHER and c.before and c.after]
    for change, before, after in sorted(calls, key=lambda call: len(call[1].words)):
        if _with(before, words).words != after.words:
            own.append(change)
            if before.words[-1:] == after.words[-1:] == ")":
                words[before.words] = after.words
    return own, words


def _with(event: GuardedEvent, words: Mapping[str, str]) -> GuardedEvent:
    """The event with the words of some calls replaced."""

    def put(text: str) -> str:
        for old, new in words.items():
            text = text.replace(old, new)
        return text

    branches = tuple(b._replace(literal=Literal(put(b.literal.value), b.literal.signs)) for b in event.branches)
    return event._replace(words=put(event.words), branches=branches, guard=frozenset(b.literal for b in branches))


def _renamed_locals(before: Body, after: Body) -> dict[str, str]:
    """Local of the side after -> what it was called: those that are new and those that are gone, by type and order."""
    gone = [(name, type_) for name, type_ in before.locals.items() if name not in after.locals]
    found = {}
    for name, type_ in after.locals.items():
        if name not in before.locals:
            old = next((n for n, t in gone if t == type_), "")
            if old:
                found[name] = old
                gone.remove((old, type_))
    return found


def _trade(one: Sequence[Changed], other: Sequence[Changed]) -> bool:
    """Whether something is gone from one and new in the other."""
    for first, second in ((one, other), (other, one)):
        gone = {(c.event.op, c.event.callee) for c in first if c.kind == GONE}
        if any(c.kind == NEW and (c.event.op, c.event.callee) in gone for c in second):
            return True
    return False
