"""A bar on standard error while many results come."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Result = TypeVar("Result")


def progress(results: Iterable[Result], what: str, total: int) -> Iterator[Result]:
    """The results; where standard error is a terminal, with a bar that says how many of `total` there are."""
    from rich.console import Console
    from rich.progress import track

    console = Console(file=sys.stderr)
    yield from track(results, what, total, console=console, disable=not console.is_terminal, transient=True)
