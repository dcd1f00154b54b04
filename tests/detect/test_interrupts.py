"""Locks that tasks and interrupts take: where interrupts are known to be on, and what the replay makes of the code."""

from __future__ import annotations

from small import program

from reviewbot.analysis.program.program import Program
from reviewbot.detect.interrupts import interrupted, meets
from reviewbot.detect.inversion import inversions
from reviewbot.detect.sleeps import Atomic, sleeping
from reviewbot.function_key import key_of
from reviewbot.replay import spinning_cast
from reviewbot.sim.check import check
from reviewbot.types import Place

FILE = "drivers/md/small.c"
HEAD = """
struct file_operations {{ long (*unlocked_ioctl)(struct file *, unsigned int, unsigned long); }};
struct file {{ void *private_data; }};
static void note(struct dev *d) {{ {takes} d->count += 1; {gives} }}
static irqreturn_t handles(int irq, void *data)
{{
	struct dev *d = data;

	spin_lock(&d->fast);
	d->count += 1;
	spin_unlock(&d->fast);
	return 0;
}}
static void sets_up(struct dev *d) {{ devm_request_irq(d->parent, 1, handles, 0, "small", d); }}
{caller}
"""
IOCTL = """
static long ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct dev *d = file->private_data;

	%s
	return 0;
}
static struct file_operations fops = { .unlocked_ioctl = ioctl };
"""
PLAIN = "spin_lock(&d->fast);", "spin_unlock(&d->fast);"
OFF = "spin_lock_irq(&d->fast);", "spin_unlock_irq(&d->fast);"


def calling(caller: str, takes: str = PLAIN[0], gives: str = PLAIN[1]) -> Program:
    """A program with an interrupt handler that takes a lock, and a function that takes it too."""
    return program(HEAD.format(takes=takes, gives=gives, caller=caller))


def test_interrupts_are_on_where_a_task_enters_or_sleeps_and_unknown_elsewhere() -> None:
    for caller, found in (
        (IOCTL % "note(d);", 1),
        ("void runs(struct dev *d) { msleep(1); note(d); }", 1),
        ("void runs(struct dev *d) { note(d); }", 0),
        (IOCTL % "spin_lock_irq(&d->other_lock); note(d); spin_unlock_irq(&d->other_lock);", 0),
        (IOCTL % "disable_irq(1); note(d); enable_irq(1);", 0),
    ):
        assert len([*meets(calling(caller), "dev.fast")]) == found, caller


def test_a_lock_that_a_task_takes_anew_is_one_since_the_change() -> None:
    before = calling(IOCTL % "note(d);", "", "")
    for how, found in ((PLAIN, 1), (OFF, 0)):
        after = calling(IOCTL % "note(d);", *how)
        assert len([*interrupted(before, after, [(FILE, "note")])]) == found


def test_the_replay_takes_interrupts_as_the_code_has_them() -> None:
    (found,) = meets(calling(IOCTL % "note(d);"), "dev.fast")
    for how, outcome in ((PLAIN, "stuck"), (OFF, "free")):
        scene = spinning_cast.interrupted(found, calling(IOCTL % "note(d);", *how))
        assert scene is not None
        assert check(scene.model()).outcome == outcome


def test_a_lock_under_one_that_an_interrupt_takes_has_to_keep_it_away() -> None:
    nests = "spin_lock_irq(&d->fast); spin_lock(&d->slow); spin_unlock(&d->slow); spin_unlock_irq(&d->fast);"
    for other, found in (("spin_lock", 1), ("spin_lock_irq", 0)):
        takes = f"{other}(&d->slow); {other.replace('lock', 'unlock')}(&d->slow);"
        both = calling(IOCTL % "note(d); nests(d);", takes, "")
        text = f"static void nests(struct dev *d) {{ {nests} }}\n"
        both = program(HEAD.format(takes=takes, gives="", caller=text + IOCTL % "note(d); nests(d);"))
        assert len([*inversions(both, "dev.slow")]) == found


def test_the_replay_refutes_a_sleep_on_a_way_that_does_not_hold_the_lock() -> None:
    head = """
void runs(struct dev *d, int fast)
{{
	if (fast)
		spin_lock(&d->fast);
	d->count += 1;
	if ({when})
		msleep(1);
	if (fast)
		spin_unlock(&d->fast);
}}
"""
    at = Place(FILE, 1, "runs")
    key = key_of(FILE, "runs")
    found = Atomic(key, "dev.fast", "spin", "wait", "", at, at, "msleep()", "other", (), (key,))
    for when, outcome in (("!fast", "free"), ("d->count", "stuck")):
        scene = spinning_cast.sleeping(found, program(head.format(when=when)))
        assert scene is not None
        assert check(scene.model()).outcome == outcome


def test_a_section_ends_where_the_unlock_turns_interrupts_on() -> None:
    head = """
static void outer(struct dev *d)
{{
	local_bh_disable();
	spin_lock(&d->fast);
	{ends}(&d->fast);
	{sleeps}
	{after}
}}
"""
    for ends, after, found in (("spin_unlock_bh", "", 0), ("spin_unlock", "local_bh_enable();", 1)):
        sides = [program(head.format(ends=ends, after=after, sleeps=text)) for text in ("", "msleep(1);")]
        assert len([*sleeping(*sides, [(FILE, "outer")])]) == found
