"""The picture of a schedule as shapes with coordinates, wide or narrow, and as SVG text.

Wide: lanes side by side with what happens in them. Narrow, for a phone: lanes as rails, and the words to their right.
Shapes carry the row with which they come in, so that a page can step through them; the last row is the deadlock.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from reviewbot.report.metrics import width, wrap
from reviewbot.report.picture import Arrow, Card, Ending, Picture
from reviewbot.types import Value

TEXT, SMALL, LINE = 14.0, 12.5, 18.0
"""Sizes of text, and the height of a line, in pixels."""
PAD = 8.0
VAST = 1080.0
"""A picture that is wider is not scaled down on a page: its words would be too small."""
SHADES = 6
"""Colours for what is held and waited for; with more of them they begin anew."""


class Shape(Value, frozen=True):
    """One element of a drawing; `style` are names of classes of the style sheet."""

    kind: str
    """`rect`, `path`, `text` or `dot`."""
    style: str
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    d: str = ""
    """The path of one."""
    text: str = ""
    row: int = 0


class Drawing(Value, frozen=True):
    """Shapes in the order in which they are painted, and the room that they take."""

    name: str
    """`wide` or `narrow`."""
    width: float
    height: float
    shapes: tuple[Shape, ...]

    @property
    def vast(self) -> bool:
        """Whether it is better moved than made small enough to be seen as a whole."""
        return self.width > VAST

    def groups(self) -> Iterator[tuple[int, list[Shape]]]:
        """The shapes by row, those of each row together."""
        for row, shapes in groupby(sorted(self.shapes, key=lambda shape: shape.row), key=lambda shape: shape.row):
            yield row, list(shapes)


def shade(resource: int) -> str:
    """The class for the colour of a resource; a neutral one for what nobody waits for."""
    return f"shade{resource % SHADES}" if resource >= 0 else "plain"


def sentence(picture: Picture, ending: Ending) -> tuple[str, str]:
    """How it is with a lane, as one sentence in two parts: what it holds, and what it waits for."""
    name = picture.lanes[ending.lane].name
    held = f"{name} holds {' and '.join(ending.holds)}" if ending.holds else ""
    if ending.said:
        held = f"{held} and {ending.said}" if held else f"{name} {ending.said}"
    waits = f"{'and' if held else name} waits {ending.waits}" if ending.waits else ""
    return held, waits


class _Pen:
    """Collects shapes of a picture."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.shapes: list[Shape] = []

    def chips(self, card: Card, room: float) -> list[tuple[str, list[str]]]:
        """What a card takes, and what it waits for that somebody has: classes of each, and its lines."""
        said = [(shade(self.picture.shade(name)), f"holds {name}") for name in card.takes]
        if card.waits and self.picture.shade(card.waits) >= 0 and self.picture.conclusion:
            said.append((f"{shade(self.picture.shade(card.waits))} wanted", f"wants {card.waits}"))
        return [(style, wrap(text, room - 14, SMALL, bold=style != "plain")) for style, text in said]

    def chip(self, style: str, x: float, y: float, lines: list[str], row: int) -> float:
        """A chip with its mark; returns where it ends."""
        self.box(f"mark {style}", x, y + 5, 9, 9, row)
        return self.lines(f"chip {style}", x + 14, y, lines, row)

    def keeps(self, ending: Ending) -> str:
        """The class for what a lane holds at the end."""
        return f"keeps {shade(self.picture.shade(ending.holds[0]) if ending.holds else -1)}"

    def box(self, style: str, x: float, y: float, wide: float, high: float, row: int) -> None:
        self.shapes.append(Shape("rect", style, x, y, max(wide, 0.0), max(high, 0.0), row=row))

    def line(self, style: str, points: list[tuple[float, float]], row: int) -> None:
        (x, y), *rest = points
        d = f"M{x:g} {y:g}" + "".join(f"L{a:g} {b:g}" for a, b in rest)
        self.shapes.append(Shape("path", style, d=d, row=row))

    def dot(self, style: str, x: float, y: float, row: int) -> None:
        self.shapes.append(Shape("dot", style, x, y, row=row))

    def says(self, style: str, x: float, y: float, text: str, row: int) -> None:
        self.shapes.append(Shape("text", style, x, y, text=text, row=row))

    def lines(self, style: str, x: float, y: float, lines: list[str], row: int) -> float:
        """Lines of text below each other, the first with its top at y; returns where they end."""
        for line in lines:
            self.says(style, x, y + LINE - 5, line, row)
            y += LINE
        return y


# --- wide ------------------------------------------------------------------------------------------------------------

GUTTER, LANE_LEAST, LANE_MOST, WIDE = 34.0, 172.0, 400.0, 1040.0
BAR, GAP = 7.0, 3.0
PORT, DEPTH = 32.0, 24.0
"""How far apart arrows leave and enter a lane, and how far below each other they run."""
ROWS_IN_SIGHT = 12
"""From this row on cards say whose they are: one does not see them together with the heads."""


def wide(picture: Picture) -> Drawing:
    """Lanes side by side."""
    return _Wide(picture).drawing()


class _Wide(_Pen):
    def __init__(self, picture: Picture) -> None:
        super().__init__(picture)
        self.lane = min(LANE_MOST, max(LANE_LEAST, (WIDE - GUTTER) / max(len(picture.lanes), 1)))
        places = [max((b.place + 1 for b in picture.bars if b.lane == n), default=0) for n in range(len(picture.lanes))]
        self.inset = [PAD + places[n] * (BAR + GAP) for n in range(len(picture.lanes))]
        """Where the cards of each lane begin: right of its bars."""
        self.total = max(GUTTER + self.lane * len(picture.lanes), 340.0)

    def left(self, lane: int) -> float:
        return GUTTER + lane * self.lane

    def middle(self, lane: int) -> float:
        return self.left(lane) + self.inset[lane] + self.room(lane) / 2

    def room(self, lane: int) -> float:
        """The width of its cards."""
        return self.lane - self.inset[lane] - PAD

    def drawing(self) -> Drawing:
        top = self.heads()
        tops, bottoms = self.measure(top)
        bottom = bottoms[-1] if bottoms else top
        self.rails(tops, bottoms)
        self.bars(tops, bottoms)
        for card in self.picture.cards:
            self.card(card, tops[card.row])
        bottom = self.endings(bottom + 12)
        return Drawing("wide", self.total, bottom, tuple(self.shapes))

    def heads(self) -> float:
        names = [wrap(lane.name, self.lane - 2 * PAD - 16, TEXT, bold=True, most=3) for lane in self.picture.lanes]
        high = max((len(lines) for lines in names), default=1) * LINE + 2 * PAD
        for n, lines in enumerate(names):
            style = "head queued" if self.picture.lanes[n].queued else "head"
            self.box(style, self.left(n) + PAD / 2, 1, self.lane - PAD, high - 1, 0)
            y = (high - len(lines) * LINE) / 2
            for line in lines:
                self.says("name middle", self.left(n) + self.lane / 2, y + LINE - 5, line, 0)
                y += LINE
        return high + 10

    def texts(self, card: Card) -> tuple[list[str], list[tuple[str, list[str]]]]:
        """The lines of a card, and those of its chips with their classes."""
        room = self.room(card.lane) - 2 * PAD
        return wrap(card.text, room, TEXT), self.chips(card, room)

    def whose(self, card: Card) -> list[str]:
        """The lines with the name of its task, where the heads of a long picture may be out of sight."""
        room = self.room(card.lane) - 2 * PAD
        name = self.picture.lanes[card.lane].name
        return wrap(name, room, SMALL, bold=True, most=2) if card.row >= ROWS_IN_SIGHT else []

    def high(self, card: Card) -> float:
        lines, chips = self.texts(card)
        number = len(self.whose(card)) + len(lines) + sum(len(chip) for _, chip in chips)
        return 2 * PAD + LINE * number + (3 if chips else 0)

    def measure(self, top: float) -> tuple[list[float], list[float]]:
        """Where each row begins and ends."""
        tops, bottoms = [], []
        for row in range(self.picture.rows):
            tops.append(top)
            top += max(self.high(card) for card in self.picture.cards if card.row == row) + 8
            bottoms.append(top)
        return tops, bottoms

    def rails(self, tops: list[float], bottoms: list[float]) -> None:
        """The line of each lane: red from where it waits for good."""
        stuck = {ending.lane for ending in self.picture.endings if ending.waits}
        ended = {ending.lane for ending in self.picture.endings}
        for lane in range(len(self.picture.lanes)):
            rows = [card.row for card in self.picture.cards if card.lane == lane]
            waits = next((c.row for c in self.picture.cards if c.lane == lane and c.waits and lane in stuck), -1)
            last = self.picture.rows - 1 if lane in ended else max(rows, default=-1)
            for row in range(min(rows, default=0), last + 1):
                red = waits >= 0 and row >= waits
                x = self.middle(lane)
                end = bottoms[row] + 12 if row == self.picture.rows - 1 and lane in ended else bottoms[row]
                self.line("rail stuck" if red else "rail", [(x, tops[row]), (x, end)], row)

    def bars(self, tops: list[float], bottoms: list[float]) -> None:
        for bar in self.picture.bars:
            x = self.left(bar.lane) + PAD / 2 + bar.place * (BAR + GAP)
            last = min(bar.last, self.picture.rows - 1)
            for row in range(bar.first, last + 1):
                begin = tops[row] + (6 if row == bar.first else 0)
                end = bottoms[row] + (12 if bar.last == self.picture.rows == row + 1 else 0)
                if row == bar.last:
                    end = tops[row] + PAD + LINE / 2
                self.box(f"bar {shade(bar.resource)}", x, begin, BAR, end - begin, row)

    def card(self, card: Card, y: float) -> None:
        lines, chips = self.texts(card)
        x, high = self.left(card.lane) + self.inset[card.lane], self.high(card)
        if card.steps:
            self.says("number", GUTTER - 10, y + PAD + LINE - 5, str(card.row + 1), card.row)
        self.box(
            "card stuck" if card.waits and self.picture.conclusion else "card",
            x,
            y,
            self.room(card.lane),
            high,
            card.row,
        )
        below = self.lines("whose", x + PAD, y + PAD, self.whose(card), card.row)
        below = self.lines("said", x + PAD, below, lines, card.row)
        for style, chip in chips:
            below = self.chip(style, x + PAD, below + 1, chip, card.row)

    # --- the end

    def endings(self, top: float) -> float:
        """A box for each lane that is stuck, what it holds above what it waits for, and the arrows below them."""
        picture, row = self.picture, self.picture.rows
        if not picture.endings:
            return self.caption(top)
        texts = {ending.lane: self.ending_texts(ending) for ending in picture.endings}
        high = {lane: [len(lines) * LINE + 2 * PAD if lines else 0.0 for lines in of] for lane, of in texts.items()}
        bottom = top + max(sum(of) for of in high.values())
        for ending in picture.endings:
            holds, says = texts[ending.lane]
            x, room = self.left(ending.lane) + PAD / 2, self.lane - PAD
            middle = top + high[ending.lane][0] if says else bottom
            if holds:
                self.box(self.keeps(ending), x, top, room, middle - top, row)
                self.lines("inverse bold", x + PAD, top + PAD, holds, row)
            if says:
                self.box("waits", x, middle, room, bottom - middle, row)
                self.lines("inverse onred", x + PAD, middle + PAD, says, row)
        return self.caption(self.arrows(bottom, row) if picture.arrows else bottom)

    def ending_texts(self, ending: Ending) -> tuple[list[str], list[str]]:
        held, waits = sentence(self.picture, ending)
        room = self.lane - PAD - 2 * PAD
        return wrap(held, room, TEXT, bold=True), wrap(waits, room, TEXT, bold=True)

    def arrows(self, top: float, row: int) -> float:
        arrows, y = self.ordered(), top
        ports = self.ports(arrows)
        for number, arrow in enumerate(arrows):
            y = top + (number + 1) * DEPTH
            out, into = ports[number, False], ports[number, True]
            style = "circle" if arrow.circle else "holder"
            self.line(f"arrow {style}", [(out, top), (out, y), (into, y), (into, top + 3)], row)
            left = arrow.target < arrow.source  # the words stand beside the start: nothing deeper comes down there
            x = out - PAD if left else max(out, into) + PAD if arrow.target == arrow.source else out + PAD
            words = "waits for" if arrow.circle else "held by"
            self.says(f"label {style}{' ending' if left else ''}", x, y - 5, words, row)
        return y + 8

    def ports(self, arrows: list[Arrow]) -> dict[tuple[int, bool], float]:
        """Where each arrow, by its number, leaves its lane (False) and enters one (True).

        In a lane those to the left stand left of those to the right, and outside is what runs below the others: so
        arrows of neighbours do not cross.
        """
        found: dict[tuple[int, bool], float] = {}
        for lane in range(len(self.picture.lanes)):
            ends: list[tuple[float, tuple[int, bool]]] = []
            for number, arrow in enumerate(arrows):
                for here, there, enters in ((arrow.source, arrow.target, False), (arrow.target, arrow.source, True)):
                    side = (there > here) - (there < here)
                    if here == lane:
                        ends.append((side * (len(arrows) - number), (number, enters)))
            apart = min(PORT, (self.lane - 4 * PAD) / max(len(ends), 1))
            for place, (_, end) in enumerate(sorted(ends)):
                found[end] = self.middle(lane) + (place - (len(ends) - 1) / 2) * apart
        return found

    def ordered(self) -> list[Arrow]:
        """The short ones first, so that the long ones run below them."""
        return sorted(self.picture.arrows, key=lambda arrow: (abs(arrow.source - arrow.target), arrow.source))

    def caption(self, top: float) -> float:
        text, style = self.picture.conclusion, "caption deadlock"
        if not text:
            text, style = "All of them get through.", "caption through"
        lines = wrap(text, self.total - 2 * PAD, TEXT, bold=True)
        return self.lines(style, PAD, top + 14, lines, self.picture.rows) + PAD


# --- narrow ----------------------------------------------------------------------------------------------------------

NARROW, RAILS = 360.0, 92.0


def narrow(picture: Picture) -> Drawing:
    """Rails on the left, words on the right, no wider than a phone."""
    return _Narrow(picture).drawing()


class _Narrow(_Pen):
    def __init__(self, picture: Picture) -> None:
        super().__init__(picture)
        self.apart = min(20.0, RAILS / max(len(picture.lanes), 1))
        self.words = 10 + self.apart * len(picture.lanes) + 6
        self.room = NARROW - self.words - 4
        self.dots: dict[tuple[int, int], float] = {}
        """(lane, row) -> where its dot is: there begins and ends what is drawn beside the words."""

    def x(self, lane: int) -> float:
        return 12 + lane * self.apart

    def drawing(self) -> Drawing:
        y = 4.0
        tops: list[float] = []
        previous = -1
        for card in self.picture.cards:
            if len(tops) == card.row:
                tops.append(y)
            y = self.card(card, y, previous)
            previous = card.lane
        tops.append(y)
        self.rails(tops)
        return Drawing("narrow", NARROW, self.endings(y + 6), tuple(self.shapes))

    def card(self, card: Card, y: float, previous: int) -> float:
        row, stuck = card.row, card.waits and self.picture.conclusion
        if card.lane != previous:
            lane = self.picture.lanes[card.lane]
            y = self.lines("name", self.words, y + 6, wrap(lane.name, self.room, TEXT, bold=True, most=3), row)
        number = f"{row + 1}. " if card.steps else ""
        self.dots[card.lane, row] = y + LINE - 10
        self.dot("dot stuck" if stuck else "dot", self.x(card.lane), y + LINE - 10, row)
        indent = width("10. ", TEXT)
        self.says("number left", self.words, y + LINE - 5, number, row)
        y = self.lines(
            "said red" if stuck else "said", self.words + indent, y, wrap(card.text, self.room - indent, TEXT), row
        )
        for style, chip in self.chips(card, self.room - indent):
            y = self.chip(style, self.words + indent, y, chip, row)
        return y + 5

    def rails(self, tops: list[float]) -> None:
        stuck = {ending.lane for ending in self.picture.endings if ending.waits}
        below: list[Shape] = self.shapes
        self.shapes = []  # the rails lie under what is on them
        for lane in range(len(self.picture.lanes)):
            rows = [card.row for card in self.picture.cards if card.lane == lane]
            waits = next((c.row for c in self.picture.cards if c.lane == lane and c.waits and lane in stuck), -1)
            first, last = min(rows, default=0), max(rows, default=-1)
            if waits >= 0:
                self.rail("rail", lane, (first, waits), tops)
                self.rail("rail stuck", lane, (waits, self.picture.rows), tops)
            else:
                self.rail("rail", lane, (first, last), tops)
        thick = self.apart / 4
        for bar in self.picture.bars:
            x = self.x(bar.lane) + (thick if bar.place % 2 else -2 * thick)  # beside the rail, which it must not hide
            for row, begin, end in self.pieces(bar.lane, bar.first, bar.last, tops):
                self.box(f"bar {shade(bar.resource)}", x, begin, thick, end - begin, row)
        self.shapes += below

    def rail(self, style: str, lane: int, rows: tuple[int, int], tops: list[float]) -> None:
        for row, begin, end in self.pieces(lane, *rows, tops):
            self.line(style, [(self.x(lane), begin), (self.x(lane), end)], row)

    def pieces(self, lane: int, first: int, last: int, tops: list[float]) -> Iterator[tuple[int, float, float]]:
        """A line down a lane in pieces, (row, begin, end): from the dot of a row to that of another, or to the end."""
        for row in range(first, min(last, self.picture.rows - 1) + 1):
            begin = self.dots.get((lane, row), tops[row]) if row == first else tops[row]
            end = self.dots.get((lane, row), tops[row] + LINE) if row == last else tops[row + 1]
            if end > begin:
                yield row, begin, end

    def endings(self, top: float) -> float:
        """Who waits for whom, in the order of the circle, one below the other; an arrow leads back to the first."""
        picture, row, y = self.picture, self.picture.rows, top
        boxes: dict[int, tuple[float, float]] = {}
        for ending in self.circle():
            begin = y
            held, waits = sentence(picture, ending)
            for style, text, said in ((self.keeps(ending), "inverse bold", held), ("waits", "inverse onred", waits)):
                if said:
                    lines = wrap(said, NARROW - 40 - 2 * PAD, TEXT, bold=True)
                    self.box(style, 30, y, NARROW - 40, len(lines) * LINE + PAD, row)
                    y = self.lines(text, 30 + PAD, y + PAD / 2, lines, row) + PAD / 2
            boxes[ending.lane] = (begin, y)
            y += 22
        return self.caption(self.arrows(boxes, row, y - 22) if picture.arrows else y)

    def circle(self) -> list[Ending]:
        """The endings, each followed by the one that it waits for where that has not been told."""
        left = {ending.lane: ending for ending in self.picture.endings}
        after = {arrow.source: arrow.target for arrow in self.picture.arrows if arrow.circle}
        found: list[Ending] = []
        lane = next((ending.lane for ending in self.picture.endings if ending.waits), -1)
        while left:
            if lane not in left:
                lane = next(iter(left))
            found.append(left.pop(lane))
            lane = after.get(lane, -1)
        return found

    def arrows(self, boxes: dict[int, tuple[float, float]], row: int, bottom: float) -> float:
        x = 30.0
        for arrow in self.picture.arrows:
            if arrow.source not in boxes or arrow.target not in boxes:
                continue
            (_, end), (begin, last) = boxes[arrow.source], boxes[arrow.target]
            style = "circle" if arrow.circle else "holder"
            if 0 < begin - end < 30:
                self.line(f"arrow {style}", [(NARROW / 2, end), (NARROW / 2, begin - 1)], row)
                continue
            x -= 9
            into = (begin + last) / 2
            self.line(f"arrow {style}", [(30, end - 10), (x, end - 10), (x, into), (29, into)], row)
        return bottom

    def caption(self, top: float) -> float:
        text, style = self.picture.conclusion, "caption deadlock"
        if not text:
            text, style = "All of them get through.", "caption through"
        return self.lines(style, 4, top + 10, wrap(text, NARROW - 8, TEXT, bold=True, most=12), self.picture.rows) + PAD


# --- SVG -------------------------------------------------------------------------------------------------------------


def svg(picture: Picture, title: str) -> str:
    """The wide picture as a file of its own, which follows the reader's choice of light and dark."""
    from reviewbot.report.templating import environment

    return environment().get_template("picture.svg.j2").render(drawing=wide(picture), title=title, alone=True)
