"""Progress bars of a poll, on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from reviewbot.text import clean


class Bars:
    """A bar for each source that has new mail, one for the reviews. A context manager."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def reading(self, list_: str, source: str, done: int, total: int) -> None:
        """Mails of a source, read and to be read."""
        if total:
            self._bar(f"{list_}/{source}", done, total)

    def reviewing(self, subject: str, done: int, left: int) -> None:
        """A review begins."""
        if done + left:
            self._bar("reviews", done, done + left)
        if subject:
            self._progress.update(self._tasks["reviews"], description=f"reviews {escape(clean(subject)[:40])}")

    def busy(self, line: str) -> None:
        """Another run is at a list."""
        self.said(line)

    def said(self, line: str) -> None:
        """A fault."""
        self._progress.console.print(f"reviewbot: {escape(' '.join(line.split()))}")

    def _bar(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(escape(name), total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)
