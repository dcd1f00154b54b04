"""What lockdep says is read, and compared with the schedule of a finding."""

from __future__ import annotations

import pytest

from reviewbot.reproduce.boot import judged
from reviewbot.reproduce.console import read
from reviewbot.reproduce.splats import agreed, locked, splats
from reviewbot.types import Finding, KnotEdge, Outcome, Place, Step, Trace, Verdict

CIRCLE = """\
======================================================
WARNING: possible circular locking dependency detected
6.12.0 #1 Not tainted
------------------------------------------------------
dmsetup/80 is trying to acquire lock:
6e0 (&s->lock){+.+.}-{4:4}, at: store_rate+0x20/0x60

but task is already holding lock:
6e8 (table_lock){+.+.}-{4:4}, at: reload_table+0x14/0x40

the existing dependency chain (in reverse order) is:

-> #1 (table_lock){+.+.}-{4:4}:
       [<60040506>] mutex_lock_nested+0x1d/0x1f
       [<60070809>] show_rate.isra.0+0x11/0x30
stack backtrace:
 [<60022e9f>] dump_stack+0x3e/0x67
"""
ATOMIC = """\
BUG: sleeping function called from invalid context at kernel/locking/mutex.c:585
 [<60022e9f>] __might_sleep+0x3e/0x67
 [<60022e9f>] end_of_copy+0x3e/0x67
"""


def verdict(*functions: str, task: str = "somebody") -> Verdict:
    finding = Finding("lock-order", Place("a.c", 3, "reload_table"), "takes two locks in another order")
    steps = tuple(Step(task, "takes a lock", "a.c", 1, function) for function in functions or ("",))
    return Verdict(finding, Outcome.CONFIRMED, Trace(steps, ()))


def test_a_circle_is_read_with_its_locks_and_functions() -> None:
    (splat,) = splats(CIRCLE.splitlines())
    assert splat.line == "WARNING: possible circular locking dependency detected"
    assert splat.about == "lock order"
    assert splat.locks == ("&s->lock", "table_lock")
    assert splat.functions == ("store_rate", "reload_table", "mutex_lock_nested", "show_rate", "dump_stack")


def test_functions_are_read_with_and_without_their_addresses() -> None:
    chain = CIRCLE.replace("       [<60040506>] mutex_lock_nested", "       mutex_lock_nested").replace(
        "[<60070809>] ", ""
    )
    assert splats(chain.splitlines())[0].functions == splats(CIRCLE.splitlines())[0].functions


def test_two_complaints_are_two_and_the_same_one_twice_is_one() -> None:
    found = splats((CIRCLE + ATOMIC + ATOMIC).splitlines())
    assert [splat.about for splat in found] == ["lock order", "sleep in atomic"]
    assert "end_of_copy" in found[1].functions
    assert "end_of_copy" not in found[0].functions


def test_what_it_shares_with_a_schedule_is_told_in_the_order_of_that() -> None:
    (splat,) = splats(CIRCLE.splitlines())
    assert agreed(splat, verdict("show_rate", "other")) == ("reload_table", "show_rate")
    assert agreed(splat, verdict(task="store_rate() in another task")) == ("reload_table", "store_rate")
    assert agreed(splats(ATOMIC.splitlines())[0], verdict("show_rate")) == ()


def test_it_counts_only_for_a_driver_that_watches_lockdep() -> None:
    log = read((CIRCLE + "[ 1.0] reviewbot: start\n[ 1.0] reviewbot: finished\n").encode())
    assert judged(log, "") == ("finished", "")
    assert judged(log, "", watched=True) == ("complained", "")


def test_the_locks_that_both_name_are_told_by_the_member_that_they_are() -> None:
    (splat,) = splats(CIRCLE.splitlines())
    steps = (Step("somebody", "takes two", "a.c", 1, "x", holds=("snap->lock",), waits="the copy"),)
    finding = Finding("lock-order", Place("a.c", 3, "x"), "in another order", object="t_lock")
    assert locked(splat, Verdict(finding, Outcome.CONFIRMED, Trace(steps, ()))) == ("&s->lock",)
    knot = (KnotEdge("somebody", "table_lock", "another"),)
    assert locked(splat, Verdict(finding, Outcome.CONFIRMED, Trace((), knot))) == ("table_lock",)
    assert locked(splat, Verdict(finding, Outcome.CONFIRMED)) == ()


@pytest.mark.parametrize(
    ("told", "name", "member"),
    [
        ("((work_completion)(&m->sync_work)){+.+.}-{0:0}, at: x", "(work_completion)(&m->sync_work)", "m->sync_work"),
        ("((wq_completion)m_misc){+.+.}-{0:0}, at: x", "(wq_completion)m_misc", "m_misc"),
        ("(&sb->s_type->i_mutex_key#3/1){+.+.}-{4:4}, at: x", "&sb->s_type->i_mutex_key#3/1", "inode->i_rwsem"),
        ("(a-tree-01){++++}-{4:4}, at: x", "a-tree-01", "a->tree"),
    ],
)
def test_names_of_classes(told: str, name: str, member: str) -> None:
    (splat,) = splats(["WARNING: possible circular locking dependency detected", f"dd/1 is trying: 00 {told}+0x1/0x2"])
    assert splat.locks == (name,)
    finding = Finding("lock-order", Place("a.c", 3, "x"), "in another order", object=member)
    assert locked(splat, Verdict(finding, Outcome.CONFIRMED)) == (name,)


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("BUG: workqueue leaked atomic, lock or RCU: kworker/0:1[9]", "missing unlock"),
        ("workqueue: WQ_MEM_RECLAIM md:md_work is flushing !WQ_MEM_RECLAIM events:work", "a flush without a rescuer"),
        ("Voluntary context switch within RCU read-side critical section!", "sleep in atomic"),
        ("do not call blocking ops when !TASK_RUNNING; state=2 set at", "sleep while waiting"),
    ],
)
def test_what_else_the_kernel_complains_of(line: str, about: str) -> None:
    assert [splat.about for splat in splats([line])] == [about]
