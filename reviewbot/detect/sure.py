"""Doubts about a run: why it may not get from a lock to the wait, so that no claim is made about that line.

A call may stand under a flag of the caller's, under the last reference to an object, or go through a pointer that
stands for several functions: the text alone does not say whether this very run comes by.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice, pairwise

from reviewbot.analysis.callgraph.pointer_flow import node_of
from reviewbot.analysis.code.expr import ZERO, bare, parts, show, test
from reviewbot.analysis.code.identity import known
from reviewbot.analysis.events.kinds import Lock, Site
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import own
from reviewbot.csource.ir import Call, Expr, Field, Name, OpExpr
from reviewbot.detect.edges import Edge
from reviewbot.detect.instances import again, freed, made_here, taker
from reviewbot.function_key import FunctionKey, file_of, is_function
from reviewbot.kernel import BLOCKING, KERNEL
from reviewbot.kernel.schema import ReadGroup, WriteGroup
from reviewbot.limits import MAX_CALLS_FROM_LOCK_TO_WAIT, MAX_WAYS_DOWN
from reviewbot.score import Doubt
from reviewbot.types import Place

HOLDS = KERNEL.pattern("holds")
"""Names of functions that take something or give it back."""


def named(program: Program, chain: Sequence[FunctionKey], files: Collection[str] = ()) -> bool:
    """Whether each call down a chain is by name or contract, through a table of functions, or through a pointer that
    stands for nothing else: nothing else of `files`, where the objects are theirs that the other half of a circle works on."""
    return all(
        program.callgraph.names_it(caller, callee)
        or _known(program, caller, callee)
        or (file_of(callee) in files and _only_of_file(program, caller, callee))
        for caller, callee in pairwise(chain)
    )


def _only_of_file(program: Program, caller: FunctionKey, callee: FunctionKey) -> bool:
    """Whether a file has one function only that a call through a pointer can be: what it set that pointer to."""
    callgraph, file = program.callgraph, file_of(callee)
    nodes = [node for node in callgraph.wiring(caller).nodes if callee in callgraph.targets.get(node, ())]
    return all({t for t in callgraph.targets[node] if file_of(t) == file} == {callee} for node in nodes)


def _known(program: Program, caller: FunctionKey, callee: FunctionKey) -> bool:
    callgraph = program.callgraph
    nodes = {node for node in callgraph.wiring(caller).nodes if callee in callgraph.targets.get(node, ())}
    tables = (placed for key, placed in callgraph.placed_in.items() if not is_function(key))
    filled = any(p.handler == callee and p.slot in nodes for placed in tables for p in placed)
    return not nodes or filled or any(callgraph.targets[node] == {callee} for node in nodes)


def on_request(program: Program, place: Place, told: Collection[str] = ()) -> bool:
    """Whether a function does what a line of it does only where a flag of its caller says so: might_sleep_if(flag).

    told: parameters of which the caller that is meant says what they are.
    """
    key = place.key
    if key not in program.names.functions:
        return False
    view, function = program.view(key), program.function(key)
    flags = {p.name for p in function.parameters if not p.type.pointers and p.name not in told}
    asked = (
        when for made in view.made if made.call.line == place.line for when in view.dominance.conditions(made.block)
    )
    return any(_is_flag(bare(test(when).value), flags) for when, taken in asked if taken or not _bounds(when))


def _bounds(when: Expr) -> bool:
    """Whether a condition asks on which side of a bound a number lies: who goes on past such a test has a number that is good,
    and has asked for nothing by it."""
    e = bare(when)
    return isinstance(e, OpExpr) and e.op in ("<", ">", "<=", ">=")


def _is_flag(value: Expr, flags: set[str]) -> bool:
    """Whether a value is made of flags and constants: `flag`, `flag & MASK`, `flag == MODE`."""
    names = {part.name for part in parts(value) if isinstance(part, Name)}
    return bool(names & flags) and all(name in flags or name.isupper() for name in names)


def one_run(program: Program, edge: Edge) -> bool:
    """Whether a run can go down the calls of an edge, as far as a look at who hands what down them shows."""
    return program.contexts.goes(*_run(program, edge))


def _run(program: Program, edge: Edge) -> tuple[tuple[FunctionKey, ...], frozenset[int]]:
    """The functions from the outermost caller down to the one that waits, and the lines at which it does."""
    last = (*edge.down[-1:], edge.place)[0]
    lines = {last.line}
    for fact in program.own_facts(last.key) if last.key in program.names.functions else ():
        effects = own([fact]) if isinstance(fact, Site) else ()
        if any((e if known(e.object) else e._replace(object=edge.effect.object)) == edge.effect for e in effects):
            lines.add(fact.at.line)
    return (*edge.chain, *(at.key for at in edge.down)), frozenset(lines)


def way_in(program: Program, edge: Edge) -> Edge | None:
    """The edge by the first of its ways in that one run can go down; None where there is none. See `ways_in`."""
    return next(ways_in(program, edge), None)


def ways_in(program: Program, edge: Edge) -> Iterator[Edge]:
    """The edge by each of its ways in that one run can go down; where there is none, from where the lock is taken.

    From the function on that takes the lock the calls say enough, whoever is above: then somebody has to be who hands down
    no constant that rules them out.
    """
    ways = [edge._replace(chain=chain, held=held, others=()) for chain, held in ((edge.chain, edge.held), *edge.others)]
    possible = False
    for way in ways:
        if one_run(program, way):
            possible = True
            yield way
    for way in () if possible else ways:
        part = way._replace(chain=way.chain[taker(program, way) :])
        if one_run(program, part) and program.contexts.called(*_run(program, part)):
            possible = True
            yield part
    for down in () if possible else ways_down(program, edge):
        found = [way for way in (w._replace(down=down) for w in ways) if one_run(program, way)]
        yield from found
        if found:
            return


def ways_down(program: Program, edge: Edge) -> Iterator[tuple[Place, ...]]:
    """Other ways than its own from an edge's place down to what it waits for, the first few."""
    effect = edge.effect
    if edge.down and edge.key in program.names.functions:
        below = (way[1:] for way in program.effects.ways(edge.key, effect, line=edge.place.line) if len(way) > 1)
        yield from (down for down in islice(below, MAX_WAYS_DOWN) if down != edge.down)


def doubtful(program: Program, edge: Edge) -> tuple[Doubt, ...]:
    """Why a run may not get from the lock of an edge to its wait, or may not block there; empty where nothing says so.

    That is so where no single run goes down these calls, where they are many calls apart, where the last reference to an
    object has to be given back in between (who holds a lock usually has one of his own, or the object is in a list that
    has one), where the lock's object was made on the way or is freed there, where a pointer of an object stands for several
    functions, and where the state of an object decides whether a lock is taken again that only some callers have.
    """
    return tuple(_doubts(program, edge))


def _doubts(program: Program, edge: Edge) -> Iterator[Doubt]:
    if not one_run(program, edge):
        yield Doubt.RUN
    chain = edge.chain[taker(program, edge) :]
    if edge.effect.kind == "lock" and not named(program, (*chain, *(at.key for at in edge.down))):
        yield Doubt.POINTER
    if edge.effect.object == edge.lock.lock and by_state(program, edge, below=True):
        yield Doubt.STATE
    if len(chain) + len(edge.down) > MAX_CALLS_FROM_LOCK_TO_WAIT:
        yield Doubt.DEPTH
    if edge.effect.kind in ("lock", "flush") and made_here(program, edge) and not again(program, edge):
        yield Doubt.FRESH
    if last_reference(program, edge):
        yield Doubt.LAST
    if freed(program, edge):
        yield Doubt.FREED


def last_reference(program: Program, edge: Edge) -> bool:
    """Whether the last reference to an object has to be given back on the way down from an edge's lock to its wait."""
    chain = edge.chain[taker(program, edge) :]
    above = (_asked(program, caller, callee=callee) for caller, callee in pairwise(chain))
    below = (_asked(program, at.key, line=at.line) for at in (edge.place, *edge.down))
    asked = [[*each] for each in (*above, *below)]
    asked[0] = [found for found in asked[0] if found not in _asked_before(program, chain[0], edge.lock.lock)]
    return any(
        isinstance(value, Call) and value.callee in KERNEL.last and not signs & ZERO
        for each in asked
        for value, signs in each
    )


def _asked_before(program: Program, key: FunctionKey, lock: str) -> list[tuple[Expr, int]]:
    """What is asked before a function takes a lock: that is no way out of holding it."""
    takes = [call.line for call in _takes(program, key, lock)]
    found = [set(_asked(program, key, line=line)) for line in takes]
    return sorted(set.intersection(*found), key=str) if found else []


def _takes(program: Program, key: FunctionKey, lock: str) -> list[Call]:
    """The calls by which a function takes a lock, by its identity there."""
    if key not in program.names.functions:
        return []
    moves = program.locksets.plan(key).changes
    taking = [n for n, changes in moves.items() if any(t.lock == lock for c in changes for t in c.takes)]
    return [program.body(key).calls[n] for n in taking]


def by_state(program: Program, edge: Edge, below: bool = False) -> bool:
    """True where only some callers have the lock of an edge, and what waits stands under a condition on the state of
    objects: whether it holds for these callers is not told. below: conditions in what the edge's function calls count, too.

    Below a caller without the lock the condition may well hold, and be known not to where the lock is held: an object
    that is not there yet, a flag that only the others set.
    """
    inside = edge.chain[taker(program, edge) + 1 :]
    places = ((edge.place,) if inside else ()) + (edge.down if below else ())
    keys = {*inside, *(at.key for at in places)}
    always = {key for key in keys if key in program.names.functions and edge.lock.lock in program.surely_held(key)}
    calls = [(caller, 0, callee) for caller, callee in pairwise(inside)] + [(at.key, at.line, "") for at in places]
    return any(
        _of_state(program, key, value)
        for key, line, callee in calls
        if key not in always
        for value, _ in _asked(program, key, line, callee)
        if show(value) not in _given(program, key, line, callee)
    )


def _given(program: Program, key: FunctionKey, line: int, callee: str) -> set[str]:
    """What the calls of a line, or of a function, are given: to ask whether that is there at all says nothing more."""
    if key not in program.names.functions:
        return set()
    view = program.view(key)
    calls = [made.call for made in view.made]
    found = [c for c in calls if (c.line == line if line else callee in view.callgraph.reached(key, c))]
    return {show(bare(arg)) for call in found for arg in call.args}


def _of_state(program: Program, key: FunctionKey, value: Expr) -> bool:
    """Whether a condition asks for a member of an object, by itself, by a call that only looks at it, or by a local that
    was read from one: what other calls return is of this run. Which operations there are is no state: no run changes it."""
    body = program.body(key)
    if node_of(value, body) in program.callgraph.targets:
        return False
    for part in parts(value):
        if isinstance(part, Call) and not _looks(part):
            return False
        if isinstance(part, Field):
            return True
        if isinstance(part, Name) and part.name in body.values:
            read = [bare(v) for op, v in body.values[part.name] if op == "="]
            if read and all(isinstance(v, Field) for v in read):
                return True
    return False


def _looks(call: Call) -> bool:
    """Whether a call looks at an object and does nothing to it: list_empty(), test_bit()."""
    effects = KERNEL.effects.get(call.callee, ())
    looks = any(isinstance(e, ReadGroup) for e in effects)
    return looks and not any(isinstance(e, WriteGroup) for e in effects)


def _asked(program: Program, key: FunctionKey, line: int = 0, callee: str = "") -> Iterator[tuple[Expr, int]]:
    """What is asked before the calls of a line, or of a function, and the signs that it has there."""
    if key not in program.names.functions:
        return
    view = program.view(key)
    for made in view.made:
        if made.call.line == line if line else callee in view.callgraph.reached(key, made.call):
            for when, taken in view.dominance.conditions(made.block):
                found = test(when)
                yield bare(found.value), found.yes if taken else found.no


def one_face(program: Program, place: Place) -> bool:
    """Whether a lock is taken at a line where, the other way round a condition, one of the other kind is: a mutex where it
    may sleep, a spinlock where it may not. Which of them it is, whoever made the object has decided."""
    if place.key not in program.names.functions:
        return False
    view, others = program.view(place.key), _other_kind(program, place)
    mine: set[tuple[str, bool]] = set()
    theirs: list[set[tuple[str, bool]]] = []
    for made in view.made if others else ():
        if made.call.line in (*others, place.line):
            asked = {(show(test(when).value), way) for when, way in view.dominance.conditions(made.block)}
            if made.call.line == place.line:
                mine |= asked
            else:
                theirs.append(asked)
    # the two arms of one condition: all else that is asked on the way is the same
    return any(
        mine - asked == {(value, way)} == {(v, not w) for v, w in asked - mine}
        for asked in theirs
        for value, way in mine
    )


def _other_kind(program: Program, place: Place) -> set[int]:
    """The lines of a function that take a lock of the other kind than a line of it: one that sleeps, or one that spins."""
    taken = [(f.at.line, all(map(KERNEL.sleeping, f.klass.split("/")))) for f in _locks(program, place.key)]
    here = [sleeps for line, sleeps in taken if line == place.line]
    return {line for line, sleeps in taken if here and sleeps != here[0]}


def _locks(program: Program, key: FunctionKey) -> Iterator[Lock]:
    """The locks that a function waits for."""
    return (fact for fact in program.own_facts(key) if isinstance(fact, Lock) and fact.how in BLOCKING)
