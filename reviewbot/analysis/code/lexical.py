"""What the words of a C file say without parsing it: which functions it defines, what they call, which slots it fills.

A rough reading, many times faster than csource's, and good for one thing: to find the files that are worth parsing. It
goes by the kernel's layout, in which a function's braces stand in the first column. No fact rests on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from reviewbot.csource.syntax import syntax
from reviewbot.limits import MAX_INDEXED_FILE_BYTES, MAX_INDEXED_HEAD_BYTES

VERSION = 2
"""Bumped whenever the reading changes: what is kept of other versions is not used."""

NOISE = re.compile(rb'/\*.*?(?:\*/|\Z)|//[^\n]*|"(?:[^"\\\n]|\\.)*+"?|\'(?:[^\'\\\n]|\\.)*+\'?', re.DOTALL)
"""Comments, strings and characters; one that is not closed goes to the end of its line, and is looked at once."""
BODY = re.compile(rb"^\{.*?^\}", re.DOTALL | re.MULTILINE)
"""A function's body, by the kernel's layout."""
DIRECTIVE = re.compile(rb"^[ \t]*#(?:[^\n\\]|\\.)*", re.DOTALL | re.MULTILINE)
_CALL = re.compile(rb"\b([A-Za-z_]\w*)[ \t]*\(")
_ARGUMENT = re.compile(rb"[(,]\s*&?([A-Za-z_]\w*)\s*(?=[,)])")
_FILLED = re.compile(rb"\.(\w+)\s*=\s*&?([A-Za-z_]\w*)\s*(?=[,}])")
_MAKES = rb"|".join(name.encode() for name in syntax().variables)
_VARIABLE = re.compile(
    rb"^(?!static\b|extern\b|typedef\b|return\b)"
    rb"(?:[A-Za-z_][\w \t*]*?\b(\w+)(?:\[[^\]\n]*\])*\s*[;=]"
    rb"|(?:\w+\s+)*(?:%s)\((\w+)[^;)]*\);)" % _MAKES,
    re.MULTILINE,
)
_NOT_CALLS = frozenset(b"if while for switch return sizeof typeof __typeof__ defined do else case".split())


class Defined(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A function: its name, whether only its file can call it, its lines, and the names that it calls."""

    name: str
    static: bool
    line: int
    end: int
    calls: tuple[str, ...]


class FileWords(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a file says."""

    functions: tuple[Defined, ...] = ()
    variables: tuple[str, ...] = ()
    """Variables of the file that other files can name."""
    slots: tuple[tuple[str, str], ...] = ()
    """(field, name) of initialisers `.field = name`."""
    arguments: tuple[str, ...] = ()
    """Names that are handed to a call as they are, or by their address."""


def read(text: bytes) -> FileWords:
    """The words of a file; nothing for one that is no text or too long."""
    if len(text) > MAX_INDEXED_FILE_BYTES or b"\0" in text:
        return FileWords()
    text = DIRECTIVE.sub(blank, NOISE.sub(blank, text))
    functions: list[Defined] = []
    outside: list[bytes] = []
    end, line = 0, 1
    for body in BODY.finditer(text):
        start = body.start()
        before = text[end:start]
        outside.append(before)
        line += before.count(b"\n")
        inside = body[0]
        head = re.split(rb"[;}]", before[-MAX_INDEXED_HEAD_BYTES:])[-1]
        name = function_name(head)
        last = line + inside.count(b"\n")
        if name is not None:
            words = head.split(b"(", 1)[0].split()
            first = line - head.lstrip().count(b"\n")
            functions.append(Defined(name, b"static" in words, first, last, tuple(_calls(inside))))
        end, line = body.end(), last
    outside.append(text[end:])
    file_scope = b"\n".join(outside)
    return FileWords(
        tuple(functions),
        tuple(dict.fromkeys((m[1] or m[2]).decode() for m in _VARIABLE.finditer(file_scope))),
        tuple(dict.fromkeys((m[1].decode(), m[2].decode()) for m in _FILLED.finditer(text))),
        tuple(sorted({m.decode() for m in set(_ARGUMENT.findall(text)) if len(m) > 3})),
    )


def blank(match: re.Match[bytes]) -> bytes:
    """The line ends of what is taken out."""
    return b"\n" * match[0].count(b"\n") or b" "


def function_name(head: bytes) -> str | None:
    """Name of the function that a brace belongs to; None where the brace is none of a function's."""
    annotations = syntax().annotation_calls
    for match in _CALL.finditer(head):
        if match[1] not in annotations and match[1] != b"__attribute__":
            return match[1].decode()
    return None


def _calls(body: bytes) -> Iterator[str]:
    return (name.decode() for name in sorted(set(_CALL.findall(body)) - _NOT_CALLS))
