"""Tables of a backtest: shares with intervals, NACKs apart from comments, what counts apart, what turned."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from reviewbot.bench import backtest, shown, tables
from reviewbot.bench.backtest import Labelled, Scored
from reviewbot.bench.tables import OldCase, OldRun
from reviewbot.precision import Share
from reviewbot.types import ReviewError


def scored(id_: str, label: str, verdict: str, **more: str) -> Scored:
    made = Scored(id_, label, more.pop("cls", "a"), verdict, 1.0)
    return msgspec.structs.replace(made, **{"set": "first", "tree": "6.12", "kind": "reversed", **more})


RESULTS = [
    scored("1", "deadlock", "nack", subsystem="md"),
    scored("2", "deadlock", "comment", subsystem="fs"),
    scored("3", "deadlock", "ack", set="second", subsystem="md"),
    scored("4", "clean", "comment", tree="6.1"),
    scored("5", "clean", "nack", kind="posted", subsystem="fs"),
    scored("6", "fix", "unreviewed"),
    scored("7", "deadlock", "nack", apart="low confidence"),
    scored("8", "clean", "nack", apart="low confidence"),
]


def test_nacks_and_comments_are_apart() -> None:
    row = tables.row("all", tables.counted(RESULTS))
    assert row.recall == Share(1, 3)
    assert row.recall_with_comments == Share(2, 3)
    assert row.wrong_nacks == Share(1, 3)
    assert row.comments_on_innocent == Share(1, 3)
    assert row.right_nacks == Share(1, 2)
    assert row.unreviewed == 1
    found = row.as_json()
    assert (found["recall"]["low"], found["recall"]["high"]) == (
        pytest.approx(0.061, abs=0.001),
        pytest.approx(0.792, abs=0.001),
    )


def test_rows_by_what_a_case_is_of() -> None:
    found = tables.as_json(RESULTS)
    assert {row["name"]: row["cases"] for row in found["sets"]} == {"first": 5, "second": 1}
    assert {row["name"]: row["cases"] for row in found["trees"]} == {"6.1": 1, "6.12": 5}
    assert [(row["name"], row["cases"]) for row in found["subsystems"]] == [
        ("md", 2),
        ("fs", 2),
        ("core", 4),
        ("rest", 2),
    ]
    assert {row["name"]: row["wrong"] for row in found["kinds"] if row["wrong"]} == {"clean: posted": 1}
    assert [(row["name"], row["found"], row["wrong"]) for row in found["apart"]] == [
        ("clean: low confidence", 0, 1),
        ("deadlock: low confidence", 1, 0),
    ]
    assert [row["cases"] for row in found["classes"]] == [3, 2, 1]


def test_a_case_is_of_a_subsystem_by_its_files_and_counts_apart_by_its_label() -> None:
    assert backtest.subsystem(("include/linux/bio.h", "drivers/nvme/host/core.c")) == "nvme"
    assert backtest.subsystem(("drivers/md/md.c", "block/bio.c")) == "block"  # the core's own order, not the patch's
    assert backtest.subsystem(("net/core/dev.c", "lib/kobject.c")) == "rest"
    case = Labelled("a", "a.patch", "6.12", "deadlock")
    assert backtest.apart(case) == ""
    assert backtest.apart(msgspec.structs.replace(case, comment_leak=True)) == "a comment tells"
    assert backtest.apart(msgspec.structs.replace(case, comment_leak=True, label="clean")) == ""
    assert backtest.apart(msgspec.structs.replace(case, confidence="low")) == "low confidence"


def test_the_tables_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    shown.show(RESULTS, with_funnel=True)
    out = capsys.readouterr().out
    for title in ("by set", "by subsystem", "by tree", "by kind of label", "by class", "counted apart", "how far"):
        assert title in out
    first = next(line for line in out.splitlines() if line.split()[:1] == ["first"])
    assert "1/2 50% (9-91)" in first
    assert "8 [a] nack  (counted apart: low confidence)" in out


# --- against an older run


def old(*cases: tuple[str, str, str]) -> OldRun:
    return OldRun(tuple(OldCase(id_, label, verdict) for id_, label, verdict in cases))


def test_what_turned_is_told_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    was = old(
        ("a", "deadlock", "ack"),
        ("b", "deadlock", "nack"),
        ("c", "clean", "ack"),
        ("d", "fix", "nack"),
        ("e", "clean", "comment"),
        ("f", "clean", "ack"),
        ("gone", "clean", "ack"),
    )
    now = [
        scored("a", "deadlock", "nack"),
        scored("b", "deadlock", "comment"),
        scored("c", "clean", "nack"),
        scored("d", "fix", "ack"),
        scored("e", "clean", "ack"),
        scored("f", "clean", "ack"),
        scored("new", "clean", "ack"),
        scored("newer", "clean", "ack"),
    ]
    found = tables.compare(was, now)
    assert {t.id: t.way for t in found.turned} == {"a": "found", "b": "lost", "c": "wrong", "d": "mended", "e": "other"}
    assert (found.same, found.only_old, found.only_new) == (1, 1, 2)
    shown.compared(found)
    out = capsys.readouterr().out
    assert "deadlocks that are no longer NACKed: 1\n  first b [deadlock] nack -> comment\n" in out
    assert "only in the older run: 1 cases; only in this one: 2" in out


def test_cases_of_two_sets_are_not_mixed_up() -> None:
    was = OldRun((OldCase("a", "clean", "ack", "first"), OldCase("a", "clean", "nack", "second")))
    now = [scored("a", "clean", "nack"), scored("a", "clean", "nack", set="second")]
    assert [(t.set, t.way) for t in tables.compare(was, now).turned] == [("first", "wrong")]


@pytest.mark.parametrize(("text", "says"), [(None, "cannot read the older results"), ("{}", "is not what")])
def test_an_older_run_that_is_none(tmp_path: Path, text: str | None, says: str) -> None:
    file = tmp_path / "old.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ReviewError, match=says):
        tables.read_run(file)


def test_an_older_run_is_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    file.write_text(json.dumps(tables.as_json(RESULTS)))
    found = tables.compare(tables.read_run(file), RESULTS)
    assert (found.turned, found.same) == ((), len(RESULTS))
