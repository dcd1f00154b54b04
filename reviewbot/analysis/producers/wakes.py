"""Wake-ups, ends of I/O, and writes to what a sleep may test, each write with the wake-ups that surely follow it."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.code.expr import bare, show
from reviewbot.analysis.code.identity import Scope, known, scope
from reviewbot.analysis.events.kinds import Fact, Finish, Held, Wake, Write
from reviewbot.analysis.producers.view import Made, View
from reviewbot.csource.ir import Assign, Call, CallEvent, Const, Expr, Field, Name
from reviewbot.kernel import KERNEL, schema

OPERATORS = {"|=": "|", "&=": "&~", "+=": "+", "-=": "-"}


def facts(view: View) -> Iterator[Fact]:
    """Wake, Finish and Write facts of one function."""
    woken: dict[int, str] = {}
    for made, effect in view.having(schema.WakeGroup):
        woken[made.number] = view.object(made.call, effect.argument)
        yield Wake(**view.site(made), klass=effect.klass, object=woken[made.number], last_of=_last_of(view, made))
    for made, finish in view.having(schema.FinishGroup):
        yield Finish(**view.site(made), of=finish.of, object=view.object(made.call, finish.argument))
    yield from _writes(view, woken)


def _last_of(view: View, made: Made) -> str:
    """The counter that the call is behind having lowered to zero; empty for none."""
    for when, taken in view.dominance.conditions(made.block):
        call = bare(when)
        if taken and isinstance(call, Call) and _lowers(call):
            counter = view.object(call, 0)
            return counter if known(counter) else ""
    return ""


def _lowers(call: Call) -> bool:
    return any(isinstance(e, schema.WriteGroup) and e.op == "-" for e in KERNEL.effects.get(call.callee, ()))


def _writes(view: View, woken: dict[int, str]) -> Iterator[Fact]:
    later = _woken_later(view, woken) if woken else {}
    calls = iter(view.made)
    for number, block in enumerate(view.body.function.blocks):
        here = [made for made in view.made if made.block == number] if woken else []
        last: Made | None = None
        for event in block.events:
            wakes: tuple[str, ...] = ()
            if woken:
                after = {
                    woken[m.number] for m in here if m.number in woken and (last is None or m.number > last.number)
                }
                wakes = tuple(sorted(w for w in after | later[number] if not w.startswith("?")))
            if isinstance(event, CallEvent):
                last = next(calls)
                yield from _called(view, last, wakes)
            elif isinstance(event, Assign):
                yield from _assigned(view, event, last, wakes)


def _called(view: View, made: Made, wakes: tuple[str, ...]) -> Iterator[Fact]:
    if made.call.callee in KERNEL.counted and made.call.callee not in view.body.locals:
        group, op = KERNEL.counted[made.call.callee]
        yield Write(**view.site(made), object=group.object, op="+" if op == "?" else op, wakes=wakes)
    for effect in made.effects:
        if isinstance(effect, schema.WriteGroup):
            identity = view.object(made.call, effect.argument)
            if _shared(identity):
                bit = view.arg(made.call, effect.bit)
                identity = f"{identity} & {show(bit)}" if bit is not None else identity
                yield Write(**view.site(made), object=identity, op=effect.op, wakes=wakes)


def _assigned(view: View, event: Assign, last: Made | None, wakes: tuple[str, ...]) -> Iterator[Fact]:
    if not isinstance(event.left, Field | Name):
        return
    if isinstance(event.left, Name) and (event.left.name in view.body.locals or not _variable(view, event.left)):
        return
    identity = view.body.identity(event.left)
    if not _shared(identity):
        return
    held = _next_held(view, last)
    yield Write(
        function=view.name,
        at=view.place(event.line),
        held=held,
        object=identity,
        op=OPERATORS.get(event.op, "="),
        value=_constant(event.right),
        wakes=wakes,
    )


def _next_held(view: View, last: Made | None) -> tuple[Held, ...]:
    """What is held after a call: what is held at the next one of its block; nothing is said where there is none."""
    number = last.number + 1 if last is not None else 0
    if number < len(view.made) and (last is None or view.made[number].block == last.block):
        return view.made[number].at.held
    return ()


def _variable(view: View, name: Name) -> bool:
    return view.body.names.variable(name.name, view.body.file)[1] is not None


def _constant(expr: Expr) -> str:
    if isinstance(expr, Const) or (isinstance(expr, Name) and expr.name.isupper()):
        return show(expr)
    return ""


def _woken_later(view: View, woken: dict[int, str]) -> dict[int, frozenset[str]]:
    """Block -> objects that are woken in later blocks on every way from it to the function's end."""
    blocks = view.body.function.blocks
    own: dict[int, set[str]] = {number: set() for number in range(len(blocks))}
    for made in view.made:
        if made.number in woken:
            own[made.block].add(woken[made.number])
    everything = frozenset(woken.values())
    after = {n: everything if block.edges else frozenset[str]() for n, block in enumerate(blocks)}
    changed = True
    while changed:
        changed = False
        for number in range(len(blocks) - 1, -1, -1):
            if not blocks[number].edges:
                continue
            new = frozenset.intersection(*(after[e.to] | own[e.to] for e in blocks[number].edges))
            if new != after[number]:
                after[number] = new
                changed = True
    return after


def _shared(identity: str) -> bool:
    return scope(identity) in (Scope.INSTANCE, Scope.GLOBAL, Scope.ARGUMENT) and not identity.startswith("*")
