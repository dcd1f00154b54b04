"""Which lines of a patch a run executes: each of its statements says once that it was reached.

That tells a scenario in which nothing happened from one that never came to the patched code, and shows where the real
kernel goes another way than the schedule.
"""

from __future__ import annotations

from collections.abc import Mapping

from reviewbot.csource.marks import marked
from reviewbot.limits import MAX_MARKED_LINES
from reviewbot.types import Change, Side, Source, Value


class MarkedLine(Value, frozen=True):
    """A line of a patch that says when it runs."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def marks(
    change: Change, side: Side, source: Source, files: Mapping[str, bytes | None]
) -> tuple[dict[str, bytes | None], tuple[MarkedLine, ...]]:
    """The changed files of one side with marks in front of what the patch has there, and the lines that got one.

    In: the files of that side, and those of them (or edited ones) that the kernel is built with. A headers' lines get
    none: it is compiled many times, in places where nothing can be printed.
    """
    made = dict(files)
    lines: list[MarkedLine] = []
    for file in change.files:
        path = file.path if side is Side.AFTER else file.old_path or file.path
        content = files.get(path) or source.read(path)
        wanted = sorted(file.added() if side is Side.AFTER else file.removed())[: MAX_MARKED_LINES - len(lines)]
        if not path.endswith(".c") or content is None or not wanted:
            continue
        made[path], found = marked(content, wanted, lambda line, path=path: _mark(path, line))  # type: ignore[misc]
        rows = content.decode("utf-8", "replace").split("\n")
        lines += [MarkedLine(path, line, rows[line - 1].strip()) for line in found]
    return made, tuple(lines)


def _mark(path: str, line: int) -> str:
    return f'printk_once(KERN_INFO "reviewbot: reached {path}:{line}\\n");'
