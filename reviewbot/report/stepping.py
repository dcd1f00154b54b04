"""A schedule on the screen, step by step: the picture up to a step, and the code that it stands for."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.text import Text

from reviewbot.types import ReviewError

if TYPE_CHECKING:
    from reviewbot.report.picture import Picture
    from reviewbot.types import ScheduleCode, Source, Trace

ON, BACK, END = (
    ("\r", "\n", " ", "n", "\x1b[C", "\x1b[B"),
    ("b", "p", "\x7f", "\x1b[D", "\x1b[A"),
    ("q", "\x03", "\x1b"),
)
AROUND = 4
"""Lines of code before and after that of a step."""


@contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """What waits for a key and tells it; keys are not echoed meanwhile, and those that come early are kept."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield lambda: os.read(terminal, 16).decode("utf-8", "replace") or END[0]
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def through(trace: Trace, title: str, source: Source | None) -> int:
    """Go through a schedule, a key a step, on a terminal. Raises ReviewError where there is none."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ReviewError("--step needs a terminal; without it `reviewbot explain` shows all steps at once")
    from reviewbot.report.explain import code
    from reviewbot.report.picture import layout

    picture = layout(trace)
    lines = code(trace.steps, source) if source else None
    console = Console(highlight=False)
    with keys() as key, console.screen() as screen:
        at = 0
        while True:
            screen.update(view(picture, trace, lines, title, at, console))
            pressed = key()
            if pressed in END:
                return 0
            if pressed in ON and at == picture.rows:
                return 0
            at += (pressed in ON) - (pressed in BACK and at > 0)


def view(
    picture: Picture, trace: Trace, lines: ScheduleCode | None, title: str, at: int, console: Console
) -> RenderableType:
    """What is on the screen at a row: the end of the picture that fits, the code of the step, the keys."""
    from reviewbot.report.terminal import circle, drawn

    parts: list[RenderableType] = [Text(title, style="bold", no_wrap=True, overflow="ellipsis"), Text("")]
    unicode = console.encoding.startswith("utf")
    shown = drawn(picture, console.width, at, unicode)
    below: list[RenderableType] = []
    if at == picture.rows:
        below = [Text(""), Text(picture.conclusion, style="bold red"), circle(picture, unicode)]
    elif excerpt := _excerpt(picture, trace, lines, at):
        below = [Text(""), *excerpt]
    room = console.height - len(parts) - 2 * AROUND - 7
    if not shown:  # lanes that do not fit
        shown = [Text(f"{c.row + 1:3} {picture.lanes[c.lane].name} {c.text}") for c in picture.cards if c.row <= at]
    keys = Text(f"{min(at + 1, picture.rows)} of {picture.rows}   space: on   b: back   q: end", style="dim")
    return Group(*parts, *shown[:2], *shown[2:][-max(room, 4) :], *below, Text(""), keys)


def _excerpt(picture: Picture, trace: Trace, lines: ScheduleCode | None, at: int) -> list[RenderableType]:
    """The lines of code around that of a step."""
    from rich.syntax import Syntax

    from reviewbot.report.page import shown

    step = next((card.steps[0] for card in picture.cards if card.row == at and card.steps), -1)
    number = lines.lines[step] if lines and step >= 0 else 0
    file = trace.steps[step].file
    for excerpt in lines.excerpts if lines and number else ():
        if excerpt.file == file and excerpt.first <= number < excerpt.first + len(excerpt.lines):
            first = max(excerpt.first, number - AROUND)
            last = min(excerpt.first + len(excerpt.lines) - 1, number + AROUND)
            text = "\n".join(shown(line) for line in excerpt.lines[first - excerpt.first : last + 1 - excerpt.first])
            code = Syntax(text, "c", line_numbers=True, start_line=first, highlight_lines={number}, theme="ansi_dark")
            return [Text(f"{file}:{number}", style="dim"), code]
    return []
