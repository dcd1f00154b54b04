"""Units on disk, by blob id.

One file per blob, below a folder for this version of the intermediate form and of the code that makes it. A file that
is torn or foreign is a miss, and nothing that goes wrong with the disk stops a review: then the unit is made again.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from reviewbot.csource.ir import VERSION, TranslationUnit
from reviewbot.process import cache as kept
from reviewbot.process import stopping

ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(TranslationUnit)
MANY = 1_000_000
"""So many bytes of source to read are worth a second process."""


class Cache:
    """Units by blob id.

    `folder` is where they are kept, None for the user's cache folder; `processes` is how many may read at once.
    """

    def __init__(self, folder: Path | None = None, processes: int = 2) -> None:
        self.folder = (folder or kept.folder() / "csource") / version()
        self.processes = processes

    def unit(self, blob: str, read: Callable[[], bytes]) -> TranslationUnit:
        """The unit of one file: from the disk, else made of what `read` gives, and kept."""
        return self.units([blob], lambda _: {blob: read()})[blob]

    def units(
        self, blobs: Iterable[str], read: Callable[[list[str]], Mapping[str, bytes]]
    ) -> dict[str, TranslationUnit]:
        """The units of many files, by blob id.

        `read` is called at most once, with the ids that are not on the disk; what it does not return is left out.
        """
        found: dict[str, TranslationUnit] = {}
        missing: list[str] = []
        with _uncollected():
            for blob in dict.fromkeys(blobs):
                unit = self._load(blob)
                if unit is None:
                    missing.append(blob)
                else:
                    found[blob] = unit
            if missing:
                for blob, unit, data in self._made(read(missing)):
                    self._store(blob, data)
                    found[blob] = unit
        return found

    def _made(self, sources: Mapping[str, bytes]) -> Iterator[tuple[str, TranslationUnit, bytes]]:
        if not sources:
            return
        from reviewbot.csource.lower import lower  # brings the parser, which nobody needs for what is on the disk

        left = dict(sorted(sources.items(), key=lambda item: -len(item[1])))
        alone = threading.active_count() == 1  # a fork takes along the locks that other threads hold
        if self.processes > 1 and alone and len(left) > 1 and sum(map(len, left.values())) > MANY:
            for blob, data in _spread(left, self.processes):
                del left[blob]
                yield blob, DECODER.decode(zlib.decompress(data)), data
        for blob, source in left.items():
            unit = lower(source)
            yield blob, unit, zlib.compress(ENCODER.encode(unit), 1)

    # --- disk --------------------------------------------------------------------------------------------------------

    def _path(self, blob: str) -> Path:
        return self.folder / blob[:2] / blob[2:]

    def _load(self, blob: str) -> TranslationUnit | None:
        path = self._path(blob)
        try:
            unit = DECODER.decode(zlib.decompress(path.read_bytes()))
        except (OSError, zlib.error, msgspec.MsgspecError, RecursionError):
            return None
        kept.used(path)
        return unit

    def _store(self, blob: str, data: bytes) -> None:
        with contextlib.suppress(OSError):
            kept.write(self._path(blob), [data])


@cache
def version() -> str:
    """What the units depend on beside the file: the IR's version and the text of the code that makes them."""
    digest = hashlib.sha1(usedforsecurity=False)
    parts = [f for f in files("reviewbot.csource").iterdir() if f.name.endswith(".py")]
    for part in (
        *sorted(parts, key=lambda f: f.name),
        files("reviewbot.kernel") / "syntax.toml",
        files("reviewbot") / "limits.py",
    ):
        digest.update(part.read_bytes())
    return f"{VERSION}-{digest.hexdigest()[:12]}"


def _spread(sources: Mapping[str, bytes], processes: int) -> Iterator[tuple[str, bytes]]:
    """Encoded units, made by several processes; fewer than there are sources where one of these dies."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    order = list(sources)
    with contextlib.suppress(OSError, BrokenProcessPool):
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(processes, context, stopping.with_parent, (os.getpid(),)) as pool:
            done = pool.map(_encoded, [sources[b] for b in order], chunksize=4)
            yield from zip(order, done, strict=True)


def _encoded(source: bytes) -> bytes:
    from reviewbot.csource.lower import lower

    return zlib.compress(ENCODER.encode(lower(source)), 1)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Units have no reference cycles, so the collector would only walk them again and again while they are made."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
