"""The picture of a schedule, wide: lanes side by side with what happens in them, and the arrows of the circle below."""

from __future__ import annotations

from reviewbot.report.metrics import wrap
from reviewbot.report.picture import Arrow, Card, Ending, Picture
from reviewbot.report.shapes import LINE, PAD, SMALL, TEXT, Drawing, Pen, sentence, shade

GUTTER, LANE_LEAST, LANE_MOST, WIDE = 34.0, 172.0, 400.0, 1040.0
BAR, GAP = 7.0, 3.0
PORT, DEPTH = 32.0, 24.0
"""How far apart arrows leave and enter a lane, and how far below each other they run."""
ROWS_IN_SIGHT = 12
"""From this row on cards say whose they are: one does not see them together with the heads."""


def wide(picture: Picture) -> Drawing:
    """Lanes side by side."""
    return _Wide(picture).drawing()


class _Wide(Pen):
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
        text, style = self.conclusion()
        lines = wrap(text, self.total - 2 * PAD, TEXT, bold=True)
        return self.lines(style, PAD, top + 14, lines, self.picture.rows) + PAD
