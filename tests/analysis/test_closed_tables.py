"""Calls through tables of functions that have a context of their own: what is followed up from them, and what is not."""

from __future__ import annotations

import pytest

from reviewbot.function_key import key_of
from tests.analysis.small import program

SCHEDULER = """
struct queue { struct dev *dev; const struct elevator_mq_ops *ops; };
static void seat_finish(struct dev *dev)
{
	mutex_lock(&dev->lock);
	dev->count--;
	mutex_unlock(&dev->lock);
}
const struct elevator_mq_ops seat_ops = { .finish_request = seat_finish };
void seat_end(struct queue *q)
{
	q->ops->finish_request(q->dev);
}
"""
TABLE = "struct elevator_mq_ops { void (*finish_request)(struct dev *dev); };"


@pytest.mark.parametrize(
    ("where", "followed"),
    [("block/elevator.h", True), ("include/linux/elevator.h", False)],
    ids=["own header: all functions are here", "shared header: there may be others"],
)
def test_a_table_that_only_this_code_fills_is_followed(where: str, followed: bool) -> None:
    built = program(SCHEDULER, "block/seat.c", **{where: TABLE})
    effects = {(e.kind, e.object) for e in built.does(key_of("block/seat.c", "seat_end"))}
    assert (("lock", "dev.lock") in effects) is followed


def test_the_device_below_is_another_one() -> None:
    """A slot by which devices stand on each other leads to another instance, whoever declares its table."""
    text = SCHEDULER.replace("elevator_mq_ops", "md_personality").replace("finish_request", "make_request")
    table = TABLE.replace("elevator_mq_ops", "md_personality").replace("finish_request", "make_request")
    built = program(text, "drivers/md/seat.c", **{"drivers/md/md.h": table})
    assert not [e for e in built.does(key_of("drivers/md/seat.c", "seat_end")) if e.object == "dev.lock"]
