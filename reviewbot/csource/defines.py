"""#define: the macros of a file as text, those that have to be read where they are used, and what a call stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from reviewbot.csource.parse import parse
from reviewbot.csource.syntax import syntax
from reviewbot.csource.text import SourceText, arguments, layers
from reviewbot.limits import MAX_EXPRESSION_TEXT, MAX_MACRO_BYTES

NAME = re.compile(rb"\s*([A-Za-z_]\w*)(\([^()]*\))?")
LATE = re.compile(rb"\b(\w+)\s*\(")
WORDS = re.compile(rb"\b[A-Za-z_]\w*")
DECLARES = re.compile(rb"(?:[A-Za-z_]\w*[\s*]+)+[A-Za-z_]\w*\s*(?:=|;|\[|\Z)")
TOKENS = re.compile(rb"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|(?<!#)(#)(?!#)\s*([A-Za-z_]\w*)|\b[A-Za-z_]\w*")
PASTE = re.compile(rb"\s*##\s*")
STRINGIFY = re.compile(rb"(?<!#)#(?=\s*\w)")
ALONE = re.compile(rb";\s*([A-Za-z_]\w*)\s*;")
STATEMENT = re.compile(rb"\s*(?:do|if|for|while|switch|return|goto|else)\b|\s*\{")


@dataclass(frozen=True, slots=True)
class Define:
    """One #define; `parameters` is None for an object-like macro. `raw` is the body with its line breaks."""

    name: str
    parameters: tuple[str, ...] | None
    raw: bytes
    line: int

    @property
    def body(self) -> str:
        """The replacement on one line, cut to 200 characters."""
        return " ".join(self.raw.replace(b"\\\n", b" ").decode("utf-8", "replace").split())[:MAX_EXPRESSION_TEXT]


def defines(text: SourceText) -> list[Define]:
    """All macros that a file defines, in order."""
    found = []
    line, counted = 1, 0
    for name, start, end in text.directives:
        if name != "define" or not (head := NAME.match(text.clean, start, end)):
            continue
        line, counted = line + text.source.count(b"\n", counted, head.end()), head.end()
        parameters = None
        if head[2] is not None:
            parameters = tuple(
                p.strip() for p in head[2][1:-1].replace(b"\\\n", b"").decode("ascii", "replace").split(",")
            )
            parameters = tuple(p for p in parameters if p)
        found.append(Define(head[1].decode("ascii", "replace"), parameters, text.clean[head.end() : end], line))
    return found


@cache
def declaring() -> dict[str, Define]:
    """The macros of headers that declare something, and that files use without defining them."""
    found = defines(layers(b"".join(b"#define " + line + b"\n" for line in syntax().declares)))
    return {define.name: define for define in found}


def expandable(found: list[Define]) -> dict[str, Define]:
    """The macros of a file that have to be read where they are used: what they are given is evaluated inside of a sleep
    (wrappers of wait_event) or is a statement among others of theirs, or they declare what the code behind them uses."""
    macros = {d.name: d for d in found if d.parameters is not None and len(d.raw) <= MAX_MACRO_BYTES}
    chosen = {name for name, define in macros.items() if _late(define) or _states(define) or _declares(define)}
    more = chosen
    while more:  # and those that hand something on to one of these
        calls = re.compile(rb"\b(?:" + b"|".join(name.encode() for name in more) + rb")\s*\(")
        more = {name for name in macros.keys() - chosen if calls.search(macros[name].raw)}
        chosen |= more
    return {**declaring(), **{name: macros[name] for name in macros if name in chosen}}


def _late(define: Define) -> bool:
    """Whether a macro hands a parameter to one that evaluates it later."""
    words = {word.encode() for word in define.parameters or ()}
    for call in LATE.finditer(define.raw):
        if any(call[1].startswith(late) for late in syntax().late) and words & set(
            WORDS.findall(define.raw, call.end())
        ):
            return True
    return False


def _states(define: Define) -> bool:
    """Whether a parameter stands as a statement behind others: what it is given does not run before these."""
    words = {word.encode() for word in define.parameters or ()}
    return any(found[1] in words for found in ALONE.finditer(define.raw.replace(b"\\\n", b" ")))


def _declares(define: Define) -> bool:
    """Whether a macro declares something for the code behind it."""
    raw = define.raw.replace(b"\\\n", b" ").strip()
    if not DECLARES.match(raw) or STATEMENT.match(raw) or b"##" in raw:
        return False
    parsed = parse(b"void f(void) {" + STRINGIFY.sub(b" ", raw) + b";}")
    root = parsed.tree.root_node.named_children
    body = root[0].child_by_field_name("body") if len(root) == 1 and not root[0].has_error else None
    return body is not None and any(child.type == "declaration" for child in body.named_children)


def expansion(define: Define, call: bytes) -> bytes | None:
    """What a call of a macro (`name(...)`, comments blanked) stands for, on one line; None where that cannot be told."""
    text = layers(call)
    opened = call.find(b"(")
    ranges = arguments(text.code, opened + 1, bytes(text.code).rfind(b")"))
    given = [call[start:end].strip() for start, end in ranges]
    names = [name.removesuffix("...").strip() or "__VA_ARGS__" for name in define.parameters or ()]
    if define.parameters and define.parameters[-1].endswith("..."):
        given[len(names) - 1 :] = [b", ".join(given[len(names) - 1 :])]
    if len(given) != len(names):
        return None
    meant = dict(zip((name.encode() for name in names), given, strict=True))

    def put(found: re.Match[bytes]) -> bytes:
        if found[0][:1] == b"#":
            return b'"' + meant[found[2]].replace(b'"', b"'") + b'"' if found[2] in meant else found[0]
        return meant.get(found[0], found[0])

    made = TOKENS.sub(put, define.raw.replace(b"\\\n", b" "))
    made = b" ".join(PASTE.sub(b"", made).split())
    return made if len(made) <= MAX_MACRO_BYTES else None
