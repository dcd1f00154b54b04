"""Threads that were fetched, kept for a while below the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

FRESH = 600
"""Seconds for which a fetched thread is used again."""


def _threads() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("reviewbot") / "threads"


def _entry(inbox: str, asked: str) -> Path:
    return _threads() / f"{hashlib.sha256(f'{inbox} {asked}'.encode()).hexdigest()[:40]}.mbox"


def kept(inbox: str, asked: str) -> bytes | None:
    """The thread of a message from an archive as it was fetched a short while ago, an mbox; None for none."""
    entry = _entry(inbox, asked)
    with suppress(OSError):
        if 0 <= time.time() - entry.stat().st_mtime < FRESH:
            return entry.read_bytes()
    return None


def keep(inbox: str, asked: str, thread: bytes) -> None:
    """Keep the thread of a message from an archive, an mbox, and remove what is stale. A cache that cannot be written is none."""
    entry = _entry(inbox, asked)
    with suppress(OSError):
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in entry.parent.iterdir():
            with suppress(OSError):
                if abs(time.time() - old.stat().st_mtime) >= FRESH:
                    old.unlink()
        with tempfile.NamedTemporaryFile(dir=entry.parent, delete=False) as stream:
            stream.write(thread)
        os.replace(stream.name, entry)
