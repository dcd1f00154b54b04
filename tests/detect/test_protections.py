"""What kept a task from waiting, and is gone since a change."""

from __future__ import annotations

import pytest

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.anchors import Difference
from reviewbot.detect.protections import gone
from reviewbot.score import COMMENT_ABOVE, Doubt, Score

HEAD = """
struct mutex { int x; };
typedef struct { int x; } spinlock_t;
struct work_struct { int x; };
struct workqueue_struct { int x; };
struct dev { struct mutex lock; struct mutex other; spinlock_t level; spinlock_t first; int n; struct work_struct work;
             struct workqueue_struct *wq; struct workqueue_struct *own; };
static void drain(struct dev *d) { mutex_lock(&d->other); d->n = 0; mutex_unlock(&d->other); }
void drain_nosync(struct dev *d);
void drain_sync(struct dev *d) { mutex_lock(&d->other); mutex_unlock(&d->other); }
static int count(struct dev *d) { return d->n; }
static void tidy(struct work_struct *work) { struct dev *d = container_of(work, struct dev, work); drain(d); }
void read_level(struct dev *d) { unsigned long f; spin_lock_irqsave(&d->level, f); spin_unlock_irqrestore(&d->level, f); }
void make(struct dev *d) { INIT_WORK(&d->work, tidy); d->wq = alloc_workqueue("dev", WQ_MEM_RECLAIM, 0); }
"""
FILE = "drivers/md/small.c"


def found(before: str, after: str) -> list[str]:
    """What one file that is `before`, then `after`, does without."""
    old, new = (Program.of_units({FILE: lower((HEAD + text).encode())}) for text in (before, after))
    keys = [list(program.functions()) for program in (old, new)]
    return [one.says for one in gone(old, new, Difference(old, new, *keys).changes)]


def run(body: str) -> str:
    """A function with each of some statements on a line of its own."""
    return "void run(struct dev *d)\n{\n" + body.replace("; ", ";\n") + "\n}"


def test_a_lock_that_was_only_tried() -> None:
    before = run("if (mutex_trylock(&d->lock)) { d->n++; mutex_unlock(&d->lock); }")
    after = run("mutex_lock(&d->lock); d->n++; mutex_unlock(&d->lock);")
    assert found(before, after) == ["waits for dev->lock, which it only tried to take before"]
    assert found(after, before) == []


@pytest.mark.parametrize("lock", ["spin_lock", "spin_lock_bh"])
def test_interrupts_that_are_left_on(lock: str) -> None:
    before = run("unsigned long f; spin_lock_irqsave(&d->level, f); d->n++; spin_unlock_irqrestore(&d->level, f);")
    after = run(f"{lock}(&d->level); d->n++; {lock.replace('spin_', 'spin_un')}(&d->level);")
    assert found(before, after) == [
        "leaves interrupts on under dev->level, which read_level() takes with spin_lock_irqsave()"
    ]
    assert found(after, before) == []


def test_interrupts_that_are_turned_on_again() -> None:
    before = run("unsigned long f; spin_lock_irqsave(&d->level, f); d->n++; spin_unlock_irqrestore(&d->level, f);")
    assert found(before, run("spin_lock_irq(&d->level); d->n++; spin_unlock_irq(&d->level);")) == []


def test_interrupts_that_are_off_already() -> None:
    before = run(
        "unsigned long f; spin_lock_irq(&d->first); spin_lock_irqsave(&d->level, f); d->n++; "
        "spin_unlock_irqrestore(&d->level, f); spin_unlock_irq(&d->first);"
    )
    after = run(
        "spin_lock_irq(&d->first); spin_lock(&d->level); d->n++; spin_unlock(&d->level); spin_unlock_irq(&d->first);"
    )
    assert found(before, after) == []


def test_interrupts_that_nobody_else_turns_off() -> None:
    before = "void run(struct dev *d, spinlock_t *own) { spin_lock_irq(own); d->n++; spin_unlock_irq(own); }"
    assert found(before, before.replace("_irq", "")) == []


def test_a_scope_that_is_gone() -> None:
    before = run("int f = memalloc_noio_save(); d->wq = kmalloc(8, GFP_KERNEL); memalloc_noio_restore(f);")
    after = run("d->wq = kmalloc(8, GFP_KERNEL);")
    assert found(before, after) == ["does without memalloc_noio_save() what it did inside of it"]
    assert found(after, before) == []


def test_a_scope_that_is_a_stronger_one_now_or_has_nothing_inside() -> None:
    before = run("int f = memalloc_nofs_save(); d->wq = kmalloc(8, GFP_KERNEL); memalloc_nofs_restore(f);")
    assert found(before, before.replace("nofs", "noio")) == []
    assert found(before, run("d->n++;")) == []


def test_another_instance_of_the_lock_that_was_tried() -> None:
    two = "void run(struct dev *d, struct dev *e) {{ {0} {1}->n++; mutex_unlock(&{1}->lock); }}"
    before, after = two.format("if (!mutex_trylock(&d->lock)) return;", "d"), two.format("mutex_lock(&e->lock);", "e")
    assert found(before, after) == []


def test_a_queue_of_which_nothing_is_known() -> None:
    before = run("queue_work(d->wq, &d->work);")
    assert found(before, run("queue_work(d->own, &d->work);")) == []
    assert found(before, run("queue_work(elsewhere_wq, &d->work);")) == []
    assert found(before, run("queue_work(pick(d), &d->work);")) == []


def test_what_a_work_item_did_is_done_at_once() -> None:
    before, after = run("queue_work(d->wq, &d->work);"), run("drain(d);")
    assert found(before, after) == ["calls drain() itself, and left that to dev->work before"]
    assert found(after, before) == []
    assert found(before, run("count(d);")) == []


def test_a_queue_without_a_rescuer() -> None:
    before, after = run("queue_work(d->wq, &d->work);"), run("schedule_work(&d->work);")
    assert found(before, after) == ["queues dev->work on system_wq, and did on dev->wq, which has a rescuer"]
    assert found(after, before) == []
    made = '\nvoid second(struct dev *d) { d->own = alloc_workqueue("own", WQ_MEM_RECLAIM, 0); }'
    assert found(before, run("queue_work(d->own, &d->work);") + made) == []


def test_a_function_that_waits_for_more_than_its_namesake() -> None:
    assert found(run("drain_nosync(d);"), run("drain_sync(d);")) == ["calls drain_sync() in place of drain_nosync()"]
    assert found(run("drain_sync(d);"), run("drain_nosync(d);")) == []


def test_what_only_names_say_is_no_comment() -> None:
    """Where a lock is seen that was only tried, that is more."""
    text = [HEAD + run("drain_nosync(d);"), HEAD + run("drain_sync(d);")]
    seen = [HEAD + run("mutex_trylock(&d->lock);"), HEAD + run("mutex_lock(&d->lock);")]
    scores = []
    for sides in (text, seen):
        old, new = (Program.of_units({FILE: lower(text.encode())}) for text in sides)
        keys = [list(program.functions()) for program in (old, new)]
        (one,) = gone(old, new, Difference(old, new, *keys).changes)
        scores.append(Score((*one.doubts, Doubt.DIFFERENCE)).value)
    assert scores[0] <= COMMENT_ABOVE < scores[1]
