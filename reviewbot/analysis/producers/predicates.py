"""What a condition looks at: the flags, counters and lists that somebody else has to change for a sleep to end."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import ZERO, bare, parts, show, sign
from reviewbot.analysis.code.identity import Scope, known, scope
from reviewbot.analysis.code.names import NOTYPE
from reviewbot.analysis.producers.view import Made, View
from reviewbot.csource.ir import Call, Expr, Field, Name, OpExpr, Return
from reviewbot.kernel import KERNEL
from reviewbot.kernel.schema import ReadGroup


def reads(body: Body, condition: Expr, callgraph: CallGraph | None = None, depth: int = 0) -> tuple[str, ...]:
    """Objects that the condition tests, sorted: `object`, or `object & BIT` for a test of one bit."""
    return tuple(sorted(set(_reads(body, condition, callgraph, depth))))


def _reads(body: Body, condition: Expr, callgraph: CallGraph | None, depth: int) -> Iterator[str]:
    covered: set[int] = set()
    for part in parts(condition):
        if id(part) in covered:
            continue
        masked = isinstance(part, OpExpr) and part.op == "&" and len(part.args) == 2 and isinstance(part.args[0], Field)
        if masked or isinstance(part, Call | Field):
            covered.update(id(p) for p in parts(part) if p is not part)
        match part:
            case Call():
                yield from _called(body, part, callgraph, depth)
            case OpExpr(_, (tested, bit)) if masked:
                yield from _member(body, tested, f" & {show(bit)}")
            case Field():
                yield from _member(body, part)
            case Name(name) if name not in body.locals:
                identity, variable = body.names.variable(name, body.file)
                if variable is not None:
                    yield identity


def _member(body: Body, tested: Expr, bit: str = "") -> Iterator[str]:
    """An object that is tested, where others have it, too."""
    identity = body.identity(tested)
    if _shared(identity):
        yield identity + bit


def _called(body: Body, call: Call, callgraph: CallGraph | None, depth: int) -> Iterator[str]:
    """What a call in a condition tests: the object that it is known to read, else its arguments and what it returns."""
    told = False
    for effect in KERNEL.effects.get(call.callee, ()):
        if isinstance(effect, ReadGroup) and effect.argument < len(call.args):
            told = True
            bit = f" & {show(call.args[effect.bit])}" if effect.bit is not None else ""
            yield from _member(body, call.args[effect.argument], bit)
    if told:
        return
    for arg in call.args:
        if not isinstance(arg, Name) and not _leads_on(body, call, arg):
            yield from _reads(body, arg, callgraph, depth + 1)
    if callgraph is not None and depth < 3:
        yield from _inside(body, call, callgraph, depth)


def _leads_on(body: Body, call: Call, arg: Expr) -> bool:
    """Whether a call is given a pointer that is kept in an object: then it tests what that points to, and not the pointer."""
    kept = bare(arg)
    tests = call.callee in KERNEL.transparent or call.callee in KERNEL.error_test | KERNEL.error_or_null_test
    type_ = body.type(kept) if isinstance(kept, Field) and not tests else NOTYPE
    return type_.pointers > 0 and not type_.array


def senses(body: Body, condition: Expr, sense: bool = True) -> dict[str, bool | None]:
    """What a condition tests, each with the truth value that makes it true; None where that is not so simple."""
    expr = bare(condition)
    match expr:
        case OpExpr("!", (inner,)):
            return senses(body, inner, not sense)
        case OpExpr("&&" | "||", args):
            found: dict[str, bool | None] = {}
            for arg in args:
                for read, wanted in senses(body, arg, sense).items():
                    found[read] = wanted if found.get(read, wanted) == wanted else None
            return found
        case OpExpr("==" | "!=" as op, (inner, other)) if sign(other) == ZERO:
            return senses(body, inner, sense if op == "!=" else not sense)
        case Field() | Name() | OpExpr("&", _):
            value: bool | None = sense
        case Call(callee):
            value = sense if any(isinstance(e, ReadGroup) for e in KERNEL.effects.get(callee, ())) else None
        case _:
            value = None
    return dict.fromkeys(reads(body, expr), value)


def zeros(body: Body, condition: Expr, sense: bool = True) -> frozenset[str]:
    """What has to be zero for a condition to be true (or, with `sense` False, for it to be false)."""
    match bare(condition):
        case OpExpr("!", (inner,)):
            return zeros(body, inner, not sense)
        case OpExpr("&&" | "||" as op, args):
            each = [zeros(body, arg, sense) for arg in args]
            return frozenset[str]().union(*each) if (op == "&&") is sense else frozenset.intersection(*each)
    found = senses(body, condition, sense)
    return frozenset(read for read, wanted in found.items() if wanted is False and len(found) == 1 and known(read))


def loop_zeros(view: View, made: Made) -> frozenset[str]:
    """What has to be zero for the innermost loop around a call to be left."""
    around = sorted((loop for loop in view.dominance.loops if made.block in loop), key=len)
    if not around:
        return frozenset()
    blocks, loop = view.body.function.blocks, around[0]
    out = [(e.when, e.taken) for n in loop for e in blocks[n].edges if e.to not in loop]
    if not out or any(when is None for when, _ in out):
        return frozenset()
    return frozenset.intersection(*(zeros(view.body, when, taken) for when, taken in out if when is not None))


def _inside(body: Body, call: Call, callgraph: CallGraph, depth: int) -> Iterator[str]:
    """What a function that the condition calls returns and tests."""
    for key in callgraph.reached(body.key, call)[:2]:
        callee = callgraph.body(key)
        if callee.function.unreadable or len(callee.function.blocks) > 40:
            continue
        for block in callee.function.blocks:
            tested = [e.when for e in block.edges if e.when is not None]
            tested += [e.value for e in block.events if isinstance(e, Return) and e.value is not None]
            for condition in tested:
                yield from (x for x in _reads(callee, condition, callgraph, depth + 1) if not x.startswith("$"))
        if callee.function.value is not None:
            yield from (x for x in _reads(callee, callee.function.value, callgraph, depth + 1) if not x.startswith("$"))


def _shared(identity: str) -> bool:
    return scope(identity) in (Scope.INSTANCE, Scope.GLOBAL, Scope.ARGUMENT) and not identity.startswith("*")


def loop_reads(view: View, made: Made) -> tuple[str, ...]:
    """What is tested around a sleep in a loop of its own (prepare_to_wait, test, schedule): all that decides on it."""
    found: set[str] = set()
    for when, _ in view.dominance.conditions(made.block)[:4]:
        found.update(_reads(view.body, when, view.callgraph, 0))
    for edge in view.body.function.blocks[made.block].edges:
        if edge.when is not None:
            found.update(_reads(view.body, edge.when, view.callgraph, 0))
    return tuple(sorted(found))
