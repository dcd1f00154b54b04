"""What was reproduced, as text for the maintainer: how often, who sat where, and what was artificial about it."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterator

from reviewbot.reproduce.console import SleepingTask
from reviewbot.reproduce.reproduction import Reproduction, label, seated
from reviewbot.reproduce.splats import agreed
from reviewbot.types import Verdict

WIDTH = 72
CLOCKS = {"inf-cpu": "passes only when all tasks sleep", "basic": "leaps ahead when all tasks sleep"}
FRAMES = 7
"""Functions of a stack that are told."""
NEVER = 12
"""Statements that are told to have never run."""
OTHERS = 3
"""Sleepers that are told besides those of the schedule."""
PLUMBING = (
    "__schedule", "schedule", "schedule_timeout", "io_schedule", "io_schedule_timeout", "__switch_to",
    "schedule_preempt_disabled", "wait_for_completion", "wait_for_completion_io", "__wait_for_common",
    "wait_for_common", "_raw_spin_unlock_irq", "new_thread_handler", "kthread", "worker_thread",
    "process_scheduled_works", "process_one_work", "userspace", "handle_syscall", "interrupt_end",
)  # fmt: skip
"""How a task falls asleep and where all begin, which says nothing."""


def text(found: Reproduction, verdict: Verdict | None = None) -> str:
    """The report, wrapped for a mail; with the verdict it is compared with what lockdep said."""
    parts = [_head(found), _counts(found)]
    if found.splats:
        parts += ["What lockdep said of the first:", "\n".join(_complaints(found, verdict))]
    if found.seen:
        parts += ["Who slept at the same place all the time:", "\n".join(_seats(found))]
        parts += [_lifted(found)]
    if found.marks:
        parts += [_reached(found), _noticed(found), _filled(found.driver.quiet)]
    parts += ["This was not a machine as it stands:", "\n".join(_conditions(found))]
    return "\n\n".join(filter(None, parts))


def _head(found: Reproduction) -> str:
    what = f"User Mode Linux, {found.driver.title}."
    if found.shown:
        verdict = "The deadlock happens on a real kernel." if found.guilty.hung else "Lockdep sees it on a real kernel."
    elif found.control.hung or found.control.count("complained"):
        verdict = "It happens without the patch, too: this says nothing of it."
    elif found.guilty.hung or found.guilty.count("complained"):
        verdict = "Something is wrong with the kernel, but the one to compare it with did not always come to its end."
    elif found.guilty.count("failed") == len(found.guilty.boots):
        verdict = "The scenario could not be set up: this says nothing of the patch."
    else:
        verdict = "Nothing happened on a real kernel."
    return _filled(f"{verdict} {what}")


def _counts(found: Reproduction) -> str:
    return "\n".join(f"  {label(side.side):<15} {side.told}" for side in (found.guilty, found.control))


def _complaints(found: Reproduction, verdict: Verdict | None) -> Iterator[str]:
    for splat in found.splats:
        locks = f", of {', '.join(splat.locks[:4])}" if splat.locks else ""
        both = agreed(splat, verdict) if verdict else ()
        schedule = f"; it names {', '.join(f'{name}()' for name in both[:5])} of the schedule" if both else ""
        other = "; it names no function of the schedule" if verdict and not both else ""
        yield _item(f"{splat.line} ({splat.about}{locks}){schedule}{other}")


def _seats(found: Reproduction) -> Iterator[str]:
    taken = []
    for seat, task in seated(found.seen, found.driver):
        if task is None:
            yield _item(f"{seat.role}: nobody was seen who {seat.doing}")
            continue
        taken.append(task)
        yield _item(f"{task.told}: {seat.role}, {seat.doing}\n{stack(task)}")
    others: dict[tuple[str, str], list[SleepingTask]] = defaultdict(list)
    for task in found.seen:
        if task not in taken:
            others[task.work or task.name, stack(task)].append(task)
    groups = sorted(others.values(), key=len, reverse=True)
    for alike in groups[:OTHERS]:
        many = f" and {len(alike) - 1} like it" if len(alike) > 1 else ""
        yield _item(f"{alike[0].told}{many}{', too' if taken else ''}\n{stack(alike[0])}")
    if rest := sum(map(len, groups[OTHERS:])):
        yield _item(f"and {rest} more")


def stack(task: SleepingTask) -> str:
    """The functions of a stack that say something, the innermost first."""
    told = [frame for frame in task.stack if frame.split(".")[0] not in PLUMBING]
    return " <- ".join(told[:FRAMES])


def _reached(found: Reproduction) -> str:
    """Which lines of the patch ran where nothing happened."""
    never = [mark for mark in found.marks if str(mark) not in found.reached]
    if len(never) == len(found.marks):
        return _filled("No line of the patch ran: the scenario does not come to it.")
    if not never:
        return _filled(f"All {len(found.marks)} statements of the patch ran.")
    head = _filled(f"Of the {len(found.marks)} statements of the patch these never ran:")
    told = [_item(f"{mark.file}:{mark.line}\n{mark.text}") for mark in never[:NEVER]]
    more = [_item(f"and {len(never) - NEVER} more")] if len(never) > NEVER else []
    return "\n".join([head, *told, *more])


def _noticed(found: Reproduction) -> str:
    """What the kernel saw where nothing happened."""
    told = [_item(f"{words} ({many} {'time' if many == 1 else 'times'})") for words, many in found.noticed[:OTHERS]]
    return "\n".join(["What it saw on the way:", *told]) if told else ""


def _lifted(found: Reproduction) -> str:
    """What came of it when memory could be had again, where a driver makes it short."""
    looked = [b.log.after for b in found.guilty.boots if b.ending == "hung" and b.log.after is not None]
    if not looked or not found.driver.short_memory:
        return ""
    still = sum(after > 0 for after in looked)
    return _filled(
        f"Memory was given back in the end, which on a machine is what this I/O would have to do: {still} of {len(looked)} "
        "runs hung on all the same."
    )


def _conditions(found: Reproduction) -> Iterator[str]:
    for condition in (*found.driver.conditions, *(f"both kernels have {why}" for why in found.recipes)):
        yield _item(condition)
    yield _item(f"one processor, and time that {CLOCKS[found.driver.clock]}")


def _item(words: str) -> str:
    first, _, below = words.partition("\n")
    lines = textwrap.wrap(first, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
    lines += textwrap.wrap(below, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines)


def _filled(words: str) -> str:
    return "\n".join(textwrap.wrap(words, WIDTH, break_long_words=False, break_on_hyphens=False))
