"""The picture of a schedule, narrow, for a phone: lanes as rails, and the words to their right."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.report.metrics import width, wrap
from reviewbot.report.picture import Card, Ending, Picture
from reviewbot.report.shapes import LINE, PAD, TEXT, Drawing, Pen, Shape, sentence, shade

NARROW, RAILS = 360.0, 92.0


def narrow(picture: Picture) -> Drawing:
    """Rails on the left, words on the right, no wider than a phone."""
    return _Narrow(picture).drawing()


class _Narrow(Pen):
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
        text, style = self.conclusion()
        return self.lines(style, 4, top + 10, wrap(text, NARROW - 8, TEXT, bold=True, most=12), self.picture.rows) + PAD
