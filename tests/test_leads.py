"""What came to nothing: `check --why`, the leads of a review, and how far a case came."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import checking
import pytest

from reviewbot import cli
from reviewbot.bench import backtest, tables
from reviewbot.bench.backtest import Scored
from reviewbot.detect.waitfor import SAME
from reviewbot.report.output import leads
from reviewbot.types import DeadEnd, Decision, Review, Series, Stage

Capture = pytest.CaptureFixture[str]
CASE = "lock-order/same-order-as-elsewhere"


def lead(stage: Stage, reason: str, rule: str = "") -> DeadEnd:
    return DeadEnd(stage, "a.c:3: f() takes b with a held", reason, ("f",), rule)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checking.case_repository(tmp_path_factory.mktemp("tree") / "tree", checking.case(CASE))


def test_why(tree: Path, tmp_path: Path, capsys: Capture) -> None:
    patch = tmp_path / "a.patch"
    patch.write_text(checking.case(CASE).patch)
    cli.run(["check", str(patch), "--tree", str(tree), "--why", "*"])
    told = capsys.readouterr().out.partition("What came to nothing in any function:\n")[2].splitlines()
    assert any(line.startswith("  search: ") for line in told)
    assert any(line.startswith("    drivers/md/") for line in told)


def test_why_of_a_function_that_has_nothing(tree: Path, tmp_path: Path, capsys: Capture) -> None:
    patch = tmp_path / "a.patch"
    patch.write_text(checking.case(CASE).patch)
    cli.run(["check", str(patch), "--tree", str(tree), "--why", "no_such_function"])
    assert "Nothing that changed in no_such_function() is where a search begins" in capsys.readouterr().out


def test_leads_are_told_in_json_only_when_asked_for(tree: Path, tmp_path: Path, capsys: Capture) -> None:
    patch = tmp_path / "a.patch"
    patch.write_text(checking.case(CASE).patch)
    for more, some in (([], False), (["--why", "*"], True)):
        cli.run(["check", str(patch), "--tree", str(tree), "--json", *more])
        found = json.loads(capsys.readouterr().out)["leads"]
        assert bool(found) is some
        assert all(one.keys() == {"stage", "says", "reason", "functions", "rule"} for one in found)


def test_reasons_by_stage_the_most_frequent_first() -> None:
    found = [
        lead(Stage.REPLAY, "no schedule gets stuck", "lock-order"),
        lead(Stage.SEARCH, "seldom"),
        lead(Stage.SEARCH, "often"),
        lead(Stage.SEARCH, "often"),
    ]
    heads = [line for line in leads(found, "f") if not line.startswith("    ")]
    assert heads == [
        "What came to nothing in f():",
        "  search: often",
        "  search: seldom",
        "  replay: no schedule gets stuck",
    ]


@pytest.mark.parametrize(
    ("decision", "found", "stage"),
    [
        (Decision.NACK, (lead(Stage.SEARCH, "x"),), "nack"),
        (Decision.COMMENT, (), "comment"),
        (Decision.ACK, (lead(Stage.SEARCH, "x"), lead(Stage.REPLAY, "y")), "replay"),
        (Decision.ACK, (lead(Stage.SEARCH, "x"), lead(Stage.READING, "y")), "second reading"),
        (Decision.ACK, (lead(Stage.SEARCH, "x"),), "search"),
        (Decision.ACK, (lead(Stage.SEARCH, SAME[0]),), "nothing changed"),
        (Decision.ACK, (), "nothing changed"),
    ],
)
def test_how_far_a_review_came(decision: Decision, found: tuple[DeadEnd, ...], stage: str) -> None:
    assert backtest.furthest(Review(series=Series(patches=()), decision=decision, leads=found))[0] == stage


def test_the_funnel_counts_deadlocks_by_class() -> None:
    def scored(cls: str, label: str, stage: str) -> Scored:
        return Scored(id="x", label=label, cls=cls, verdict="ack", seconds=0.1, stage=stage)

    found = tables.funnel(
        [scored("b", "deadlock", "search"), scored("a", "deadlock", "nack"), scored("a", "clean", "nack")]
    )
    assert found == {"a": Counter(nack=1), "b": Counter(search=1)}
