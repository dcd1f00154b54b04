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


class Row:
    def __init__(self, name: str, found: int, wrong: int) -> None:
        self.name, self.found, self.wrong = name, found, wrong


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(precision, "file", lambda: tmp_path / "precision.json")
    precision.load.cache_clear()
    yield tmp_path / "precision.json"
    precision.load.cache_clear()


# --- showing them ----------------------------------------------------------------------------------------------------


def test_the_list(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, recorded: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    one, two, three, four = (rule.id for rule in RULES[:4])
    precision.record([Row(one, 6, 1), Row(two, 4, 1)], "blind")
    precision.record([Row(one, 3, 0), Row(three, 9, 0)], "flood")
    precision.record([Row(four, 50, 0)], "seen")
    assert cli.run(["rules"]) == 0
    out = capsys.readouterr().out
    said = {line.split()[1]: line for line in out.splitlines() if line.startswith("│ ")}
    assert all(rule.id in said for rule in RULES)
    assert "9 of 10 = 90% (60% to 98%)" in said[one]
    assert "not measured (4 of 5)" in said[two]
    assert "not measured (9 of 9)" in said[three]
    assert "not measured  " in said[four]  # what it was developed with does not count
    assert "fewer than 10 such NACKs is not measured" in out


def test_one_rule(capsys: pytest.CaptureFixture[str], recorded: Path) -> None:
    precision.record([Row(RULES[0].id, 6, 1), Row(RULES[1].id, 9, 0)], "blind")
    precision.record([Row(RULES[0].id, 3, 0)], "replay")
    assert cli.run(["rules", RULES[0].id]) == 0
    out = capsys.readouterr().out
    assert all(heading in out for heading in HEADINGS)
    assert "Measured: 9 of 10 = 90% (60% to 98%) of its NACKs were right\n" in out
    assert "blind: 6 of 7 right" in out
    assert "replay: 3 of 3 right" in out
    assert cli.run(["rules", RULES[1].id]) == 0
    assert "Measured: not measured: 9 NACKs were looked at, 10 are enough\n" in capsys.readouterr().out
    assert cli.run(["rules", RULES[2].id]) == 0
    assert "Measured: not measured: 0 NACKs were looked at" in capsys.readouterr().out


def test_rules_as_json(capsys: pytest.CaptureFixture[str], recorded: Path) -> None:
    precision.record([Row(RULES[0].id, 8, 2), Row(RULES[1].id, 0, 0)], "blind")
    assert cli.run(["rules", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["broken"]) == (1, [])
    assert [entry["rule"] for entry in found["rules"]] == [rule.id for rule in RULES]
    first, second = found["rules"][:2]
    assert first["measured"].pop("low") == pytest.approx(0.49, abs=0.001)
    assert first["measured"].pop("high") == pytest.approx(0.943, abs=0.001)
    assert first["measured"] == {"right": 8, "wrong": 2, "share": 0.8, "on": {"blind": {"right": 8, "wrong": 2}}}
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


def test_what_is_recorded_decides_who_may_nack(recorded: Path) -> None:
    assert precision.load() == {}
    assert precision.may_nack("good")
    rows = [Row("good", 9, 1), Row("bad", 8, 2), Row("few", 0, 9), Row("new", 0, 0)]
    assert precision.record(rows, "blind") == recorded
    assert [precision.may_nack(name) for name in ("good", "bad", "few", "new", "unknown")] == [True, False, *3 * [True]]
    assert str(precision.load()["good"].nacks) == "9 of 10 = 90% (60% to 98%)"
    assert precision.load()["new"].nacks.value is None
    assert [p.name for p in recorded.parent.iterdir()] == ["precision.json"]


def test_what_was_measured_on_others_is_added_up_and_alone_counts(recorded: Path) -> None:
    precision.record([Row("a", 0, 20), Row("b", 20, 0), Row("c", 20, 0)], "seen")
    assert precision.load() == {}
    precision.record([Row("b", 5, 1), Row("d", 3, 0)], "blind")
    precision.record([Row("b", 2, 1)], "replay")
    assert precision.may_nack("b")  # nine NACKs are not enough
    precision.record([Row("b", 1, 0)], "flood")
    assert {rule: (m.right, m.wrong) for rule, m in precision.load().items()} == {"b": (8, 2), "d": (3, 0)}
    assert [precision.may_nack(rule) for rule in "abcd"] == [True, False, True, True]
    precision.record([Row("b", 6, 0)], "blind")
    assert precision.recorded().keys() == {"seen", "blind", "replay", "flood"}
    assert (precision.load()["b"].right, precision.load()["b"].wrong, precision.may_nack("b")) == (9, 1, True)
    assert "d" not in precision.load()


@pytest.mark.parametrize("text", ["", "{", '{"x": 1}', '{"x": {"right": "many", "wrong": 0}}'])
def test_a_damaged_record_is_none(text: str, recorded: Path) -> None:
    recorded.write_text(text)
    assert precision.load() == {}


def test_the_record_that_is_shipped_names_rules() -> None:
    precision.load.cache_clear()
    names = {rule for on in precision.recorded().values() for rule in on}
    assert names
    assert names <= {rule.id for rule in RULES}
