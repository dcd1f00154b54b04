"""What a function owes to others: left undone, or done in another way."""

from __future__ import annotations

import pytest
from searches import sure

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.anchors import Difference
from reviewbot.detect.obligations import Obligation, undone

HEAD = """
struct mutex { int x; };
typedef struct { int x; } wait_queue_head_t;
typedef struct { int counter; } atomic_t;
struct work_struct { int x; };
struct workqueue_struct { int x; };
struct bio { int bi_status; };
struct dev { struct mutex lock; wait_queue_head_t wait; int busy; atomic_t left; struct work_struct work;
             struct workqueue_struct *wq; };
void sleeper(struct dev *d) { wait_event(d->wait, !d->busy); }
static void rest(struct dev *d) { wake_up(&d->wait); }
static void drain(struct dev *d) { mutex_lock(&d->lock); wait_event(d->wait, !d->busy); mutex_unlock(&d->lock); }
"""
FILE = "drivers/md/small.c"


def found(before: str, after: str) -> list[Obligation]:
    """What one file that is `before`, then `after`, leaves undone."""
    old, new = (Program.of_units({FILE: lower((HEAD + text).encode())}) for text in (before, after))
    keys = [list(program.functions()) for program in (old, new)]
    return sure(undone(old, new, Difference(old, new, *keys).changes))


def test_a_wake_up_that_is_gone_and_who_waits_for_it() -> None:
    before = "void run(struct dev *d) { d->busy = 0; wake_up(&d->wait); }"
    (one,) = found(before, "void run(struct dev *d) { d->busy = 0; }")
    assert (one.how, one.op, one.object) == ("gone", "wake", "dev.wait")
    assert one.sleeper is not None
    assert one.sleeper.function == "sleeper"


def test_a_wake_up_under_a_condition() -> None:
    before = "void run(struct dev *d) { d->busy = 0; wake_up(&d->wait); }"
    (one,) = found(before, "void run(struct dev *d, int quiet) { d->busy = 0; if (!quiet) wake_up(&d->wait); }")
    assert (one.how, one.gained) == ("guarded", ("!quiet",))


def test_work_that_is_queued_only_after_a_wait() -> None:
    before = "void go(struct dev *d) { queue_work(d->wq, &d->work); }\nvoid run(struct dev *d) { go(d); drain(d); }"
    after = "void go(struct dev *d) { queue_work(d->wq, &d->work); }\nvoid run(struct dev *d) { drain(d); go(d); }"
    assert [(o.how, o.what) for o in found(before, after)] == [("late", "go(d)")]
    assert found(after, before) == []


def test_a_barrier_that_is_gone() -> None:
    before = "int run(struct dev *d) { d->busy = 1; smp_mb(); return d->wq != 0; }"
    assert [o.op for o in found(before, "int run(struct dev *d) { d->busy = 1; return d->wq != 0; }")] == ["barrier"]


@pytest.mark.parametrize(
    "after",
    [
        pytest.param("void run(struct dev *d) { d->busy = 0; rest(d); }", id="a callee does it"),
        pytest.param(
            "void run(struct dev *d) { d->busy = 0; if (atomic_dec_and_test(&d->left)) wake_up(&d->wait); }",
            id="the last one does it",
        ),
        pytest.param(
            "void run(struct dev *d) { d->busy = 0; if (waitqueue_active(&d->wait)) wake_up(&d->wait); }",
            id="done where somebody sleeps",
        ),
        pytest.param(
            "void run(struct dev *d) { d->busy = 0; if (d->wq) queue_work(d->wq, &d->work); else wake_up(&d->wait); }",
            id="something else is done instead",
        ),
        pytest.param("void run(struct dev *d) { d->busy = 0; not_at_hand(d); }", id="what is new cannot be read"),
    ],
)
def test_what_is_done_in_another_way(after: str) -> None:
    assert found("void run(struct dev *d) { d->busy = 0; wake_up(&d->wait); }", after) == []


def test_io_that_is_handed_on_is_ended_by_others() -> None:
    before = "void run(struct dev *d, struct bio *b) { if (d->busy) bio_endio(b); else submit_bio(b); }"
    after = "void run(struct dev *d, struct bio *b) { if (d->busy && d->wq) bio_endio(b); else submit_bio(b); }"
    assert found(before, after) == []


def test_a_wake_up_goes_with_what_it_told_of() -> None:
    before = "void run(struct dev *d) { d->busy = 0; wake_up(&d->wait); }"
    assert found(before, "void run(struct dev *d) { }") == []
