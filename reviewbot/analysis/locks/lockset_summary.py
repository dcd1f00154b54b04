"""What the paths through one function say of locks: what is held at each of its calls, and what its returns leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reviewbot.analysis.code import identity
from reviewbot.analysis.code.expr import ANY, MINUS, PLUS, ZERO
from reviewbot.analysis.events.kinds import Held as HeldLock
from reviewbot.analysis.locks.flow import VOID
from reviewbot.analysis.locks.plan import ATOMIC, BH_OFF, IRQ_OFF, MASK, Held, LockDelta, LockToken
from reviewbot.kernel import KERNEL

NAMES = {ZERO: "zero", MINUS: "negative", PLUS: "positive", VOID: "void"}


class At(NamedTuple):
    """What is held at one call: see `kinds.Site`."""

    held: tuple[HeldLock, ...] = ()
    maybe: tuple[HeldLock, ...] = ()
    coarse: tuple[HeldLock, ...] = ()
    dropped: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    """What is kept away on every path, whatever lock it is for: interrupts, softirqs, the scheduler (`plan.MASK`)."""
    on: tuple[str, ...] = ()
    """What of that the caller kept away, and some path lets come again."""

    @property
    def faultless(self) -> bool:
        """Whether page faults are off."""
        return any(h.klass == "pagefault" for h in self.held)


NOTHING = At()


class ExitState(NamedTuple):
    """What returns of one class leave: taken and dropped on all paths, or (not agreed) on some."""

    result: int
    takes: tuple[LockToken, ...]
    drops: tuple[LockToken, ...]
    agreed: bool


class Under(NamedTuple):
    """A call: the callee's key (or the node called through), with what is held and kept away there."""

    callee: str
    held: tuple[HeldLock, ...]
    dropped: tuple[str, ...]
    """Locks of the caller's own callers that it has given up."""
    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()


class LockSummary(NamedTuple):
    """The locks of one function: at each call (by its index), and at its returns."""

    at: Mapping[int, At]
    left: tuple[ExitState, ...]
    changes: tuple[LockDelta, ...]
    """What it does to its caller's locks, as a call of it."""
    moves: bool
    """It takes or drops a lock of its caller somewhere: constants handed in may matter."""
    escapes: tuple[LockDelta, ...] = ()
    """For a macro: the same for returns from the function that uses it."""
    cut: bool = False
    under: tuple[Under, ...] = ()
    result: int = ANY
    """The signs of what it returns."""

    @property
    def outward(self) -> tuple[object, ...]:
        """All that a caller's record depends on."""
        return self.changes, self.moves, self.escapes, self.result


EMPTY = LockSummary({}, (), (), False)


def at_call(paths: set[Held], coarse: set[Held]) -> At:
    """Locksets at one call. paths: what is held on each path, conditions correlated; coarse: the same with each
    condition by itself, which sees more paths."""
    if paths == {()} == coarse:
        return NOTHING
    off, on = _kept_away(paths)
    paths, coarse = locks_of(paths), locks_of(coarse)
    held = _must(paths)
    maybe = _may(paths) - set(_names(held))
    some = _may(coarse) - maybe - set(_names(held))
    gone = ({t.lock for t in p if not t.mine and _leaves(t)} for p in paths)
    dropped = set.intersection(*gone) if paths else set()
    return At(held, _some(paths, maybe), _some(coarse, some), tuple(sorted(dropped)), off, on)


def locks_of(paths: set[Held]) -> set[Held]:
    """The locks alone, without what is kept away meanwhile."""
    return {tuple(t for t in path if t.klass != MASK) for path in paths}


def _kept_away(paths: set[Held]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What every path keeps away, and what of its caller's some path lets come again."""
    mine = [{t.lock for t in path if t.klass == MASK and t.mine} for path in paths]
    for names in mine:
        if IRQ_OFF in names:
            names.add(BH_OFF)  # softirqs run when interrupts are over
    on = {t.lock for path in paths for t in path if t.klass == MASK and not t.mine}
    return tuple(sorted(set.intersection(*mine))) if mine else (), tuple(sorted(on))


def off_with(holds: tuple[HeldLock, ...]) -> tuple[str, ...]:
    """What a caller outside of the code at hand may keep away who holds these: all of it, where one is held without sleep."""
    spins = any(KERNEL.atomic(held.klass) and held.klass != "rcu" for held in holds)
    return tuple(sorted((ATOMIC, BH_OFF, IRQ_OFF))) if spins else ()


def _names(held: tuple[HeldLock, ...]) -> list[str]:
    return [h.lock for h in held]


def _must(paths: set[Held]) -> tuple[HeldLock, ...]:
    """What every path holds; a lock held in different modes has mode `*`."""
    counted: list[dict[str, list[LockToken]]] = []
    for path in sorted(paths):
        locks: dict[str, list[LockToken]] = {}
        for token in path:
            if token.mine:
                locks.setdefault(token.lock, []).append(token)
        counted.append(locks)
    if not counted:
        return ()
    out = []
    for lock in sorted(set.intersection(*(set(c) for c in counted))):
        tokens = [t for c in counted for t in c[lock]]
        modes = {t.mode for t in tokens}
        count = min(len(c[lock]) for c in counted)
        out.append(HeldLock(lock, modes.pop() if len(modes) == 1 else "*", tokens[0].klass, count))
    return tuple(out)


def _may(paths: set[Held]) -> set[str]:
    return {t.lock for p in paths for t in p if t.mine}


def _some(paths: set[Held], locks: set[str]) -> tuple[HeldLock, ...]:
    found: dict[str, HeldLock] = {}
    for path in sorted(paths) if locks else ():
        for t in path:
            if t.mine and t.lock in locks:
                found.setdefault(t.lock, HeldLock(t.lock, t.mode, t.klass))
    return tuple(found[lock] for lock in sorted(found))


def left_by(exits: Mapping[int, set[Held]]) -> tuple[ExitState, ...]:
    """What returns leave, per class; throttles, latches and scopes apart from locks, because they agree less often."""
    out = []
    for (result, kind), states in sorted(_by_class(exits).items()):
        if kind in (SCOPE, KEPT):
            states = {_scopes(states) if kind == SCOPE else _masked(states)}
        if kind == LOCK or states != {()}:
            out.append(_exit_state(result, states))
    return tuple(out)


def _by_class(exits: Mapping[int, set[Held]]) -> dict[tuple[int, int], set[Held]]:
    """Sign of the result and kind of what is held -> what is left then."""
    found: dict[tuple[int, int], set[Held]] = {}
    for signs, states in exits.items():
        for one in (ZERO, MINUS, PLUS, VOID):
            for state in states if signs & one else ():
                left = [t for t in state if _leaves(t)]
                for kind in KINDS:
                    found.setdefault((one, kind), set()).add(tuple(t for t in left if _kind(t) == kind))
    return found


def _exit_state(result: int, states: set[Held]) -> ExitState:
    agreed = len({frozenset((t.lock, t.mine) for t in state) for state in states}) == 1
    if agreed and states:
        tokens = list(min(states))
    else:
        first: dict[tuple[str, bool], LockToken] = {}
        for t in (t for state in sorted(states) for t in state):
            first.setdefault((t.lock, t.mine), t)
        tokens = [t for _, t in sorted(first.items())]
    return ExitState(result, tuple(t for t in tokens if t.mine), tuple(t for t in tokens if not t.mine), agreed)


def with_names(left: tuple[ExitState, ...]) -> tuple[ExitState, ...]:
    """What returns leave of locks alone, without what is kept away meanwhile."""
    return tuple(x for x in left if not any(t.klass == MASK for t in (*x.takes, *x.drops)))


def _scopes(states: set[Held]) -> Held:
    """The scopes that are entered on all paths, and those that are left on some: who leaves one under a condition is
    only called by who is inside."""
    entered = set.intersection(*({t.lock for t in state if t.mine} for state in states))
    tokens = {(t.lock, t.mine): t for state in sorted(states) for t in state}
    return tuple(t for (lock, mine), t in sorted(tokens.items()) if not mine or lock in entered)


def _masked(states: set[Held]) -> Held:
    """What may be kept away afterwards: what some path turns off, and what all of them let come again. Where paths do not
    agree, nothing is concluded from interrupts that are on."""
    let = set.intersection(*({t.lock for t in state if not t.mine} for state in states))
    tokens = {(t.lock, t.mine): t for state in sorted(states) for t in state}
    return tuple(t for (lock, mine), t in sorted(tokens.items()) if mine or lock in let)


def _leaves(token: LockToken) -> bool:
    """Whether a lock that is left held means anything to a caller."""
    # of a lock known by its type alone nobody can say whose it is: it may have come back from a call, taken
    return identity.scope(token.lock) is not identity.Scope.STACK and not token.lock.startswith("*")


_THROTTLES = frozenset((group.klass, group.mode) for group in KERNEL.api.lock if group.throttle)


KINDS = LOCK, LATCH, THROTTLE, SCOPE, KEPT = range(5)


def _kind(token: LockToken) -> int:
    if throttles(token):
        return THROTTLE
    if token.klass == MASK:
        return KEPT
    return LATCH if token.klass in KERNEL.latches else SCOPE if token.klass == "scope" else LOCK


def throttles(token: LockToken) -> bool:
    """Whether another task often gives it back: it is no part of a function's net effect."""
    return (token.klass, token.mode) in _THROTTLES


def net(left: tuple[ExitState, ...], keep: bool = False) -> tuple[LockDelta, ...]:
    """What callers see: per return class what all paths agree on, classes that do the same taken together."""
    merged: dict[tuple[tuple[LockToken, ...], tuple[LockToken, ...]], int] = {}
    apart = [
        {x.result: x for x in left if any(_kind(t) == kind for t in (*x.takes, *x.drops))}
        for kind in (LATCH, SCOPE, KEPT)
    ]
    for x in left:
        if any(_kind(t) != LOCK for t in (*x.takes, *x.drops)):
            continue
        signs = ANY if x.result == VOID and not keep else x.result
        for way in _ways(x, [found[x.result] for found in apart if x.result in found]):
            merged[way] = merged.get(way, 0) | signs
    if set(merged) == {((), ())} and not keep:
        return ()
    return tuple(LockDelta(signs, drops, takes) for (drops, takes), signs in sorted(merged.items(), key=lambda i: i[1]))


def _ways(x: ExitState, apart: list[ExitState]) -> list[tuple[tuple[LockToken, ...], tuple[LockToken, ...]]]:
    """What a return class drops and takes, with and without what is left apart from locks where paths do not agree."""
    ways = [(_mine(x.drops), x.takes) if x.agreed else ((), ())]
    for more in apart:
        both = [((*d, *_mine(more.drops)), (*t, *more.takes)) for d, t in ways]
        ways = both if more.agreed else [*ways, *both]
    return ways


def _mine(tokens: tuple[LockToken, ...]) -> tuple[LockToken, ...]:
    return tuple(t._replace(mine=True) for t in tokens)
