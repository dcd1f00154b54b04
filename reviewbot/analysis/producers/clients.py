"""Clients: objects through which a shared service (dm-io, kcopyd, bufio, slab, shrinker, crypto) is used."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.events.kinds import Client, Fact
from reviewbot.analysis.producers.view import View


def facts(view: View) -> Iterator[Fact]:
    """Client facts of one function."""
    for made, effect in view.clients():
        if effect.does == "create":
            kept = view.result(made.call)
        else:
            kept = view.object(made.call, 0)
        yield Client(**view.site(made), klass=effect.group.klass, object=kept, does=effect.does)
