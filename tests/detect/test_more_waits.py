"""Where a function waits that it did not wait before."""

from __future__ import annotations

import pytest
from searches import sure

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.anchors import Difference
from reviewbot.detect.more_waits import MoreWaits, more_waits
from reviewbot.limits import MAX_EVENTS_OF_GUARD

HEAD = """
struct mutex { int x; };
struct completion { int x; };
typedef struct { int x; } spinlock_t;
typedef struct { int x; } wait_queue_head_t;
struct work_struct { int x; };
struct dev { struct mutex lock; spinlock_t fast; wait_queue_head_t wait; struct completion done; int busy, mine;
             struct work_struct work; };
static void drain(struct dev *d) { wait_event(d->wait, !d->busy); }
"""
FILE = "drivers/md/small.c"


def found(before: str, after: str) -> list[MoreWaits]:
    """Where one file that is `before`, then `after`, waits more."""
    texts = (f"{HEAD}void run(struct dev *d) {{ {text} }}" for text in (before, after))
    old, new = (Program.of_units({FILE: lower(text.encode())}) for text in texts)
    keys = [list(program.functions()) for program in (old, new)]
    return sure(more_waits(old, new, Difference(old, new, *keys).changes))


@pytest.mark.parametrize(
    "wait",
    [
        "wait_for_completion(&d->done);",
        "wait_event(d->wait, !d->busy);",
        "flush_work(&d->work);",
        "mutex_lock(&d->lock);",
    ],
)
def test_a_wait_that_loses_its_condition(wait: str) -> None:
    (one,) = found(f"if (!d->mine) {wait} d->busy = 1;", f"{wait} d->busy = 1;")
    assert one.lost == ("!d->mine",)
    assert one.what.partition("(")[0] == wait.partition("(")[0]


@pytest.mark.parametrize(
    "call",
    ["spin_lock(&d->fast);", "msleep(5);", "wake_up(&d->wait);", "mutex_trylock(&d->lock);", "drain(d);"],
)
def test_what_waits_for_nobody(call: str) -> None:
    assert found(f"if (!d->mine) {call} d->busy = 1;", f"{call} d->busy = 1;") == []


def test_a_wait_with_another_condition() -> None:
    assert found("if (!d->mine) flush_work(&d->work);", "if (!d->busy) flush_work(&d->work);") == []


@pytest.mark.parametrize(("number", "told"), [(MAX_EVENTS_OF_GUARD - 1, 1), (MAX_EVENTS_OF_GUARD, 0)])
def test_a_condition_that_was_a_way_out(number: int, told: int) -> None:
    rest = (
        "flush_work(&d->work);"
        + "".join(f"wake_up(&d->wait); d->mine = {n};" for n in range(number // 2))
        + "d->busy = 1;" * (number % 2)
    )
    assert len(found(f"if (d->mine) return; {rest}", rest)) == told


@pytest.mark.parametrize(
    ("loop", "told"), [("for (i = 0; i < 8; i++) d->busy += i;", 0), ("if (i < 8) d->busy = i;", 1)]
)
def test_the_end_of_a_loop_is_no_condition(loop: str, told: int) -> None:
    """Every run comes there; that a test is passed is something else."""
    after = "int i = d->mine; flush_work(&d->work); " + loop
    before = "int i = d->mine; " + loop + " flush_work(&d->work);"
    if told:
        before = before.replace("flush_work", "else flush_work")
    assert len(found(before, after)) == told
