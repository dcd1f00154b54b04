"""What the C parser has to know of the kernel's macros: `kernel/syntax.toml`, typed."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import tomli


class Guard(msgspec.Struct, frozen=True):
    """What guard(NAME) stands for: calls on entry and on leaving; `ok` is empty, or when a conditional one succeeds."""

    enter: str
    leave: str
    ok: str = ""


class Command(msgspec.Struct, frozen=True):
    """Positions of the statements that a sleeping macro runs, and the lock that it drops around them and the sleep."""

    before: int | None = None
    after: int | None = None
    lock: int | None = None
    member: str = ""
    """Which member of the argument the lock is; empty where it is the argument itself."""
    drop: str = ""
    take: str = ""

    @property
    def last(self) -> int:
        """The last position that a call cannot do without."""
        return max(p for p in (self.before, self.lock) if p is not None)


class Syntax(msgspec.Struct, frozen=True):
    """The tables of `kernel/syntax.toml`; words as bytes where the repair looks for them in the text."""

    annotations: frozenset[bytes]
    annotation_calls: frozenset[bytes]
    kept_annotations: dict[str, str]
    scoped: frozenset[bytes]
    spellings: dict[bytes, bytes]
    loop_parts: tuple[bytes, ...]
    loops: frozenset[bytes]
    cursors: dict[str, tuple[int, ...]]
    once: frozenset[str]
    transparent: frozenset[str]
    warnings: frozenset[str]
    stores: frozenset[str]
    commands: dict[str, Command]
    declares: tuple[bytes, ...]
    """Whole #define lines, without that word."""
    late: tuple[bytes, ...]
    takes: frozenset[str]
    noreturn: frozenset[str]
    containers: dict[str, tuple[int, int, int]]
    variables: dict[str, str]
    typed_variables: frozenset[bytes]
    function_macros: dict[str, str]
    guards: dict[str, Guard]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _bytes(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


def _table(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != "doc"}


@cache
def syntax() -> Syntax:
    """The tables, read once."""
    raw = tomli.loads(files("reviewbot.kernel").joinpath("syntax.toml").read_text())
    calls = raw["annotation_calls"]
    kept = dict(pair.split("=") for pair in calls["keep"].split())
    return Syntax(
        annotations=_bytes(raw["annotations"]["names"]),
        annotation_calls=_bytes(calls["names"]) | _bytes(calls["scope"]) | frozenset(name.encode() for name in kept),
        kept_annotations=kept,
        scoped=_bytes(calls["scope"]),
        spellings={key.encode(): value.encode() for key, value in _table(raw["spellings"]).items()},
        loop_parts=tuple(raw["loops"]["parts"].encode().split()),
        loops=_bytes(raw["loops"]["names"]),
        cursors={key: tuple(value) for key, value in _table(raw["cursors"]).items()},
        once=_words(raw["once"]["names"]),
        transparent=_words(raw["transparent"]["names"]),
        warnings=_words(raw["warnings"]["names"]),
        stores=_words(raw["stores"]["names"]),
        commands=msgspec.convert(_table(raw["commands"]), dict[str, Command]),
        declares=tuple(line.encode() for line in raw["declares"]["names"].splitlines() if line),
        late=tuple(raw["late"]["starts"].encode().split()),
        takes=_words(raw["takes"]["words"]),
        noreturn=_words(raw["noreturn"]["names"]),
        containers={key: (value[0], value[1], value[2]) for key, value in _table(raw["containers"]).items()},
        variables=_table(raw["variables"]),
        typed_variables=_bytes(raw["typed_variables"]["names"]),
        function_macros=_table(raw["function_macros"]),
        guards=msgspec.convert(_table(raw["guards"]), dict[str, Guard]),
    )


@cache
def cursors(loop: str) -> tuple[int, ...]:
    """Positions of the arguments that a loop macro sets; empty if that is not known."""
    table = syntax().cursors
    best = max((start for start in table if loop.startswith(start)), key=len, default="")
    return table.get(best, ())
