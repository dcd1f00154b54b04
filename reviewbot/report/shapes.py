"""Shapes with coordinates, and the pen that draws what every picture of a schedule has: boxes, lines, words, chips.

Shapes carry the row with which they come in, so that a page can step through them; the last row is the deadlock.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from reviewbot.report.metrics import wrap
from reviewbot.report.picture import Card, Ending, Picture
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


class Pen:
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
        """A box with its top left corner at x, y."""
        self.shapes.append(Shape("rect", style, x, y, max(wide, 0.0), max(high, 0.0), row=row))

    def line(self, style: str, points: list[tuple[float, float]], row: int) -> None:
        """A line through some points."""
        (x, y), *rest = points
        d = f"M{x:g} {y:g}" + "".join(f"L{a:g} {b:g}" for a, b in rest)
        self.shapes.append(Shape("path", style, d=d, row=row))

    def dot(self, style: str, x: float, y: float, row: int) -> None:
        """A dot around x, y."""
        self.shapes.append(Shape("dot", style, x, y, row=row))

    def says(self, style: str, x: float, y: float, text: str, row: int) -> None:
        """A text on one line that stands on y."""
        self.shapes.append(Shape("text", style, x, y, text=text, row=row))

    def lines(self, style: str, x: float, y: float, lines: list[str], row: int) -> float:
        """Lines of text below each other, the first with its top at y; returns where they end."""
        for line in lines:
            self.says(style, x, y + LINE - 5, line, row)
            y += LINE
        return y

    def conclusion(self) -> tuple[str, str]:
        """The words below the picture, and their classes."""
        if self.picture.conclusion:
            return self.picture.conclusion, "caption deadlock"
        return "All of them get through.", "caption through"
