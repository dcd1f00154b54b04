"""The watcher's configuration: one TOML file, checked as a whole, every complaint one line that names the key.

Found as `config.toml` in the user's configuration folder (`~/.config/reviewbot` on Linux); `deploy/config.toml` is an
example with every key.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import msgspec

from reviewbot.score import COMMENT_ABOVE
from reviewbot.types import Address, ReviewError

Count = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

_MAILBOX = re.compile(r"^\s*(?:\"?([^<>\"]*?)\"?\s*<([^<>\s@]+@[^<>\s@]+)>|([^<>\s@]+@[^<>\s@]+))\s*$")


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: a key that is not known is an error, so that a misspelt one is never silently ignored."""


class MailingList(Table, frozen=True):
    """One `[[list]]`: a public-inbox by its address, or an IMAP folder for a list that has no public-inbox."""

    name: Name
    url: str = ""
    """Address of the inbox, `https://lore.kernel.org/dm-devel`: its epochs are mirrored."""
    imap: str = ""
    """`imaps://user@host/Folder` instead."""
    review: bool = False
    """The list wants reviews. Off, its mails are only read, for the threads."""
    look_back_days: Amount = 7
    """How far the first poll goes back."""

    def __post_init__(self) -> None:
        if bool(self.url) == bool(self.imap):
            raise ValueError(f"list `{self.name}` needs either `url` or `imap`")
        if self.url and not re.match(r"(https?://[^\s/]+|file:///)", self.url):
            raise ValueError(f"`url` of list `{self.name}` is no http(s):// or file:/// address: {self.url}")
        if self.imap and not re.match(r"imaps?://[^\s/]+", self.imap):
            raise ValueError(f"`imap` of list `{self.name}` is no imap(s):// address: {self.imap}")


class TreeRule(Table, frozen=True):
    """One `[[tree]]`: the git repository and branch that patches to some files are reviewed on. The first that fits."""

    path: str
    branch: str = "HEAD"
    files: tuple[str, ...] = ()
    """Shell patterns over the paths that a series touches; `*` crosses folders."""
    maintained_at: tuple[str, ...] = ()
    """`T:` entries of MAINTAINERS (their address is enough): fits a series to files that such an entry covers."""
    maintainer: str = ""
    """`Name <mail>` that drafts on this tree are for; empty for the one in `[drafts]`."""

    def __post_init__(self) -> None:
        if self.maintainer:
            address(self.maintainer, "maintainer")


class Drafts(Table, frozen=True):
    """`[drafts]`: for whom, of what, and where they go."""

    maintainer: str = ""
    """`Name <mail>`: From of every draft. Empty for the identity of the tree's git repository."""
    of: tuple[str, ...] = ("nack", "fix")
    """What is worth a draft: `nack`, `fix` (an ack that ends a deadlock), `ack`."""
    deliver: str = ""
    """A Maildir folder or IMAP address that gets a copy. The drafts themselves are in the state folder."""
    send: bool = False
    """Let `reviewbot drafts release` start `git send-email`; off, it prints the command."""
    embargo_hours: Amount = 0
    """A draft cannot be released before the series is this old."""
    never: tuple[str, ...] = ()
    """Shell patterns of addresses whose patches are never answered: people who asked for that."""

    def __post_init__(self) -> None:
        if self.maintainer:
            address(self.maintainer, "maintainer")
        wrong = set(self.of) - {"nack", "fix", "ack"}
        if wrong:
            raise ValueError(f"`of` knows nack, fix and ack, not {', '.join(sorted(wrong))}")
        if self.deliver in ("-",) or self.deliver.endswith(".eml"):
            raise ValueError(f"`deliver` is a Maildir folder or an IMAP address, not {self.deliver}")


class ReviewLimits(Table, frozen=True):
    """`[limits]`: what a mail or a review may use before it is set aside."""

    mail_bytes: Count = 2 << 20
    parse_seconds: Annotated[float, msgspec.Meta(gt=0)] = 10
    parse_megabytes: Count = 512
    review_seconds: Annotated[float, msgspec.Meta(gt=0)] = 1800
    review_megabytes: Count = 4096
    tries: Count = 3
    """Tries of a mail or a series, counted before each, until it is set aside."""
    wait_hours: Amount = 1
    """How long an incomplete series is expected to become complete before the summary names it."""
    patches: Count = 100
    """Longest series that is reviewed."""


class Follow(Table, frozen=True):
    """`[follow]`: the pace of `watch --follow`."""

    seconds: Annotated[float, msgspec.Meta(ge=1)] = 300
    most_seconds: Annotated[float, msgspec.Meta(ge=1)] = 3600
    """Longest pause while a server does not answer; the pause doubles up to it."""


class Patchwork(Table, frozen=True):
    """`[patchwork]`: a server that gets a check for each patch that was reviewed. Off without an address."""

    url: str = ""
    """`https://patchwork.example.org`. The token is in REVIEWBOT_PATCHWORK_TOKEN or in `token_file`."""
    project: str = ""
    """Link name of the project whose patches are meant; empty for every project that has the mail."""
    context: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,255}$")] = "reviewbot"
    """The name of the check."""
    token_file: str = ""
    target_url: str = ""
    """Where a check leads; `{id}` stands for the patch's message-id."""

    def __post_init__(self) -> None:
        if self.url and not re.match(r"https://[^\s/]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/|$)", self.url):
            raise ValueError(f"`url` is no https:// address, and a token does not go out in clear: {self.url}")


class Config(Table, frozen=True, rename={"lists": "list", "trees": "tree"}):
    """The whole file."""

    lists: tuple[MailingList, ...] = ()
    trees: tuple[TreeRule, ...] = ()
    drafts: Drafts = Drafts()
    limits: ReviewLimits = ReviewLimits()
    follow: Follow = Follow()
    patchwork: Patchwork = Patchwork()
    state: str = ""
    """State folder; empty for the user's (`~/.local/state/reviewbot`), or what STATE_DIRECTORY (systemd) says."""
    database: str = ""
    """SQLAlchemy address of the database; empty for `state.sqlite` in the state folder."""
    archive: str = ""
    """Inbox that has all lists, `https://lore.kernel.org/all`: a series that came in part is fetched from there."""
    bots: tuple[str, ...] = ()
    """Shell patterns of further addresses that are programs: their mails are not reviewed."""
    metrics: str = ""
    """File for Prometheus' text collector, written after each poll."""
    comment_above: Annotated[float, msgspec.Meta(ge=0, le=1)] = COMMENT_ABOVE
    """What could not be settled is a comment where its score is higher: 0 shows all, 1 none."""
    site: str = ""
    """Folder of the dashboard, brought up to date after each poll; empty for none."""

    def __post_init__(self) -> None:
        names = [x.name for x in self.lists]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"two lists are called `{twice[0]}`")
        if self.archive and not re.match(r"https?://[^\s/]+", self.archive):
            raise ValueError(f"`archive` is no http(s):// address: {self.archive}")

    def folder(self) -> Path:
        """The state folder, as an absolute path. It is not made here."""
        if self.state:
            return Path(self.state).expanduser().absolute()
        if os.environ.get("STATE_DIRECTORY"):
            return Path(os.environ["STATE_DIRECTORY"].split(":")[0])
        from platformdirs import user_state_path

        return user_state_path("reviewbot")

    def database_url(self) -> str:
        """Address of the database as SQLAlchemy takes it."""
        return self.database or f"sqlite:///{self.folder() / 'state.sqlite'}"


def address(text: str, key: str) -> Address:
    """`Name <mail@host>` or a bare address. ValueError, naming `key`, for anything else."""
    match = _MAILBOX.match(text)
    if not match or not text.isprintable():
        raise ValueError(f"`{key}` is no mail address: write it as `Name <name@example.org>`")
    return Address(name=(match[1] or "").strip(), email=match[2] or match[3])


def default_path() -> Path:
    """Where the configuration is looked for when no file is named: REVIEWBOT_CONFIG, else the user's folder."""
    if os.environ.get("REVIEWBOT_CONFIG"):
        return Path(os.environ["REVIEWBOT_CONFIG"])
    from platformdirs import user_config_path

    return user_config_path("reviewbot") / "config.toml"


def parse(text: str, origin: str = "configuration") -> Config:
    """Check the text of a configuration. ReviewError, one line with the key, for the first thing that is wrong."""
    import tomllib

    try:
        return msgspec.convert(tomllib.loads(text), Config)
    except tomllib.TOMLDecodeError as error:
        raise ReviewError(f"{origin} is no TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ReviewError(f"{origin}: {_with_key(str(error))}") from error


def load(path: Path | None = None) -> Config:
    """Read and check a configuration file. ReviewError when it is not there or not right."""
    path = path or default_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ReviewError(f"no configuration at {path}; deploy/config.toml is one to start from") from error
    except (OSError, UnicodeError) as error:
        raise ReviewError(f"cannot read {path}: {error}") from error
    return parse(text, str(path))


def _with_key(message: str) -> str:
    """msgspec's `... - at `$.list[0].url`` as `list[1].url: ...`; lists are counted from 1 as people do."""
    match = re.match(r"(?s)(.*) - at `\$\.?(.*)`$", message)
    what, key = (match[1], re.sub(r"\[(\d+)\]", lambda m: f"[{int(m[1]) + 1}]", match[2])) if match else (message, "")
    what = re.sub(r"^Object contains unknown field `(.*)`$", r"no such key: `\1`", what)
    what = re.sub(r"^Object missing required field `(.*)`$", r"the key `\1` is missing", what)
    what = what.replace("Expected `array`", "Expected a list `[...]`")
    return f"{key}: {what}" if key else what
