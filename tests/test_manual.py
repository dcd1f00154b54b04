"""Man pages and shell completion in deploy/: made from the commands (`--bless` rewrites the pages), installed by the wheel.

What is compared is what the commands say, not how a release of click or click-man lays it out.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from inspect import cleandoc
from pathlib import Path

import click
import pytest
from click_man.core import write_man_pages

from reviewbot.cli import cli

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "deploy/man"
SCRIPTS = ROOT / "deploy/completion"


def whole(command: click.Command, ctx: click.Context) -> click.Command:
    """A copy of a command with all of its own loaded, and its first sentence as the short help."""
    made = copy.copy(command)
    made.short_help = cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip(".")
    if isinstance(command, click.Group):
        named = {name: command.get_command(ctx, name) for name in command.list_commands(ctx)}
        commands = {name: whole(one, ctx) for name, one in named.items() if one and not one.hidden}
        group = click.Group(command.name, commands, help=command.help, params=command.params)
        group.short_help = made.short_help
        return group
    return made


PROGRAM = whole(cli, click.Context(cli))


def every(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    for below, one in getattr(command, "commands", {}).items():
        yield from every(one, f"{name}-{below}")


COMMANDS = dict(every(PROGRAM, "reviewbot"))


def words(text: str) -> str:
    """The text of a page or of a help, without markup and layout."""
    text = re.sub(r"^\.(PP|TP|SH|B|TH).*$", "", text, flags=re.MULTILINE)
    return " ".join(text.replace("\\-", "-").replace("\b", " ").split())


def test_there_is_a_page_for_every_command(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--bless"):
        shutil.rmtree(PAGES, ignore_errors=True)
        PAGES.mkdir(parents=True)
        number = version("reviewbot")
        write_man_pages("reviewbot", PROGRAM, version=f"reviewbot {number}", target_dir=str(PAGES), date=number)
    assert {p.name for p in PAGES.iterdir()} == {f"{name}.1" for name in COMMANDS}, (
        "pytest tests/test_manual.py --bless"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_says_what_the_command_says(name: str) -> None:
    command = COMMANDS[name]
    page = (PAGES / f"{name}.1").read_text()
    assert page.replace("-", " ").startswith(f'.TH "{name.upper().replace("-", " ")}" "1" ')
    assert f'"reviewbot {version("reviewbot")}"' in page.splitlines()[0]
    sections = dict(re.findall(r"^\.SH (\w+)\n(.*?)(?=^\.SH |\Z)", page, re.MULTILINE | re.DOTALL))
    assert words(sections["DESCRIPTION"]) == words(cleandoc(command.help or ""))
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    told = re.findall(r"^\\fB(\S+)\\fP.*\n(.*(?:\n[^.\\].*)*)", sections.get("OPTIONS", ""), re.MULTILINE)
    assert [first.replace("\\-", "-").rstrip(",") for first, _ in told] == [names(o)[0] for o in options]
    for option, (_, text) in zip(options, told, strict=True):
        assert words(option.help or "") in words(text), "pytest tests/test_manual.py --bless"
    for below in getattr(command, "commands", {}):
        assert f"\\fB{below}\\fP" in sections["COMMANDS"]


def names(option: click.Option) -> list[str]:
    """The names of an option as its help has them: the short one first."""
    return sorted(option.opts, key=len)


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff")
@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_is_one(name: str) -> None:
    command = ["groff", "-man", "-Tutf8", "-wall", "-z", str(PAGES / f"{name}.1")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- completion ------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> dict[str, str]:
    """An environment in which `reviewbot` is this checkout's."""
    file = tmp_path / "reviewbot"
    file.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from reviewbot.cli import main; main()" "$@"\n')
    file.chmod(0o755)
    return os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (("reviewbot", "ch"), {"check"}),
        (("reviewbot", "drafts", "rel"), {"release"}),
        (("reviewbot", "check", "--ter"), {"--terse"}),
    ],
    ids=" ".join,
)
def test_bash_completes(line: tuple[str, ...], found: set[str], path: dict[str, str]) -> None:
    script = f"""
        source {SCRIPTS / "reviewbot.bash"} 2>/dev/null
        COMP_WORDS=({" ".join(line)}); COMP_CWORD={len(line) - 1}
        _reviewbot_completion reviewbot "${{COMP_WORDS[-1]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], env=path, capture_output=True, text=True, check=False)
    assert (done.returncode, set(done.stdout.split())) == (0, found), done.stderr


@pytest.mark.parametrize(
    ("shell", "file"), [("bash", "reviewbot.bash"), ("zsh", "_reviewbot"), ("fish", "reviewbot.fish")]
)
def test_what_the_scripts_call_answers(shell: str, file: str, path: dict[str, str]) -> None:
    text = (SCRIPTS / file).read_text()
    asked = {"_REVIEWBOT_COMPLETE": f"{shell}_complete", "COMP_WORDS": "reviewbot ch"}
    asked["COMP_CWORD"] = "ch" if shell == "fish" else "1"
    assert all(name in text for name in asked)
    assert f"_REVIEWBOT_COMPLETE={shell}_complete" in text
    done = subprocess.run(["reviewbot"], env=path | asked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "check" in done.stdout


def test_zsh_knows_the_file_by_its_first_line() -> None:
    assert (SCRIPTS / "_reviewbot").read_text().startswith("#compdef reviewbot\n")


# --- the wheel -------------------------------------------------------------------------------------------------------


def test_the_wheel_installs_them_where_man_and_shells_look() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"]["shared-data"] == {
        "deploy/man": "share/man/man1",
        "deploy/completion/reviewbot.bash": "share/bash-completion/completions/reviewbot",
        "deploy/completion/_reviewbot": "share/zsh/site-functions/_reviewbot",
        "deploy/completion/reviewbot.fish": "share/fish/vendor_completions.d/reviewbot.fish",
    }
    for source in targets["wheel"]["shared-data"]:
        assert (ROOT / source).exists()
