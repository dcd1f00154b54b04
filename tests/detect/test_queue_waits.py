"""Waits for the requests of a queue, and for those who dispatch them: who ends them, and who does not."""

from __future__ import annotations

import pytest

from reviewbot.gittree.tree import Tree
from reviewbot.review import examine
from reviewbot.types import Outcome

FILE = "drivers/block/mill.c"
TYPES = """\
#include <linux/blk-mq.h>
#include <linux/mutex.h>

struct mill {
	struct mutex gear;
	struct gendisk *disk;
	unsigned int stones;
};

"""
OPERATIONS = """\
static const struct blk_mq_ops mill_mq_ops = {
	.queue_rq = mill_queue_rq,
};
"""


def said(old: str, new: str) -> set[str]:
    """The rules that prove that a change of a driver can deadlock."""
    with Tree.from_files({FILE: (TYPES + old).encode()}) as tree:
        change = tree.replace({FILE: (TYPES + new).encode()})
        result = examine(change, *tree.sources(change))
    assert not result.failed, result.notes
    return {v.finding.rule for v in result.verdicts if v.outcome is Outcome.CONFIRMED}


FROZEN = """\
void mill_stop(struct mill *m)
{{
	struct request_queue *q = m->disk->queue;

{stop}
	blk_mq_unquiesce_queue(q);
}}

void mill_resize(struct mill *m, unsigned int stones)
{{
	struct request_queue *q = m->disk->queue;

{before}	blk_mq_freeze_queue(q);
	m->stones = stones;
	blk_mq_unfreeze_queue(q);
{after}}}
"""
TAKES = "\tmutex_lock(&m->gear);\n\tm->stones = 0;\n\tmutex_unlock(&m->gear);\n"
STOPS = "\tblk_mq_quiesce_queue(q);\n"


@pytest.mark.parametrize(
    ("stop", "stuck"),
    [
        (STOPS + TAKES, True),
        (TAKES + STOPS, False),
        ("\tblk_mq_freeze_queue_wait(q);\n" + STOPS + TAKES, False),
    ],
    ids=["stopped", "not-yet-stopped", "drained"],
)
def test_only_who_has_stopped_a_queue_leaves_requests_in_it(stop: str, stuck: bool) -> None:
    old = FROZEN.format(stop=stop, before="", after="")
    new = FROZEN.format(stop=stop, before="\tmutex_lock(&m->gear);\n", after="\tmutex_unlock(&m->gear);\n")
    assert said(old, new) == ({"wait-under-lock"} if stuck else set())


QUIESCED = """\
static blk_status_t mill_queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{{
	struct mill *m = hctx->queue->queuedata;

{dispatch}	blk_mq_start_request(bd->rq);
	return BLK_STS_OK;
}}

void mill_go_on(struct mill *m)
{{
	mutex_lock(&m->gear);
	m->stones++;
	mutex_unlock(&m->gear);
	blk_mq_unquiesce_queue(m->disk->queue);
}}

void mill_pause(struct mill *m)
{{
{before}	blk_mq_quiesce_queue(m->disk->queue);
	m->stones = 0;
{after}}}

"""


@pytest.mark.parametrize("dispatch", [TAKES, ""], ids=["locks", "takes-nothing"])
def test_quiescing_waits_for_those_who_dispatch(dispatch: str) -> None:
    old = QUIESCED.format(dispatch=dispatch, before="", after="") + OPERATIONS
    locked = {"before": "\tmutex_lock(&m->gear);\n", "after": "\tmutex_unlock(&m->gear);\n"}
    new = QUIESCED.format(dispatch=dispatch, **locked) + OPERATIONS
    assert said(old, new) == ({"wait-under-lock"} if dispatch else set())


RELEASED = """\
static void mill_release(struct gendisk *disk)
{{
	struct mill *m = disk->private_data;

	m->stones = 0;
{more}}}

static const struct block_device_operations mill_fops = {{
	.release = mill_release,
}};
"""


@pytest.mark.parametrize(("call", "stuck"), [("bdev_disk_changed(disk, false)", False), ("del_gendisk(disk)", True)])
def test_partitions_are_read_anew_by_who_has_the_disk_open(call: str, stuck: bool) -> None:
    new = RELEASED.format(more=f"\t{call};\n")
    assert said(RELEASED.format(more=""), new) == ({"recursive-lock"} if stuck else set())
