"""Locks taken and given back, and what a function leaves its caller with."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import ANY, MINUS, PLUS, ZERO, show, sign
from reviewbot.analysis.events.kinds import Exit, Fact, Held, Lock, Unlock
from reviewbot.analysis.locks import task_flags
from reviewbot.analysis.locks.flow import VOID
from reviewbot.analysis.locks.lockset_summary import NAMES
from reviewbot.analysis.locks.plan import LockToken, context_of
from reviewbot.analysis.locks.task_flags import ScopeChange
from reviewbot.analysis.producers.view import Made, View
from reviewbot.csource.ir import Assign, Name
from reviewbot.kernel import BACKOFF, KERNEL, LockCall, lock_words, schema

Tokens = tuple[LockToken, ...]
MAP = KERNEL.word("user_map")
"""What touching user memory takes, when a page is not there."""


def facts(view: View) -> Iterator[Fact]:
    """Lock, Unlock and Exit facts of one function."""
    for made, effect in view.locks():
        group = effect.group
        lock = view.locksets.lock_of(view.body, made.call, effect)
        if lock.startswith("?") or (effect.does == "transient" and lock == MAP and made.at.faultless):
            continue
        site = view.site(made)
        if effect.does == "release":
            yield Unlock(**site, lock=lock, klass=group.klass, mode=group.mode, irq=group.irq)
        else:
            argument = view.arg(made.call, group.argument)
            base = view.body.base(argument) if argument is not None else ""
            how = _how(view, made, effect)
            yield Lock(**site, lock=lock, klass=group.klass, mode=group.mode, how=how, irq=group.irq, base=base)
    for made, contract in view.having(schema.Contract):
        for lock, mode, klass in map(lock_words, contract.takes):
            yield Lock(**view.site(made), lock=lock, klass=klass, mode=mode, how="transient")
    yield from _scopes(view)
    for (takes, drops), results in _exits(view).items():
        for result in results:
            yield Exit(
                function=view.name,
                at=view.place(view.body.function.line),
                result=result,
                takes=_held(takes),
                drops=_held(drops),
            )


def _how(view: View, made: Made, effect: LockCall) -> str:
    """How a lock is taken: with a context it may be told to give back what it has, and begin again."""
    context = context_of(made.call, effect)
    if context is None:
        return effect.does
    signs = sign(context) & (dict(view.given).get(context.name, ANY) if isinstance(context, Name) else ANY)
    return BACKOFF if signs != ZERO else "acquire" if effect.group.sure else effect.does


def _scopes(view: View) -> Iterator[Fact]:
    """Scopes over allocations that are entered and left by the flags of the task."""
    calls = ((made.call.callee, made.call.line, task_flags.called(made.call)) for made in view.made)
    sets = (e for e in view.body.events() if isinstance(e, Assign))
    changes = ((show(e.left), e.line, task_flags.assigned(view.body, e)) for e in sets)
    for name, line, change in (*calls, *changes):
        enters, leaves = change or ScopeChange()
        for scope in enters:
            yield Lock(view.name, view.place(line), name, lock=scope, klass="scope")
        for scope in leaves:
            yield Unlock(view.name, view.place(line), name, lock=scope, klass="scope")


def _exits(view: View) -> dict[tuple[Tokens, Tokens], list[str]]:
    """What returns leave -> the classes of the value that leave it."""
    possible = {ZERO, PLUS} if _unsigned(view.body) else {ZERO, MINUS, PLUS}
    found: dict[tuple[Tokens, Tokens], set[int]] = {}
    for left in view.record.left:
        if left.agreed and (left.takes or left.drops) and left.result in (*possible, VOID):
            found.setdefault((left.takes, left.drops), set()).add(left.result)
    return {leaves: _classes(results, possible) for leaves, results in found.items()}


def _classes(results: set[int], possible: set[int]) -> list[str]:
    """Names of some classes of a value, together where its sign says nothing."""
    if possible <= results:
        return ["any"]
    if {MINUS, PLUS} <= results:
        return ["non-zero", *(NAMES[r] for r in sorted(results - {MINUS, PLUS}))]
    return [NAMES[r] for r in sorted(results)]


def _unsigned(body: Body) -> bool:
    """Whether the function returns what cannot be negative, nor an error pointer."""
    result = body.names.resolve(body.function.result)
    return not result.pointers and (
        result.name in ("bool", "_Bool", "size_t") or result.name.startswith(("unsigned", "u"))
    )


def _held(tokens: Tokens) -> tuple[Held, ...]:
    counts: dict[tuple[str, str, str], int] = {}
    for t in tokens:
        counts[t.lock, t.mode, t.klass] = counts.get((t.lock, t.mode, t.klass), 0) + 1
    return tuple(Held(*key, count) for key, count in sorted(counts.items()))
