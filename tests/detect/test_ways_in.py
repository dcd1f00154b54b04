"""Wait cycles by another way in, another spelling or another provider than the first one; each with its harmless twin."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from reviewbot.gittree.tree import Tree
from reviewbot.review import examine
from reviewbot.types import Outcome

FILE = "drivers/misc/loom.c"
HEAD = """\
#include <linux/mutex.h>
#include <linux/workqueue.h>
#include "loom.h"

"""
TYPES = """\
struct loom;

struct shaft {
	struct work_struct lift;
	struct mutex pin;
	void (*moved)(struct shaft *shaft);
};

struct loom {
	struct rw_semaphore warp;
	struct mutex weft;
	struct mutex beam;
	struct shaft shaft;
	wait_queue_head_t idle;
	struct work_struct work;
	struct task_struct *thread;
	unsigned long rounds;
	unsigned long done;
	int speed;
};

#define weft_lock(l)	mutex_lock(&(l)->weft)
#define weft_unlock(l)	mutex_unlock(&(l)->weft)
"""


def said(old: str, new: str, more: Mapping[str, str] | None = None) -> set[str]:
    """The rules that prove that a change of a file can deadlock."""
    files = {FILE: HEAD + old, "drivers/misc/loom.h": TYPES, **(more or {})}
    with Tree.from_files({path: text.encode() for path, text in files.items()}) as tree:
        change = tree.replace({FILE: (HEAD + new).encode()})
        result = examine(change, *tree.sources(change))
    assert not result.failed, result.notes
    return {v.finding.rule for v in result.verdicts if v.outcome is Outcome.CONFIRMED}


def changed(text: str, was: str, now: str) -> tuple[str, str]:
    """Both sides of a change of one place."""
    assert text.count(was) == 1
    return text, text.replace(was, now)


# --- held for read since a downgrade


DOWNGRADED = """\
static int loom_speed(struct loom *l)
{
	int speed;

	%s
	speed = l->speed;
	%s
	return speed;
}

static void loom_tell(struct loom *l)
{
	down_write(&l->warp);
	l->rounds++;
	up_write(&l->warp);
	l->done = loom_speed(l);
}

void loom_set(struct loom *l, int speed)
{
	down_write(&l->warp);
	l->speed = speed;
	up_write(&l->warp);
	loom_tell(l);
}
"""
KEPT = """\
	down_write(&l->warp);
	l->rounds++;
	downgrade_write(&l->warp);
	l->done = loom_speed(l);
	up_read(&l->warp);
"""
RELEASED = """\
	down_write(&l->warp);
	l->rounds++;
	up_write(&l->warp);
	l->done = loom_speed(l);
"""


def test_taken_for_read_by_who_kept_it_for_read() -> None:
    text = DOWNGRADED % ("down_read(&l->warp);", "up_read(&l->warp);")
    assert said(*changed(text, RELEASED, KEPT)) == {"recursive-lock"}


def test_kept_for_read_while_another_lock_is_taken() -> None:
    text = DOWNGRADED % ("mutex_lock(&l->weft);", "mutex_unlock(&l->weft);")
    assert said(*changed(text, RELEASED, KEPT)) == set()


KEPT_BY_HELPER = """\
static void loom_settle(struct loom *l)
{
	downgrade_write(&l->warp);
	mutex_lock(&l->weft);
	l->rounds++;
	mutex_unlock(&l->weft);
	up_read(&l->warp);
}

void loom_start(struct loom *l)
{
	down_write(&l->warp);
	l->speed = 1;
	loom_settle(l);
}

void loom_stop(struct loom *l)
{
	mutex_lock(&l->weft);
	l->speed = 0;
	mutex_unlock(&l->weft);
	%s;
	%s;
}
"""


@pytest.mark.parametrize(
    ("lock", "unlock", "rules"),
    [
        ("down_write(&l->warp)", "up_write(&l->warp)", {"lock-order"}),
        ("mutex_lock(&l->beam)", "mutex_unlock(&l->beam)", set()),
    ],
)
def test_what_a_helper_keeps_of_its_callers_lock(lock: str, unlock: str, rules: set[str]) -> None:
    """Others that take the semaphore under the mutex wait for the reader that the writer has become."""
    text = KEPT_BY_HELPER % (lock, unlock)
    alone = f"\tmutex_unlock(&l->weft);\n\t{lock};\n\t{unlock};\n"
    under = f"\t{lock};\n\t{unlock};\n\tmutex_unlock(&l->weft);\n"
    assert said(*changed(text, alone, under)) == rules


# --- a lock that only macros take


MACRO = """\
void loom_start(struct loom *l)
{
	weft_lock(l);
	mutex_lock(&l->beam);
	l->speed = 1;
	mutex_unlock(&l->beam);
	weft_unlock(l);
}

void loom_stop(struct loom *l)
{
	mutex_lock(&l->beam);
	l->speed = 0;
	mutex_unlock(&l->beam);
	weft_lock(l);
	l->speed = 0;
	weft_unlock(l);
}
"""
APART = MACRO.partition("loom_stop")[2].partition("{\n")[2].rpartition("}")[0]


@pytest.mark.parametrize(
    ("stop", "rules"),
    [
        (("mutex_lock(&l->beam)", "weft_lock(l)", "weft_unlock(l)", "mutex_unlock(&l->beam)"), {"lock-order"}),
        (("weft_lock(l)", "mutex_lock(&l->beam)", "mutex_unlock(&l->beam)", "weft_unlock(l)"), set()),
    ],
)
def test_the_order_of_a_lock_that_only_macros_take(stop: tuple[str, ...], rules: set[str]) -> None:
    first, second, third, fourth = stop
    now = f"\t{first};\n\t{second};\n\tl->speed = 0;\n\t{third};\n\t{fourth};\n"
    assert said(*changed(MACRO, APART, now)) == rules


# --- ways in


WAYS = """\
static void loom_count(struct loom *l)
{
	mutex_lock(&l->weft);
	l->rounds++;
	mutex_unlock(&l->weft);
}

static void loom_turn(struct loom *l, int often)
{
	if (often)
		l->rounds++;
}

void loom_once(struct loom *l)
{
	mutex_lock(&l->weft);
	loom_turn(l, 0);
	mutex_unlock(&l->weft);
}

void loom_always(struct loom *l)
{
	mutex_lock(&l->beam);
	mutex_lock(&l->weft);
	loom_turn(l, %d);
	mutex_unlock(&l->weft);
	mutex_unlock(&l->beam);
}
"""


@pytest.mark.parametrize(("often", "rules"), [(1, {"recursive-lock"}), (0, set())])
def test_a_constant_rules_out_one_way_in_and_not_the_other(often: int, rules: set[str]) -> None:
    assert (
        said(*changed(WAYS % often, "\tif (often)\n\t\tl->rounds++;\n", "\tif (often)\n\t\tloom_count(l);\n")) == rules
    )


CONSTANT = """\
static void loom_work(struct work_struct *work)
{
	struct loom *l = container_of(work, struct loom, work);

	mutex_lock(&l->weft);
	l->rounds++;
	mutex_unlock(&l->weft);
}

void loom_init(struct loom *l)
{
	INIT_WORK(&l->work, loom_work);
}

static void loom_halt(struct loom *l, bool wait)
{
	if (wait)
		flush_work(&l->work);
	l->speed = 0;
}

void loom_brake(struct loom *l)
{
	mutex_lock(&l->weft);
	loom_halt(l, %s);
	mutex_unlock(&l->weft);
}
"""


@pytest.mark.parametrize(("wait", "rules"), [("false", {"flush-under-lock"}), ("true", set())])
def test_a_constant_ruled_the_wait_out_before(wait: str, rules: set[str]) -> None:
    """With `true` it waited all along: the change brings nothing."""
    text = CONSTANT % wait
    assert said(*changed(text, "\tif (wait)\n\t\tflush_work", "\tl->done++;\n\tflush_work")) == rules


DROPPED = """\
static void loom_linger(struct loom *l)
{
	mutex_unlock(&l->weft);
	l->rounds++;
	mutex_lock(&l->weft);
}

static void loom_change(struct loom *l)
{
	l->speed++;
}

void loom_create(struct loom *l)
{
	loom_change(l);
}

void loom_connect(struct loom *l)
{
	mutex_lock(&l->weft);
	loom_change(l);
	mutex_unlock(&l->weft);
}
"""


@pytest.mark.parametrize(
    ("now", "rules"),
    [
        ("\tmutex_lock(&l->beam);\n\tloom_linger(l);\n\tmutex_unlock(&l->beam);\n", {"lock-order"}),
        ("\tmutex_lock(&l->beam);\n\tmutex_unlock(&l->beam);\n\tloom_linger(l);\n", set()),
    ],
)
def test_only_on_one_way_in_is_held_what_a_call_drops(now: str, rules: set[str]) -> None:
    assert said(*changed(DROPPED, "\tl->speed++;\n", now)) == rules


# --- who ends the wait


CORE = """\
#include <linux/mutex.h>
#include "loom.h"

static DEFINE_MUTEX(shaft_mutex);

void shaft_open(struct shaft *shaft)
{
	mutex_lock(&shaft_mutex);
	mutex_unlock(&shaft_mutex);
}

void shaft_run(struct shaft *shaft)
{
	mutex_lock(&shaft_mutex);
	shaft->moved(shaft);
	mutex_unlock(&shaft_mutex);
}
"""
OTHER = """\
#include "loom.h"

static void tower_moved(struct shaft *shaft)
{
}

void tower_init(struct shaft *shaft)
{
	shaft->moved = tower_moved;
}
"""
CALLED = """\
void shaft_open(struct shaft *shaft);

static void loom_moved(struct shaft *shaft)
{
	struct loom *l = container_of(shaft, struct loom, shaft);

	%s
	l->rounds++;
	%s
}

void loom_init(struct loom *l)
{
	l->shaft.moved = loom_moved;
}

void loom_connect(struct loom *l)
{
	mutex_lock(&l->weft);
	l->speed = 1;
	mutex_unlock(&l->weft);
	shaft_open(&l->shaft);
}
"""


@pytest.mark.parametrize(("lock", "rules"), [("weft", {"lock-order"}), ("beam", set())])
def test_a_pointer_that_the_same_file_sets(lock: str, rules: set[str]) -> None:
    """What another file sets it to does not matter for the objects of this one."""
    text = CALLED % (f"mutex_lock(&l->{lock});", f"mutex_unlock(&l->{lock});")
    was = "\tmutex_unlock(&l->weft);\n\tshaft_open(&l->shaft);\n"
    now = "\tshaft_open(&l->shaft);\n\tmutex_unlock(&l->weft);\n"
    more = {"drivers/misc/shaft.c": CORE, "drivers/misc/tower.c": OTHER}
    assert said(*changed(text, was, now), more) == rules


def test_a_pointer_that_the_same_file_sets_to_two_functions() -> None:
    text = CALLED % ("mutex_lock(&l->weft);", "mutex_unlock(&l->weft);")
    text = text.replace(
        "void loom_init(struct loom *l)",
        "static void loom_quiet(struct shaft *shaft)\n{\n}\n\nvoid loom_set(struct loom *l)\n{\n"
        "\tl->shaft.moved = loom_quiet;\n}\n\nvoid loom_init(struct loom *l)",
    )
    was = "\tmutex_unlock(&l->weft);\n\tshaft_open(&l->shaft);\n"
    now = "\tshaft_open(&l->shaft);\n\tmutex_unlock(&l->weft);\n"
    assert said(*changed(text, was, now), {"drivers/misc/shaft.c": CORE}) == set()


EMBEDDED = """\
static void loom_lift(struct work_struct *work)
{
	struct loom *l = container_of(work, struct loom, shaft.lift);

	mutex_lock(&l->%s);
	l->rounds++;
	mutex_unlock(&l->%s);
}

void loom_init(struct loom *l)
{
	INIT_WORK(&l->shaft.lift, loom_lift);
}

static void shaft_stop(struct shaft *shaft)
{
	cancel_work(&shaft->lift);
}

void loom_stop(struct loom *l)
{
	mutex_lock(&l->weft);
	shaft_stop(&l->shaft);
	mutex_unlock(&l->weft);
}
"""


@pytest.mark.parametrize(("lock", "rules"), [("weft", {"flush-under-lock"}), ("beam", set())])
def test_work_in_an_embedded_struct_that_is_waited_for_now(lock: str, rules: set[str]) -> None:
    """Bound by the outer struct, cancelled by the inner one; what only took it off the queue waits now."""
    text = EMBEDDED % (lock, lock)
    assert said(*changed(text, "cancel_work(&", "cancel_work_sync(&")) == rules


MESSAGE = """\
static void loom_error(struct loom *l)
{
	loom_err(l, "out of thread\\n");
	l->speed = 0;
}

void loom_turn(struct loom *l)
{
	mutex_lock(&l->%s);
	loom_error(l);
	mutex_unlock(&l->%s);
}
"""


@pytest.mark.parametrize(("lock", "rules"), [("weft", {"recursive-lock"}), ("beam", set())])
def test_a_lock_in_the_place_of_a_message(lock: str, rules: set[str]) -> None:
    text = MESSAGE % (lock, lock)
    now = "\tmutex_lock(&l->weft);\n\tl->speed = 0;\n\tmutex_unlock(&l->weft);\n"
    assert said(*changed(text, '\tloom_err(l, "out of thread\\n");\n\tl->speed = 0;\n', now)) == rules


THREAD = """\
static void loom_round(struct loom *l)
{
	mutex_lock(&l->%s);
	l->rounds++;
	mutex_unlock(&l->%s);
	l->done++;
	wake_up(&l->idle);
}

static int loom_thread(void *data)
{
	struct loom *l = data;

	l->speed = 1;
	wake_up(&l->idle);
	while (!kthread_should_stop())
		loom_round(l);
	return 0;
}

int loom_start(struct loom *l)
{
	l->thread = kthread_run(loom_thread, l, "loom");
	return 0;
}

void loom_wait(struct loom *l, unsigned long round)
{
	mutex_lock(&l->weft);
	l->rounds++;
	mutex_unlock(&l->weft);
	wait_event(l->idle, l->done >= round);
}
"""


@pytest.mark.parametrize(("lock", "rules"), [("weft", {"wait-under-lock"}), ("beam", set())])
def test_a_wake_up_before_anything_has_changed_ends_no_wait(lock: str, rules: set[str]) -> None:
    text = THREAD % (lock, lock)
    was = "\tmutex_unlock(&l->weft);\n\twait_event(l->idle, l->done >= round);\n"
    now = "\twait_event(l->idle, l->done >= round);\n\tmutex_unlock(&l->weft);\n"
    assert said(*changed(text, was, now)) == rules


# --- a superblock's lock


FS = """\
#include <linux/fs.h>
#include <linux/workqueue.h>

struct reed {
	struct super_block *sb;
	struct work_struct work;
	struct mutex lock;
};

static void reed_work(struct work_struct *work)
{
	struct reed *r = container_of(work, struct reed, work);

	mutex_lock(&r->lock);
	mutex_unlock(&r->lock);
}

static void reed_put_super(struct super_block *sb)
{
	struct reed *r = sb->s_fs_info;

	cancel_work_sync(&r->work);
}

static const struct super_operations reed_ops = {
	.put_super = reed_put_super,
};

int reed_init(struct reed *r)
{
	INIT_WORK(&r->work, reed_work);
	r->sb->s_op = &reed_ops;
	return 0;
}
"""


@pytest.mark.parametrize(
    ("lock", "rules"), [("down_read(&r->sb->s_umount)", {"flush-under-lock"}), ("down_read(&r->sb->s_dio)", set())]
)
def test_a_superblock_is_locked_while_it_is_put(lock: str, rules: set[str]) -> None:
    now = f"\t{lock};\n\tmutex_lock(&r->lock);\n\tmutex_unlock(&r->lock);\n\t{lock.replace('down', 'up')};\n"
    text = FS.replace("\tmutex_lock(&r->lock);\n\tmutex_unlock(&r->lock);\n", now)
    path = "fs/reed/super.c"
    with Tree.from_files({path: FS.encode()}) as tree:
        change = tree.replace({path: text.encode()})
        result = examine(change, *tree.sources(change))
    assert {v.finding.rule for v in result.verdicts if v.outcome is Outcome.CONFIRMED} == rules


# --- another way down to the same lock


DOWN = """\
static void loom_fetch(struct loom *l)
{
	mutex_lock(&l->beam);
	l->rounds = l->done;
	mutex_unlock(&l->beam);
}

static void loom_store(struct loom *l)
{
	%s
	l->done = l->rounds;
	%s
}

static void loom_shift(struct loom *l, bool fetch)
{
	if (fetch)
		loom_fetch(l);
	else
		loom_store(l);
}

void loom_look(struct loom *l)
{
	loom_shift(l, true);
}

void loom_turn(struct loom *l)
{
	mutex_lock(&l->beam);
	mutex_lock(&l->weft);
	l->speed++;
	mutex_unlock(&l->weft);
	mutex_unlock(&l->beam);
}

void loom_stop(struct loom *l)
{
	mutex_lock(&l->weft);
	l->speed = 0;
	mutex_unlock(&l->weft);
	loom_shift(l, false);
}
"""
SHIFTED_AFTER = """\
	l->speed = 0;
	mutex_unlock(&l->weft);
	loom_shift(l, false);
"""
SHIFTED_UNDER = """\
	l->speed = 0;
	loom_shift(l, false);
	mutex_unlock(&l->weft);
"""


def test_the_way_down_that_a_constant_leaves() -> None:
    text = DOWN % ("mutex_lock(&l->beam);", "mutex_unlock(&l->beam);")
    assert said(*changed(text, SHIFTED_AFTER, SHIFTED_UNDER)) == {"lock-order"}


def test_the_only_way_down_is_ruled_out_by_a_constant() -> None:
    text = DOWN % ("cond_resched();", "cond_resched();")
    assert said(*changed(text, SHIFTED_AFTER, SHIFTED_UNDER)) == set()


# --- a sleep that tests what a pointer leads to


LENT = """\
struct reed {
	unsigned long held;
};

struct reeds {
	struct mutex weft;
	wait_queue_head_t idle;
	struct reed *reed;
	int speed;
};

void reeds_change(struct reeds *r, struct reed *fresh)
{
	mutex_lock(&r->weft);
	wait_event(r->idle, reed_try(r->reed));
	r->reed = fresh;
	wake_up(&r->idle);
	mutex_unlock(&r->weft);
}

void reeds_give_back(struct reeds *r)
{
	%s
	reed_free(r->reed);
	wake_up(&r->idle);
	%s
}
"""


def test_who_puts_another_pointer_there_is_not_the_only_one_who_ends_the_sleep() -> None:
    """Whoever gives back what the pointer leads to does as well: without the mutex that is the end of it."""
    bare = LENT.replace("\twait_event(r->idle, reed_try(r->reed));\n", "")
    free, locked = ("r->speed++;", "r->speed++;"), ("mutex_lock(&r->weft);", "mutex_unlock(&r->weft);")
    assert said(bare % free, LENT % free) == set()
    assert said(bare % locked, LENT % locked) == {"wait-under-lock"}
