"""What callers hold and keep away: through names, arguments and tables, with and without the name of a lock."""

from __future__ import annotations

from small import program

from reviewbot.analysis.callgraph.pointer_flow import EntryPoint
from reviewbot.analysis.program.program import Program
from reviewbot.detect.interrupts import interrupted
from reviewbot.detect.leads import Dropped

FILE = "drivers/md/small.c"
OFF = {"atomic", "bh off", "irq off"}
EACH = """
static int each(struct dev *d, int (*fn)(struct dev *))
{
	int n;

	spin_lock_irq(&d->fast);
	n = fn(d);
	spin_unlock_irq(&d->fast);
	return n;
}
static int one(struct dev *d) { return d->flag; }
static int two(struct dev *d) { return d->count; }
int all(struct dev *d)
{
	int n;

	mutex_lock(&d->other);
	n = each(d, one);
	mutex_unlock(&d->other);
	return n;
}
int some(struct dev *d) { return each(d, two); }
"""


def ways(found: Program, name: str) -> list[tuple[set[str], set[str], list[str]]]:
    """Locks, what is kept away and the names of the functions, of each way into one."""
    (key,) = found.named(name)
    return [(set(w.locks()), set(w.off), [k.rpartition(":")[2] for k in w.chain]) for w in found.entry(key)]


def test_what_a_caller_holds_goes_down_to_the_function_that_was_handed_to_it() -> None:
    found = program(EACH)
    assert ways(found, "one") == [({"dev.fast", "dev.other"}, OFF, ["all", "each", "one"])]
    assert ways(found, "two") == [({"dev.fast"}, OFF, ["some", "each", "two"])]


def test_what_a_caller_holds_goes_down_through_a_table() -> None:
    found = program("""
struct ops { int (*run)(struct dev *d); };
static int go(struct dev *d) { return d->count; }
static const struct ops mine = { .run = go };
int start(struct dev *d, const struct ops *ops)
{
	int n;

	mutex_lock(&d->lock);
	n = ops->run(d);
	mutex_unlock(&d->lock);
	return n;
}
""")
    assert ways(found, "go") == [({"dev.lock"}, set(), ["start", "go"])]


def test_interrupts_are_off_without_the_name_of_a_lock() -> None:
    found = program("""
static void off(void *p) { spin_lock_irqsave(find_lock(p), p->flags); }
static void on(void *p) { spin_unlock_irqrestore(find_lock(p), p->flags); }
static void in(struct dev *d) { d->count++; }
static void softly(struct dev *d) { d->count--; }
void enter(struct dev *d, void *p)
{
	off(p);
	in(d);
	on(p);
	local_bh_disable();
	softly(d);
	local_bh_enable();
}
""")
    assert [off for _, off, _ in ways(found, "in")] == [OFF]
    assert [off for _, off, _ in ways(found, "softly")] == [{"atomic", "bh off"}]


def test_what_one_way_does_not_keep_away_is_not_kept_away() -> None:
    found = program("""
static void in(struct dev *d) { d->count++; }
void quiet(struct dev *d) { local_irq_disable(); spin_lock(&d->fast); in(d); spin_unlock(&d->fast); local_irq_enable(); }
void loud(struct dev *d) { local_irq_disable(); local_irq_enable(); spin_lock(&d->fast); in(d); spin_unlock(&d->fast); }
""")
    assert {frozenset(off) for locks, off, _ in ways(found, "in") if "irq" not in locks} == {frozenset({"atomic"})}


def test_nobody_is_seen_to_call_it_is_no_context() -> None:
    text = """
static void note(struct dev *d) {{ {0}(&d->fast); d->count += 1; {1}(&d->fast); }}
static void tick(struct timer_list *t) {{ struct dev *d = from_timer(d, t, timer); note(d); }}
void start(struct dev *d) {{ timer_setup(&d->timer, tick, 0); }}
{2}
"""
    locks = ("spin_lock_irq", "spin_unlock_irq"), ("spin_lock", "spin_unlock")
    for more, found in (("", 0), ("void poke(struct dev *d) { note(d); }", 1)):
        programs = [program(text.format(*lock, more)) for lock in locks]
        assert len([x for x in interrupted(*programs, [(FILE, "note")]) if not isinstance(x, Dropped)]) == found
        assert (EntryPoint("unknown") in programs[0].roots(f"{FILE}:note")) is bool(found)


def test_softirqs_off_do_not_keep_an_interrupt_away() -> None:
    text = """
static void note(struct dev *d) {{ {0}(&d->fast); d->count += 1; {1}(&d->fast); }}
static irqreturn_t event(int irq, void *data) {{ struct dev *d = data; spin_lock(&d->fast); spin_unlock(&d->fast); return 0; }}
int start(struct dev *d) {{ note(d); return request_irq(d->flag, event, 0, "small", d); }}
"""
    locks = ("spin_lock_irq", "spin_unlock_irq"), ("spin_lock_bh", "spin_unlock_bh")
    programs = [program(text.format(*lock)) for lock in locks]
    assert [x.soft for x in interrupted(*programs, [(FILE, "note")])] == [False]


SEQ = """
struct seq_operations { void *(*start)(struct seq_file *m, loff_t *pos); int (*show)(struct seq_file *m, void *v); };
static void *first(struct seq_file *m, loff_t *pos)
{
	struct dev *d = m->private;
%s
	return d;
}
static int shown(struct seq_file *m, void *v) { return 0; }
static int other(struct seq_file *m, void *v) { return 0; }
static const struct seq_operations walk = { .start = first, .show = shown };
static const struct seq_operations plain = { .show = other };
"""


def test_what_is_between_the_start_and_the_stop_of_a_table_runs_with_what_the_start_leaves_held() -> None:
    found = program(SEQ % "\tspin_lock(&d->fast);")
    assert ways(found, "shown") == [({"dev.fast"}, OFF, ["shown"])]
    assert ways(found, "other") == [(set(), set(), ["other"])]


def test_what_the_start_of_a_table_takes_on_some_ways_only_is_not_held() -> None:
    found = program(SEQ % "\tif (*pos)\n\t\tspin_lock(&d->fast);")
    assert ways(found, "shown") == [(set(), set(), ["shown"])]
