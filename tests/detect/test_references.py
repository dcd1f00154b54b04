"""What somebody does with the last reference only is not done while the waiting task has one."""

from __future__ import annotations

import pytest

from reviewbot.gittree.tree import Tree
from reviewbot.review import examine
from reviewbot.types import Outcome

FILE = "drivers/misc/ferry.c"
TYPES = """\
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>

struct dock {
	struct mutex gate;
	int ferries;
};

struct ferry {
	refcount_t users;
	refcount_t riders;
	struct dock *dock;
	struct mutex deck;
	struct work_struct crossing;
	int speed;
};

static void ferry_free(struct ferry *f)
{
	mutex_lock(&f->dock->gate);
	f->dock->ferries--;
	mutex_unlock(&f->dock->gate);
	kfree(f);
}

static void ferry_put(struct ferry *f)
{
	if (refcount_dec_and_test(&f->users))
		ferry_free(f);
}

static void ferry_cross(struct work_struct *work)
{
	struct ferry *f = container_of(work, struct ferry, crossing);

	f->speed = 0;
	ferry_put(f);
}

void ferry_init(struct ferry *f)
{
	INIT_WORK(&f->crossing, ferry_cross);
}

"""
CLOSE = """\
void ferry_close(struct dock *d, struct ferry *f)
{{
{before}	flush_work(&f->crossing);
{after}}}
"""


def said(old: str, new: str) -> set[str]:
    """The rules that prove that a change of a driver can deadlock."""
    with Tree.from_files({FILE: (TYPES + old).encode()}) as tree:
        change = tree.replace({FILE: (TYPES + new).encode()})
        result = examine(change, *tree.sources(change))
    assert not result.failed, result.notes
    return {v.finding.rule for v in result.verdicts if v.outcome is Outcome.CONFIRMED}


LOCK, UNLOCK = "\tmutex_lock(&f->dock->gate);\n", "\tmutex_unlock(&f->dock->gate);\n"
PUT = "\tferry_put(f);\n"


@pytest.mark.parametrize(
    ("after", "stuck"),
    [
        (UNLOCK + PUT, False),
        (UNLOCK, True),
        (UNLOCK + "\tif (f->speed)\n\t\tferry_put(f);\n", True),
        (UNLOCK + "\trefcount_inc(&f->users);\n" + PUT, True),
        (UNLOCK + "\tif (refcount_dec_and_test(&f->riders))\n\t\tf->speed = 0;\n", True),
    ],
    ids=["its-own", "none", "perhaps", "got-after-the-wait", "of-another-counter"],
)
def test_a_work_item_that_puts_the_last_reference(after: str, stuck: bool) -> None:
    old = CLOSE.format(before="", after=after.removeprefix(UNLOCK))
    new = CLOSE.format(before=LOCK, after=after)
    assert said(old, new) == ({"flush-under-lock"} if stuck else set())


ORDER = """\
void ferry_leave(struct ferry *f)
{{
	mutex_lock(&f->deck);
{last}	mutex_unlock(&f->deck);
}}

void ferry_board(struct ferry *f)
{{
	mutex_lock(&f->dock->gate);
{inside}	mutex_unlock(&f->dock->gate);
}}
"""


@pytest.mark.parametrize(("last", "stuck"), [("\tferry_put(f);\n", False), ("\tferry_free(f);\n", True)])
def test_an_order_that_only_the_last_reference_turns_round(last: str, stuck: bool) -> None:
    old = ORDER.format(last=last, inside="")
    new = ORDER.format(last=last, inside="\tmutex_lock(&f->deck);\n\tf->speed = 1;\n\tmutex_unlock(&f->deck);\n")
    assert said(old, new) == ({"lock-order"} if stuck else set())
