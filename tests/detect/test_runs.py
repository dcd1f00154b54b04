"""Circles through the run of a work item, a timer, a thread, and through the use of a file of sysfs."""

from __future__ import annotations

import pytest
from searches import sure

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.edges import Edge
from reviewbot.detect.providers import providers
from reviewbot.detect.resources import resources
from reviewbot.detect.waitfor import closings
from reviewbot.function_key import key_of
from reviewbot.kernel import KERNEL

FILE = "drivers/misc/bell.c"
HEADER = "struct delayed_work { struct work_struct work; };\n"
HEAD = """
struct work_struct { int x; };
struct timer_list { int x; };
struct completion { int x; };
struct workqueue_struct { int x; };
struct bell {
    struct bell *next; struct work_struct ring; struct work_struct wind; struct delayed_work tick; struct timer_list timer;
    struct completion still; struct workqueue_struct *wq; struct task_struct *clapper; int state; };
static void ring(struct work_struct *work);
static void wind(struct work_struct *work);
static void tick(struct work_struct *work);
static void chime(struct timer_list *t);
static int swing(void *data);
void bell_setup(struct bell *b)
{
    INIT_WORK(&b->ring, ring);
    INIT_WORK(&b->wind, wind);
    INIT_DELAYED_WORK(&b->tick, tick);
    timer_setup(&b->timer, chime, 0);
    b->clapper = kthread_run(swing, b, "bell");
    b->wq = QUEUE("bell", 0);
    queue_work(b->wq, &b->ring);
    queue_work(b->wq, &b->wind);
    queue_delayed_work(system_wq, &b->tick, 1);
}
static struct bell *bell_of(struct work_struct *work) { return container_of(work, struct bell, ring); }
static void bell_stop(struct bell *b) { cancel_work_sync(&b->ring); }
"""
RING = "static void ring(struct work_struct *work) {{ struct bell *b = bell_of(work); {} }}\n"
WIND = "static void wind(struct work_struct *work) {{ struct bell *b = container_of(work, struct bell, wind); {} }}\n"
TICK = (
    "static void tick(struct work_struct *work) "
    "{{ struct bell *b = container_of(to_delayed_work(work), struct bell, tick); {} }}\n"
)
CHIME = "static void chime(struct timer_list *t) {{ struct bell *b = from_timer(b, t, timer); {} }}\n"
SWING = "static int swing(void *data) {{ struct bell *b = data; {} return 0; }}\n"


def program(text: str, queue: str = "alloc_workqueue") -> Program:
    """The program of one file with one kind of queue."""
    texts = {"include/linux/workqueue.h": HEADER, FILE: HEAD.replace("QUEUE", queue) + text}
    return Program.of_units({path: lower(code.encode()) for path, code in texts.items()})


def circles(of: Program) -> set[tuple[str, str, str]]:
    """Kind of each circle that begins with a run, what is held, and what is waited for."""
    found: set[tuple[str, str, str]] = set()
    for key in of.functions():
        for edge in providers(of).edges(key):
            if edge.lock.klass in KERNEL.resources:
                for circle in sure(closings(of, edge)):
                    found.add((circle.kind, circle.lock, circle.object))
    return found


SELF = ("self", "bell.ring", "bell.ring")


@pytest.mark.parametrize(
    ("text", "circle"),
    [
        (RING.format("bell_stop(b);"), SELF),
        (RING.format("flush_work(work);"), SELF),
        (RING.format("flush_workqueue(b->wq);"), ("self", "bell.ring", "bell.wq")),
        (TICK.format("cancel_delayed_work_sync(&b->tick);"), ("self", "bell.tick", "bell.tick")),
        (TICK.format("cancel_work_sync(&b->tick.work);"), ("self", "bell.tick", "bell.tick.work")),
        (CHIME.format("del_timer_sync(&b->timer);"), ("self", "bell.timer", "bell.timer")),
        (SWING.format("kthread_stop(b->clapper);"), ("self", "bell.clapper", "bell.clapper")),
    ],
)
def test_who_waits_for_its_own_end(text: str, circle: tuple[str, str, str]) -> None:
    assert circles(program(text)) == {circle}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(RING.format("cancel_work(&b->ring);"), id="taken off its queue"),
        pytest.param(RING.format("bell_stop(b->next);"), id="another object"),
        pytest.param(RING.format("struct bell *o = bell_find(b); bell_stop(o);"), id="looked up"),
        pytest.param(RING.format("for (b = b->next; b; b = b->next) bell_stop(b);"), id="each other object"),
        pytest.param(RING.format("if (current_work() != work) bell_stop(b);"), id="asks what it is run by"),
        pytest.param(
            "static void halt(struct bell *b) { if (!b->state) bell_stop(b); }\n"
            + RING.format("b->state = 1; halt(b);"),
            id="tests what the handler has noted",
        ),
        pytest.param(RING.format("flush_workqueue(system_wq);"), id="another queue"),
        pytest.param(SWING.format("kthread_stop(b->next->clapper);"), id="another thread"),
    ],
)
def test_who_waits_for_something_else(text: str) -> None:
    assert circles(program(text)) == set()


BOTH = RING.format("cancel_work_sync(&b->wind);") + WIND.format("cancel_work_sync(&b->ring);")


def test_two_items_that_wait_for_each_other() -> None:
    assert circles(program(BOTH)) == {("lock", "bell.ring", "bell.wind"), ("lock", "bell.wind", "bell.ring")}
    other = BOTH.replace("&b->wind", "&b->next->wind")
    assert circles(program(other)) == set()


def test_an_ordered_queue_runs_one_item_at_a_time() -> None:
    assert circles(program(BOTH, "alloc_ordered_workqueue")) == set()
    next_ = RING.format("flush_work(&b->wind);") + WIND.format("b->state++;")
    assert circles(program(next_)) == set()
    assert circles(program(next_, "alloc_ordered_workqueue")) == {("self", "bell.wq", "bell.wind")}


SLEEPS = RING.format("wait_for_completion(&b->still);")


@pytest.mark.parametrize(
    ("ends", "closed"),
    [
        ("cancel_work_sync(&b->ring); complete(&b->still);", True),
        ("complete(&b->still); cancel_work_sync(&b->ring);", False),
        ("cancel_work_sync(&b->next->ring); complete(&b->still);", False),
        ("complete(&b->still);", False),
    ],
)
def test_who_is_woken_by_one_that_waits_for_it(ends: str, closed: bool) -> None:
    found = circles(program(SLEEPS + f"void bell_end(struct bell *b) {{ {ends} }}\n"))
    assert found == ({("completion", "bell.ring", "bell.still")} if closed else set())


def test_somebody_else_may_wake_it() -> None:
    lends = "void bell_lend(struct bell *b) { hand_over(&b->still); }\n"
    ends = "void bell_end(struct bell *b) { cancel_work_sync(&b->ring); complete(&b->still); }\n"
    assert circles(program(SLEEPS + ends))
    assert circles(program(SLEEPS + ends + lends)) == set()


FILES = """
static ssize_t pitch_show(struct device *dev, struct device_attribute *attr, char *buf) { return 0; }
static DEVICE_ATTR_RO(pitch);
static ssize_t mute_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t n) { REMOVES return n; }
static struct device_attribute dev_attr_hush = __ATTR(mute, 0200, NULL, mute_store);
static struct attribute *bell_attrs[] = { &dev_attr_pitch.attr, &dev_attr_hush.attr, NULL };
static const struct attribute_group bell_group = { .attrs = bell_attrs };
static const struct attribute_group *bell_groups[] = { &bell_group, NULL };
"""


@pytest.mark.parametrize(
    ("removes", "closed"),
    [
        ("device_remove_file(dev, &dev_attr_hush);", True),
        ("sysfs_remove_file(&dev->kobj, &dev_attr_hush.attr);", True),
        ("sysfs_remove_group(&dev->kobj, &bell_group);", True),
        ("device_remove_groups(dev, bell_groups);", True),
        ("device_remove_file(dev, &dev_attr_pitch);", False),
        ("device_remove_groups(dev->parent, bell_groups);", False),
        ("sysfs_break_active_protection(&dev->kobj, &attr->attr); device_remove_file(dev, &dev_attr_hush);", False),
    ],
)
def test_a_file_that_is_removed_by_writing_to_it(removes: str, closed: bool) -> None:
    found = {lock for _, lock, _ in circles(program(FILES.replace("REMOVES", removes)))}
    assert found == ({f"{FILE}:dev_attr_hush"} if closed else set())


def test_attributes_of_a_macro_are_entered() -> None:
    of = program(FILES.replace("REMOVES", ""))
    (inside,) = resources(of).inside(key_of(FILE, "pitch_show"))
    assert (inside.held.lock, inside.held.klass) == (f"{FILE}:dev_attr_pitch", "active")
    assert resources(of).attributes("bell_groups", FILE) >= {f"{FILE}:dev_attr_pitch", f"{FILE}:dev_attr_hush"}


def test_edges_of_a_run_have_no_lock_at_their_end() -> None:
    of = program(
        "struct mutex { int x; };\nstatic struct mutex m;\n" + RING.format("mutex_lock(&m); mutex_unlock(&m);")
    )
    assert [e for e in providers(of).edges(key_of(FILE, "ring")) if isinstance(e, Edge)] == []
