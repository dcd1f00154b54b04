"""A trace as text: its steps in numbers, or in the two columns of lockdep, and the sentence that closes the circle."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from itertools import groupby

from reviewbot.types import Trace

WIDTH = 72
GAP = "    "
COLUMN = (WIDTH - len(GAP)) // 2
"""Characters for each of two tasks."""
ENGLISH = re.compile(r"(the|an?|another|whoever|somebody|writeback) ")
"""What a sentence may begin with that is written with a capital then: no name out of the code."""
KIND = re.compile(r" #\d+$")
"""The number that tells a task from the others of its class."""
SLEEPS = "blocks in "
Turn = tuple[str, list[str]]
"""A task, and what it does before another one goes on."""
MOST_LINES = 3
"""Lines of a step in a column; with more of them nobody would read it."""


def schedule(trace: Trace) -> str:
    """The steps: side by side where two tasks take turns, as two that take their locks in each other's order do."""
    return columns(trace) or numbered(trace)


def numbered(trace: Trace) -> str:
    """The numbered steps of a schedule, wrapped; consecutive steps of one task are one number."""
    told = []
    for alike in _alike(_turns(trace)):
        (task, steps), *others = alike
        each = [name for name, _ in alike]
        if others and sorted(each) == sorted(_siblings(trace, task)):
            told.append(_sentence(f"each {KIND.sub('', task)}", steps))
        else:
            told += [_sentence(task, steps), *(f"{name} does the same" for name in each[1:])]
    return "\n".join(_item(n, text) for n, text in enumerate(told, 1))


def columns(trace: Trace) -> str:
    """The steps in two columns, time going down, as in lockdep's reports (kernel/locking/lockdep.c).

    Empty where more or less than two tasks take part, where each is done after one turn, and what does not fit a mail.
    """
    turns = _turns(trace)
    tasks = list(dict.fromkeys(task for task, _ in turns))
    if len(tasks) != 2 or len(turns) < 3:
        return ""
    lines = [_side_by_side(*tasks), _side_by_side(*("-" * len(task) for task in tasks))]
    for task, steps in turns:
        for step in steps:
            parts = textwrap.wrap(step, COLUMN, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
            if len(parts) > MOST_LINES:
                return ""
            lines += parts if task == tasks[0] else [" " * COLUMN + GAP + part for part in parts]
            if task == tasks[0] and any(len(part) > COLUMN for part in parts):
                return ""
    return "" if any(len(line) > WIDTH for line in lines) else "\n".join(lines)


def knot(trace: Trace) -> str:
    """Who waits for whom, as one sentence that comes back to its start and ends in `deadlock`."""
    told = [wait.told or f"{wait.task} waits for {wait.waits_for}, from {wait.held_by}" for wait in trace.knot]
    text = ", and ".join(filter(None, (", ".join(told[:-1]), told[-1]))) + " - deadlock."
    return text[:1].upper() + text[1:] if ENGLISH.match(text) else text


def _turns(trace: Trace) -> list[Turn]:
    """Each turn of a task with what it does in it, said once: that it still sleeps where it went to sleep is left out."""
    turns = []
    told: dict[str, list[str]] = {}
    for task, steps in groupby(trace.steps, lambda step: step.task):
        said, new = told.setdefault(task, []), []
        for step in dict.fromkeys(step.step for step in steps):
            if not still(step, said):
                new.append(step)
                said.append(step)
        if new:
            turns.append((task, new))
    return turns


def still(step: str, said: Sequence[str]) -> bool:
    """Whether a step only says that the task sleeps where it was said to sleep."""
    return step.startswith(SLEEPS) and any(other.startswith(f"{step}, ") for other in said)


def _alike(turns: Sequence[Turn]) -> list[list[Turn]]:
    """The turns, with those of tasks of one class that do the same one after the other together."""
    found: list[list[Turn]] = []
    for turn in turns:
        if found and _kind(found[-1][-1]) == _kind(turn) and turn[0] not in [task for task, _ in found[-1]]:
            found[-1].append(turn)
        else:
            found.append([turn])
    return found


def _kind(turn: Turn) -> tuple[str, list[str]]:
    return KIND.sub("", turn[0]), turn[1]


def _siblings(trace: Trace, task: str) -> list[str]:
    """The tasks of a class that take part."""
    return [*dict.fromkeys(s.task for s in trace.steps if KIND.sub("", s.task) == KIND.sub("", task))]


def _sentence(task: str, steps: Sequence[str]) -> str:
    joined = ", and " if any(", " in step for step in steps) else " and "
    text = joined.join(filter(None, (", ".join(steps[:-1]), steps[-1])))
    return text if text.startswith(task) else f"{task} {text}" if text[:1].islower() else f"{task}: {text}"


def _item(number: int, text: str) -> str:
    start = f"{number}. "
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _side_by_side(left: str, right: str) -> str:
    return f"{left.center(COLUMN)}{GAP}{right.center(COLUMN)}".rstrip()
