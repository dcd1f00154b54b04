"""Which instance a lock is, told by the patch: a function that takes it around another one is called in place of that one.

`napi_enable()` takes the lock of the device around `napi_enable_locked()`. Who called the latter with a lock of that name
held had the one that it asks for, whatever they are called on both sides: it was not called for another device.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reviewbot.analysis.code.expr import bare, show
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import Call, Name
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
    gone = {(call.callee, _arguments(call)) for call in _gone(before, after, edge)}
    given = {*map(_arguments, _calls(after, edge))}
    if not given or not given <= {arguments for _, arguments in gone}:
        return False  # for another object another instance is taken
    inner = {name for at in edge.down for name in _inside(after, at.key, lock)}
    if any(callee in inner and arguments in given for callee, arguments in gone):
        return True
    inner &= {*_called(before, key, lock)}
    return bool(inner) and inner.isdisjoint(_called(after, key, lock))


def _calls(program: Program, edge: Edge) -> Iterator[Call]:
    """The calls by which the function of an edge comes to its lock."""
    for call in program.body(edge.key).calls:
        if call.line == edge.place.line and edge.down[0].key in program.callgraph.reached(edge.key, call):
            yield call


def _gone(before: Program, after: Program, edge: Edge) -> Iterator[Call]:
    """Calls of the function of an edge that it made before and does not make any more, or not as often."""
    made = Counter((call.callee, _arguments(call)) for call in after.body(edge.key).calls)
    for call in before.body(edge.key).calls:
        same = (call.callee, _arguments(call))
        if not made[same]:
            yield call
        made[same] -= 1


def _arguments(call: Call) -> tuple[str, ...]:
    return tuple(map(show, call.args))


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
