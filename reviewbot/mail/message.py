"""One raw message -> Post: its headers, its text, and the diff in it as `git am` would see it.

Written for mail that wants to do harm: no header or part is trusted, and nothing here calls b4, which leaves the
process on some of them. What the email package cannot digest raises out of here; `lore_child` bounds time and memory.
"""

from __future__ import annotations

import contextlib
import email
import email.parser
import email.policy
import email.utils
import math
import re
from collections.abc import Iterator
from email.message import Message

import msgspec
from liblore.series import parse_patch_subject

from reviewbot.limits import MAX_MIME_PARTS, MAX_PATCH_NUMBER, MAX_PREREQUISITES_OF_MAIL
from reviewbot.text import addresses, clean, clean_lines, decode, header_text, mailbox, message_ids, unfold
from reviewbot.types import Address, Mail, Prerequisite, Value

HEADING = 64 << 10
"""Bytes that are read of a message that cannot be read whole."""


_HEADER = re.compile(rb"(?im)^(from|subject|date|message-id|to):")
_FIRST_LINE = re.compile(rb"(from [^\n]*\n)?[!-9;-~]+:", re.IGNORECASE)
_DIFF = re.compile(rb"^(diff --git [^\n]|--- [^\n]+\n\+\+\+ [^\n]+\n@@ -)", re.MULTILINE)
_TAGS = re.compile(r"[^\[\]]{0,80}(\[[^\]]*\]\s*)+")
_NUMBERED = re.compile(r"\b\d+ ?/ ?\d{5,}\b|\b\d{5,} ?/ ?\d+\b")
_VERSIONED = re.compile(r"(?<![a-z])(?:patch)?(v\d{5,})\b", re.IGNORECASE)
_BASE = re.compile(rb"^base-commit: ([0-9a-f]{40})\s*$", re.MULTILINE)
_CHANGE = re.compile(rb"^change-id: (\S{1,200})\s*$", re.MULTILINE)
_PRIOR = re.compile(rb"^prerequisite-(message|change|patch)-id:[ \t]*(\S{1,900})[ \t]*$", re.MULTILINE | re.IGNORECASE)


class Post(Value, frozen=True):
    """A message with what its subject line and its text say about a series."""

    mail: Mail
    diff: bytes = b""
    raw: bytes = b""
    """The whole message with transfer encodings undone and its line ends kept; empty for a reply."""
    version: int = 1
    number: int = 1
    expected: int = 1
    counted: bool = False
    """The subject has an n/m."""
    tagged: bool = False
    """The subject has a [PATCH]."""
    reply: bool = False
    when: float = 0.0
    """Seconds since the epoch by the Date header, 0 without one."""
    parents: tuple[str, ...] = ()
    """Ids of the messages above it, the nearest first."""
    base_commit: str = ""
    change_id: str = ""
    prerequisites: tuple[Prerequisite, ...] = ()
    fault: str = ""
    """Why only the headers were read: `is 21 MB`."""

    @property
    def cover(self) -> bool:
        """A cover letter, 0/n; what diffs it may hold (an interdiff) are not applied."""
        return self.tagged and self.counted and not self.number and not self.reply

    @property
    def patch(self) -> bool:
        """A patch that was posted as one, not quoted or proposed in a reply."""
        return bool(self.diff) and not self.reply and not self.cover


def read(raw: bytes) -> Post:
    """Take one message apart, or a diff without mail header (a Post with no author, no subject and no id).

    Raises whatever the email package does on what it cannot read (RecursionError, ValueError ...).
    """
    raw = raw.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    plain = raw.replace(b"\r\n", b"\n")  # as git mailsplit does before anything is decoded
    if not _is_mail(plain):
        return _bare(raw, plain)
    message = email.message_from_bytes(plain, policy=email.policy.compat32)
    text, diff = _split(list(_texts(message)))
    post = _heading(message, clean_lines(text))
    if (not diff and not post.cover) or post.fault:
        return post
    if plain != raw:
        text, kept = _split(list(_texts(email.message_from_bytes(raw, policy=email.policy.compat32))))
    else:
        kept = diff
    everything = b"\n".join((text.encode("utf-8", "replace"), diff))
    base, change = _BASE.search(everything), _CHANGE.search(everything)
    return _with(
        post,
        diff=diff,
        raw=_plain_mail(post.mail, text, kept),
        base_commit=base[1].decode() if base else "",
        change_id=clean(decode(change[1])) if change else "",
        prerequisites=_prerequisites(everything),
    )


def heading(raw: bytes, fault: str) -> Post:
    """The headers alone of a message that cannot be read whole, because of `fault`."""
    top = raw[:HEADING].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    return _with(_heading(email.parser.BytesHeaderParser().parsebytes(top + b"\n\n"), ""), fault=fault)


def _with(post: Post, **changes: object) -> Post:
    return msgspec.structs.replace(post, **changes)


# --- headers ---------------------------------------------------------------------------------------------------------


def _is_mail(plain: bytes) -> bool:
    head = plain.partition(b"\n\n")[0]
    return bool(_FIRST_LINE.match(plain)) and bool(_HEADER.search(head))


def _heading(message: Message, body: str) -> Post:
    fields: dict[str, list[str]] = {}
    for name, value in message.raw_items():
        fields.setdefault(name.lower(), []).append(value)

    def first(name: str) -> str:
        return fields.get(name, [""])[0]

    subject = header_text(first("subject"))
    parsed = parse_patch_subject(subject[:1000])
    fault = _absurd(subject) if parsed.is_patch else ""
    sane = not fault and max(parsed.version, parsed.counter, parsed.expected) <= MAX_PATCH_NUMBER
    answered = message_ids(unfold(first("in-reply-to")))[:1]
    references = message_ids(unfold(first("references")))
    mail = Mail(
        message_id=next(iter(message_ids(unfold(first("message-id")))), ""),
        subject=subject,
        author=next(iter(_people(fields.get("from", [])[:1])), Address(name="", email="")),
        date=header_text(first("date"))[:100],
        to=_people(fields.get("to", [])),
        cc=_people(fields.get("cc", [])),
        reply_to=_people(fields.get("reply-to", [])),
        in_reply_to=next(iter(answered), ""),
        references=references,
        list_id=next(iter(message_ids(unfold(first("list-id")))), ""),
        body=body,
    )
    return Post(
        mail=mail,
        version=parsed.version if sane else 1,
        number=parsed.counter if sane else 1,
        expected=max(parsed.expected, 1) if sane else 1,
        counted=sane and not parsed.counters_inferred,
        tagged=parsed.is_patch,
        reply=parsed.is_reply,
        when=_when(first("date")),
        parents=tuple(dict.fromkeys((*answered, *reversed(references)))),
        fault=fault,
    )


def _absurd(subject: str) -> str:
    """What is wrong with a version, or with an n/m, that no series has; empty where nothing is."""
    tags = _TAGS.match(subject[:1000])
    prefix = tags[0] if tags else ""
    if found := _NUMBERED.search(prefix):
        return f"is numbered {found[0][:40]} in its subject: no series has more than {MAX_PATCH_NUMBER} patches"
    if found := _VERSIONED.search(prefix):
        return f"is {found[1][:40]} by its subject: there is no version above v{MAX_PATCH_NUMBER}"
    return ""


def _prerequisites(text: bytes) -> tuple[Prerequisite, ...]:
    """What has to be applied first, in the order in which the mail says so."""
    found: dict[Prerequisite, None] = {}
    for kind, value in _PRIOR.findall(text)[:MAX_PREREQUISITES_OF_MAIL]:
        id_, version = clean(decode(value)).strip("<>"), 0
        if kind.lower() == b"change" and (said := re.fullmatch(r"(.+):v?(\d{1,4})", id_)):
            id_, version = said[1], int(said[2])
        found[Prerequisite(kind=f"{kind.decode().lower()}-id", id=id_, version=version)] = None
    return tuple(found)


def _people(values: list[str]) -> tuple[Address, ...]:
    return tuple(dict.fromkeys(Address(name=name, email=address) for name, address in addresses(*values)))


def _when(date: str) -> float:
    with contextlib.suppress(ValueError, TypeError, OverflowError, IndexError):
        parsed = email.utils.parsedate_tz(unfold(date)[:100])
        if parsed is not None and math.isfinite(seconds := float(email.utils.mktime_tz(parsed))):
            return seconds
    return 0.0


# --- text and diff ---------------------------------------------------------------------------------------------------


def _texts(message: Message) -> Iterator[tuple[bytes, str | None]]:
    """The parts that are text or a patch, decoded to bytes, with their charset. Attached mails are not opened."""
    queue = [message]
    for _ in range(MAX_MIME_PARTS):
        if not queue:
            return
        part = queue.pop(0)
        if part.is_multipart():
            if part.get_content_maintype() == "multipart":
                queue[:0] = [p for p in part.get_payload() if isinstance(p, Message)]
        else:
            data = part.get_payload(decode=True)
            if isinstance(data, bytes) and data and _wanted(part, data):
                yield _unflowed(part, data), _charset(part)


def _wanted(part: Message, data: bytes) -> bool:
    """Text or a patch, whatever type it goes under: list software relabels parts as application/octet-stream."""
    kind = part.get_content_type()
    if kind == "text/html" or kind.endswith("-signature"):
        return False
    return kind.startswith("text/") or (kind.startswith(("application/", "multipart/")) and b"\0" not in data)


def _charset(part: Message) -> str | None:
    try:
        return part.get_content_charset()
    except (LookupError, UnicodeError, ValueError):
        return None


def _unflowed(part: Message, data: bytes) -> bytes:
    """Text in format=flowed (RFC 3676) as it was before, the way git mailinfo undoes it; other text as it is."""
    if str(part.get_param("format", "")).lower() != "flowed":
        return data
    delete = str(part.get_param("delsp", "")).lower() == "yes"
    out, begun = [], b""
    for line in data.split(b"\n"):
        text = line.removesuffix(b"\r")
        if text == b"-- ":
            out += [begun] * bool(begun) + [text]
            begun = b""
            continue
        text = text.removeprefix(b" ")
        if text.endswith(b" "):
            begun += text[:-1] if delete else text
        else:
            out.append(begun + text)
            begun = b""
    return b"\n".join(out + [begun] * bool(begun))


def _split(parts: list[tuple[bytes, str | None]]) -> tuple[str, bytes]:
    """The message text above the diff, and the diff with all that follows it, but not a second time the same diff."""
    text = ""
    for index, (data, charset) in enumerate(parts):
        if found := _DIFF.search(data):
            diff = data[found.start() :]
            rest = [more for more, _ in parts[index + 1 :] if not _same_diff(diff, more)]
            lines = b"".join(more if more.endswith(b"\n") else more + b"\n" for more in (diff, *rest))
            return text + decode(data[: found.start()], charset), lines
        text += decode(data, charset).rstrip("\n") + "\n"
    return text, b""


def _same_diff(diff: bytes, more: bytes) -> bool:
    """Some send a patch in the mail and attached to it; `git am` takes both, and fails."""
    found = _DIFF.search(more)
    return found is not None and more[found.start() :].rstrip() == diff.rstrip()


def _plain_mail(mail: Mail, text: str, diff: bytes) -> bytes:
    people = [(mail.author.name, mail.author.email)] if mail.author.email else []
    fields = [
        *(("From", mailbox(*person)) for person in people),
        ("Date", mail.date),
        ("Subject", mail.subject),
        ("Message-ID", f"<{mail.message_id}>"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=UTF-8"),
        ("Content-Transfer-Encoding", "8bit"),
    ]
    head = "".join(f"{name}: {value}\n" for name, value in fields if value not in ("", "<>"))
    return f"{head}\n{text}".encode("utf-8", "replace") + diff


def _bare(raw: bytes, plain: bytes) -> Post:
    text, diff = _split([(plain, None)])
    base, change = _BASE.search(plain), _CHANGE.search(plain)
    nobody = Address(name="", email="")
    return Post(
        mail=Mail(message_id="", subject="", author=nobody, date="", body=clean_lines(text) if diff else ""),
        diff=diff,
        raw=raw if diff else b"",
        base_commit=base[1].decode() if base else "",
        change_id=clean(decode(change[1])) if change else "",
        prerequisites=_prerequisites(plain) if diff else (),
    )
