"""A schedule of two tasks side by side, time going down, as lockdep reports show it (kernel/locking/lockdep.c)."""

from __future__ import annotations

import textwrap

from reviewbot.types import Trace

COLUMN = 34
"""Characters for each task; a longer name than that is not broken."""
GAP = "    "
WIDTH = 76


def columns(trace: Trace) -> str:
    """The schedule in two columns; empty where it takes more than two tasks or only one, or does not fit a mail."""
    tasks = list(dict.fromkeys(step.task for step in trace.steps))
    if len(tasks) != 2 or not trace.knot:
        return ""
    lines = [GAP.join((_centred(tasks[0]), _centred(tasks[1]))), GAP.join(_centred("-" * len(t)) for t in tasks)]
    for step in trace.steps:
        for part in textwrap.wrap(step.step, COLUMN, subsequent_indent="  ", break_long_words=False):
            lines.append(part if step.task == tasks[0] else " " * (COLUMN + len(GAP)) + part)
    if any(len(line.rstrip()) > WIDTH for line in lines):
        return ""
    return "\n".join(line.rstrip() for line in [*lines, "", " *** DEADLOCK ***"])


def _centred(text: str) -> str:
    return text.center(COLUMN)
