"""Which files belong to the program around a change: their family of folders, and the headers that these include."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping

from reviewbot.analysis.code.library import read
from reviewbot.csource.cache import Cache
from reviewbot.csource.ir import TranslationUnit
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_INCLUDE_DEPTH, MAX_OWN_INCLUDE_DEPTH
from reviewbot.types import Source


def family(path: str) -> tuple[tuple[str, bool], ...]:
    """Folders whose files belong together with a file, each with whether their subfolders do too."""
    return _family(path)[0]


def program(path: str) -> str:
    """The folder of the program that a file is part of, where all files of its family are one; else empty."""
    folders, one = _family(path)
    return folders[0][0] if one else ""


def _family(path: str) -> tuple[tuple[tuple[str, bool], ...], bool]:
    folder = posixpath.dirname(path)
    for group in KERNEL.families:
        for name in group.folders:
            deep = name.endswith("/**")
            root = name.removesuffix("/**")
            if root.endswith("/*"):
                parent = root.removesuffix("/*")
                head = folder.removeprefix(parent + "/").partition("/")[0]
                if folder.startswith(parent + "/") and head:
                    return ((f"{parent}/{head}", deep),), group.one
            elif folder == root or (deep and folder.startswith(root + "/")):
                return tuple((n.removesuffix("/**"), n.endswith("/**")) for n in group.folders), group.one
    return ((folder, False),), False


def scope(paths: Iterable[str], source: Source) -> dict[str, str]:
    """C files of the families of the given ones, and these themselves: path -> blob id."""
    wanted = [p for p in paths if p.endswith((".c", ".h"))]
    found = {p: b for p in wanted if (b := source.blob(p)) is not None}
    folders = {f for p in wanted if not p.startswith("include/") for f in family(p)}
    for folder, deep in sorted(folders):
        for path, blob in source.ls(folder).items():
            if path.endswith((".c", ".h")) and (deep or posixpath.dirname(path) == folder):
                found[path] = blob
    return dict(sorted(found.items()))


def included(
    files: Mapping[str, str],
    units: Mapping[str, TranslationUnit],
    known: Mapping[str, TranslationUnit],
    source: Source,
    cache: Cache,
) -> tuple[dict[str, TranslationUnit], dict[str, str]]:
    """Headers that some files include and that are not known yet, and what these include, those beside the code further
    than those of include/: their units and blob ids."""
    found: dict[str, TranslationUnit] = {}
    blobs: dict[str, str] = {}
    level: Mapping[str, TranslationUnit] = {p: units[p] for p in files if p in units}
    for depth in range(MAX_OWN_INCLUDE_DEPTH):
        names = {h for path, unit in level.items() for h in candidates(path, unit)} - files.keys() - found.keys()
        if depth >= MAX_INCLUDE_DEPTH:
            names = {h for h in names if not h.startswith("include/")}
        fresh = {h: b for h in names - known.keys() if (b := source.blob(h)) is not None}
        level = read(source, fresh, cache)
        found.update(level)
        blobs.update((p, fresh[p]) for p in level)
    return found, blobs


def candidates(path: str, unit: TranslationUnit) -> Iterable[str]:
    """Where the headers that a file includes may be."""
    folder = posixpath.dirname(path)
    for name in unit.includes:
        if "/" not in name or not name.startswith(("linux/", "scsi/", "trace/", "uapi/")):
            yield posixpath.normpath(posixpath.join(folder, name))
        yield f"include/{name}"
