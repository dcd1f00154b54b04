"""What a function owes to others and may not do any more: a wake-up, the end of I/O, queued work, a barrier, an unlock.

Somebody waits for it without a time limit, or waits for the I/O that it belongs to. What is found here rests on the
difference of the two versions alone and is not replayed: it is shown to whoever reviews, and never said aloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reviewbot.analysis.code.canonical import Literal
from reviewbot.analysis.events.kinds import Finish, Lock, Queue, Submit, Unlock, Wait, Wake
from reviewbot.analysis.locks.plan import LockToken
from reviewbot.analysis.program.program import Program
from reviewbot.detect.changed import GONE, GUARD, MOVED, NEW, Changed
from reviewbot.detect.guarded import (
    BARRIER,
    CALL,
    END,
    LEAVE,
    LOCK,
    OPAQUE,
    QUEUE,
    QUIET,
    RETURN,
    SET,
    SUBMIT,
    UNLOCK,
    WAIT,
    WAKE,
    WRITE,
    GuardedEvent,
    GuardedEvents,
)
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_CALLS_TO_DUTY
from reviewbot.score import Doubt
from reviewbot.types import Place, Value

_EFFECTS = {WAKE: "wake", END: "finish", QUEUE: "queue"}
_DISCHARGES = frozenset(_EFFECTS.values())
"""Kinds of effects that others wait for."""
_KIN = {END: (END, SUBMIT, QUEUE), QUEUE: (END, QUEUE), WAKE: (WAKE,), UNLOCK: (UNLOCK,)}
"""What discharges the same obligation: I/O that is handed on is ended by others."""
_FACTS = {END: Finish, QUEUE: Queue, SUBMIT: Submit, WAKE: Wake}
"""The facts of what is done so: one call may do several of it."""
_CALLED = re.compile(r"(\w+)\(")
_WAITS = frozenset({"wait", "flush"})
_SCOPES = ("guard(", "scoped_guard(", "CLASS(")
"""What is given back where its scope is left, whichever way leads out of it."""
_HOW = {"gone": "does no longer", "guarded": "does under more conditions", "late": "does only after a wait"}


class Obligation(Value, frozen=True):
    """Something that a function did for others and may leave undone since a change.

    how: gone, guarded (done under more conditions), late (only after a wait).
    """

    key: FunctionKey
    how: str
    op: str
    """wake, end I/O, queue, barrier, unlock; call where it is done in a callee."""
    what: str
    """The call as it is written."""
    at: Place
    object: str = ""
    """What is woken or queued; empty where it is not known, or all of it is in a callee."""
    gained: tuple[str, ...] = ()
    """Conditions under which alone it is done now."""
    past: str = ""
    """The wait that it comes after now."""
    sleeper: Place | None = None
    """Somebody who waits for it without a time limit, where one is known."""
    rests: str = ""
    """The change of the code that it rests on, as a phrase with its place."""

    @property
    def function(self) -> str:
        """Name of the function."""
        return self.at.function

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Why it may be nothing after all: of what comes later only a callee knows, and both still happen."""
        return (Doubt.BELOW,) if self.how == "late" else ()


def undone(before: Program, after: Program, changes: Sequence[Changed]) -> Iterator[Obligation | Dropped]:
    """What is owed and may be left undone, by functions that both sides have; between it what came to nothing.

    Nothing is said of a function that calls something new which cannot be read: that may do it.
    """
    unread = {c.anchor for c in changes if c.kind == NEW and OPAQUE in c.event.below}
    sleepers, events = _Sleepers(after), GuardedEvents(after)
    seen: set[tuple[FunctionKey, str, str]] = set()
    for change in changes:
        key = change.anchor
        if key not in after.names.functions or key not in before.names.functions:
            continue
        for event in (change.event, *change.also):
            how = _how(change, event)
            if not how or (key, event.op, event.callee) in seen:
                continue
            if key in unread:
                reason = "the function calls something new that cannot be read"
            else:
                reason = _done(before, after, change, event, how, changes, events.of(key))
            if reason:
                yield Dropped(LeadPlace(event.at, f"{_HOW[how]} {event.text or event.words}"), reason)
            else:
                seen.add((key, event.op, event.callee))
                yield _obligation(change, event, how, sleepers)


def _done(
    before: Program,
    after: Program,
    change: Changed,
    event: GuardedEvent,
    how: str,
    changes: Sequence[Changed],
    now: Sequence[GuardedEvent],
) -> str:
    """Why nothing is left undone after all; empty where nothing says so. now: the events of the function after."""
    key, unlocks = change.anchor, event.op == UNLOCK
    if unlocks and (how == "guarded" or _brief(event)) and not _left_otherwise(before, after, key, event):
        return "each return leaves the lock as one did before"
    if how == "late":
        return "" if _near(after, key, event) else "what others wait for is many calls below"
    if how == "gone":
        if _never_comes(event, key, changes, now):
            return "what it was done after does not happen any more"
        made_up = _made_up(before, after, key, event, changes)
        return "something else does it now, or what it told of is gone" if made_up else ""
    if event.op == BARRIER and _nothing_behind(change, event, now):
        return "nothing is done behind it where the new condition does not hold"
    if _told(change, event, changes, now):
        return "the function returns there what says so"
    if unlocks and _locked_anew(event, key, changes):
        return "something else is done about the lock"
    instead = _instead(change, event, changes, now)
    return "something else is done where the new condition does not hold" if instead else ""


def _how(change: Changed, event: GuardedEvent) -> str:
    """In which way something owed is left undone; empty where it is not, or nothing is owed."""
    direct = event.op in (WAKE, END, QUEUE, BARRIER, UNLOCK) and not event.text.startswith(_SCOPES)
    below = event.op == CALL and bool(event.below & _DISCHARGES)
    if not (direct or below):
        return ""
    if change.kind == GONE:
        return "gone"
    if change.kind == GUARD and change.gained and not change.lost and direct:
        return "guarded"
    if change.kind == MOVED and change.later and change.past is not None and below:
        past = change.past
        return "late" if past.op == WAIT or past.below & _WAITS else ""
    return ""


def _made_up(
    before: Program, after: Program, key: FunctionKey, event: GuardedEvent, changes: Sequence[Changed]
) -> bool:
    """Whether something else does it now: the same call in another place, or another call with the same effects."""
    new = [c for c in changes if c.kind == NEW]
    if any((c.event.op, c.event.callee) == (event.op, event.callee) for c in new):
        return True
    if event.op == UNLOCK:
        return _locked_anew(event, key, changes)
    here = [c.event for c in new if c.anchor == key]
    if event.op in (WAKE, QUEUE) and any(c.kind == GONE and c.event.op == WRITE and c.anchor == key for c in changes):
        return True  # what it told of is gone, too
    if event.op != CALL:
        return any(_of_kin(event, e) for e in here)
    was, now = ({(e.kind, e.object) for e in p.does(key) if e.kind in _DISCHARGES} for p in (before, after))
    return was <= now


def _of_kin(event: GuardedEvent, other: GuardedEvent) -> bool:
    """Whether another event discharges what one does, itself or in what it calls; a thread may be made and woken by one call."""
    if other.callee in KERNEL.started and any(isinstance(f, Wake) and f.klass == "task" for f in event.facts):
        return True
    kin = _KIN.get(event.op, ())
    facts = tuple(fact for op, fact in _FACTS.items() if op in kin)
    below = _EFFECTS.get(event.op, "") in other.below
    return other.op in kin or below or any(isinstance(f, facts) for f in other.facts)


def _left_otherwise(before: Program, after: Program, key: FunctionKey, event: GuardedEvent) -> bool:
    """Whether a return leaves the lock of an unlock in a way in which none did before. Where the lock is held for longer, and
    given back all the same, other rules look into what is done under it. That says little only of a lock under which nobody
    may sleep."""
    locks, ways = _locks(event), []
    for program in (before, after):
        record = program.locksets.record(key)
        if record.cut:
            return True
        found = {(_of(w.takes, locks), _of(w.drops, locks)) for w in record.left}
        ways.append(found | {((), ()) for w in record.left if not w.agreed})
    return not ways[1] <= ways[0]


def _brief(event: GuardedEvent) -> bool:
    """Whether nobody sleeps who has the lock of an unlock: to hold it for longer makes nobody wait for what others do."""
    return not any(map(KERNEL.sleeping, (k for f in event.facts if isinstance(f, Unlock) for k in f.klass.split("/"))))


def _of(tokens: Sequence[LockToken], locks: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """The tokens of some locks, without the instances."""
    return tuple(sorted((t.lock, t.mode) for t in tokens if t.lock in locks))


def _never_comes(
    event: GuardedEvent, key: FunctionKey, changes: Sequence[Changed], now: Sequence[GuardedEvent]
) -> bool:
    """Whether it was done where a call had said so that the function makes no longer (the failure of what is not tried), or
    before a way out of the function that is gone, too: then the function goes on to do what it does elsewhere."""
    if event.op != UNLOCK and any(
        c.kind == GONE and c.anchor == key and c.event.op == RETURN and _before(event, c.event) for c in changes
    ):
        return True
    made = {e.callee for e in now}
    gone = (c.event for c in changes if c.anchor == key and c.kind == GONE and c.event.op != QUIET)
    calls = {e.callee for e in gone if e.callee not in made} - set(KERNEL.words["asks_for_sleepers"])
    asked = {name for literal in event.guard for name in _CALLED.findall(literal.value)}
    return bool(asked & calls)


def _nothing_behind(change: Changed, event: GuardedEvent, now: Sequence[GuardedEvent]) -> bool:
    """Whether all that stands behind a barrier is done under its new conditions, too."""
    behind = (e for e in now if e.way > event.way and e.op not in (RETURN, LEAVE, SET, QUIET))
    return all(change.gained <= e.guard for e in behind)


def _near(program: Program, key: FunctionKey, event: GuardedEvent) -> bool:
    """Whether a call comes to what others wait for in a few calls."""
    calls = (call for call in program.body(event.stack[-1]).calls if call.line == event.at.line)
    targets = {
        t for call in calls if call.callee == event.callee for t in program.callgraph.reached(event.stack[-1], call)
    }
    return any(
        len(program.effects.chain(target, effect)) <= MAX_CALLS_TO_DUTY
        for target in targets
        for effect in program.does(target)
        if effect.kind in _DISCHARGES
    )


def _before(event: GuardedEvent, leaves: GuardedEvent) -> bool:
    """Whether a return stands behind an event, and under what that is done under."""
    return bool(event.guard) and event.way < leaves.way and event.guard <= leaves.guard


def _told(change: Changed, event: GuardedEvent, changes: Sequence[Changed], now: Sequence[GuardedEvent]) -> bool:
    """Whether the function leaves, where a new condition does not hold, with a value that says that it is not done: one that
    it returned before, and does not return where it is done."""
    new = {c.event.way for c in changes if c.kind == NEW and c.anchor == change.anchor}
    returns = [e for e in now if e.op == RETURN]
    done = {e.words for e in returns if e.way not in new and _can_follow(event, e)}
    for literal in change.gained:
        other = Literal(literal.value, 7 & ~literal.signs)
        leaves = {
            e.words
            for e in returns
            if any(lit.value == other.value and not lit.signs & literal.signs for lit in e.guard)
        }
        if leaves and "" not in leaves and not leaves & done:
            return True
    return False


def _can_follow(event: GuardedEvent, later: GuardedEvent) -> bool:
    """Whether one run can do both, one after the other."""
    signs = {lit.value: lit.signs for lit in event.guard}
    return later.at.line >= event.at.line and all(signs.get(lit.value, 7) & lit.signs for lit in later.guard)


def _locked_anew(event: GuardedEvent, key: FunctionKey, changes: Sequence[Changed]) -> bool:
    """Whether the function does something else about the same lock, or of its kind, than to leave it held."""
    locks = _locks(event)
    if not locks:
        return True
    for change in changes:
        for other in (change.event, *change.also) if change.anchor == key else ():
            about = other.op in (LOCK, UNLOCK) and other.words != event.words and _locks(other) & locks
            if about or (change.kind == NEW and other.below & {"lock", "unlock"}):
                return True
    return False


def _locks(event: GuardedEvent) -> frozenset[str]:
    return frozenset(f.lock for f in event.facts if isinstance(f, Lock | Unlock))


def _instead(change: Changed, event: GuardedEvent, changes: Sequence[Changed], now: Sequence[GuardedEvent]) -> bool:
    """Whether something can be done in its place where a new condition does not hold: something that is new there, or
    another thing of its kind that was done before."""
    new = {c.event.words for c in changes if c.kind == NEW and c.anchor == change.anchor}
    for literal in change.gained:
        if literal.value.partition("(")[0] in KERNEL.words["asks_for_sleepers"]:
            return True  # done by the last one, or where anybody sleeps
        where = {lit.value: lit.signs for lit in change.event.guard - change.gained}
        where[literal.value] = where.get(literal.value, 7) & ~literal.signs
        for other in now:
            if other.words == event.words or other.op in (RETURN, LEAVE):
                continue
            kin = other.words in new or other.op in _KIN.get(event.op, ()) or bool(other.below & _done_by(event))
            if kin and all(where.get(lit.value, 7) & lit.signs for lit in other.guard):
                return True
    return False


def _done_by(event: GuardedEvent) -> frozenset[str]:
    """Kinds of effects of a call that may do the same."""
    return frozenset({"unlock"}) if event.op == UNLOCK else _DISCHARGES


class _Sleepers:
    """Who sleeps on what, without a time limit."""

    def __init__(self, program: Program) -> None:
        self._found: dict[str, Wait] = {}
        for _, wait in program.all(Wait):
            if not wait.timeout:
                for object_ in (wait.object, *(read.partition(" & ")[0] for read in wait.reads)):
                    self._found.setdefault(object_, wait)

    def of(self, object_: str) -> Place | None:
        """Where somebody sleeps on an object."""
        wait = self._found.get(object_)
        return wait.at if wait is not None else None


def _obligation(change: Changed, event: GuardedEvent, how: str, sleepers: _Sleepers) -> Obligation:
    objects = [
        f.work if isinstance(f, Queue) else f.object for f in event.facts if isinstance(f, Wake | Queue | Finish)
    ]
    object_ = objects[0] if objects else ""
    return Obligation(
        key=change.anchor,
        how=how,
        op=event.op,
        what=event.text or event.words,
        at=change.places[0] if event is change.event else event.at,
        object=object_,
        gained=change.written(change.gained),
        past=change.past.text or change.past.words if change.past is not None else "",
        sleeper=sleepers.of(object_) if object_ else None,
        rests=f"{event.at}: {event.at.function}: {change.kind} {change.says()}",
    )
