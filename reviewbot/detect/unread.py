"""What a change touches and nobody could read: an ack says only what was read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from reviewbot.csource.ir import Function, TranslationUnit
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_FILE_BYTES
from reviewbot.types import Change, FileChange, Source, Unread

if TYPE_CHECKING:
    from reviewbot.csource.definitions import WrittenFunction

Units = Callable[[str], TranslationUnit | None]
"""The unit of a file of one side."""


def unread(change: Change, sides: Sequence[tuple[Source, Units]]) -> tuple[Unread, ...]:
    """The functions with a changed line that could not be read, and files of C that are not text.

    In: the change; the files and their units before and after. A macro is no function, and what stands outside of
    functions does not count.
    """
    (before, old), (after, new) = sides
    found: dict[Unread, None] = {}
    for file in change.files:
        path, was = file.path, file.old_path or file.path
        if not path.endswith((".c", ".h")):
            continue
        if file.binary:
            found[Unread(file=path)] = None
            continue
        found |= dict.fromkeys(_in_file(path, after, new, file.added(), _with_nul(file, "+")))
        names = (one.function for one in _in_file(was, before, old, file.removed(), _with_nul(file, "-")))
        found |= dict.fromkeys(Unread(file=path, function=name) for name in names)
    whole = {one.file for one in found if not one.function}
    return tuple(one for one in found if not one.function or one.file not in whole)


def _with_nul(file: FileChange, sign: str) -> frozenset[int]:
    """Changed lines with a NUL in them: git shows a file as text where the first one comes late."""
    lines = (x for hunk in file.hunks for x in hunk.lines if x.sign == sign and "\0" in x.text)
    return frozenset(x.after if sign == "+" else x.before for x in lines)


class Lines:
    """Some lines of a file, by number."""

    def __init__(self, lines: Iterable[int]) -> None:
        self.sorted = sorted(lines)

    def within(self, first: int, last: int) -> bool:
        """Whether one of them is in a range."""
        at = bisect_left(self.sorted, first)
        return at < len(self.sorted) and self.sorted[at] <= last


class Functions:
    """The functions of a file (a macro is none), in the order of the text."""

    def __init__(self, unit: TranslationUnit) -> None:
        self.all = sorted((f for f in unit.functions if not f.macro), key=lambda f: f.line)
        self.starts = [f.line for f in self.all]
        self.by_name = {f.name: f for f in self.all}

    def at(self, line: int) -> Function | None:
        """The one that a line is in."""
        at = bisect_right(self.starts, line) - 1
        return self.all[at] if at >= 0 and line <= self.all[at].end else None

    def named(self, lines: Iterable[int]) -> dict[str, None]:
        """The names of those that the lines are in."""
        return dict.fromkeys(f.name for n in lines if (f := self.at(n)))


def _in_file(path: str, source: Source, units: Units, lines: frozenset[int], nul: frozenset[int]) -> Iterator[Unread]:
    """What was not read of the changed lines of one side of a file."""
    if not lines:
        return
    text, unit = source.read(path), units(path)
    if text is None:
        return
    if unit is None or len(text) > MAX_FILE_BYTES:
        rows = text.split(b"\n")
        if any(n <= len(rows) and rows[n - 1].strip() and not rows[n - 1].lstrip().startswith(b"#") for n in lines):
            yield Unread(file=path)
        return
    functions, changed = Functions(unit), Lines(lines)
    names = [f.name for f in functions.all if f.unreadable and changed.within(f.line, f.end)]
    names += functions.named(nul)
    if not all(functions.at(n) for n in nul):
        names.append("")
    names += _missed(text, unit, functions, changed)
    yield from (Unread(file=path, function=name) for name in names)


def _missed(text: bytes, unit: TranslationUnit, functions: Functions, changed: Lines) -> Iterator[str]:
    """The functions with a changed line that the parser has lost, in whole or in part; empty for the file."""
    from reviewbot.csource import definitions  # brings the parser

    clean = definitions.clean(text)
    if unit.errors or not all(functions.at(n) for n in changed.sorted):
        for one in definitions.written(clean):
            if changed.within(one.line, one.end) and not _was_read(one, functions):
                yield one.name
    for number in definitions.unmatched(clean):
        inside = functions.at(number)
        if inside and changed.within(inside.line, inside.end):
            yield inside.name
        elif not inside and changed.within(number, number):
            yield ""
    if unit.level > 1 and any(changed.within(*lines) for lines in definitions.conditionals(clean)):
        left_out = definitions.dropped(text)
        yield from functions.named(n for n in changed.sorted if n in left_out)


def _was_read(one: WrittenFunction, functions: Functions) -> bool:
    """Whether the parser has all of a function, or says itself that it has not; or has a longer version of a stub for
    another configuration, which calls nothing that others could wait for."""
    inside, same = functions.at(one.body), functions.by_name.get(one.name)
    whole = inside is not None and one.end <= inside.end
    stub = same is not None and one.calls <= KERNEL.inert and "#if" in same.attributes
    return whole or stub or (same is not None and same.unreadable)
