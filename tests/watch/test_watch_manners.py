"""Whom the watcher answers, and what it does not say again."""

from __future__ import annotations

import pytest
from inbox import finder, patch

from reviewbot.key import finding_key, message_id
from reviewbot.mail import fetch
from reviewbot.review import Options
from reviewbot.types import Decision, Outcome, Review
from reviewbot.watch.config import Config, Drafts, MailingList, ReviewLimits
from reviewbot.watch.manners import compare, skip, without_old_arguments, worth_a_draft
from reviewbot.watch.series import Posting
from reviewbot.watch.store import Kind, MailRow

SETTINGS = Config(
    lists=(
        MailingList(name="dm", url="https://l.example/dm", review=True),
        MailingList(name="q", url="https://l.example/q"),
    ),
    bots=("ci@*",),
    drafts=Drafts(never=("*@shy.example",)),
    limits=ReviewLimits(patches=10),
)


def posting(**more: object) -> Posting:
    place: dict[str, object] = {"list": "dm", "source": "0", "ref": "", "arrived": 1.0}
    row = MailRow(**{"id": "a@x", "kind": Kind.PATCH, "author": "ann@x.example", **place, **more})  # type: ignore[arg-type]
    return Posting(row, (row,))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, ""),
        ({"list": "q"}, "did not ask"),
        ({"list": "unknown"}, "did not ask"),
        ({"author": "CI@X.example"}, "is a program"),
        ({"program": "marked as Auto-Submitted"}, "Auto-Submitted"),
        ({"author": "ann@shy.example"}, "not to be answered"),
        ({"expected": 11}, "11 patches"),
        ({"id": message_id("0" * 24, 1).strip("<>")}, "our own"),
    ],
)
def test_who_is_not_answered(more: dict[str, object], said: str) -> None:
    reason = skip(SETTINGS)(posting(**more))
    assert said in reason
    assert bool(reason) is bool(said)


def reviewed(*bad: str) -> Review:
    return finder(fetch.parse(patch("a@dev.example", "dm x: fix", *bad), "mail"), Options())


def test_one_of_two_findings_was_refuted() -> None:
    review = reviewed("lock", "pool")
    lock = review.verdicts[0].finding
    told = without_old_arguments(review, {finding_key(lock): "refuted by ann@dev.example (m@x)"})
    assert [v.finding.object for v in told.review.verdicts] == ["pool"]
    assert told.review.decision is Decision.NACK
    assert told.notes == ("not raised again, refuted by ann@dev.example (m@x): takes lock twice",)


def test_versions_are_compared_by_what_findings_are_about() -> None:
    progress = compare(reviewed("lock", "pool").verdicts, reviewed("pool", "queue").verdicts)
    assert (progress.answered, progress.remain, progress.new) == (
        ("takes lock twice",),
        ("takes pool twice",),
        ("takes queue twice",),
    )


@pytest.mark.parametrize(
    ("decision", "fixes", "of", "yes"),
    [
        (Decision.NACK, False, ("nack",), True),
        (Decision.NACK, False, ("fix", "ack"), False),
        (Decision.ACK, True, ("fix",), True),
        (Decision.ACK, False, ("fix",), False),
        (Decision.ACK, False, ("ack",), True),
        (Decision.COMMENT, False, ("nack", "fix", "ack"), False),
        (Decision.UNREVIEWED, False, ("nack", "fix", "ack"), False),
    ],
)
def test_what_is_worth_a_draft(decision: Decision, fixes: bool, of: tuple[str, ...], yes: bool) -> None:
    import msgspec

    verdicts = reviewed("lock").verdicts
    if fixes:
        verdicts = tuple(msgspec.structs.replace(v, outcome=Outcome.FIXED) for v in verdicts)
    review = msgspec.structs.replace(reviewed("lock"), decision=decision, verdicts=verdicts)
    assert worth_a_draft(review, of) is yes
