"""#if groups: dead ones, and those that a parser cannot read where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reviewbot.csource.text import SourceText

CONDITIONAL = re.compile(rb"(?m)^[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b((?:[^\n\\]|\\\n|\\.)*)")
PLAIN = re.compile(rb"(?:[\w\s!&|+*/%,=)-]|\((?!\s*<)|<|>|\\\n)*")
"""What the parser reads behind #if: names, numbers, calls and binary operators."""


@dataclass(slots=True)
class Arms:
    """One #if ... #endif: (keyword, condition, start and end of the directive's line) of each of its directives."""

    lines: list[tuple[bytes, bytes, int, int]]


def conditionals(code: bytes) -> Iterator[Arms]:
    """All complete #if groups, inner ones first."""
    stack: list[Arms] = []
    for found in CONDITIONAL.finditer(code):
        line = (found[1], found[2].strip(), found.start(), found.end())
        if found[1].startswith(b"if"):
            stack.append(Arms([line]))
        elif stack:
            stack[-1].lines.append(line)
            if found[1] == b"endif":
                yield stack.pop()


def dead_code(text: SourceText) -> None:
    """Blank what #if 0 and #ifdef __cplusplus leave out."""
    for arms in conditionals(bytes(text.code)):
        keyword, condition, _, end = arms.lines[0]
        never = condition == b"0" if keyword == b"if" else keyword == b"ifdef" and condition == b"__cplusplus"
        if never and arms.lines[1][0] != b"elif":
            text.put(end, arms.lines[1][2], b"")
            for _, _, start, stop in arms.lines:
                text.put(start, stop, b"")


def conditions(text: SourceText) -> None:
    """Put a name in the place of a condition that the parser's grammar of directives has not got (`a ? b : c`)."""
    for found in CONDITIONAL.finditer(bytes(text.code)):
        if found[1] in (b"if", b"elif") and found[2].strip() and not _plain(found[2]):
            start = found.start(2) + len(found[2]) - len(found[2].lstrip())
            text.put(start, found.end(2), b"C")


def _plain(condition: bytes) -> bool:
    return bool(PLAIN.fullmatch(condition)) and condition.count(b"(") == condition.count(b")")


def without_directives(text: SourceText, ranges: list[tuple[int, int]], *, first_arm: bool) -> None:
    """Blank the conditionals that lie in `ranges` of the code, and with `first_arm` all arms but the first."""
    for arms in list(conditionals(bytes(text.code))):
        begin, end = arms.lines[0][2], arms.lines[-1][3]
        if not any(start < end and begin < stop for start, stop in ranges):
            continue
        if first_arm and len(arms.lines) > 2:
            text.put(arms.lines[1][2], arms.lines[-1][2], b"")
        for _, _, start, stop in arms.lines:
            text.put(start, stop, b"")


def both_arms(text: SourceText) -> None:
    """Blank all conditionals."""
    without_directives(text, [(0, len(text.code))], first_arm=False)


def first_arm(text: SourceText) -> None:
    """Blank all conditionals and all arms but the first."""
    without_directives(text, [(0, len(text.code))], first_arm=True)
