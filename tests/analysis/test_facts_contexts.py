"""Contexts: through names, through pointers as far as one run can go, and where they end."""

from __future__ import annotations

from small import program

from reviewbot.analysis.program import programs
from reviewbot.analysis.program.program import Program
from reviewbot.gittree.tree import Tree

FILE = "drivers/md/small.c"
WALK = """
struct walk { int (*step)(int x); };
static int walk_all(struct walk *w)
{
	return w->step(1);
}
static int one(int x)
{
	return x;
}
static int other(int x)
{
	return -x;
}
static void poll(struct work_struct *ws)
{
	struct walk w = { .step = one };

	walk_all(&w);
}
static void report(struct timer_list *t)
{
	struct walk w = { .step = other };

	walk_all(&w);
}
static void start(struct dev *d)
{
	INIT_WORK(&d->work, poll);
	timer_setup(&d->timer, report, 0);
}
"""


def entered(program: Program, name: str) -> dict[str, list[str]]:
    """Context -> the names of the chain that gets there."""
    (key,) = program.named(name)
    return {e.context: [k.rpartition(":")[2] for k in e.chain] for e in program.entered(key)}


def test_what_is_handed_down_runs_under_who_handed_it_down() -> None:
    found = program(WALK)
    assert entered(found, "one") == {"work": ["poll", "walk_all", "one"]}
    assert entered(found, "other") == {"softirq": ["report", "walk_all", "other"]}
    assert set(entered(found, "walk_all")) == {"work", "softirq"}


def test_a_table_that_is_handed_down_runs_under_who_handed_it_down() -> None:
    found = program("""
struct walk_ops { int (*step)(int x); };
static int walk_all(const struct walk_ops *ops)
{
	return ops->step(1);
}
static int one(int x) { return x; }
static int other(int x) { return -x; }
static const struct walk_ops one_ops = { .step = one };
static const struct walk_ops other_ops = { .step = other };
static void poll(struct work_struct *ws) { walk_all(&one_ops); }
static void report(struct timer_list *t) { walk_all(&other_ops); }
static void start(struct dev *d)
{
	INIT_WORK(&d->work, poll);
	timer_setup(&d->timer, report, 0);
}
""")
    assert entered(found, "one") == {"work": ["poll", "walk_all", "one"]}
    assert entered(found, "other") == {"softirq": ["report", "walk_all", "other"]}


SERVICE = """
struct job { void (*fn)(int error); };
void service_copy(struct job *job, void (*fn)(int error))
{
	job->fn = fn;
	finish(job);
}
static void finish(struct job *job) { job->fn(0); }
static void service_work(struct work_struct *ws) { finish(to_job(ws)); }
static void service_start(struct service *s) { INIT_WORK(&s->work, service_work); }
"""
CLIENT = """
static void %s_done(int error) { }
static void %s_run(struct timer_list *t) { service_copy(0, %s_done); }
static void %s_start(struct %s *s) { timer_setup(&s->timer, %s_run, 0); }
"""


def test_a_callback_runs_for_its_own_client_and_where_the_service_runs_by_itself() -> None:
    red, blue = CLIENT.replace("%s", "red"), CLIENT.replace("%s", "blue")
    found = program(SERVICE, **{"drivers/md/red.c": red, "drivers/md/blue.c": blue})
    assert entered(found, "red_done") == {
        "softirq": ["red_run", "service_copy", "finish", "red_done"],
        "work": ["service_work", "finish", "red_done"],
    }
    assert {e.runner for e in found.entered("drivers/md/red.c:red_done")} == {"red.timer", "service.work"}


def test_a_table_of_one_client_is_not_handed_down_by_another_one_between() -> None:
    tree = """
struct kind { int (*drop)(int x); };
int tree_set(struct kind *k) { return k->drop(1); }
"""
    bits = """
struct kind { int (*drop)(int x); };
static struct kind bit_kind = { .drop = 0 };
int bits_init(struct bits *b) { b->kind = bit_kind; }
int bits_flush(struct bits *b) { return tree_set(&b->kind); }
"""
    user = """
struct kind { int (*drop)(int x); };
struct user { struct kind kind; };
static int user_drop(int x) { return x; }
static void user_setup(struct user *u) { u->kind.drop = user_drop; }
static void flush(struct work_struct *ws) { bits_flush(0); }
static void shrink(struct timer_list *t) { tree_set(0); }
static void user_start(struct user *u)
{
	INIT_WORK(&u->work, flush);
	timer_setup(&u->timer, shrink, 0);
}
"""
    found = program(tree, **{"drivers/md/bits.c": bits, "drivers/md/user.c": user})
    assert entered(found, "user_drop") == {"softirq": ["shrink", "tree_set", "user_drop"]}


def test_what_was_registered_runs_under_anybody() -> None:
    found = program(
        """
struct policy { int (*pick)(int x); };
struct user { struct policy *policy; };
static int nearest(int x) { return x; }
static struct policy near_policy = { .pick = nearest };
static int near_init(void) { return register_policy(&near_policy); }
""",
        **{
            "drivers/md/user.c": """
struct policy { int (*pick)(int x); };
struct user { struct policy *policy; };
static void serve(struct work_struct *ws) { struct user *u = to_user(ws); u->policy->pick(1); }
static void user_start(struct user *u) { INIT_WORK(&u->work, serve); }
"""
        },
    )
    assert entered(found, "nearest") == {"work": ["serve", "nearest"]}


TIMER = """
static void deep(struct dev *d) { d->count = 1; }
static void shallow(struct dev *d, int wait)
{
%s
}
static void tick(struct timer_list *t) { shallow(0, %s); }
static void start(struct dev *d) { timer_setup(&d->timer, tick, 0); }
"""


def test_an_interrupt_does_not_get_past_a_sleep() -> None:
    found = program(TIMER % ("\tmutex_lock(&d->lock);\n\tdeep(d);\n\tmutex_unlock(&d->lock);", "1"))
    assert entered(found, "shallow") == {"softirq": ["tick", "shallow"]}
    assert entered(found, "deep") == {}
    assert {r.context for r in found.roots(f"{FILE}:deep")} == {"softirq"}
    perhaps = program(TIMER % ("\tif (wait)\n\t\tmutex_lock(&d->lock);\n\tdeep(d);", "1"))
    assert entered(perhaps, "deep") == {"softirq": ["tick", "shallow", "deep"]}


def test_a_constant_keeps_a_call_from_being_made() -> None:
    code = "\tif (!wait)\n\t\treturn;\n\tdeep(d);"
    assert entered(program(TIMER % (code, "0")), "deep") == {}
    assert entered(program(TIMER % (code, "false")), "deep") == {}
    assert set(entered(program(TIMER % (code, "1")), "deep")) == {"softirq"}
    flags = "\tif (wait & 4)\n\t\tdeep(d);"
    assert entered(program(TIMER % (flags, "0")), "deep") == {}
    assert set(entered(program(TIMER % (flags, "4")), "deep")) == {"softirq"}


def test_what_serves_everybody_has_no_context_of_its_callers() -> None:
    found = program("""
static void inside(struct dev *d) { d->count = 1; }
void kfree(const void *p) { inside(0); }
static void tick(struct timer_list *t) { kfree(0); }
static void start(struct dev *d) { timer_setup(&d->timer, tick, 0); }
""")
    assert entered(found, "inside") == {}


QUEUE = """
static int put(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	return 0;
}
static const struct blk_mq_ops ops = { .queue_rq = put };
static void start(struct blk_mq_tag_set *set)
{
	set->ops = &ops;
	set->flags = %s;
}
"""


def test_a_driver_says_that_its_function_is_not_called_in_a_section() -> None:
    for flag, held in (("BLK_MQ_F_STACKING", ("rcu",)), ("BLK_MQ_F_BLOCKING", ())):
        text = (QUEUE % flag).encode()
        with Tree.from_files({FILE: text}) as tree:
            one = programs.around(tree.at("HEAD"), [FILE])
            assert tuple(h.lock for way in one.entry(f"{FILE}:put") for h in way.held) == held
