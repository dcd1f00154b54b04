"""Facts of small C: identity, locks on every path, what goes through calls, and the mistakes that were made once."""

from __future__ import annotations

import pytest
from small import changed, facts, program

from reviewbot.analysis.code import gfp
from reviewbot.analysis.code import identity as objects
from reviewbot.analysis.events.kinds import Allocation, CallTo, Exit, Gate, Lock, Unlock, Wait, Workqueue, Write

BASE = """
static int take(struct dev *d)
{
	mutex_lock(&d->lock);
	if (d->flag)
		goto out;
	d->count = kmalloc(8, GFP_NOIO);
out:
	mutex_unlock(&d->lock);
	return 0;
}
"""


def test_moved_lines_reflowed_text_and_renamed_locals_are_no_difference() -> None:
    other = "\n\n/* above */\n" + BASE.replace("struct dev *d", "struct dev *dd").replace("d->", "dd->").replace(
        "kmalloc(8, GFP_NOIO)", "kmalloc(8,\n\t\t\tGFP_NOIO)"
    )
    assert changed(BASE, other) == ([], [])


def test_one_flag_is_one_pair() -> None:
    removed, added = changed(BASE, BASE.replace("GFP_NOIO", "GFP_KERNEL"))
    assert len(removed) == len(added) == 1
    assert "GFP_NOIO = noio" in removed[0]
    assert "GFP_KERNEL = full" in added[0]


def test_a_workqueue_that_loses_a_flag_is_one_pair() -> None:
    text = """
struct q { struct workqueue_struct *wq; };
static int make(struct q *q) { q->wq = alloc_workqueue("x", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0); return 0; }
"""
    removed, added = changed(text, text.replace("WQ_MEM_RECLAIM | ", ""))
    assert len(removed) == len(added) == 1
    (made,) = facts(text)[Workqueue]
    assert (made.object, made.rescuer, made.max_active) == ("q.wq", True, "0")


def test_a_lock_that_is_not_released_on_an_error_path() -> None:
    text = """
static int leak(struct dev *d)
{
	mutex_lock(&d->lock);
	if (d->flag)
		return -EINVAL;
	mutex_unlock(&d->lock);
	return 0;
}
"""
    exits = {e.result: [str(h) for h in e.takes] for e in facts(text)[Exit]}
    assert exits == {"negative": ["dev.lock"]}


@pytest.mark.parametrize("call", ["mutex_trylock(&d->lock)", "!mutex_lock_interruptible(&d->lock)"])
def test_both_outcomes_of_a_lock_that_can_fail(call: str) -> None:
    text = f"static int t(struct dev *d) {{ if ({call}) {{ d->count = 1; mutex_unlock(&d->lock); }} return 0; }}"
    found = facts(text)
    assert not found[Exit]
    assert len(found[Lock]) == len(found[Unlock]) == 1


def test_a_condition_that_is_tested_twice_is_correlated_and_the_coarse_set_is_kept() -> None:
    text = """
static void c(struct dev *d, int want)
{
	if (want)
		mutex_lock(&d->lock);
	kmalloc(8, GFP_NOIO);
	if (want)
		mutex_unlock(&d->lock);
}
"""
    found = facts(text)
    assert not found[Exit]
    assert [str(h) for h in found[Allocation][0].maybe] == ["dev.lock"]


def test_a_condition_on_what_was_assigned_in_between_is_not_correlated() -> None:
    text = """
static void c(struct dev *d, int want)
{
	if (want)
		mutex_lock(&d->lock);
	want = d->flag;
	if (want)
		mutex_unlock(&d->lock);
}
"""
    assert facts(text)[Exit] == ()
    assert program(text).may_leave("drivers/md/small.c:c") == {"dev.lock"}


def test_an_address_handed_to_a_call_forgets_the_value() -> None:
    text = """
static void fill(int *p);
static int a(struct dev *d)
{
	int r = 0;
	fill(&r);
	mutex_lock(&d->lock);
	if (r)
		kmalloc(8, GFP_NOIO);
	mutex_unlock(&d->lock);
	return 0;
}
"""
    (asked,) = facts(text)[Allocation]
    assert asked.holds("dev.lock")


def test_two_instances_of_one_class_are_counted() -> None:
    text = """
static void two(struct dev *a, struct dev *b)
{
	mutex_lock(&a->lock);
	mutex_lock(&b->lock);
	kmalloc(8, GFP_NOIO);
	mutex_unlock(&b->lock);
	mutex_unlock(&a->lock);
}
"""
    found = facts(text)
    assert [str(h) for h in found[Allocation][0].held] == ["dev.lock x2"]
    assert not found[Exit]


def test_a_lock_with_two_faces_is_one() -> None:
    text = """
static void lock(struct dev *d) { if (d->flag) spin_lock(&d->fast); else mutex_lock(&d->lock); }
static void unlock(struct dev *d) { if (d->flag) spin_unlock(&d->fast); else mutex_unlock(&d->lock); }
static void user(struct dev *d) { lock(d); kmalloc(8, GFP_NOIO); unlock(d); }
"""
    (asked,) = facts(text)[Allocation]
    (held,) = asked.held
    assert held.klass == "mutex/spin"


def test_a_macro_that_returns_from_its_user() -> None:
    text = """
#define TAKE(d) do { if (!mutex_trylock(&(d)->lock)) return -EINVAL; } while (0)
static int user(struct dev *d) { TAKE(d); kmalloc(8, GFP_NOIO); mutex_unlock(&d->lock); return 0; }
"""
    found = facts(text)
    assert found[Allocation][0].holds("dev.lock")
    assert not found.of("user")[Exit]


def test_a_way_ends_where_a_macro_jumps_in_its_user() -> None:
    text = """
#define CHECK(d) do { if ((d)->flag) goto out; } while (0)
static int user(struct dev *d)
{
	mutex_lock(&d->lock);
	CHECK(d);
	mutex_unlock(&d->lock);
	kmalloc(8, GFP_NOIO);
	return 0;
out:
	mutex_unlock(&d->lock);
	return -1;
}
"""
    found = facts(text)
    assert not found[Allocation][0].held
    assert not found.of("user")[Exit]


def test_a_throttle_is_not_left_to_callers() -> None:
    text = """
struct throttle { struct semaphore slots; };
static void enter(struct throttle *t) { down(&t->slots); }
static void leave(struct throttle *t) { up(&t->slots); }
static void user(struct throttle *t) { enter(t); kmalloc(8, GFP_NOIO); }
static void other(struct throttle *t) { leave(t); }
"""
    found = facts(text)
    assert not found[Allocation][0].held
    assert {f.function for f in found[Exit]} == {"enter", "leave"}


def test_constants_decide_what_is_dropped_before_a_wait() -> None:
    text = """
static int wait(struct dev *d, int drop)
{
	if (d->count) {
		if (drop)
			mutex_unlock(&d->lock);
		io_schedule();
		return 0;
	}
	return 1;
}
static void yes(struct dev *d) { mutex_lock(&d->lock); wait(d, 1); }
static void no(struct dev *d) { mutex_lock(&d->lock); wait(d, 0); mutex_unlock(&d->lock); }
"""
    w = program(text)
    dropped = {
        name: {r.dropped for e, r in w.does(w.named(name)[0]).items() if e.kind == "wait"} for name in ("yes", "no")
    }
    assert dropped == {"yes": {frozenset({"dev.lock"})}, "no": {frozenset()}}


@pytest.mark.parametrize("first", ["given_up(d); kept(d);", "kept(d); given_up(d);"])
def test_of_two_ways_to_a_wait_the_one_that_keeps_the_lock_is_told(first: str) -> None:
    text = f"""
static void given_up(struct dev *d) {{ mutex_unlock(&d->lock); wait_for_completion(&d->end); mutex_lock(&d->lock); }}
static void kept(struct dev *d) {{ wait_for_completion(&d->end); }}
static void both(struct dev *d)
{{
	mutex_unlock(&d->lock);
	wait_for_completion(&d->end);
	mutex_lock(&d->lock);
	wait_for_completion(&d->end);
}}
static void calls(struct dev *d) {{ mutex_lock(&d->lock); {first} mutex_unlock(&d->lock); }}
"""
    w = program(text)
    (inside,) = ((e, r) for e, r in w.does(w.named("both")[0]).items() if e.kind == "wait")
    last = max(f.at.line for f in w.own_facts(w.named("both")[0]) if isinstance(f, Wait))
    assert (inside[1].line, inside[1].dropped) == (last, frozenset())
    (through,) = (r for e, r in w.does(w.named("calls")[0]).items() if e.kind == "wait")
    assert (through.callee.rpartition(":")[2], through.dropped) == ("kept", frozenset())


def test_a_mask_that_a_caller_decides_travels() -> None:
    text = """
static void *inner(gfp_t gfp) { return kmalloc(8, gfp & ~__GFP_IO); }
static void outer(void) { inner(GFP_KERNEL); }
"""
    w = program(text)
    assert {e.detail for e in w.does(w.named("outer")[0]) if e.kind == "memory"} == {"noio"}


def test_a_scope_weakens_what_is_below_it() -> None:
    text = """
static void inner(void) { kmalloc(8, GFP_KERNEL); }
static void outer(void) { unsigned f = memalloc_noio_save(); inner(); memalloc_noio_restore(f); }
"""
    w = program(text)
    assert {e.detail for e in w.does(w.named("outer")[0]) if e.kind == "memory"} == {"noio"}


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        ("GFP_KERNEL", "full"),
        ("GFP_NOFS", "nofs"),
        ("GFP_NOIO|__GFP_NOWARN", "noio"),
        ("GFP_ATOMIC", "atomic"),
        ("GFP_NOWAIT", "nowait"),
        ("GFP_KERNEL&~__GFP_FS", "nofs"),
        ("GFP_NOIO&~__GFP_DIRECT_RECLAIM", "nowait"),
        ("$1", ""),
    ],
)
def test_classes_of_masks(mask: str, kind: str) -> None:
    assert gfp.kind(mask) == kind


def test_what_a_mask_may_at_most_be_is_said_by_what_is_taken_from_it() -> None:
    w = program("static void reads(struct address_space *m) { kmalloc(8, mapping_gfp_constraint(m, ~__GFP_FS)); }")
    assert {e.detail for e in w.does(w.named("reads")[0]) if e.kind == "memory"} == {"nofs"}


def test_text_does_not_grow_without_bound_through_recursion() -> None:
    identity = "$0.next"
    for _ in range(200):
        identity = objects.bind("$0.next", (identity,), ())
    assert len(identity) <= objects.MAX_IDENTITY_LENGTH


def test_recursion_ends() -> None:
    text = """
static void a(struct dev *d, int n);
static void b(struct dev *d, int n) { a(d, 1); kmalloc(8, GFP_NOIO); }
static void a(struct dev *d, int n) { if (n) b(d, 0); mutex_lock(&d->lock); mutex_unlock(&d->lock); }
"""
    w = program(text)
    kinds = {e.kind for e in w.does(w.named("a")[0])}
    assert kinds == {"lock", "memory"}


def test_a_predicate_and_the_write_that_a_wake_up_follows() -> None:
    text = """
struct s { int done; struct wait_queue_head wait; };
static void sleep(struct s *s) { wait_event(s->wait, s->done); }
static void end(struct s *s) { s->done = 1; wake_up(&s->wait); }
static void late(struct s *s) { wake_up(&s->wait); s->done = 1; }
"""
    found = facts(text)
    assert found[Wait][0].reads == ("s.done",)
    assert {f.function: f.wakes for f in found[Write]} == {"end": ("s.wait",), "late": ()}


def test_what_cannot_be_read_gives_no_fact() -> None:
    w = program("static void broken(struct dev *d) { mutex_lock(&d->lock); if ( { ] ) }\n")
    for key in w.functions():
        if w.function(key).unreadable:
            assert w.own_facts(key) == ()


def test_locks_that_callers_hold() -> None:
    text = """
static void inner(struct dev *d) { kmalloc(8, GFP_NOIO); }
static void outer(struct dev *d) { mutex_lock(&d->lock); inner(d); mutex_unlock(&d->lock); }
"""
    w = program(text)
    assert w.surely_held(w.named("inner")[0]) == {"dev.lock"}


PATHS = """
struct btrfs_path { int locks; int skip_locking; };
int search(struct root *root, struct btrfs_path *path)
{
    return btrfs_search_slot(0, root, 0, path, 0, 0);
}
"""


def test_a_path_is_held_until_it_is_released_however_often_it_was_taken() -> None:
    found = facts(
        PATHS
        + """
        void twice(struct root *root, struct dev *d)
        {
            struct btrfs_path *path = btrfs_alloc_path();
            search(root, path);
            search(root, path);
            mutex_lock(&d->lock);
            mutex_unlock(&d->lock);
            btrfs_free_path(path);
            mutex_lock(&d->other);
            mutex_unlock(&d->other);
            btrfs_free_path(path);
        }
        """
    )
    held = {f.lock: [h.lock for h in f.held] for f in found if isinstance(f, Lock) and f.function == "twice"}
    assert held == {"dev.lock": ["btrfs_path.locks"], "dev.other": []}
    assert not [f for f in found if isinstance(f, Exit) and f.function == "twice"]


def test_a_path_that_is_told_not_to_lock_holds_nothing() -> None:
    found = facts(
        PATHS
        + """
        void unlocked(struct root *root, struct dev *d, struct btrfs_path *path)
        {
            path->skip_locking = 1;
            btrfs_search_slot(0, root, 0, path, 0, 0);
            mutex_lock(&d->lock);
        }
        """
    )
    assert [f.held for f in found if isinstance(f, Lock) and f.lock == "dev.lock"] == [()]


def test_a_page_fault_comes_with_the_memory_map_held() -> None:
    w = program(
        """
        struct vm_operations_struct { int (*fault)(struct dev *d); };
        static int dev_fault(struct dev *d) { mutex_lock(&d->lock); mutex_unlock(&d->lock); return 0; }
        static const struct vm_operations_struct ops = { .fault = dev_fault };
        """
    )
    (way,) = w.entry("drivers/md/small.c:dev_fault")
    assert [str(h) for h in way.held] == ["mm_struct.mmap_lock:r"]


def test_a_parameter_that_was_given_another_value_is_not_the_callers_any_more() -> None:
    text = """
static void f(struct dev *d)
{
	task_lock(d);
	task_unlock(d);
	d = next_dev(d);
	task_lock(d);
	task_unlock(d);
}
"""
    assert [f.lock for f in facts(text)[Lock]] == ["$0", "*dev"]


def test_a_seqlock_is_known_by_what_it_is_part_of() -> None:
    text = """
struct ring { seqlock_t order; int n; };
static void f(struct ring *r)
{
	write_seqlock_irq(&r->order);
	r->n = kmalloc(1, GFP_ATOMIC);
	write_sequnlock_irq(&r->order);
}
"""
    (made,) = facts(text)[Allocation]
    assert [str(h) for h in made.held] == ["ring.order"]


def test_a_pointer_that_says_nothing_is_no_error() -> None:
    text = """
static void *f(struct dev *d)
{
	mutex_lock(&d->lock);
	return first(d);
}
static bool g(struct dev *d)
{
	mutex_lock(&d->lock);
	return ready(d);
}
static void *h(struct dev *d)
{
	mutex_lock(&d->lock);
	if (d->flag) {
		mutex_unlock(&d->lock);
		return NULL;
	}
	return ERR_PTR(-EINVAL);
}
"""
    assert [(e.function, e.result) for e in facts(text)[Exit]] == [("f", "any"), ("g", "any"), ("h", "negative")]


def test_what_the_paths_do_not_agree_on_is_no_fact() -> None:
    text = """
static void f(struct dev *d)
{
	if (odd(d))
		mutex_lock(&d->lock);
}
static void *g(struct dev *d)
{
	void *found = first(d);

	mutex_lock(&d->lock);
	if (!found)
		mutex_unlock(&d->lock);
	return found;
}
"""
    assert [(e.function, e.result) for e in facts(text)[Exit]] == [("g", "non-zero")]
    assert program(text).may_leave("drivers/md/small.c:f") == {"dev.lock"}


def test_a_lock_that_came_from_a_call_is_not_the_callers() -> None:
    text = """
struct fault { spinlock_t *ptl; };
static int f(struct fault *vmf)
{
	vmf->ptl = page_lock(vmf);
	spin_unlock(vmf->ptl);
	return 0;
}
static void g(struct fault *vmf)
{
	spin_unlock(vmf->ptl);
}
"""
    assert [(e.function, [str(h) for h in e.drops]) for e in facts(text)[Exit]] == [("g", ["fault.ptl"])]


def test_a_buffer_that_is_handed_to_io_is_not_held_any_more() -> None:
    text = """
struct holder { struct buffer_head *bh; };
static void f(struct holder *h)
{
	lock_buffer(h->bh);
	submit_bh(REQ_OP_READ, h->bh);
	wait_on_buffer(h->bh);
}
"""
    found = facts(text)
    assert [w.held for w in found[Wait]] == [()]
    assert found[Exit] == ()


def test_user_memory_is_not_waited_for_with_page_faults_off() -> None:
    text = """
static int f(void *to, void __user *from)
{
	int left;

	pagefault_disable();
	left = copy_from_user(to, from, 8);
	pagefault_enable();
	return left;
}
"""
    found = facts(text)
    assert not [w for w in found[Wait] if w.klass == "fault"]
    assert not [lock for lock in found[Lock] if lock.how == "transient"]
    assert [w.klass for w in facts(text.replace("pagefault_", "other_"))[Wait]] == ["fault"]


def test_a_choice_of_results_knows_which_was_made() -> None:
    text = """
static int take_all(struct dev *d)
{
	if (!try_it(d))
		return 0;
	mutex_lock(&d->lock);
	return 1;
}
#define take(d) (prepare(d) ? 0 : take_all(d))
static void f(struct dev *d)
{
	if (!take(d))
		return;
	d->flag = kmalloc(1, GFP_KERNEL);
	mutex_unlock(&d->lock);
}
"""
    (made,) = facts(text)[Allocation]
    assert [str(h) for h in made.held] == ["dev.lock"]
    assert [e.function for e in facts(text)[Exit]] == ["take_all"]


def test_a_mask_that_is_only_handed_on_is_no_condition() -> None:
    text = """
static int f(struct dev *d, gfp_t gfp)
{
	if (charge(d, gfp))
		return 1;
	if (!gfpflags_allow_blocking(gfp))
		return 2;
	mutex_lock(&d->lock);
	return 0;
}
"""
    assert [g.condition for g in facts(text)[Gate]] == ["gfpflags_allow_blocking($1)"]


def test_a_condition_stands_where_it_is_tested() -> None:
    text = """
static int f(struct dev *d, gfp_t gfp)
{
	d->flag = 1;

	if (d->count &&
	gfp & __GFP_FS)
		return 1;

	if ((gfp & (__GFP_IO | __GFP_FS)) == __GFP_IO)
		mutex_lock(&d->lock);
	return 0;
}
"""
    found = facts(text)
    start = found[Lock][0].at.line - 10
    assert {(g.at.line - start, g.condition) for g in found[Gate]} == {
        (5, "!dev.count || !($1 & __GFP_FS)"),
        (9, "($1 & (__GFP_IO | __GFP_FS)) == __GFP_IO"),
    }


COMMAND = """
struct wq { int x; };
static void push(struct dev *d) { mutex_lock(&d->lock); mutex_unlock(&d->lock); }
static void f(struct dev *d, struct wq *q)
{
	spin_lock_irq(&d->fast);
	%s;
	d->flag = 2;
	spin_unlock_irq(&d->fast);
}
"""


@pytest.mark.parametrize(
    "wait",
    [
        "wait_event_lock_irq_cmd(q->x, d->flag, d->fast, push(d))",
        "wait_event_cmd(q->x, d->flag, ({ spin_unlock_irq(&d->fast); push(d); }), spin_lock_irq(&d->fast))",
    ],
)
def test_a_command_of_a_wait_runs_with_the_lock_dropped(wait: str) -> None:
    found = facts(COMMAND % wait)
    (call,) = [c for c in found[CallTo] if c.callee == "push"]
    assert call.held == ()
    (slept,) = found[Wait]
    assert slept.reads == ("dev.flag",)
    assert slept.held == ()
    assert not [e for e in found[Exit] if e.function == "f"]


@pytest.mark.parametrize(
    "wait",
    [
        "wait_event_lock_irq(q->x, d->flag, d->fast)",
        "wait_event_lock_irq_timeout(q->x, d->flag, d->fast, 10)",
        "wait_event_interruptible_lock_irq(q->x, d->flag, d->fast)",
    ],
)
def test_the_lock_that_a_wait_drops_is_not_held_in_its_sleep(wait: str) -> None:
    found = facts(COMMAND.replace("mutex_lock(&d->lock); mutex_unlock(&d->lock);", "") % wait)
    (slept,) = found[Wait]
    assert (slept.reads, slept.held, slept.maybe) == (("dev.flag",), (), ())
    (write,) = [w for w in found[Write] if w.object == "dev.flag"]
    assert [h.lock for h in write.held] == ["dev.fast"]
    assert not found[Exit]


def test_a_wait_that_drops_its_queues_lock_sleeps_without_that() -> None:
    text = """
struct wait_queue_head { spinlock_t lock; };
struct box { struct wait_queue_head wait; int ready; };
static void f(struct box *b)
{
	spin_lock_irq(&b->wait.lock);
	wait_event_interruptible_locked_irq(b->wait, b->ready);
	b->ready = 0;
	spin_unlock_irq(&b->wait.lock);
}
"""
    found = facts(text)
    (slept,) = found[Wait]
    (write,) = found[Write]
    assert (slept.held, len(write.held)) == ((), 1)


def test_a_static_variable_of_a_function_is_one_for_all_calls() -> None:
    text = "static int f(struct dev *d) { static DEFINE_MUTEX(once); mutex_lock(&once); d->count = 1; return 0; }"
    (lock,) = facts(text)[Lock]
    assert lock.lock == "drivers/md/small.c:once"


def test_who_got_a_reference_puts_not_the_last_one() -> None:
    text = "static void f(struct request_queue *q) {{ {get} blk_put_queue(q); }}"
    assert [w.klass for w in facts(text.format(get=""))[Wait]] == ["reschedule"]
    assert not facts(text.format(get="if (!blk_get_queue(q)) return;"))[Wait]


def test_what_is_held_where_something_else_is_handed_down_says_nothing() -> None:
    text = """
static void put(struct dev *d, void (*release)(struct dev *)) { release(d); }
static void first(struct dev *d) { d->count = 1; }
static void second(struct dev *d) { d->count = 2; }
static void a(struct dev *d) { spin_lock(&d->fast); put(d, first); spin_unlock(&d->fast); }
static void b(struct dev *d) { mutex_lock(&d->lock); put(d, second); mutex_unlock(&d->lock); }
"""
    held = {f: [e.locks() for e in program(text).entry(f"drivers/md/small.c:{f}")] for f in ("first", "second")}
    assert held == {"first": [{"dev.fast"}], "second": [{"dev.lock"}]}


def test_ways_into_functions_that_call_one_another_do_not_depend_on_who_is_asked_first() -> None:
    text = """
static void one(struct dev *d, int n);
static void three(struct dev *d, int n) { if (n) one(d, n - 1); }
static void two(struct dev *d, int n) { three(d, n); }
static void one(struct dev *d, int n) { two(d, n); }
void plain(struct dev *d) { one(d, 3); }
void locked(struct dev *d) { mutex_lock(&d->lock); three(d, 3); mutex_unlock(&d->lock); }
"""
    keys = [f"drivers/md/small.c:{name}" for name in ("one", "two", "three")]
    found = []
    for first in keys:
        w = program(text)
        w.entry(first)
        found.append([w.entry(key) for key in keys])
    assert found[0] == found[1] == found[2]
    assert [{e.locks() for e in ways} for ways in found[0]] == [{frozenset(), frozenset({"dev.lock"})}] * 3
