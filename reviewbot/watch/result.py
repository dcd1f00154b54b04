"""What the database keeps of a review."""

from __future__ import annotations

from reviewbot.types import Change, ChangedEvent, Decision, ScheduleCode, Value, Verdict


class WorkResult(Value, frozen=True):
    """What is kept of a review, beside its drafts."""

    decision: Decision
    reason: str = ""
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    base: str = ""
    since: str = ""
    """How the findings of the version before fared."""
    attestation: str = ""
    checked: tuple[str, ...] = ()
    change: Change | None = None
    """The hunks that findings with a schedule stand in."""
    events: tuple[ChangedEvent, ...] = ()
    code: tuple[ScheduleCode | None, ...] = ()
