"""A lock that is taken around a call which was made without it before: the one that the caller holds."""

from __future__ import annotations

import pytest

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.edges import Circle
from reviewbot.detect.waitfor import circles

FILE = "drivers/md/small.c"
CODE = b"""
struct mutex { int x; };
struct box { struct mutex lock; int n; };
struct pen { struct box *home; struct pen *twin; };
static void drop_locked(struct pen *pen) { pen->home->n--; }
%s
void run(struct box *box, struct pen *pen, struct pen *other)
{
	mutex_lock(&box->lock);
	%s
	mutex_unlock(&box->lock);
}
"""
AROUND = b"""
static void drop(struct pen *pen)
{
	mutex_lock(&pen->home->lock);
	drop_locked(pen);
	mutex_unlock(&pen->home->lock);
}
"""
BEHIND = b"""
static void drop(struct pen *pen)
{
	mutex_lock(&pen->home->lock);
	mutex_unlock(&pen->home->lock);
	drop_locked(pen);
}
"""


def one_instance(was: bytes, now: bytes, around: bytes = AROUND) -> bool:
    """Whether the lock that is taken twice since a change is told to be one."""
    before, after = (Program.of_units({FILE: lower(CODE % (around, does))}) for does in (was, now))
    return any(isinstance(c, Circle) and c.kind == "self" and c.one for c in circles(before, after, [(FILE, "run")]))


@pytest.mark.parametrize(
    ("was", "now", "around", "one"),
    [
        (b"drop_locked(pen);", b"drop(pen);", AROUND, True),
        (b"drop_locked(pen); drop_locked(pen);", b"drop_locked(pen); drop(pen);", AROUND, True),
        (b"drop_locked(pen); drop_locked(other);", b"drop_locked(other); drop(other);", AROUND, False),
        (b"drop_locked(pen);", b"drop(pen);", BEHIND, False),
        (b"drop_locked(pen);", b"drop_locked(pen); drop(pen->twin);", AROUND, False),
        (b"drop_locked(pen);", b"drop(other);", AROUND, False),
        (b"drop_locked(pen);", b"drop(pen);", AROUND.replace(b"drop_locked(pen)", b"drop_locked(pen->twin)"), False),
        (b"", b"drop(pen);", AROUND, False),
        (b"drop(pen);", b"drop_locked(pen);", AROUND, False),
    ],
    ids=[
        "in its place",
        "in the place of one of two",
        "beside one for the same, instead of one for another",
        "not around it",
        "beside it",
        "for another one",
        "around another one",
        "for the first time",
        "no more",
    ],
)
def test_the_call_that_it_stands_for_tells_which_instance(was: bytes, now: bytes, around: bytes, one: bool) -> None:
    assert one_instance(was, now, around) == one
