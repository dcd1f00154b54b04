"""Gates: conditions on gfp flags, reclaim or task state that a function tests, and what it does only under them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.dominance import is_gate, spell
from reviewbot.analysis.code.expr import bare, parts, show, test
from reviewbot.analysis.code.identity import UNKNOWN, short
from reviewbot.analysis.events.kinds import Allocation, CallTo, Fact, Flush, Gate, Lock, Queue, Site, Submit, Take, Wait
from reviewbot.analysis.producers.view import View
from reviewbot.csource.ir import AddressOf, Block, Call, CallEvent, Deref, Expr, Field, Name, OpExpr

_GUARDED = (Lock, Wait, Flush, Submit, Take, Allocation, Queue, CallTo)


def facts(view: View, found: Iterable[Fact]) -> Iterator[Fact]:
    """Gate facts of one function, from the conditions it tests and from its other facts."""
    under: dict[str, list[Site]] = {}
    for fact in found:
        if isinstance(fact, _GUARDED):
            for gate in fact.gates:
                under.setdefault(gate, []).append(fact)
    seen: dict[tuple[str, bool], list[tuple[int, list[Site]]]] = {}
    for when, is_taken, line in _tests(view, under):
        gate = spell(when, is_taken)
        condition = canonical(view.body, test(when).value)
        seen.setdefault((condition, not gate.startswith("!(")), []).append((line, under.get(gate, [])))
    for (condition, taken), tested in sorted(seen.items()):
        guarded = [fact for _, facts_ in tested for fact in facts_]
        other = seen.get((condition, not taken), [])
        if guarded or (taken and not any(facts_ for _, facts_ in other)):
            at = view.place(_nearest([line for line, _ in tested], guarded))
            guards = tuple(sorted({_names(f) for f in guarded}))
            yield Gate(view.name, at, condition=condition, taken=taken, guards=guards)


def _tests(view: View, under: Container[str]) -> Iterator[tuple[Expr, bool, int]]:
    """The gates of a function: (condition, whether it is taken, line); several of which one lets in (`a || b`) are one,
    where there is something that is `under` it."""
    joined: dict[int, int] = {}
    for number in range(len(view.body.function.blocks)):
        either = view.dominance.either(number)
        if either is not None and is_gate(either) and spell(either, True) in under:
            inside = {id(part) for part in parts(either)}
            lines = {id(e.when): e.line for block in view.body.function.blocks for e in block.edges}
            joined.update({part: lines[part] for part in inside & lines.keys()})
            yield either, True, min(lines[part] for part in inside & lines.keys())
    for block in view.body.function.blocks:
        for edge in block.edges:
            if edge.when is not None and is_gate(edge.when) and id(edge.when) not in joined:
                yield edge.when, edge.taken, edge.line or _line(view, block)


def _nearest(lines: list[int], guarded: list[Site]) -> int:
    """Of the lines on which a condition is tested, the last one above what stands under it."""
    first = min((fact.at.line for fact in guarded), default=0)
    return max((line for line in lines if line <= first), default=min(lines))


def _line(view: View, block: Block) -> int:
    """Where a block tests its condition: after its last event, as near as that can be told."""
    events = [e.call.line if isinstance(e, CallEvent) else e.line for e in block.events]
    return max(*events, block.line) if events else max(block.line, view.body.function.line)


def canonical(body: Body, expr: Expr) -> str:
    """The condition with objects in the place of the function's own names for them."""
    e = bare(expr)
    match e:
        case AddressOf(base) | Deref(base):
            return canonical(body, base)
        case Field():
            identity = body.identity(e)
            return e.name if identity == UNKNOWN else identity
        case Name(name):
            if name in body.parameters:
                return f"${body.parameters[name]}"
            return body.locals[name].name if name in body.locals else name
        case OpExpr(op, args):
            texts = [_part(body, a, op) for a in args]
            return f"{op}{texts[0]}" if len(texts) == 1 else f" {op} ".join(texts)
        case Call(callee, _, args):
            return f"{callee}({', '.join(canonical(body, a) for a in args)})"
    return show(e)


def _part(body: Body, expr: Expr, op: str) -> str:
    """An operand: in brackets where it has another operator of two sides."""
    inner = bare(expr)
    text = canonical(body, inner)
    return f"({text})" if isinstance(inner, OpExpr) and len(inner.args) > 1 and inner.op != op else text


def _names(fact: Site) -> str:
    match fact:
        case Lock():
            return f"lock {short(fact.lock)}"
        case Wait() | Flush():
            return f"wait {short(fact.object) or fact.call}"
        case Queue():
            return f"queue {short(fact.work)}"
        case Take():
            return f"take {short(fact.pool)}"
        case CallTo():
            return f"call {fact.callee or fact.through}"
        case _:
            return fact.call
