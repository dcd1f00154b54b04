"""The values that flow through reviewbot, from a mail to a drafted reply.

Every value is a frozen msgspec struct: `msgspec.json.encode(value)` and `msgspec.json.decode(text, type=T)` are its two
directions, so any stage can be stored and replayed alone. What goes into a review (a series, a change, a place) stands in
posted.py; all of it is imported from here.
"""

from __future__ import annotations

from enum import StrEnum

from reviewbot.function_key import FunctionKey, key_of
from reviewbot.posted import (
    Address,
    Change,
    FileChange,
    Hunk,
    Line,
    Mail,
    Patch,
    Place,
    Prerequisite,
    Prior,
    Progress,
    Series,
    Side,
    Source,
    Value,
)
from reviewbot.score import Doubt, Score

__all__ = [
    "Address",
    "Change",
    "ChangedEvent",
    "Cut",
    "DeadEnd",
    "Decision",
    "Excerpt",
    "Fault",
    "FileChange",
    "Finding",
    "Hunk",
    "KnotEdge",
    "Line",
    "Mail",
    "Outcome",
    "Patch",
    "Place",
    "Prerequisite",
    "Prior",
    "Progress",
    "Reply",
    "Review",
    "ReviewError",
    "ScheduleCode",
    "Series",
    "Setting",
    "Side",
    "Source",
    "Stage",
    "Step",
    "Trace",
    "Unread",
    "Unreviewed",
    "Value",
    "Verdict",
    "Words",
]

Setting = bool | int | str
"""The value of a parameter of a model."""


class ReviewError(Exception):
    """A fault that a person can do something about: one line of what, with what, and what to do.

    `exit_code` is what `reviewbot check` returns for it (2 wrong use, 4 unreviewed).
    """

    exit_code = 2


class Unreviewed(ReviewError):
    """The series is what it is (does not apply, not C, not a patch, not to be fetched) and no verdict is given."""

    exit_code = 4


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
    doubts: tuple[Doubt, ...] = ()
    """What the search was not sure of."""


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
    doubts: tuple[Doubt, ...] = ()
    """What the replay was not sure of."""

    @property
    def score(self) -> Score:
        """How sure it is, with all that is in doubt."""
        return Score((*self.finding.doubts, *self.doubts))


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
    SCORE = "score"
    """Too much of it is in doubt to be shown."""


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
    hidden: tuple[Verdict, ...] = ()
    """What would be a comment if its score were higher: it counts for nothing, and nothing is claimed of its place."""
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
