"""What every rule keeps to: documentation, name, length, how it words its findings; and how rules are found."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import heuristics
from reviewbot import cli, precision, rules
from reviewbot.bench import case as cases
from reviewbot.bench.demo import examine_case
from reviewbot.rule import Candidate, Diff, Rule, Scene, Version
from reviewbot.types import Decision, ReviewError

FILES = sorted(p for p in Path(heuristics.__path__[0]).glob("*.py") if p.name != "__init__.py")
RULES = rules.load()
HEADINGS = ("Why it hangs", "Reported when", "Not reported", "Known gaps")
MOST_LINES = 200


def name(rule: Rule[Any]) -> str:
    return rule.id


def module(rule: Rule[Any]) -> types.ModuleType:
    found = inspect.getmodule(type(rule))
    assert found
    return found


def test_there_are_rules() -> None:
    assert RULES
    assert [rule.id for rule in RULES] == sorted(rule.id for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_the_id_is_the_name_of_the_file(rule: Rule[Any]) -> None:
    assert Path(str(module(rule).__file__)).stem.replace("_", "-") == rule.id


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_the_documentation_has_its_headings_in_order(rule: Rule[Any]) -> None:
    lines = (inspect.getdoc(module(rule)) or "").split("\n")
    title = lines[0]
    assert title.endswith(".")
    assert lines[1] == "", "the first line is one sentence that fits a line"
    assert tuple(line for line in lines if line in HEADINGS) == HEADINGS
    for heading in HEADINGS:
        below = lines[lines.index(heading) + 1]
        assert below.startswith("    "), f"nothing below {heading}"
        assert len(below.strip()) > 10, f"nothing below {heading}"
    assert not [line for line in lines if "TODO" in line], "its documentation is not written yet"


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_what_an_ack_may_say(rule: Rule[Any]) -> None:
    for phrase in (rule.guarantee, rule.checked):
        assert phrase == phrase.strip()
        assert not phrase.endswith(".")
        assert "\n" not in phrase
    assert rule.guarantee
    assert len(rule.checked.split()) > 1
    assert rule.needs


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_rule_fits_on_a_few_pages(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_rule_never_reads_text(path: Path) -> None:
    """It sees facts: no file, no diff, no regular expression over code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
            assert module.split(".")[0] not in {"re", "os", "pathlib", "subprocess", "io", "tree_sitter"}, module
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "eval", "exec"}


# --- finding them ----------------------------------------------------------------------------------------------------


class Other(Rule[None]):
    """A rule of another package."""

    id = "zz-other"
    guarantee = "none"
    checked = "nothing at all"

    def check(self, diff: Diff) -> Iterator[Candidate[None]]:
        return iter(())

    def scenes(self, candidate: Candidate[None], side: Version) -> Iterable[Scene]:
        return ()


class Point:
    """An entry point of an installed package."""

    name, value = "theirs", "their.module"

    def __init__(self, *kinds: type) -> None:
        self.module = types.ModuleType("theirs")
        for kind in kinds:
            setattr(self.module, kind.__name__, type(kind.__name__, (kind,), {"__module__": "theirs"}))

    def load(self) -> types.ModuleType:
        return self.module


class Broken(Point):
    """An entry point whose module cannot be imported."""

    def load(self) -> types.ModuleType:
        raise ImportError("cannot import name 'Held'\nfrom 'reviewbot.rule'")


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Point]]:
    points: list[Point] = []
    monkeypatch.setattr(rules, "entry_points", lambda group: points if group == "reviewbot.heuristics" else [])
    rules.find.cache_clear()
    yield points
    rules.find.cache_clear()


def test_rules_of_other_packages(offered: list[Point]) -> None:
    offered.append(Point(Other))
    assert [rule.id for rule in rules.load()] == [*(rule.id for rule in RULES), "zz-other"]


def test_two_rules_of_one_name(offered: list[Point]) -> None:
    offered += [Point(Other), Point(Other)]
    with pytest.raises(ReviewError, match="two rules are called zz-other: rename the one in theirs"):
        rules.load()


def test_a_module_that_cannot_be_imported_is_named_and_left_out(
    offered: list[Point], capsys: pytest.CaptureFixture[str]
) -> None:
    offered += [Broken(), Point(Other)]
    line = "rules of theirs (their.module) are left out: ImportError: cannot import name 'Held' from 'reviewbot.rule'"
    assert rules.find().broken == (line,)
    assert rules.load()[-1].id == "zz-other"
    assert cli.run(["rules", RULES[0].id]) == 0
    assert line in capsys.readouterr().err


def test_what_was_not_loaded_was_not_checked(offered: list[Point]) -> None:
    """The other rules go on, and what they did not look at is not acked."""
    innocent = next(case for case in cases.load() if case.name.endswith("restored-flag"))
    assert examine_case(innocent).decision is Decision.ACK
    rules.find.cache_clear()
    offered.append(Broken())
    examined = examine_case(innocent)
    assert examined.checked
    assert examined.decision is Decision.COMMENT
    assert examined.notes[0].startswith("rules of theirs (their.module) are left out")


def test_every_module_of_the_folder_can_be_imported() -> None:
    for found in pkgutil.iter_modules(heuristics.__path__):
        importlib.import_module(f"heuristics.{found.name}")


# --- showing them ----------------------------------------------------------------------------------------------------


def test_the_list(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    measured = {RULES[0].id: precision.Measured(right=9, wrong=1)}
    monkeypatch.setattr(precision, "load", lambda: measured)
    assert cli.run(["rules"]) == 0
    out = capsys.readouterr().out
    assert all(rule.id in out for rule in RULES)
    assert "90% (9 of 10)" in out


def test_one_rule(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {RULES[0].id: precision.Measured(9, 1), RULES[1].id: precision.Measured(20, 0, on="unseen")}
    monkeypatch.setattr(precision, "load", lambda: measured)
    assert cli.run(["rules", RULES[0].id]) == 0
    out = capsys.readouterr().out
    assert all(heading in out for heading in HEADINGS)
    says = "Measured: 90% (9 of 10), on cases that the rules were developed with; on others not measured"
    assert says in out
    assert cli.run(["rules", RULES[1].id]) == 0
    out = capsys.readouterr().out
    assert "Measured: 100% (20 of 20), on cases that the rules were not developed with\n" in out
    assert cli.run(["rules", RULES[2].id]) == 0
    assert "Measured: not measured\n" in capsys.readouterr().out


def test_what_a_share_was_measured_on_stands_beside_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    measured = {RULES[0].id: precision.Measured(9, 1), RULES[1].id: precision.Measured(20, 0, on="unseen")}
    monkeypatch.setattr(precision, "load", lambda: measured)
    assert cli.run(["rules"]) == 0
    out = capsys.readouterr().out
    assert "90% (9 of 10), seen" in out
    assert "100% (20 of 20), unseen" in out
    assert "\nseen: measured on cases that the rules were developed with; on others not measured" in out
    assert "\nunseen: measured on cases that the rules were not developed with.\n" in out


def test_rules_as_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {RULES[0].id: precision.Measured(8, 2), RULES[1].id: precision.Measured(0, 0)}
    monkeypatch.setattr(precision, "load", lambda: measured)
    assert cli.run(["rules", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["broken"]) == (1, [])
    assert [entry["rule"] for entry in found["rules"]] == [rule.id for rule in RULES]
    first, second = found["rules"][:2]
    assert first["measured"] == {"right": 8, "wrong": 2, "share": 0.8, "on": "seen"}
    assert (first["may_nack"], second["may_nack"]) == (False, True)
    assert second["measured"] is None
    assert all(entry["documentation"].startswith(entry["title"]) for entry in found["rules"])
    assert all(heading in first["documentation"] for heading in HEADINGS)
    assert cli.run(["rules", RULES[2].id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"] == [found["rules"][2]]
    assert cli.run(["rules", "no-such-rule", "--json"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


# --- precision -------------------------------------------------------------------------------------------------------


class Row:
    def __init__(self, name: str, found: int, wrong: int) -> None:
        self.name, self.found, self.wrong = name, found, wrong


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(precision, "file", lambda: tmp_path / "precision.json")
    precision.load.cache_clear()
    yield tmp_path / "precision.json"
    precision.load.cache_clear()


def test_what_is_recorded_decides_who_may_nack(recorded: Path) -> None:
    assert precision.load() == {}
    assert precision.may_nack("good")
    assert precision.record([Row("good", 9, 1), Row("bad", 8, 1), Row("new", 0, 0)], "seen") == recorded
    assert [precision.may_nack(name) for name in ("good", "bad", "new", "unknown")] == [True, False, True, True]
    assert precision.load()["good"].share == 0.9
    assert precision.load()["new"].share is None
    assert [p.name for p in recorded.parent.iterdir()] == ["precision.json"]


def test_unseen_cases_count_before_seen_ones_where_there_are_enough(recorded: Path) -> None:
    precision.record([Row("a", 20, 0), Row("b", 20, 0), Row("c", 20, 0)], "seen")
    precision.record([Row("a", 0, 9), Row("b", 5, 5), Row("d", 3, 0)], "unseen")
    assert {rule: (m.right, m.on) for rule, m in precision.load().items()} == {
        "a": (20, "seen"),
        "b": (5, "unseen"),
        "c": (20, "seen"),
    }
    assert [precision.may_nack(rule) for rule in "abcd"] == [True, False, True, True]
    precision.record([Row("b", 1, 0)], "seen")
    assert precision.recorded().keys() == {"seen", "unseen"}
    assert (precision.load()["b"].right, precision.load()["b"].on) == (5, "unseen")
    assert "a" not in precision.load()


@pytest.mark.parametrize("text", ["", "{", '{"x": 1}', '{"x": {"right": "many", "wrong": 0}}'])
def test_a_damaged_record_is_none(text: str, recorded: Path) -> None:
    recorded.write_text(text)
    assert precision.load() == {}


def test_the_record_that_is_shipped_names_rules() -> None:
    precision.load.cache_clear()
    names = {rule for on in precision.recorded().values() for rule in on}
    assert names
    assert names <= {rule.id for rule in RULES}
