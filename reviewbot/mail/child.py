"""The child process that fetches and reads mails for `lore`: whatever a mail does to it, the parent is not hurt.

Started by `reviewbot.mail.start` in a throw-away profile; requests on stdin, answers on stdout, a JSON value a line. It
writes no file, starts no program, and knows no repository.
"""

from __future__ import annotations

import logging
import os
import re
import resource
import signal
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import msgspec
from liblore.utils import split_mbox_as_bytes

from reviewbot.limits import MAX_MAILS
from reviewbot.mail import message
from reviewbot.mail.gzipped import GZIP, unpack
from reviewbot.mail.protocol import KINDS, Answer, Incomplete, MailLimits, Request
from reviewbot.mail.series import assemble, assemble_all
from reviewbot.process.bounded import lower_limit
from reviewbot.types import Address, Mail, ReviewError, Unreviewed

_FROM = re.compile(rb"^From \S[^\n]*\d\d:\d\d:\d\d[^\n]*\d{4}", re.MULTILINE)
_LOOSE = re.compile(rb"(?:\A|(?<=\n\n))From [^\n]*\n(?=(?:[!-9;-~]+:|>?From )[^\n]*\n)")
"""Where a mail begins in an mbox whose lines have no date, or one that is written in another way."""
_GIT = re.compile(rb"From ([0-9a-f]{40} Mon Sep 17 00:00:00 2001|git@z Thu Jan  1 00:00:00 1970)")


class TooLong(Exception):
    """One mail has used up its processor time."""


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not garble the answers
    limits = msgspec.json.decode(sys.argv[1], type=MailLimits)
    confine(limits)
    for line in sys.stdin.buffer:
        allow(limits.cpu)
        answers.write(respond(line, limits) + b"\n")
        answers.flush()


def confine(limits: MailLimits) -> None:
    """Bound this process for good: memory, and no file may be written."""
    logging.disable()
    signal.signal(signal.SIGPROF, _out_of_time)
    for what, most in ((resource.RLIMIT_AS, limits.memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        lower_limit(what, most)


def allow(seconds: int) -> None:
    """Some seconds of processor time from now on; beyond that the kernel ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1 + seconds
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def respond(line: bytes, limits: MailLimits) -> bytes:
    """The answer to one request, both as JSON. Never raises: a failure is an answer."""
    request = msgspec.json.decode(line, type=Request)
    what = request.source or f"the thread of <{request.asked}>"
    try:
        return msgspec.json.encode(fetch(request, limits) if request.inbox else read(request, limits))
    except ReviewError as error:
        answer = failed(error)
    except MemoryError:
        answer = failed(Unreviewed(f"{what} takes more than {limits.memory >> 20} MB of memory to read"))
    except Exception as error:  # a mail found a fault of ours or of a library: one line in the parent
        answer = failed(Unreviewed(f"{what} cannot be read: {_why(error)}"))
    return msgspec.json.encode(answer)


def failed(error: ReviewError) -> Answer:
    """A failure as an answer."""
    name = type(error).__name__
    return Answer(
        failure=name if name in KINDS else Unreviewed.__name__,
        text=str(error).encode("utf-8", "replace").decode(),
        query=error.query if isinstance(error, Incomplete) else "",
    )


def fetch(request: Request, limits: MailLimits) -> Answer:
    """The mbox of the thread that `request.asked` is in, or of what `request.query` finds, from `request.inbox`."""
    from reviewbot.mail import http

    if request.query:
        return Answer(mbox=http.search(request.query, request.inbox, limits))
    return Answer(mbox=http.thread(request.asked, request.inbox, limits))


def read(request: Request, limits: MailLimits) -> Answer:
    """The series that a request's mails hold. Raises as `lore_series.assemble`; a bad mail spoils only itself."""
    mails: list[bytes] = []
    by_git = True
    for raw in request.raws:
        more, git = split(raw, request.source, limits)
        mails += more
        by_git = by_git and git
    if len(mails) > MAX_MAILS:
        raise Unreviewed(f"{request.source} holds more than {MAX_MAILS} mails: give one series")
    posts = [post(mail, limits) for mail in mails]
    # A series has one sender; only where git wrote the files, or there are no headers, is From no sender.
    written = by_git or not any(p.mail.author.email or p.mail.message_id for p in posts)
    one_sender = bool(request.asked) or not written
    if request.all:
        found = assemble_all(posts, source=request.source, one_sender=one_sender, every=request.every)
        return Answer(all=tuple(failed(one) if isinstance(one, ReviewError) else Answer(series=one) for one in found))
    return Answer(
        series=assemble(
            posts,
            source=request.source,
            asked=request.asked,
            revision=request.revision,
            one_sender=one_sender,
            partial=request.partial,
        )
    )


def split(raw: bytes, source: str, limits: MailLimits) -> tuple[Sequence[bytes], bool]:
    """The mails of an mbox (also packed), or the one mail or diff that `raw` is; and whether git wrote them.

    git format-patch and `b4 am` start each mail with a fixed line; in these the author of a patch is in From.
    """
    if raw.startswith(GZIP):
        try:
            raw = unpack(raw, source, limits.series)
        except (zlib.error, EOFError):
            raise Unreviewed(f"{source} is packed, and damaged") from None
    if not raw.startswith(b"From "):
        return [raw], False
    lines = _FROM.findall(raw)
    if not lines:
        return [one for one in _LOOSE.split(raw) if one.strip()], False
    return split_mbox_as_bytes(raw), all(_GIT.match(line) for line in lines)


def post(raw: bytes, limits: MailLimits) -> message.Post:
    """One mail taken apart; of a mail that is too large, or too much for the email package, the headers and why."""
    fault = f"is {len(raw) / (1 << 20):.0f} MB large (at most {limits.mail >> 20} MB are read)"
    if len(raw) <= limits.mail:
        try:
            with _at_most(limits.mail_cpu):
                return message.read(raw)
        except RecursionError:
            fault = "has parts nested too deep to read"
        except TooLong:
            fault = f"takes more than {limits.mail_cpu:g} s to read"
        except Exception as error:
            fault = f"cannot be read: {_why(error)}"
    try:
        with _at_most(limits.mail_cpu):
            return message.heading(raw, fault)
    except Exception:
        return message.Post(mail=Mail("", "", Address("", ""), ""), fault=fault)


def _why(error: Exception) -> str:
    """What an exception says to people; its type tells them nothing."""
    return " ".join(str(error).split())[:200] or "the mail parser gives up on it"


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises TooLong in the body after so much processor time."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise TooLong
