"""Instances: two ways to write one object, through accessors and through what a local stands for."""

from __future__ import annotations

import pytest
from small import program

from reviewbot.analysis.events.kinds import Lock

FILE = "drivers/md/small.c"
CODE = """
struct file { struct inode *inode; };
struct inode { struct super *super; int n; };
struct own { struct mutex lock; struct inode vfs; struct own *next; };
static inline struct own *OWN(struct inode *inode)
{
	return container_of(inode, struct own, vfs);
}
static inline struct inode *of_file(struct file *file)
{
	return file->inode;
}
static struct own *chosen(struct inode *inode)
{
	if (inode->n)
		return 0;
	return OWN(inode);
}
#define own_lock(inode) (&OWN(inode)->lock)
void f(struct file *file, struct inode *inode, struct own *own)
{
	struct own *mine = OWN(inode), *other = chosen(inode), *last;

	last = OWN(inode);
	last = own;
	%s
}
"""


@pytest.mark.parametrize(
    ("takes", "base"),
    [
        ("mutex_lock(&own->lock);", "$2->lock"),
        ("mutex_lock(&OWN(inode)->lock);", "$1->^own->lock"),
        ("mutex_lock(&mine->lock);", "$1->^own->lock"),
        ("mutex_lock(own_lock(inode));", "$1->^own->lock"),
        ("mutex_lock(&OWN(of_file(file))->lock);", "$0->inode->^own->lock"),
        ("mutex_lock(&other->lock);", "other->lock"),
        ("mutex_lock(&last->lock);", "last->lock"),
        ("mutex_lock(&OWN(file->inode)->next->lock);", "$0->inode->^own->next->lock"),
    ],
)
def test_the_instance_of_a_lock(takes: str, base: str) -> None:
    one = program(CODE % takes)
    locks = [fact for fact in one.own_facts(f"{FILE}:f") if isinstance(fact, Lock)]
    assert [(lock.lock, lock.base) for lock in locks] == [("own.lock", base)]


def test_a_parameter_that_is_set_anew_is_not_the_callers() -> None:
    one = program(CODE % "inode = file->inode; mutex_lock(&OWN(inode)->lock);")
    assert [f.base for f in one.own_facts(f"{FILE}:f") if isinstance(f, Lock)] == ["OWN(inode)->lock"]


@pytest.mark.parametrize(
    "macros",
    [
        "#define at(x) at(x)\n",
        "#define at(x) (&at(x))\n",
        "#define at(x) there(x)\n#define there(x) at(x)\n",
        "".join(f"#define at{n}(x) at{n + 1}(x)\n" for n in range(2000)) + "#define at(x) at0(x)\n",
    ],
    ids=["of itself", "its own address", "of one another", "a long way"],
)
def test_macros_that_lead_nowhere_end(macros: str) -> None:
    one = program(macros + "void f(struct dev *dev)\n{\n\tmutex_lock(at(dev));\n\tmutex_lock(&at(dev)->lock);\n}\n")
    assert len([fact for fact in one.own_facts(f"{FILE}:f") if isinstance(fact, Lock)]) <= 2
