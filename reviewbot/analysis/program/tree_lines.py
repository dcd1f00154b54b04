"""Which files of a tree have a line that names something: who exports a function, who calls through a slot of a table.

Made with git grep, a folder at a time, and kept by the id of the folder: a tree that differs in one folder costs that
folder. Nothing that goes wrong with the disk stops a review: then the lines are looked at each time.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reviewbot.process import cache
from reviewbot.types import Source


class NamingLine(NamedTuple):
    """A kind of line. part: the folder of the cache; version: the name of the file there, another one where what is kept
    changes; line: an extended regular expression for git; name: the names in such a line."""

    part: str
    version: str
    line: str
    name: re.Pattern[str]


EXPORT = NamingLine(
    "exports", "2", r"^EXPORT_[A-Z_]+\(\s*[A-Za-z_]", re.compile(r"^EXPORT_[A-Z_]+\(\s*(\w+)", re.ASCII)
)
CALL_THROUGH = NamingLine(
    "slots", "1", r"(->|\.)[A-Za-z_][A-Za-z0-9_]*\(", re.compile(r"(?:->|\.)([A-Za-z_]\w*)\(", re.ASCII)
)
_SPLIT = ("drivers",)
"""Folders that are so large that each of their own folders is kept by itself."""
_LEFT_OUT = frozenset({"Documentation", "LICENSES", "arch", "certs", "include", "samples", "scripts", "tools", "usr"})
"""Nothing that is called across folders is defined there, but for arch: of which one it is, nobody says."""
_TABLES = """
create table if not exists folders (number integer primary key, id text unique);
create table if not exists named (name text, number integer, path text, primary key (name, number, path)) without rowid;
"""


def exporting(source: Source, names: Iterable[str]) -> dict[str, str]:
    """Name -> the file that exports it, for those functions that some file does."""
    return {name: paths[-1] for name, paths in files(source, EXPORT, names).items()}


def calling_through(source: Source, names: Iterable[str]) -> dict[str, list[str]]:
    """Member -> the files that call something of this name through a pointer (`->pin(`), of whatever type it is."""
    return files(source, CALL_THROUGH, names)


def files(source: Source, kind: NamingLine, names: Iterable[str]) -> dict[str, list[str]]:
    """Name -> the paths of the C files with a line of this kind that names it, sorted."""
    names = sorted(set(names))
    with contextlib.suppress(sqlite3.Error, OSError):
        place = cache.folder() / kind.part / kind.version
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        size = place.stat().st_size if place.exists() else 0
        with contextlib.closing(sqlite3.connect(place, timeout=60)) as base:
            found = _looked_up(base, source, kind, names)
        if (more := place.stat().st_size - size) > 0:
            cache.grown(place, more)
        cache.used(place)
        return found
    with contextlib.closing(sqlite3.connect(":memory:")) as base:
        return _looked_up(base, source, kind, names)


def _looked_up(base: sqlite3.Connection, source: Source, kind: NamingLine, names: list[str]) -> dict[str, list[str]]:
    base.execute("pragma synchronous = off")
    base.executescript(_TABLES)
    found: dict[str, list[str]] = {}
    kept: dict[int, str] = {}
    for folder in _folders(source):
        id_ = source.folder(folder)
        if id_ is None:  # a file of it is laid over
            for name, path in _read(source, kind, folder):
                if name in names:
                    found.setdefault(name, []).append(path)
        else:
            kept[_number(base, source, kind, folder, id_)] = folder
    for name in names:
        for number, path in base.execute("select number, path from named where name = ?", (name,)):
            if number in kept:
                found.setdefault(name, []).append(f"{kept[number]}/{path}")
    return {name: sorted(set(paths)) for name, paths in found.items()}


def _folders(source: Source) -> Iterator[str]:
    for name in source.folders(""):
        if name in _SPLIT:
            yield from (f"{name}/{inner}" for inner in source.folders(name))
        elif name not in _LEFT_OUT and not name.startswith("."):
            yield name


def _number(base: sqlite3.Connection, source: Source, kind: NamingLine, folder: str, id_: str) -> int:
    """The number that a folder is kept by, taken in first where it is new."""
    known = base.execute("select number from folders where id = ?", (id_,)).fetchone()
    if known is None:
        rows = [(name, path.removeprefix(f"{folder}/")) for name, path in _read(source, kind, folder)]
        with base:
            base.execute("insert or ignore into folders (id) values (?)", (id_,))
            known = base.execute("select number from folders where id = ?", (id_,)).fetchone()
            values = ((name, known[0], path) for name, path in rows)
            base.executemany("insert or ignore into named values (?, ?, ?)", values)
    return int(known[0])


def _read(source: Source, kind: NamingLine, folder: str) -> list[tuple[str, str]]:
    """The names in a folder's lines, each with the file."""
    found: dict[tuple[str, str], None] = {}
    for path, lines in source.grep(folder, kind.line).items():
        if path.endswith(".c"):
            found.update(((name, path), None) for line in lines for name in kind.name.findall(line))
    return [*found]
