"""What a lock call does to where a function is: what it holds afterwards, and what it knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reviewbot.analysis.code.expr import PLUS, ZERO
from reviewbot.analysis.code.identity import Scope, scope, without_file
from reviewbot.analysis.locks.plan import Values
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_LOCKS_HELD
from reviewbot.replay.slicing.automaton import SlicedOp
from reviewbot.replay.slicing.reader import CallAct
from reviewbot.types import Place

SHARED = frozenset({("sem", "x"), ("queue", "r"), ("percpu_ref", "r")})
"""Held things that another task may give back: class and mode."""


_TELLS = {"killable": ZERO, "pointer": PLUS}
"""How a call takes a lock whose result says so -> the sign of that result."""


class HeldToken(NamedTuple):
    """A lock that the task holds; `other`: of another instance than the one that is followed, `apart`: as its level says."""

    lock: str
    mode: str
    base: str
    other: bool
    apart: bool = False


Held = tuple[HeldToken, ...]


class LockState(NamedTuple):
    """Where a function is: block, event, what is held and what is known of values."""

    block: int
    event: int
    held: Held
    values: Values


def locked(
    state: LockState, act: CallAct, lock: str, base: str, place: Place, text: str, keep: bool, apart: bool = False
) -> Iterator[tuple[SlicedOp | None, LockState]]:
    """The steps of a lock call, each with where the function is after it; none where the call cannot be.

    state: behind the call. lock, base: which one. text: the call, as the name of its result. keep: as for `lasting`.
    apart: the level at which it is taken is not the one that is followed.
    """
    if act.does in ("release", "downgrade"):
        return _given_back(state, act, lock, base, place)
    return _taken(state, act, lock, base, place, text, keep, apart)


def _given_back(
    state: LockState, act: CallAct, lock: str, base: str, place: Place
) -> Iterator[tuple[SlicedOp | None, LockState]]:
    """The steps of a call that gives a lock back, or keeps it for reading only; none for who does not hold it."""
    if (act.klass, act.mode) in SHARED:
        yield SlicedOp("give", lock, act.mode, act.call, place), state
    elif mine := _mine(state.held, lock, base, act.klass in KERNEL.latches):
        rest = list(state.held)
        rest.remove(mine)
        kept = (mine._replace(mode="r"),) if act.does == "downgrade" else ()
        kind, how = ("keep", "r") if kept else ("give", mine.mode)
        step = None if mine.other else SlicedOp(kind, lock, how, act.call, place)
        yield step, state._replace(held=(*rest, *kept))
    elif act.klass in KERNEL.latches:
        yield None, state


def _taken(
    state: LockState, act: CallAct, lock: str, base: str, place: Place, text: str, keep: bool, apart: bool
) -> Iterator[tuple[SlicedOp | None, LockState]]:
    """The steps of a call that takes a lock, or tries to."""
    held = state.held
    if act.klass in KERNEL.latches and any(t.lock == lock and t.base == base for t in held):
        yield None, state
        return
    same = (t for t in held if t.lock == lock and not t.apart)
    other = apart or any(t.base != base and not _entered_with(t, base) for t in same)

    def op(kind: str) -> SlicedOp | None:
        return None if other else SlicedOp(kind, lock, act.mode, act.call, place)

    now = held if (act.klass, act.mode) in SHARED else (*held, HeldToken(lock, act.mode, base, other, apart))
    taken = state._replace(held=now, values=lasting(state.values, keep))
    if act.does == "transient":
        yield op("pass"), state
    elif len(now) > MAX_LOCKS_HELD:
        return
    elif act.does == "try":
        yield op("try"), taken._replace(values=taken.values | {(text, PLUS)})
        yield op("fail"), state._replace(values=state.values | {(text, ZERO)})
    elif act.does in _TELLS:
        yield op("take"), taken._replace(values=taken.values | {(text, _TELLS[act.does])})
    else:
        yield op("take"), taken


def _entered_with(token: HeldToken, base: str) -> bool:
    """Whether a variable is locked, by its own name, that the function was entered with: there is only one."""
    return not token.base and scope(token.lock) is Scope.GLOBAL and base.lstrip("&") == without_file(token.lock)


def _mine(held: Held, lock: str, base: str, exact: bool) -> HeldToken | None:
    """The lock that is given back: the one of that object, else (unless `exact`) the one that was taken last."""
    same = [t for t in held if t.lock == lock and (not exact or t.base == base)]
    return next((t for t in same if t.base == base), same[-1] if same else None)


def lasting(values: Values, keep: bool) -> Values:
    """What is still known after a lock was waited for: with `keep`, what stands in memory may have changed."""
    return frozenset(v for v in values if "->" not in v[0] or "(" in v[0]) if keep else values
