"""Counts as bars, lying one below the other, each of some pieces: a drawing as those of schedules are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reviewbot.report.metrics import width
from reviewbot.report.shapes import SMALL, Drawing, Shape

ROW, THICK, ROOM, GAP = 20.0, 13.0, 560.0, 10.0
"""Height of a row and of its bar, pixels of the longest bar, and between texts and bars."""


def bars(rows: Sequence[tuple[str, Mapping[str, float]]], shades: Mapping[str, int], digits: int = 0) -> Drawing:
    """A row for each name with its pieces side by side and their sum behind them; above, what the shades mean.

    rows: name -> piece -> how much, at least 0. shades: piece -> number of its colour, in the order of the pieces.
    """
    left = max((width(name, SMALL) for name, _ in rows), default=0.0) + 2 * GAP  # fonts differ
    most = max((sum(parts.values()) for _, parts in rows), default=0.0) or 1.0
    shapes: list[Shape] = []
    x = left
    for piece, shade in shades.items():
        shapes.append(Shape("rect", f"bar shade{shade}", x, 2, THICK, THICK))
        shapes.append(Shape("text", "whose", x + THICK + 4, THICK, text=piece))
        x += THICK + 4 + width(piece, SMALL, bold=True) + 2 * GAP
    for number, (name, parts) in enumerate(rows, 1):
        y = number * ROW + GAP
        shapes.append(Shape("text", "number", left - GAP, y + THICK - 2, text=name))
        at = left
        for piece, shade in shades.items():
            long = ROOM * parts.get(piece, 0.0) / most
            if long > 0:
                shapes.append(Shape("rect", f"bar shade{shade}", at, y, max(long, 1.0), THICK))
                at += max(long, 1.0)
        shapes.append(Shape("text", "whose", at + GAP / 2, y + THICK - 2, text=f"{sum(parts.values()):,.{digits}f}"))
    wide = max(left + ROOM + 70, x)
    return Drawing("wide", wide, (len(rows) + 1) * ROW + 2 * GAP, tuple(shapes))


def bars_svg(drawing: Drawing, title: str) -> str:
    """The drawing as a file of its own."""
    from reviewbot.report.templating import environment

    return environment().get_template("picture.svg.j2").render(drawing=drawing, title=title, alone=True)
