"""A drafted reply -> bytes of a mail -> the place where the maintainer finds it. Nothing is sent from here.

Written by RFC 5322 with an 8bit UTF-8 body. Whatever is handed over twice lies there once: the names are those of
`reviewbot.key`, and a file appears under its name only when it is whole and on the disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
import textwrap
import unicodedata
from contextlib import suppress
from email.header import Header
from email.message import EmailMessage
from email.policy import default as default_policy
from email.utils import formatdate, getaddresses
from pathlib import Path

from reviewbot.key import draft_name
from reviewbot.types import Reply, ReviewError

WIDTH, LONGEST = 72, 76
"""Own text is wrapped at WIDTH; a line up to LONGEST columns is left as it is."""
OCTETS = 990
"""Longest line of an 8bit body; RFC 5321 4.5.3.1.6 allows 998."""
ADDRESSES = frozenset({"from", "to", "cc", "bcc", "reply-to", "sender"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,75}")
_ITEM = re.compile(r"\s*(?:(?:[0-9]{1,3}[.)]|[-*])\s+)?")


def as_bytes(reply: Reply, date: str = "") -> bytes:
    """The mail of a reply with LF line ends; `date` is an RFC 5322 date (default: the reply's own, else now).

    Ids are never folded into encoded words, which would break the thread in other programs. Raises ValueError for a
    header that is not one line of text: such a value has to be cleaned where it came from, not here.
    """
    headers = [(n, v) for n, v in reply.headers if n.lower() != "date" or not date]
    if not any(n.lower() == "date" for n, _ in headers):
        headers.append(("Date", date or formatdate(localtime=True)))
    if not reply.header("message-id"):
        headers.append(("Message-ID", mail_id(reply)))
    message = EmailMessage(policy=default_policy.clone(cte_type="8bit"))
    text = wrapped(reply.body)
    message.set_content(text, subtype="plain", charset="utf-8", cte=_transfer_encoding(text))
    head = [_header(name, value) for name, value in headers]
    head += [f"{name}: {message[name]}" for name in ("MIME-Version", "Content-Type", "Content-Transfer-Encoding")]
    _, _, body = message.as_bytes().partition(b"\n\n")
    return "\n".join(head).encode("ascii") + b"\n\n" + body


def wrapped(body: str) -> str:
    """The body with own lines longer than 76 columns wrapped at 72; quotes stay as they are; no trailing blanks.

    A wrapped line of a list keeps its indentation. Words (paths, expressions, links) are never broken.
    """
    out: list[str] = []
    for line in body.replace("\r\n", "\n").rstrip("\n").split("\n"):
        if line == "-- ":
            out.append(line)
        elif len(line) <= LONGEST or line.startswith(">"):
            out.append(line.rstrip())
        else:
            lead = _ITEM.match(line)
            indent = " " * len(lead[0]) if lead else ""
            out += textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(out) + "\n"


def _transfer_encoding(text: str) -> str:
    if max(len(line.encode()) for line in text.split("\n")) > OCTETS:
        return "quoted-printable"
    return "7bit" if text.isascii() else "8bit"


def _header(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a header name: {name!r}")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in value):
        raise ValueError(f"not one line of text: {name}: {value!r}")
    if name.lower() in ADDRESSES:
        value = ", ".join(_address(*pair) for pair in getaddresses([value]) if pair[1])
    elif not value.isascii():
        value = Header(value, "utf-8", maxlinelen=74, header_name=name).encode(linesep="\n").replace("\n", "")
    return _folded(f"{name}: {value}")


def _address(name: str, email: str) -> str:
    if not email.isascii():
        raise ValueError(f"not an address: {email!r}")
    if not name:
        return email
    if name.isascii():
        plain = re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+", name)
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f"{name} <{email}>" if plain else f'"{quoted}" <{email}>'
    words = Header(name, "utf-8", maxlinelen=74).encode(linesep="\n").replace("\n", "")
    return f"{words} <{email}>"


def _folded(line: str) -> str:
    """A header over several lines, broken only where it has a space, so that no id or encoded word is ever cut."""
    out: list[str] = []
    start = line.find(": ") + 2
    while len(line) > LONGEST:
        at = line.rfind(" ", start, LONGEST + 1)
        if at < start:
            at = line.find(" ", LONGEST)
        if at < start:
            break
        out.append(line[:at])
        line, start = line[at:], 1
    return "\n".join([*out, line])


def mail_id(reply: Reply) -> str:
    """The reply's Message-ID in angle brackets; one made of its content when it has none."""
    text = "\0".join((*(f"{n}:{v}" for n, v in reply.headers if n.lower() != "date"), reply.body))
    made = f"<{hashlib.sha256(text.encode()).hexdigest()[:24]}-0.reviewbot@reviewbot.invalid>"
    return reply.header("message-id") or made


# --- where it goes ---------------------------------------------------------------------------------------------------


def deliver(reply: Reply, dest: str) -> str:
    """Put a draft where the maintainer wants it, once; returns the place as text for the user.

    `dest` is `-` (stdout), a file ending in `.eml`, an IMAP folder (`imaps://user@host/Drafts`), or a Maildir folder,
    where mail programs see it as a postponed message. ReviewError when the place cannot be written.
    """
    data = as_bytes(reply)
    if dest == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return dest
    if re.match(r"imaps?://", dest, re.IGNORECASE):
        from reviewbot.drafts.imap import append

        return append(dest, data, mail_id(reply))
    try:
        path = Path(dest).expanduser()
        return str(_to_file(path, data, reply) if dest.endswith(".eml") else _to_maildir(path, data, reply))
    except OSError as error:
        raise ReviewError(f"cannot write the draft to {dest}: {error.strerror or error}; name another place") from error


def _to_file(path: Path, data: bytes, reply: Reply) -> Path:
    """Several replies of one series asked to go to one file get names of their own: none overwrites another."""
    mine, number, free = mail_id(reply).encode(), 1, path
    while free.exists() and mine not in free.read_bytes():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    write(free, data)
    return free


def write(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read: whole and on the disk under that name, or not there at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place(stage(path, data), path)


def stage(path: Path, data: bytes) -> Path:
    """The first half of `write`: the content synced to disk under a hidden name beside `path`; returns that name."""
    part = staged(path)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part


def staged(path: Path) -> Path:
    """Where `stage` puts what is to become `path`."""
    return path.with_name(f".{path.name}.part")


def place(part: Path, path: Path) -> None:
    """The second half of `write`: the name appears, and the folder that holds it is on the disk."""
    os.replace(part, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _to_maildir(box: Path, data: bytes, reply: Reply) -> Path:
    copy = MaildirCopy(box, mail_id(reply))
    there = copy.there()
    if there:
        return there
    copy.stage(data)
    return copy.place()


class MaildirCopy:
    """A draft in a Maildir, in two steps so that a caller can note between them that it is about to appear.

    Its name is that of the draft with the flags D (draft) and S (seen), as maildir(5) and mutt have it.
    """

    def __init__(self, box: Path, message_id: str) -> None:
        self.box = box
        host = re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())
        self.stem = f"{draft_name(message_id)}.reviewbot.{host}"

    def there(self) -> Path | None:
        """Where it lies, under any flags: a mail program may have changed them."""
        return next((f for part in ("cur", "new") for f in (self.box / part).glob(f"{self.stem}*")), None)

    def stage(self, data: bytes) -> None:
        """Write it where no mail program looks, making the Maildir where there is none. ReviewError for a bad place."""
        box = self.box
        if box.exists() and (not box.is_dir() or (any(box.iterdir()) and not (box / "cur").is_dir())):
            raise ReviewError(f"{box} is there and is no Maildir; name a Maildir, a file ending in .eml, or -")
        if not box.exists() and box.suffix:
            raise ReviewError(f"{box} does not end in .eml; name FILE.eml, or make the folder that is to be a Maildir")
        for part in ("tmp", "new", "cur"):
            (box / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        stage(box / "tmp" / self.stem, data)

    def is_staged(self) -> bool:
        """Whether `stage` was done and `place` was not."""
        return staged(self.box / "tmp" / self.stem).exists()

    def place(self) -> Path:
        """Let it appear."""
        final = self.box / "cur" / f"{self.stem}:2,DS"
        with suppress(FileNotFoundError):  # another worker was faster
            place(staged(self.box / "tmp" / self.stem), final)
        return final


def send_command(path: Path) -> list[str]:
    """The command that sends one draft, for the maintainer to start: to the recipients of the draft, no others."""
    return ["git", "send-email", "--suppress-cc=all", "--no-chain-reply-to", "--no-thread", str(path)]
