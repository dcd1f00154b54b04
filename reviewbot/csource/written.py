"""The calls of a file as they stand in its text: what no syntax tree is needed for, and what gives ranges of bytes."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from reviewbot.csource.syntax import syntax
from reviewbot.csource.text import KEYWORDS, SEPARATORS, Bracket, Text, layers

_THROUGH = re.compile(rb"(?:\w+(?:\[[^\[\]]*\])*(?:->|\.))+\Z")
_INTO = re.compile(rb"([\w\[\].>*-]+)\s*=\s*\Z")
_NEAR = 120
"""How far before a call what it belongs to is looked for."""


class Written(NamedTuple):
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


def calls(source: bytes) -> list[Written]:
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


def _written(text: Text, bracket: Bracket, breaks: list[int]) -> Written | None:
    if bracket.name in KEYWORDS:
        return None
    code, stop = text.code, bracket.close + 1
    if (after := text.after(stop)[:1]) == b"(":  # guard(mutex)(&l)
        open_ = code.index(b"(", stop)
        ends = [other.close for other in text.calls() if other.open == open_]
        stop = ends[0] + 1 if ends else _closing(code, open_)
    elif after == b"{" and bracket.depth == 0:
        return None
    before = bytes(code[max(0, bracket.start - _NEAR) : bracket.start])
    way = _THROUGH.search(before)
    start = bracket.start - len(way[0]) if way else bracket.start
    into = _INTO.search(before[: len(before) - len(way[0])] if way else before)
    spans = _spans(code, bracket)
    return Written(
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
    """The end of a parenthesis that has no name before it."""
    depth = 0
    for found in re.finditer(rb"[()]", code[opened : opened + 2000]):
        depth += 1 if found[0] == b"(" else -1
        if not depth:
            return opened + found.end()
    return opened


def _spans(code: bytearray, bracket: Bracket) -> tuple[tuple[int, int], ...]:
    """The ranges of the arguments between two parentheses."""
    spans, depth, start = [], 0, bracket.open + 1
    for found in SEPARATORS.finditer(code, bracket.open + 1, bracket.close):
        sign = found[0]
        if sign in b"([{":
            depth += 1
        elif sign in b")]}":
            depth -= 1
        elif not depth:
            spans.append((start, found.start()))
            start = found.end()
    spans.append((start, bracket.close))
    return tuple(spans) if len(spans) > 1 or code[start : bracket.close].strip() else ()


def _folded(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "surrogateescape").split())
