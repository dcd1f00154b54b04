"""What a walk through functions is made of: who is called with what, where it is inside of a callee, how it came out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reviewbot.analysis.locks.plan import Values
from reviewbot.replay.slicing.lock_calls import Held, State
from reviewbot.replay.slicing.reader import Act, Target
from reviewbot.types import Place


class Frame(NamedTuple):
    """A function as it is called: with which objects, held locks and known values of its parameters."""

    key: str
    ids: tuple[str, ...]
    types: tuple[str, ...]
    bases: tuple[str, ...]
    held: Held
    given: Values

    def about(self, positions: Iterable[int]) -> tuple[tuple[str, ...], ...]:
        """What some of the arguments are."""
        return tuple((*self.ids[i : i + 1], *self.types[i : i + 1], *self.bases[i : i + 1]) for i in positions)


class Site(NamedTuple):
    """A call as a frame makes it: all of it that does not change with what is held and known."""

    text: str
    place: Place
    acts: tuple[Act, ...] | None
    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    skips: bool = False
    """It may also be none of the targets."""
    asked: frozenset[int] = frozenset()
    """The caller's arguments that decided whether it is followed."""
    of: tuple[frozenset[int], ...] = ()
    """For each argument of the call, the caller's own that it is made of."""


class Read(NamedTuple):
    """A function that was read: which of its arguments made a difference, what they were, the number of its program."""

    used: tuple[int, ...]
    about: tuple[tuple[str, ...], ...]
    program: int | None
    """None where it never returns."""


class Inside(NamedTuple):
    """At a place of a callee's program; `after` is where the caller goes on."""

    program: int
    place: int
    after: State
    text: str


class End(NamedTuple):
    """A return: with what is held and the signs of the result; `escapes`: from a macro, out of its user."""

    held: Held
    signs: int
    escapes: bool = False


class Choice(NamedTuple):
    """One of these, by free choice."""

    states: tuple[Inside | State | End, ...]
