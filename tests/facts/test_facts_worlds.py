"""Worlds that are led on from one kept on disk say the same as those that are made anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reviewbot.facts import worlds
from reviewbot.source import MemorySource

SHARED = b"struct shared { struct mutex lock; int count; };\nvoid ready(struct shared *s);\n"
USER = b"""#include "shared.h"
static void helper(struct shared *s)
{
	mutex_lock(&s->lock);
	s->count++;
	mutex_unlock(&s->lock);
}
void ready(struct shared *s)
{
	helper(s);
}
"""
OTHER = b'#include "shared.h"\nvoid other(struct shared *s)\n{\n\tready(s);\n}\n'
FILES = {"drivers/a/shared.h": SHARED, "drivers/a/user.c": USER, "drivers/a/other.c": OTHER}


@pytest.fixture(autouse=True)
def _nothing_in_memory() -> Iterator[None]:
    worlds.forget()
    yield
    worlds.forget()


def test_a_declaration_that_functions_of_other_files_mention() -> None:
    """These are looked at again while the step is made: their bodies have to be at hand by then."""
    worlds.find(MemorySource(FILES), ("drivers/a/other.c",))
    worlds.forget()
    changed = MemorySource(FILES | {"drivers/a/shared.h": SHARED.replace(b"int count", b"long count")})
    led_on = worlds.find(changed, ("drivers/a/other.c",))
    anew = worlds.make(changed, {p: changed.blob(p) or "" for p in FILES})
    key = "drivers/a/user.c:helper"
    assert led_on.steps == 1
    assert led_on.own_facts(key) == anew.own_facts(key)
    assert anew.own_facts(key)
