"""An index of a tree by name: which files define a function, call it, fill a slot, or have a variable.

It is made of the words of each file (see `lexical`), once per blob, and kept on disk for all trees together: a tree that
differs in some files from one that is known costs these files. Nothing that goes wrong with the disk stops a review:
then the index is made in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Self

import msgspec

from reviewbot.analysis.code import lexical
from reviewbot.analysis.code.lexical import FileWords
from reviewbot.kernel import KERNEL
from reviewbot.process import cache
from reviewbot.types import Progress, Source

SMALL = 300
"""A tree with fewer files is not worth keeping."""
BATCH = 256
"""So many files are read at a time."""
DEFINES, CALLS, FILLS, HAS, USES = range(5)
"""What a name is for a file: function defined, function called, slot filled, variable, argument of a call."""

_TABLES = """
create table if not exists blobs (number integer primary key, id text unique, words blob);
create table if not exists names (kind integer, name text, part integer, blobs blob, primary key (kind, name, part))
    without rowid;
create table if not exists folders (id text primary key, files blob);
"""
_LISTING = msgspec.msgpack.Decoder(list[tuple[str, int]])
_WORDS = msgspec.msgpack.Decoder(FileWords)


class TreeIndex:
    """The index of one tree. Paths that it answers with are in the order of the alphabet."""

    def __init__(self, base: sqlite3.Connection, paths: Mapping[str, int]) -> None:
        self._base = base
        self._number = dict(paths)
        self._paths: dict[int, list[str]] = {}
        for path in sorted(paths):
            self._paths.setdefault(paths[path], []).append(path)
        self._words: dict[str, FileWords] = {}

    @classmethod
    def of(cls, source: Source, progress: Progress | None = None) -> TreeIndex:
        """The index of a source's folders that are to be indexed: loaded, and made of what is new.

        progress: told how many of how many files that are new have been read.
        """
        place = _place()
        ids = {folder: source.folder(folder) for folder in KERNEL.indexed}
        with contextlib.suppress(sqlite3.Error, OSError, msgspec.MsgspecError, zlib.error):
            if place.exists():
                base = _open(place)
                known = [_listing(base, id_) for id_ in ids.values() if id_]
                if known and None not in known and not _loose(source, ids):
                    cache.used(place)
                    return cls(base, dict(pair for listing in known if listing for pair in listing))
        listings = {folder: _c_files(source, folder) for folder in ids}
        count = sum(map(len, listings.values()))
        if count >= SMALL:
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                before = place.stat().st_size if place.exists() else 0
                base = _open(place)
                paths = _grow(base, source, ids, listings, progress)
                cache.grown(place, place.stat().st_size - before)
                return cls(base, paths)
            except (sqlite3.Error, OSError, zlib.error, msgspec.MsgspecError):
                with contextlib.suppress(OSError):
                    place.unlink()
        return cls(base := _open(None), _grow(base, source, ids, listings, progress))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def words(self, path: str) -> FileWords:
        """What a file says; nothing for one that is not indexed."""
        if path not in self._words:
            row = None
            if path in self._number:
                row = self._base.execute("select words from blobs where number = ?", (self._number[path],)).fetchone()
            self._words[path] = _WORDS.decode(zlib.decompress(row[0])) if row else FileWords()
        return self._words[path]

    def defining(self, function: str) -> tuple[str, ...]:
        """Files that define a function which others can call."""
        return self._files(DEFINES, function)

    def calling(self, function: str) -> tuple[str, ...]:
        """Files with a call of that name."""
        return self._files(CALLS, function)

    def filling(self, field: str) -> tuple[str, ...]:
        """Files with an initialiser that fills a slot of that name."""
        return self._files(FILLS, field)

    def having(self, variable: str) -> tuple[str, ...]:
        """Files that define a variable which others can name."""
        return self._files(HAS, variable)

    def using(self, variable: str) -> tuple[str, ...]:
        """Files that hand a name, or its address, to a call."""
        return self._files(USES, variable)

    def _files(self, kind: int, name: str) -> tuple[str, ...]:
        rows = self._base.execute("select blobs from names where kind = ? and name = ?", (kind, name))
        numbers = {number for (packed,) in rows for number in array("I", packed)}
        return tuple(sorted(path for number in numbers for path in self._paths.get(number, ())))


def _place() -> Path:
    """The file of this version of the reading."""
    digest = hashlib.sha1(usedforsecurity=False)
    for part in (
        "reviewbot.analysis.code/lexical.py",
        "reviewbot.analysis.program/tree_index.py",
        "reviewbot.kernel/syntax.toml",
        "reviewbot/limits.py",
    ):
        package, _, name = part.partition("/")
        digest.update((files(package) / name).read_bytes())
    return cache.folder() / "atlas" / f"{lexical.VERSION}-{digest.hexdigest()[:12]}"


def _open(place: Path | None) -> sqlite3.Connection:
    """The tables, of a file or in memory. What is lost with the power is made again."""
    base = sqlite3.connect(place or ":memory:", timeout=60)
    base.execute("pragma synchronous = off")
    base.executescript(_TABLES)
    return base


def _loose(source: Source, ids: Mapping[str, str | None]) -> bool:
    """Whether a folder without an id has files all the same."""
    return any(id_ is None and bool(source.ls(folder)) for folder, id_ in ids.items())


def _c_files(source: Source, folder: str) -> dict[str, str]:
    return {path: blob for path, blob in source.ls(folder).items() if path.endswith((".c", ".h"))}


def _listing(base: sqlite3.Connection, id_: str) -> list[tuple[str, int]] | None:
    """Path and number of the files of a folder that is known."""
    row = base.execute("select files from folders where id = ?", (id_,)).fetchone()
    return _LISTING.decode(zlib.decompress(row[0])) if row else None


def _grow(
    base: sqlite3.Connection,
    source: Source,
    ids: Mapping[str, str | None],
    listings: Mapping[str, Mapping[str, str]],
    progress: Progress | None,
) -> dict[str, int]:
    """Take in the files that are new, all or none; path -> number of every file."""
    with base:
        base.execute("begin immediate")  # of two that grow it at once the second finds what the first made
        numbers = dict(base.execute("select id, number from blobs"))
        where = {blob: path for listing in listings.values() for path, blob in listing.items()}
        new = [blob for blob in where if blob not in numbers]
        posted: dict[tuple[int, str], array[int]] = {}
        for number, blob, words in _read(source, new, where, len(numbers) + 1, progress):
            numbers[blob] = number
            packed = zlib.compress(msgspec.msgpack.encode(words), 1)
            base.execute("insert into blobs values (?, ?, ?)", (number, blob, packed))
            for key in _posts(words):
                posted.setdefault(key, array("I")).append(number)
        part = len(numbers)
        base.executemany(
            "insert into names values (?, ?, ?, ?)", ((k, n, part, b.tobytes()) for (k, n), b in sorted(posted.items()))
        )
        found: dict[str, int] = {}
        for folder, listing in listings.items():
            here = {path: numbers[blob] for path, blob in listing.items() if blob in numbers}
            found.update(here)
            if (id_ := ids[folder]) is not None:
                packed = zlib.compress(msgspec.msgpack.encode(list(here.items())), 1)
                base.execute("insert or replace into folders values (?, ?)", (id_, packed))
    return found


def _read(
    source: Source, new: list[str], where: Mapping[str, str], first: int, progress: Progress | None
) -> Iterator[tuple[int, str, FileWords]]:
    for start in range(0, len(new), BATCH):
        some = new[start : start + BATCH]
        texts = source.read_many([where[blob] for blob in some])
        for number, blob in enumerate(some, first + start):
            yield number, blob, lexical.read(texts.get(where[blob], b""))
        if progress is not None:
            progress(min(start + BATCH, len(new)), len(new))


def _posts(words: FileWords) -> Iterable[tuple[int, str]]:
    """What a file is found by."""
    yield from {(DEFINES, f.name) for f in words.functions if not f.static}
    yield from {(CALLS, name) for f in words.functions for name in f.calls}
    yield from {(FILLS, field) for field, _ in words.slots}
    yield from {(HAS, name) for name in words.variables}
    yield from {(USES, name) for name in words.arguments}
