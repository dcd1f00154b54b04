"""Spinlocks that interrupts meet, by where the functions that take them run."""

from __future__ import annotations

from small import program

from reviewbot.analysis.program.program import Program
from reviewbot.detect.interrupts import interrupted
from reviewbot.detect.sleeps import sleeping

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
        assert len([*interrupted(*programs, [(FILE, "note")])]) == found


def test_who_runs_in_interrupts_only_is_not() -> None:
    programs = [taking(call, "(void)d;") for call in ("spin_lock_irq", "spin_lock")]
    assert not [*interrupted(*programs, [(FILE, "note")])]


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
        assert len([*sleeping(*programs, [(FILE, "rest")])]) == found
