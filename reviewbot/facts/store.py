"""Worlds on disk: what was found out about the files of a scope, so that the next run starts from there.

One file per scope, below a folder for this version of the code and of the kernel's knowledge. It may be of another state
of the files: the world is led on from there. A file that is torn or foreign counts for nothing, and so does a disk
that cannot be written to.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec
import platformdirs

from reviewbot.csource.cache import version as csource_version
from reviewbot.csource.ir import Unit
from reviewbot.facts.contexts import Entered
from reviewbot.facts.effects import Effect, Reason
from reviewbot.facts.kinds import AnyFact, Fact
from reviewbot.facts.library import Library
from reviewbot.facts.locking import Given, Locking
from reviewbot.facts.records import Record
from reviewbot.facts.wiring import Wired
from reviewbot.facts.world import Kept, World
from reviewbot.kernel import KERNEL

MOST = 2 << 30
"""Bytes that all that is kept may take; what was not used for longest goes."""


class Stored(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The file: small tables, and sections that are decoded when they are asked for."""

    blobs: dict[str, str]
    whole: tuple[str, ...]
    texts: dict[str, dict[str, int]]
    declared: msgspec.Raw
    wired: msgspec.Raw
    records: msgspec.Raw
    choices: msgspec.Raw
    facts: msgspec.Raw
    effects: msgspec.Raw
    contexts: msgspec.Raw


class _Ways(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Contexts by function: chains are numbers of functions."""

    keys: tuple[str, ...]
    found: dict[str, msgspec.Raw]


_ENCODER = msgspec.msgpack.Encoder()
_STORED = msgspec.msgpack.Decoder(Stored)
_DECLARED = msgspec.msgpack.Decoder(dict[str, Unit])
_WIRED = msgspec.msgpack.Decoder(dict[str, Wired])
_RECORDS = msgspec.msgpack.Decoder(list[tuple[str, Given, Record]])
_CHOICES = msgspec.msgpack.Decoder(dict[str, tuple[tuple[str, str], ...]])
_FACTS = msgspec.msgpack.Decoder(dict[str, tuple[AnyFact, ...]])
_WAYS = msgspec.msgpack.Decoder(_Ways)
_ENTERED = msgspec.msgpack.Decoder(list[tuple[str, str, str, list[int]]])
_EFFECTS = msgspec.msgpack.Decoder(list[tuple[str, Given, list[tuple[Effect, Reason]]]])


def save(name: str, world: World) -> None:
    """Keep a world under the name of its scope; finds out what it lacks first."""
    raw = msgspec.Raw
    stored = Stored(
        world.library.blobs,
        tuple(sorted(world.whole)),
        {path: dict(found) for path, found in world.library.texts.items()},
        raw(_ENCODER.encode(world.library.declared)),
        raw(_ENCODER.encode(world.links.wired)),
        raw(_ENCODER.encode([(key, given, record) for (key, given), record in world.locking.records.items()])),
        raw(_ENCODER.encode(world.locking.choices)),
        raw(_ENCODER.encode(world.book.all())),
        raw(_ENCODER.encode(list(world.effects.parts()))),
        raw(_ENCODER.encode(_numbered(world.contexts.all()))),
    )
    with contextlib.suppress(OSError):
        _write(_path(name), _ENCODER.encode(stored))


def load(name: str) -> World | None:
    """The world that was kept for a scope, in whatever state its files were; None without a usable one."""
    path = _path(name)
    try:
        with _uncollected():
            stored = _STORED.decode(path.read_bytes())
            library = Library(_DECLARED.decode(stored.declared), stored.blobs, lambda _: Unit())
            library.texts.update(stored.texts)
            world = World(library, stored.whole, kept=_Sections(stored))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return world


class _Sections(Kept):
    """The parts of a stored world."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def wired(self) -> Mapping[str, Wired]:
        """What each function does with functions."""
        return _WIRED.decode(self._stored.wired)

    def locking(self, world: World) -> Locking:
        """Lock records."""
        with _uncollected():
            records = {(key, given): r for key, given, r in _RECORDS.decode(self._stored.records)}
        return Locking.restored(world.links, records, _CHOICES.decode(self._stored.choices))

    def facts(self) -> Mapping[str, tuple[Fact, ...]]:
        """Facts of each function."""
        with _uncollected():
            return _FACTS.decode(self._stored.facts)

    def effects(self) -> Mapping[tuple[str, Given], dict[Effect, Reason]]:
        """Effects of each function."""
        with _uncollected():
            return {(key, given): dict(parts) for key, given, parts in _EFFECTS.decode(self._stored.effects)}

    def contexts(self) -> Mapping[str, tuple[Entered, ...]]:
        """Contexts of each function."""
        return _Named(_WAYS.decode(self._stored.contexts))


def _numbered(contexts: Mapping[str, tuple[Entered, ...]]) -> _Ways:
    numbers = {key: number for number, key in enumerate(contexts)}
    return _Ways(
        tuple(numbers),
        {
            key: msgspec.Raw(_ENCODER.encode([(*e[:3], [numbers[k] for k in e.chain]) for e in found]))
            for key, found in contexts.items()
        },
    )


class _Named(Mapping[str, tuple[Entered, ...]]):
    """Contexts that are decoded when they are asked for."""

    def __init__(self, ways: _Ways) -> None:
        self._keys, self._found = ways.keys, ways.found

    def __getitem__(self, key: str) -> tuple[Entered, ...]:
        keys = self._keys
        return tuple(
            Entered(context, runner, slot, tuple(keys[n] for n in chain))
            for context, runner, slot, chain in _ENTERED.decode(self._found[key])
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: what is decoded here has no cycles."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@cache
def version() -> str:
    """Changes with the code that a stored world depends on, and with the kernel's knowledge."""
    digest = hashlib.sha1(f"{csource_version()} {KERNEL.digest}".encode(), usedforsecurity=False)
    for file in sorted(files("reviewbot.facts").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".py"):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _path(name: str) -> Path:
    scope = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    return Path(platformdirs.user_cache_dir("reviewbot")) / "worlds" / version() / scope


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in path.parent.parent.iterdir():
        if folder != path.parent:
            shutil.rmtree(folder)
    left = MOST - len(data)
    for old in sorted(path.parent.iterdir(), key=lambda f: -f.stat().st_mtime):
        left -= old.stat().st_size
        if left < 0:
            old.unlink()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
