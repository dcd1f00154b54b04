"""Which file of a tree exports a function: where to look for the body of what is called from another folder.

Made of the EXPORT_SYMBOL lines, a folder at a time, and kept by the id of the folder: a tree that differs in one folder
costs that folder. Nothing that goes wrong with the disk stops a review: then the lines are looked at each time.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator

from reviewbot.process import cache
from reviewbot.types import Source

VERSION = "1"
"""Name of the file; another one where what is kept changes."""
_LINE = r"^EXPORT_[A-Z_]+\(\s*[A-Za-z_]"
_NAME = re.compile(r"^EXPORT_[A-Z_]+\(\s*(\w+)")
_SPLIT = ("drivers",)
"""Folders that are so large that each of their own folders is kept by itself."""
_LEFT_OUT = frozenset({"Documentation", "LICENSES", "arch", "certs", "include", "samples", "scripts", "tools", "usr"})
"""Nothing that is called across folders is defined there, but for arch: of which one it is, nobody says."""
_TABLES = """
create table if not exists folders (number integer primary key, id text unique);
create table if not exists exports (name text, number integer, path text, primary key (name, number)) without rowid;
"""


class Exports:
    """The exported functions of one tree, by name."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def defining(self, names: Iterable[str]) -> dict[str, str]:
        """Name -> the file that exports it, for those that some file does."""
        names = sorted(set(names))
        with contextlib.suppress(sqlite3.Error, OSError):
            place = cache.folder() / "exports" / VERSION
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            size = place.stat().st_size if place.exists() else 0
            with contextlib.closing(sqlite3.connect(place, timeout=60)) as base:
                found = self._looked_up(base, names)
            if (more := place.stat().st_size - size) > 0:
                cache.grown(place, more)
            cache.used(place)
            return found
        with contextlib.closing(sqlite3.connect(":memory:")) as base:
            return self._looked_up(base, names)

    def _looked_up(self, base: sqlite3.Connection, names: list[str]) -> dict[str, str]:
        base.execute("pragma synchronous = off")
        base.executescript(_TABLES)
        found: dict[str, str] = {}
        kept: dict[int, str] = {}
        for folder in self._folders():
            id_ = self._source.folder(folder)
            if id_ is None:  # a file of it is laid over
                found.update((name, path) for name, path in self._read(folder).items() if name in names)
            else:
                kept[self._number(base, folder, id_)] = folder
        for name in names:
            for number, path in base.execute("select number, path from exports where name = ?", (name,)):
                if number in kept:
                    found[name] = f"{kept[number]}/{path}"
        return found

    def _folders(self) -> Iterator[str]:
        for name in self._source.folders(""):
            if name in _SPLIT:
                yield from (f"{name}/{inner}" for inner in self._source.folders(name))
            elif name not in _LEFT_OUT and not name.startswith("."):
                yield name

    def _number(self, base: sqlite3.Connection, folder: str, id_: str) -> int:
        """The number that a folder is kept by, taken in first where it is new."""
        known = base.execute("select number from folders where id = ?", (id_,)).fetchone()
        if known is None:
            rows = [(name, path.removeprefix(f"{folder}/")) for name, path in self._read(folder).items()]
            with base:
                base.execute("insert or ignore into folders (id) values (?)", (id_,))
                known = base.execute("select number from folders where id = ?", (id_,)).fetchone()
                values = ((name, known[0], path) for name, path in rows)
                base.executemany("insert or ignore into exports values (?, ?, ?)", values)
        return int(known[0])

    def _read(self, folder: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for path, lines in self._source.grep(folder, _LINE).items():
            if path.endswith(".c"):
                found.update((match[1], path) for line in lines if (match := _NAME.match(line)))
        return found
