"""A thread as one mbox from a public-inbox server: one request, bounded in size and time, to the server that was named.

Requests go through liblore, which knows how archives want to be asked. Its own unpacking is not used: it has no bound,
and takes a web page that a proxy put in the archive's place for a fault of the program.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from urllib.parse import quote, urljoin, urlsplit

import requests
from liblore import LibloreError
from liblore.node import LoreNode

from reviewbot.mail.gzipped import GZIP, unpack
from reviewbot.mail.protocol import MailLimits, Outage, UnknownMessage
from reviewbot.types import Unreviewed

AGENT = "reviewbot"
LATER = "try again later, or save the thread as an mbox and give the file"


class OneHost(requests.Session):
    """Follows redirects on the host that was asked, and to no other."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where an answer leads on the same host; None where it leads to another, or nowhere."""
        target: str | None = super().get_redirect_target(resp)
        if target and urlsplit(urljoin(resp.url, target)).hostname != urlsplit(resp.url).hostname:
            return None
        return target


def thread(message_id: str, inbox: str, limits: MailLimits) -> bytes:
    """The thread of a message as unpacked mbox (mboxrd).

    `message_id` without brackets, `inbox` a URL without slash at its end. Raises UnknownMessage (the server has none
    such), Outage (no answer, or not one of an archive), Unreviewed (larger than `limits` allow).
    """
    what = f"the thread of <{message_id}>"
    mbox = _mbox("GET", f"{inbox}/{quote(message_id, safe='')}/t.mbox.gz", inbox, what, limits)
    if not mbox.strip():
        shown = _shown(inbox)
        raise UnknownMessage(f"<{message_id}> is not known at {shown}: check the id, or name its archive with --inbox")
    return mbox


def search(query: str, inbox: str, limits: MailLimits) -> bytes:
    """The threads of all messages that a public-inbox query finds, as unpacked mbox; empty where there are none.

    Raises as `thread`, but for UnknownMessage.
    """
    return _mbox("POST", f"{inbox}/?x=m&t=1&q={quote(query, safe='')}", inbox, "what the archive found", limits)


def _mbox(method: str, url: str, inbox: str, what: str, limits: MailLimits) -> bytes:
    packed = _asked(method, url, inbox, what, limits)
    if not packed:
        return b""
    if not packed.startswith(GZIP):
        raise Outage(f"{_shown(inbox)} answers with something else than mails (a web page?): {LATER}")
    try:
        return unpack(packed, what, limits.series)
    except (zlib.error, EOFError):
        raise Outage(f"{_shown(inbox)} sent a damaged answer: {LATER}") from None


def _asked(method: str, url: str, inbox: str, what: str, limits: MailLimits) -> bytes:
    """The body of an answer, empty where the server has nothing (404, and 300 for ids that are like the one asked)."""
    session = OneHost()
    session.max_redirects = 5
    session.headers["User-Agent"] = AGENT
    node = LoreNode(inbox, follow_upstream=False, request_timeout=limits.connect)
    node.set_requests_session(session)
    data = "x=m" if method == "POST" else None
    try:
        with node.request(method, url, stream=True, data=data, headers={"Accept-Encoding": "identity"}) as response:
            if response.status_code in (300, 404, 410):
                return b""
            if response.status_code != 200:
                raise Outage(f"{_shown(inbox)} answers {response.status_code}: {LATER}")
            return b"".join(_bounded(response, what, limits.download))
    except (requests.RequestException, LibloreError) as error:
        raise Outage(f"{_shown(inbox)} cannot be reached ({_reason(error)}): {LATER}") from None


def _bounded(response: requests.Response, what: str, most: int) -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_content(64 << 10):
        size += len(chunk)
        if size > most:
            raise Unreviewed(f"{what} is larger than {most >> 20} MB: nothing of that size is reviewed")
        yield chunk


def _shown(inbox: str) -> str:
    return inbox.partition("://")[2]


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, LibloreError) and error.__cause__ else error
    if isinstance(cause, requests.Timeout) or "timed out" in str(cause):
        return "no answer in time"
    if isinstance(cause, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if found := re.search(r"\[Errno -?\d+\] ([\w ]+)", str(cause)):
        return found[1].lower()
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(cause).__name__).lower()
