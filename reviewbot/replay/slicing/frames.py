"""The states of a walk through functions: the frame of a call, a place inside of a callee, a return, a choice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reviewbot.analysis.locks.plan import Values
from reviewbot.function_key import FunctionKey
from reviewbot.replay.slicing.lock_calls import Held, LockState
from reviewbot.replay.slicing.reader import CallAct, Target
from reviewbot.types import Place


class Frame(NamedTuple):
    """A call of the function `key`. Per argument: ids (identity), types (struct), bases (instance); held: locks held at
    the call; given: what is known of the parameters' values."""

    key: FunctionKey
    ids: tuple[str, ...]
    types: tuple[str, ...]
    bases: tuple[str, ...]
    held: Held
    given: Values

    def about(self, positions: Iterable[int]) -> tuple[tuple[str, ...], ...]:
        """Identity, struct type and instance of the arguments at some positions, in their order."""
        return tuple((*self.ids[i : i + 1], *self.types[i : i + 1], *self.bases[i : i + 1]) for i in positions)


class FrameSite(NamedTuple):
    """One call in a frame: what does not depend on locks held and values known there, so that it is computed once."""

    text: str
    place: Place
    acts: tuple[CallAct, ...] | None
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


class CalleeRead(NamedTuple):
    """The result of reading a function. used: positions of the arguments that made a difference; about: what these
    were; program: the number of its automaton."""

    used: tuple[int, ...]
    about: tuple[tuple[str, ...], ...]
    automaton: int | None
    """None where it never returns."""


class Inside(NamedTuple):
    """The walk is inside of a callee, at `place` of the automaton number `automaton`; `after` is the state in which the
    caller goes on."""

    automaton: int
    place: int
    after: LockState
    text: str


class End(NamedTuple):
    """The walk is at a return. held: locks held there; signs: those of the result; escapes: a macro returns from the
    function that uses it."""

    held: Held
    signs: int
    escapes: bool = False


class BranchChoice(NamedTuple):
    """The walk goes on in any of these states, one freely chosen."""

    states: tuple[Inside | LockState | End, ...]
