"""Work items: which handler they run, who queues them where; timers and tasklets are queued the same way."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.events.kinds import Bind, Fact, Queue
from reviewbot.analysis.producers.view import View
from reviewbot.function_key import name_of
from reviewbot.kernel import schema


def facts(view: View) -> Iterator[Fact]:
    """Queue facts of one function, and Bind facts of what it sets up."""
    for made, effect in view.having(schema.QueueGroup):
        work = view.object(made.call, effect.work)
        queue = view.object(made.call, effect.workqueue, effect.object)
        yield Queue(**view.site(made), workqueue=queue, work=work)
    for bound in view.callgraph.wiring(view.key).bound:
        handler = name_of(bound.handler)
        at = view.place(bound.line)
        yield Bind(function=view.name, at=at, work=bound.work, handler=handler, runner=bound.runner)
