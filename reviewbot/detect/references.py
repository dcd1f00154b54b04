"""References that are held over a wait: what is done only with the last one of an object is then not done by others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from reviewbot.analysis.code.expr import ZERO, bare, show, test
from reviewbot.analysis.code.identity import Scope, known, scope
from reviewbot.analysis.producers.view import Made, View
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import AddressOf, Call
from reviewbot.detect.edges import Actor, Edge
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_CALLS_TO_PUT, MAX_WAYS_DOWN
from reviewbot.types import Place


def pinned(program: Program, edge: Edge, actor: Actor) -> bool:
    """Whether one who would end the wait of an edge comes to its lock only with the last reference to an object to which
    the waiting task has one of its own: it gives that back after the wait. Of a lock that is no object's nothing is told:
    each of them may have another object."""
    if scope(edge.lock.lock) is Scope.GLOBAL:
        return False
    ways = [*_ways(program, edge, actor)]
    if not ways or not all(ways):
        return False
    kept = _kept(program, edge)
    return all(kept & way for way in ways)


def _ways(program: Program, edge: Edge, actor: Actor) -> Iterator[frozenset[str]]:
    """For each way of a task to the lock of an edge the counters that have to fall to zero on it."""
    if edge.effect.kind == "lock":
        calls = pairwise((*actor.chain, *actor.down))
        yield frozenset[str]().union(*(_last(program, caller, callee=callee) for caller, callee in calls))
        return
    for effect in program.does(actor.root):
        if effect.kind == "lock" and effect.object == edge.lock.lock:
            for number, way in enumerate(program.effects.ways(actor.root, effect)):
                if number == MAX_WAYS_DOWN:
                    yield frozenset()
                    return
                yield frozenset[str]().union(*(_last(program, at.key, line=at.line) for at in way))


def _last(program: Program, key: FunctionKey, line: int = 0, callee: FunctionKey | None = None) -> frozenset[str]:
    """The counters that have to fall to zero before a function makes its calls of a line, or of a function."""
    if key not in program.names.functions:
        return frozenset()
    view = program.view(key)
    meant = [m for m in view.made if m.call.line == line or (callee and callee in view.callgraph.reached(key, m.call))]
    return frozenset.intersection(*(_zero(view, made) for made in meant)) if meant else frozenset()


def _zero(view: View, made: Made) -> frozenset[str]:
    """The counters of which a call is made with the last reference only."""
    found = set()
    for when, taken in view.dominance.conditions(made.block):
        asked = test(when)
        value, signs = bare(asked.value), asked.yes if taken else asked.no
        if isinstance(value, Call) and value.callee in KERNEL.last and not signs & ZERO:
            found.add(_counter(view, value))
    return frozenset(found - {""})


def _counter(view: View, call: Call) -> str:
    """The counter that a call which gives back a reference lowers; empty where it is not known whose."""
    at = next((n for n, arg in enumerate(call.args) if isinstance(bare(arg), AddressOf)), -1)
    counter = view.object(call, at) if at >= 0 else ""
    return counter if known(counter) else ""


def _kept(program: Program, edge: Edge) -> frozenset[str]:
    """The counters of which the task of an edge gives back a reference after the wait, whatever becomes of that."""
    found = set[str]()
    for caller, callee in pairwise(edge.chain):
        view = program.view(caller)
        lines = [m.call.line for m in view.made if callee in view.callgraph.reached(caller, m.call)]
        if len(lines) == 1:
            found |= _put_after(program, Place(view.body.file, lines[0], view.name))
    return frozenset(found | _put_after(program, edge.place))


def _put_after(program: Program, place: Place) -> set[str]:
    """The counters of which a function surely gives back a reference after a line of it."""
    view = program.view(place.key)
    here = [_asked(view, made) for made in view.made if made.call.line == place.line]
    if not here:
        return set()
    given, found = set.intersection(*here), set[str]()
    got = set[str]()
    for made in sorted((m for m in view.made if m.call.line > place.line), key=lambda m: m.call.line):
        if _asked(view, made) <= given:
            found |= {*_put(program, view, made, MAX_CALLS_TO_PUT)} - got
        got |= {*_handed(program, view, made, MAX_CALLS_TO_PUT)}
    return found


def _put(program: Program, view: View, made: Made, calls: int) -> Iterator[str]:
    """The counters that a call surely lowers, itself or so many calls below."""
    if made.call.callee in KERNEL.last:
        yield _counter(view, made.call)
    targets = view.callgraph.reached(view.key, made.call) if calls else ()
    if len(targets) == 1:
        below = program.view(targets[0])
        for one in below.made:
            if not _asked(below, one):
                yield from _put(program, below, one, calls - 1)


def _handed(program: Program, view: View, made: Made, calls: int) -> Iterator[str]:
    """The counters that a call may raise, itself or so many calls below."""
    if made.call.callee not in KERNEL.last:
        yield from (view.body.identity(arg) for arg in made.call.args if isinstance(bare(arg), AddressOf))
    for target in view.callgraph.reached(view.key, made.call) if calls else ():
        below = program.view(target)
        for one in below.made:
            yield from _handed(program, below, one, calls - 1)


def _asked(view: View, made: Made) -> set[tuple[str, bool]]:
    """What is asked before a call is made."""
    return {(show(when), taken) for when, taken in view.dominance.conditions(made.block)}
