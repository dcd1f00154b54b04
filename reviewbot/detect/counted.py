"""Counters that a function does not give back any more since a change, and who sleeps until they are zero.

A counter is what somebody sleeps for until it has fallen to zero, or whose last holder completes what somebody waits for;
besides those that the kernel itself counts so (`[[count]]` in kernel/api.toml). A function has to leave it as its callers
know it: what it raised it lowers again, and what it was called for to lower, it lowers on every way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reviewbot.analysis.code.expr import bare, parts
from reviewbot.analysis.code.identity import member
from reviewbot.analysis.events.kinds import Write
from reviewbot.analysis.producers.predicates import reads
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import AddressOf, Assign, Field, Name
from reviewbot.detect.counters import LOWER, MOVES, RAISE, Counters, Sleeper, move_of
from reviewbot.detect.counting import CounterEnd, outcomes
from reviewbot.detect.edges import changed
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.detect.waitfor import unread
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import (
    MAX_ALTERNATIVES,
    MAX_CALLS_ABOVE_COUNT,
)
from reviewbot.types import Value

KEPT, OWED, LAST = "kept", "owed", "last"


class Leak(Value, frozen=True):
    """A counter that a function may leave higher than it did.

    how: kept (it raised it itself), owed (it was called to lower it, and did on every way), last (it was the only one to
    lower it, on whatever way).
    """

    counter: str
    how: str
    way: tuple[FunctionKey, ...]
    """The function, below those of its callers that do not make up for it; by key."""
    sleeper: Sleeper
    handed: int = 0
    """Results with which it was left raised before, too: somebody else lowers it then."""

    @property
    def key(self) -> FunctionKey:
        """The function that leaves it."""
        return self.way[-1]

    @property
    def function(self) -> str:
        """Its name."""
        return name_of(self.key)


def leaks(before: Program, after: Program, names: Iterable[tuple[str, str]]) -> Iterator[Leak | Dropped]:
    """The counters that functions `names` (file, name) leave raised since a change, or do not lower any more; between them
    what came to nothing."""
    keys = [k for k in changed(after, names) if not after.function(k).macro and not after.function(k).unreadable]
    for counter, sleeper in after.component(Counters).sleepers.items():
        near = [k for k in keys if k in before.names.functions and before.component(Counters).near(counter, k)]
        made_up = bool(near) and _made_up(before, after, keys, counter)
        for key in near:
            lead = LeadPlace.of(after, key, f"counts {counter}")
            if made_up:
                yield Dropped(lead, "a function that changes raises or lowers it in a new place")
            elif strange := unread(after, key) - unread(before, key):
                yield Dropped(lead, f"it calls {min(strange)}(), which cannot be read")
            elif not (how := _leaves(before, after, key, counter)):
                yield Dropped(lead, "it leaves it as it did, or cannot be followed")
            elif _somebody_elses(before, after, key, counter, how):
                yield Dropped(lead, "others may lower what is left, or nothing was raised")
            elif not (way := _way(before, after, counter, (key,), how)):
                yield Dropped(lead, "its callers make up for it")
            else:
                handed = _signs(o for o in outcomes(before, way[0], counter) or () if o.net > 0)
                yield Leak(counter=counter, how=how, way=way, sleeper=sleeper, handed=handed)


def _somebody_elses(before: Program, after: Program, key: FunctionKey, counter: str, how: str) -> bool:
    """Whether others may lower what is left, or nothing was raised then: what was raised is kept in an object that lives
    on, or who raises it decides by what the function asks since the change."""
    if how == KEPT:
        return _stored(after, key, counter)
    own = [k for k, f in after.all(Write) if f.object == counter and f.op == "+" and k != key]
    raising = dict.fromkeys((*own, *(c for k in own for c in after.callers(k) if c != key)))
    asked = _asked(after, key) - _asked(before, key)
    return not raising or any(asked & (_asked(after, k) | _written(after, k)) for k in raising)


def _stored(program: Program, key: FunctionKey, counter: str) -> bool:
    """Whether a function puts the object that it raises a counter of into a field of another one."""
    body, names = program.body(key), set[str]()
    for call in body.calls:
        below = (_net(program, t, counter) for t in program.callgraph.reached(key, call) if t != key)
        if move_of(program, key, call, counter) == RAISE or RAISE in below:
            names |= {part.name for arg in call.args[:1] for part in parts(arg) if isinstance(part, Name)}
            for event in body.events():
                if isinstance(event, Assign) and bare(event.right) == call:
                    if not isinstance(event.left, Name):
                        return True
                    names.add(event.left.name)
    stores = (e for e in body.events() if isinstance(e, Assign) and isinstance(e.left, Field))
    return any(isinstance(value := bare(e.right), Name) and value.name in names for e in stores)


def _asked(program: Program, key: FunctionKey) -> set[str]:
    """What the conditions of a function look at, without the bits."""
    body = program.body(key)
    conditions = [edge.when for block in body.function.blocks for edge in block.edges if edge.when is not None]
    return {read.partition(" & ")[0] for when in conditions for read in reads(body, when, program.callgraph)}


def _written(program: Program, key: FunctionKey) -> set[str]:
    return {f.object.partition(" & ")[0] for f in program.own_facts(key) if isinstance(f, Write)}


def _made_up(before: Program, after: Program, keys: Iterable[FunctionKey], counter: str) -> bool:
    """Whether some changed function lowers or raises the counter in a place where it did not: that may make up for
    another one, or be what others are to lower."""
    return any(_places(after, k, counter, op) > _places(before, k, counter, op) for k in keys for op in (LOWER, RAISE))


def _places(program: Program, key: FunctionKey, counter: str, op: str) -> int:
    """At how many places a function raises or lowers a counter, itself or by a call."""
    if key not in program.names.functions:
        return 0
    found = [MOVES.get(f.op) for f in program.own_facts(key) if isinstance(f, Write) and f.object == counter]
    for call in program.body(key).calls:
        if move_of(program, key, call, counter):
            continue
        for target in program.callgraph.reached(key, call):
            if target != key and target in program.component(Counters).moving(counter):
                found.append(_net(program, target, counter))
    return found.count(op)


def _net(program: Program, key: FunctionKey, counter: str) -> str:
    """What a function comes to: raise, lower or neither."""
    if kind := program.component(Counters).bulk(counter, key):
        return kind
    nets = {outcome.net for outcome in outcomes(program, key, counter) or ()}
    return LOWER if nets and min(nets) < 0 else RAISE if nets and max(nets) > 0 else ""


def _way(
    before: Program, after: Program, counter: str, way: tuple[FunctionKey, ...], how: str
) -> tuple[FunctionKey, ...]:
    """The functions from one that nobody makes up for down to one that leaves a counter; empty where all callers do, or it
    does not leave it."""
    if _leaves(before, after, way[0], counter) != how:
        return ()
    callers = [c for c in _callers(after, way[0]) if c not in way]
    if not callers or len(way) > MAX_CALLS_ABOVE_COUNT:
        return way
    for caller in callers[:MAX_ALTERNATIVES]:
        if not _lowers_besides(after, caller, way[0], counter):
            if _left_alone(after, caller, counter, (caller, *way)):
                return way
        elif found := _way(before, after, counter, (caller, *way), how):
            return found
    return ()


def _left_alone(program: Program, key: FunctionKey, counter: str, way: tuple[FunctionKey, ...]) -> bool:
    """Whether a function has a caller, up to the outermost one, of which none lowers the counter besides."""
    callers = [c for c in _callers(program, key) if c not in way]
    if not callers or len(way) > MAX_CALLS_ABOVE_COUNT:
        return True
    return any(
        not _lowers_besides(program, caller, key, counter) and _left_alone(program, caller, counter, (caller, *way))
        for caller in callers[:MAX_ALTERNATIVES]
    )


def _callers(program: Program, key: FunctionKey) -> list[FunctionKey]:
    return [c for c in program.callers(key) if c in program.names.functions and program.body(c).function.blocks]


def _lowers_besides(program: Program, key: FunctionKey, callee: FunctionKey, counter: str) -> bool:
    """Whether a function may lower a counter, but for what it calls another one for."""
    moving = program.component(Counters).moving(counter)
    if any(isinstance(f, Write) and f.op == "-" and f.object == counter for f in program.own_facts(key)):
        return True
    for call in program.body(key).calls:
        if move_of(program, key, call, counter) == LOWER:
            return True
        targets = program.callgraph.reached(key, call)
        if callee in targets:  # a call through a table runs one of them at a time
            continue
        if any(t != key and t in moving and _may_lower(program, t, counter) for t in targets):
            return True
    return False


def _may_lower(program: Program, key: FunctionKey, counter: str) -> bool:
    found = outcomes(program, key, counter)
    return found is None or min(o.net for o in found) < 0 or program.component(Counters).bulk(counter, key) == LOWER


def _leaves(before: Program, after: Program, key: FunctionKey, counter: str) -> str:
    """How a function leaves a counter higher than it did with such a result; empty where it does not."""
    was, now = outcomes(before, key, counter), outcomes(after, key, counter)
    if not was or not now:
        return ""
    if {o.net for o in was} == {-1} and any(o.net == 0 and not o.handed for o in now):
        return OWED
    if min(o.net for o in was) < 0 and all(o.net == 0 for o in now) and _left_to_nobody(after, counter):
        return LAST
    handed = _signs(o for o in was if o.net > 0)
    return KEPT if any(o.net > 0 and not o.signs & handed for o in now) else ""


def _left_to_nobody(program: Program, counter: str) -> bool:
    """Whether nothing is done to a counter of this code but that it is raised, and nobody is handed its address."""
    if not program.names.own(counter) or {f.op for _, f in program.all(Write) if f.object == counter} != {"+"}:
        return False
    name = member(counter).encode()
    source = program.source
    near = (path for path in program.names.units if not path.startswith("include/"))
    files = [path for path in near if source is None or name in (source.read(path) or b"")]
    return not any(_hands_on(program, key, counter) for path in files for key in program.functions(path))


def _hands_on(program: Program, key: FunctionKey, counter: str) -> bool:
    """Whether a function calls something that is not the kernel's own with the address of a counter, or keeps that."""
    body = program.body(key)
    handed = (arg for call in body.calls if call.callee not in KERNEL.effects for arg in call.args)
    kept = (event.right for event in body.events() if isinstance(event, Assign))
    return any(isinstance(e, AddressOf) and body.identity(e) == counter for e in (*handed, *kept))


def _signs(found: Iterable[CounterEnd]) -> int:
    signs = 0
    for outcome in found:
        signs |= outcome.signs
    return signs


__all__ = ["KEPT", "LAST", "OWED", "Leak", "leaks"]
