"""What a reply proposes is possible in the code: nothing is to be kept that was never there, or that belongs to others."""

from __future__ import annotations

import re

import pytest
from test_opaque import DRAIN, FILE, HEAD, QUEUE, put

from reviewbot.gittree.tree import Tree
from reviewbot.review import examine
from reviewbot.rule import Diff
from reviewbot.types import Outcome

MM = "struct mm_struct {\n\tstruct rw_semaphore mmap_lock;\n};\n"
UNDER_MM = put(DRAIN, {"mutex_lock(&p->lock)": "down_write(&p->mm->mmap_lock)"}).replace(
    "mutex_unlock(&p->lock)", "up_write(&p->mm->mmap_lock)"
)
OWN = put(QUEUE, {"queue_work(p->wq, &p->work)": "queue_work(system_wq, &p->work)"})
DIRECT = put(QUEUE, {"\tqueue_work(p->wq, &p->work);": "\tbio_endio(p->bio);"})
"""Ends bios itself; nobody queues the work."""


def remedies(old: str, new: str) -> list[str]:
    """What is proposed against a change."""
    head = HEAD.replace("struct press {", "struct press {\n\tstruct mm_struct *mm;\n\tstruct bio *bio;")
    files = {FILE: (head + old).encode(), "include/linux/mm_types.h": MM.encode()}
    with Tree.from_files(files) as tree:
        change = tree.replace({FILE: (head + new).encode()})
        result = examine(change, *tree.sources(change))
        assert not result.failed, result.notes
        return [v.remedy for v in result.verdicts if v.outcome is Outcome.CONFIRMED]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (QUEUE, put(QUEUE, {"WQ_MEM_RECLAIM": "0"}), r"Keep WQ_MEM_RECLAIM for kpressd\."),
        (QUEUE, OWN, r"Leave the work on kpressd\."),
        (DIRECT, OWN, r".* of its own with WQ_MEM_RECLAIM\."),
        (
            put(DIRECT, {"WQ_MEM_RECLAIM": "0"}),
            put(QUEUE, {"WQ_MEM_RECLAIM": "0"}),
            r"Make kpressd with WQ_MEM_RECLAIM\.",
        ),
    ],
    ids=["flag", "queue", "shared", "new"],
)
def test_rescuers(old: str, new: str, said: str) -> None:
    (text,) = remedies(old, new)
    assert re.fullmatch(said, text)


@pytest.mark.parametrize(
    ("old", "lock", "said"),
    [
        (DRAIN, "mutex_(un)?lock", "Keep .*lock around the allocation."),
        (UNDER_MM, "(down|up)_write", ".* lock of their own."),
    ],
    ids=["own", "shared"],
)
def test_locks(old: str, lock: str, said: str) -> None:
    (text,) = remedies(old, re.sub(rf"\t{lock}\(.*\n", "", old))
    assert re.fullmatch(said, text)


def test_whose_an_object_is() -> None:
    text = HEAD + "static struct mutex press_lock;\n" + QUEUE
    with Tree.from_files({FILE: text.encode(), "include/linux/mm_types.h": MM.encode()}) as tree:
        change = tree.replace({FILE: text.replace("count", "number").encode()})
        side = Diff.of(change, *tree.sources(change)).before
        owned = [side.owns(x) for x in ("press.lock", f"{FILE}:press_lock", "mm_struct.mmap_lock", "system_wq", "")]
        assert owned == [True, True, False, False, False]
        assert side.has("press.wq", "WQ_MEM_RECLAIM")
        assert not side.has("press.wq", "WQ_HIGHPRI")
        assert not side.has("system_wq")


SETATTR = """\
static void press_work(struct work_struct *work)
{
	struct press *p = container_of(work, struct press, work);

	inode_lock(p->inode);
	p->count = 0;
	inode_unlock(p->inode);
	complete(&p->done);
}

static int press_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct press *p = dentry->d_fsdata;

	INIT_WORK(&p->work, press_work);
	queue_work(p->wq, &p->work);
	return 0;
}

static const struct inode_operations press_iops = {
	.setattr = press_setattr,
};
"""


def test_a_lock_that_others_took_cannot_be_dropped_here() -> None:
    after = put(SETATTR, {"&p->work);\n\treturn": "&p->work);\n\twait_for_completion(&p->done);\n\treturn"})
    assert remedies(SETATTR, after) == [""]
    taken = put(SETATTR, {".setattr": ".getattr", "\tINIT_WORK": "\tinode_lock(p->inode);\n\tINIT_WORK"})
    taken = put(taken, {"&p->work);\n\treturn": "&p->work);\n\tinode_unlock(p->inode);\n\treturn"})
    inside = put(
        taken,
        {
            "\tinode_unlock(p->inode);\n\treturn": "\twait_for_completion(&p->done);\n\tinode_unlock(p->inode);\n\treturn"
        },
    )
    (text,) = remedies(taken, inside)
    assert text.startswith("Drop ")
