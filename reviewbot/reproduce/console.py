"""What a guest said on its console: who was left, where they slept in both scans, and what lockdep complained of.

The text comes from a kernel with an untrusted patch. It is read line by line, in bounded pieces, and believed only as far
as a report goes: the run of it hung, or it did not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from reviewbot.limits import MAX_CONSOLE_LINES, MAX_SEATED_TASKS, MAX_STACK_FRAMES
from reviewbot.reproduce.splats import Splat, splats
from reviewbot.text import clean
from reviewbot.types import Value

_STAMP = re.compile(r"^\[\s*\d+\.\d+\](?:\[[^\]]*\])? ?")
_OURS = re.compile(r"^reviewbot: (\w+) ?(.*)$")
_TASK = re.compile(r"^task:(\S.*?)\s+state:(\S)\s+stack:\S+\s+pid:\s*(\d+)")
_WORK = re.compile(r"^Workqueue: (\S+) (\S+)")
_FRAME = re.compile(r"^\s+\[<[0-9a-f]+>\] (\? )?([A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x[0-9a-f]+")
_END = re.compile(
    r"^(Kernel panic - not syncing: .*|BUG: .*|kernel BUG at .*|Out of memory and no killable processes.*)"
)


class SleepingTask(Value, frozen=True):
    """A task in uninterruptible sleep, with the functions of its stack, the innermost first."""

    name: str
    pid: int
    stack: tuple[str, ...]
    work: str = ""
    """The work function that a kworker runs."""

    @property
    def told(self) -> str:
        """The task as it is called in a report."""
        return f"{self.name} ({self.work}())" if self.work else self.name


class ConsoleLog(Value, frozen=True):
    """A console, read."""

    started: bool = False
    """The stack was set up and the tasks were started."""
    finished: bool = False
    """All tasks came to their end in time."""
    ended: bool = False
    """The guest switched itself off."""
    failed: str = ""
    """Why there was nothing to see: no device, a crash."""
    left: int = 0
    """Tasks that had not come to an end."""
    after: int | None = None
    """Those that had not when the fault points were off again; None where nobody looked."""
    scans: tuple[tuple[SleepingTask, ...], ...] = ()
    reached: tuple[str, ...] = ()
    """Marked lines that ran, `file:line`."""
    noticed: tuple[tuple[str, int], ...] = ()
    """What probes said, and how often."""
    splats: tuple[Splat, ...] = ()
    """What lockdep complained of, where it is in the kernel."""

    @property
    def stuck(self) -> tuple[SleepingTask, ...]:
        """Who slept at the same place in both scans."""
        if len(self.scans) < 2:
            return ()
        return tuple(task for task in self.scans[0] if task in self.scans[1])

    @property
    def hung(self) -> bool:
        """Whether tasks were left, and somebody slept at one place all the time."""
        return self.left > 0 and bool(self.stuck)


def read(text: bytes) -> ConsoleLog:
    """A console as it was written, by the kernel and by the guest's init."""
    log: dict[str, object] = {}
    scans: list[tuple[SleepingTask, ...]] = []
    reached: list[str] = []
    noticed: Counter[str] = Counter()
    within: list[str] | None = None
    told = list(lines(text))
    for line in told:
        ours = _OURS.match(line)
        if ours is None:
            if within is not None:
                within.append(line)
            elif (crash := _END.match(line)) and "failed" not in log:
                log["failed"] = crash[1]
            continue
        word, rest = ours[1], ours[2].strip()
        if word == "scan":
            within = []
        elif word == "scanned" and within is not None:
            scans.append(tuple(_tasks(within)))
            within = None
        elif word == "reached":
            reached.append(rest)
        elif word == "noticed":
            noticed[rest] += 1
        elif word == "failed":
            log["failed"] = rest
        elif word in ("left", "after") and rest.isdecimal():
            log[word] = int(rest)
        elif word in ("start", "finished", "end"):
            log[{"start": "started", "end": "ended"}.get(word, word)] = True
    read_off = ConsoleLog(**log)  # type: ignore[arg-type]  # each word has the type of its field
    return msgspec.structs.replace(
        read_off,
        scans=tuple(scans),
        reached=tuple(dict.fromkeys(reached)),
        noticed=tuple(noticed.items()),
        splats=tuple(splats(told)),
    )


def lines(text: bytes) -> Iterator[str]:
    """The lines of a console without their time stamps, as they may be shown; so many at most."""
    for raw in text.decode("utf-8", "replace").splitlines()[:MAX_CONSOLE_LINES]:
        line = _STAMP.sub("", raw)
        yield " " * (len(line) - len(line.lstrip(" "))) + clean(line.strip())


def frames(text: Iterable[str]) -> list[str]:
    """The functions of a stack trace: those that the unwinder is sure of, or all where it is sure of none."""
    found = [frame for frame in map(_FRAME.match, text) if frame]
    sure = [frame for frame in found if not frame[1]]
    return [frame[2] for frame in (sure or found)[:MAX_STACK_FRAMES]]


def _tasks(scanned: list[str]) -> Iterator[SleepingTask]:
    heads = [(at, head) for at, head in ((at, _TASK.match(line)) for at, line in enumerate(scanned)) if head]
    ends = [at for at, _ in heads[1:]] + [len(scanned)]
    for (at, head), end in list(zip(heads, ends, strict=True))[:MAX_SEATED_TASKS]:
        if head[2] != "D":
            continue
        body = scanned[at + 1 : end]
        work = next((found[2] for found in map(_WORK.match, body) if found), "")
        yield SleepingTask(head[1], int(head[3]), tuple(frames(body)), work)
