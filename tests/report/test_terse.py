"""`check --terse`: a line for each finding, at a line that the reader of the end state finds it at."""

from __future__ import annotations

import msgspec
import pytest
from checking import case

from reviewbot.bench.demo import examine_case
from reviewbot.report.places import shown_at
from reviewbot.report.terse import terse
from reviewbot.types import (
    Address,
    Change,
    Decision,
    FileChange,
    Finding,
    Hunk,
    Line,
    Mail,
    Outcome,
    Patch,
    Place,
    Review,
    Series,
    Side,
    Verdict,
)

MAIL = Mail("one@example.org", "[PATCH] dm mill: turn", Address("A", "a@example.org"), "")
SERIES = Series((Patch(MAIL, b""),))


def verdict(outcome: Outcome, line: int = 7, gives: bool = False, reason: str = "") -> Verdict:
    return Verdict(
        Finding("lock-order", Place("drivers/md/dm-mill.c", line), "f() takes b\nunder a", gives=gives),
        outcome,
        reason=reason,
    )


def lines(decision: Decision, *verdicts: Verdict, reason: str = "", notes: tuple[str, ...] = ()) -> list[str]:
    return [*terse([Review(SERIES, decision, reason=reason, verdicts=verdicts, notes=notes)])]


def test_one_line_for_each_finding_in_the_order_of_the_code() -> None:
    assert lines(
        Decision.NACK,
        verdict(Outcome.CONFIRMED, 30),
        verdict(Outcome.INCONCLUSIVE, 9, reason="too many states"),
        verdict(Outcome.FIXED, 12, gives=True),
        verdict(Outcome.REFUTED),
        verdict(Outcome.PRE_EXISTING),
        verdict(Outcome.INCONCLUSIVE, gives=True),
    ) == [
        "drivers/md/dm-mill.c:9: comment: f() takes b under a (too many states) [lock-order]",
        "drivers/md/dm-mill.c:12: fixed: f() takes b under a [lock-order]",
        "drivers/md/dm-mill.c:30: nack: f() takes b under a [lock-order]",
    ]


def test_nothing_to_say_is_no_line() -> None:
    assert lines(Decision.ACK, verdict(Outcome.REFUTED)) == []


def test_what_stands_at_no_line_is_said_of_the_series() -> None:
    assert lines(Decision.UNREVIEWED, reason="does not\napply") == ["[PATCH] dm mill: turn: unreviewed: does not apply"]
    assert lines(Decision.COMMENT, notes=("rule x failed: KeyError",)) == [
        "[PATCH] dm mill: turn: comment: rule x failed: KeyError"
    ]


def test_a_file_name_cannot_paint_the_terminal() -> None:
    found = verdict(Outcome.CONFIRMED)
    bad = msgspec.structs.replace(found.finding, at=Place("a\x1b[31m.c", 1))
    [line] = lines(Decision.NACK, msgspec.structs.replace(found, finding=bad))
    assert "\x1b" not in line


# --- where it is shown -----------------------------------------------------------------------------------------------


def change(*hunks: Hunk, after: str = "2" * 40) -> Change:
    return Change("0" * 40, "given", (FileChange("new.c", "old.c", "1" * 40, after, hunks),))


FIRST = Hunk((Line(" ", "one", 1, 1), Line("+", "and", 0, 2), Line("+", "and", 0, 3), Line(" ", "two", 2, 4)))
SECOND = Hunk(
    (Line(" ", "ten", 10, 12), Line("-", "eleven", 11, 0), Line("-", "twelve", 12, 0), Line(" ", "13", 13, 13))
)


@pytest.mark.parametrize(
    ("hunks", "before", "shown"),
    [
        ((FIRST, SECOND), 11, 13),
        ((FIRST, SECOND), 12, 13),
        ((FIRST, SECOND), 5, 7),
        ((FIRST, SECOND), 20, 20),
        ((SECOND,), 5, 5),
        ((Hunk(SECOND.lines[:3]),), 12, 12),
        ((Hunk(SECOND.lines[1:3]),), 12, 11),
    ],
)
def test_a_line_that_is_gone_is_shown_at_the_one_that_follows(hunks: tuple[Hunk, ...], before: int, shown: int) -> None:
    finding = Finding("r", Place("old.c", before, "f"), "m", side=Side.BEFORE)
    assert shown_at(finding, change(*hunks)) == Place("new.c", shown, "f")


def test_a_line_of_the_end_state_stays_and_so_does_a_deleted_file() -> None:
    at = Place("old.c", 11)
    gone = Finding("r", at, "m", side=Side.BEFORE)
    assert shown_at(gone, change(SECOND, after="")) == at
    assert shown_at(gone, None) == at
    assert shown_at(msgspec.structs.replace(gone, side=Side.AFTER), change(SECOND)) == at


def test_a_real_review() -> None:
    [line] = terse([examine_case(case("wq-mem-reclaim/lost-flag"))])
    assert line.startswith("drivers/md/dm-sieve.c:83: nack: ")
    assert line.endswith(" [wq-mem-reclaim]")
