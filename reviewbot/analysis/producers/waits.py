"""Sleeps: what the task waits for, what its predicate tests; flushes of work."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.code import gfp
from reviewbot.analysis.events.kinds import Fact, Flush, Wait
from reviewbot.analysis.producers.predicates import loop_reads, loop_zeros, reads, zeros
from reviewbot.analysis.producers.view import Made, View
from reviewbot.csource.ir import Call
from reviewbot.function_key import file_of
from reviewbot.kernel import KERNEL, schema


def facts(view: View) -> Iterator[Fact]:
    """Wait and Flush facts of one function."""
    for made, effect in view.having(schema.WaitGroup):
        if effect.klass != "fault" or not made.at.faultless:
            yield _wait(view, made, effect)
    for made, contract in view.having(schema.Contract):
        if contract.io:
            yield Wait(**view.site(made), klass="io", object="", io=True)
        elif contract.sleeps and not any(other.call.callee in contract.got for other in view.made):
            yield Wait(**view.site(made), klass="reschedule")
    for made in view.made:
        if not made.effects and (_sleeps_elsewhere(view, made.call) or _sleeps_behind(view, made.call)):
            yield Wait(**view.site(made), klass="reschedule")
    for made, flush in view.having(schema.FlushGroup):
        identity = view.object(made.call, flush.argument, flush.object)
        yield Flush(**view.site(made), of=flush.of, object=identity, cancel=flush.cancel)


def _wait(view: View, made: Made, effect: schema.WaitGroup) -> Wait:
    """The sleep of one call: for which object, and what is tested for it."""
    named = effect.argument is not None or effect.object
    identity = view.object(made.call, effect.argument, effect.object) if named else ""
    condition = view.arg(made.call, effect.condition)
    tested = reads(view.body, condition) if condition is not None else ()
    if effect.announce or effect.klass == "sleep":
        tested = loop_reads(view, made)
    if effect.klass == "sleep" and not effect.timeout:
        identity = _announced(view, made.number) or identity
    return Wait(
        **view.site(made),
        klass=effect.klass,
        object=identity,
        reads=tested,
        timeout=effect.timeout,
        io=effect.io,
        announce=effect.announce,
        zeros=tuple(sorted(_zeros(view, made, effect))) if tested else (),
    )


def _zeros(view: View, made: Made, effect: schema.WaitGroup) -> frozenset[str]:
    """What has to be zero before the sleep ends; nothing for one that a time limit ends."""
    polls = effect.klass == "sleep"
    if effect.timeout and not polls:
        return frozenset()
    condition = view.arg(made.call, effect.condition)
    tested = zeros(view.body, condition) if condition is not None else frozenset[str]()
    return tested | loop_zeros(view, made) if polls else tested


def _sleeps_elsewhere(view: View, call: Call) -> bool:
    """Whether a call goes to a function whose body is not at hand, and which always sleeps or gets a mask that lets it.

    A header has what there is with an option off: that is not the body of a function that always sleeps.
    """
    if call.callee in view.body.locals:
        return False
    found = view.callgraph.names.function(call.callee, view.body.file)
    if call.callee in KERNEL.sleepers:
        return found is None or file_of(found).endswith(".h")
    return found is None and bool(call.callee) and gfp.lets_wait(call)


def _sleeps_behind(view: View, call: Call) -> bool:
    """Whether a call goes through a slot whose functions sleep as they like."""
    through = not call.callee or call.callee in view.body.locals
    return through and view.callgraph.through(view.key, call) in KERNEL.sleeping_slots


def _announced(view: View, index: int) -> str:
    """The event that the task was put on before it sleeps: the last one named above, in the order of the text."""
    named = ""
    for made, effect in view.having(schema.WaitGroup):
        if effect.klass == "fault" and made.at.faultless:
            continue
        if effect.announce and effect.klass == "event" and (made.number < index or not named):
            named = view.object(made.call, effect.argument)
    return "" if named.startswith("?") else named
