"""The calls of a file as they stand in its text: what no syntax tree is needed for, and what gives ranges of bytes."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from reviewbot.csource.syntax import syntax
from reviewbot.csource.text import KEYWORDS, PARENTHESES, SEPARATORS, Bracket, SourceText, layers
from reviewbot.limits import MAX_CALL_PREFIX_BYTES, MAX_SECOND_ARGUMENTS_BYTES

_THROUGH = re.compile(rb"(?:\w+(?:\[[^\[\]]*\])*(?:->|\.))+\Z")
_INTO = re.compile(rb"([\w\[\].>*-]+)\s*=\s*\Z")


class WrittenCall(NamedTuple):
    """A call as written, white space folded. `through`: `a->ops->` where it is one through a pointer; `into`: what its
    value is assigned to. Lines count from 1; `start` and `stop` are the range of bytes."""

    name: str
    through: str
    args: tuple[str, ...]
    into: str
    text: str
    first: int
    last: int
    start: int
    stop: int
    spans: tuple[tuple[int, int], ...]
    """Ranges of the arguments."""


def calls(source: bytes) -> list[WrittenCall]:
    """All calls inside of the functions of a file, outer ones before those in their arguments."""
    text = layers(source)
    breaks = [found.start() for found in re.finditer(rb"\n", source)]
    found = (_written(text, bracket, breaks) for bracket in text.calls() if bracket.depth)
    return sorted((c for c in found if c is not None), key=lambda c: (c.start, -c.stop))


def syntactic(name: str) -> bool:
    """Whether a name is one of the macros that the parser knows."""
    known, word = syntax(), name.encode()
    return (
        name in known.once | known.transparent | known.warnings | known.stores | known.noreturn
        or name in known.containers
        or name in known.commands
        or name in ("guard", "scoped_guard", "scoped_cond_guard", "CLASS")
        or word in known.loops
        or any(part in word for part in known.loop_parts)
    )


def _written(text: SourceText, bracket: Bracket, breaks: list[int]) -> WrittenCall | None:
    if bracket.name in KEYWORDS:
        return None
    code, stop = text.code, bracket.close + 1
    spans = _spans(code, bracket.open, bracket.close)
    if text.after(stop)[:1] == b"(" and (closing := _closing(code, again := code.index(b"(", stop))):
        spans, stop = (*spans, *_spans(code, again, closing)), closing + 1  # guard(mutex)(&l)
    before = bytes(code[max(0, bracket.start - MAX_CALL_PREFIX_BYTES) : bracket.start])
    way = _THROUGH.search(before)
    start = bracket.start - len(way[0]) if way else bracket.start
    into = _INTO.search(before[: len(before) - len(way[0])] if way else before)
    return WrittenCall(
        name=bracket.name.decode(),
        through=way[0].decode("utf-8", "replace") if way else "",
        args=tuple(_folded(text.clean[a:b]) for a, b in spans),
        into=_folded(into[1]) if into else "",
        text=_folded(text.clean[start:stop]),
        first=bisect_right(breaks, start - 1) + 1,
        last=bisect_right(breaks, stop - 1) + 1,
        start=start,
        stop=stop,
        spans=spans,
    )


def _closing(code: bytearray, opened: int) -> int:
    """Where a parenthesis ends that has no name before it; 0 when that is far away."""
    depth = 0
    for found in PARENTHESES.finditer(code, opened, opened + MAX_SECOND_ARGUMENTS_BYTES):
        depth += 1 if found[0] == b"(" else -1
        if not depth:
            return found.start()
    return 0


def _spans(code: bytearray, opened: int, closed: int) -> tuple[tuple[int, int], ...]:
    """The ranges of the arguments between two parentheses."""
    spans, depth, start = [], 0, opened + 1
    for found in SEPARATORS.finditer(code, opened + 1, closed):
        sign = found[0]
        if sign in b"([{":
            depth += 1
        elif sign in b")]}":
            depth -= 1
        elif not depth:
            spans.append((start, found.start()))
            start = found.end()
    spans.append((start, closed))
    return tuple(spans) if len(spans) > 1 or code[start:closed].strip() else ()


def _folded(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "surrogateescape").split())
