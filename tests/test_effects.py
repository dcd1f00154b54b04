"""Programs read off real and own C, against the hand-written ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewbot import lore
from reviewbot.cast import Cast
from reviewbot.circles import found, scene
from reviewbot.models.snapshot import snapshot_throttle
from reviewbot.rule import Diff
from reviewbot.sim.check import check
from reviewbot.tree import Tree


@pytest.fixture(scope="module")
def throttled(shared: Path, kernel_tree) -> Iterator[Diff]:  # type: ignore[no-untyped-def]
    """The change to dm-snap.c that sleeps in the throttle with _origins_lock held."""
    series = lore.parse((shared / "seeds/patches/snapshot-cow-throttling.eml").read_bytes(), "throttling")
    with Tree.open(kernel_tree("6.12")) as tree:
        change = tree.apply(series, None, "HEAD")
        before, after = tree.sources(change)
        yield Diff.of(change, before, after)


def test_the_extracted_throttle_is_the_hand_written_one(throttled: Diff) -> None:
    """Stuck with the lock held, free without, and the same three wait for the same three things."""
    (circle,) = [c for c in found(throttled) if c.object == "dm_snapshot.in_progress_wait"]
    bad, good = scene(circle, throttled.after), scene(circle, throttled.before)
    patched, base = check(bad.model(), through=bad.through), check(good.model())
    by_hand = check(snapshot_throttle(held=True), through=["&_origins_lock"])
    assert (patched.outcome, base.outcome) == ("stuck", "free")
    assert by_hand.outcome == "stuck"
    assert check(snapshot_throttle(held=False)).outcome == "free"
    assert patched.knot is not None
    assert by_hand.knot is not None
    waits = [{w.waits_for.rpartition("->")[2].lstrip("&") for w in knot.waits} for knot in (patched.knot, by_hand.knot)]
    assert waits == [{"in_progress_wait", "_origins_lock for read", "_origins_lock for write"}] * 2


def test_nothing_is_closed_by_the_change_read_backwards(throttled: Diff) -> None:
    assert not [c for c in found(throttled.reversed()) if c.lock.endswith("_origins_lock")]


def test_the_ways_of_the_circle_alone_show_the_same(throttled: Diff) -> None:
    """What is fallen back on where a program with all its ways is too large."""
    (circle,) = [c for c in found(throttled) if c.object == "dm_snapshot.in_progress_wait"]
    outcomes = []
    for side in (throttled.after, throttled.before):
        cast = Cast(circle, side.world)
        cast.extractor = cast._reads(lean=True)
        outcomes.append(check(cast.model()).outcome)
    assert outcomes == ["stuck", "free"]


def test_the_remedy_is_to_drop_the_lock(throttled: Diff) -> None:
    (circle,) = [c for c in found(throttled) if c.object == "dm_snapshot.in_progress_wait"]
    assert check(scene(circle, throttled.after, unlocked=True).model()).outcome == "free"
