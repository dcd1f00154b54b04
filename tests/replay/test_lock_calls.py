"""What a lock call does where a function is entered with locks held."""

from __future__ import annotations

import pytest

from reviewbot.replay.slicing.lock_calls import HeldToken, LockState, locked
from reviewbot.replay.slicing.reader import CallAct
from reviewbot.types import Place

LOCK = "drivers/md/small.c:table_lock"


@pytest.mark.parametrize(
    ("base", "again"),
    [("table_lock", True), ("&table_lock", True), ("table_lock[i]", False), ("m", False), ("table_lock + 1", False)],
)
def test_a_variable_is_the_one_that_was_held_only_by_its_own_name(base: str, again: bool) -> None:
    entered = LockState(0, 0, (HeldToken(LOCK, "x", "", False),), frozenset())
    act = CallAct(kind="lock", object=LOCK, does="acquire", mode="x", klass="mutex", call="mutex_lock", base=base)
    ((op, _),) = locked(entered, act, LOCK, base, Place("drivers/md/small.c", 1), "mutex_lock(m)", False)
    assert (op is not None) == again
