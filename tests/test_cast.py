"""Each task of a model has a name of its own, also where the code has functions of one name in several files."""

from __future__ import annotations

from reviewbot.analysis.program import programs
from reviewbot.detect.edges import Actor, Circle
from reviewbot.gittree.source import MemorySource
from reviewbot.replay.cast import Cast
from reviewbot.sim import Task
from reviewbot.types import Place

HEAD = """\
#include <linux/mutex.h>
#include <linux/workqueue.h>
#include "mill.h"

"""
MILL = """\
struct mill {
	struct mutex one;
	struct mutex two;
	struct work_struct grind;
	struct work_struct sift;
};
"""
STEP = """\
void %s(struct mill *m)
{
	mutex_lock(&m->%s);
	mutex_lock(&m->%s);
	mutex_unlock(&m->%s);
	mutex_unlock(&m->%s);
}
"""
ONE, TWO = "drivers/md/one.c", "drivers/md/two.c"


def tasks(circle: Circle, files: dict[str, str]) -> tuple[Task, ...]:
    source = MemorySource(
        {"drivers/md/mill.h": MILL.encode(), **{path: (HEAD + text).encode() for path, text in files.items()}}
    )
    programs.forget()
    return Cast(circle, programs.find(source, tuple(files))).model().tasks


def order(other: str) -> Circle:
    """`one` before `two` in a file, the other way round in another."""
    return Circle(
        kind="lock", lock="mill.one", klass="mutex", mode="", object="mill.two", detail="", wait_class="mutex",
        holder=Actor((f"{ONE}:step",), at=Place(ONE, 8, "step")),
        providers=(Actor((f"{other}:step",), at=Place(other, 8, "step")),),
    )  # fmt: skip


def test_two_functions_of_one_name_are_told_apart_by_their_files() -> None:
    first, second = STEP % ("step", "one", "two", "two", "one"), STEP % ("step", "two", "one", "one", "two")
    static = {ONE: "static " + first, TWO: "static " + second}
    assert [t.name for t in tasks(order(TWO), static)] == ["step() of one.c", "step() of two.c"]
    deep = "drivers/md/deep/one.c"
    found = tasks(order(deep), {ONE: "static " + first, deep: "static " + second.replace("mill.h", "../mill.h")})
    assert [t.name for t in found] == [f"step() of {ONE}", f"step() of {deep}"]


def test_two_work_items_are_queued_by_two() -> None:
    waits = (
        "void stop(struct mill *m)\n{\n\tmutex_lock(&m->one);\n\tflush_work(&m->grind);\n\tmutex_unlock(&m->one);\n}\n"
    )
    works = "".join(
        f"static void {name}(struct work_struct *w)\n{{\n\tstruct mill *m = container_of(w, struct mill, grind);\n\n"
        "\tmutex_lock(&m->one);\n\tmutex_unlock(&m->one);\n}\n"
        for name in ("grinds", "sifts")
    )
    circle = Circle(
        kind="work", lock="mill.one", klass="mutex", mode="", object="mill.grind", detail="flush", wait_class="",
        holder=Actor((f"{ONE}:stop",), at=Place(ONE, 8, "stop")),
        providers=tuple(Actor((f"{ONE}:{name}",), flushed="mill.grind") for name in ("grinds", "sifts")),
    )  # fmt: skip
    names = [t.name for t in tasks(circle, {ONE: works + waits})]
    assert names == ["stop()", "somebody", "somebody else"]
