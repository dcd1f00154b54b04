"""Counters that somebody waits for: how functions leave them, which change leaves one raised, and what the replay says."""

from __future__ import annotations

import pytest
from searches import sure
from small import program

from reviewbot.detect.counted import leaks
from reviewbot.detect.counters import Counters
from reviewbot.detect.counting import outcomes
from reviewbot.replay.counted_cast import model
from reviewbot.sim.check import check

FILE = "drivers/md/small.c"
HEAD = """
struct rack { atomic_t busy; atomic_t refs; int users; wait_queue_head_t wait; struct completion gone; spinlock_t lock;
	struct work_struct work; struct list_head list; };
struct shelf { struct rack *rack; struct request_queue *queue; struct list_head list; };
struct request_queue { int depth; };

static void rack_wait(struct rack *r) { wait_event(r->wait, !atomic_read(&r->busy)); }
static void rack_gone(struct rack *r) { wait_for_completion(&r->gone); }
static void rack_drop(struct rack *r) { if (atomic_dec_and_test(&r->refs)) complete(&r->gone); }
static void rack_get(struct rack *r) { atomic_inc(&r->busy); }
static void rack_put(struct rack *r) { if (atomic_dec_and_test(&r->busy)) wake_up(&r->wait); }
"""


def found(before: str, after: str, more: str = "", more_after: str | None = None) -> list[tuple[str, str, str]]:
    """The leaks of rack_do() since a change of its body: function, counter, how; only those that the replay confirms."""
    start = f"{HEAD}\nint rack_do(struct rack *r, int n)\n{{\n"
    texts = f"{start}{before}\n}}\n{more}", f"{start}{after}\n}}\n{more if more_after is None else more_after}"
    old, new = map(program, texts)
    names = [(FILE, name) for name in ("rack_do", *(["rack_help"] if more_after is not None else []))]
    out = []
    for leak in sure(leaks(old, new, names)):
        assert check(model(leak, old)).outcome == "free", "the side before is stuck as well"
        assert check(model(leak, new)).outcome == "stuck"
        out.append((leak.function, leak.counter, leak.how))
    return out


RAISED = "rack_get(r); if (n) { rack_put(r); return -EIO; } rack_put(r); return 0;"
KEPT = [("rack_do", "rack.busy", "kept")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (RAISED, "rack_get(r); if (n) { return -EIO; } rack_put(r); return 0;"),
        (RAISED, "rack_get(r); if (n) { rack_put(r); return -EIO; } return 0;"),
        ("rack_get(r); if (n) goto out; n = 2; out: rack_put(r); return 0;",
         "rack_get(r); if (n) return 0; n = 2; out: rack_put(r); return 0;"),
        ("atomic_inc(&r->busy); if (!queue_work(system_wq, &r->work)) { rack_put(r); return 0; } return 1;",
         "atomic_inc(&r->busy); if (!queue_work(system_wq, &r->work)) { return 0; } return 1;"),
    ],
)  # fmt: skip
def test_what_was_raised_and_is_not_lowered_any_more_is_left(before: str, after: str) -> None:
    assert found(before, after) == KEPT
    assert found(after, before) == []


HELPER = "static void rack_help(struct rack *r) { %s }\n"


@pytest.mark.parametrize(
    ("after", "more"),
    [
        ("rack_get(r); if (n) { rack_later(r); return -EIO; } rack_put(r); return 0;", ""),  # moved into a callee
        ("rack_get(r); if (n) goto out; n = 1; out: rack_put(r); return n ? -EIO : 0;", ""),
        ("rack_get(r); if (n) return -EIO; rack_put(r); return 0;",
         "int rack_all(struct rack *r) { int e = rack_do(r, 1); if (e) rack_put(r); return e; }"),  # the caller does
        ("if (n) return -EIO; rack_get(r); rack_put(r); return 0;", ""),
    ],
)  # fmt: skip
def test_what_somebody_else_lowers_is_not_left(after: str, more: str) -> None:
    later = "static void rack_later(struct rack *r) { rack_put(r); }\n"
    old = RAISED.replace("rack_put(r); return -EIO", "rack_later(r); return -EIO") if "later" in after else RAISED
    assert found(old, after, later + more) == []


def test_a_helper_that_lowers_since_the_patch_makes_up_for_it() -> None:
    before = "rack_get(r); if (n) { rack_help(r); rack_put(r); return -EIO; } rack_put(r); return 0;"
    after = "rack_get(r); if (n) { rack_help(r); return -EIO; } rack_put(r); return 0;"
    assert found(before, after, HELPER % "r->users = 0;") == KEPT
    assert found(before, after, HELPER % "r->users = 0;", HELPER % "rack_put(r);") == []


def test_results_with_which_it_was_left_before_are_somebody_elses() -> None:
    before = "rack_get(r); if (n) return 0; rack_put(r); return 0;"
    after = "rack_get(r); if (n) return 0; if (n > 2) return 0; rack_put(r); return 0;"
    assert found(before, after) == []


def test_a_sleep_with_a_time_limit_is_no_sleeper() -> None:
    text = HEAD.replace(
        "wait_event(r->wait, !atomic_read(&r->busy))", "wait_event_timeout(r->wait, !atomic_read(&r->busy), 9)"
    )
    assert "rack.busy" not in program(text).component(Counters).sleepers


def test_the_last_one_who_lowers_it_completes_what_is_waited_for() -> None:
    before = "atomic_inc(&r->refs); if (n) { rack_drop(r); return -EIO; } rack_drop(r); return 0;"
    after = "atomic_inc(&r->refs); if (n) { return -EIO; } rack_drop(r); return 0;"
    assert found(before, after) == [("rack_do", "rack.refs", "kept")]


def test_what_is_raised_for_an_object_that_keeps_it_is_lowered_with_that() -> None:
    before = "struct shelf *s = n; s->rack = r; " + RAISED
    assert found(before, before.replace("rack_put(r); return -EIO", "return -EIO")) == []


def test_who_raises_it_only_then_is_asked_for() -> None:
    raised = "void rack_start(struct rack *r) { if (r->users) { rack_get(r); } queue_work(system_wq, &r->work); }\n"
    before = "n++; rack_put(r); return 0;"
    assert found(before, "if (!r->users) return 0; n++; rack_put(r); return 0;", raised) == []
    assert found(before, "if (n) return 0; n++; rack_put(r); return 0;", raised) == [("rack_do", "rack.busy", "owed")]


def test_who_was_called_to_lower_it_has_to_on_every_way() -> None:
    raised = "void rack_start(struct rack *r) { rack_get(r); queue_work(system_wq, &r->work); }\n"
    before, after = "n++; rack_put(r); return 0;", "if (n) return 0; n++; rack_put(r); return 0;"
    assert found(before, after, raised) == [("rack_do", "rack.busy", "owed")]
    again = "if (n) { queue_work(system_wq, &r->work); return 0; } rack_put(r); return 0;"
    assert found(before, again, raised) == []


EACH = """
static void all_freeze(struct rack *r)
{
	struct shelf *s;
	list_for_each_entry(s, &r->list, list)
		blk_freeze_queue_start(s->queue);
}
static void all_thaw(struct rack *r)
{
	struct shelf *s;
	list_for_each_entry(s, &r->list, list)
		blk_mq_unfreeze_queue(s->queue);
}
"""


def test_what_is_done_to_each_of_a_list_is_done_once() -> None:
    before = "all_freeze(r); if (n) { all_thaw(r); return -EIO; } all_thaw(r); return 0;"
    after = "all_freeze(r); if (n) { return -EIO; } all_thaw(r); return 0;"
    assert found(before, after, EACH) == [("rack_do", "request_queue.mq_freeze_depth", "kept")]
    both = "void all_anew(struct rack *r) { struct shelf *s; list_for_each_entry(s, &r->list, list) "
    both += (
        "blk_freeze_queue_start(s->queue); list_for_each_entry(s, &r->list, list) blk_mq_unfreeze_queue(s->queue); }"
    )
    before, after = (
        text.replace("all_thaw(r); return 0", "all_anew(r); all_thaw(r); return 0") for text in (before, after)
    )
    assert found(before, after, EACH + both) == [("rack_do", "request_queue.mq_freeze_depth", "kept")]


def test_a_reference_that_was_not_found_is_not_held() -> None:
    look = "struct net_device { int x; };\n"
    before = "struct net_device *d = dev_get_by_name(r, n); if (!d) return -ENODEV; "
    before += "if (n > 1) { dev_put(d); return -EIO; } dev_put(d); return 0;"
    after = before.replace("{ dev_put(d); return -EIO; }", "return -EIO;")
    assert found(before, after, look) == [("rack_do", "net_device.dev_refcnt", "kept")]
    results = program(f"{HEAD}{look}int rack_do(struct rack *r, int n)\n{{\n{before}\n}}\n")
    assert {o.net for o in outcomes(results, f"{FILE}:rack_do", "net_device.dev_refcnt") or ()} == {0}


@pytest.mark.parametrize("leave", ["", "complete(&r->gone); "])
def test_whoever_else_completes_it_is_no_last_holder(leave: str) -> None:
    text = f"{HEAD}void rack_kill(struct rack *r) {{ {leave}}}\n"
    assert ("rack.refs" in program(text).component(Counters).sleepers) is not bool(leave)


def test_a_loop_that_polls_without_end_is_a_sleeper() -> None:
    poll = "void rack_poll(struct rack *r) {{ while (atomic_read(&r->users){}) msleep(1); }}\n"
    assert "rack.users" in program(HEAD + poll.format("")).component(Counters).sleepers
    assert "rack.users" not in program(HEAD + poll.format(" && r->list.next")).component(Counters).sleepers


LENT = """
struct desk { atomic_t lent; wait_queue_head_t wait; int open; };
static void desk_close(struct desk *d) { wait_event(d->wait, !atomic_read(&d->lent)); }
void desk_lend(struct desk *d) { atomic_inc(&d->lent); }
%s
static void desk_back(struct desk *d) { %s }
void desk_gone(struct desk *d) { desk_back(d); kfree(d); }
"""
BACK = "if (d->open && atomic_dec_and_test(&d->lent)) wake_up(&d->wait);"


@pytest.mark.parametrize(
    ("more", "how"),
    [
        ("", ["last"]),
        ("void desk_lost(struct desk *d) { atomic_dec(&d->lent); }", []),
        ("void desk_count(struct desk *d) { tally(&d->lent); }", []),
        ('void desk_show(struct desk *d) { pr_info("%d", atomic_read(&d->lent)); }', ["last"]),
    ],
    ids=["nobody else", "somebody else does", "somebody else may", "somebody else reads it"],
)
def test_the_only_one_to_lower_it_has_to_where_it_did(more: str, how: list[str]) -> None:
    old, new = (program(LENT % (more, does)) for does in (BACK, "d->open = 0;"))
    leaks_ = sure(leaks(old, new, [(FILE, "desk_back")]))
    assert [leak.how for leak in leaks_] == how
    for leak in leaks_:
        assert check(model(leak, old)).outcome == "free"
        assert check(model(leak, new), always=True).outcome == "stuck"
