"""Locks taken and given back, and what a function leaves its caller with."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.facts.flow import Token
from reviewbot.facts.kinds import Exit, Fact, Held, Lock, Unlock
from reviewbot.facts.records import NAMES
from reviewbot.facts.view import View
from reviewbot.kernel import lock_words, schema


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
    for left in view.record.left:
        if left.takes or left.drops:
            yield Exit(
                function=view.name,
                at=view.place(view.body.function.line),
                result=NAMES[left.result],
                takes=_held(left.takes),
                drops=_held(left.drops),
                agreed=left.agreed,
            )


def _held(tokens: tuple[Token, ...]) -> tuple[Held, ...]:
    counts: dict[tuple[str, str, str], int] = {}
    for t in tokens:
        counts[t.lock, t.mode, t.klass] = counts.get((t.lock, t.mode, t.klass), 0) + 1
    return tuple(Held(*key, count) for key, count in sorted(counts.items()))
