"""A stored finding, replayed: its schedule step by step with the lines of source that the steps stand for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from reviewbot.types import ReviewError, Series, Source, Step, Value, Verdict

RUN_ID = re.compile(r"[0-9a-f]{8}")
_CALL = re.compile(r"\b([A-Za-z_]\w*)\(")
_OBJECT = re.compile(r"\b[A-Za-z]\w*(?:_|->)\w[\w>-]*")
"""What looks like a name of C in a sentence: it has an underscore or an arrow."""


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


def told(steps: tuple[Step, ...], source: Source | None) -> Iterator[ToldStep]:
    """The steps with their lines of source, as far as `source` has them.

    A step that knows its line is shown that line. One that knows only the function, or the line where that begins, is
    shown the line in there with a call or an object that its words name, else the line where the function begins.
    """
    files: dict[str, _SourceLines | None] = {}
    for step in steps:
        if step.file and step.file not in files:
            content = source.read(step.file) if source else None
            files[step.file] = _SourceLines(content) if content is not None else None
        file = files.get(step.file)
        number = file.find(step) if file else step.line
        yield ToldStep(step, number, file.line(number) if file else "")


class _SourceLines:
    def __init__(self, content: bytes) -> None:
        from reviewbot.csource.lower import lower

        self.lines = content.decode("utf-8", "replace").split("\n")
        self.functions = {f.name: (f.line, f.end) for f in lower(content).functions}

    def line(self, number: int) -> str:
        return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""

    def find(self, step: Step) -> int:
        """The line of the step, or 0 where it knows none and the file has no such function."""
        first, last = self.functions.get(step.function, (0, 0))
        if step.line not in (0, first):
            return step.line
        calls = [rf"\b{re.escape(call)}\w*\(" for call in _CALL.findall(step.step)]
        objects = [rf"\b{re.escape(name)}\b" for name in _OBJECT.findall(step.step) if name != step.function]
        for pattern in (*calls, *objects):
            for number in range(first + 1, last + 1):
                if re.search(pattern, self.lines[number - 1]):
                    return number
        return first
