"""Which instance a lock is, told by the patch: a function that takes it around another one is called in place of that one.

`napi_enable()` takes the lock of the device around `napi_enable_locked()`. Who called the latter with a lock of that name
held had the one that it asks for, whatever they are called on both sides: it was not called for another device.
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.code.expr import bare, show
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import Name
from reviewbot.detect.edges import Edge
from reviewbot.function_key import FunctionKey
from reviewbot.limits import MAX_CALLS_TO_WRAPPED


def replaced(before: Program, after: Program, edge: Edge) -> bool:
    """Whether an edge takes its lock around a call that its function came to without it before the change, with a lock of
    that name held as now, and does not any more."""
    lock, key = edge.lock.lock, edge.key
    if edge.effect.kind != "lock" or edge.effect.object != lock or key not in before.names.functions:
        return False
    if not edge.down or not _held(before, key, lock):
        return False
    if not _for_the_same(before, after, edge):
        return False
    inner = {name for at in edge.down for name in _inside(after, at.key, lock)} & {*_called(before, key, lock)}
    return bool(inner) and inner.isdisjoint(_called(after, key, lock))


def _for_the_same(before: Program, after: Program, edge: Edge) -> bool:
    """Whether the call of an edge has the arguments of one that its function does not make any more: for another object
    another instance is taken."""
    was, now = before.body(edge.key).calls, after.body(edge.key).calls
    made = {call.callee for call in now}
    gone = {tuple(map(show, call.args)) for call in was if call.callee not in made}
    here = [call for call in now if call.line == edge.place.line]
    here = [call for call in here if edge.down[0].key in after.callgraph.reached(edge.key, call)]
    return bool(here) and all(tuple(map(show, call.args)) in gone for call in here)


def _inside(program: Program, key: FunctionKey, lock: str) -> Iterator[str]:
    """Names of what a function calls, with what it was handed itself, between the first call that takes a lock and the last
    one that gives it back, where it does both."""
    if key not in program.names.functions:
        return
    changes, parameters = program.locksets.plan(key).changes, program.body(key).parameters
    takes = [n for n, of in changes.items() if any(t.lock == lock for change in of for t in change.takes)]
    drops = [n for n, of in changes.items() if any(t.lock == lock for change in of for t in change.drops)]
    if takes and drops:
        for number, call in enumerate(program.body(key).calls):
            handed = all(isinstance(bare(arg), Name) and show(bare(arg)) in parameters for arg in call.args)
            if min(takes) < number < max(drops) and call.callee and handed:
                yield call.callee


def _called(program: Program, key: FunctionKey, lock: str) -> Iterator[str]:
    """Names of what one function calls, a few calls down, where no lock of that name is taken on the way."""
    level, seen = {key}, {key}
    for _ in range(MAX_CALLS_TO_WRAPPED):
        below = set[FunctionKey]()
        for caller in level:
            inside = {*_inside(program, caller, lock)} if caller != key else set[str]()
            for call in program.body(caller).calls:
                if call.callee and call.callee not in inside:
                    yield call.callee
                    below |= {*program.callgraph.reached(caller, call)}
        level = below - seen
        seen |= level


def _held(program: Program, key: FunctionKey, lock: str) -> bool:
    """Whether a lock of that name is held in a function, by itself or by a caller."""
    by_callers = (held.lock for way in program.entry(key) for held in way.held)
    return lock in by_callers or any(h.lock == lock for made in program.view(key).made for h in made.at.held)
