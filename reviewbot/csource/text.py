"""C text in layers of equal length: as written, without comments, and as code alone, which the repair rewrites.

An offset means the same place in all layers, so whatever the repair puts into the code, names and arguments are read
back from the text as written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from reviewbot.limits import MAX_ARGUMENT_BYTES, MAX_PARENTHESIS_NESTING

TOKEN = re.compile(
    rb"/\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/|\Z)|//[^\n\\]*+(?:\\(?:.|\Z)[^\n\\]*+)*+"
    rb'|"[^"\\\n]*+(?:\\(?:.|\Z)[^"\\\n]*+)*+"?+|\'[^\'\\\n]*+(?:\\(?:.|\Z)[^\'\\\n]*+)*+\'?+',
    re.DOTALL,
)
"""Comments and literals. Nothing is looked at twice: a literal that nothing ends goes to the end of its line."""
DIRECTIVE = re.compile(rb"(?m)^[ \t]*#[ \t]*([a-z_]+)((?:[^\n\\]|\\\r?\n|\\.)*)")
CONDITIONALS = frozenset({b"if", b"ifdef", b"ifndef", b"elif", b"else", b"endif", b"elifdef", b"elifndef"})
LITERAL = re.compile(rb"(?:[=(,&]|\breturn)\s*\(\s*\w+[\s\w\[\]]*\)\s*\Z")
PARENTHESES = re.compile(rb"[()]")
SEPARATORS = re.compile(rb"[()\[\]{},]")
BRACKETS = re.compile(rb"[(){}]")
SOLID = re.compile(rb"\S")
AGGREGATE = re.compile(rb"\b(?:struct|union)\b[\s\w]*\Z")

KEYWORDS = frozenset(b"if while for switch return sizeof do else case goto alignof typeof _Alignof".split())

BLANK = bytes(c if c in b"\n\r\f" else 32 for c in range(256))
MASKED = bytes(c if c in b"\n\r\f" else ord("x") for c in range(256))


def blank(text: bytes) -> bytes:
    """Spaces of the same length, with the line breaks kept."""
    return text.translate(BLANK)


@dataclass(frozen=True, slots=True)
class Bracket:
    """`name(...)` in the code: offsets of the name, of `(` and of `)`.

    `depth` counts the braces around it; `inside` says what the innermost of them hold, unless parentheses come first.
    """

    start: int
    name: bytes
    open: int
    close: int
    depth: int
    inside: str = ""
    """`members` of a struct or union, `values` of an initialiser, or `code`."""


@dataclass(slots=True)
class SourceText:
    """The layers of one file, and what was taken out of the code for good: directives and loose macro calls."""

    source: bytes
    clean: bytes
    """Comments blanked, strings as written."""
    code: bytearray
    """Comments blanked, strings masked; rewritten by the rules of `repair`, never longer or shorter."""
    directives: list[tuple[str, int, int]] = field(default_factory=list)
    """`define`, `include`, ...: name and the range of what follows it."""
    loose: list[tuple[int, int]] = field(default_factory=list)
    """Ranges of file-scope macro calls that no semicolon ends."""
    _calls: list[Bracket] | None = None
    _words: frozenset[bytes] | None = None

    def put(self, start: int, end: int, new: bytes) -> None:
        """Replace a range of the code by text of at most its length; the line breaks of the range stay in place."""
        old = bytes(self.code[start:end])
        if len(new) > len(old):
            return
        if b"\n" not in old and len(new) <= len(old):
            self.code[start:end] = new.ljust(len(old))
        elif not new:
            self.code[start:end] = blank(old)
        elif len(new) == len(old) and all((a == 10) == (b == 10) for a, b in zip(old, new, strict=True)):
            self.code[start:end] = new
        elif len(new) <= old.index(b"\n"):
            self.code[start:end] = new + blank(old[len(new) :])

    def calls(self) -> list[Bracket]:
        """All `name(...)` that are still as they were written, inner ones first."""
        if self._calls is None:
            self._calls = list(_brackets(bytes(self.code)))
        return [call for call in self._calls if self.code.startswith(call.name, call.start)]

    def words(self) -> frozenset[bytes]:
        """All words of the code as it was at first, so one that is not in here is nowhere."""
        if self._words is None:
            self._words = frozenset(re.findall(rb"\w+", self.code))
        return self._words

    def pattern(self, known: Iterable[bytes]) -> re.Pattern[bytes] | None:
        """A pattern for those of `known` words that occur, or None: far quicker than one for all of them."""
        present = self.words().intersection(known)
        return re.compile(rb"\b(?:" + b"|".join(sorted(present)) + rb")\b") if present else None

    def before(self, offset: int) -> bytes:
        """The up to 40 bytes of code before `offset` and the white space there."""
        window = 200
        while True:
            found = bytes(self.code[max(0, offset - window) : offset]).rstrip()
            if found or window >= offset:
                return found[-40:]
            window *= 8

    def after(self, offset: int) -> bytes:
        """The next 40 bytes of code after `offset` and the white space there."""
        found = SOLID.search(self.code, offset)
        return bytes(self.code[found.start() : found.start() + 40]) if found else b""


def _brackets(code: bytes) -> Iterator[Bracket]:
    braces: list[str] = []
    stack: list[int] = []
    for found in BRACKETS.finditer(code):
        at = found.start()
        what = code[at]
        if what == 40:
            stack.append(at)
        elif what == 41:
            if not stack:
                continue
            opened = stack.pop()
            if at - opened > MAX_ARGUMENT_BYTES or len(stack) > MAX_PARENTHESIS_NESTING:
                continue
            end = opened
            while end and code[end - 1] in b" \t\n":
                end -= 1
            start = end
            while start and (code[start - 1] in WORD):
                start -= 1
            if start < end and code[start] not in b"0123456789":
                inside = braces[-1] if braces and not stack else ""
                yield Bracket(start, code[start:end], opened, at, len(braces), inside)
        else:
            if at == 0 or code[at - 1] == 10:  # column 0: whatever was unbalanced before, it is over
                braces.clear()
                stack.clear()
            elif what == 125 and braces:
                braces.pop()
            if what == 123:
                braces.append(_held(code[max(0, at - 60) : at], braces))


WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def _held(before: bytes, braces: list[str]) -> str:
    """What the braces that open after `before`, and inside of `braces`, hold."""
    if AGGREGATE.search(before):
        return "members"
    if LITERAL.search(before):
        return "values"
    last = before.rstrip()[-1:]
    return "values" if last in (b"=", b",", b"]") or (last == b"{" and braces and braces[-1] == "values") else "code"


def layers(source: bytes) -> SourceText:
    """Split a file into its layers; directives other than conditionals are taken out of the code."""
    clean = bytearray(source)
    code = bytearray(source)
    joined = bytearray(source)  # for a directive, a comment over several lines is one space
    for found in TOKEN.finditer(source):
        start, end = found.span()
        if source[start] == 47:
            clean[start:end] = code[start:end] = blank(source[start:end])
            joined[start:end] = b" " * (end - start)
        else:
            code[start:end] = joined[start:end] = _masked(source[start:end])
    text = SourceText(source, bytes(clean), code)
    for found in DIRECTIVE.finditer(bytes(joined)):
        if found[1] not in CONDITIONALS:
            text.directives.append((found[1].decode(), *found.span(2)))
            code[found.start() : found.end()] = blank(source[found.start() : found.end()])
    return text


def _masked(literal: bytes) -> bytes:
    """A literal with its inside masked; of one that goes on over lines, the first line is the literal.

    Of one that nothing ends only the quote stays: an error to the parser, at that place.
    """
    escapes = len(literal[:-1]) - len(literal[:-1].rstrip(b"\\"))
    if len(literal) < 2 or literal[:1] != literal[-1:] or escapes % 2:
        return literal[:1] + blank(literal[1:])
    first, newline, rest = literal.partition(b"\n")
    if newline and len(first) > 1:
        return first[:1] + b"x" * (len(first) - 2) + literal[-1:] + newline + blank(rest)
    return literal[:1] + literal[1:-1].translate(MASKED) + literal[-1:]


def arguments(code: bytes | bytearray, start: int, end: int) -> list[tuple[int, int]]:
    """Ranges between the commas of an argument list, whose inside is code[start:end]."""
    if not code[start:end].strip():
        return []
    found, depth, last = [], 0, start
    for separator in SEPARATORS.finditer(code, start, end):
        at = separator.start()
        c = code[at]
        if c in b"([{":
            depth += 1
        elif c != 44:
            depth -= 1
        elif depth == 0:
            found.append((last, at))
            last = at + 1
    return [*found, (last, end)]


def closing(code: bytes | bytearray, open_: int) -> int:
    """Offset after the parenthesis that matches the one at `open_`, or -1."""
    depth = 0
    for found in PARENTHESES.finditer(code, open_, open_ + MAX_ARGUMENT_BYTES):
        depth += 1 if found[0] == b"(" else -1
        if not depth:
            return found.end()
    return -1
