"""What decides that a claim is not made: last references, long ways, flags, pointers that stand for many."""

from __future__ import annotations

import pytest
from small import program

from reviewbot.analysis.program.program import Program
from reviewbot.detect.edges import Edge, edges
from reviewbot.detect.instances import same_object
from reviewbot.detect.sure import doubtful, named, on_request
from reviewbot.limits import MAX_CALLS_FROM_LOCK_TO_WAIT
from reviewbot.score import Doubt
from reviewbot.types import Place

FILE = "drivers/md/small.c"


def waits(w: Program, function: str) -> list[Edge]:
    """The waits of a function under dev.lock."""
    return [e for e in edges(w, f"{FILE}:{function}") if e.lock.lock == "dev.lock"]


@pytest.mark.parametrize(
    ("give", "doubt"),
    [
        ("if (refcount_dec_and_test(&d->count))\n\t\tmutex_lock(&d->other);", True),
        ("if (!refcount_dec_and_test(&d->count))\n\t\treturn;\n\tmutex_lock(&d->other);", True),
        (
            "if (!atomic_dec_and_lock_irqsave(&d->count, &d->fast, flags))\n\t\treturn;\n"
            "\tspin_unlock_irqrestore(&d->fast, flags);\n\tmutex_lock(&d->other);",
            True,
        ),
        ("if (atomic_dec_and_mutex_lock(&d->count, &d->third))\n\t\tmutex_lock(&d->other);", True),
        ("if (d->flag)\n\t\tmutex_lock(&d->other);", False),
    ],
)
def test_behind_the_last_reference(give: str, doubt: bool) -> None:
    text = f"""
static void dev_put(struct dev *d) {{
	{give}
}}
void dev_stop(struct dev *d) {{
	mutex_lock(&d->lock);
	dev_put(d);
	mutex_unlock(&d->lock);
}}
"""
    w = program(text)
    (edge,) = waits(w, "dev_stop")
    assert bool(doubtful(w, edge)) is doubt
    (below,) = waits(w, "dev_put")
    assert bool(doubtful(w, below)) is doubt


@pytest.mark.parametrize(
    ("asked", "doubt"),
    [("d->flag", True), ("test_bit(1, &d->flag)", True), ("test_and_set_bit(1, &d->flag)", False), ("1", False)],
)
def test_the_state_of_an_object_that_only_some_callers_have_locked(asked: str, doubt: bool) -> None:
    text = f"""
static void dev_free(struct dev *d) {{
	if ({asked}) {{
		mutex_lock(&d->lock);
		mutex_unlock(&d->lock);
	}}
}}
void dev_drop(struct dev *d) {{
	dev_free(d);
}}
void dev_new(struct dev *d) {{
	mutex_lock(&d->lock);
	dev_free(d);
	mutex_unlock(&d->lock);
}}
"""
    w = program(text)
    (edge,) = waits(w, "dev_new")
    assert (Doubt.STATE in doubtful(w, edge)) is doubt


@pytest.mark.parametrize(("calls", "doubt"), [(2, False), (MAX_CALLS_FROM_LOCK_TO_WAIT, True)])
def test_far_below_the_lock(calls: int, doubt: bool) -> None:
    steps = "".join(f"static void step{n}(struct dev *d) {{ step{n + 1}(d); }}\n" for n in reversed(range(calls)))
    text = f"""
static void step{calls}(struct dev *d) {{ mutex_lock(&d->other); mutex_unlock(&d->other); }}
{steps}
void dev_stop(struct dev *d) {{
	mutex_lock(&d->lock);
	step0(d);
	mutex_unlock(&d->lock);
}}
"""
    w = program(text)
    (edge,) = waits(w, "dev_stop")
    assert bool(doubtful(w, edge)) is doubt
    (last,) = waits(w, f"step{calls}")
    assert bool(doubtful(w, last)) is doubt


@pytest.mark.parametrize(
    ("condition", "asked"),
    [("how", True), ("how & CAN_WAIT", True), ("how == WAITING", True), ("d->flag", False), ("how & d->flag", False)],
)
def test_on_request(condition: str, asked: bool) -> None:
    w = program(f"""
static void dev_wait(struct dev *d, int how) {{
	if ({condition})
		msleep(1);
}}
""")
    line = next(f.at.line for f in w.own_facts(f"{FILE}:dev_wait"))
    assert on_request(w, Place(FILE, line, "dev_wait")) is asked


def test_pointers_that_stand_for_many() -> None:
    w = program("""
struct job { void (*done)(struct job *); };
struct ops { void (*run)(struct job *); };
static void read_done(struct job *j) { }
static void write_done(struct job *j) { }
static void fast(struct job *j) { }
static void slow(struct job *j) { }
static const struct ops fast_ops = { .run = fast };
static const struct ops slow_ops = { .run = slow };
void start_read(struct job *j) { j->done = read_done; }
void start_write(struct job *j) { j->done = write_done; }
void end(struct job *j) { j->done(j); }
void go(const struct ops *o, struct job *j) { o->run(j); }
void both(struct job *j) { end(j); }
""")
    end, go = f"{FILE}:end", f"{FILE}:go"
    assert w.callees(end) == (f"{FILE}:read_done", f"{FILE}:write_done")
    assert not named(w, (end, f"{FILE}:read_done"))
    assert named(w, (go, f"{FILE}:slow"))
    assert named(w, (f"{FILE}:both", end))


@pytest.mark.parametrize(("got", "doubt"), [("dev_new(parent)", True), ("dev_find(parent)", False), ("parent", False)])
def test_the_lock_of_what_was_just_made(got: str, doubt: bool) -> None:
    w = program(f"""
struct dev *dev_new(struct dev *parent);
struct dev *dev_find(struct dev *parent);
static void dev_fill(struct dev *d) {{ mutex_lock(&d->other); d->flag = 1; mutex_unlock(&d->other); }}
void dev_open(struct dev *parent) {{
	struct dev *d = NULL;

	mutex_lock(&parent->lock);
	d = {got};
	dev_fill(d);
	mutex_unlock(&parent->lock);
}}
""")
    (edge,) = waits(w, "dev_open")
    assert bool(doubtful(w, edge)) is doubt


@pytest.mark.parametrize(
    ("call", "same"),
    [
        ("dev_empty(d)", True),
        ("dev_empty(d + 1)", False),
        ("dev_empty(other)", False),
        ("dev_empty(next_of(d))", False),
        ("dev_empty(&d[1])", False),
    ],
)
def test_the_same_object_by_the_arguments_of_calls(call: str, same: bool) -> None:
    text = f"""
static void dev_reset(struct dev *dev) {{ mutex_lock(&dev->lock); mutex_unlock(&dev->lock); }}
static void dev_empty(struct dev *one) {{ dev_reset(one); }}
void dev_stop(struct dev *d, struct dev *other) {{
	mutex_lock(&d->lock);
	{call};
	mutex_unlock(&d->lock);
}}
"""
    w = program(text)
    found = [same_object(w, e) for e in waits(w, "dev_stop") if e.effect.object == "dev.lock"]
    assert found == [same]


def test_a_reference_that_is_given_back_before_the_lock_is_taken() -> None:
    text = """
static void dev_empty(struct dev *d) { mutex_lock(&d->other); mutex_unlock(&d->other); }
void dev_stop(struct dev *d) {
	if (!refcount_dec_and_test(&d->count))
		return;
	mutex_lock(&d->lock);
	dev_empty(d);
	mutex_unlock(&d->lock);
}
"""
    w = program(text)
    (edge,) = waits(w, "dev_stop")
    assert not doubtful(w, edge)


@pytest.mark.parametrize(
    ("after", "doubt"),
    [
        ("kfree(d);", True),
        ("if (d->flag)\n\t\td->count = 0;\n\tkfree(d);", True),
        ("if (d->flag)\n\t\tkfree(d);", False),
        ("kfree(d->name);", False),
        ("mutex_unlock(&d->lock);\n\tkfree(d);\n\treturn;", False),
        ("d->count = 0;", False),
    ],
)
def test_the_object_of_the_lock_is_freed_behind_the_wait(after: str, doubt: bool) -> None:
    w = program(f"""
static void dev_end(struct dev *d) {{
	kfree(d->first);
	cancel_work_sync(&d->work);
	{after}
}}
void dev_stop(struct dev *d) {{
	mutex_lock(&d->lock);
	dev_end(d);
	mutex_unlock(&d->lock);
}}
void dev_go(struct dev *d) {{
	mutex_lock(&d->lock);
	cancel_work_sync(&d->work);
	mutex_unlock(&d->lock);
	kfree(d);
}}
""")
    for function in ("dev_stop", "dev_end"):
        (edge,) = waits(w, function)
        assert bool(doubtful(w, edge)) is doubt
    (plain,) = waits(w, "dev_go")
    assert not doubtful(w, plain)


@pytest.mark.parametrize(
    ("made", "doubt"),
    [
        ("struct box *b = kzalloc(sizeof(*b), GFP_KERNEL);", True),
        ("struct box *b = d->box;", False),
        ("struct box *b = kzalloc(sizeof(*b), GFP_KERNEL);\n\tmod_timer(&b->timer, 1);", False),
    ],
    ids=["made", "found", "made-and-started"],
)
def test_the_timer_of_an_object_that_has_just_been_made(made: str, doubt: bool) -> None:
    text = f"""
struct lid {{ int open; }};
struct box {{ struct lid lid; struct timer_list timer; }};
static struct box *box_of(struct lid *lid) {{
	return lid ? container_of(lid, struct box, lid) : NULL;
}}
static void box_free(struct lid *lid) {{
	struct box *b = box_of(lid);
	del_timer_sync(&b->timer);
	kfree(b);
}}
static void dev_try(struct dev *d) {{
	{made}
	if (d->flag)
		box_free(&b->lid);
}}
void dev_fill(struct dev *d) {{
	mutex_lock(&d->lock);
	dev_try(d);
	mutex_unlock(&d->lock);
}}
"""
    w = program(text)
    (edge,) = (e for e in waits(w, "dev_fill") if e.effect.kind == "flush")
    assert (Doubt.FRESH in doubtful(w, edge)) is doubt
