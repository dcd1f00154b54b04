"""Repair rules that look at words: annotations, spellings, inline assembly, strings. See `repair`."""

from __future__ import annotations

import re

from reviewbot.csource.syntax import syntax
from reviewbot.csource.text import KEYWORDS, SourceText, closing

IDENTIFIER = re.compile(rb"[A-Za-z_]\w*")
UNKNOWN_ANNOTATION = re.compile(
    rb"(?<=\w)\s+(?=(?:void|bool|int|unsigned|signed|long|short|char|float|struct|union|enum|static|inline|extern)\b)"
)
TWO_NAMES = re.compile(
    rb"(?:\b(?:void|bool|int|long|char|short|unsigned)|\*)\s+([A-Za-z_]\w*)\s+([A-Za-z_]\w*)(?=\s*[(;=\[])"
)
ANNOTATION = re.compile(rb"__\w+|[A-Z][A-Z0-9_]*")
ASM = re.compile(rb"\b(?:asm|__asm__|__asm)\b\s*(?:(?:volatile|__volatile__|inline|__inline|goto)\b\s*)*(?=\()")
C_WORDS = KEYWORDS | frozenset(
    b"""void bool int unsigned signed long short char float double struct union enum static inline extern const volatile
    register typedef auto restrict _Bool __restrict __int128 _Atomic default""".split()
)


def spellings(text: SourceText) -> None:
    """Puts the standard spelling in the place of others, as kernel/syntax.toml lists them."""
    table = syntax().spellings
    if pattern := text.pattern(table):
        for found in pattern.finditer(bytes(text.code)):
            text.put(*found.span(), table[found[0]])


def annotation_words(text: SourceText) -> None:
    """Blanks the attributes that kernel/syntax.toml names (`__init`, `__user`)."""
    if pattern := text.pattern(syntax().annotations):
        text.code[:] = pattern.sub(lambda found: b" " * len(found[0]), bytes(text.code))


def own_annotations(text: SourceText) -> None:
    """Blanks names that the file itself defines as nothing but such attributes."""
    known = syntax().annotations
    own = []
    for directive, start, end in text.directives:
        if directive == "define" and (
            found := re.fullmatch(rb"\s*(\w+)((?:[ \t]+\w+(?:\([^()]*\))?)*)\s*", text.clean[start:end])
        ):
            said = re.findall(rb"\w+", re.sub(rb"\([^()]*\)", b"", found[2]))
            if all(word in known or word in syntax().annotation_calls for word in said):
                own.append(found[1])
    if pattern := text.pattern(own):
        for found in re.finditer(rb"(?m)^(?![ \t]*#).*$", bytes(text.code)):
            if line := pattern.sub(lambda word: b" " * len(word[0]), found[0]):
                text.code[found.start() : found.end()] = line


def unknown_annotations(text: SourceText) -> None:
    """Blanks a word before a name where only an attribute that nobody lists can stand."""
    for found in list(UNKNOWN_ANNOTATION.finditer(text.code)):
        end = found.start()
        start = (
            max(text.code.rfind(c, 0, end) for c in (b" ", b"\t", b"\n", b"*", b")", b"(", b";", b"}", b"{", b",")) + 1
        )
        word = bytes(text.code[start:end])
        line = text.code.rfind(b"\n", 0, start) + 1
        if IDENTIFIER.fullmatch(word) and word not in C_WORDS and not text.code[line:start].lstrip().startswith(b"#"):
            text.put(start, end, b"")


def unknown_words(text: SourceText) -> None:
    """Of two names in a row, blanks the one that looks like an attribute."""
    for found in list(TWO_NAMES.finditer(bytes(text.code))):
        names = [found.span(1), found.span(2)]
        odd = [ANNOTATION.fullmatch(text.code[start:end]) is not None for start, end in names]
        if any(odd) and found[1] not in C_WORDS and found[2] not in C_WORDS:
            text.put(*names[1 if odd == [False, True] else 0], b"")


def annotation_calls(text: SourceText) -> None:
    """Blanks attributes with arguments (`__aligned(8)`), with their parentheses."""
    if pattern := text.pattern(syntax().annotation_calls):
        for found in list(pattern.finditer(bytes(text.code))):
            if (close := closing(text.code, found.end())) > 0:
                text.put(found.start(), close, b"")


def asm(text: SourceText) -> None:
    """Blanks `asm(...)`, or makes a name of it where a statement is needed."""
    for found in list(ASM.finditer(bytes(text.code))) if b"asm" in text.code else ():
        if (close := closing(text.code, found.end())) > 0:
            declares = text.before(found.start())[-1:] in (b")", b"]") or text.before(found.start())[-1:].isalnum()
            text.put(found.start(), close, b"" if declares else b"Asm")


def typeof(text: SourceText) -> None:
    """Makes a type name of `typeof(...)`."""
    if b"typeof" not in text.code:
        return
    for found in list(re.finditer(rb"\btypeof\s*(?=\()", bytes(text.code))):
        if (close := closing(text.code, found.end())) > 0:
            text.put(found.start(), close, b"typeof")


def offsetof(text: SourceText) -> None:
    """Makes ordinary calls of `offsetof` and `alignof`, whose arguments are types."""
    if pattern := text.pattern((b"offsetof", b"__alignof__", b"__alignof", b"alignof", b"_Alignof")):
        for found in pattern.finditer(bytes(text.code)):
            text.put(*found.span(), found[0].lstrip(b"_").capitalize())


def strings(text: SourceText) -> None:
    """`KERN_INFO PREFIX "..."`: only one name may stand before a string, and no call."""
    stringified = re.finditer(rb"\b__stringify\s*(?=\()", bytes(text.code)) if b"__stringify" in text.words() else ()
    for found in list(stringified):
        close = closing(text.code, found.end())
        if close > 0 and (text.before(found.start())[-1:] == b'"' or text.after(close)[:1] == b'"'):
            text.put(found.start(), close, b"")
    for found in list(re.finditer(rb"[(,]\s*([A-Z_]\w*\s+)+(?=[A-Za-z_]\w*\s+\")", bytes(text.code))):
        text.put(found.start() + 1, found.end(), b"")


def case_ranges(text: SourceText) -> None:
    """Reads `case 1 ... 5:` as `case 1 | 5:`."""
    for found in re.finditer(rb"\bcase\b[^:;\n?{}]*?(\.\.\.)", bytes(text.code)) if b"..." in text.code else ():
        text.put(*found.span(1), b" | ")
