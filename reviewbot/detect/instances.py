"""Which instance a lock is: the very one that is held, by the arguments of all calls in between, or one that was just made."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise

from reviewbot.analysis.code.dominance import Dominance, backwards
from reviewbot.analysis.code.expr import WORD, ZERO, bare, parts, sign
from reviewbot.analysis.code.identity import UNKNOWN, Scope, bind, known, owner, scope
from reviewbot.analysis.code.identity import positions as identity_positions
from reviewbot.analysis.events.kinds import Lock, Unlock
from reviewbot.analysis.producers.view import View
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import Call, CastExpr, Expr, Name, Return
from reviewbot.detect.edges import REAL, Edge
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL, LockCall
from reviewbot.kernel.schema import FlushGroup
from reviewbot.limits import MAX_CALLS_KEPT_BELOW_EDGE, MAX_OWNERS
from reviewbot.types import Place

_MAKES = KERNEL.pattern("makes")
"""Names of functions whose result is an object that nobody else knows yet."""
_OF_FIRST = (LockCall, FlushGroup)
"""Effects of calls on their first argument."""


def taker(program: Program, edge: Edge) -> int:
    """Which function of an edge's chain has its lock over the next call: the last one, or the first of all."""
    lock, at = edge.lock.lock, edge.place.line
    if any(held.lock == lock for m in program.view(edge.key).made if m.call.line == at for held in m.at.held):
        return len(edge.chain) - 1
    for number, (caller, callee) in reversed([*enumerate(pairwise(edge.chain))]):
        if any(by == caller and any(h.lock == lock for h in held) for by, held, _ in program.calls_of(callee)):
            return number
    return 0


def same_object(program: Program, edge: Edge) -> bool:
    """Whether the lock that is taken at the end of an edge is proven to be the very one that is held: a variable, or the
    same member of the same variable, by the arguments of all calls in between."""
    lock = edge.lock.lock
    if scope(lock) is Scope.GLOBAL:
        return True
    start = taker(program, edge)
    key = edge.chain[start]
    if key not in program.names.functions:
        return False
    bases = {
        t.base for n, cs in program.locksets.plan(key).changes.items() for c in cs for t in c.takes if t.lock == lock
    }
    wanted = _base_below(program, edge, start)
    return len(bases) == 1 and wanted in bases and not _set_anew(program, key, wanted)


def again(program: Program, edge: Edge) -> bool:
    """Whether an edge takes the very lock that is held."""
    return edge.effect.kind == "lock" and edge.effect.object == edge.lock.lock and same_object(program, edge)


def handed_down(program: Program, key: FunctionKey) -> Iterator[Edge]:
    """The edges of a function that takes the lock that it is handed, which a caller holds: the same one, by the arguments."""
    for effect, reason in program.effects.of(key).items():
        if effect.kind != "lock" or known(effect.object) or effect.object in reason.dropped:
            continue
        place, *down = program.effects.chain(key, effect, most=MAX_CALLS_KEPT_BELOW_EDGE)
        found: dict[str, Edge] = {}
        for way in program.entry(key):
            for held in way.held:
                if held.klass.split("/")[0] in REAL and held.lock not in reason.dropped and held.lock not in found:
                    taken = effect._replace(object=held.lock)
                    edge = Edge(held, taken, key, place, tuple(down), way.chain, way.held)
                    if same_object(program, edge):
                        found[held.lock] = edge
        yield from found.values()


def _base_below(program: Program, edge: Edge, start: int) -> str:
    """The instance that is taken at the end of an edge, in the words of the function number `start` of its chain; empty
    where it is not one."""
    steps = [*edge.chain[start:], *(at.key for at in edge.down)]
    lines = [0] * (len(edge.chain) - start - 1) + [edge.place.line, *(at.line for at in edge.down)]
    if any(key not in program.names.functions for key in steps):
        return ""
    bases = _taken_at(program, steps[-1], lines[-1], edge.lock.lock)
    for (caller, callee), line in zip(reversed([*pairwise(steps)]), reversed(lines[:-1]), strict=True):
        bases = _handed(program, caller, callee, line, bases)
    only = bases.pop() if len(bases) == 1 else ""
    return only if UNKNOWN not in only and "(" not in only and "[" not in only else ""


def _taken_at(program: Program, key: FunctionKey, line: int, lock: str) -> set[str]:
    """The instances of a lock, or of one that the function was handed, that a line takes."""
    body, changes = program.body(key), program.locksets.plan(key).changes
    taken = (t for n, of in changes.items() if body.calls[n].line == line for change in of for t in change.takes)
    inside = (
        f.call for f in program.own_facts(key) if isinstance(f, Lock) and f.how == "transient" and f.at.line == line
    )
    given = {c.args[0] for name in inside for c in body.calls if (c.callee, c.line) == (name, line) and c.args}
    return {base for base in map(body.base, given) if "$" in base} | {
        t.base for t in taken if t.lock == lock or "$" in t.base
    }


def _handed(program: Program, caller: FunctionKey, callee: FunctionKey, line: int, bases: Collection[str]) -> set[str]:
    """Instances in the words of a caller: what its calls of a line (0: any line) hand to the callee."""
    body = program.body(caller)
    sites = [c for c in body.calls if line in (0, c.line) and callee in program.callgraph.reached(caller, c)]
    arguments = [tuple(body.base(a) for a in c.args) for c in sites]
    return {bind(base, given, ()) if "$" in base else base for given in arguments for base in bases}


def _set_anew(program: Program, key: FunctionKey, base: str) -> bool:
    """Whether a variable that names an instance gets more than one value in a function, but for NULL."""
    body = program.body(key)
    words = set(WORD.findall(base))
    positions = {body.parameters[name]: name for name in body.parameters}
    words |= {positions[n] for n in identity_positions(base) if n in positions}
    values = {w: [v for _, v in body.values.get(w, ()) if sign(bare(v)) != ZERO] for w in words if w in body.locals}
    return any(len(found) > (0 if word in body.parameters else 1) for word, found in values.items())


def made_here(program: Program, edge: Edge) -> bool:
    """Whether a lock is that of an object which a function on the way has just made: nobody else waits for it. So for a work
    item or timer of such an object, which that function does not queue: it never runs."""
    callee, position = "", 0
    for at in reversed((edge.place, *edge.down)):
        if at.key not in program.names.functions:
            return False
        view = program.view(at.key)
        given = _argument(view, at.line, callee, position)
        root = _root(program, view, given[0]) if given else ""
        if not root:
            return False
        if root not in view.body.parameters or root in view.body.values:
            queued = (effect.detail for effect in program.does(at.key) if effect.kind == "queue")
            return _made(view, root) and edge.effect.object not in queued
        callee, position = at.key, view.body.parameters[root]
    return False


def freed(program: Program, edge: Edge) -> bool:
    """Whether a function below the one that takes a lock frees the object of it on every way on from the wait, and does not
    give it back: a run that has the lock does not come there, or what is freed, and waited for, is another object."""
    struct, takes = owner(edge.lock.lock), edge.chain[taker(program, edge)]
    below = [at for at in (edge.place, *edge.down) if at.key != takes and at.key in program.names.functions]
    return bool(struct) and any(_frees(program, at, struct, edge.lock.lock) for at in below)


def _frees(program: Program, at: Place, struct: str, lock: str) -> bool:
    """Whether an object of a struct is freed in any case behind the calls of a line, in a function that does not give back
    a lock."""
    view = program.view(at.key)
    freeing = [m for m in view.made if m.call.callee in KERNEL.words["frees"] and _given(view, m.call, struct)]
    if not freeing or any(isinstance(fact, Unlock) and fact.lock == lock for fact in program.own_facts(at.key)):
        return False
    after = Dominance(backwards(view.body.function.blocks))
    return any(
        made.number < free.number if made.block == free.block else free.block + 1 in after.above(made.block + 1)
        for made in view.made
        if made.call.line == at.line
        for free in freeing
    )


def _given(view: View, call: Call, struct: str) -> bool:
    """Whether a call is given a pointer to a struct."""
    types = [view.body.type(arg) for arg in call.args]
    return any((t.name, t.pointers) == (struct, 1) for t in types)


def _root(program: Program, view: View, expr: Expr) -> str:
    """The variable that an object is a part of, or that is a part of the object; empty where it is none."""
    for _ in range(MAX_OWNERS):
        root = [*parts(expr)][-1]
        if not isinstance(root, Name):
            return ""
        values = [bare(value) for _, value in view.body.values.get(root.name, ())]
        if root.name in view.body.parameters or len(values) != 1:
            return root.name
        inner = _contained(program, view, values[0])
        if inner is None:
            return root.name
        expr = inner
    return ""


def _contained(program: Program, view: View, value: Expr) -> Expr | None:
    """What a value is the container of: by container_of(), or by a function that does no more than that."""
    if isinstance(value, CastExpr) and value.macro:
        return value.base
    if not isinstance(value, Call) or len(value.args) != 1:
        return None
    targets = view.callgraph.reached(view.key, value)
    events = [e for target in targets for e in program.body(target).events()]
    returned = [bare(e.value) for e in events if isinstance(e, Return) and e.value is not None]
    ends = [e for e in returned if sign(e) != ZERO]
    only = len(events) == len(returned) and all(isinstance(e, CastExpr) and isinstance(e.base, Name) for e in ends)
    return value.args[0] if ends and only else None


def _argument(view: View, line: int, callee: FunctionKey | str, position: int) -> list[Expr]:
    """What the calls of a line give to a function at a position; without a function, the locks that they take, and what they
    flush."""
    calls = [made.call for made in view.made if made.call.line == line]
    if callee:
        reaching = (c for c in calls if callee in view.callgraph.reached(view.key, c))
        return [c.args[position] for c in reaching if position < len(c.args)]
    return [
        c.args[0] for c in calls if c.args and any(isinstance(e, _OF_FIRST) for e in KERNEL.effects.get(c.callee, ()))
    ]


def _made(view: View, name: str) -> bool:
    """Whether all that a variable is ever set to was just made."""
    values = [bare(value) for _, value in view.body.values.get(name, ()) if sign(value) != ZERO]
    return bool(values) and all(isinstance(v, Call) and _MAKES.search(v.callee) for v in values)
