"""An exception as it may be shown to anybody: its type and the line of ours that it came from, never its message."""

from __future__ import annotations

from pathlib import Path
from traceback import walk_tb

from reviewbot.types import Fault

HERE = Path(__file__).resolve().parent
OURS = (HERE, HERE.parent / "heuristics")


def fault(error: BaseException, rule: str = "") -> Fault:
    """The fault that an exception stands for; rule: the id of the rule that it happened in."""
    at = ""
    for frame, line in walk_tb(error.__traceback__):
        if name := _ours(frame.f_code.co_filename):
            at = f"{name}:{line}"
    return Fault(rule=rule, type=type(error).__name__, at=at)


def _ours(file: str) -> str:
    """A file of ours, from the folder above its package on; empty for any other."""
    path = Path(file)
    for folder in OURS:
        if path.is_relative_to(folder):
            return path.relative_to(folder.parent).as_posix()
    return ""
