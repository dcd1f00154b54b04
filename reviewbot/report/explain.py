"""A stored finding, replayed: its schedule step by step with the lines of source that the steps stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from reviewbot.csource.ir import TranslationUnit
from reviewbot.limits import MAX_SHOWN_FUNCTION_LINES
from reviewbot.types import Excerpt, ReviewError, ScheduleCode, Series, Source, Step, Value, Verdict

RUN_ID = re.compile(r"[0-9a-f]{8}")
_CALL = re.compile(r"\b([A-Za-z_]\w*)\(")
_OBJECT = re.compile(r"\b[A-Za-z]\w*(?:_|->)\w[\w>-]*")
"""What looks like a name of C in a sentence: it has an underscore or an arrow."""

_DOES = re.compile(r"[a-z]{4,}s\b")
"""The verb that a step may begin with."""

SHOWN_AROUND = 6
"""Lines of a long function that are shown before and after the line of a step."""


class StoredRun(Value, frozen=True):
    """What is kept of a finding that has a schedule: `reviewbot.review.remember` writes it."""

    id: str
    verdict: Verdict
    tree: str = ""
    """Path of the git repository that was reviewed."""
    base: str = ""
    """Commit that the series was applied to."""
    series: Series | None = None
    """The series itself: the schedule is one of the patched code."""


class ToldStep(Value, frozen=True):
    """A step of a schedule and the line of source that it stands for; 0 and empty where there is none."""

    step: Step
    line: int = 0
    source: str = ""


def load(folder: Path, name: str) -> StoredRun:
    """The run of that id. Raises ReviewError for an id that is none, an unknown one, or a damaged file."""
    if not RUN_ID.fullmatch(name):
        raise ReviewError(f"`{name}` is no id of a finding: it has eight hex digits, as in the last line of a reply")
    path = folder / f"{name}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredRun)
    except FileNotFoundError:
        raise ReviewError(f"no finding {name} is kept in {folder}: run `reviewbot check` on the mail again") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise ReviewError(f"{path} cannot be read ({error}): run `reviewbot check` on the mail again") from None


def runs(folder: Path) -> list[StoredRun]:
    """All runs that can be read, the newest first."""
    paths = [p for p in folder.glob("*.json") if RUN_ID.fullmatch(p.stem)] if folder.is_dir() else []
    found = []
    for path in sorted(paths, key=lambda p: (-p.stat().st_mtime, p.name)):
        try:
            found.append(load(folder, path.stem))
        except ReviewError:
            continue
    return found


Unit = Callable[[str], TranslationUnit | None]
"""What a file says; None where that is not known."""


def told(steps: Sequence[Step], source: Source | None, unit: Unit | None = None) -> Iterator[ToldStep]:
    """The steps with their lines of source, as far as `source` has them. unit: of a file that was read before.

    A step that knows its line is shown that line. One that knows only the function, or the line where that begins, is
    shown the line in there with a call that its words name, else the call that does what its verb says (`queues x on q`
    is queue_work()), best one with an object that they name, else the first line with such an object, else the line
    where the function begins.
    """
    files = _Files(source, unit)
    for step in steps:
        file = files[step.file]
        number = file.find(step) if file else step.line
        yield ToldStep(step, number, file.line(number) if file else "")


def code(steps: Sequence[Step], source: Source, unit: Unit | None = None) -> ScheduleCode:
    """The code that a schedule passes: the functions of its steps, of long ones the lines around the steps."""
    files = _Files(source, unit)
    lines = tuple(file.find(step) if (file := files[step.file]) else 0 for step in steps)
    wanted: dict[str, set[int]] = {}
    for step, line in zip(steps, lines, strict=True):
        if line and (file := files[step.file]):
            wanted.setdefault(step.file, set()).update(file.around(line))
    excerpts = (
        piece for path, numbers in wanted.items() if (file := files[path]) for piece in file.pieces(path, numbers)
    )
    return ScheduleCode(lines, tuple(excerpts))


class _Files(dict[str, "_SourceLines | None"]):
    """The files of a source, read when they are asked for; None for one that is not there."""

    def __init__(self, source: Source | None, unit: Unit | None) -> None:
        super().__init__({"": None})
        self.source, self.unit = source, unit

    def __missing__(self, path: str) -> _SourceLines | None:
        content = self.source.read(path) if self.source else None
        known = self.unit(path) if self.unit else None
        self[path] = _SourceLines(content, known) if content is not None else None
        return self[path]


class _SourceLines:
    def __init__(self, content: bytes, unit: TranslationUnit | None = None) -> None:
        from reviewbot.csource.lower import lower

        self.lines = content.decode("utf-8", "replace").split("\n")
        self.functions = {f.name: (f.line, f.end) for f in (unit or lower(content)).functions}

    def line(self, number: int) -> str:
        return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""

    def around(self, line: int) -> range:
        """The lines to show with a line: those of its function, of a long one those near by."""
        for first, last in self.functions.values():
            if first <= line <= last and last - first < MAX_SHOWN_FUNCTION_LINES:
                return range(first, last + 1)
        return range(max(1, line - SHOWN_AROUND), min(len(self.lines), line + SHOWN_AROUND) + 1)

    def pieces(self, path: str, numbers: Iterable[int]) -> Iterator[Excerpt]:
        """The lines with these numbers, as pieces without a gap."""
        for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
            piece = [number for _, number in run]
            yield Excerpt(path, piece[0], tuple(self.lines[piece[0] - 1 : piece[-1]]))

    def find(self, step: Step) -> int:
        """The line of the step, or 0 where it knows none and the file has no such function."""
        first, last = self.functions.get(step.function, (0, 0))
        if step.line not in (0, first):
            return step.line
        calls = [rf"\b{re.escape(call)}\w*\(" for call in _CALL.findall(step.step)]
        objects = [rf"\b{re.escape(name)}\b" for name in _OBJECT.findall(step.step) if name != step.function]
        inside = range(first + 1, last + 1)
        for pattern in calls:
            if found := self.having(pattern, inside):
                return found[0]
        named = [number for pattern in objects for number in self.having(pattern, inside)]
        verb = _DOES.match(step.step)
        does = self.having(rf"(\b|_){verb[0].removesuffix('s').removesuffix('e')}e?(_\w*)?\(", inside) if verb else []
        return next(iter([*(n for n in does if n in named), *does, *named, first]))

    def having(self, pattern: str, inside: range) -> list[int]:
        """The numbers of the lines in which a pattern is found."""
        return [number for number in inside if re.search(pattern, self.lines[number - 1])]
