"""The picture of a schedule, before anybody draws it: a lane for each task, steps downwards, what is held, who waits.

One layout for all renderers (SVG, page, terminal): they decide about sizes and colours, never about what is shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec.structs import replace

from reviewbot.report.schedule import KIND, knot, still
from reviewbot.text import clean
from reviewbot.types import KnotEdge, Trace, Value

QUEUED = "the queued "
"""How work is called that waits for a thread."""
WAITS = re.compile(r"\bwaits? for ")
_MODE = re.compile(r" for (read|write)$")
_PART = re.compile(r"^(?:an? \w+|the (?:last \w+|users|freeze)) of (.*?)(?: to leave)?$")


class Lane(Value, frozen=True):
    """A task, or queued work that no thread runs."""

    name: str
    queued: bool = False


class Card(Value, frozen=True):
    """Something that happens in a lane; `steps` are positions in the trace, none for what another lane does to it."""

    lane: int
    row: int
    text: str
    steps: tuple[int, ...] = ()
    takes: tuple[str, ...] = ()
    """What the task has from here on."""
    waits: str = ""
    """What the task waits for from here on, and never gets."""


class Bar(Value, frozen=True):
    """Something held in a lane, from the row `first` up to the row `last`; `last` is the number of rows where it is
    held at the end."""

    lane: int
    name: str
    first: int
    last: int
    place: int
    """Which of the bars beside each other it is, from 0."""
    resource: int = -1
    """Its place in `Picture.resources`; -1 for what nobody waits for."""


class Ending(Value, frozen=True):
    """How it is with a lane when nobody can go on."""

    lane: int
    waits: str = ""
    """`for g() to release x`; empty where the task waits for nothing."""
    holds: tuple[str, ...] = ()
    """What of it is waited for."""
    resource: int = -1
    """What it waits for, in `Picture.resources`."""
    said: str = ""
    """What else is to say of one that waits for nobody: that it never gives back what it holds, or what it did last."""


class Arrow(Value, frozen=True):
    """A lane waits for another, or for itself. `circle`: part of the circle; else it holds what is waited for."""

    source: int
    target: int
    circle: bool = True


class Picture(Value, frozen=True):
    """All of it."""

    lanes: tuple[Lane, ...]
    cards: tuple[Card, ...]
    rows: int
    bars: tuple[Bar, ...] = ()
    endings: tuple[Ending, ...] = ()
    arrows: tuple[Arrow, ...] = ()
    resources: tuple[str, ...] = ()
    """What somebody waits for and somebody holds, in the order of the schedule: a colour each."""
    conclusion: str = ""
    """The circle as a sentence; empty for a schedule in which all get through."""

    def shade(self, name: str) -> int:
        """The place of something that is held or waited for in `resources`; -1 where it has none."""
        return self.resources.index(thing(name)) if thing(name) in self.resources else -1


def thing(name: str) -> str:
    """What is meant by something that is held or waited for: `x for read` and `an element of x` are `x`."""
    name = _MODE.sub("", name)
    return found[1] if (found := _PART.match(name)) else name


def layout(trace: Trace, colours: Sequence[str] = ()) -> Picture:
    """The picture of a schedule: with its circle, or (`trace.knot` is empty) of one in which all get through.

    colours: resources of another picture, which keep the colours that they have there.
    """
    return _Layout(trace).picture(tuple(colours))


class _Layout:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.tasks = _tasks(trace)
        self.lanes: list[Lane] = []
        self.lane_of: dict[str, int] = {}
        for task, alike in self.tasks.items():
            for name in alike:
                self.lane_of[name] = len(self.lanes)
            kind = KIND.sub("", task)
            self.lanes.append(Lane(clean(f"each {kind}" if len(alike) > 1 else task)))
        for wait in trace.knot:
            if not self.lanes_of(wait.task):
                self.lane_of[wait.task] = len(self.lanes)
                name = wait.task.removeprefix(QUEUED)
                self.lanes.append(Lane(clean(f"the {name}" if " " in name else name), queued=True))

    def lanes_of(self, names: str) -> list[int]:
        """The lanes of the tasks that a text begins with, `a #1, a #2, which ...`."""
        if names in self.lane_of:
            return [self.lane_of[names]]
        found = (self.lane_of.get(name) for name in names.split(", "))
        return list(dict.fromkeys(lane for lane in found if lane is not None))

    def picture(self, colours: tuple[str, ...]) -> Picture:
        cards = self.cards()
        rows = max((card.row for card in cards), default=-1) + 1
        held = {thing(name) for card in cards for name in card.takes}
        wanted = [thing(wait.waits_for) for wait in self.trace.knot] + [thing(card.waits) for card in cards]
        resources = tuple(dict.fromkeys((*colours, *(name for name in wanted if name in held))))
        plain = Picture(tuple(self.lanes), tuple(cards), rows, resources=resources)
        bars = tuple(self.bars(cards, plain))
        endings = tuple(self.endings(bars, plain))
        return Picture(
            plain.lanes,
            plain.cards,
            rows,
            bars,
            endings,
            tuple(self.arrows(endings)),
            resources,
            clean(knot(self.trace)) if self.trace.knot else "",
        )

    def cards(self) -> list[Card]:
        """A card for each step that is told, in order, one a row; queued work gets its own beside the one that queues."""
        cards: list[Card] = []
        of: dict[tuple[int, int], int] = {}  # (lane, which step of a task there) -> its card
        done: Counter[str] = Counter()
        row_of: list[int] = []
        holds: dict[int, tuple[str, ...]] = {}
        for number, step in enumerate(self.trace.steps):
            lane, nth = self.lane_of[step.task], done[step.task]
            done[step.task] += 1
            before = of.get((lane, nth - 1), -1)
            if before >= 0 and step.waits and still(step.step, [cards[before].text]):
                of[lane, nth] = before  # it still sleeps where it was said to go to sleep
            same = of.setdefault((lane, nth), len(cards))
            row_of.append(same)
            if same < len(cards):
                steps = (*cards[same].steps, number)
                cards[same] = replace(cards[same], steps=steps, waits=clean(step.waits) or cards[same].waits)
                continue
            takes = tuple(clean(name) for name in step.holds if name not in holds.get(lane, ()))
            holds[lane] = step.holds
            cards.append(Card(lane, len(cards), clean(step.step), (number,), takes, clean(step.waits)))
        for wait in self.trace.knot:
            if wait.task.startswith(QUEUED) and wait.since:
                cards.append(
                    Card(self.lane_of[wait.task], row_of[wait.since - 1], "is queued", waits=clean(wait.waits_for))
                )
        return sorted(cards, key=lambda card: (card.row, not card.steps))

    def bars(self, cards: Sequence[Card], plain: Picture) -> Iterator[Bar]:
        """What each lane holds, from the card with which it has it to the one with which it has it no more."""
        for lane in range(len(self.lanes)):
            taken: dict[int, int] = {}  # place -> the row from which on it is free again
            spans = _spans([card for card in cards if card.lane == lane], self.trace, plain.rows)
            for name, first, last in sorted(spans, key=lambda span: (span[1], -span[2])):
                place = next(n for n in range(len(taken) + 1) if taken.get(n, 0) <= first)
                taken[place] = last
                yield Bar(lane, name, first, last, place, plain.shade(name))

    def endings(self, bars: Sequence[Bar], plain: Picture) -> Iterator[Ending]:
        """What is to say of each lane at the end, where there is something."""
        waits = {lane: wait for wait in self.trace.knot for lane in self.lanes_of(wait.task)}
        last = {card.lane: card for card in plain.cards}
        never = {lane: wait.held_by for wait in self.trace.knot for lane in self.lanes_of(wait.held_by)}
        for lane in range(len(self.lanes)):
            kept = [bar for bar in bars if bar.lane == lane and bar.last == plain.rows and bar.resource >= 0]
            holds = tuple(bar.name for bar in kept)
            if lane in waits:
                wait = waits[lane]
                yield Ending(lane, _clause(wait), holds, plain.shade(clean(wait.waits_for)))
            elif self.trace.knot and (holds or ", which" in never.get(lane, "")):
                said = clean(never.get(lane, "").partition(", which ")[2])
                did = "" if last[lane].takes else last[lane].text  # what it does with it, and so why others wait
                yield Ending(lane, holds=holds, said=said or did)

    def arrows(self, endings: Sequence[Ending]) -> Iterator[Arrow]:
        """Who waits for whom: the circle, and whoever else holds what is waited for."""
        circle = self.trace.knot
        inside = {lane for wait in circle for lane in self.lanes_of(wait.task)}
        for wait, after in pairwise((*circle, *circle[:1])):
            sources, targets = self.lanes_of(wait.task), self.lanes_of(after.task)
            if len(circle) == 1:
                targets = self.lanes_of(wait.held_by)
            if sources and targets:
                for n in range(max(len(sources), len(targets))):
                    yield Arrow(sources[min(n, len(sources) - 1)], targets[min(n, len(targets) - 1)])
        for ending in endings:
            for other in endings:
                held = {thing(name) for name in other.holds}
                wanted = next((thing(w.waits_for) for w in circle if ending.lane in self.lanes_of(w.task)), "")
                if ending.lane in inside and other.lane not in inside and wanted in held and len(circle) > 1:
                    yield Arrow(ending.lane, other.lane, circle=False)


def _tasks(trace: Trace) -> dict[str, list[str]]:
    """The tasks in the order of their first steps, each with those of its class that do exactly the same."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for task in dict.fromkeys(step.task for step in trace.steps):
        does = tuple((step.step, step.waits) for step in trace.steps if step.task == task)
        kind = KIND.sub("", task)
        found.setdefault((kind, does if kind != task else ((task, ""),)), []).append(task)
    return {alike[0]: alike for alike in found.values()}


def _spans(cards: Sequence[Card], trace: Trace, rows: int) -> Iterator[tuple[str, int, int]]:
    """(name, first row, row of the end) of all that is held in a lane."""
    open_: dict[str, int] = {}
    for card in cards:
        if not card.steps:
            continue
        now = [clean(name) for name in trace.steps[card.steps[0]].holds]
        for name in [name for name in open_ if name not in now]:
            yield name, open_.pop(name), card.row
        for name in now:
            open_.setdefault(name, card.row)
    end = (
        rows if trace.knot else max((card.row + 1 for card in cards), default=0)
    )  # where all get through it is given back
    yield from ((name, first, end) for name, first in open_.items())


def _clause(wait: KnotEdge) -> str:
    """What somebody waits for, without his name: `for g() to release x`."""
    told = clean(wait.told)
    if found := WAITS.search(told):
        return f"for {told[found.end() :]}"
    return f"for {clean(wait.waits_for)}, from {clean(wait.held_by)}"
