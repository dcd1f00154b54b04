"""The README says what there is: two set-up commands, every command, every exit code; its reply is a real one."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import checking
import pytest

from reviewbot import cli, rules
from reviewbot.commands import TABLE
from reviewbot.commands.check import EXIT, check
from reviewbot.types import Decision, ReviewError, Unreviewed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def commands(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def test_two_commands_do_all_the_set_up() -> None:
    demo, tests = commands(section("Set up"))
    for command in (demo, tests):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert demo.endswith(" && .venv/bin/reviewbot demo")
    assert tests.endswith(" && .venv/bin/pytest")


def test_ci_runs_the_second_one() -> None:
    script = (ROOT / ".ci/run").read_text()
    extracted = re.search(r"^command=\$\((.*) README\.md\)$", script, re.MULTILINE)
    assert extracted
    found = subprocess.run(
        f"{extracted[1]} README.md", shell=True, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert found.splitlines() == [commands(section("Set up"))[1]]


def test_the_extras_that_it_installs_exist() -> None:
    wanted = re.findall(r"\.\[(\w+)\]", section("Set up"))
    assert wanted
    for extra in wanted:
        assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", TABLE)
def test_every_command_is_described(name: str) -> None:
    assert re.search(rf"^\|.*`reviewbot {name}\b.*\|", section("Commands"), re.MULTILINE)


def test_every_command_of_the_manual_exists() -> None:
    for name in re.findall(r"`reviewbot ([a-z][a-z0-9-]*)", README):
        assert name in TABLE, name
    for name in re.findall(r"^ +(?:\.venv/bin/)?reviewbot ([a-z][a-z0-9-]*)", README, re.MULTILINE):
        assert name in TABLE, name


def test_every_exit_code_is_described() -> None:
    rows = dict(re.findall(r"^\| (\d) \| (\w+)", section("Check a series"), re.MULTILINE))
    for decision, code in EXIT.items():
        assert rows.get(str(code)) == decision.value
    assert set(rows) == {*map(str, EXIT.values()), str(ReviewError.exit_code), str(cli.FAULT)}
    assert EXIT[Decision.UNREVIEWED] == Unreviewed.exit_code
    documented = str(check.help)
    for code in rows:
        assert re.search(rf"\b{code} ", documented), code


def test_every_option_of_check_is_described() -> None:
    options = {name for parameter in check.params for name in parameter.opts if name.startswith("--")}
    for option in options:
        assert f"`{option}" in section("Check a series"), option


def test_every_guarantee_is_described() -> None:
    told = re.findall(r"^\| ([a-z][^|]*?) \| ", section("What is checked"), re.MULTILINE)
    assert set(told) - {"guarantee"} == {rule.guarantee for rule in rules.find().rules}


def test_the_rule_that_is_added_is_a_new_one() -> None:
    (name,) = re.findall(r"reviewbot new-rule ([a-z-]+)", section("Add a rule"))
    assert name not in {rule.id for rule in rules.find().rules}


def test_the_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_documents_beside_it_agree_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"SPDX-License-Identifier: {project['license']}\n" in (ROOT / "LICENSE.md").read_text()
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == project["version"]
    told = commands((ROOT / "CONTRIBUTING.md").read_text())
    ran = re.findall(r"^\.venv/bin/((?:mypy|ruff).*?)(?: --check \.)?$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert ran
    assert all(any(line.startswith(one) for line in told) for one in ran)
    for document in ("CONTRIBUTING.md", "CHANGELOG.md", "LICENSE.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / document).read_text()):
            assert (ROOT / target).exists(), target


def test_the_top_level_stays_short() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not tracked:
        pytest.skip("no git checkout")
    top = {name.split("/")[0] for name in tracked.split("\n") if name and not name.startswith(".")}
    folders = {"reviewbot", "heuristics", "corpus", "tests", "deploy", "pyproject.toml"}
    assert {name for name in top - folders if not re.fullmatch(r"[A-Z]+\.md", name)} == set()


def test_the_reply_is_the_one_of_the_corpus() -> None:
    case = checking.case("wq-mem-reclaim/lost-flag")
    blocks = re.findall(r"^```\n(On .*?)\n```$", README, re.MULTILINE | re.DOTALL)
    assert [block.rstrip() for block in blocks] == [dict(case.goldens)["reply"].rstrip()]


def test_corpus_readme_knows_every_mark() -> None:
    text = (ROOT / "corpus/README.md").read_text()
    for mark in ('`#~ rule "regex"`', "`#~ ok rule`", '`#~ todo rule "regex"`', "`#~ fact text`"):
        assert mark in text


def test_every_command_module_is_in_the_table() -> None:
    modules = {p.stem for p in (ROOT / "reviewbot/commands").glob("*.py")} - {"__init__"}
    assert modules <= set(TABLE.values())
