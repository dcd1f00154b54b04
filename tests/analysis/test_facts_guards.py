"""Conditions of several tests: what locks are held where their parts are asked for again."""

from __future__ import annotations

from collections.abc import Sequence

from small import HEAD, program

from reviewbot.analysis.code.dominance import Dominance
from reviewbot.analysis.code.expr import show
from reviewbot.analysis.events.kinds import Wait
from reviewbot.analysis.program.program import Program
from reviewbot.csource.cache import DECODER, ENCODER
from reviewbot.csource.ir import TranslationUnit
from reviewbot.csource.lower import lower
from reviewbot.detect.guarded import GuardedEvent, GuardedEvents
from reviewbot.function_key import key_of

MIXED = """
static int f(struct dev *d, int late)
{
	if (d->flag)
		mutex_lock(&d->lock);
	d->count = 1;
	if (!late && d->flag)
		mutex_unlock(&d->lock);
	work(d);
	if (late && d->flag)
		mutex_unlock(&d->lock);
	return 0;
}
"""


def test_a_part_of_a_condition_is_correlated_with_the_same_one_elsewhere() -> None:
    record = program(MIXED).locksets.record("drivers/md/small.c:f")
    assert all(x.agreed and not x.takes and not x.drops for x in record.left)


def test_a_condition_that_is_asked_again_with_less_leaves_the_lock_held() -> None:
    text = MIXED.replace("if (late && d->flag)", "if (late && d->flag && d->count)")
    assert any(x.takes for x in program(text).locksets.record("drivers/md/small.c:f").left)


def test_a_trylock_behind_a_test_is_known_by_what_it_is_kept_in() -> None:
    text = """
static int f(struct dev *d)
{
	int got = d->flag && mutex_trylock(&d->lock);
	int fast = d->count ? 0 : mutex_trylock(&d->other);

	work(d);
	if (fast)
		mutex_unlock(&d->other);
	if (got)
		mutex_unlock(&d->lock);
	return 0;
}
static int g(struct dev *d)
{
	return d->flag && mutex_trylock(&d->lock);
}
static void h(struct dev *d)
{
	if (g(d))
		mutex_unlock(&d->lock);
}
"""
    locksets = program(text).locksets
    for name in "fh":
        assert not any(x.takes or x.drops for x in locksets.record(f"drivers/md/small.c:{name}").left), name


def test_tests_that_decide_nothing_about_locks_do_not_crowd_out_those_that_do() -> None:
    others = "".join(f"\tif (d->flag > {n})\n\t\ta({n});\n" for n in range(9))
    text = MIXED.replace("\twork(d);\n", f"{others}\twork(d);\n{others}")
    record = program(text).locksets.record("drivers/md/small.c:f")
    assert all(x.agreed and not x.takes and not x.drops for x in record.left)


def test_one_of_several_tests_holds_behind_an_or() -> None:
    text = HEAD + "void f(struct dev *d) { if (d->flag || (d->count && g(d))) a(); else b(); c(); }"
    (made,) = (f for f in lower(text.encode()).functions if f.name == "f")
    dominance = Dominance(made.blocks)
    held = {
        event.call.callee: [(show(when), taken) for when, taken in dominance.conditions(number)]
        for number, block in enumerate(made.blocks)
        for event in block.events
        if hasattr(event, "call")
    }
    assert held["a"] == [("d->flag || g(d)", True)]
    assert held["c"] == []


def test_what_a_sleep_tests_behind_an_or_is_what_it_waits_for() -> None:
    text = """
struct wait_queue_head { int x; };
struct box { struct wait_queue_head idle; int full; int busy; };
static void f(struct box *b)
{
	while (b->full || b->busy) {
		prepare_to_wait(&b->idle, &wait, TASK_UNINTERRUPTIBLE);
		schedule();
	}
}
"""
    found = [fact for fact in program(text).own_facts("drivers/md/small.c:f") if isinstance(fact, Wait)]
    assert any({"box.full", "box.busy"} <= set(fact.reads) for fact in found)


def test_a_function_is_the_same_from_the_cache() -> None:
    text = b"""
struct dev { int busy; int *ring; };
int run(struct dev *d, int n)
{
	int i = 0;

	while (i < n && !ready(d, i))
		i++;
	if (lost(d) || d->busy)
		stop(d);
	start(d);
	return 0;
}
"""
    made = lower(text)
    read = DECODER.decode(ENCODER.encode(made))
    told = [[str(event.guard) for event in events(unit)] for unit in (made, read)]
    assert told[0] == told[1]
    assert any("lost" in guard and "||" in guard for guard in told[0])


def events(unit: TranslationUnit) -> Sequence[GuardedEvent]:
    """What run() does, with the conditions."""
    program = Program.of_units({"drivers/md/small.c": unit})
    return GuardedEvents(program).of(key_of("drivers/md/small.c", "run"))
