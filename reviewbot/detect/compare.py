"""Two lists of guarded events compared: what is new, gone, or done under other conditions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from reviewbot.detect.changed import GONE, GUARD, NEW, OTHER, Changed
from reviewbot.detect.guarded import (
    QUIET,
    Guard,
    GuardedEvent,
)
from reviewbot.function_key import FunctionKey
from reviewbot.limits import MAX_COMPARED_CONDITIONS


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
