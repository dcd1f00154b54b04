"""At which level the locks of an edge are taken: the one that is held, and the one that is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from reviewbot.analysis.code.identity import bind
from reviewbot.analysis.locks.levels import constant, level
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import Call
from reviewbot.detect.edges import Edge
from reviewbot.detect.instances import taker
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL, LockCall
from reviewbot.limits import MAX_CALLS_TO_LOCK


def levels(program: Program, edge: Edge) -> tuple[tuple[str, str], ...]:
    """The locks of an edge that are taken at one level, with that level."""
    told = [(edge.lock.lock, _only(_held(program, edge)))]
    if edge.effect.kind == "lock" and edge.effect.object != edge.lock.lock:
        told.append((edge.effect.object, _only(_waited(program, edge))))
    return tuple((lock, at) for lock, at in told if at)


def _only(found: Iterable[str]) -> str:
    """The level that all agree on; empty where they do not, or one is not told."""
    different = set(found)
    return constant(different.pop()) if len(different) == 1 else ""


def _held(program: Program, edge: Edge) -> Iterator[str]:
    """Each level at which the lock that is held is taken, by the function of the chain that takes it."""
    key = edge.chain[taker(program, edge)]
    if key in program.names.functions:
        yield from _taken(program, key, edge.lock.lock, MAX_CALLS_TO_LOCK)


def _taken(program: Program, key: FunctionKey, lock: str, deep: int) -> Iterator[str]:
    """Each level at which a function takes a lock (in its words) that it has afterwards, itself or in a callee."""
    body = program.body(key)
    for number, changes in program.locksets.plan(key).changes.items():
        if not any(token.lock == lock for change in changes for token in change.takes):
            continue
        call = body.calls[number]
        own = [*_own(program, key, call, lock)]
        yield from own
        targets = () if own or not deep else program.callgraph.reached(key, call)
        if not own and len(targets) != 1:
            yield ""
        for target in targets[:1]:
            ids, types, bases = program.locksets.arguments(body, call)
            left = (way for change in program.locksets.record(target).changes for way in change.takes)
            for inner in {token.lock for token in left if bind(token.lock, ids, types) == lock}:
                yield from (bind(at, bases, ()) for at in _taken(program, target, inner, deep - 1))


def _own(program: Program, key: FunctionKey, call: Call, lock: str = "") -> Iterator[str]:
    """The level at which a call of the kernel's takes a lock; of whichever lock, if none is named."""
    body = program.body(key)
    for effect in KERNEL.effects.get(call.callee, ()) if call.callee not in body.locals else ():
        if isinstance(effect, LockCall) and effect.does != "release":
            what = program.locksets.lock_of(body, call, effect)
            if not lock or what == lock or what[:1] in "$@":
                yield level(body, call, effect)


def _waited(program: Program, edge: Edge) -> Iterator[str]:
    """Each level at which the lock is taken that an edge waits for, at the end of its calls."""
    steps = (edge.place, *edge.down)
    if any(at.key not in program.names.functions for at in steps):
        return
    last = steps[-1]
    at_line = (call for call in program.body(last.key).calls if call.line == last.line)
    found = {at for call in at_line for at in _own(program, last.key, call)}
    for above, below in reversed([*pairwise(steps)]):
        body = program.body(above.key)
        through = [
            c for c in body.calls if c.line == above.line and below.key in program.callgraph.reached(above.key, c)
        ]
        found = {bind(at, tuple(map(body.base, call.args)), ()) for call in through for at in found}
    yield from found
