"""The layout of a schedule: lanes, cards, bars, who waits for whom; and its drawings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree

import checking
import pytest

from reviewbot.bench.demo import examine_case
from reviewbot.commands.demo import TITLES
from reviewbot.report.metrics import width, wrap
from reviewbot.report.narrow import narrow
from reviewbot.report.picture import Arrow, Bar, Ending, Picture, layout, thing
from reviewbot.report.shapes import Drawing, Shape
from reviewbot.report.svg import svg
from reviewbot.report.wide import wide
from reviewbot.types import KnotEdge, Step, Trace

CIRCLE = Trace(
    (
        Step("f()", "takes a", holds=("a for read",)),
        Step("g()", "takes b", holds=("b",)),
        Step("g()", "takes c", holds=("b", "c")),
        Step("g()", "releases c", holds=("b",)),
        Step("f()", "blocks in mutex_lock(&b)", holds=("a for read",), waits="b"),
        Step("g()", "blocks in down_write(&a), ahead of new readers", holds=("b",)),
        Step("g()", "blocks in down_write(&a)", holds=("b",), waits="a for write"),
    ),
    (
        KnotEdge("f()", "b", "g()", "f() waits for g() to release b", 5),
        KnotEdge("g()", "a for write", "f()", "g() waits for f() to release a", 7),
    ),
)


def long(tasks: int, steps: int) -> Trace:
    """A circle of that many tasks, each of which does other things before."""
    names = [f"task_{n}()" for n in range(tasks)]
    first = [Step(name, f"takes lock_{n}", holds=(f"lock_{n}",)) for n, name in enumerate(names)]
    between = [
        Step(names[n % tasks], f"counts what it found in round {n}", holds=(f"lock_{n % tasks}",))
        for n in range(steps - 2 * tasks)
    ]
    last = [
        Step(
            name,
            f"blocks in mutex_lock(&lock_{(n + 1) % tasks})",
            holds=(f"lock_{n}",),
            waits=f"lock_{(n + 1) % tasks}",
        )
        for n, name in enumerate(names)
    ]
    knot = [
        KnotEdge(name, f"lock_{(n + 1) % tasks}", names[(n + 1) % tasks], f"{name} waits for {names[(n + 1) % tasks]}")
        for n, name in enumerate(names)
    ]
    return Trace((*first, *between, *last), tuple(knot))


def test_a_lane_for_each_task_and_a_row_for_each_step() -> None:
    picture = layout(CIRCLE)
    assert [lane.name for lane in picture.lanes] == ["f()", "g()"]
    assert [(card.lane, card.row, card.text) for card in picture.cards] == [
        (0, 0, "takes a"),
        (1, 1, "takes b"),
        (1, 2, "takes c"),
        (1, 3, "releases c"),
        (0, 4, "blocks in mutex_lock(&b)"),
        (1, 5, "blocks in down_write(&a), ahead of new readers"),
    ]
    assert picture.rows == 6
    assert picture.cards[-1].steps == (5, 6)
    assert [card.waits for card in picture.cards] == ["", "", "", "", "b", "a for write"]
    assert picture.conclusion == "f() waits for g() to release b, and g() waits for f() to release a - deadlock."


def test_a_bar_for_what_is_held_with_the_colour_of_what_is_waited_for() -> None:
    picture = layout(CIRCLE)
    assert picture.resources == ("b", "a")
    assert picture.bars == (
        Bar(0, "a for read", 0, 6, 0, 1),
        Bar(1, "b", 1, 6, 0, 0),
        Bar(1, "c", 2, 3, 1, -1),
    )
    assert picture.shade("a for write") == 1
    assert picture.shade("c") == -1


def test_the_ends_say_who_holds_what_and_waits_for_whom() -> None:
    picture = layout(CIRCLE)
    assert picture.endings == (
        Ending(0, "for g() to release b", ("a for read",), 0),
        Ending(1, "for f() to release a", ("b",), 1),
    )
    assert picture.arrows == (Arrow(0, 1), Arrow(1, 0))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("x", "x"),
        ("x for read", "x"),
        ("x for write", "x"),
        ("an element of pool", "pool"),
        ("a bio of c->splits", "c->splits"),
        ("a reference of q", "q"),
        ("the users of q to leave", "q"),
        ("the freeze of q", "q"),
        ("the lock of upper", "the lock of upper"),
    ],
)
def test_what_is_held_and_what_is_waited_for_is_one_thing(name: str, meant: str) -> None:
    assert thing(name) == meant


def test_tasks_of_a_class_that_do_the_same_share_a_lane() -> None:
    steps = [Step(f"worker #{n}", text, waits=waits) for n in (1, 2) for text, waits in (("runs", ""), ("blocks", "m"))]
    knot = (
        KnotEdge("worker #1, worker #2", "m", "writer", "the workers wait for writer to free m"),
        KnotEdge("writer", "io", "worker #1, worker #2", "writer waits for a worker to end io"),
    )
    picture = layout(Trace((*steps, Step("writer", "waits for io", waits="io")), knot))
    assert [lane.name for lane in picture.lanes] == ["each worker", "writer"]
    assert [card.steps for card in picture.cards] == [(0, 2), (1, 3), (4,)]
    assert picture.arrows == (Arrow(0, 1), Arrow(1, 0))


def test_tasks_of_a_class_that_do_different_things_have_lanes_of_their_own() -> None:
    picture = layout(Trace((Step("w #1", "takes a"), Step("w #2", "takes b")), ()))
    assert [lane.name for lane in picture.lanes] == ["w #1", "w #2"]


def test_a_step_that_comes_twice_is_shown_twice() -> None:
    picture = layout(Trace((Step("f()", "takes a"), Step("f()", "releases a"), Step("f()", "takes a")), ()))
    assert [card.text for card in picture.cards] == ["takes a", "releases a", "takes a"]


def test_queued_work_is_a_lane_that_begins_beside_the_step_that_queues_it() -> None:
    picture = layout_of("wq-mem-reclaim/lost-flag")
    lane = next(n for n, lane in enumerate(picture.lanes) if lane.queued)
    assert picture.lanes[lane].name == "sieve_work()"
    card = next(card for card in picture.cards if card.lane == lane)
    beside = next(other for other in picture.cards if other.row == card.row and other.lane != lane)
    assert beside.text == "queues sieve_work() on ksieved"


def test_who_holds_the_last_element_is_shown_though_it_waits_for_nobody() -> None:
    picture = layout_of("shared-reserve/pool-of-all-devices")
    names = [lane.name for lane in picture.lanes]
    holder, waiter = names.index("the worker of upper"), names.index("the worker of lower")
    assert Arrow(waiter, holder, circle=False) in picture.arrows
    ending = next(e for e in picture.endings if e.lane == holder)
    assert ending.holds == ("an element of recheck_page_pool",)
    assert ending.said == "keeps it until its bio to lower is done"
    assert "upper holds an element of recheck_page_pool and keeps it until" in text_of(wide(picture))


def test_a_task_that_waits_for_itself_has_an_arrow_to_itself_and_for_nobody_none() -> None:
    assert layout_of("recursive-lock/reset-under-lock").arrows == (Arrow(0, 0),)
    lost = layout_of("lost-wakeup/return-when-empty")
    assert lost.arrows == ()
    assert lost.endings[0].waits == "for d->flushed, and nobody is left to complete it"


def test_who_never_gives_back_is_shown_with_what_it_holds() -> None:
    picture = layout_of("missing-unlock/return-when-full")
    assert picture.arrows == (Arrow(1, 0),)
    assert picture.endings[0] == Ending(0, "", ("d->lock",), -1, "never gives it back")


def test_the_other_side_has_no_circle_and_the_same_colours() -> None:
    verdict = examine_case(checking.case("lock-order/table-under-depot")).verdicts[0]
    assert verdict.trace
    assert verdict.other
    stuck = layout(verdict.trace)
    other = layout(verdict.other, stuck.resources)
    assert (other.endings, other.arrows, other.conclusion) == ((), (), "")
    assert other.resources == stuck.resources
    assert {bar.resource for bar in other.bars} == {0, 1}


def text_of(drawing: Drawing) -> str:
    return " ".join(shape.text for shape in drawing.shapes if shape.kind == "text")


def layout_of(name: str) -> Picture:
    trace = examine_case(checking.case(name)).verdicts[0].trace
    assert trace is not None
    return layout(trace)


# --- drawings --------------------------------------------------------------------------------------------------------


def test_text_is_wrapped_to_its_room_and_long_names_are_broken() -> None:
    lines = wrap("blocks in mempool_alloc(&a_name_that_is_too_long_for_one_line->pool)", 150, 14)
    assert all(width(line, 14) <= 150 for line in lines)
    assert "".join(lines).replace(" ", "") == "blocksinmempool_alloc(&a_name_that_is_too_long_for_one_line->pool)"
    assert wrap("one two", 1000, 14) == ["one two"]
    assert wrap("f()", 20, 14) == ["f()"]
    assert wrap("pending_complete()", width("pending_complete(", 14), 14) == ["pending_", "complete()"]
    assert wrap("a b c d", 8, 14, most=2) == ["a", "…"]


@pytest.mark.parametrize(("tasks", "steps"), [(5, 12), (5, 40), (9, 40), (1, 2)])
@pytest.mark.parametrize("draw", [wide, narrow])
def test_all_text_is_inside_of_the_drawing_and_no_two_texts_overlap(tasks: int, steps: int, draw: object) -> None:
    drawing = draw(layout(long(tasks, steps)))  # type: ignore[operator]
    assert isinstance(drawing, Drawing)
    boxes = []
    for shape in drawing.shapes:
        if shape.kind == "text" and shape.text:
            room = width(shape.text, 12.5 if {"chip", "label", "whose"} & set(shape.style.split()) else 14)
            boxes.append((*across(shape, room), shape.y - 11, shape.y + 2, shape.text))
    assert len({text for *_, text in boxes}) > tasks
    for left, right, top, bottom, text in boxes:
        assert left >= -1, text
        assert right <= drawing.width + 1, text
        assert 0 <= top < bottom <= drawing.height, text
    for n, (left, right, top, bottom, text) in enumerate(boxes):
        for other in boxes[n + 1 :]:
            apart = right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top
            assert apart, (text, other[4])


def across(shape: Shape, room: float) -> tuple[float, float]:
    """Where a text of that width begins and ends."""
    styles = shape.style.split()
    before = room / 2 if "middle" in styles else room if shape.style == "number" or "ending" in styles else 0.0
    return shape.x - before, shape.x - before + room


Line = tuple[float, float, float, float]


def lines(shape: Shape) -> Iterator[Line]:
    """The straight pieces of a path: left, right, top, bottom."""
    points = [tuple(map(float, point.split())) for point in re.findall(r"[ML]([^ML]+)", shape.d)]
    for (a, b), (c, d) in pairwise(points):
        yield min(a, c), max(a, c), min(b, d), max(b, d)


def meet(one: Line, other: Line) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


@pytest.mark.parametrize(
    "name", [*TITLES, "recursive-lock/reset-under-lock", "missing-unlock/return-when-full", "2", "5", "6"]
)
def test_arrows_neither_cross_each_other_nor_a_label(name: str) -> None:
    """Those of a schedule whose tasks wait for their neighbours, as most do; a number is of that many tasks."""
    drawing = wide(layout(long(int(name), 12)) if name.isdigit() else layout_of(name))
    arrows = [list(lines(shape)) for shape in drawing.shapes if shape.style.startswith("arrow")]
    labels = [shape for shape in drawing.shapes if shape.style.startswith("label")]
    assert len(arrows) == len(labels) > 0
    for label in labels:
        box = (*across(label, width(label.text, 12.5)), label.y - 11, label.y + 2)
        assert not [arrow for arrow in arrows for line in arrow if meet(box, line)], (name, label)
    for n, arrow in enumerate(arrows):
        for other in arrows[n + 1 :]:
            assert not [1 for line in arrow for piece in other if meet(line, piece) or meet(piece, line)], name


def test_what_a_lane_holds_and_waits_for_takes_no_more_room_than_its_words() -> None:
    drawing = wide(layout_of("shared-reserve/pool-of-all-devices"))
    boxes = [shape for shape in drawing.shapes if shape.style == "waits" or shape.style.startswith("keeps")]
    words = [shape.y for shape in drawing.shapes if "inverse" in shape.style]
    assert max(shape.y + shape.height for shape in boxes) - max(words) < 18


def test_few_lanes_are_wider_so_that_their_words_stay_in_one_line() -> None:
    drawing = wide(layout_of("shrinker-io/gate-on-gfp-io"))
    assert "and waits for loop0 to complete the write" in [shape.text for shape in drawing.shapes]
    assert drawing.width < 1040
    assert not drawing.vast
    assert wide(layout(long(9, 20))).vast


@pytest.mark.parametrize("name", [*TITLES, "missing-unlock/return-when-full"])
def test_on_a_phone_nothing_of_a_lane_is_drawn_above_its_first_dot(name: str) -> None:
    picture = layout_of(name)
    drawing = narrow(picture)
    first = {}
    for dot in sorted((shape for shape in drawing.shapes if shape.kind == "dot"), key=lambda shape: shape.y):
        first.setdefault(round(dot.x, 1), dot.y)
    assert len(first) == len(picture.lanes)
    for rail in (shape for shape in drawing.shapes if shape.style.startswith("rail")):
        for left, _, top, _ in lines(rail):
            assert top >= first[round(left, 1)] - 0.1, name
    bars = [shape for shape in drawing.shapes if shape.style.startswith("bar")]
    assert len(bars) >= len(picture.bars)
    for bar in bars:
        lane = min(first, key=lambda x: abs(x - bar.x - bar.width / 2))
        assert bar.y >= first[lane] - 0.1, name
        assert not bar.x < lane < bar.x + bar.width, "it would hide the rail"


def test_an_svg_is_well_formed_and_fetches_nothing() -> None:
    hostile = Trace((Step("<script>alert(1)</script>", 'takes "a" & <b>\x1b[2J', holds=("]]>",)),), ())
    text = svg(layout(hostile), "a <title>")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    said = " ".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "<U+001B>" in said.replace(" ", "")
    addresses = [v for e in root.iter() for k, v in e.attrib.items() if "href" in k or v.startswith("http")]
    assert addresses == []
    assert "url(http" not in text
