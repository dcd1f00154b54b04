"""Every case of the corpus: marks pin what is reported, goldens pin how it is said (`--bless` rewrites those)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from reviewbot.bench import case as cases
from reviewbot.bench.demo import examine_case
from reviewbot.types import Finding, Place, Words

ROOT = Path(__file__).parents[2] / "corpus"
FILES = sorted(ROOT.rglob("*.case"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_case(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text()
    case = cases.parse(text, name(path))
    review = examine_case(case)
    complaints = [*(n for n in review.notes if "failed" in n), *cases.faults(case, review.verdicts)]
    complaints += [complaint for verdict in review.verdicts for complaint in misworded(verdict.finding)]
    goldens = {"reply": "\n\n".join(r.body for r in review.replies)}
    if request.config.getoption("--bless"):
        if not complaints:
            path.write_text(cases.with_goldens(text, goldens))
    else:
        complaints += changed(goldens, dict(case.goldens))
    if complaints:
        pytest.fail("\n".join([f"{name(path)}:", *complaints]), pytrace=False)


MESSAGE = re.compile(r"[a-z_&(][^\n]*[^.\n]")


def misworded(finding: Finding) -> Iterator[str]:
    """How a finding breaks what those of every rule keep to."""
    at, words = f"{finding.rule} at {finding.at}", finding.words
    if not MESSAGE.fullmatch(finding.message) or len(finding.message) > 120:
        yield f"{at}: the message is no half sentence: {finding.message}"
    if not finding.object or not finding.facts:
        yield f"{at}: names no object, or no fact that it rests on"
    if finding.at.line <= 0 or finding.patch != 1:
        yield f"{at}: stands on no line of its case"
    if words is None or not words.claim:
        yield f"{at}: has no claim"
        return
    for text in (words.claim, words.also, words.contrast):
        if text and not (text.endswith((".", "?")) and "\n" not in text and text.isascii()):
            yield f"{at}: no whole sentence: {text}"
    if words.setting[-1:] not in ("", ":"):
        yield f"{at}: does not end in a colon: {words.setting}"


def test_a_finding_is_worded_as_all_are() -> None:
    good = Finding(
        "x", Place("a.c", 3), "waits for b while holding a", object="a", facts=("f",), words=Words("It hangs.")
    )
    assert [*misworded(good)] == []
    for bad in (
        {"message": "Waits for b."},
        {"message": "w" * 121},
        {"object": ""},
        {"facts": ()},
        {"at": Place("a.c", 0)},
        {"words": None},
        {"words": Words("")},
        {"words": Words("It hangs")},
        {"words": Words("It hangs.", also="two\nlines.")},
        {"words": Words("It hangs.", setting="This is so")},
    ):
        assert len([*misworded(msgspec.structs.replace(good, **bad))]) == 1, bad


def changed(goldens: dict[str, str], written: dict[str, str]) -> list[str]:
    """How the goldens of a case differ from what was said now, as a diff."""
    if not written:
        return ["no goldens: run pytest tests/bench/test_corpus.py --bless and read what it wrote"]
    lines: list[str] = []
    for key in sorted({*goldens, *written}):
        old, new = (texts.get(key, "").rstrip().split("\n") for texts in (written, goldens))
        lines += difflib.unified_diff(old, new, f"@{key} as written", f"@{key} as said now", lineterm="")
    return lines


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
