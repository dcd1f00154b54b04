"""Where functions stand in C text, going by nothing but how the text is laid out: what the parser may have missed.

Kernel code opens the body of a function at the margin and closes it there. That survives a conditional, a bracket or a
quote without its partner, which a parser may not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reviewbot.csource.parse import parse
from reviewbot.csource.repair import repair
from reviewbot.csource.text import layers
from reviewbot.limits import MAX_HEAD_BYTES, MAX_HEAD_LINES

_DIRECTIVE = re.compile(rb"\s*#")
_CONDITIONAL = re.compile(rb"\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b")
_NEVER = re.compile(rb"\s*#\s*if\s+0\s*$")
_OPENS = re.compile(rb"[A-Za-z_].*\)[\w\s()]*\{\s*$")
_WHOLE = re.compile(rb"[A-Za-z_][^;={]*\)[\w\s()]*\{.*\}\s*$")
_INNER = re.compile(rb"\([^()]*+\)")
_TYPE = re.compile(rb"(?:(?:static|const|typedef|extern)\s++)*+(?:struct|union|enum)\s++\w*+\s*+(?:__\w++\s*+)*+$")
_NAMED = re.compile(rb"\b([A-Za-z_]\w*)\s*\(")
_WORDS = frozenset((b"if", b"for", b"while", b"switch", b"return", b"sizeof", b"do", b"else"))


@dataclass(frozen=True, slots=True)
class WrittenFunction:
    """The text of a function, by lines from 1: from the first of its head to the one that closes its body."""

    name: str
    line: int
    body: int
    end: int
    calls: frozenset[str]
    """Names of what looks like a call in the body."""


def clean(source: bytes) -> bytes:
    """The text with its comments blanked."""
    return layers(source).clean


def written(text: bytes) -> list[WrittenFunction]:
    """The functions of a clean text, in its order. A body that nothing closes goes on to the next head, or the end."""
    lines = text.split(b"\n")
    plain = _without_directives(lines)
    found: list[WrittenFunction] = []
    begun: tuple[str, int, int] | None = None
    for number, line in enumerate(plain):
        if not line or line[:1].isspace():
            continue
        if line[:1] == b"}":
            if begun:
                found.append(_written(plain, begun, number + 1))
            begun = None
            continue
        head = _head(plain, number)
        if head is None:
            continue
        if begun:
            found.append(_written(plain, begun, head[1] - 1))
        begun = (*head, number + 1)
        if line.rstrip().endswith(b"}"):
            found.append(_written(plain, begun, number + 1))
            begun = None
    if begun:
        found.append(_written(plain, begun, len(lines)))
    return found


def _written(lines: Sequence[bytes], begun: tuple[str, int, int], end: int) -> WrittenFunction:
    name, line, body = begun
    inside = b"\n".join(lines[body - 1 : end]).partition(b"{")[2]
    calls = frozenset(word.decode("ascii") for word in _NAMED.findall(inside) if word not in _WORDS)
    return WrittenFunction(name, line, body, end, calls)


def _without_directives(lines: Sequence[bytes]) -> list[bytes]:
    """The lines, those of preprocessor directives, and what is below `#if 0`, empty."""
    plain, going = [], False
    arms: list[int] = []
    off = 0  # how many of the arms that we are in are below `#if 0`
    for line in lines:
        is_directive = going or bool(_DIRECTIVE.match(line))
        if not going and (word := _CONDITIONAL.match(line)):
            if not word[1].startswith(b"if") and arms:
                off -= arms.pop()
            if word[1] != b"endif":
                arms.append(int(bool(_NEVER.match(line))))
                off += arms[-1]
        going = is_directive and line.rstrip().endswith(b"\\")
        plain.append(b"" if is_directive or off else line)
    return plain


def _head(lines: Sequence[bytes], number: int) -> tuple[str, int] | None:
    """Name and first line of the function whose body opens on a line; None where that opens something else."""
    line = lines[number]
    if line[:1] != b"{" and (len(line) > MAX_HEAD_BYTES or not (_OPENS.match(line) or _WHOLE.match(line))):
        return None
    start = number
    while start and number - start < MAX_HEAD_LINES:
        above = lines[start - 1].rstrip()
        if not above or above[:1] in (b"{", b"}") or above[-1:] in (b";", b"}", b"{"):
            break
        start -= 1
    text = b" ".join([*lines[start:number], line.partition(b"{")[0]]).strip()
    if b"=" in text or len(text) > MAX_HEAD_LINES * MAX_HEAD_BYTES:
        return None
    if _TYPE.match(_INNER.sub(b"", _INNER.sub(b"", _INNER.sub(b"", text)))):
        return None
    names = [name for name in _NAMED.findall(text) if name not in _WORDS]
    names = [name for name in names if not name.startswith(b"__")] or names
    return (names[0].decode("ascii", "replace"), start + 1) if names else None


def unmatched(text: bytes) -> list[int]:
    """Lines of the conditionals of a clean text that lack their other half."""
    opened: list[int] = []
    found: list[int] = []
    for number, line in enumerate(text.split(b"\n"), 1):
        if word := _CONDITIONAL.match(line):
            if word[1].startswith(b"if"):
                opened.append(number)
            elif not opened:
                found.append(number)
            elif word[1] == b"endif":
                opened.pop()
    return sorted((*found, *opened))


def conditionals(text: bytes) -> list[tuple[int, int]]:
    """First and last line of each outermost conditional of a clean text; one that nothing closes goes on to its end."""
    found: list[tuple[int, int]] = []
    depth = start = number = 0
    for number, line in enumerate(text.split(b"\n"), 1):
        if word := _CONDITIONAL.match(line):
            if word[1].startswith(b"if"):
                depth += 1
                start = number if depth == 1 else start
            elif word[1] == b"endif" and depth:
                depth -= 1
                if not depth:
                    found.append((start, number))
    return [*found, (start, number)] if depth else found


def dropped(source: bytes) -> frozenset[int]:
    """Lines of code that were left out so that the rest can be parsed: arms of conditionals."""
    text = layers(source)
    repair(text)
    whole, kept = bytes(text.code).split(b"\n"), bytes(parse(source).text.code).split(b"\n")
    rows = enumerate(zip(whole, kept, strict=True), 1)
    return frozenset(n for n, (a, b) in rows if a.strip() and not b.strip() and not _DIRECTIVE.match(a))
