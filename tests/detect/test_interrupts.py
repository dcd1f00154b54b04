"""Locks that tasks and interrupts take: where interrupts are known to be on, and what the replay makes of the code."""

from __future__ import annotations

from searches import sure
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
        assert len(sure(interrupted(before, after, [(FILE, "note")]))) == found


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
        assert len(sure(sleeping(*sides, [(FILE, "outer")]))) == found


XARRAY = """
struct file_operations { long (*unlocked_ioctl)(struct file *, unsigned int, unsigned long); };
struct file { void *private_data; };
struct shelf { struct xarray books; int n; };
static irqreturn_t handles(int irq, void *data)
{
	struct shelf *s = data;

	xa_lock(&s->books);
	s->n++;
	xa_unlock(&s->books);
	return 0;
}
static long ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct shelf *s = file->private_data;

	%s(&s->books, arg);
	return 0;
}
static int probe(struct shelf *s) { return request_irq(1, handles, 0, "small", s); }
static struct file_operations fops = { .unlocked_ioctl = ioctl };
"""


def test_an_xarray_is_changed_with_its_lock() -> None:
    for call, found in (("xa_erase", 1), ("xa_erase_irq", 0), ("xa_load", 0)):
        assert len([*meets(program(XARRAY % call), "shelf.books")]) == found, call


POINTER = """
struct net_device_ops { int (*ndo_start_xmit)(struct sk_buff *, struct net_device *); };
struct card { spinlock_t state_lock; int (*send)(struct card *); int room; };
int common_send(struct sk_buff *skb, struct net_device *n) { struct card *c = netdev_priv(n); return c->send(c); }
static const struct net_device_ops ops = { .ndo_start_xmit = common_send };
"""
PUT = """
struct card;
static int NAME_send(struct card *c) { spin_lock(&c->state_lock); c->room--; spin_unlock(&c->state_lock); return 0; }
static void NAME_work(struct card *c) { %s(&c->state_lock); c->room++; %s(&c->state_lock); }
static void NAME_probe(struct card *c) { c->send = NAME_send; }
"""


def test_what_a_file_puts_into_a_pointer_counts_for_that_file() -> None:
    def made(*calls: str) -> Program:
        fast = PUT.replace("NAME", "fast") % calls
        slow = PUT.replace("NAME", "slow") % ("spin_lock_bh", "spin_unlock_bh")
        return program(POINTER, **{"drivers/md/fast.c": fast, "drivers/md/slow.c": slow})

    programs = made("spin_lock_bh", "spin_unlock_bh"), made("spin_lock", "spin_unlock")
    (found,) = sure(interrupted(*programs, [("drivers/md/fast.c", "fast_work")]))
    assert (found.function, found.handler, found.soft) == ("fast_work", "drivers/md/fast.c:fast_send", True)
    assert not sure(interrupted(programs[0], programs[0], [("drivers/md/fast.c", "fast_work")]))


TIMED = """
struct card { spinlock_t nest; spinlock_t song; struct timer_list timer; int n; };
static irqreturn_t one(int irq, void *data) { return 0; }
static irqreturn_t two(int irq, void *data)
{
	struct card *c = data;

	spin_lock(&c->nest);
	c->n++;
	spin_unlock(&c->nest);
	return 0;
}
static void dusk(struct timer_list *t)
{
	struct card *c = from_timer(c, t, timer);

	spin_lock%s(&c->%s%s);
	c->n = 0;
	spin_unlock%s(&c->%s%s);
}
static int probe(struct card *c)
{
	irq_handler_t handler = one;

	if (c->n)
		handler = two;
	timer_setup(&c->timer, dusk, 0);
	return request_irq(1, handler, 0, "small", c);
}
"""


def test_an_interrupt_comes_between_what_a_softirq_does_and_its_handler_may_be_in_a_local() -> None:
    for lock, found in (("nest", 1), ("song", 0)):
        saved = ("_irqsave", lock, ", flags", "_irqrestore", lock, ", flags")
        programs = program(TIMED % saved), program(TIMED % ("", lock, "", "", lock, ""))
        assert len(sure(interrupted(*programs, [(FILE, "dusk")]))) == found, lock


def test_a_handler_that_others_call_is_interrupted_where_they_have_interrupts_on() -> None:
    text = """
static irqreturn_t handles(int irq, void *data)
{
	struct dev *d = data;

	spin_lock%s(&d->fast%s);
	d->count++;
	spin_unlock%s(&d->fast%s);
	return 0;
}
void resumes(struct dev *d) { %s handles(0, d); }
static int probe(struct dev *d) { return request_irq(1, handles, 0, "small", d); }
"""
    for before, found in (("", 0), ("msleep(1);", 1)):
        programs = [
            program(text % (*how, before)) for how in (("_irqsave", ", flags", "_irqrestore", ", flags"), ("",) * 4)
        ]
        assert len(sure(interrupted(*programs, [(FILE, "handles")]))) == found, before
