"""What the user has at hand: mails of a file, a Maildir, a folder of patch files, or standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from reviewbot.limits import MAX_MAILS
from reviewbot.mail.protocol import MailLimits
from reviewbot.text import clean
from reviewbot.types import ReviewError, Unreviewed

_MAILS = (".patch", ".diff", ".eml", ".mbox", ".mbx", ".mail")


def local_mails(source: str, stdin: bytes | None, limits: MailLimits) -> Iterator[bytes]:
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
