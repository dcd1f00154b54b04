"""What a patch does to the code of a function: the ordered difference of the guarded events of both sides.

An anchor is a function that both sides have. Helpers that one side has only are read as part of it, so that moved,
renamed and split code compares equal; a call that became conditional, a condition that went, an exit that was added, an
order that was turned are what is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import NamedTuple

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.canonical import Literal
from reviewbot.analysis.program.program import Component, Program
from reviewbot.csource.ir import Block
from reviewbot.detect.guarded import (
    BARRIER,
    CALL,
    LEAVE,
    LOCK,
    MERGED,
    QUIET,
    RETURN,
    SET,
    UNLOCK,
    WAIT,
    WAKE,
    WRITE,
    Guard,
    GuardedEvent,
    GuardedEvents,
)
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.limits import MAX_COMPARED_CONDITIONS, MAX_CONDITIONS_SHOWN, MAX_ORDERED_EVENTS
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
        best = min(_weight(e) for e in events)
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


def _weight(event: GuardedEvent) -> int:
    if event.op == CALL:
        return 1 if event.below & _BLOCKING else 2
    if event.op == WRITE and event.ordered:
        return 1
    return _WEIGHT.get(event.op, 1)


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
        order = _Order(self.before), _Order(self.after)
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


# --- what is new, gone, or under other conditions


def compare(
    anchor: FunctionKey, before: Sequence[GuardedEvent], after: Sequence[GuardedEvent]
) -> tuple[list[Changed], list[tuple[GuardedEvent, GuardedEvent]]]:
    """The changes from one list of events to the other, and the pairs of events that are the same thing."""
    was, now = _by_token(before), _by_token(after)
    changes: list[Changed] = []
    same: list[tuple[GuardedEvent, GuardedEvent]] = []
    gone: list[GuardedEvent] = []
    new: list[GuardedEvent] = []
    for token in dict.fromkeys((*was, *now)):
        old, here = was.get(token, []), now.get(token, [])
        if old and here and equal([e.guard for e in old], [e.guard for e in here]):
            same += _matched(old, here)[0] if len(old) == len(here) else ()
            continue
        pairs, old_left, new_left = _matched(old, here)
        same += pairs
        for first, second in pairs:
            if first.guard != second.guard:
                lost, gained = first.guard - second.guard, second.guard - first.guard
                changes.append(Changed(GUARD, anchor, first, second, lost, gained))
        gone += old_left
        new += new_left
    pairs, gone, new = _renamed(gone, new)
    changes = _grouped(changes)
    changes += [Changed(OTHER, anchor, first, second) for first, second in pairs]
    changes += [Changed(GONE, anchor, before=event) for event in gone]
    changes += [Changed(NEW, anchor, after=event) for event in new]
    return changes, same


def _by_token(events: Iterable[GuardedEvent]) -> dict[tuple[str, str], list[GuardedEvent]]:
    found: dict[tuple[str, str], list[GuardedEvent]] = {}
    for event in events:
        if event.op != QUIET:
            found.setdefault(event.token, []).append(event)
    return found


def _matched(
    old: Sequence[GuardedEvent], new: Sequence[GuardedEvent]
) -> tuple[list[tuple[GuardedEvent, GuardedEvent]], list[GuardedEvent], list[GuardedEvent]]:
    """Pairs of the same thing, those with the most alike conditions first; what is left of both."""
    if [e.guard for e in old] == [e.guard for e in new]:
        return list(zip(old, new, strict=True)), [], []
    near = sorted(
        (len(first.guard ^ second.guard), i, j) for i, first in enumerate(old) for j, second in enumerate(new)
    )
    taken_old: set[int] = set()
    taken_new: set[int] = set()
    pairs = []
    for _, i, j in near:
        if i not in taken_old and j not in taken_new:
            taken_old.add(i)
            taken_new.add(j)
            pairs.append((i, j))
    left_old = [e for i, e in enumerate(old) if i not in taken_old]
    left_new = [e for j, e in enumerate(new) if j not in taken_new]
    return [(old[i], new[j]) for i, j in sorted(pairs)], left_old, left_new


def _renamed(
    gone: Sequence[GuardedEvent], new: Sequence[GuardedEvent]
) -> tuple[list[tuple[GuardedEvent, GuardedEvent]], list[GuardedEvent], list[GuardedEvent]]:
    """Calls of one function with other arguments, writes of other values: told as one change each."""
    pairs = []
    left = list(gone)
    fresh = []
    for event in new:
        alike = [e for e in left if e.callee and (e.op, e.callee) == (event.op, event.callee)]
        if alike:
            first = min(alike, key=lambda e: len(e.guard ^ event.guard))
            left.remove(first)
            pairs.append((first, event))
        else:
            fresh.append(event)
    return pairs, left, fresh


def _grouped(changes: Iterable[Changed]) -> list[Changed]:
    """Events whose guards lost and gained the same, told as one: the first that matters, and the others."""
    groups: dict[tuple[Guard, Guard], list[Changed]] = {}
    for change in changes:
        groups.setdefault((change.lost, change.gained), []).append(change)
    out = []
    for group in groups.values():
        group.sort(key=lambda change: change.weight)
        out.append(group[0]._replace(also=tuple(change.event for change in group[1:])))
    return out


def equal(one: Sequence[Guard], other: Sequence[Guard]) -> bool:
    """Whether a thing is done equally often under all conditions: guards are compared as a formula, each as one case."""
    if Counter(one) == Counter(other):
        return True
    everywhere = frozenset.intersection(*one, *other)
    first, second = [g - everywhere for g in one], [g - everywhere for g in other]
    values = sorted({literal.value for guard in (*first, *second) for literal in guard})
    if len(values) > MAX_COMPARED_CONDITIONS:
        return False
    for signs in product((1, 2, 4), repeat=len(values)):
        of = dict(zip(values, signs, strict=True))
        if _count(first, of) != _count(second, of):
            return False
    return True


def _count(guards: Sequence[Guard], signs: Mapping[str, int]) -> int:
    return sum(all(signs[literal.value] & literal.signs for literal in guard) for guard in guards)


# --- what is done in another order


class _Order(Component):
    """Which of two events of a function comes first, within one round of the loops around them."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._later: dict[FunctionKey, tuple[frozenset[int], ...]] = {}

    def precedes(self, one: GuardedEvent, other: GuardedEvent) -> bool:
        """Whether a run that does both can do `one` before `other`."""
        for level, (first, second) in enumerate(zip(one.way, other.way, strict=False)):
            if first == second:
                continue
            if first.block == second.block:
                return first.event < second.event
            return second.block in self._forward(one.stack[level])[first.block]
        return False

    def _forward(self, key: FunctionKey) -> tuple[frozenset[int], ...]:
        found = self._later.get(key)
        if found is None:
            found = self._later[key] = _forward(self.program.body(key).function.blocks)
        return found


def _forward(blocks: Sequence[Block]) -> tuple[frozenset[int], ...]:
    """For each block those that come after it without going back to the head of a loop."""
    rank = {block: number for number, block in enumerate(_postorder(blocks))}
    later: list[frozenset[int]] = [frozenset()] * len(blocks)
    for block in sorted(rank, key=rank.__getitem__):
        direct = {e.to for e in blocks[block].edges if rank[e.to] < rank[block]}
        later[block] = frozenset(direct).union(*(later[to] for to in direct))
    return tuple(later)


def _postorder(blocks: Sequence[Block]) -> Iterator[int]:
    """The blocks, each after those that it leads to (but for those that lead back)."""
    seen = {0}
    stack = [(0, iter(blocks[0].edges))] if blocks else []
    while stack:
        at, edges = stack[-1]
        for edge in edges:
            if edge.to not in seen:
                seen.add(edge.to)
                stack.append((edge.to, iter(blocks[edge.to].edges)))
                break
        else:
            stack.pop()
            yield at


def moved(
    anchor: FunctionKey, pairs: Sequence[tuple[GuardedEvent, GuardedEvent]], before: _Order, after: _Order
) -> Iterator[Changed]:
    """What is done before something that it was done after, or after what it was done before, as few events as explain
    it: the order counts where one of the two is a lock, a wait, a wake-up or the like, and between calls."""
    counted = [(b, a) for b, a in pairs if b.op not in (QUIET, RETURN, LEAVE, SET)][:MAX_ORDERED_EVENTS]
    turned: dict[int, set[int]] = {}
    for i, (b1, a1) in enumerate(counted):
        for j in range(i + 1, len(counted)):
            b2, a2 = counted[j]
            if not (b1.ordered or b2.ordered or b1.op == b2.op == CALL):
                continue
            was, now = (
                before.precedes(b1, b2) - before.precedes(b2, b1),
                after.precedes(a1, a2) - after.precedes(a2, a1),
            )
            if was * now < 0:
                turned.setdefault(i, set()).add(j)
                turned.setdefault(j, set()).add(i)
    while turned:
        most = max(turned, key=lambda i: (len(turned[i]), counted[i][0].ordered, -i))
        with_ = turned.pop(most)
        other = min(with_, key=lambda i: (_weight(counted[i][1]), i))
        later = before.precedes(counted[most][0], counted[other][0])
        yield Changed(MOVED, anchor, *counted[most], past=counted[other][1], later=later)
        for i in with_:
            turned[i].discard(most)
            if not turned[i]:
                del turned[i]
