"""What `lore` and the child process that reads mails say to each other: limits, requests, answers, kinds of failure.

One JSON value a line, both ways. The child sees nothing else of the parent than its requests.
"""

from __future__ import annotations

from reviewbot.types import ReviewError, Series, Unreviewed, Value


class UnknownMessage(Unreviewed):
    """The archive answers that it has no message with this id."""


class Outage(Unreviewed):
    """The archive cannot be asked now: down, overloaded, or something else answers in its place."""


class NoPatch(Unreviewed):
    """What was given is readable, and is no patch."""


class Incomplete(Unreviewed):
    """Patches of the series are missing; more mail may bring them.

    `query` finds them in a public-inbox where they were posted without References; it is empty where they were not.
    """

    query = ""


KINDS: dict[str, type[ReviewError]] = {
    kind.__name__: kind for kind in (ReviewError, Unreviewed, UnknownMessage, Outage, NoPatch, Incomplete)
}
"""Failures that cross from the child to the parent, by name."""


class MailLimits(Value, frozen=True):
    """What reading one series may cost. Sizes in bytes, times in seconds."""

    mail: int = 2 << 20
    """One mail; a larger one is not read."""
    series: int = 64 << 20
    """All that is read for a series: a file, a Maildir, an unpacked thread."""
    download: int = 24 << 20
    """A thread as the server packs it."""
    seconds: float = 60.0
    """By the clock, per request to the child; fetching is one, reading another."""
    connect: float = 10.0
    """By the clock, until a server takes the connection, and between two pieces of its answer."""
    cpu: int = 20
    """Of processor time per request."""
    mail_cpu: float = 2.0
    """Of processor time for one mail; beyond it that mail is left out, not its thread."""
    memory: int = 1 << 30
    """Address space of the child."""


class Request(Value, frozen=True):
    """Something for the child to do: fetch from `inbox`, by message-id or by a query, or read a series from `raws`."""

    raws: tuple[bytes, ...] = ()
    """Mails, mboxes (packed or not) and diffs, in order."""
    asked: str = ""
    """Id of the message that the series is asked for by."""
    inbox: str = ""
    query: str = ""
    revision: int | None = None
    partial: bool = False
    """A series that lacks patches is given as it is."""
    all: bool = False
    """Each series of the mails."""
    every: bool = False
    """With `all`: each version of each of them."""
    source: str = ""


class Answer(Value, frozen=True):
    """What the child made of a request: a series, an mbox, or a failure (a name of KINDS, with `Incomplete.query`)."""

    series: Series | None = None
    all: tuple[Answer, ...] = ()
    """For a request for `all`: an answer for each."""
    mbox: bytes = b""
    failure: str = ""
    text: str = ""
    query: str = ""
