"""Spinlocks that interrupts meet, by where the functions that take them run."""

from __future__ import annotations

from searches import sure
from small import program

from reviewbot.analysis.program.program import Program
from reviewbot.detect.interrupts import interrupted
from reviewbot.detect.sleeps import Atomic, interrupting, sleeping
from reviewbot.score import Doubt

FILE = "drivers/md/small.c"


def taking(call: str, caller: str) -> Program:
    """A program in which an end of I/O and a map function both call one that takes a lock by `call`."""
    return program(
        f"""
struct bio {{ void (*bi_end_io)(struct bio *); void *bi_private; }};
struct target_type {{ int (*map)(struct dm_target *, struct bio *); }};
static void note(struct dev *d) {{ {call}(&d->fast); d->count += 1; {call.replace("lock", "unlock")}(&d->fast); }}
static void end(struct bio *bio) {{ note(bio->bi_private); }}
static int map(struct dm_target *ti, struct bio *bio)
{{
	struct dev *d = bio->bi_private;

	bio->bi_end_io = end;
	{caller.format("note(d);")}
	return 0;
}}
static struct target_type small_target = {{ .map = map }};
"""
    )


def test_who_runs_in_interrupts_as_well_is_interrupted_by_itself() -> None:
    for caller, found in (("{}", 1), ("spin_lock_irq(&d->other_lock); {} spin_unlock_irq(&d->other_lock);", 0)):
        programs = [taking(call, caller) for call in ("spin_lock_irq", "spin_lock")]
        assert len(sure(interrupted(*programs, [(FILE, "note")]))) == found


def test_who_runs_in_interrupts_only_is_not() -> None:
    programs = [taking(call, "(void)d;") for call in ("spin_lock_irq", "spin_lock")]
    assert not sure(interrupted(*programs, [(FILE, "note")]))


def test_a_lock_that_is_handed_to_a_callback_may_be_dropped_there() -> None:
    head = """
static int walk(struct dev *d, int (*each)(struct dev *, spinlock_t *))
{{
	int n;

	spin_lock(&d->fast);
	n = each(d, &d->fast);
	spin_unlock(&d->fast);
	return n;
}}
static void rest(struct dev *d) {{ {rest} }}
static int each(struct dev *d, spinlock_t *lock) {{ {drop} rest(d); {take} return 0; }}
int all(struct dev *d) {{ return walk(d, each); }}
"""
    for drop, take, found in (("spin_unlock(lock);", "spin_lock(lock);", 0), ("", "", 1)):
        programs = [
            program(head.format(rest=text, drop=drop, take=take)) for text in ("d->count = 1;", "msleep(d->count);")
        ]
        assert len(sure(sleeping(*programs, [(FILE, "rest")]))) == found


def slept(head: str, before: str, after: str, name: str) -> list[str]:
    """What a function of a small file sleeps in since a change: the locks."""
    return [found.lock for found in sure(sleeping(program(head % before), program(head % after), [(FILE, name)]))]


def test_an_iterator_holds_something_over_what_it_calls_back() -> None:
    head = """
static void answer(struct dev *d) { msleep(d->count); }
static void each(void *data, struct ieee80211_sta *sta) { answer(data); }
static void all(struct ieee80211_hw *hw, struct dev *d) { %s(hw, each, d); }
"""
    assert slept(head, "ieee80211_iterate_stations", "ieee80211_iterate_stations_atomic", "all") == ["rcu"]
    assert slept(head, "ieee80211_iterate_stations_atomic", "ieee80211_iterate_stations", "all") == []
    assert slept(head, "ieee80211_iterate_stations_atomic", "ieee80211_iterate_stations_atomic", "all") == []


def test_a_call_through_a_slot_whose_functions_sleep() -> None:
    head = """
struct clk_ops { int (*prepare)(struct dev *d); int (*enable)(struct dev *d); };
static void runs(struct dev *d, struct clk_ops *ops)
{
	spin_lock(&d->fast);
	%s
	spin_unlock(&d->fast);
}
"""
    assert slept(head, "d->count++;", "ops->prepare(d);", "runs") == ["dev.fast"]
    assert slept(head, "d->count++;", "ops->enable(d);", "runs") == []


def test_netpoll_calls_with_interrupts_off() -> None:
    head = """
struct net_device_ops { void (*ndo_poll_controller)(struct net_device *); };
static void poll(struct net_device *n) { %s; }
static const struct net_device_ops ops = { .ndo_poll_controller = poll };
"""
    assert slept(head, "disable_hardirq(n->irq)", "disable_irq(n->irq)", "poll") == ["irq"]
    assert slept(head, "disable_irq_nosync(n->irq)", "disable_hardirq(n->irq)", "poll") == []


def test_a_condition_is_a_doubt_only_where_the_lock_is_not_always_held() -> None:
    head = """
static void last(struct dev *d) { %%s }
static void inner(struct dev *d) { if (d->flag) last(d); }
static void outer(struct dev *d) { spin_lock(&d->fast); inner(d); spin_unlock(&d->fast); }
void beside(struct dev *d) { %s }
"""
    always, not_always = head % "last(d);", head % "inner(d);"
    assert slept(always, "d->count++;", "msleep(1);", "last") == ["dev.fast"]
    assert slept(not_always, "d->count++;", "msleep(1);", "last") == []


def test_a_number_within_its_bounds_asks_for_nothing() -> None:
    head = """
static int reads(struct dev *d, unsigned int n) { if (n %s) return -EINVAL; %%s; return 0; }
static int outer(struct dev *d)
{
	int err;

	spin_lock(&d->fast);
	err = reads(d, d->count);
	spin_unlock(&d->fast);
	return err;
}
"""
    assert slept(head % "> MOST", "udelay(1)", "msleep(1)", "reads") == ["dev.fast"]
    assert slept(head % "== QUICKLY", "udelay(1)", "msleep(1)", "reads") == []


def test_a_timer_that_asks_for_what_does_not_sleep() -> None:
    head = """
enum turn {{ TURN_ON, TURN_OFF, TURN_GONE }};
struct timer_list {{ int x; }};
struct mill {{ struct dev d; struct timer_list tick; }};
static void rests(struct mill *m) {{ m->d.count = 0; {more} }}
static void turn(struct mill *m, enum turn how) {{ if (how == TURN_GONE) rests(m); }}
static void ticks(struct timer_list *t)
{{
	struct mill *m = from_timer(m, t, tick);

	{call}
}}
void start(struct mill *m) {{ timer_setup(&m->tick, ticks, 0); turn(m, TURN_GONE); }}
"""
    before = head.format(call="m->d.flag = 0;", more="")

    def since(call: str, more: str = "msleep(1);") -> list[str]:
        after = program(head.format(call=call, more=more))
        return [found.call for found in sure(interrupting(program(before), after, [(FILE, "ticks")]))]

    assert since("turn(m, TURN_GONE);") == ["msleep()"]
    assert since("turn(m, TURN_OFF);") == []
    assert since("turn(m, TURN_OFF); turn(m, m->d.flag);") == ["msleep()"]
    assert since("turn(m, TURN_OFF); rests(m);") == ["msleep()"]


def test_nobody_spins_for_a_lock_that_is_only_tried() -> None:
    head = """
static void turns(struct dev *d)
{
	if (!spin_trylock(&d->fast))
		return;
	%%s
	spin_unlock(&d->fast);
}
static void counts(struct dev *d) { if (%s) { d->count++; spin_unlock(&d->fast); } }
"""
    for other, doubts in (("spin_trylock(&d->fast)", (Doubt.UNSEEN,)), ("spin_lock(&d->fast), d->flag", ())):
        programs = [program(head % other % text) for text in ("d->count = 1;", "msleep(1);")]
        (found,) = [f for f in sleeping(*programs, [(FILE, "turns")]) if isinstance(f, Atomic)]
        assert found.doubts == doubts
