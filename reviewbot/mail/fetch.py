"""A message-id, lore URL, mbox, mail, diff, Maildir or standard input -> the Series it stands for.

Mails are fetched and read by a child process, the `MailReader`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import msgspec

from reviewbot.mail.kept import keep, kept
from reviewbot.mail.local import local_mails
from reviewbot.mail.protocol import Incomplete, MailLimits, NoPatch, Outage, UnknownMessage
from reviewbot.mail.reader import MailReader
from reviewbot.text import clean
from reviewbot.types import Prerequisite, ReviewError, Series, Unreviewed

__all__ = [
    "LORE",
    "Finder",
    "Incomplete",
    "MailLimits",
    "MailReader",
    "NoPatch",
    "Outage",
    "UnknownMessage",
    "fetch",
    "fetch_all",
    "parse",
]

LORE = "https://lore.kernel.org/all"
"""Where messages are fetched from unless another public-inbox is named."""

_ID = re.compile(r"[!-;=?-~]{1,900}")
_INBOX = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[!-~]*)?")


def fetch_all(
    source: str, *, inbox: str = LORE, stdin: bytes | None = None, limits: MailLimits | None = None
) -> list[Series | ReviewError]:
    """The series that `source` stands for: one for a message-id, each of those in a file or folder, the oldest first.

    In: as for `fetch`. Out: a series (its newest complete version; with the numbers of the patches that are missing
    where it is not complete), or an error in the place of one that cannot be read. Raises as `fetch`.
    """
    limits = limits or MailLimits()
    raws = tuple(local_mails(source, stdin, limits))
    if not raws:
        return [fetch(source, inbox=inbox, limits=limits)]
    with MailReader(limits) as reader:
        return reader.all(raws, source="standard input" if source == "-" else source)


def fetch(
    source: str,
    *,
    inbox: str = LORE,
    stdin: bytes | None = None,
    revision: int | None = None,
    limits: MailLimits | None = None,
) -> Series:
    """The one series that `source` stands for; patches of it may be missing.

    `source` is a message-id (with or without `<>`), a URL with one in it (which never chooses the server), a file
    (mail, mbox, diff, each also gzipped), a Maildir, a folder of patch files, or `-` for `stdin` (read from standard
    input where that is None). A message-id is looked up in `inbox`, a public-inbox URL; threads are kept for ten
    minutes below the user's cache folder. `revision` asks for another version of the series than the one that was
    named, or than the newest one of a file.

    Raises ReviewError for what cannot be meant, UnknownMessage, Outage, NoPatch or Incomplete for what their names say,
    and Unreviewed for mail that is too large or cannot be read.
    """
    limits = limits or MailLimits()
    raws = tuple(local_mails(source, stdin, limits))
    with MailReader(limits) as reader:
        if raws:
            name = "standard input" if source == "-" else source
            return reader.series(raws, source=name, revision=revision, partial=True)
        asked, inbox = message_id(source), _inbox(inbox)
        name = f"<{asked}> from {inbox.partition('://')[2]}"
        mbox = kept(inbox, asked)
        if mbox is None:
            mbox = reader.thread(asked, inbox)
            keep(inbox, asked, mbox)
        try:
            return reader.series((mbox,), source=name, asked=asked, revision=revision)
        except Incomplete as error:
            more = _others(reader, error, inbox)
        series = reader.series((mbox + more,), source=name, asked=asked, revision=revision, partial=True)
        if more and not series.missing:
            keep(inbox, asked, mbox + more)
        return series


class Finder:
    """Where the prerequisites of a series may be: among the mails of the file that it came from, and in an archive.

    In: what `fetch_all` was given; `inbox` empty for no archive. Use it as a context manager: it keeps a child.
    """

    def __init__(
        self, source: str, *, inbox: str = "", stdin: bytes | None = None, limits: MailLimits | None = None
    ) -> None:
        self._source, self._stdin = source, stdin
        self._inbox = _inbox(inbox) if inbox else ""
        self._reader = MailReader(limits)
        self._own: list[Series] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._reader.close()

    def __call__(self, wanted: Prerequisite) -> list[Series]:
        """Series among which the prerequisite may be. Raises Unreviewed where they cannot be had, as `fetch`."""
        found = [s for s in self._here() if wanted.kind == "patch-id" or _named(wanted, s)]
        if found and wanted.kind != "patch-id":
            return found
        if not self._inbox:
            if not found:
                raise UnknownMessage("not among the mails it came with; an archive to look in is named by --inbox")
            return found
        if not _ID.fullmatch(wanted.id) or '"' in wanted.id:
            return found
        if wanted.kind == "message-id":
            mbox = self._reader.thread(wanted.id, self._inbox)
            return [self._reader.series((mbox,), source=f"<{wanted.id}>", asked=wanted.id, partial=True)]
        query = f"patchid:{wanted.id}" if wanted.kind == "patch-id" else f'nq:"change-id:{wanted.id}"'
        mbox = self._reader.search(query, self._inbox)
        return [*found, *self._read((mbox,), wanted.id)] if mbox else found

    def _here(self) -> list[Series]:
        if self._own is None:
            raws = tuple(local_mails(self._source, self._stdin, self._reader.limits)) if self._source else ()
            self._own = self._read(raws, self._source) if raws else []
        return self._own

    def _read(self, raws: tuple[bytes, ...], source: str) -> list[Series]:
        found = self._reader.all(raws, source=source, every=True)
        return [one for one in found if isinstance(one, Series)]


def _named(wanted: Prerequisite, series: Series) -> bool:
    mails = (series.lead, *(p.mail for p in series.patches))
    return series.change_id == wanted.id if wanted.kind == "change-id" else wanted.id in {m.message_id for m in mails}


def _others(reader: MailReader, error: Incomplete, inbox: str) -> bytes:
    """Some post a series without References, each patch a thread by itself: what the archive finds of the others."""
    if error.query:
        with suppress(Unreviewed):
            return reader.search(error.query, inbox)
    return b""


def parse(
    raw: bytes,
    source: str,
    *,
    revision: int | None = None,
    limits: MailLimits | None = None,
    reader: MailReader | None = None,
    alone: bool = False,
) -> Series:
    """The series in the bytes of a mail, an mbox or a diff; `source` names them in messages. Raises as `fetch`.

    reader: one that is open and stays so, for whoever reads many. alone: what is there is all that is meant, so that
    nothing of the series is missing.
    """
    if reader is None:
        with MailReader(limits) as own:
            return parse(raw, source, revision=revision, reader=own, alone=alone)
    series = reader.series((raw,), source=source, revision=revision, partial=True)
    return msgspec.structs.replace(series, missing=()) if alone else series


def message_id(source: str) -> str:
    """The message-id in what a user typed: `<id>`, `id`, or a URL that has it in its path. Raises ReviewError.

    Of a URL nothing but the id counts; neither its host nor its folders choose where the message is fetched from.
    """
    text = source.strip()
    if re.match(r"https?://", text, re.IGNORECASE):
        with suppress(ValueError):
            for part in urlsplit(text).path.split("/"):
                found = unquote(part).strip("<>")
                if "@" in found and _ID.fullmatch(found):
                    return found
        raise ReviewError(f"`{clean(source)[:200]}` has no message-id in it: give the link of the message, or its id")
    text = text.removeprefix("<").removesuffix(">")
    if "@" in text and _ID.fullmatch(text):
        return text
    raise ReviewError(f"`{clean(source)[:200]}` is no file and no message-id: give a file, `<id@host>` or a lore URL")


def _inbox(url: str) -> str:
    if not _INBOX.fullmatch(url) or "?" in url or "#" in url:
        raise ReviewError(f"`{clean(url)[:200]}` is no public-inbox: give its URL, such as {LORE}")
    return url.rstrip("/")
