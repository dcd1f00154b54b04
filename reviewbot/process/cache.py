"""The cache folder: all that is kept there can be made again, so it has a bound, and what was not used longest goes.

Who keeps something writes it with `write`, or says with `grown` by how much a file of his grew. Several processes may do
so at once: a file appears whole, each write is noted in one small file, and one process at a time makes room. What
another process is reading stays readable to it, and what is gone is made again. Nothing that goes wrong here stops a
review.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import platformdirs

SETTING = "REVIEWBOT_CACHE_MEGABYTES"
"""Variable of the environment with another bound."""
MEGABYTES = 2048
OLD = 30 * 24 * 3600
"""Seconds after which what was not used goes in any case: it is of a version that nobody has any more."""
MINUTE, HOUR = 60.0, 3600.0
PARTS = {
    "atlas": "where each name of a tree is defined, called and used",
    "exports": "which file of a tree exports a function",
    "slots": "which files of a tree call through a member of that name",
    "worlds": "what is known of the folders of a tree",
    "csource": "files as they were read",
    "templates": "templates of pages, compiled",
    "threads": "fetched threads, for ten minutes",
    "b4": "reviews, while b4 asks for one patch after another",
    "kernels": "built kernels, for `reviewbot reproduce`",
}
"""What is in the folders."""
_LEDGER = ".written"
_RECORD = 8
_since_read: dict[Path, int] = {}
"""Bytes that this process wrote since it last looked how much there is."""


class CachedFile(NamedTuple):
    """A file of the cache."""

    path: Path
    size: int
    used: float


def folder() -> Path:
    """Where everything is kept."""
    return Path(platformdirs.user_cache_dir("reviewbot"))


def bound() -> int:
    """Bytes that all of it may take."""
    text = os.environ.get(SETTING, "")
    return (int(text) if text.isdecimal() else MEGABYTES) << 20


def write(path: Path, parts: Iterable[bytes]) -> None:
    """Keep a file, whole or not at all, and make room where it is too much. Raises OSError where it cannot be kept."""
    handle, temporary = _begun(path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            size = file.tell()
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    grown(path, size)


def _begun(parent: Path) -> tuple[int, str]:
    """A file under a hidden name; again where another process removes the folder, which is empty, at this moment."""
    for _ in range(3):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return tempfile.mkstemp(dir=parent, prefix=".")
    return tempfile.mkstemp(dir=parent, prefix=".")


def used(path: Path) -> None:
    """What is used stays. (Noted once a minute: a review reads thousands of files.)"""
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > MINUTE:
            os.utime(path)


def grown(path: Path, size: int) -> None:
    """A file of the cache has so many bytes more than before: make room where that is too much."""
    root = folder()
    if root not in path.parents:
        return
    most, size = bound(), _on_disk(size)
    with suppress(OSError), open(root / _LEDGER, "ab") as ledger:
        ledger.write(size.to_bytes(_RECORD, "little"))
    first = root not in _since_read
    _since_read[root] = _since_read.get(root, 0) + size
    if first or _since_read[root] > most // 64:
        _since_read[root] = 0
        if _noted(root) > most:
            trim()


def trim() -> None:
    """Make room: what is old goes, and then what was not used longest, until nine tenths of the bound are left."""
    root = folder()
    with suppress(OSError), open(root / _LEDGER, "ab") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: another process is at it
        found = sorted(entries(), key=lambda e: -e.used)
        most, total, now, full = bound(), 0, time.time(), False
        left = most * 0.9 if sum(e.size for e in found) > most else most
        for entry in found:
            if entry.path.name.startswith(".") and now - entry.used < HOUR:
                continue  # somebody is writing it
            alone = entry.size > left  # too large at all: no reason to let go of the others
            full = full or (not alone and total + entry.size > left)
            if (alone or full or now - entry.used > OLD) and _remove(entry.path):
                continue
            total += entry.size
        ledger.truncate(0)
        ledger.write(total.to_bytes(_RECORD, "little"))


def clear() -> int:
    """Remove everything; returns how many bytes that were."""
    found = list(entries())
    gone = sum(entry.size for entry in found if _remove(entry.path))
    with suppress(OSError):
        (folder() / _LEDGER).unlink()
    return gone


def entries() -> Iterator[CachedFile]:
    """All files of the cache."""
    for at, _, names in os.walk(folder()):
        for name in names:
            path = Path(at, name)
            with suppress(OSError):
                if name != _LEDGER:
                    facts = path.stat()
                    yield CachedFile(path, _on_disk(facts.st_size), facts.st_mtime)


def _on_disk(size: int) -> int:
    return -(-size // 4096) * 4096


def _noted(root: Path) -> int:
    """How much was written since room was made last, and what was there then."""
    try:
        data = (root / _LEDGER).read_bytes()
    except OSError:
        return 0
    return sum(int.from_bytes(data[at : at + _RECORD], "little") for at in range(0, len(data), _RECORD))


def _remove(path: Path) -> bool:
    """Remove a file, and its folder with the last one. A database that somebody writes to now stays."""
    if path.name.endswith("-journal") or path.with_name(f"{path.name}-journal").exists():
        return False
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    with suppress(OSError):
        for above in path.parents:
            if above == folder():
                break
            above.rmdir()  # OSError: there are others in it
    return True
