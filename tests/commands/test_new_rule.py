"""`reviewbot new-rule`: what it writes is a rule and two cases that pass the tests of the corpus as they are."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import checking
import pytest

from reviewbot import cli, rules
from reviewbot.bench import case as cases
from reviewbot.bench.demo import examine_case
from reviewbot.types import Decision, Outcome, Side

NAME = "zz-two-slots"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout as far as new-rule looks."""
    for folder in ("heuristics", "corpus"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def written(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The rule that it wrote, the only one there is."""
    assert cli.run(["new-rule", NAME]) == 0
    spec = importlib.util.spec_from_file_location("zz_two_slots", checkout / "heuristics/zz_two_slots.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "zz_two_slots", module)
    spec.loader.exec_module(module)
    [rule] = rules._rules(module)
    monkeypatch.setattr(rules, "find", lambda: rules.Loaded((rule,), ()))
    return module


def test_what_it_says_and_writes(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["new-rule", NAME]) == 0
    out = capsys.readouterr().out
    files = sorted(p.relative_to(checkout).as_posix() for p in checkout.rglob("*") if p.is_file())
    assert files == ["corpus/zz-two-slots/first.case", "corpus/zz-two-slots/silent.case", "heuristics/zz_two_slots.py"]
    assert all(f"wrote {name}\n" in out for name in files)
    assert f"pytest tests/bench/test_corpus.py -k {NAME} --bless" in out
    for name in files:
        text = (checkout / name).read_text()
        assert "{{" not in text
        assert "{%" not in text
        assert text.endswith("\n")


def test_the_rule_reports_where_its_case_says(written: ModuleType, checkout: Path) -> None:
    first, silent = cases.load(checkout / "corpus")
    review = examine_case(first)
    [verdict] = review.verdicts
    [mark] = first.marks
    assert (review.decision, verdict.outcome) == (Decision.NACK, Outcome.CONFIRMED)
    assert (verdict.finding.at.file, verdict.finding.at.line) == (mark.file, mark.line)
    assert (verdict.finding.rule, verdict.finding.side) == (NAME, Side.AFTER)
    assert "This can deadlock." in review.replies[0].body
    review = examine_case(silent)
    assert (review.decision, review.verdicts) == (Decision.ACK, ())
    assert [mark.kind for mark in silent.marks] == ["ok"]


def test_a_broken_mark_is_told_by_both_lines(written: ModuleType, checkout: Path) -> None:
    path = checkout / "corpus" / NAME / "first.case"
    mark = next(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#~"))
    text = path.read_text().replace(mark, "").replace("+\te->users++;\n", f"+\te->users++;\n{mark}", 1)
    case = cases.parse(text, "broken")
    assert cases.faults(case, examine_case(case).verdicts) == (
        f"{NAME}: reported at :13, mark at :12 of drivers/block/example.c",
    )


def test_a_lock_of_another_class_is_called_by_its_name(
    written: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (checkout / "corpus" / NAME / "first.case").read_text()
    for old, new in (("struct semaphore", "struct mutex"), ("down(", "mutex_lock("), ("up(", "mutex_unlock(")):
        text = text.replace(old, new)
    case = cases.parse(text, "mutex")
    assert examine_case(case).verdicts == ()
    monkeypatch.setitem(written.KINDS, "mutex", "mutex")
    review = examine_case(case)
    assert cases.faults(case, review.verdicts) == ()
    assert "blocks in mutex_lock(&e->slots)" in " ".join(review.replies[0].body.split())
    assert "down" not in review.replies[0].body


def test_the_rule_is_documented_as_every_rule_is(written: ModuleType) -> None:
    doc = str(written.__doc__)
    for heading in ("Why it hangs", "Reported when", "Not reported", "Known gaps"):
        assert f"\n{heading}\n    " in doc
    assert len(Path(str(written.__file__)).read_text().splitlines()) < 70
    [rule] = rules.find().rules
    assert rule.needs
    assert len(rule.checked.split()) > 1


def test_style_of_what_it_writes(checkout: Path) -> None:
    assert cli.run(["new-rule", NAME]) == 0
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("no ruff")
    config = ["--config", str(checking.ROOT / "pyproject.toml"), "heuristics/zz_two_slots.py"]
    for command in (["check", "--no-cache", *config], ["format", "--check", "--no-cache", *config]):
        done = subprocess.run([ruff, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_all_rules_together_say_no_more_of_its_cases(checkout: Path) -> None:
    """Else who begins with it has to explain another rule's finding first."""
    assert cli.run(["new-rule", NAME]) == 0
    for case in cases.load(checkout / "corpus"):
        assert [v.finding for v in examine_case(case).verdicts if v.outcome is Outcome.CONFIRMED] == []


@pytest.mark.parametrize("name", ["Flush", "flush_under", "1-rule", "a--b", "-a", "a-", "../x", "a/b", ""])
def test_names_that_are_none(name: str, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["new-rule", "--", name]) == 2
    assert "is no name for a rule: write it in lower case with dashes" in capsys.readouterr().err
    assert not [p for p in checkout.rglob("*") if p.is_file()]


@pytest.mark.parametrize("there", ["heuristics/zz_two_slots.py", "corpus/zz-two-slots/other.case"])
def test_nothing_is_overwritten(there: str, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / there).parent.mkdir(exist_ok=True)
    (checkout / there).write_text("mine\n")
    assert cli.run(["new-rule", NAME]) == 2
    assert "is there already: edit it, or choose another name" in capsys.readouterr().err
    assert [p for p in checkout.rglob("*") if p.is_file()] == [checkout / there]
    assert (checkout / there).read_text() == "mine\n"


def test_not_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["new-rule", NAME]) == 2
    assert "run it at the top of a checkout of reviewbot" in capsys.readouterr().err
