"""Kernel threads as runners of their own."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.events.kinds import Fact, Thread
from reviewbot.analysis.producers.view import View
from reviewbot.function_key import name_of
from reviewbot.kernel import schema


def facts(view: View) -> Iterator[Fact]:
    """Thread facts of one function."""
    for made, _ in view.having(schema.ThreadGroup):
        for started in view.callgraph.wiring(view.key).started:
            if started.line == made.call.line:
                yield Thread(
                    function=view.name,
                    at=view.place(made.call.line),
                    object=view.result(made.call),
                    handler=name_of(started.handler),
                    call=made.call.callee,
                )
