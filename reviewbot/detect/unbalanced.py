"""Locks that a function does not give back any more, or gives back twice, since a change.

`balance` says it of one lock at a time, without doubts; what is only there when conditions are read one by one, or behind a
conditional release, has to pass some doubts first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import msgspec

from reviewbot.analysis.code.dominance import Dominance
from reviewbot.analysis.code.expr import MINUS, show
from reviewbot.analysis.code.identity import Scope, bind, file_with, known, owner, scope
from reviewbot.analysis.locks.flow import walk
from reviewbot.analysis.locks.lockset_summary import NAMES, left_by, with_names
from reviewbot.analysis.program.program import Program
from reviewbot.detect.balance import balance, locks
from reviewbot.detect.edges import REAL, Actor, Circle, changed
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.detect.providers import providers
from reviewbot.detect.waitfor import unread
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_ALTERNATIVES
from reviewbot.types import Place

RCU = "rcu"
"""The read section for which grace periods wait: its name and its class."""
OWNED = (REAL | {"ww", RCU}) - {"sem", "queue", "transaction"} - KERNEL.latches
"""Classes of locks that only who has them gives back."""
LEFT_BY_MISTAKE = frozenset({"mutex", "spin", "rwsem", "srcu", RCU})
"""Classes of locks that a function which gives them back on one failure gives back on each."""
FAILED = NAMES[MINUS]
"""The word for the result of a function that fails."""
_WORD = re.compile(r"\w+")


class _Leak(NamedTuple):
    """A lock that is left held. results: words for what is returned then; line: of such a return, 0 where the way is in
    doubt."""

    klass: str
    mode: str
    results: frozenset[str]
    line: int = 0


def unbalanced(before: Program, after: Program, names: Iterable[tuple[str, str]]) -> Iterator[Circle | Dropped]:
    """Locks that a function of `names` (file, name) leaves held since the change, or gives back twice; the detail of the
    circle names the results for which it does. Between them what came to nothing. Of a new function the ways to a failure
    are compared with each other.

    Nothing is said of a function that calls something since the change that is not at hand and may do it.
    """
    found: list[Circle] = []
    keys = changed(after, names)
    given = _given_back(after, keys) - _given_back(before, keys)
    for key in keys:
        if after.function(key).macro or after.function(key).unreadable:
            continue
        if key not in before.names.functions:
            anew = (*_left_anew(before, after, key), *_twice(before, after, key))
            found += (_at_its_end(circle) for circle in anew)
            continue
        record = after.locksets.record(key)
        if not (record.at or record.left or locks(after, key)):
            continue
        if strange := unread(after, key) - unread(before, key):
            yield Dropped(LeadPlace.of(after, key, "takes locks"), f"it calls {min(strange)}(), which cannot be read")
            continue
        found += _twice(before, after, key)
        for lock, leak in _leaks(before, after, key).items():
            lead = LeadPlace.of(after, key, f"may return with {lock} held ({', '.join(sorted(leak.results))})")
            if not leak.results:
                continue
            if lock in given:
                yield Dropped(lead, "another function that changes gives it back")
            elif reason := _meant(before, after, key, lock, leak):
                yield Dropped(lead, reason)
            elif circles := [*_kept(before, after, key, lock, leak, keys)]:
                found += circles
            else:
                yield Dropped(lead, "others may give it back, or only readers ask for it")
    twice = {circle.lock for circle in found if circle.kind == "twice"}
    # a second release looks to callers as if one of their locks were given back
    yield from (circle for circle in found if circle.kind == "twice" or circle.lock not in twice)


def _left_anew(before: Program, after: Program, key: FunctionKey) -> Iterator[Circle]:
    """Locks that a new function leaves held where it returns an error, and gives back on other ways to an error and where
    it succeeds; not where a function of its file did the same with it before."""
    if unread(after, key):
        return
    for lock, token in locks(after, key).items():
        if not _counts(lock, token.klass) or not all(klass in LEFT_BY_MISTAKE for klass in token.klass.split("/")):
            continue
        now = balance(after, key, lock)
        if now.cut or now.kept.keys() != {FAILED} or not now.given > {FAILED} or not _plainly(after, key, lock):
            continue
        if _hands_out(after, key, lock) or _where_there(after, key, lock) or _under_one(after, key, lock):
            continue
        file = after.names.file[key]
        if any(
            FAILED in balance(before, old, lock).kept for old in before.functions(file) if lock in locks(before, old)
        ):
            continue
        if any(lock in locks(after, caller) for caller in after.callers(key)):
            continue  # it may be what gives it back
        writer = providers(after).writer(lock) if token.mode == "r" else None
        if token.mode != "r" or writer is not None or _everybodys(after, lock):
            yield _left(
                after, (key,), lock, _Leak(token.klass, token.mode, frozenset({FAILED}), now.kept[FAILED]), writer
            )


def _at_its_end(circle: Circle) -> Circle:
    """The circle with its holder at the line that leaves the lock, or gives it back again: all other lines are new, too."""
    return msgspec.structs.replace(circle, holder=msgspec.structs.replace(circle.holder, at=circle.ends))


def _plainly(program: Program, key: FunctionKey, lock: str) -> bool:
    """Whether each call of a function gives a lock back, or takes it, whatever it returns, or is the kernel's own."""
    calls = program.body(key).calls
    for index, changes in program.locksets.plan(key).changes.items():
        does = {(any(t.lock == lock for t in c.takes), any(t.lock == lock for t in c.drops)) for c in changes}
        if len(does) > 1 and calls[index].callee not in KERNEL.effects:
            return False
    return True


def _given_back(program: Program, keys: Iterable[FunctionKey]) -> set[str]:
    """Locks of their callers that some functions give back: another one of them may be there to take it."""
    left = (way for key in keys if key in program.names.functions for way in program.locksets.record(key).left)
    return {token.lock for way in left for token in way.drops}


def _kept(
    before: Program, after: Program, key: FunctionKey, lock: str, leak: _Leak, changes: tuple[FunctionKey, ...]
) -> Iterator[Circle]:
    """The ways in which a lock that a function leaves held is left for good."""
    writer = providers(after).writer(lock) if leak.mode == "r" else None
    if scope(lock) is Scope.ARGUMENT:
        for caller, bound in _bound(after, key, lock):
            yield from _kept_by(after, key, bound, leak, (caller, key))
        return
    if not _counts(lock, leak.klass) or (leak.mode == "r" and writer is None and not _everybodys(after, lock)):
        return
    callers = set(after.callers(key))
    if leak.line and not balance(before, key, lock).maybe and callers.isdisjoint(changes):
        yield _left(after, (key,), lock, leak, writer)  # its callers did not give it back before, and do not now
    ways = [way for way in after.entry(key) if lock in way.locks()] or list(after.entry(key))
    yield _left(after, _concerned(after, min((way.chain for way in ways), key=len), lock), lock, leak, writer)


def _kept_by(
    program: Program, key: FunctionKey, lock: str, leak: _Leak, chain: tuple[FunctionKey, ...]
) -> Iterator[Circle]:
    writer = providers(program).writer(lock) if leak.mode == "r" else None
    if _counts(lock, leak.klass) and (leak.mode != "r" or writer is not None):
        yield _left(program, chain, lock, leak, writer)


def _bound(program: Program, key: FunctionKey, lock: str) -> Iterator[tuple[FunctionKey, str]]:
    """Callers of a function that is handed a lock, each with the lock that it hands it."""
    for caller in program.callers(key)[:MAX_ALTERNATIVES]:
        body = program.body(caller)
        for call in body.calls:
            if key in program.callgraph.reached(caller, call):
                ids, types, _ = program.locksets.arguments(body, call)
                if known(bound := bind(lock, ids, types)):
                    yield caller, bound
                    break


def _everybodys(program: Program, lock: str) -> bool:
    """Whether somebody asks for write whom nobody at hand need be: a lock that the kernel's headers declare is there for
    writers, too, and a grace period of RCU is waited for everywhere."""
    if lock == RCU:
        return True
    owned = owner(lock)
    if not owned:
        return scope(lock) is Scope.GLOBAL and not file_with(lock)
    return lock in KERNEL.written or all(path.startswith("include/") for path in program.names.declaring(owned))


def _counts(lock: str, klass: str) -> bool:
    return klass.split("/")[0] in OWNED and known(lock)


def _leaks(before: Program, after: Program, key: FunctionKey) -> dict[str, _Leak]:
    """What a function leaves held now and did not, by lock.

    All locks are walked at once twice, with conditions correlated and one by one: the first misses locks that were taken
    under a changed condition, the second sees paths that no run takes. What is new in either is looked into.
    """
    found: dict[str, _Leak] = {}
    for correlate in (True, False):
        had = _leaves(before, key, correlate)
        for lock, (klass, mode, results) in _leaves(after, key, correlate).items():
            if not correlate and lock in had:
                continue  # taken and given back under one condition, which single ones do not see
            new = results - had.get(lock, ("", "", frozenset()))[2]
            old = found[lock].results if lock in found else frozenset()
            found[lock] = _Leak(klass, mode, old | new)
    for lock, token in locks(after, key).items():
        was, now = balance(before, key, lock), balance(after, key, lock)
        sure = {} if was.cut or now.cut else {r: line for r, line in now.kept.items() if r not in was.maybe}
        if sure:
            found[lock] = _Leak(token.klass, token.mode, frozenset(sure), min(sure.values()))
    return found


def _meant(before: Program, after: Program, key: FunctionKey, lock: str, leak: _Leak) -> str:
    """Why the lock may be left on purpose, or the way may be one that no run takes; empty where nothing says so."""
    if _hands_out(after, key, lock):
        return "the function says that it returns with the lock held"
    if leak.line:  # who hands it out does so to callers that are known
        handed = bool(balance(before, key, lock).maybe) and not after.callers(key)
        return "it did so with another result, and nobody is seen to call it" if handed else ""
    if _where_there(after, key, lock):
        return "it gives the lock back where its object is there at all"
    return "the lock is taken and given back under one condition" if _under_one(after, key, lock) else ""


def _twice(before: Program, after: Program, key: FunctionKey) -> Iterator[Circle]:
    """Locks that a function takes, gives back, and gives back once more on the same way."""
    for lock, token in locks(after, key).items():
        if not _counts(lock, token.klass) or scope(lock) is Scope.STACK:
            continue
        line = balance(after, key, lock).twice
        had = key in before.names.functions and balance(before, key, lock).twice
        if not line or balance(after, key, lock).cut or had:
            continue
        if token.mode == "r" and any(lock in way.locks() for way in after.entry(key)):
            continue  # one of the caller's, which it holds as well
        at = Place(after.names.file[key], line, after.function(key).name)
        leak = _Leak(token.klass, token.mode, frozenset({"twice"}))
        yield msgspec.structs.replace(_left(after, (key,), lock, leak, None), kind="twice", ends=at)


def _where_there(program: Program, key: FunctionKey, lock: str) -> bool:
    """Whether a function gives a lock back where its object is there at all: `if (x) unlock(x)` says nothing of when."""
    plan, calls = program.locksets.plan(key), program.body(key).calls
    giving = [n for n, changes in plan.changes.items() if any(t.lock == lock for c in changes for t in c.drops)]
    objects = {show(arg) for n in giving for arg in calls[n].args}
    tested = {plan.test(edge.when).key for block in plan.blocks for edge in block.edges if edge.when is not None}
    return bool(objects & tested)


def _under_one(program: Program, key: FunctionKey, lock: str) -> bool:
    """Whether a lock is taken under a condition that is asked again where it is given back: `if (!locked) unlock(x)`."""
    plan = program.locksets.plan(key)
    takes, drops = list[int](), list[int]()
    for number, block in enumerate(plan.blocks):
        calls = (plan.number[id(event)] for event in block.events if id(event) in plan.number)
        for change in (c for n in calls for c in plan.changes.get(n, ())):
            takes += [number for token in change.takes if token.lock == lock]
            drops += [number for token in change.drops if token.lock == lock]
    return bool(takes) and Dominance(plan.blocks).asked_again(takes, drops)


def _hands_out(program: Program, key: FunctionKey, lock: str) -> bool:
    """Whether a function says of itself that it returns with a lock held: __acquires(&x->lock)."""
    said = [text for kind, text in program.function(key).annotations if kind == "acquires"]
    if lock == RCU:
        return any(RCU in text.lower() for text in said)
    return any(_WORD.findall(text)[-1:] == _WORD.findall(lock)[-1:] for text in said)


def _left(program: Program, chain: tuple[FunctionKey, ...], lock: str, leak: _Leak, writer: Actor | None) -> Circle:
    """One lock left held by the last function of a chain of calls."""
    key = chain[-1]
    return Circle(
        kind="kept",
        lock=lock,
        klass=leak.klass,
        mode=leak.mode,
        object=lock,
        detail=", ".join(sorted(leak.results)),
        wait_class="",
        holder=Actor(
            chain=chain,
            context=providers(program).context(chain[0]),
            at=Place(program.names.file[key], program.function(key).line, program.function(key).name),
        ),
        providers=(),
        writer=writer and msgspec.structs.replace(writer, chain=writer.chain[-1:]),
        ends=Place(program.names.file[key], leak.line, program.function(key).name) if leak.line else None,
    )


def _concerned(program: Program, chain: tuple[FunctionKey, ...], lock: str) -> tuple[FunctionKey, ...]:
    """The end of a chain of calls, from the outermost function on that does something to a lock."""
    for number, (key, below) in enumerate(pairwise(chain)):
        plan, calls = program.locksets.plan(key), program.body(key).calls
        for index, changes in plan.changes.items():
            does = {t.lock for change in changes for t in (*change.takes, *change.drops)}
            if lock in does and calls[index].callee != name_of(below):
                return chain[number:]
    return chain[-1:]


def _leaves(program: Program, key: FunctionKey, correlate: bool) -> dict[str, tuple[str, str, frozenset[str]]]:
    """Lock -> class, mode and classes of result with which some return leaves it held (or a caller's not given back).

    correlate: whether conditions agree with each other; what was tested before a lock was taken may have changed since.
    """
    out: dict[str, tuple[str, str, frozenset[str]]] = {}
    paths = walk(program.locksets.plan(key), {}, correlate=correlate)
    left = () if paths.cut else with_names(left_by(paths.exits))
    dropped = {t.lock: t for x in left for t in x.drops}
    for x in left:
        result = NAMES.get(x.result, "")
        tokens = [t for t in x.takes if t.mine]
        if x.agreed:
            tokens += [t for lock, t in dropped.items() if lock not in {d.lock for d in x.drops}]
        else:
            tokens += x.drops
        for t in tokens:
            _, _, results = out.get(t.lock, ("", "", frozenset()))
            out[t.lock] = (t.klass, t.mode, results | {result})
    return out
