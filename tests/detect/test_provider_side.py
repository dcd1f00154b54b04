"""Wait cycles that close because of what the provider does now."""

from __future__ import annotations

import pytest

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.anchors import Difference
from reviewbot.detect.edges import Circle
from reviewbot.detect.provider_side import closed, requested

HEAD = """
struct mutex { int x; };
struct work_struct { int x; };
struct workqueue_struct { int x; };
struct dev { struct mutex lock; struct mutex other; struct work_struct work; int n; };
static void handler(struct work_struct *work);
void setup(struct dev *d) { INIT_WORK(&d->work, handler); }
void stop(struct dev *d) { mutex_lock(&d->lock); cancel_work_sync(&d->work); mutex_unlock(&d->lock); }
"""
FILE = "drivers/md/small.c"
START = "static void handler(struct work_struct *work) { struct dev *d = container_of(work, struct dev, work); "
QUIET = START + "d->n++; }"


def programs(before: str, after: str) -> tuple[Program, Program, Difference]:
    """Both sides of one file, and their difference."""
    old, new = (Program.of_units({FILE: lower((HEAD + text).encode())}) for text in (before, after))
    return old, new, Difference(old, new, list(old.functions()), list(new.functions()))


def test_a_handler_that_takes_the_lock_now() -> None:
    old, new, difference = programs(QUIET, START + "mutex_lock(&d->lock); d->n++; mutex_unlock(&d->lock); }")
    assert requested(old, new, difference.changes) == {"dev.lock"}
    (circle,) = closed(old, new, difference.changes)
    assert isinstance(circle, Circle)
    assert (circle.kind, circle.lock, circle.holder.function) == ("work", "dev.lock", "stop")
    assert [p.function for p in circle.providers] == ["handler"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("mutex_lock(&d->other); d->n++; mutex_unlock(&d->other); }", id="another lock"),
        pytest.param("if (mutex_trylock(&d->lock)) { d->n++; mutex_unlock(&d->lock); } }", id="only tries"),
    ],
)
def test_a_handler_that_gets_on(body: str) -> None:
    assert [*closed(*programs(QUIET, START + body)[:2], programs(QUIET, START + body)[2].changes)] == []


def test_a_cycle_that_was_closed_before_is_not_new() -> None:
    taken = START + "mutex_lock(&d->lock); d->n++; mutex_unlock(&d->lock); }"
    old, new, difference = programs(taken, taken.replace("d->n++;", "d->n--;"))
    assert [*closed(old, new, difference.changes)] == []
