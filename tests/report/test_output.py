"""The stable JSON, and the lines that a terminal shows."""

from __future__ import annotations

import msgspec

from reviewbot.report import output
from reviewbot.report.reply import replay_id
from reviewbot.types import (
    Address,
    Change,
    ChangedEvent,
    Decision,
    Finding,
    KnotEdge,
    Mail,
    Outcome,
    Patch,
    Place,
    Prerequisite,
    Review,
    Series,
    Side,
    Step,
    Trace,
    Unread,
    Verdict,
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
STEPS = (Step("f", "takes lock", "a.c", 3, "f", ("lock",)), Step("g", "runs", waits="a bio"))
TRACE = Trace(STEPS, (KnotEdge("f", "lock", "g", "f waits", 1),))
OTHER = Trace((Step("g", "returns"),), ())
VERDICT = Verdict(FINDING, Outcome.CONFIRMED, TRACE, 17, model="flush held=yes", remedy="Do not.", other=OTHER)
EVENT = ChangedEvent(Place("a.c", 7, "f"), Side.AFTER, "Wait", "waits for event x")
DOUBT = Verdict(FINDING, Outcome.INCONCLUSIVE, reason="a limit")
CHANGE = Change(base="0123456789abcdef", how="blobs", files=())


def review(*verdicts: Verdict, **more: object) -> Review:
    return Review(series=SERIES, decision=Decision.NACK, change=CHANGE, verdicts=verdicts, **more)  # type: ignore[arg-type]


def test_the_whole_of_it() -> None:
    timing = tuple((stage, n / 3) for n, stage in enumerate(output.STAGES))
    more = {"checked": ("flushes",), "notes": ("a note",), "timing": timing, "events": (EVENT,)}
    made = output.as_json(review(VERDICT, **more))
    assert made == {
        "schema": 1,
        "series": {
            "message_id": "1@x.example",
            "subject": "[PATCH v2] dm mill:<U+001B>[1m turn",
            "version": 2,
            "author": "Ann<U+202E> <ann@example.org>",
            "patches": 2,
            "missing": [],
            "chosen": None,
            "prerequisites": [],
        },
        "base": {"commit": "0123456789abcdef", "how": "blobs"},
        "verdict": "nack",
        "reason": None,
        "findings": [
            {
                "id": replay_id("1@x.example", FINDING),
                "rule": "flush-under-lock",
                "outcome": "confirmed",
                "score": 1.0,
                "doubts": [],
                "patch": 2,
                "file": "a.c",
                "line": 12,
                "side": "before",
                "function": "f",
                "message": "flushes under the lock",
                "facts": ["a fact"],
                "trace": [
                    {"task": "f", "step": "takes lock", "file": "a.c", "line": 3, "holds": ["lock"], "waits": None},
                    {"task": "g", "step": "runs", "file": "", "line": 0, "holds": [], "waits": "a bio"},
                ],
                "knot": [{"task": "f", "waits_for": "lock", "held_by": "g", "told": "f waits", "since": 1}],
                "other_side": [{"task": "g", "step": "returns", "file": "", "line": 0, "holds": [], "waits": None}],
                "states": 17,
                "remedy": "Do not.",
                "model": "flush held=yes",
                "reason": None,
            }
        ],
        "unread": [],
        "checked": ["flushes"],
        "notes": ["a note"],
        "events": [
            {"file": "a.c", "line": 7, "function": "f", "side": "after", "kind": "Wait", "says": "waits for event x"}
        ],
        "leads": [],
        "comments_hidden": 0,
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
        "  inconclusive: a.c:12: flushes under the lock [flush-under-lock, score 1.00] - a limit",
        "  note: a<U+0007>note",
    ]


def test_summary_of_a_series_without_subject_names_its_source() -> None:
    bare = Series(patches=(Patch(msgspec.structs.replace(MAIL, subject=""), b""),), source="x.diff")
    assert output.summary(Review(bare, Decision.ACK)) == ["ack: x.diff"]


def test_what_was_not_seen_is_in_both_forms() -> None:
    lost = Prerequisite("change-id", "mill-turns", 2, "missing", "not found")
    had = Prerequisite("message-id", "a@x.example", state="applied")
    patchy = msgspec.structs.replace(SERIES, missing=(1, 4, 5), expected=5, chosen="v2, because v3 lacks patch 1 of 3")
    seen = msgspec.structs.replace(
        review(VERDICT, unread=(Unread("a.c", "f"), Unread("b\x1b.c"))),
        series=patchy,
        change=msgspec.structs.replace(CHANGE, prerequisites=(had, lost), onto="fedcba9876543210"),
    )
    made = output.as_json(seen)
    assert made["unread"] == [{"file": "a.c", "function": "f"}, {"file": "b\x1b.c", "function": ""}]
    assert made["series"]["missing"] == [1, 4, 5]
    assert made["series"]["chosen"] == "v2, because v3 lacks patch 1 of 3"
    assert made["base"]["commit"] == "fedcba9876543210"
    assert made["series"]["prerequisites"] == [
        {"kind": "message-id", "id": "a@x.example", "version": None, "state": "applied", "reason": None},
        {"kind": "change-id", "id": "mill-turns", "version": 2, "state": "missing", "reason": "not found"},
    ]
    assert output.summary(seen)[1:8] == [
        "  base fedcba987654 (blobs)",
        "  reviewed: v2, because v3 lacks patch 1 of 3",
        "  prerequisite message-id a@x.example applied first",
        "  prerequisite change-id mill-turns v2 missing: not found",
        "  not seen: patches 1, 4-5 of 5 are missing",
        "  not seen: prerequisite change-id mill-turns v2 is missing",
        "  not seen: f() in a.c and b<U+001B>.c could not be read",
    ]
