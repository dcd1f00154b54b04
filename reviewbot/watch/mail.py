"""One raw mail -> what the watcher remembers of it. Runs in the child process of `watch_child`, not in the watcher."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reviewbot.types import Value

if TYPE_CHECKING:  # the watcher knows Head only; what reads mails is loaded in the child
    from reviewbot.mail.message import Post

TOP = 64 << 10
"""Bytes of a mail in which its headers are looked for."""

_PROGRAMS = re.compile(
    r"(?:^|[._+-])(?:bot|robot|(?:syz|tip|git|build|test|kernel|patchwork|sys|ci|lkp)-?bot\d*|kernelci|no-?reply"
    r"|mailer-daemon|postmaster|buildbot|jenkins|patchwork)(?:$|[._+-])|^lkp@intel\.com$|^0day[._+-]",
    re.IGNORECASE,
)
_AGREES = re.compile(
    r"\b(?:good catch|nice catch|well spotted|you(?:'re| are) (?:right|correct)|(?:i )?agreed?\b(?! to disagree)"
    r"|(?:will|i'll|i will|let me|going to) (?:fix|drop|change|respin|rework|resend|send (?:a )?v\d)"
    r"|(?:fixed|dropped|done|addressed) in v\d|my (?:mistake|bad|fault)|thanks for (?:catching|spotting|finding))",
    re.IGNORECASE,
)
_BUT = re.compile(
    r"\b(?:(?:do not|don't|can't|cannot) (?:agree|happen|deadlock)|not agree|disagree|false positive"
    r"|(?:is|are)(?: not|n't) (?:possible|a problem|an issue|true|correct)|(?:no|not a) deadlock"
    r"|will not (?:fix|happen))",
    re.IGNORECASE,
)


class Head(Value, frozen=True):
    """What is kept of a mail. Kinds are those of `store.Kind`; `author` is a lower-case address."""

    id: str = ""
    kind: str = "other"
    author: str = ""
    subject: str = ""
    title: str = ""
    """The subject without `Re:`, `[...]` and case: the same for all versions."""
    version: int = 1
    number: int = 1
    expected: int = 1
    counted: bool = False
    parent: str = ""
    root: str = ""
    """Id of the first mail of its thread, as far as its own headers tell."""
    change_id: str = ""
    program: str = ""
    """Why its author is taken for a program; empty for a person."""
    agrees: bool = False
    """A reply that accepts what it answers."""
    fault: str = ""


def head(raw: bytes, post: Post) -> Head:
    """What to keep of `raw`, which `post` was read from."""
    from reviewbot.text import clean

    mail = post.mail
    if post.cover:
        kind = "cover"
    elif post.patch or (post.fault and post.tagged and not post.reply):
        kind = "patch"
    else:
        kind = "reply" if post.reply or post.parents else "other"
    parent = post.parents[0] if post.parents else ""
    author = mail.author.email.lower()
    return Head(
        id=mail.message_id,
        kind=kind,
        author=author,
        subject=mail.subject[:300],
        title=title(mail.subject),
        version=post.version,
        number=post.number,
        expected=post.expected,
        counted=post.counted,
        parent=parent,
        root=mail.references[0] if mail.references else parent or mail.message_id,
        change_id=post.change_id,
        program=program(raw, author),
        agrees=kind == "reply" and agrees(mail.body),
        fault=clean(post.fault),
    )


def title(subject: str) -> str:
    """A subject without reply marks, bracketed prefixes and case, for comparing versions; at most 300 characters."""
    bare = re.sub(r"^(?:\s*(?:re|aw|fwd?):|\s*\[[^\]]*\])+", "", subject, flags=re.IGNORECASE)
    return " ".join(bare.lower().split())[:300]


def program(raw: bytes, author: str) -> str:
    """Why a mail seems to be written by a program: by its sender's address, or by RFC 3834's header. Empty if not."""
    if _PROGRAMS.search(author.partition("@")[0]) or _PROGRAMS.search(author):
        return f"{author} is a program"
    top = raw[:TOP].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    if b"auto-submitted" not in top.lower():
        return ""
    import email.parser

    from reviewbot.text import unfold

    said = email.parser.BytesHeaderParser().parsebytes(top + b"\n\n").get("auto-submitted", "")
    return "" if unfold(str(said)).lower() in ("", "no") else "marked as Auto-Submitted"


def agrees(body: str) -> bool:
    """Whether a reply accepts what it answers, by what is usually said; in doubt it does not."""
    own = "\n".join(line for line in body.splitlines() if not line.startswith(">"))[:20_000]
    own = f"\n{own}".partition("\n-- \n")[0].replace("\u2019", "'")
    return bool(_AGREES.search(own)) and not _BUT.search(own)
