"""What lockdep and its kin complained of on a console: the kind of the complaint, the locks, and the functions it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reviewbot.limits import MAX_SPLAT_LINES, MAX_SPLATS
from reviewbot.types import Trace, Value, Verdict

KINDS = {
    "possible circular locking dependency": "lock order",
    "possible recursive locking": "recursion",
    "inconsistent lock state": "a lock of an interrupt",
    "possible irq lock inversion dependency": "a lock of an interrupt",
    "HARDIRQ-safe -> HARDIRQ-unsafe lock order": "a lock of an interrupt",
    "SOFTIRQ-safe -> SOFTIRQ-unsafe lock order": "a lock of an interrupt",
    "Invalid wait context": "sleep in atomic",
    "sleeping function called from invalid context": "sleep in atomic",
    "scheduling while atomic": "sleep in atomic",
    "lock held when returning to user space": "missing unlock",
    "still has locks held": "missing unlock",
    "leaked atomic, lock or RCU": "missing unlock",
    "leaked lock or atomic": "missing unlock",
    "bad unlock balance": "missing unlock",
    "held lock freed": "missing unlock",
    "Voluntary context switch within RCU read-side": "sleep in atomic",
    "do not call blocking ops when": "sleep while waiting",
    "is flushing !WQ_MEM_RECLAIM": "a flush without a rescuer",
    "suspicious RCU usage": "RCU",
    "spinlock recursion": "recursion",
    "spinlock bad magic": "a broken lock",
}
"""Words of a complaint -> what it is about."""
CLASSES = {
    "i_mutex_key": "i_rwsem",
    "i_mutex_dir_key": "i_rwsem",
    "s_umount_key": "s_umount",
    "invalidate_lock_key": "invalidate_lock",
}
"""Classes that have other names than the members that the locks are."""
_LOCK = re.compile(r"\(((?:\(\w+\))?\(?&?[\w>.*/:#-]+\)?)\)\{[^}]*\}-\{")
_FUNCTION = re.compile(r"(?:^\s+|\[<[0-9a-f]+>\] (?:\? )?|at: |\] )([A-Za-z_]\w*)(?:\.[\w.]+)?\+0x[0-9a-f]+/0x")
_PLACE = re.compile(r"\bat ([\w./-]+\.[ch]:\d+)")
_STEP = re.compile(r"\b([A-Za-z_]\w*)\(\)")
_MEMBER = re.compile(r"[A-Za-z_]\w*")


class Splat(Value, frozen=True):
    """One complaint: its first line, what it is about, the classes of the locks, and all functions of its traces."""

    line: str
    about: str
    locks: tuple[str, ...]
    functions: tuple[str, ...]


def splats(lines: Sequence[str]) -> list[Splat]:
    """The complaints of a console, in order; the same one over and over is one."""
    starts = [(at, kind) for at, kind in ((at, _kind(line)) for at, line in enumerate(lines)) if kind]
    found: dict[tuple[str, tuple[str, ...]], Splat] = {}
    for number, (at, kind) in enumerate(starts):
        end = starts[number + 1][0] if number + 1 < len(starts) else len(lines)
        body = lines[at : min(end, at + MAX_SPLAT_LINES)]
        splat = Splat(lines[at].strip(), KINDS[kind], _all(_LOCK, body), _all(_FUNCTION, body))
        found.setdefault((kind, splat.functions), splat)
    return list(found.values())[:MAX_SPLATS]


def agreed(splat: Splat, verdict: Verdict) -> tuple[str, ...]:
    """The functions that both a complaint and the schedule of a finding name, in the schedule's order."""
    mine = set(splat.functions)
    return tuple(name for name in dict.fromkeys(scheduled(verdict)) if name in mine)


def locked(splat: Splat, verdict: Verdict) -> tuple[str, ...]:
    """The classes of locks of a complaint that the schedule of a finding names, too: by the member that a lock is."""
    trace = verdict.trace
    told = [verdict.finding.object, *verdict.finding.facts]
    for step in trace.steps if trace else ():
        told += [*step.holds, step.waits]
    told += [edge.waits_for for edge in trace.knot] if trace else []
    mine = {word for text in told for word in _MEMBER.findall(text)}
    return tuple(name for name in splat.locks if _member(name) in mine)


def placed(splat: Splat, verdict: Verdict) -> str:
    """The line of the source, `file:line`, that a complaint is about, where the finding or its schedule names it, too."""
    mine = {f"{verdict.finding.at.file}:{verdict.finding.at.line}"}
    mine |= {f"{step.file}:{step.line}" for step in (verdict.trace.steps if verdict.trace else ())}
    return next((place for place in _PLACE.findall(splat.line) if place in mine), "")


def nearest(found: Sequence[Splat], verdict: Verdict | None) -> Splat | None:
    """Of several complaints the one that has most in common with a finding; the first where none has more."""
    if verdict is None:
        return next(iter(found), None)
    return max(
        found, key=lambda s: (placed(s, verdict), len(locked(s, verdict)), len(agreed(s, verdict))), default=None
    )


def _member(name: str) -> str:
    """The last word of the name of a class, as the member is called."""
    last: str = (_MEMBER.findall(name) or [""])[-1]
    return CLASSES.get(last, last)


def scheduled(verdict: Verdict) -> Iterator[str]:
    """The functions that a finding is about: those of its schedule, and the one that it is in."""
    yield from filter(None, (verdict.finding.at.function, *(place.function for place in verdict.finding.related)))
    trace: Trace | None = verdict.trace
    for step in trace.steps if trace else ():
        if step.function:
            yield step.function
        yield from _STEP.findall(f"{step.task} {step.step}")


def _kind(line: str) -> str:
    return next((words for words in KINDS if words in line), "")


def _all(pattern: re.Pattern[str], lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for line in lines for name in pattern.findall(line)))
