"""The command line itself: exit codes, errors of one line, and that starting it is cheap."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import checking
import pytest

from reviewbot import cli
from reviewbot.commands import TABLE
from reviewbot.types import ReviewError, Unreviewed

Capture = pytest.CaptureFixture[str]


def ran(*argv: str, capsys: Capture) -> tuple[int, str, str]:
    code = cli.run([*argv])
    out, err = capsys.readouterr()
    return code, out, err


def one_line(err: str) -> str:
    """The line that an error is."""
    assert err.startswith("reviewbot: ")
    assert err.count("\n") == 1, err
    assert err.endswith("\n")
    return err.removeprefix("reviewbot: ").rstrip("\n")


def test_help_names_every_command(capsys: Capture) -> None:
    code, out, err = ran("--help", capsys=capsys)
    assert (code, err) == (0, "")
    for name in cli.cli.list_commands(None):  # type: ignore[arg-type]
        assert name in out


@pytest.mark.parametrize("name", TABLE)
def test_every_command_that_is_there_has_help(name: str, capsys: Capture) -> None:
    if name not in cli.cli.list_commands(None):  # type: ignore[arg-type]
        pytest.skip(f"no module for {name} yet")
    code, out, err = ran(name, "--help", capsys=capsys)
    assert (code, err) == (0, "")
    assert "Usage" in out


def test_without_a_command_it_is_the_help_and_wrong_use(tmp_path: Path) -> None:
    done = checking.process(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Usage" in done.stderr
    assert b"Traceback" not in done.stderr


def test_version(capsys: Capture) -> None:
    code, out, _ = ran("--version", capsys=capsys)
    assert code == 0
    assert out.startswith("reviewbot, version ")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["chekc"], "No such command 'chekc'"),
        (["--nonsense"], "No such option '--nonsense'"),
        (["check"], "name one message-id, file or Maildir, or a --range of the tree"),
        (["check", "a@b.example", "--range", "HEAD~1..HEAD"], "name one message-id"),
        (["check", "a@b.example", "--json", "--draft", "-"], "--json and --draft - both want stdout"),
        (["check", "a@b.example", "--colour"], "No such option '--colour'"),
        (["backtest"], "name an index of labelled cases, or --flood OLD NEW"),
        (["backtest", "i.jsonl", "--only", "("], r"--only ( is no regular expression"),
        (["backtest", "i.jsonl", "--tree", "6.12"], "write it as NAME=PATH"),
        (["rules", "no-such-rule"], "no rule is called no-such-rule"),
    ],
)
def test_wrong_use_is_one_line_and_2(argv: list[str], says: str, capsys: Capture) -> None:
    code, out, err = ran(*argv, capsys=capsys)
    assert (code, out) == (2, "")
    assert says in one_line(err)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ReviewError("no such tree: name another"), 2, "no such tree: name another"),
        (Unreviewed("does not\napply"), 4, "does not apply"),
        (
            ZeroDivisionError("a\nb"),
            5,
            "a fault of reviewbot itself: ZeroDivisionError: a b (REVIEWBOT_DEBUG=1 shows where)",
        ),
    ],
)
def test_errors_of_a_command(
    error: BaseException, code: int, line: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reviewbot.mail import fetch

    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(fetch, "fetch", fails)
    got, out, err = ran("check", "a@b.example", capsys=capsys)
    assert (got, out, one_line(err)) == (code, "", line)


def test_interrupted(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from reviewbot.mail import fetch

    def fails(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "fetch", fails)
    code, _, err = ran("check", "a@b.example", capsys=capsys)
    assert (code, one_line(err.lstrip("\n"))) == (130, "interrupted")  # below the ^C of the terminal


def test_a_fault_shows_its_place_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from reviewbot.mail import fetch

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(fetch, "fetch", fails)
    monkeypatch.setenv("REVIEWBOT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.run(["check", "a@b.example"])


def test_main_leaves_with_the_code_and_says_all_it_has_to(tmp_path: Path) -> None:
    done = checking.process("--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"reviewbot, version ")
    done = checking.process("check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"reviewbot: name one message-id")


@pytest.mark.parametrize("argv", [["rules"], ["rules", "wq-mem-reclaim"], ["backtest", "--help"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_verdict(argv: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from reviewbot.cli import main; main()", *argv]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            command,
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(checking.ROOT)},
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


HEAVY = ("b4", "git", "jinja2", "liblore", "requests", "rich", "sqlalchemy", "tree_sitter", "unidiff", "asyncio")


@pytest.mark.parametrize("argv", [None, ["--version"], ["check"]], ids=["import", "version", "check without arguments"])
def test_starting_imports_nothing_heavy(argv: list[str] | None, tmp_path: Path) -> None:
    run = "" if argv is None else f"cli.run({argv!r});"
    loaded = f"[m for m in {HEAVY!r} if m in sys.modules]"
    script = f"import json, sys; from reviewbot import cli; {run} print(json.dumps({loaded}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(checking.ROOT)},
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []
