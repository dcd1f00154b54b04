"""What a change touches and nobody could read: an ack says only what was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from reviewbot.csource.ir import Function, Unit
from reviewbot.csource.lower import MAX_SIZE
from reviewbot.types import Change, FileChange, Source, Unread

Units = Callable[[str], Unit | None]
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


def _in_file(path: str, source: Source, units: Units, lines: frozenset[int], nul: frozenset[int]) -> Iterator[Unread]:
    """What was not read of the changed lines of one side of a file."""
    if not lines:
        return
    text, unit = source.read(path), units(path)
    if text is None:
        return
    if unit is None or len(text) > MAX_SIZE:
        rows = text.split(b"\n")
        if any(n <= len(rows) and rows[n - 1].strip() and not rows[n - 1].lstrip().startswith(b"#") for n in lines):
            yield Unread(file=path)
        return
    functions = [f for f in unit.functions if not f.macro]
    yield from (Unread(file=path, function=f.name) for f in functions if f.unreadable and _holds(f, lines))
    if nul:
        yield from _named(path, functions, nul) or [Unread(file=path)]
    yield from _missed(path, text, unit, functions, lines)


def _missed(
    path: str, text: bytes, unit: Unit, functions: Sequence[Function], lines: frozenset[int]
) -> Iterator[Unread]:
    """Changed lines of functions that the parser has lost, in whole or in part."""
    from reviewbot.csource import definitions  # brings the parser

    clean = definitions.clean(text)
    if unit.errors or not all(_inside(functions, n) for n in lines):
        for one in definitions.written(clean):
            if any(one.line <= n <= one.end for n in lines):
                same = [f for f in functions if f.name == one.name]
                read = any(f.line <= one.body and one.end <= f.end for f in functions if not f.unreadable)
                stub = not one.calls and any("#if" in f.attributes for f in same)
                if not read and not stub and not any(f.unreadable for f in same):
                    yield Unread(file=path, function=one.name)
    for number in definitions.unmatched(clean):
        inside = _inside(functions, number)
        if not inside and number in lines:
            yield Unread(file=path)
        yield from (Unread(file=path, function=f.name) for f in inside if _holds(f, lines))
    if unit.level > 1:
        yield from _named(path, functions, lines & definitions.dropped(text))


def _inside(functions: Sequence[Function], line: int) -> list[Function]:
    return [f for f in functions if f.line <= line <= f.end]


def _holds(function: Function, lines: Iterable[int]) -> bool:
    return any(function.line <= n <= function.end for n in lines)


def _named(path: str, functions: Sequence[Function], lines: Iterable[int]) -> list[Unread]:
    found = (f.name for n in lines for f in functions if f.line <= n <= f.end)
    return [Unread(file=path, function=name) for name in dict.fromkeys(found)]
