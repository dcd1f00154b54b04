"""Programs read off real and own C, against the hand-written ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small import program

from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.models.snapshot import snapshot_throttle
from reviewbot.replay.cast import Cast
from reviewbot.replay.circles import Circle, found, scene
from reviewbot.replay.slicing.reader import reader
from reviewbot.replay.slicing.slicer import Extractor
from reviewbot.rule import Diff
from reviewbot.sim.check import check

BOX = "struct box { struct mutex lid; struct mutex key; int open; int seen; };\n"
FILE = "drivers/md/small.c"


@pytest.fixture(scope="module")
def throttled(shared: Path, kernel_tree) -> Iterator[Diff]:  # type: ignore[no-untyped-def]
    """The change to dm-snap.c that sleeps in the throttle with _origins_lock held."""
    series = fetch.parse((shared / "seeds/patches/snapshot-cow-throttling.eml").read_bytes(), "throttling")
    with Tree.open(kernel_tree("6.12")) as tree:
        change = tree.apply(series, None, "HEAD")
        before, after = tree.sources(change)
        yield Diff.of(change, before, after)


def throttle(diff: Diff) -> Circle:
    """The circle of the throttle, by the shortest way to its sleep: another one goes by way of kcopyd."""
    ways = [c for c in found(diff) if c.object == "dm_snapshot.in_progress_wait"]
    return min(ways, key=lambda circle: len(circle.holder.chain))


def test_the_extracted_throttle_is_the_hand_written_one(throttled: Diff) -> None:
    """Stuck with the lock held, free without, and the same three wait for the same three things."""
    circle = throttle(throttled)
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
    circle = throttle(throttled)
    outcomes = []
    for side in (throttled.after, throttled.before):
        cast = Cast(circle, side.program)
        cast.extractor = cast._reads(lean=True)
        outcomes.append(check(cast.model()).outcome)
    assert outcomes == ["stuck", "free"]


def test_the_remedy_is_to_drop_the_lock(throttled: Diff) -> None:
    circle = throttle(throttled)
    assert check(scene(circle, throttled.after, unlocked=True).model()).outcome == "free"


def test_the_remedy_is_asked_of_programs_that_are_at_hand(throttled: Diff, monkeypatch: pytest.MonkeyPatch) -> None:
    circle = throttle(throttled)
    scene(circle, throttled.after)
    monkeypatch.setattr(Extractor, "automaton", lambda *_: pytest.fail("read once more"))
    assert not scene(circle, throttled.after, unlocked=True).missing


def steps(code: str, function: str = "run") -> list[tuple[str, ...]]:
    """What a function does to `box.lid`, way by way; each place of its program comes up once on a way."""
    automaton = Extractor(program(BOX + code), {"box.lid"}, (), ()).automaton(f"{FILE}:{function}")
    ways: list[tuple[str, ...]] = []

    def walk(place: int, way: tuple[str, ...]) -> None:
        if place in automaton.ends:
            ways.append(way)
        for op, after in automaton.places[place].steps:
            for to in sorted(after):
                walk(to, (*way, op.kind))

    for place in sorted(automaton.start):
        walk(place, ())
    return sorted(ways)


@pytest.mark.parametrize("order", ["hold(&b->lid); hold(&b->key);", "hold(&b->key); hold(&b->lid);"])
def test_a_callee_is_told_apart_by_the_arguments_that_make_a_difference(order: str) -> None:
    hold = "static void hold(struct mutex *m)\n{\nmutex_lock(m);\nmutex_unlock(m);\n}\n"
    through = "static void through(struct mutex *m)\n{\nhold(m);\n}\n"
    for called in (order, order.replace("hold", "through")):
        code = f"{hold}{through}void run(struct box *b)\n{{\n{called}\n}}\n"
        assert steps(code) == [("take", "give")]


def test_a_callee_is_read_once_for_arguments_that_make_none() -> None:
    """Twenty calls with other arguments fit where twenty readings of the callee would not."""
    tests = "".join(f"if (b->open == {n})\n note({n});\n" for n in range(40))
    work = f"static void work(struct box *b, int *seen)\n{{\nmutex_lock(&b->lid);\n{tests}mutex_unlock(&b->lid);\n}}\n"
    calls = "".join(f"work(b, &counts[{n}].seen);\n" for n in range(20))
    extractor = Extractor(program(f"{BOX}{work}void run(struct box *b)\n{{\n{calls}}}\n"), {"box.lid"}, (), ())
    extractor._left = 400
    assert len(extractor.automaton(f"{FILE}:run").places) == 41


@pytest.mark.parametrize("call", ["fill", "hand", "pass"])
def test_conditions_agree_through_calls(call: str) -> None:
    """What was tested is known in a function that is handed it."""
    use = "mutex_lock(&b->lid);\nmutex_unlock(&b->lid);\n"
    code = f"static void fill(struct box *b, int open)\n{{\nif (open)\n return;\n{use}}}\n"
    code += "static void hand(struct box *b, int open)\n{\nfill(b, open);\n}\n"
    code += "static void pass(struct box *b, int open)\n{\nhand(b, open);\n}\n"
    code += f"void run(struct box *b, int shut)\n{{\nif (!shut) {{\n{use}}}\n{call}(b, shut);\n}}\n"
    assert set(steps(code)) == {(), ("take", "give", "take", "give")}


@pytest.mark.parametrize(("between", "asked"), [("note(b);", True), ("open = b->open;", False)])
def test_a_value_is_forgotten_before_it_is_assigned_anew(between: str, asked: bool) -> None:
    code = f"int run(struct box *b, int open)\n{{\n{between}\nif (open)\n note(b);\nreturn open ? 1 : 0;\n}}\n"
    small = program(BOX + code)
    assert ("open" in reader(small, f"{FILE}:run").live[0]) is asked


def test_a_condition_that_is_asked_in_parts_agrees_with_itself() -> None:
    code = """
void run(struct box *b, int late)
{
	if (b->open)
		mutex_lock(&b->lid);
	if (!late && b->open)
		mutex_unlock(&b->lid);
	note(b);
	if (late && b->open)
		mutex_unlock(&b->lid);
}
"""
    assert set(steps(code)) == {(), ("take", "give")}
    assert set(steps(code.replace("note(b);", "if (b->open)\n\t\tnote(b);"))) == {(), ("take", "give")}
