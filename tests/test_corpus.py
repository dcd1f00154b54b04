"""Every case of the corpus: marks pin what is reported, goldens pin how it is said (`--bless` rewrites those)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reviewbot import case as cases
from reviewbot.case import Case, Mark
from reviewbot.demo import examine_case
from reviewbot.types import Outcome, Review, Side, Verdict

ROOT = Path(__file__).parent.parent / "corpus"
FILES = sorted(ROOT.rglob("*.case"))
SPOKEN = {Outcome.CONFIRMED, Outcome.FIXED}


def name(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def stands_under(verdict: Verdict, mark: Mark) -> bool:
    finding = verdict.finding
    sign = "+" if finding.side is Side.AFTER else "-"
    return (finding.rule, finding.at.file, finding.at.line, sign) == (
        mark.what,
        mark.file,
        mark.line,
        mark.sign,
    ) and re.search(mark.regex, finding.message) is not None


@pytest.mark.parametrize("path", FILES, ids=name)
def test_case(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text()
    case = cases.parse(text, name(path))
    review = examine_case(case)
    assert not [n for n in review.notes if "failed" in n], review.notes
    check_marks(case, review)
    goldens = {"reply": "\n\n".join(r.body for r in review.replies)}
    if request.config.getoption("--bless"):
        path.write_text(cases.with_goldens(text, goldens))
    else:
        written = dict(case.goldens)
        assert written, "no goldens: run pytest tests/test_corpus.py --bless and read what it wrote"
        assert {k: v.rstrip() for k, v in goldens.items()} == {k: v.rstrip() for k, v in written.items()}


def check_marks(case: Case, review: Review) -> None:
    spoken = [v for v in review.verdicts if v.outcome in SPOKEN]
    for mark in case.marks:
        hits = [v for v in spoken if stands_under(v, mark)]
        if mark.kind == "finding":
            assert hits, f"{mark.what} does not report on {mark.file}:{mark.line}: {review.verdicts}"
        elif mark.kind == "todo":
            assert not hits, f"{mark.what} is found now: make the mark a real one"
        elif mark.kind == "ok":
            assert not [v for v in spoken if v.finding.rule == mark.what], f"{mark.what} reports where it must not"
    wanted = [m for m in case.marks if m.kind == "finding"]
    for verdict in spoken:
        assert any(stands_under(verdict, m) for m in wanted), f"a finding without a mark: {verdict.finding}"
    outcomes = {str(v.outcome) for v in spoken}
    assert outcomes == ({case.header("Verdict")} - {"none"}), review.verdicts


def test_every_rule_has_a_case_that_fires_and_one_that_does_not() -> None:
    from reviewbot import rules

    every = [m for case in cases.load(ROOT) for m in case.marks]
    for rule in rules.load():
        kinds = {m.kind for m in every if m.what == rule.id}
        assert {"finding", "ok"} <= kinds, f"{rule.id} has no { ({'finding', 'ok'} - kinds) } mark in corpus/"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_goldens_are_mail(path: Path) -> None:
    for _, body in cases.parse(path.read_text(), name(path)).goldens:
        for line in body.split("\n"):
            assert line.startswith(">") or len(line) <= 76, line
            assert line == line.rstrip() or line == "-- ", line
            assert line.isascii(), line
