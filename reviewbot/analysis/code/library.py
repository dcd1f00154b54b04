"""The units of a program's files: what they declare is at hand, bodies of functions are loaded when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from copy import copy
from typing import Any

import msgspec

from reviewbot.analysis.code.texts import TextDigest
from reviewbot.csource.cache import Cache
from reviewbot.csource.ir import Function, TranslationUnit, by_name
from reviewbot.types import ReviewError, Source


class Sources:
    """Files by path. `declared` are units whose functions have no blocks and no locals, `blobs` the files' ids."""

    def __init__(
        self,
        declared: MutableMapping[str, TranslationUnit],
        blobs: Mapping[str, str],
        load: Callable[[str], TranslationUnit],
    ) -> None:
        self.declared: MutableMapping[str, TranslationUnit] = copy(declared)
        self.blobs = dict(blobs)
        self.load = load
        """Loads the unit of a path."""
        self.texts: MutableMapping[str, TextDigest] = {}
        """Path -> what of its text is kept for comparing."""
        self.replacing: frozenset[str] = frozenset()
        """Paths that are not what they were in the library that it was made from."""
        self._functions: dict[str, dict[str, Function]] = {}

    @classmethod
    def of_units(cls, units: Mapping[str, TranslationUnit]) -> Sources:
        """Units that are all in memory; a path stands for its blob."""
        return cls({p: stub(u) for p, u in units.items()}, {p: p for p in units}, lambda path: units[path])

    def functions(self, path: str) -> Mapping[str, Function]:
        """Functions of a file with their bodies, by name."""
        found = self._functions.get(path)
        if found is None:
            found = by_name(self.load(path))
            if found:  # a file that could not be read now may be read later
                self._functions[path] = found
        return found

    def replaced(self, units: Mapping[str, TranslationUnit], blobs: Mapping[str, str], gone: Iterable[str]) -> Sources:
        """The same files with some taken anew (`units`, and their `blobs`) and some gone; it has no place to load from."""
        library = Sources(self.declared, self.blobs, self.load)
        library.texts, library._functions = copy(self.texts), dict(self._functions)
        tables: tuple[MutableMapping[str, Any], ...] = (
            library.declared,
            library.blobs,
            library.texts,
            library._functions,
        )
        library.replacing = frozenset((*gone, *units))
        for path in library.replacing:
            for table in tables:
                table.pop(path, None)
        for path, unit in units.items():
            library.declared[path], library.blobs[path] = stub(unit), blobs[path]
            library._functions[path] = by_name(unit)
        return library


def read(source: Source, blobs: Mapping[str, str], cache: Cache) -> dict[str, TranslationUnit]:
    """The units of some files (path -> blob), path -> unit; files that cannot be read are left out."""
    where = {b: p for p, b in blobs.items()}

    def contents(missing: list[str]) -> dict[str, bytes]:
        found = source.read_many([where[b] for b in missing])
        return {b: found[where[b]] for b in missing if where[b] in found}

    units = cache.units(blobs.values(), contents)
    return {p: units[b] for p, b in blobs.items() if b in units}


def loader(source: Source, blobs: Mapping[str, str], cache: Cache) -> Callable[[str], TranslationUnit]:
    """Loads the unit of one file by its blob id: from the cache, else from a source that still has that very blob.

    A file that neither has gives an empty unit: nothing is known of it.
    """

    def load(path: str) -> TranslationUnit:
        blob = blobs[path]
        return cache.units(
            [blob], lambda _: {blob: text} if (text := text_of(source, path, blob)) is not None else {}
        ).get(blob, TranslationUnit())

    return load


def text_of(source: Source | None, path: str, blob: str) -> bytes | None:
    """Text of a file where a source still has that blob; None when it has another, or can no longer be read."""
    try:
        return source.read(path) if source is not None and source.blob(path) == blob else None
    except (OSError, ValueError, ReviewError):  # the repository behind it has been closed
        return None


def stub(unit: TranslationUnit) -> TranslationUnit:
    """The unit with functions that have no blocks and no locals."""
    bare = tuple(msgspec.structs.replace(f, blocks=(), locals=()) for f in unit.functions)
    return msgspec.structs.replace(unit, functions=bare)
