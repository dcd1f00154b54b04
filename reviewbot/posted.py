"""What goes into a review: the series as it was posted, and what it changes in which lines.

Others import these values from types.py, together with those that come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Protocol

import msgspec

from reviewbot.function_key import FunctionKey, key_of


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all values: immutable, compared by content, hashable, JSON both ways."""


# --- what was posted -------------------------------------------------------------------------------------------------


class Address(Value, frozen=True):
    """A mail address; `name` may be empty."""

    name: str
    email: str


class Mail(Value, frozen=True):
    """The headers of one message that a reply or a state machine needs, and its decoded text body."""

    message_id: str
    """Without angle brackets."""
    subject: str
    author: Address
    date: str
    """RFC 5322 date as the message has it, or an empty string."""
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    list_id: str = ""
    body: str = ""
    """Text of the message up to the diff for a patch, whole for a reply."""
    attestation: str = ""
    """What DKIM or patatt said of it, for show only: never trusted for content."""


class Patch(Value, frozen=True):
    """One patch of a series: its mail, and the patch as bytes that `git am` would take."""

    mail: Mail
    diff: bytes
    """The unified diff, transfer encoding undone, from the first `diff --git` (or `---`) on."""
    number: int = 1
    raw: bytes = b""
    """The whole message, cleaned of transfer encoding, for a second try with --keep-cr and for `git am` users."""


class Prerequisite(Value, frozen=True):
    """What a series says has to be applied before it, as b4 and `git format-patch --base` write it."""

    kind: str
    """`message-id`, `change-id` or `patch-id`."""
    id: str
    version: int = 0
    """Of a change-id; 0 where none is named."""
    state: str = ""
    """`applied`, `in the base`, or `missing`; empty as long as nobody has looked."""
    why: str = ""
    """Why it is missing."""

    def __str__(self) -> str:
        return f"{self.kind} {self.id}{f' v{self.version}' if self.version else ''}"


class Prior(Value, frozen=True):
    """A prerequisite with its patches; without any where it is missing, for the reason that it names."""

    prerequisite: Prerequisite
    patches: tuple[Patch, ...] = ()


class Series(Value, frozen=True):
    """A patch series as posted: one version by one author, in order."""

    patches: tuple[Patch, ...]
    version: int = 1
    expected: int = 1
    """How many patches the series says it has."""
    missing: tuple[int, ...] = ()
    """Numbers of the patches that are not here; empty where one patch was asked for by itself."""
    chosen: str = ""
    """Which version this is of those that were there, and why this one; empty where there was no choice."""
    prerequisites: tuple[Prerequisite, ...] = ()
    """In the order in which they have to be applied."""
    cover: Mail | None = None
    change_id: str = ""
    base_commit: str = ""
    """40 hex digits, or empty."""
    thread: tuple[Mail, ...] = ()
    """Replies of people, oldest first; later and earlier versions are not in here."""
    source: str = ""
    """Where it came from, for messages to the user: `<id> from lore`, a file name, `A..B`."""

    @property
    def lead(self) -> Mail:
        """The message that stands for the series: the cover letter, else the first patch."""
        return self.cover or self.patches[0].mail

    def at(self, position: int) -> Patch:
        """The patch at a position from 1, as findings count; where patches are missing its number is another."""
        return self.patches[position - 1] if 0 < position <= len(self.patches) else self.patches[0]


# --- what it changes -------------------------------------------------------------------------------------------------


class Source(Protocol):
    """A tree of files at one moment (base, or base with the series applied); paths are relative with `/`."""

    def blob(self, path: str) -> str | None:
        """Object id of the file (40 hex digits), or None when there is no such regular file."""

    def read(self, path: str) -> bytes | None:
        """Content of the file, or None when there is no such regular file."""

    def read_many(self, paths: Iterable[str]) -> Mapping[str, bytes]:
        """Contents of all the files that exist among `paths`, in one go."""

    def ls(self, folder: str) -> Mapping[str, str]:
        """Regular files below `folder` ('' for the whole tree), path -> blob id. Empty for a missing folder."""

    def folder(self, path: str) -> str | None:
        """An id that stands for all that is below a folder; None for a missing folder, and where ids cost a look."""

    def folders(self, path: str) -> tuple[str, ...]:
        """Names of the folders that a folder ('' for the top of the tree) has, sorted."""

    def grep(self, folder: str, pattern: str) -> Mapping[str, tuple[str, ...]]:
        """The lines of the text files below `folder` that match an extended regular expression, by path."""


Progress = Callable[[int, int], None]
"""Told, in the course of a long work, how many of how many pieces are done."""


class Line(Value, frozen=True):
    """One line of a hunk: `sign` is ' ', '+' or '-'; a line number is 0 on the side where the line is not."""

    sign: str
    text: str
    before: int
    after: int


class Hunk(Value, frozen=True):
    """One hunk as git applied it: line numbers are those of the two blobs, whatever the mail claimed."""

    lines: tuple[Line, ...]
    section: str = ""


class FileChange(Value, frozen=True):
    """One file of a change. A created file has no `old_path`/`before`; a deleted one no `after`."""

    path: str
    old_path: str = ""
    before: str = ""
    """Blob id before."""
    after: str = ""
    """Blob id after."""
    hunks: tuple[Hunk, ...] = ()
    binary: bool = False

    def added(self) -> frozenset[int]:
        """Line numbers of the file after that the change wrote."""
        return frozenset(x.after for h in self.hunks for x in h.lines if x.sign == "+")

    def removed(self) -> frozenset[int]:
        """Line numbers of the file before that the change took away."""
        return frozenset(x.before for h in self.hunks for x in h.lines if x.sign == "-")


class Change(Value, frozen=True):
    """A series applied to a base: what it did to each file, per patch and as a whole."""

    base: str
    """Commit id the series was applied to; where patches had to be applied first, with these."""
    how: str
    """How the base was found: `given`, `base-commit`, `blobs`, `branch`; with ` (3way)` where a merge was needed."""
    files: tuple[FileChange, ...]
    """Base against the end of the series."""
    patches: tuple[tuple[FileChange, ...], ...] = ()
    """Per patch, against the one before it."""
    prerequisites: tuple[Prerequisite, ...] = ()
    """What became of those of the series; what was applied is part of the base."""
    flags: tuple[str, ...] = ()
    """Paths that a reviewer wants to see first: `.gitattributes`, `.gitmodules`, `.b4-config`, scripts."""
    onto: str = ""
    """The commit of the user's repository below the base, where patches had to be applied first."""

    @property
    def commit(self) -> str:
        """The commit of the user's repository that was reviewed on."""
        return self.onto or self.base

    def origin(self, at: Place, side: Side) -> tuple[int, Place]:
        """Which patch wrote a line of the end state (side AFTER), or took away a line of the base (BEFORE).

        Out: the number of the patch, from 1, and the line as that patch has it; (1, `at`) when none did.
        """
        wrote = side is Side.AFTER
        mine, other = ("+", "-") if wrote else ("-", "+")
        numbers = range(1, len(self.patches) + 1)
        for number in reversed(numbers) if wrote else numbers:
            for file in self.patches[number - 1]:
                old = file.old_path or file.path
                here, there = (file.path, old) if wrote else (old, file.path)
                if here != at.file:
                    continue
                grown = 0  # lines above that are on this side only, less those of the other side only
                for row in (row for hunk in file.hunks for row in hunk.lines):
                    line, elsewhere = (row.after, row.before) if wrote else (row.before, row.after)
                    if row.sign == mine and line == at.line:
                        return number, at
                    if row.sign == mine and line < at.line:
                        grown += 1
                    elif row.sign == other and elsewhere + grown <= at.line:
                        grown -= 1
                at = Place(there, at.line - grown, at.function)
                break
        return 1, at


# --- what the code says ----------------------------------------------------------------------------------------------


class Place(Value, frozen=True, order=True):
    """A line of a file; `function` is empty outside of one."""

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def key(self) -> FunctionKey:
        """The key of the function that it is in."""
        return key_of(self.file, self.function)


class Side(Enum):
    """Which tree: before the series, or with it applied."""

    BEFORE = "before"
    AFTER = "after"
