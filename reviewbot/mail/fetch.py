"""A message-id, lore URL, mbox, mail, diff, Maildir or standard input -> the Series it stands for.

Mails are fetched and read by a child process (`lore_child`) with limits on time, memory and size, in a throw-away
profile: no state or configuration of the user's b4 or git, and no `.b4-config` of a tree, is ever read. Whatever a mail
or a server does to the child becomes one line here.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import msgspec

from reviewbot.limits import MAX_MAILS
from reviewbot.mail.protocol import KINDS, Answer, Incomplete, MailLimits, NoPatch, Outage, Request, UnknownMessage
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

FRESH = 600
"""Seconds for which a fetched thread is used again."""


_ID = re.compile(r"[!-;=?-~]{1,900}")
_INBOX = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[!-~]*)?")
_MAILS = (".patch", ".diff", ".eml", ".mbox", ".mbx", ".mail")
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def fetch_all(
    source: str, *, inbox: str = LORE, stdin: bytes | None = None, limits: MailLimits | None = None
) -> list[Series | ReviewError]:
    """The series that `source` stands for: one for a message-id, each of those in a file or folder, the oldest first.

    In: as for `fetch`. Out: a series (its newest complete version; with the numbers of the patches that are missing
    where it is not complete), or an error in the place of one that cannot be read. Raises as `fetch`.
    """
    limits = limits or MailLimits()
    raws = tuple(_local(source, stdin, limits))
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
    raws = tuple(_local(source, stdin, limits))
    with MailReader(limits) as reader:
        if raws:
            name = "standard input" if source == "-" else source
            return reader.series(raws, source=name, revision=revision, partial=True)
        asked, inbox = message_id(source), _inbox(inbox)
        name = f"<{asked}> from {inbox.partition('://')[2]}"
        mbox = _kept(inbox, asked)
        if mbox is None:
            mbox = reader.thread(asked, inbox)
            _keep(inbox, asked, mbox)
        try:
            return reader.series((mbox,), source=name, asked=asked, revision=revision)
        except Incomplete as error:
            more = _others(reader, error, inbox)
        series = reader.series((mbox + more,), source=name, asked=asked, revision=revision, partial=True)
        if more and not series.missing:
            _keep(inbox, asked, mbox + more)
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
            raws = tuple(_local(self._source, self._stdin, self._reader.limits)) if self._source else ()
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


class MailReader:
    """A child process that fetches and reads mails; one is good for many series, and is replaced when a mail ends it.

    Use it as a context manager. It is not for several threads at once.
    """

    def __init__(self, limits: MailLimits | None = None) -> None:
        self.limits = limits or MailLimits()
        self._process: subprocess.Popen[bytes] | None = None
        self._profile: tempfile.TemporaryDirectory[str] | None = None
        self._late = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def thread(self, asked: str, inbox: str) -> bytes:
        """The thread of a message as an mbox. Raises UnknownMessage, Outage, or Unreviewed where it is too large."""
        late = f"{inbox.partition('://')[2]} did not answer within {self.limits.seconds:g} s: try again later"
        return self._ask(Request(asked=asked, inbox=inbox), "", Outage(late)).mbox

    def search(self, query: str, inbox: str) -> bytes:
        """The threads that a public-inbox query finds, as an mbox; empty for none. Raises Outage, or Unreviewed."""
        late = f"{inbox.partition('://')[2]} did not answer within {self.limits.seconds:g} s: try again later"
        return self._ask(Request(query=query, inbox=inbox), "", Outage(late)).mbox

    def series(
        self,
        raws: Sequence[bytes],
        *,
        source: str,
        asked: str = "",
        revision: int | None = None,
        partial: bool = False,
    ) -> Series:
        """The series in raw mails (or mboxes, or diffs), such as a thread from an archive; `asked` is the id of one of
        its patches, its cover letter or a reply to them, empty for the newest version there is. Raises as `fetch`,
        and Incomplete where patches are missing and it was not asked for what there is (`partial`)."""
        source = clean(source)
        request = Request(raws=tuple(raws), asked=asked, revision=revision, partial=partial, source=source)
        series = self._ask(request, source, self._late_for(source)).series
        assert series is not None
        return series

    def all(self, raws: Sequence[bytes], *, source: str, every: bool = False) -> list[Series | ReviewError]:
        """Each series in raw mails, or the error in its place; `every`: each version of each. Raises as `fetch`."""
        source = clean(source)
        request = Request(raws=tuple(raws), all=True, every=every, source=source)
        answers = self._ask(request, source, self._late_for(source)).all
        return [answer.series or _failure(answer) for answer in answers]

    def _late_for(self, source: str) -> Unreviewed:
        return Unreviewed(f"{source} takes longer than {self.limits.seconds:g} s to read, and is left alone")

    def close(self) -> None:
        """End the child and remove its profile."""
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.kill()  # it has nothing to put away, and would take its time to take its modules down
            self._process.wait()
            with suppress(OSError):
                self._process.stdin.close()
            self._process.stdout.close()
            self._process = None
        if self._profile is not None:
            self._profile.cleanup()
            self._profile = None

    def _ask(self, request: Request, source: str, late: Unreviewed) -> Answer:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        self._late = False
        timer = threading.Timer(self.limits.seconds, self._give_up, (process,))
        timer.daemon = True
        timer.start()
        line = b""
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(msgspec.json.encode(request) + b"\n")
                process.stdin.flush()
                line = process.stdout.readline()
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            raise self._ended(process, source or "the answer", late)
        answer = msgspec.json.decode(line, type=Answer)
        if answer.failure:
            raise _failure(answer)
        return answer

    def _give_up(self, process: subprocess.Popen[bytes]) -> None:
        self._late = True
        process.kill()

    def _ended(self, process: subprocess.Popen[bytes], source: str, late: Unreviewed) -> Exception:
        """Why there is no answer, once the child is gone."""
        code, told = process.wait(), self._complaint()
        self.close()
        if self._late:
            return late
        if code == -signal.SIGXCPU:
            return Unreviewed(
                f"{source} takes more than {self.limits.cpu} s of processor time to read, and is left alone"
            )
        if code < 0:
            return Unreviewed(f"{source} made the mail reader crash ({signal.strsignal(-code)}), and is left alone")
        return RuntimeError(f"the mail reader ended ({code}): {told}")

    def _complaint(self) -> str:
        assert self._profile is not None
        lines = Path(self._profile.name, "stderr").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._profile = tempfile.TemporaryDirectory(prefix="reviewbot-")
            home = self._profile.name
            with open(Path(home, "stderr"), "wb") as stderr:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "reviewbot.mail.child", msgspec.json.encode(self.limits).decode()],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    cwd=home,
                    env=_environment(home),
                )
        return self._process


def _failure(answer: Answer) -> ReviewError:
    error = KINDS[answer.failure](clean(answer.text))
    if isinstance(error, Incomplete):
        error.query = answer.query
    return error


def _environment(home: str) -> dict[str, str]:
    """What the child sees of the world: how to reach the network, and a profile with nothing in it."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.lower() in _PROXIES}
    return kept | {
        "HOME": home,
        "TMPDIR": home,
        **{f"XDG_{name}_HOME": f"{home}/{name.lower()}" for name in ("CACHE", "CONFIG", "DATA", "STATE")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": home,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # its HOME is not the one that pip --user installed to
        "PYTHONSAFEPATH": "1",
    }


# --- what the user has at hand ---------------------------------------------------------------------------------------


def _local(source: str, stdin: bytes | None, limits: MailLimits) -> Iterator[bytes]:
    """The mails of a file, a folder or standard input; nothing where `source` is none of these."""
    if source == "-":
        raw = sys.stdin.buffer.read(limits.series + 1) if stdin is None else stdin
        if not raw.strip():
            raise ReviewError("standard input is empty: pipe a mail, an mbox or a diff into it")
        _bounded(len(raw), "standard input", limits)
        yield raw
        return
    if not os.path.exists(source):  # False, too, for what can be no name of a file
        return
    size = 0
    try:
        for file in _files(Path(source)):
            with open(file, "rb") as stream:
                raw = stream.read(limits.series + 1)
            size += len(raw)
            _bounded(size, source, limits)
            yield raw
    except OSError as error:
        raise ReviewError(f"{clean(source)} cannot be read: {error.strerror}") from None
    if not size:
        raise ReviewError(f"{clean(source)} is empty: give a mail, an mbox, a diff, or a folder with such files")


def _bounded(size: int, source: str, limits: MailLimits) -> None:
    if size > limits.series:
        raise Unreviewed(f"{clean(source)} is larger than {limits.series >> 20} MB: nothing of that size is reviewed")


def _files(path: Path) -> list[Path]:
    """A file itself; of a Maildir its mails, of another folder its patch files, in the order of their names."""
    if not path.is_dir():
        return [path]
    if (path / "cur").is_dir() or (path / "new").is_dir():
        found = [f for sub in ("cur", "new") for f in (path / sub).glob("*") if not f.name.startswith(".")]
    else:
        found = [f for f in path.iterdir() if f.suffix in _MAILS]
    files = [f for f in found if stat.S_ISREG(f.stat().st_mode)]
    if len(files) > MAX_MAILS:
        raise Unreviewed(f"{clean(str(path))} holds more than {MAX_MAILS} mails: give one series")
    return sorted(files, key=lambda f: f.name)


def _inbox(url: str) -> str:
    if not _INBOX.fullmatch(url) or "?" in url or "#" in url:
        raise ReviewError(f"`{clean(url)[:200]}` is no public-inbox: give its URL, such as {LORE}")
    return url.rstrip("/")


# --- threads kept for a while ----------------------------------------------------------------------------------------


def _threads() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("reviewbot") / "threads"


def _entry(inbox: str, asked: str) -> Path:
    return _threads() / f"{hashlib.sha256(f'{inbox} {asked}'.encode()).hexdigest()[:40]}.mbox"


def _kept(inbox: str, asked: str) -> bytes | None:
    entry = _entry(inbox, asked)
    with suppress(OSError):
        if 0 <= time.time() - entry.stat().st_mtime < FRESH:
            return entry.read_bytes()
    return None


def _keep(inbox: str, asked: str, thread: bytes) -> None:
    """Write an entry, and remove the stale ones. A cache that cannot be written is none."""
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
