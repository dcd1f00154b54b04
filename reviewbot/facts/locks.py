"""Locks taken and given back, and what a function leaves its caller with."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.facts.body import Body
from reviewbot.facts.expr import MINUS, PLUS, ZERO
from reviewbot.facts.flow import VOID, Token
from reviewbot.facts.kinds import Exit, Fact, Held, Lock, Unlock
from reviewbot.facts.records import NAMES
from reviewbot.facts.view import View
from reviewbot.kernel import lock_words, schema

Tokens = tuple[Token, ...]


def facts(view: View) -> Iterator[Fact]:
    """Lock, Unlock and Exit facts of one function."""
    for made, effect in view.locks():
        group = effect.group
        lock = view.locking.lock_of(view.body, made.call, effect)
        if lock.startswith("?"):
            continue
        site = view.site(made)
        if effect.does == "release":
            yield Unlock(**site, lock=lock, klass=group.klass, mode=group.mode, irq=group.irq)
        else:
            argument = view.arg(made.call, group.argument)
            base = view.body.base(argument) if argument is not None else ""
            yield Lock(**site, lock=lock, klass=group.klass, mode=group.mode, how=effect.does, irq=group.irq, base=base)
    for made, contract in view.having(schema.Contract):
        for lock, mode, klass in map(lock_words, contract.takes):
            yield Lock(**view.site(made), lock=lock, klass=klass, mode=mode, how="transient")
    for (takes, drops, agreed), results in _exits(view):
        for result in results:
            yield Exit(
                function=view.name,
                at=view.place(view.body.function.line),
                result=result,
                takes=_held(takes),
                drops=_held(drops),
                agreed=agreed,
            )


def _exits(view: View) -> Iterator[tuple[tuple[Tokens, Tokens, bool], list[str]]]:
    """What returns leave -> the classes of the value that leave it: `any` where the value says nothing."""
    possible = {ZERO, PLUS} if _unsigned(view.body) else {ZERO, MINUS, PLUS}
    found: dict[tuple[Tokens, Tokens, bool], list[int]] = {}
    for left in view.record.left:
        if (left.takes or left.drops) and left.result in (*possible, VOID):
            found.setdefault((left.takes, left.drops, left.agreed), []).append(left.result)
    for leaves, results in found.items():
        yield leaves, ["any"] if possible <= set(results) else [NAMES[result] for result in results]


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
