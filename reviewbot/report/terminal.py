"""The picture of a schedule in a terminal: lanes side by side, what is held as coloured bars, up to a row or all of it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from reviewbot.report.metrics import wrapped
from reviewbot.report.picture import Card, Ending, Picture

COLOURS = ("bright_blue", "yellow", "cyan", "magenta", "green", "bright_magenta")
"""For what is held and waited for; with more of them they begin anew."""
PLAIN, STUCK = "bright_black", "bold red"
GUTTER = 4
NARROWEST = 18
"""Columns of a lane; with fewer its words would stand one below the other."""
SIGNS = {"┃": "|", "╹": "'", "│": ".", "┊": ":", "→": "->"}
"""What to write where the terminal has no such signs."""


def drawn(picture: Picture, width: int, until: int | None = None, unicode: bool = True) -> list[Text]:
    """The lines of the picture; none where its lanes do not fit into so many columns.

    until: the last row to draw, from 0; the number of rows stands for the deadlock, None for all of it.
    """
    if not picture.lanes or (width - GUTTER) // len(picture.lanes) < NARROWEST:
        return []
    lines = list(_Terminal(picture, width, picture.rows if until is None else until).lines())
    return lines if unicode else [_plain(line) for line in lines]


def colour(picture: Picture, name: str) -> str:
    """The style for something that is held or waited for."""
    shade = picture.shade(name)
    return COLOURS[shade % len(COLOURS)] if shade >= 0 else PLAIN


def circle(picture: Picture, unicode: bool = True) -> Text:
    """Who waits for whom as one line that comes back to its start; empty without a circle."""
    after = {arrow.source: arrow.target for arrow in picture.arrows if arrow.circle}
    first = next((arrow.source for arrow in picture.arrows if arrow.circle), -1)
    names, lane = [], first
    while lane in after:
        names.append(picture.lanes[lane].name)
        lane = after.pop(lane)
    text = Text(" → ".join([*names, picture.lanes[lane].name]) if names else "", style=STUCK)
    return text if unicode else _plain(text)


class _Terminal:
    def __init__(self, picture: Picture, width: int, until: int) -> None:
        self.picture, self.until = picture, until
        self.wide = min((width - GUTTER) // len(picture.lanes), 44)
        of = [[bar.place for bar in picture.bars if bar.lane == lane] for lane in range(len(picture.lanes))]
        self.places = [max(places, default=-1) + 1 for places in of]

    def lines(self) -> Iterator[Text]:
        yield from self.row(
            [[(line, "bold") for line in self.wrap(n, lane.name)] for n, lane in enumerate(self.picture.lanes)]
        )
        yield from self.row([[("─" * self.room(n), "dim")] for n in range(len(self.picture.lanes))])
        for number in range(min(self.until + 1, self.picture.rows)):
            cards = {card.lane: card for card in self.picture.cards if card.row == number}
            cells = [self.card(cards[n]) if n in cards else [] for n in range(len(self.picture.lanes))]
            yield from self.row(cells, number)
        if self.until >= self.picture.rows and self.picture.endings:
            yield Text("")
            ends = {ending.lane: ending for ending in self.picture.endings}
            yield from self.row([self.ending(ends[n]) if n in ends else [] for n in range(len(self.picture.lanes))])

    def room(self, lane: int) -> int:
        """Columns for the words of a lane."""
        return self.wide - self.places[lane] - 2

    def wrap(self, lane: int, text: str) -> list[str]:
        return wrapped(text, self.room(lane), len) or [""]

    def card(self, card: Card) -> list[tuple[str, str]]:
        """Its lines with their styles."""
        stuck = bool(card.waits and self.picture.conclusion)
        cell = [(line, "red" if stuck else "") for line in self.wrap(card.lane, card.text)]
        for name in card.takes:
            cell += [(line, colour(self.picture, name)) for line in self.wrap(card.lane, f"holds {name}")]
        if stuck and self.picture.shade(card.waits) >= 0:
            cell += [(line, colour(self.picture, card.waits)) for line in self.wrap(card.lane, f"wants {card.waits}")]
        return cell

    def ending(self, ending: Ending) -> list[tuple[str, str]]:
        """How it is with a lane at the end: its lines with their styles."""
        said = []
        if ending.holds:
            said.append((f"holds {' and '.join(ending.holds)}", f"{colour(self.picture, ending.holds[0])} reverse"))
        if ending.said:
            said.append((ending.said, ""))
        if ending.waits:
            said.append((f"waits {ending.waits}", "white on red"))
        return [(line, style) for text, style in said for line in self.wrap(ending.lane, text)]

    def row(self, cells: list[list[tuple[str, str]]], number: int = -1) -> Iterator[Text]:
        """The lines of one row of all lanes."""
        for n in range(max(1, *map(len, cells))):
            line = Text(f"{number + 1:3} " if number >= 0 and n == 0 else " " * GUTTER, style="dim")
            for lane, cell in enumerate(cells):
                line.append_text(self.bars(lane, number, n))
                words, style = cell[n] if n < len(cell) else self.rail(lane, number)
                line.append(f" {words:{self.room(lane)}} ", style=style)
            line.rstrip()
            yield line

    def bars(self, lane: int, row: int, line: int) -> Text:
        """What the lane holds there, a column each."""
        text = Text()
        for place in range(self.places[lane]):
            bar = next(
                (b for b in self.picture.bars if (b.lane, b.place) == (lane, place) and b.first <= row <= b.last), None
            )
            here = bar is not None and (row < bar.last or line == 0)
            sign = ("╹" if bar and row == bar.last else "┃") if here else " "
            text.append(sign, style=colour(self.picture, bar.name) if bar else "")
        return text

    def rail(self, lane: int, row: int) -> tuple[str, str]:
        """What stands in a lane beside a card of another one."""
        cards = [card for card in self.picture.cards if card.lane == lane]
        stuck = {ending.lane for ending in self.picture.endings if ending.waits}
        if row < 0 or not cards or row < cards[0].row:
            return "", ""
        if lane in stuck and any(card.waits and card.row <= row for card in cards):
            return "┊", "red"
        return ("│", "dim") if row <= cards[-1].row else ("", "")


def _plain(line: Text) -> Text:
    for sign, instead in {**SIGNS, "─": "-"}.items():
        if sign in line.plain:
            styles = line.spans
            line = Text(line.plain.replace(sign, instead), style=line.style)
            line.spans = styles
    return line
