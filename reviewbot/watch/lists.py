"""One list's state on disk (mirrors, lock) and one poll of it: what is new in its epochs, or in its IMAP folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from reviewbot.mail.epochs import Epoch, Mirror, epochs, fingerprint
from reviewbot.types import ReviewError
from reviewbot.watch.child import HeadReader
from reviewbot.watch.config import MailingList
from reviewbot.watch.series import Skip
from reviewbot.watch.store import Cursor, MailRow, Store
from reviewbot.watch.walk import Item, Progress, walk

DAY = 86400.0


class Busy(ReviewError):
    """Another run is reading this list."""


class EpochSource:
    """Mails of one epoch's mirror; the position of a mail is its commit."""

    def __init__(self, name: str, mirror: Mirror) -> None:
        self.name = name
        self.mirror = mirror

    def read(self, item: Item, most: int) -> tuple[str, bytes] | None:
        """The mail of a commit, None for a commit that only takes one out."""
        return self.mirror.mail_in(item.position, most)


class ListFolder:
    """Where a list's mirrors and stored mails lie in the state folder."""

    def __init__(self, state: Path, name: str) -> None:
        self.path = state / "lists" / name

    def mirror(self, epoch: str) -> Mirror:
        """The mirror of one epoch."""
        return Mirror(self.path / f"{int(epoch)}.git")

    @property
    def mails(self) -> Path:
        """Folder of the mails that came by IMAP, each named by its hash."""
        return self.path / "mails"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one run at a time reads a list. Raises Busy while another does. The kernel frees it when a run dies."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self.path / "lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy(f"{self.path.name} is being read by another run") from error
            yield

    def read(self, row: MailRow, most: int) -> bytes:
        """The raw mail that a row stands for, at most `most` bytes and one. Raises Unreachable, ReviewError."""
        if row.source == "imap":
            name = os.path.basename(row.ref)
            try:
                with open(self.mails / name, "rb") as file:
                    return file.read(most + 1)
            except OSError as error:
                raise ReviewError(f"the mail {name} is gone from {self.mails}: {error.strerror}") from error
        with closing(self.mirror(row.source)) as mirror:
            return mirror.mail(row.ref, most)


def poll(
    store: Store,
    list_: MailingList,
    state: Path,
    heads: HeadReader,
    skip: Skip,
    progress: Progress,
    now: float,
    listed: list[Epoch] | None = None,
) -> int:
    """Read what is new in a list; returns how many mails. Raises Unreachable, Busy, Unstored.

    `listed` are its epochs, where the server was just asked for them.
    """
    folder = ListFolder(state, list_.name)
    with folder.lock():
        if list_.imap:
            from reviewbot.watch.imap import poll_imap

            return poll_imap(store, list_, folder.mails, heads, skip, progress, now)
        return _poll_epochs(store, list_, folder, heads, skip, progress, now, listed or epochs(list_.url))


def _poll_epochs(
    store: Store,
    list_: MailingList,
    folder: ListFolder,
    heads: HeadReader,
    skip: Skip,
    progress: Progress,
    now: float,
    listed: list[Epoch],
) -> int:
    cursors = store.cursors(list_.name)
    changed = [e for e in listed if not e.fingerprint or cursors.get(e.name, Cursor()).fingerprint != e.fingerprint]
    if not changed:
        return 0
    floor = min((c.floor for c in cursors.values()), default=max(0.0, now - list_.look_back_days * DAY))
    for epoch in changed:
        if epoch.name not in cursors:  # a run that is cut off must not find another floor
            store.set_cursor(list_.name, epoch.name, Cursor(floor=floor))
    new = 0
    for epoch in _wanted(store, list_.name, changed, folder, floor):
        with closing(folder.mirror(epoch.name)) as mirror:
            position = store.cursor(list_.name, epoch.name).position
            items = [Item(c.id, c.arrived) for c in mirror.commits(position) if c.arrived >= floor]
            new += walk(store, list_.name, EpochSource(epoch.name, mirror), items, heads, skip, progress)
            _read_up_to(store, list_.name, epoch, mirror.tip())
    return new


def _wanted(store: Store, name: str, changed: list[Epoch], folder: ListFolder, floor: float) -> list[Epoch]:
    """Fetch epochs, the newest first, as far as the floor; returns them, the oldest first."""
    fetched: list[Epoch] = []
    reached = False
    for epoch in reversed(changed):
        with closing(folder.mirror(epoch.name)) as mirror:
            if reached and not mirror.exists():
                _read_up_to(store, name, epoch, "")  # all of it is older
                continue
            mirror.fetch(epoch.url, since=floor or None)
            reached = reached or mirror.is_cut() or any(c.arrived < floor for c in mirror.commits()[:1])
        fetched.append(epoch)
    return fetched[::-1]


def _read_up_to(store: Store, name: str, epoch: Epoch, tip: str) -> None:
    """The epoch is read to its end, as far as we have it: a server that was ahead of its own mirror is asked again."""
    same = not tip or epoch.fingerprint in (tip, fingerprint(tip))
    with store.transaction():
        cursor = store.cursor(name, epoch.name)
        to = msgspec.structs.replace(
            cursor, position=tip or cursor.position, fingerprint=epoch.fingerprint if same else "", tries=0
        )
        store.set_cursor(name, epoch.name, to)
