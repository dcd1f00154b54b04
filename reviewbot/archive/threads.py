"""The mails of a public-inbox archive -> the threads in which something was posted.

Of a mail nothing is read here but a few header fields and whether there is a diff in it, with regular expressions on a
bounded piece: whoever reviews a thread reads its mails for good (`mail.reader.MailReader`).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from reviewbot.limits import MAX_MAILS
from reviewbot.mail.epochs import Epoch, Mirror, epochs
from reviewbot.mail.protocol import MailLimits
from reviewbot.text import clean
from reviewbot.types import Progress, ReviewError, Unreviewed, Value

TOP = 64 << 10
"""Bytes of a mail in which its headers are looked for."""
NEAR = 3600.0
"""Seconds within which patches of one sender that were sent without threading are taken for one series."""
_FIELD = re.compile(rb"^(message-id|in-reply-to|references|subject|from):((?:[^\n]|\n[ \t])*)", re.IGNORECASE | re.M)
_ID = re.compile(rb"<([!-;=?-~]{1,900})>")
_COUNTED = re.compile(rb"\[[^\]]{0,80}?\b(\d{1,4})/(\d{1,4})\]")
_ADDRESS = re.compile(rb"[\w.+=-]+@[\w.-]+")
_PATCHED = re.compile(rb"^\+\+\+ b/(\S+)/", re.M)


class PostedMail(Value, frozen=True):
    """A patch or cover letter: its message-id, where it stands in the archive, and when that took it."""

    id: str
    epoch: str
    commit: str
    arrived: float


class PostedThread(Value, frozen=True):
    """A thread with what was posted in it, oldest first; `folder` is where its first patch changes something."""

    id: str
    mails: tuple[PostedMail, ...]
    folder: str = ""


@contextmanager
def opened(archive: Path) -> Iterator[list[Epoch]]:
    """The epochs of an archive on this machine: an inbox folder, one epoch's repository, or a bundle of one (which is
    unpacked for as long as the body takes). Raises ReviewError for anything else."""
    if archive.is_dir():
        yield epochs(f"file://{archive.resolve()}")
    elif archive.is_file():
        with tempfile.TemporaryDirectory(prefix="reviewbot-") as folder:
            path = Path(folder, "0.git")
            with closing(Mirror(path)) as mirror:
                mirror.fetch(str(archive.resolve()))
            yield epochs(f"file://{path}")
    else:
        raise ReviewError(
            f"there is no archive {clean(str(archive))}: name a public-inbox, an epoch of one or its bundle"
        )


def posted_threads(archive: list[Epoch], progress: Progress | None = None) -> list[PostedThread]:
    """The threads of an archive in which patches were posted, by their first mail. progress: mails read, mails to read."""
    found = _Threads()
    for epoch in archive:
        with closing(Mirror(Path(epoch.url.removeprefix("file://")))) as mirror:
            commits = mirror.commits()
            mails = mirror.mails((commit.id for commit in commits), MailLimits().mail)
            for number, (commit, raw) in enumerate(zip(commits, mails, strict=True)):
                if progress and number % 100 == 0:
                    progress(number, len(commits))
                if raw is not None:
                    found.take(raw, epoch.url, commit.id, commit.arrived)
    return found.threads()


def raw_mails(thread: PostedThread) -> list[bytes]:
    """The mails of a thread as the archive has them. Raises Unreachable when it cannot be read, Unreviewed where it is larger
    than a series may be."""
    raws: list[bytes] = []
    size, limits = 0, MailLimits()
    for url in dict.fromkeys(mail.epoch for mail in thread.mails):
        with closing(Mirror(Path(url.removeprefix("file://")))) as mirror:
            wanted = (mail.commit for mail in thread.mails if mail.epoch == url)
            for raw in mirror.mails(wanted, limits.mail):
                raws.append(raw or b"")
                size += len(raw or b"")
                if size > limits.series:
                    raise Unreviewed(f"{clean(thread.id)} has more than {limits.series >> 20} MB of mail")
    return [*filter(None, raws)]


class _Threads:
    """Mails, put together by what they answer."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}
        self._posted: dict[str, tuple[PostedMail, str]] = {}
        self._loose: dict[tuple[bytes, bytes], tuple[str, float]] = {}

    def take(self, raw: bytes, epoch: str, commit: str, arrived: float) -> None:
        """The next mail of the archive."""
        head = raw[:TOP].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
        fields: dict[bytes, bytes] = {}
        for name, value in _FIELD.findall(head):
            fields.setdefault(name.lower(), value)
        ids = _ID.findall(fields.get(b"message-id", b""))
        if not ids:
            return
        own = ids[0].decode("ascii")
        answered = _ID.findall(fields.get(b"in-reply-to", b"")) + _ID.findall(fields.get(b"references", b""))
        for other in answered:
            self._join(own, other.decode("ascii"))
        subject = fields.get(b"subject", b"").strip()
        counted = _COUNTED.search(subject)
        cover = counted is not None and int(counted[1]) == 0
        if subject[:3].lower() == b"re:" or own in self._posted or not (cover or _has_diff(raw, head)):
            return
        if counted and not answered:
            self._beside((b"".join(_ADDRESS.findall(fields.get(b"from", b""))[:1]), counted[2]), own, arrived)
        patched = _PATCHED.search(raw)
        folder = clean(patched[1].decode("utf-8", "replace")) if patched else ""
        self._posted[own] = PostedMail(own, epoch, commit, arrived), folder

    def _beside(self, shape: tuple[bytes, bytes], own: str, arrived: float) -> None:
        """A numbered patch that answers nothing goes with those of the same hour, sender and count."""
        last = self._loose.get(shape)
        if last and abs(arrived - last[1]) < NEAR:
            self._join(own, last[0])
        self._loose[shape] = own, arrived

    def _root(self, id_: str) -> str:
        path = []
        while (above := self._above.get(id_, id_)) != id_:
            path.append(id_)
            id_ = above
        self._above.update(dict.fromkeys(path, id_))
        return id_

    def _join(self, one: str, other: str) -> None:
        self._above[self._root(one)] = self._root(other)

    def threads(self) -> list[PostedThread]:
        """All of them, each with its posted mails."""
        mails: dict[str, list[tuple[PostedMail, str]]] = {}
        for own, posted in self._posted.items():
            mails.setdefault(self._root(own), []).append(posted)
        return [
            PostedThread(
                id=group[0][0].id,
                mails=tuple(mail for mail, _ in group[:MAX_MAILS]),
                folder=next((folder for _, folder in group if folder), ""),
            )
            for group in mails.values()
        ]


def _has_diff(raw: bytes, head: bytes) -> bool:
    """Whether there may be a diff in a mail; one that is encoded has to be decoded to see."""
    return b"\n+++ " in raw or b"\ndiff --git " in raw or b"base64" in head.lower()
