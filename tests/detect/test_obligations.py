"""What a function owes to others: left undone, or done in another way."""

from __future__ import annotations

import pytest

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.anchors import Difference
from reviewbot.detect.obligations import Obligation, undone
from reviewbot.score import Doubt

HEAD = """
struct mutex { int x; };
typedef struct { int x; } wait_queue_head_t;
typedef struct { int counter; } atomic_t;
struct work_struct { int x; };
struct workqueue_struct { int x; };
struct bio { int bi_status; };
typedef struct { int x; } spinlock_t;
struct dev { spinlock_t fast; struct mutex lock; wait_queue_head_t wait; int busy; atomic_t left; struct work_struct work;
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
    return [one for one in undone(old, new, Difference(old, new, *keys).changes) if isinstance(one, Obligation)]


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
    assert [(o.how, o.what, o.doubts) for o in found(before, after)] == [("late", "go(d)", (Doubt.BELOW,))]
    assert found(after, before) == []


@pytest.mark.parametrize(("made", "left"), [("kthread_run", []), ("kthread_create", ["wake_up_process(t)"])])
def test_a_thread_that_one_call_makes_and_wakes(made: str, left: list[str]) -> None:
    begin = "int thread(void *d) { return 0; }\nvoid run(struct dev *d) { struct task_struct *t = "
    before = f'{begin}kthread_create(thread, d, "t"); d->busy = 1; wake_up_process(t); }}'
    assert [o.what for o in found(before, f'{begin}{made}(thread, d, "u"); d->busy = 1; }}')] == left


def test_another_wake_up_is_not_made_up_for_by_a_new_thread() -> None:
    begin = "int thread(void *d) { return 0; }\nvoid run(struct dev *d) { d->busy = 0; "
    after = f'{begin}kthread_run(thread, d, "t"); }}'
    assert [o.what for o in found(f"{begin}wake_up(&d->wait); }}", after)] == ["wake_up(&d->wait)"]


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


def told(before: str, after: str) -> list[tuple[str, str]]:
    """How, and what, in short."""
    return [(one.how, one.op) for one in found(before, after)]


JOINED = "void run(struct dev *d) { spin_lock(&d->fast); d->busy = 0; spin_unlock(&d->fast); }"
SPLIT = "void run(struct dev *d) { spin_lock(&d->fast); if (d->wq) { d->busy = 0; spin_unlock(&d->fast); }%s }"


def test_an_unlock_that_is_done_in_one_place_for_all() -> None:
    """What counts of an unlock is with what the function returns then."""
    assert told(SPLIT % " else { spin_unlock(&d->fast); }", JOINED) == []
    assert told(JOINED, SPLIT % " else { spin_unlock(&d->fast); }") == []
    assert told(JOINED, SPLIT % "") == [("guarded", "unlock")]


@pytest.mark.parametrize(("lock", "says"), [("mutex_%s(&d->lock);", [("gone", "unlock")]), ("spin_%s(&d->fast);", [])])
def test_a_lock_that_is_held_for_longer(lock: str, says: list[tuple[str, str]]) -> None:
    """Who sleeps with it may be waited for; nobody sleeps with a spinlock."""
    take, give = lock % "lock", lock % "unlock"
    before = f"void run(struct dev *d) {{ {take} if (d->busy && d->wq) {{ {give} rest(d); }} else {{ {give} }} }}"
    after = f"void run(struct dev *d) {{ {take} if (d->busy) {{ if (d->wq) d->busy = 4; rest(d); }} {give} }}"
    assert told(before, after) == says


SPLITS = """void run(struct dev *d, struct bio *b) {
    struct bio *part = bio_split(b, 8, 0, 0);
    if (!part) { bio_endio(b); return; }
    submit_bio(part);
}"""


def test_the_failure_of_what_is_not_tried_any_more() -> None:
    assert told(SPLITS, "void run(struct dev *d, struct bio *b) { submit_bio(b); }") == []
    tries = """int run(struct dev *d) {
        if (!spin_trylock(&d->fast)) wake_up(&d->wait); else spin_unlock(&d->fast);
        return d->busy;
    }"""
    assert told(tries, "int run(struct dev *d) { spin_lock(&d->fast); spin_unlock(&d->fast); return d->busy; }") == []


def test_the_failure_of_what_is_still_tried() -> None:
    assert told(SPLITS, SPLITS.replace("bio_endio(b); ", "")) == [("gone", "end I/O")]


def test_a_test_for_sleepers_goes_with_the_wake_up() -> None:
    before = "void run(struct dev *d) { d->busy = 0; if (waitqueue_active(&d->wait)) wake_up(&d->wait); }"
    assert told(before, "void run(struct dev *d) { d->busy = 0; }") == [("gone", "wake")]


def test_one_call_that_does_several_things() -> None:
    """It takes from a reserve, and hands on the I/O."""
    before = "void run(struct dev *d, struct bio *b) { if (d->busy) bio_endio(b); }"
    after = "void run(struct dev *d, struct bio *b) { bio_submit_split_bioset(b, 8, 0); }"
    assert told(before, after) == []


def test_a_way_out_that_is_gone_with_what_was_done_on_it() -> None:
    out = "int run(struct dev *d) { if (d->busy) { wake_up(&d->wait);%s } return go(d); }"
    go = "static int go(struct dev *d) { queue_work(d->wq, &d->work); return 1; }\n"
    assert told(go + out % " return 0;", f"{go}int run(struct dev *d) {{ return go(d); }}") == []
    assert told(go + out % "", f"{go}int run(struct dev *d) {{ return go(d); }}") == [("gone", "wake")]


@pytest.mark.parametrize(("value", "says"), [("-22", []), ("0", [("guarded", "queue")])])
def test_a_way_out_whose_value_says_so(value: str, says: list[tuple[str, str]]) -> None:
    code = "int run(struct dev *d, int on) {%s if (!d->wq) return -22; queue_work(d->wq, &d->work); return 0; }"
    assert told(code % "", code % f" if (!on) return {value};") == says


@pytest.mark.parametrize(("behind", "says"), [("", []), ("d->left.counter = 1; ", [("guarded", "barrier")])])
def test_a_barrier_with_nothing_behind_it(behind: str, says: list[tuple[str, str]]) -> None:
    code = f"void run(struct dev *d, int on) {{ d->busy = 1; %s {{ smp_mb(); d->busy = 2; }} {behind}}}"
    assert told(code % "", code % "if (on)") == says


@pytest.mark.parametrize(("calls", "says"), [(1, [("late", "call")]), (3, [("late", "call")]), (4, [])])
def test_what_others_wait_for_is_few_calls_below(calls: int, says: list[tuple[str, str]]) -> None:
    below = f"static void go_{calls}(struct dev *d) {{ queue_work(d->wq, &d->work); }}\n"
    below += "".join(f"static void go_{n}(struct dev *d) {{ go_{n + 1}(d); }}\n" for n in range(calls - 1, 0, -1))
    assert (
        told(
            f"{below}void run(struct dev *d) {{ go_1(d); drain(d); }}",
            f"{below}void run(struct dev *d) {{ drain(d); go_1(d); }}",
        )
        == says
    )
