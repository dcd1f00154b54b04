"""The ordered difference of two versions of a function: what is one, and what is none."""

from __future__ import annotations

import pytest

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.anchors import Difference
from reviewbot.detect.changed import Changed

HEAD = """
struct mutex { int x; };
typedef struct { int x; } wait_queue_head_t;
struct work_struct { int x; };
struct workqueue_struct { int x; };
struct dev { struct mutex lock; wait_queue_head_t wait; int busy; int mode; struct work_struct work;
             struct workqueue_struct *wq; };
int probe(struct dev *d, int flags);
void settle(struct dev *d);
void sleeper(struct dev *d) { wait_event(d->wait, !d->busy); }
"""
FILE = "drivers/md/small.c"


def changes(before: str, after: str) -> tuple[Changed, ...]:
    """The difference of one file that is `before`, then `after`: all functions but those of the head are looked at."""
    old, new = (Program.of_units({FILE: lower((HEAD + text).encode())}) for text in (before, after))
    keys = [[k for k in program.functions() if not k.endswith(":sleeper")] for program in (old, new)]
    return Difference(old, new, *keys).changes


def told(before: str, after: str) -> list[str]:
    """The difference as phrases, with its kind before each."""
    return [f"{change.kind} {change.says()}" for change in changes(before, after)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "int run(struct dev *d) { int err = probe(d, 1); if (err) return err; settle(d); return 0; }",
            "int run(struct dev *d) { int bad = probe(d, 1); if (bad) return bad; settle(d); return 0; }",
            id="a renamed local",
        ),
        pytest.param(
            "int run(struct dev *dev, int n) { while (n) { n = n - 1; probe(dev, n); } return n; }",
            "int run(struct dev *d, int left) { while (left) { left = left - 1; probe(d, left); } return left; }",
            id="renamed parameters",
        ),
        pytest.param(
            "void run(struct dev *d) { mutex_lock(&d->lock); settle(d); mutex_unlock(&d->lock); }",
            "static void inner(struct dev *x) { settle(x); }\n"
            "void run(struct dev *d) { mutex_lock(&d->lock); inner(d); mutex_unlock(&d->lock); }",
            id="a helper that is new",
        ),
        pytest.param(
            "static void old_name(struct dev *x) { mutex_lock(&x->lock); settle(x); mutex_unlock(&x->lock); }\n"
            "void run(struct dev *d) { if (d->mode) old_name(d); }",
            "static void new_name(struct dev *x) { mutex_lock(&x->lock); settle(x); mutex_unlock(&x->lock); }\n"
            "void run(struct dev *d) { if (d->mode) new_name(d); }",
            id="a helper with another name",
        ),
        pytest.param(
            "void run(struct dev *d) { if (d->mode) settle(d); else probe(d, 0); }",
            "void run(struct dev *d) { if (!d->mode) probe(d, 0); else settle(d); }",
            id="an if that was turned round",
        ),
        pytest.param(
            "void run(struct dev *d) { if (d->mode) { settle(d); } else { settle(d); } }",
            "void run(struct dev *d) { settle(d); }",
            id="the same on both branches",
        ),
        pytest.param(
            "void run(struct dev *d) { d->mode = 1; probe(d, 2); }",
            "void run(struct dev *d) { probe(d, 2); d->mode = 1; }",
            id="two statements that nobody waits for",
        ),
        pytest.param(
            "void run(struct dev *d) { struct dev *other = d; settle(other); }",
            "void run(struct dev *d) { settle(d); }",
            id="a local that is another name",
        ),
        pytest.param(
            "static void give(struct dev *d) { mutex_unlock(&d->lock); }\n"
            "void run(struct dev *d) { mutex_lock(&d->lock); settle(d); give(d); }",
            "static void give(struct dev *d) { settle(d); mutex_unlock(&d->lock); }\n"
            "void run(struct dev *d) { mutex_lock(&d->lock); give(d); }",
            id="a statement that moved into a helper both sides have",
        ),
        pytest.param(
            "int run(struct dev *d) { int r = probe(d, 1); if (r) return r; settle(d); return 0; }",
            "static int ask(struct dev *x) { int r; r = probe(x, 1); return r; }\n"
            "int run(struct dev *d) { int r = ask(d); if (r) return r; settle(d); return 0; }",
            id="a helper that gives a result",
        ),
        pytest.param(
            "int run(struct dev *d, int n) { if (d->mode) n = probe(d, 1); settle(d); return probe(d, n); }",
            "static int ask(struct dev *x, int n) { if (x->mode) n = probe(x, 1); return n; }\n"
            "int run(struct dev *d, int n) { n = ask(d, n); settle(d); return probe(d, n); }",
            id="a helper that gives a parameter another value",
        ),
        pytest.param(
            "void run(struct dev *d) { int a, b; a = probe(d, 1); b = probe(d, 2); if (a) settle(d); probe(d, b); }",
            "static void both(struct dev *x, int *a, int *b) { *a = probe(x, 1); *b = probe(x, 2); }\n"
            "void run(struct dev *d) { int a, b; both(d, &a, &b); if (a) settle(d); probe(d, b); }",
            id="a helper with two results",
        ),
        pytest.param(
            "void run(struct dev *d) { if (d->mode && !d->busy) settle(d); }",
            "static int may(struct dev *x) { return x->mode && !x->busy; }\n"
            "void run(struct dev *d) { if (may(d)) settle(d); }",
            id="a helper that says a condition",
        ),
        pytest.param(
            "void run(struct dev *d) { if (d->mode && !d->busy) settle(d); }",
            "static int may(struct dev *x) { if (!x->mode) return 0; if (x->busy) return 0; return 1; }\n"
            "void run(struct dev *d) { if (may(d)) settle(d); }",
            id="a helper that says it with several returns",
        ),
        pytest.param(
            "void run(struct dev *d) { if (d->mode && !d->busy) settle(d); }",
            "void run(struct dev *d) { int may = d->mode && !d->busy; if (may) settle(d); }",
            id="a local that says a condition",
        ),
        pytest.param(
            "void run(struct dev *d) { if (d->mode) { settle(d); probe(d, 0); } else { probe(d, 0); settle(d); } }",
            "void run(struct dev *d) { if (!d->mode) { probe(d, 0); settle(d); } else { settle(d); probe(d, 0); } }",
            id="an if that was turned round, with the same calls in another order",
        ),
    ],
)
def test_code_that_does_the_same_is_no_difference(before: str, after: str) -> None:
    assert told(before, after) == []


def test_a_call_that_is_gone_and_one_that_is_new() -> None:
    before = "void run(struct dev *d) { d->busy = 0; wake_up(&d->wait); }"
    after = "void run(struct dev *d) { d->busy = 0; settle(d); }"
    assert told(before, after) == ["gone wake wake_up(&d->wait)", "new call settle(d)"]


def test_a_condition_is_one_change_of_all_that_stands_under_it() -> None:
    before = "void run(struct dev *d) { settle(d); wake_up(&d->wait); }"
    after = "void run(struct dev *d) {\nif (d->mode)\nreturn;\nsettle(d);\nwake_up(&d->wait); }"
    (guard,) = changes(before, after)
    assert guard.says() == "wake wake_up(&d->wait) (and 1 more): only if !d->mode"
    first = HEAD.count("\n") + 1
    assert [at.line - first for at in guard.places] == [4, 0, 1]  # the call after, before, and the test


def test_an_exit_with_another_value_is_told_beside_what_it_leaves_out() -> None:
    before = "int run(struct dev *d) { settle(d); return 0; }"
    after = "int run(struct dev *d) { if (d->mode) return -1; settle(d); return 0; }"
    assert told(before, after) == [
        "guard call settle(d) (and 1 more): only if !d->mode",
        "new return -1 if d->mode",
    ]


def test_a_condition_that_went_is_seen_the_other_way_round() -> None:
    before = "void run(struct dev *d) { if (d->mode) wake_up(&d->wait); }"
    after = "void run(struct dev *d) { wake_up(&d->wait); }"
    assert told(before, after) == ["guard wake wake_up(&d->wait): no longer only if d->mode"]


def test_the_order_of_a_lock_and_what_it_covers() -> None:
    before = "void run(struct dev *d) { mutex_lock(&d->lock); settle(d); mutex_unlock(&d->lock); }"
    after = "void run(struct dev *d) { mutex_lock(&d->lock); mutex_unlock(&d->lock); settle(d); }"
    (found,) = changes(before, after)
    assert found.kind == "moved"
    assert found.says() == "unlock mutex_unlock(&d->lock): now before call settle(d)"


def test_the_order_of_a_wake_up_and_of_what_the_sleeper_tests() -> None:
    before = "void run(struct dev *d) { d->busy = 0; wake_up(&d->wait); }"
    after = "void run(struct dev *d) { wake_up(&d->wait); d->busy = 0; }"
    (found,) = changes(before, after)
    assert found.kind == "moved"


def test_order_is_looked_at_within_one_round_of_a_loop() -> None:
    loop = "void run(struct dev *d) {{ while (d->mode) {{ {} }} }}"
    first, second = "mutex_lock(&d->lock); mutex_unlock(&d->lock);", "settle(d);"
    before, after = loop.format(f"{first} if (d->busy) {second}"), loop.format(f"if (d->busy) {second} {first}")
    assert [c.kind for c in changes(before, after)] == ["moved"]
    assert changes(before, before) == ()


def test_other_arguments_are_one_change_and_not_one_for_each_use_of_the_result() -> None:
    before = "void run(struct dev *d) { int r = probe(d, 1); if (r) settle(d); probe(d, r); }"
    after = "void run(struct dev *d) { int r = probe(d, 2); if (r) settle(d); probe(d, r); }"
    assert told(before, after) == ["other call probe(d, 2): was call probe(d, 1)"]


def test_done_once_where_it_was_done_twice() -> None:
    before = "void run(struct dev *d) { settle(d); settle(d); }"
    after = "void run(struct dev *d) { settle(d); }"
    assert told(before, after) == ["gone call settle(d)"]


def test_a_loop_that_ends_under_another_condition() -> None:
    before = "void run(struct dev *d) { while (d->busy) { settle(d); if (d->mode) break; } }"
    after = "void run(struct dev *d) { while (d->busy) { settle(d); } }"
    assert "gone leave the loop if d->busy && d->mode" in told(before, after)


def test_a_function_that_cannot_be_read_has_no_difference() -> None:
    before = "void run(struct dev *d) { settle(d); }"
    after = "void run(struct dev *d) { settle(d) @@ ; probe( }"
    assert told(before, after) == []


def test_a_function_that_nobody_calls_is_told_as_new() -> None:
    before = "void run(struct dev *d) { settle(d); }"
    after = before + "\nvoid end(struct dev *d) { wake_up(&d->wait); }"
    assert told(before, after) == ["new wake wake_up(&d->wait)"]


def test_what_tasks_wait_for_comes_first() -> None:
    before = "void run(struct dev *d) { d->mode = 1; settle(d); wake_up(&d->wait); }"
    after = "void run(struct dev *d) { d->mode = 2; probe(d, 0); }"
    assert next(c.event.op for c in changes(before, after)) == "wake"


def test_the_order_of_two_calls() -> None:
    before = "void run(struct dev *d) { probe(d, 1); settle(d); }"
    after = "void run(struct dev *d) { settle(d); probe(d, 1); }"
    assert [c.kind for c in changes(before, after)] == ["moved"]


def test_a_call_that_gives_a_lock_back_has_an_order() -> None:
    give = "static void give(struct dev *d) { mutex_unlock(&d->lock); }\n"
    before = give + "void run(struct dev *d) { mutex_lock(&d->lock); d->mode = 1; give(d); }"
    after = give + "void run(struct dev *d) { mutex_lock(&d->lock); give(d); d->mode = 1; }"
    assert [c.kind for c in changes(before, after)] == ["moved"]


def test_the_way_out_of_an_inner_loop() -> None:
    loops = "void run(struct dev *d) {{ while (d->mode) {{ while (d->busy) {{ settle(d); if (probe(d, 1)) {}; }} }} }}"
    found = changes(loops.format("break"), loops.format("continue"))
    assert ("gone", "leave", "probe($dev, 1)") in [(c.kind, c.event.op, c.event.words) for c in found]


def test_other_arguments_inside_of_a_loop_are_one_change() -> None:
    loop = "void run(struct dev *d) {{ while (d->mode) {{ if (probe(d, {})) break; settle(d); }} }}"
    assert told(loop.format(1), loop.format(2)) == ["other call probe(d, 2): was call probe(d, 1)"]


def test_other_arguments_of_a_test_are_told_where_it_is_made() -> None:
    test = "void run(struct dev *d) {{ if (test_bit({}, &d->mode)) {{ settle(d); wake_up(&d->wait); }} }}"
    expected = ["other call test_bit(2, &d->mode): was call test_bit(1, &d->mode)"]
    assert told(test.format(1), test.format(2)) == expected


def test_the_condition_under_which_a_local_is_set() -> None:
    before = "void run(struct dev *d, int n) { int m = n; if (d->mode) m = probe(d, 1); if (n) m = 0; probe(d, m); }"
    after = "void run(struct dev *d, int n) { int m = n; m = probe(d, 1); if (n) m = 0; probe(d, m); }"
    (found,) = [c for c in changes(before, after) if "set m = probe($dev, 1)" in (str(c.event), *map(str, c.also))]
    assert [str(literal) for literal in found.lost] == ["$dev.mode"]


def test_the_condition_under_which_a_part_of_a_local_is_set() -> None:
    before = "void run(struct dev *d) { struct dev x; if (d->mode) x.mode = 1; settle(&x); }"
    after = "void run(struct dev *d) { struct dev x; x.mode = 1; settle(&x); }"
    assert told(before, after) == ["guard set ~x.mode = 1: no longer only if d->mode"]


def test_a_local_that_nothing_else_is_made_of_is_no_change() -> None:
    before = "void run(struct dev *d) { int n = 0; n = 1; settle(d); }"
    after = "void run(struct dev *d) { int n = 0; if (d->mode) n = 1; settle(d); }"
    assert told(before, after) == []


def test_a_parameter_that_has_another_value_on_one_way() -> None:
    before = "void run(struct dev *d, int flags) { if (d->mode) flags = 0; probe(d, flags); }"
    after = "void run(struct dev *d, int flags) { if (d->mode) flags = 1; probe(d, flags); }"
    assert "other call probe(d, flags): was call probe(d, flags)" in told(before, after)


def test_what_is_gone_from_one_way_is_told_with_the_test_of_that_way() -> None:
    text = "void run(struct dev *d) {{\nsettle(d);\nif (probe(d, 0)) {{\n{}\n}}\nprobe(d, 1);\nwake_up(&d->wait); }}"
    (gone,) = changes(text.format("wake_up(&d->wait); return;"), text.format("return;"))
    first = HEAD.count("\n") + 1
    assert [at.line - first for at in gone.places] == [3, 2]
