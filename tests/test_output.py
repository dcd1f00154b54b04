"""The stable JSON, and the lines that a terminal shows."""

from __future__ import annotations

import msgspec

from reviewbot import output
from reviewbot.reply import replay_id
from reviewbot.types import (
    Address,
    Change,
    Decision,
    Finding,
    Mail,
    Outcome,
    Patch,
    Place,
    Review,
    Series,
    Side,
    Step,
    Trace,
    Verdict,
    Wait,
)

MAIL = Mail("1@x.example", "[PATCH v2] dm mill:\x1b[1m turn", Address("Ann\u202e", "ann@example.org"), "")
SERIES = Series(patches=(Patch(MAIL, b""), Patch(MAIL, b"", 2)), version=2, source="a file")
FINDING = Finding(
    rule="flush-under-lock",
    at=Place("a.c", 12, "f"),
    message="flushes under the lock",
    side=Side.BEFORE,
    patch=2,
    facts=("a fact",),
)
TRACE = Trace((Step("f", "takes lock", "a.c", 3, "f"), Step("g", "runs")), (Wait("f", "lock", "g"),))
VERDICT = Verdict(FINDING, Outcome.CONFIRMED, TRACE, 17, model="flush held=yes", remedy="Do not.")
DOUBT = Verdict(FINDING, Outcome.INCONCLUSIVE, reason="a limit")
CHANGE = Change(base="0123456789abcdef", how="blobs", files=())


def review(*verdicts: Verdict, **more: object) -> Review:
    return Review(series=SERIES, decision=Decision.NACK, change=CHANGE, verdicts=verdicts, **more)  # type: ignore[arg-type]


def test_the_whole_of_it() -> None:
    timing = tuple((stage, n / 3) for n, stage in enumerate(output.STAGES))
    made = output.as_json(review(VERDICT, checked=("flushes",), notes=("a note",), timing=timing))
    assert made == {
        "schema": 1,
        "series": {
            "message_id": "1@x.example",
            "subject": "[PATCH v2] dm mill:<U+001B>[1m turn",
            "version": 2,
            "author": "Ann<U+202E> <ann@example.org>",
            "patches": 2,
        },
        "base": {"commit": "0123456789abcdef", "how": "blobs"},
        "verdict": "nack",
        "reason": None,
        "findings": [
            {
                "id": replay_id("1@x.example", FINDING),
                "rule": "flush-under-lock",
                "outcome": "confirmed",
                "patch": 2,
                "file": "a.c",
                "line": 12,
                "side": "before",
                "function": "f",
                "message": "flushes under the lock",
                "facts": ["a fact"],
                "trace": [
                    {"task": "f", "step": "takes lock", "file": "a.c", "line": 3},
                    {"task": "g", "step": "runs", "file": "", "line": 0},
                ],
                "knot": [{"task": "f", "waits_for": "lock", "held_by": "g"}],
                "states": 17,
                "remedy": "Do not.",
                "model": "flush held=yes",
                "reason": None,
            }
        ],
        "checked": ["flushes"],
        "notes": ["a note"],
        "timing": {
            "fetch": 0.0,
            "apply": 0.3333,
            "facts": 0.6667,
            "rules": 1.0,
            "simulate": 1.3333,
            "reply": 1.6667,
            "total": 2.0,
        },
    }
    assert msgspec.json.decode(msgspec.json.encode(made)) == made


def test_what_is_not_there_is_null_or_empty() -> None:
    bare = Review(series=SERIES, decision=Decision.UNREVIEWED, reason="does not apply")
    made = output.as_json(bare)
    assert (made["base"], made["reason"], made["findings"]) == (None, "does not apply", [])
    assert set(made["timing"].values()) == {0.0}
    [found] = output.as_json(review(DOUBT))["findings"]
    assert (found["trace"], found["knot"], found["remedy"], found["model"]) == ([], [], None, None)
    assert (found["outcome"], found["reason"]) == ("inconclusive", "a limit")


def test_an_author_without_an_address() -> None:
    nobody = msgspec.structs.replace(MAIL, author=Address("Ann", ""))
    series = Series(patches=(Patch(nobody, b""),))
    assert output.as_json(Review(series, Decision.ACK))["series"]["author"] == "Ann"


def test_every_outcome_and_decision_has_its_word() -> None:
    for outcome in Outcome:
        verdict = msgspec.structs.replace(VERDICT, outcome=outcome)
        assert output.as_json(review(verdict))["findings"][0]["outcome"] == outcome.value
    for decision in Decision:
        assert output.as_json(Review(SERIES, decision))["verdict"] == decision.value


def test_summary() -> None:
    lines = output.summary(review(VERDICT, DOUBT, notes=("a\x07note",), reason="half"))
    assert lines == [
        "nack: [PATCH v2] dm mill:<U+001B>[1m turn",
        "  base 0123456789ab (blobs)",
        "  half",
        "  confirmed: a.c:12: flushes under the lock [flush-under-lock]",
        "  inconclusive: a.c:12: flushes under the lock [flush-under-lock] - a limit",
        "  note: a<U+0007>note",
    ]


def test_summary_of_a_series_without_subject_names_its_source() -> None:
    bare = Series(patches=(Patch(msgspec.structs.replace(MAIL, subject=""), b""),), source="x.diff")
    assert output.summary(Review(bare, Decision.ACK)) == ["ack: x.diff"]
