"""What a patch turns into calls that cannot be read, or out of such calls: nothing follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from bench_wrappers import WAYS, both_ways, wrapped

from reviewbot.csource.written import calls
from reviewbot.gittree.tree import Tree
from reviewbot.replay.opaque import reading
from reviewbot.review import Examined, examine
from reviewbot.rule import Diff
from reviewbot.types import Outcome

FILE = "drivers/md/dm-press.c"
HEAD = """\
#include "dm.h"

struct press {
	struct mutex lock;
	struct mutex other;
	spinlock_t fast;
	struct completion done;
	struct workqueue_struct *wq;
	struct work_struct work;
	struct bio_set bs;
	int count;
};

"""
ORDER = """\
static void press_first(struct press *p)
{
	mutex_lock(&p->lock);
	p->count++;
	mutex_lock(&p->other);
	p->count++;
	mutex_unlock(&p->other);
	mutex_unlock(&p->lock);
}

void press_second(struct press *p)
{
	mutex_lock(&p->lock);
	mutex_lock(&p->other);
	p->count--;
	mutex_unlock(&p->other);
	mutex_unlock(&p->lock);
}

void press_all(struct press *p)
{
	press_first(p);
}
"""
"""Two locks that are taken in one order."""
DRAIN = """\
static int press_map(struct dm_target *ti, struct bio *bio)
{
	struct press *p = ti->private;
	struct bio *one, *two;

	mutex_lock(&p->lock);
	one = bio_alloc_bioset(bio->bi_bdev, 1, 0, GFP_NOIO, &p->bs);
	two = bio_alloc_bioset(bio->bi_bdev, 1, 0, GFP_NOIO, &p->bs);
	mutex_unlock(&p->lock);
	bio_chain(one, bio);
	bio_chain(two, bio);
	submit_bio_noacct(one);
	submit_bio_noacct(two);
	return DM_MAPIO_SUBMITTED;
}

static struct target_type press_target = {
	.name = "press",
	.map = press_map,
};
"""
"""A reserve of which one request takes several elements, under a lock."""
WAIT = """\
static void press_work(struct work_struct *work)
{
	struct press *p = container_of(work, struct press, work);

	p->count = 0;
	complete(&p->done);
}

void press_run(struct press *p)
{
	INIT_WORK(&p->work, press_work);
	queue_work(p->wq, &p->work);
	wait_for_completion(&p->done);
}
"""
QUEUE = """\
static void press_done(struct work_struct *work)
{
	struct press *p = container_of(work, struct press, work);

	bio_endio(p->bio);
}

static void press_endio(struct bio *bio)
{
	struct press *p = bio->bi_private;

	queue_work(p->wq, &p->work);
}

static int press_map(struct dm_target *ti, struct bio *bio)
{
	struct press *p = ti->private;

	bio->bi_end_io = press_endio;
	bio->bi_private = p;
	submit_bio_noacct(bio);
	return DM_MAPIO_SUBMITTED;
}

static int press_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct press *p = ti->private;

	INIT_WORK(&p->work, press_done);
	p->wq = alloc_workqueue("kpressd", WQ_MEM_RECLAIM, 0);
	return p->wq ? 0 : -ENOMEM;
}

static struct target_type press_target = {
	.name = "press",
	.ctr = press_ctr,
	.map = press_map,
};
"""
"""Work that ends bios, on a queue with a rescuer."""
RENAMED = (
    {"mutex_lock(&p->lock)": "press_lock(&p->lock)", "mutex_unlock(&p->lock)": "press_unlock(&p->lock)"},
    {"mutex_lock(&p->lock)": "down_press(&p->lock)", "mutex_unlock(&p->lock)": "up_press(&p->lock)"},
    {"mutex_lock(&p->lock)": "press_begin(p)", "mutex_unlock(&p->lock)": "press_end(p)"},
    {"mutex_lock(&p->lock)": "p->ops->lock(p)", "mutex_unlock(&p->lock)": "p->ops->unlock(p)"},
    {"mutex_unlock(&p->lock)": "press_end(p)"},
)


def said(result: Examined) -> list[str]:
    """What is said of a change."""
    assert not result.failed, result.notes
    quiet = (Outcome.REFUTED, Outcome.PRE_EXISTING)
    return [f"{v.outcome} {v.finding.rule}: {v.finding.message}" for v in result.verdicts if v.outcome not in quiet]


def examined(old: str, new: str, **more: str) -> list[str]:
    """What is said of a change of one file."""
    files = {FILE: (HEAD + old).encode(), **{f"drivers/md/{k}.h": v.encode() for k, v in more.items()}}
    with Tree.from_files(files) as tree:
        change = tree.replace({FILE: (HEAD + new).encode()})
        return said(examine(change, *tree.sources(change)))


def put(text: str, new: Mapping[str, str]) -> str:
    """A text with other calls in it."""
    for was, now in new.items():
        assert was in text
        text = text.replace(was, now)
    return text


@pytest.mark.parametrize("new", RENAMED, ids=lambda new: next(iter(new.values())))
@pytest.mark.parametrize("text", [ORDER, DRAIN], ids=["order", "drain"])
def test_a_lock_that_goes_out_of_sight(text: str, new: Mapping[str, str]) -> None:
    after = put(text, new)
    assert not examined(text, after)
    assert not examined(after, text)


OTHERS = (
    (WAIT, {"complete(&p->done)": "press_wake(p)"}),
    (WAIT, {"\tp->count = 0;\n\tcomplete(&p->done);": "\tpress_complete_all(p);"}),
    (WAIT, {"queue_work(p->wq, &p->work)": "press_kick(p)"}),
    (QUEUE, {"queue_work(p->wq, &p->work)": "press_kick(p)"}),
    (QUEUE, {'alloc_workqueue("kpressd", WQ_MEM_RECLAIM, 0)': 'press_workqueue("kpressd")'}),
    (QUEUE, {"WQ_MEM_RECLAIM": "PRESS_FLAGS"}),
    (QUEUE, {"WQ_MEM_RECLAIM": "press_flags(ti)"}),
    (DRAIN, {"GFP_NOIO": "PRESS_GFP"}),
    (DRAIN, {"GFP_NOIO": "press_gfp(p)"}),
    (DRAIN, {"bio_alloc_bioset(bio->bi_bdev, 1, 0, GFP_NOIO, &p->bs)": "press_bio(p, bio)"}),
)


@pytest.mark.parametrize(("text", "new"), OTHERS, ids=[next(iter(new.values())).strip() for _, new in OTHERS])
def test_what_else_goes_out_of_sight(text: str, new: Mapping[str, str]) -> None:
    after = put(text, new)
    assert not examined(text, after)
    assert not examined(after, text)


GONE = (
    (DRAIN, {"\tmutex_lock(&p->lock);\n": "", "\tmutex_unlock(&p->lock);\n": ""}, "reserve-size"),
    (DRAIN, {"mutex_lock(&p->lock)": "pr_debug(p)", "mutex_unlock(&p->lock)": "lockdep_assert_held(&p->lock)"}, "reserve-size"),
    (DRAIN, {"mutex_lock(&p->lock)": "press_count(bio)", "\tmutex_unlock(&p->lock);\n": ""}, "reserve-size"),
    (DRAIN, {"mutex_unlock(&p->lock)": "press_lock(p)"}, ""),
    (WAIT, {"\tcomplete(&p->done);\n": ""}, "lost-wakeup"),
    (QUEUE, {"WQ_MEM_RECLAIM": "0"}, "wq-mem-reclaim"),
    (QUEUE, {"WQ_MEM_RECLAIM": "WQ_UNBOUND"}, "wq-mem-reclaim"),
    (QUEUE, {"WQ_MEM_RECLAIM": "HERE"}, "wq-mem-reclaim"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "new", "rule"), GONE, ids=[f"{r} {next(iter(n.values())).strip()}" for _, n, r in GONE]
)
def test_what_is_really_gone_is_gone(text: str, new: Mapping[str, str], rule: str) -> None:
    found = examined(text, put(text, new), dm="#define HERE 0\n")
    assert [line.split()[:2] for line in found] == ([["confirmed", f"{rule}:"]] if rule else []) or not rule


def test_where_a_lock_is_taken_the_other_way_round_a_wrapper_elsewhere_hides_nothing() -> None:
    after = put(
        ORDER, {"mutex_lock(&p->lock);\n\tmutex_lock(&p->other)": "mutex_lock(&p->other);\n\tmutex_lock(&p->lock)"}
    )
    more = "\nvoid press_third(struct press *p)\n{\n\t%s(&p->fast);\n\tp->count = 1;\n\t%s(&p->fast);\n}\n"
    one, two = more % ("spin_lock", "spin_unlock"), more % ("press_spin_lock", "press_spin_unlock")
    (found,) = examined(ORDER + one, after + two)
    assert found.startswith("confirmed lock-order")


NAMES = ("drivers/md/dm-crypt.c", "drivers/nvme/host/tcp.c")


@pytest.mark.parametrize("path", NAMES)
def test_wrappers_in_real_files(path: str, kernel_tree: Callable[..., Path]) -> None:
    with Tree.open(kernel_tree("6.12")) as tree:
        text = (tree.at("HEAD").read(path) or b"").decode()
        for way in WAYS:
            if (new := wrapped(way, text)) != text:
                assert [lines for _, lines in both_ways(tree, {path: new})] == [[], []], way


def text_after(old: str, new: str) -> str:
    """The new text in the reading in which what cannot be read does what stood there."""
    with Tree.from_files({FILE: (HEAD + old).encode()}) as tree:
        change = tree.replace({FILE: (HEAD + new).encode()})
        found = reading(Diff.of(change, *tree.sources(change)))
        return (found.after.source.read(FILE) or b"").decode().removeprefix(HEAD) if found else ""


def test_the_reading_keeps_lines_and_follows_renamed_locals() -> None:
    old = "void a(struct press *p)\n{\n\tmutex_lock(&p->lock);\n\tp->count++;\n\tmutex_unlock(&p->lock);\n}\n"
    new = "void a(struct press *q)\n{\n\tpress_lock(q,\n\t\t   1);\n\tq->count++;\n\tpress_unlock(q);\n}\n"
    assert text_after(old, new) == (
        "void a(struct press *q)\n{\n\tmutex_lock(&q->lock)\n;\n\tq->count++;\n\tmutex_unlock(&q->lock);\n}\n"
    )


def test_one_call_for_several() -> None:
    old = "void a(struct press *p)\n{\n\tmutex_lock(&p->lock);\n\tpress_do(p);\n\tmutex_unlock(&p->lock);\n}\n"
    new = "void a(struct press *p)\n{\n\tpress_all(p);\n}\n"
    assert "(mutex_lock(&p->lock), mutex_unlock(&p->lock), press_all(p));" in text_after(old, new)


def test_a_guard_is_a_call() -> None:
    old = "void a(struct press *p)\n{\n\tguard(mutex)(&p->lock);\n\tp->count++;\n}\n"
    assert text_after(old, put(old, {"guard(mutex)(&p->lock)": "press_guard(p)"})) == old


def test_what_is_at_hand_or_only_moves_is_read_as_it_stands() -> None:
    old = "void a(struct press *p)\n{\n\tmutex_lock(&p->lock);\n\tp->count++;\n\tmutex_unlock(&p->lock);\n}\n"
    helper = "static void press_lock(struct press *p)\n{\n\tp->count = 0;\n}\n\n"
    assert not text_after(old, helper + put(old, {"mutex_lock(&p->lock)": "press_lock(p)"}))
    moved = "void a(struct press *p)\n{\n\tpress_lock(p);\n\tp->count++;\n\tmutex_lock(&p->lock);\n\tmutex_unlock(&p->lock);\n}\n"
    assert not text_after(old, moved)


def test_calls_as_they_are_written() -> None:
    text = b"int f(int x)\n{\n\tr = a->ops[1].go(b(x,\n\t\t1), g((1, 2)));\n\tguard(mutex)(&a->l);\n}\n"
    found = [(c.through, c.name, c.args, c.into, c.first, c.last) for c in calls(text)]
    assert found == [
        ("a->ops[1].", "go", ("b(x, 1)", "g((1, 2))"), "r", 3, 4),
        ("", "b", ("x", "1"), "", 3, 4),
        ("", "g", ("(1, 2)",), "", 4, 4),
        ("", "guard", ("mutex", "&a->l"), "", 5, 5),
    ]


SPINS = """\
struct clk_ops {
	int (*prepare)(struct press *p);
	int (*enable)(struct press *p);
};

void press_turn(struct press *p, const struct clk_ops *ops)
{
	spin_lock(&p->fast);
	queue_work(p->wq, &p->work);
	udelay(p->count);
	spin_unlock(&p->fast);
}
"""


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("queue_work(p->wq, &p->work)", "ops->prepare(p)", True),
        ("queue_work(p->wq, &p->work)", "ops->enable(p)", False),
        ("queue_work(p->wq, &p->work)", "blk_register_queue(p->wq, &p->work)", True),
        ("queue_work(p->wq, &p->work)", "press_queue(p->wq, &p->work)", False),
        ("udelay(p->count)", "msleep(p->count)", True),
    ],
)
def test_what_is_known_to_sleep_sleeps_whatever_else_it_does(old: str, new: str, found: bool) -> None:
    told = examined(SPINS, put(SPINS, {old: new}))
    assert [line.partition(":")[0] for line in told] == ["confirmed sleep-in-atomic"] * found
