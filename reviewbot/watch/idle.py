"""What a poll did, and whether the next one has anything to do: asked before the database is even opened.

A timer polls far more often than mail comes. What the last poll found is kept in a file beside the database; as long as
the servers list the same epochs and nobody changed configuration, database or drafts, there is nothing to do. In doubt
there is: the note only ever saves time.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from reviewbot.mail.epochs import Epoch, Unreachable, epochs
from reviewbot.types import Value
from reviewbot.watch.config import Config

FILE = "idle.json"

Listed = Mapping[str, list[Epoch]]
"""Address of an inbox -> its epochs."""


class Summary(Value, frozen=True):
    """What a poll did, and what is left."""

    lists: int
    mails: int
    decisions: dict[str, int]
    """Verdict, or the state where there is none -> series."""
    drafts: int
    waiting: int
    """Drafts that wait for the maintainer."""
    overdue: int
    """Series that should have become complete by now."""
    set_aside: int
    broken: int
    """Mails that could not be read."""
    faults: tuple[str, ...]
    seconds: float
    states: dict[str, int] = {}  # noqa: RUF012 - msgspec copies it
    """State -> series, of all that are known."""
    finished: float = 0.0
    reasons: dict[str, int] = {}  # noqa: RUF012
    """Why series of this poll have no review -> how many; see `watch_reasons.kind`."""
    unreviewed: dict[str, int] = {}  # noqa: RUF012
    """The same of all series that are known."""

    def line(self) -> str:
        """One line for a log."""
        done = ", ".join(f"{n} {name}" for name, n in sorted(self.decisions.items()))
        parts = [
            _count(self.lists, "list"),
            _count(self.mails, "new mail"),
            f"{sum(self.decisions.values())} reviewed" + (f" ({done})" if done else ""),
            f"{_count(self.drafts, 'new draft')}, {self.waiting} waiting for you",
        ]
        why = ", ".join(f"{n} {name}" for name, n in sorted(self.reasons.items()))
        parts += [f"not reviewed: {why}"] if why else []
        parts += [f"{self.overdue} series incomplete"] if self.overdue else []
        parts += [f"{self.set_aside} set aside"] if self.set_aside else []
        parts += [_count(len(self.faults), "fault")] if self.faults else []
        return f"{', '.join(parts)}; {self.seconds:.1f} s"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


class Idle(Value, frozen=True):
    """How everything was when a poll had done all there was to do."""

    state: str
    """Of configuration, database and drafts; see `_state`."""
    fingerprints: dict[str, dict[str, str]]
    """List -> epoch -> fingerprint of what was read."""
    since: float
    until: float
    """When there will be something to do in any case; seconds since 1970."""
    summary: Summary
    reviewed: bool = True
    """False after a poll that only read: for another one of that kind there is nothing to do."""


def remember(
    config: Config, summary: Summary, until: float, fingerprints: dict[str, dict[str, str]], reviewed: bool = True
) -> None:
    """Note that a poll has done all there is to do. Best effort: without the note the next poll looks for itself.

    To be called with the database closed, which still writes to its file then.
    """
    file, state = config.folder() / FILE, _state(config)
    complete = all(f for epochs_ in fingerprints.values() for f in epochs_.values())
    with suppress(OSError):
        file.unlink(missing_ok=True)
        if state and complete and not summary.faults and until > summary.finished:
            part = file.with_suffix(".part")
            part.write_bytes(msgspec.json.encode(Idle(state, fingerprints, summary.finished, until, summary, reviewed)))
            os.replace(part, file)


def nothing_to_do(config: Config, review: bool = True) -> tuple[Summary | None, Listed]:
    """The summary of a poll that finds nothing to do, None when there may be something; and what was asked for it."""
    started = time.monotonic()
    listed: dict[str, list[Epoch]] = {}
    try:
        note = msgspec.json.decode((config.folder() / FILE).read_bytes(), type=Idle)
    except (OSError, msgspec.MsgspecError):
        return None, listed
    fits = note.reviewed == review and note.since <= time.time() < note.until
    if not fits or note.state != _state(config):
        return None, listed
    for list_ in config.lists:
        with suppress(Unreachable):
            listed[list_.url] = epochs(list_.url)
        now = {e.name: e.fingerprint for e in listed.get(list_.url, [])}
        if not now or now != note.fingerprints.get(list_.name):
            return None, listed
    summary = msgspec.structs.replace(
        note.summary,
        mails=0,
        decisions={},
        reasons={},
        drafts=0,
        seconds=time.monotonic() - started,
        finished=time.time(),
    )
    return summary, listed


def _state(config: Config) -> str:
    """Changes with everything here that could give a poll something to do; empty where that cannot be told."""
    folder = config.folder()
    database = folder / "state.sqlite"
    if config.database or any(x.imap for x in config.lists):
        return ""
    told = [msgspec.json.encode(config)]
    try:
        for path in (database, folder / "drafts", Path(__file__)):
            if path.exists():
                found = path.stat()
                told.append(f"{path} {found.st_mtime_ns} {found.st_size if path.is_file() else 0}".encode())
        wal = database.with_name(f"{database.name}-wal")
        if wal.exists() and wal.stat().st_size:
            return ""
    except OSError:
        return ""
    return hashlib.sha256(b"\n".join(told)).hexdigest()
