"""The values that flow through reviewbot, from a mail to a drafted reply.

Every value is a frozen msgspec struct: `msgspec.json.encode(value)` and `msgspec.json.decode(text, type=T)` are its two
directions, so any stage can be stored and replayed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, StrEnum
from typing import Protocol

import msgspec

from reviewbot.function_key import FunctionKey, key_of

Setting = bool | int | str
"""The value of a parameter of a model."""


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all values: immutable, compared by content, hashable, JSON both ways."""


class ReviewError(Exception):
    """A fault that a person can do something about: one line of what, with what, and what to do.

    `exit_code` is what `reviewbot check` returns for it (2 wrong use, 4 unreviewed).
    """

    exit_code = 2


class Unreviewed(ReviewError):
    """The series is what it is (does not apply, not C, not a patch, not to be fetched) and no verdict is given."""

    exit_code = 4


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


# --- what was found --------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What the simulator said of a finding; see `Verdict`."""

    CONFIRMED = "confirmed"
    PRE_EXISTING = "pre-existing"
    FIXED = "fixed"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


class Words(Value, frozen=True):
    """What a rule says of its finding in the reply: whole sentences, names of the reader's own objects, no line breaks.

    An empty sentence is left out.
    """

    claim: str
    """What the patch does, and why that deadlocks: the first paragraph."""
    setting: str = ""
    """Introduces the schedule: `For example, dm-snapshot on dm-verity, while memory is short:`"""
    also: str = ""
    """A second way into the same deadlock, in one sentence; told only when the scene for it is confirmed as well."""
    contrast: str = ""
    """What would be safe, in a reply that proposes no remedy: `If d->lock were dropped for the sleep this could not ...`"""


class Finding(Value, frozen=True):
    """A guarantee that the patch takes away (or gives), on a line of the patch."""

    rule: str
    at: Place
    """A line that the patch added (side AFTER) or, where it only removed lines, that it removed (side BEFORE)."""
    message: str
    """One sentence, lower case, no full stop: what the patch does, with the object's name."""
    side: Side = Side.AFTER
    patch: int = 1
    """Number of the patch in the series that wrote the line, from 1."""
    related: tuple[Place, ...] = ()
    facts: tuple[str, ...] = ()
    """The facts it rests on, one line each."""
    object: str = ""
    """Identity of the object it is about, for comparing findings across versions of a series."""
    gives: bool = False
    """True when the patch restores the guarantee instead of taking it away."""
    words: Words | None = None


class Cut(Value, frozen=True):
    """A limit that cut a search: at most `most` of something were looked at, in a function (key) where one is named."""

    what: str
    """In the plural: `effects of a function`."""
    most: int
    function: str = ""


class Step(Value, frozen=True):
    """One step of a schedule: a task does something at a place of the source (none for the environment).

    A hand-written model knows the function and not the line: `line` is 0 there.
    """

    task: str
    step: str
    file: str = ""
    line: int = 0
    function: str = ""
    holds: tuple[str, ...] = ()
    """What the task has after it: locks, elements of a reserve; in the order in which it took them."""
    waits: str = ""
    """What the task waits for from here on and never gets; empty for a step that it gets through."""

    @property
    def key(self) -> FunctionKey:
        """The key of the function that it is in."""
        return key_of(self.file, self.function)


class KnotEdge(Value, frozen=True):
    """One edge of a knot: `task` waits for `waits_for`, which is held by or has to come from `held_by`."""

    task: str
    waits_for: str
    held_by: str
    told: str = ""
    """The same as a clause that says what has to be done, and by whom in the knot: `loop0 waits for f() to release x`."""
    since: int = 0
    """The step of the schedule, from 1, with which the waiting began; 0 where it is not known."""


class Trace(Value, frozen=True):
    """The shortest schedule into a deadlock, and who then waits for whom."""

    steps: tuple[Step, ...]
    knot: tuple[KnotEdge, ...]


class Verdict(Value, frozen=True):
    """What became of a finding when its models were run.

    confirmed: the patched model gets stuck, the base model not in that knot, the model is not vacuous, and the trace
    was replayed step by step. pre-existing: both get stuck. fixed: only the base. refuted: complete search, not stuck.
    inconclusive: a limit was hit, extraction lost balance, or there is no model; `reason` says which.
    """

    finding: Finding
    outcome: Outcome
    trace: Trace | None = None
    states: int = 0
    reason: str = ""
    model: str = ""
    """Name and parameters of the model that was run, as `reviewbot simulate` takes them."""
    also: bool = False
    """The finding's second scene is confirmed as well."""
    remedy: str = ""
    """What would be safe instead; only set when the model with the remedy in place is free of the deadlock."""
    other: Trace | None = None
    """The same steps on the side that does not get stuck, as far as it has them, and how all get through there."""


class Decision(StrEnum):
    """What is said of the series as a whole, in its end state."""

    NACK = "nack"
    ACK = "ack"
    COMMENT = "comment"
    UNREVIEWED = "unreviewed"


class Reply(Value, frozen=True):
    """A drafted mail. Header values are single lines of clean text."""

    headers: tuple[tuple[str, str], ...]
    body: str
    verdicts: tuple[Verdict, ...] = ()

    def header(self, name: str) -> str:
        """Value of the first header of that name, or an empty string."""
        return next((v for k, v in self.headers if k.lower() == name.lower()), "")


class Fault(Value, frozen=True):
    """A crash as it may be shown to anybody: its type and the line of ours that it came from, never its message."""

    type: str
    at: str = ""
    """`reviewbot/file.py:line`; empty when no line of ours is known."""
    rule: str = ""
    """The rule that crashed; empty when all of the review did."""


class Unread(Value, frozen=True):
    """A function that the series changes and that could not be read; the whole file where `function` is empty."""

    file: str
    function: str = ""

    def __str__(self) -> str:
        return f"{self.function}() in {self.file}" if self.function else self.file


class ChangedEvent(Value, frozen=True):
    """Something that code does at a line and that only one side has: a lock, a wait, an allocation ..."""

    at: Place
    side: Side
    kind: str
    """Name of its kind of fact: `Lock`, `Wait` ..."""
    says: str
    """What the code does there, a verb and its objects."""


class Excerpt(Value, frozen=True):
    """Lines of a file of one side, in one piece."""

    file: str
    first: int
    """Number of the first line."""
    lines: tuple[str, ...]


class ScheduleCode(Value, frozen=True):
    """The code that the schedule of one verdict passes, on the side that gets stuck."""

    lines: tuple[int, ...]
    """For each step its line in `Step.file`; 0 where none is known."""
    excerpts: tuple[Excerpt, ...]


class Stage(StrEnum):
    """How far a claim about a change came before it ended."""

    SEARCH = "search"
    """Given up where the rules look for what can get stuck."""
    READING = "second reading"
    """It rests on a call that cannot be read."""
    REPLAY = "replay"
    """The simulator did not bear it out."""


class DeadEnd(Value, frozen=True):
    """Something that could have become a finding and did not."""

    stage: Stage
    says: str
    reason: str
    functions: tuple[str, ...]
    """Names of the functions that it goes through."""
    rule: str = ""


class Review(Value, frozen=True):
    """Everything that one run found out about a series."""

    series: Series
    decision: Decision
    reason: str = ""
    """Why a series is unreviewed, what limits an ack, or why a series without a finding is not acked."""
    change: Change | None = None
    verdicts: tuple[Verdict, ...] = ()
    unread: tuple[Unread, ...] = ()
    """What the series changes and could not be read."""
    checked: tuple[str, ...] = ()
    """What an ack may claim was looked at, a phrase each."""
    notes: tuple[str, ...] = ()
    """For the maintainer only: crashed rules, flagged paths, what was out of scope."""
    replies: tuple[Reply, ...] = ()
    timing: tuple[tuple[str, float], ...] = ()
    """Seconds per stage."""
    faults: tuple[Fault, ...] = ()
    """The crashes of rules that `notes` tell of."""
    events: tuple[ChangedEvent, ...] = ()
    """What the changed files do on one side only, by file and line."""
    code: tuple[ScheduleCode | None, ...] = ()
    """For each of the verdicts, in their order, the code of its schedule; None for one without. Empty where nobody
    looked."""
    leads: tuple[DeadEnd, ...] = ()
    """What came to nothing, and why."""

    @property
    def prerequisites(self) -> tuple[Prerequisite, ...]:
        """Those of the series with what became of them, as far as it was looked."""
        return self.change.prerequisites if self.change else self.series.prerequisites
