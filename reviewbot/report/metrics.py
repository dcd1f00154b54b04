"""How wide text is in a picture: an estimate on the wide side, since nobody knows the fonts of the reader."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

_WIDTHS = (
    ("ijl.,:;'|!", 0.35),
    ('()[]ft-/\\"r ', 0.42),
    ("sczvxyk*_", 0.56),
    ("mwMW@%", 0.97),
    ("<>=+&#~", 0.8),
)
"""In ems, as DejaVu Sans has them, the widest of the usual fonts without serifs."""
_OF = {character: width for characters, width in _WIDTHS for character in characters}
_CAPITAL, _OTHER, _FOREIGN = 0.7, 0.63, 1.0
_BOLD = 1.09
MOST_LINES = 6
"""Lines of one text in a picture; what is longer stands in the text beside it."""


@lru_cache(4096)
def width(text: str, size: float, bold: bool = False) -> float:
    """The width of a text in pixels at a size in pixels."""
    ems = sum(_OF.get(c, _FOREIGN if not c.isascii() else _CAPITAL if c.isupper() else _OTHER) for c in text)
    return ems * size * (_BOLD if bold else 1.0)


def wrap(text: str, room: float, size: float, bold: bool = False, most: int = MOST_LINES) -> list[str]:
    """The text in lines of at most `room` pixels, and no more than `most` lines."""
    lines = wrapped(text, room, partial(width, size=size, bold=bold))
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1][:-1]}…"]


def wrapped(text: str, room: float, wide: Callable[[str], float]) -> list[str]:
    """The text in lines of at most `room`, as `wide` measures; a longer word is broken, best behind a sign of C."""
    lines: list[str] = []
    for word in text.split():
        if lines and wide(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
            continue
        *pieces, word = _pieces(word, room, wide)
        lines += [*pieces, word]
    return lines


def _pieces(word: str, room: float, wide: Callable[[str], float]) -> list[str]:
    """A word in pieces that fit."""
    pieces: list[str] = []
    while wide(word) > room and len(word) > 1:
        end = max(1, next((n for n in range(len(word), 0, -1) if wide(word[:n]) <= room), 1))
        signs = [n for n in range(end, end // 3, -1) if word[n - 1] in "_>(./" and word[n - 1 : n + 1] != "()"]
        end = next((n for n in signs if len(word) - n > 3), end)  # a piece of a few letters would look lost
        pieces.append(word[:end])
        word = word[end:]
    return [*pieces, word]
