"""Sleeps: what the task waits for, what its predicate tests; flushes of work."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.events.kinds import Fact, Flush, Wait
from reviewbot.analysis.producers.predicates import loop_reads, reads
from reviewbot.analysis.producers.view import View
from reviewbot.kernel import schema


def facts(view: View) -> Iterator[Fact]:
    """Wait and Flush facts of one function."""
    for made, effect in view.having(schema.WaitGroup):
        if effect.klass == "fault" and made.at.faultless:
            continue
        named = effect.argument is not None or effect.object
        identity = view.object(made.call, effect.argument, effect.object) if named else ""
        condition = view.arg(made.call, effect.condition)
        tested = reads(view.body, condition) if condition is not None else ()
        if effect.announce or effect.klass == "sleep":
            tested = loop_reads(view, made)
        if effect.klass == "sleep" and not effect.timeout:
            identity = _announced(view, made.number) or identity
        yield Wait(
            **view.site(made),
            klass=effect.klass,
            object=identity,
            reads=tested,
            timeout=effect.timeout,
            io=effect.io,
            announce=effect.announce,
        )
    for made, contract in view.having(schema.Contract):
        if contract.io:
            yield Wait(**view.site(made), klass="io", object="", io=True)
        elif contract.sleeps and not any(other.call.callee in contract.got for other in view.made):
            yield Wait(**view.site(made), klass="reschedule")
    for made, flush in view.having(schema.FlushGroup):
        identity = view.object(made.call, flush.argument, flush.object)
        yield Flush(**view.site(made), of=flush.of, object=identity, cancel=flush.cancel)


def _announced(view: View, index: int) -> str:
    """The event that the task was put on before it sleeps: the last one named above, in the order of the text."""
    named = ""
    for made, effect in view.having(schema.WaitGroup):
        if effect.klass == "fault" and made.at.faultless:
            continue
        if effect.announce and effect.klass == "event" and (made.number < index or not named):
            named = view.object(made.call, effect.argument)
    return "" if named.startswith("?") else named
