"""Locks of one class that are taken at two levels, as their author says, are those of two objects."""

from __future__ import annotations

import pytest

from reviewbot.gittree.tree import Tree
from reviewbot.review import examine
from reviewbot.types import Outcome

MD = (
    "drivers/md/dm-mill.c",
    "enum { MILL_NORMAL, MILL_STONE };\nstruct mill { struct mutex lock; struct mutex table; int turns; };\n",
)
FS = "fs/ext4/mill.c", "struct mill { struct inode *inode; struct rw_semaphore table; int turns; };\n"
BELOW = """\
static void mill_turn(struct mill *stone, int level)
{
	LOCK;
	stone->turns++;
	UNLOCK;
}

static void mill_step(struct mill *m, struct mill *stone)
{
	MORE;
	mill_turn(stone, LEVEL);
	LESS;
}

void mill_steps(struct mill *m, struct mill *stone)
{
	mill_step(m, stone);
}

void mill_stop(struct mill *m)
{
	PLAIN;
	FIRST;
	m->turns = 0;
	LAST;
	BACK;
}
"""
CALLS = {
    MD: {
        "UNLOCK": "mutex_unlock(&stone->lock)",
        "PLAIN": "mutex_lock(&m->lock)",
        "BACK": "mutex_unlock(&m->lock)",
        "FIRST": "mutex_lock(&m->table)",
        "LAST": "mutex_unlock(&m->table)",
    },
    FS: {
        "UNLOCK": "inode_unlock(stone->inode)",
        "PLAIN": "inode_lock(m->inode)",
        "BACK": "inode_unlock(m->inode)",
        "FIRST": "down_write(&m->table)",
        "LAST": "up_write(&m->table)",
    },
}


def outcomes(of: tuple[str, str], lock: str, level: str) -> list[Outcome]:
    """What is said of a patch that takes `table` around a lock that others have over it, at some level."""
    path, head = of
    words = {**CALLS[of], "LOCK": lock, "LEVEL": level}
    files = []
    for more, less in (("m->turns = 1", "m->turns = 2"), (words["FIRST"], words["LAST"])):
        text = BELOW
        for word, call in sorted({**words, "MORE": more, "LESS": less}.items(), key=lambda one: -len(one[0])):
            text = text.replace(word, call)
        files.append((head + text).encode())
    with Tree.from_files({path: files[0]}) as tree:
        change = tree.replace({path: files[1]})
        found = examine(change, *tree.sources(change))
    return [v.outcome for v in found.verdicts if v.finding.rule == "lock-order"]


@pytest.mark.parametrize(
    ("of", "lock"),
    [(MD, "mutex_lock_nested(&stone->lock, level)"), (FS, "inode_lock_nested(stone->inode, level)")],
)
@pytest.mark.parametrize(
    ("level", "same"), [("1", False), ("MILL_STONE", False), ("MILL_NORMAL", True), ("0", True), ("m->turns", True)]
)
def test_a_lock_at_another_level_is_another_one(of: tuple[str, str], lock: str, level: str, same: bool) -> None:
    assert outcomes(of, lock, level) == [Outcome.CONFIRMED if same else Outcome.REFUTED]


@pytest.mark.parametrize(("of", "lock"), [(MD, "mutex_lock(&stone->lock)"), (FS, "inode_lock(stone->inode)")])
def test_a_lock_that_is_handed_no_level(of: tuple[str, str], lock: str) -> None:
    assert outcomes(of, lock, "1") == [Outcome.CONFIRMED]


def test_a_variable_is_one_lock_at_whatever_level() -> None:
    text = "static DEFINE_MUTEX(mills);\n" + MD[1]
    of = MD[0], text
    CALLS[of] = {
        **CALLS[MD],
        "UNLOCK": "mutex_unlock(&mills)",
        "PLAIN": "mutex_lock(&mills)",
        "BACK": "mutex_unlock(&mills)",
    }
    assert outcomes(of, "mutex_lock_nested(&mills, level)", "1") == [Outcome.CONFIRMED]
