"""How sure a finding is: all doubt of it as one number, with the parts that it is made of."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import NamedTuple

import msgspec

COMMENT_ABOVE = 0.3
"""A finding with a higher score is shown as a comment, where nobody says otherwise."""


class Doubt(StrEnum):
    """A fact about a finding that makes it less sure."""

    OWN = "own-lock"
    DEPTH = "depth"
    POINTER = "pointer"
    STATE = "state"
    ASKED = "asked"
    RUN = "run"
    FRESH = "fresh"
    LAST = "last-reference"
    FREED = "freed"
    FAR_PROVIDER = "far-provider"
    OTHER_PROVIDER = "other-provider"
    GIVEN_BACK = "given-back"
    UNSEEN = "unseen"
    TAKERS = "takers-seen"
    BELOW = "below"
    OPAQUE = "opaque-call"
    UNREAD = "unread"
    UNREACHED = "unreached"
    UNSETTLED = "unsettled"
    NAMES = "names"
    DIFFERENCE = "difference"
    RULE = "rule"

    @property
    def says(self) -> str:
        """The same as a clause for the maintainer."""
        return _KINDS[self][0]

    @property
    def leaves(self) -> float:
        """What it leaves of a score."""
        return _KINDS[self][1]


# In three steps: who sees one alone may still be right (0.7), is right about as often as not among what is shown (0.5), or
# has a harmless twin in the corpus that looks the same (0.3 and less): those are not shown by themselves.
_KINDS: dict[Doubt, tuple[str, float]] = {
    Doubt.OWN: ("each object has a lock of that name, and it may be that of another", 0.3),
    Doubt.DEPTH: ("many calls lie between what is held and what is waited for", 0.5),
    Doubt.POINTER: ("a pointer on the way may stand for something else", 0.3),
    Doubt.STATE: ("the state of an object decides whether it comes there", 0.3),
    Doubt.ASKED: ("a flag of the caller decides whether it comes there", 0.3),
    Doubt.RUN: ("no one run is seen to go down these calls", 0.2),
    Doubt.FRESH: ("its object has just been made", 0.3),
    Doubt.LAST: ("only where the last reference is given back", 0.3),
    Doubt.FREED: ("what the lock is in is freed behind the wait, before it is given back", 0.3),
    Doubt.FAR_PROVIDER: ("who would end the wait is many calls away from it", 0.3),
    Doubt.OTHER_PROVIDER: ("somebody else may end the wait", 0.3),
    Doubt.GIVEN_BACK: ("what is held may have been given back on the way", 0.3),
    Doubt.UNSEEN: ("nobody is seen who would have to end the wait and needs what is held", 0.5),
    Doubt.TAKERS: ("the lock is one of this code, in which nobody who has it waits for what is held", 0.5),
    Doubt.BELOW: ("it happens in a callee", 0.5),
    Doubt.OPAQUE: ("it rests on a call that cannot be read", 0.2),
    Doubt.UNREAD: ("what it passes through cannot be replayed", 0.5),
    Doubt.UNREACHED: ("no run of the replay comes there", 0.3),
    Doubt.UNSETTLED: ("the replay did not come to an end", 0.5),
    Doubt.NAMES: ("the names of two functions are all that says so", 0.5),
    Doubt.DIFFERENCE: ("it rests on the difference of the two versions alone", 0.5),
    Doubt.RULE: ("its rule was right too seldom", 0.5),
}


class ScorePart(NamedTuple):
    """One doubt of a score, and what it leaves."""

    doubt: Doubt
    leaves: float


class Score(msgspec.Struct, frozen=True):
    """All doubt of a finding. A doubt that stands there twice counts twice: two pointers on the way."""

    doubts: tuple[Doubt, ...] = ()

    @property
    def parts(self) -> tuple[ScorePart, ...]:
        """The doubts, the gravest first, each with what it leaves."""
        found = [ScorePart(doubt, doubt.leaves**times) for doubt, times in Counter(self.doubts).items()]
        return tuple(sorted(found, key=lambda part: part.leaves))

    @property
    def value(self) -> float:
        """From 0 to 1, where 1 is no doubt at all."""
        product = 1.0
        for part in self.parts:
            product *= part.leaves
        return product

    def __str__(self) -> str:
        """`0.50: it happens in a callee (0.50)`."""
        told = "; ".join(f"{part.doubt.says} ({part.leaves:.2f})" for part in self.parts)
        return f"{self.value:.2f}{f': {told}' if told else ''}"
