"""A poll that finds nothing new opens no database; whatever changes makes the next one look again."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from inbox import START, Inbox, mail, patch, posted

from reviewbot import cli
from reviewbot.watch import config
from reviewbot.watch import idle as watch_idle
from reviewbot.watch.idle import nothing_to_do


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    made = Inbox(tmp_path / "inbox")
    made.deliver(mail("x@x.example", "Hello", "Hi.\n"), patch("p@dev.example", "dm x: fix"), at=START)
    return made


@pytest.fixture
def settings(tmp_path: Path, inbox: Inbox) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(
        f'state = "{tmp_path}/state"\n[[list]]\nname = "dm"\nurl = "{inbox.url}"\nlook_back_days = 100000\n'
    )
    assert cli.run(["watch", "--config", str(file)]) == 0
    return file


def idle(settings: Path) -> bool:
    return nothing_to_do(config.load(settings))[0] is not None


def test_after_a_poll_there_is_nothing_to_do(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert idle(settings)
    capsys.readouterr()
    assert cli.run(["watch", "--config", str(settings)]) == 0
    assert capsys.readouterr().out.startswith(
        "watch: 1 list, 0 new mails, 0 reviewed, 0 new drafts, 0 waiting for you; 0."
    )


def test_what_is_idle_opens_no_database(settings: Path) -> None:
    code = "import sys; from reviewbot.cli import run; run(sys.argv[1:]); print('sqlalchemy' in sys.modules)"
    command = [sys.executable, "-c", code, "watch", "--config", str(settings)]
    assert subprocess.check_output(command, text=True).splitlines()[-1] == "False"


CHANGES: dict[str, Callable[[Path, Inbox], object]] = {
    "a mail": lambda _, inbox: inbox.deliver(mail("y@x.example", "Hello", "Hi.\n"), at=START + 9),
    "a rewritten epoch": lambda _, inbox: inbox.purge(b"<x@x.example>"),
    "another configuration": lambda settings, _: settings.write_text(settings.read_text() + "[limits]\ntries = 2\n"),
    "a change of the database": lambda settings, _: sqlite3.connect(settings.parent / "state/state.sqlite").execute(
        "PRAGMA user_version = 3"
    ),
    "another drafts folder": lambda settings, _: (settings.parent / "state/drafts/x").touch(),
    "a server that is gone": lambda _, inbox: os.rename(inbox.path, f"{inbox.path}-gone"),
    "a damaged note": lambda settings, _: (settings.parent / "state" / watch_idle.FILE).write_text("{"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_is_looked_at(settings: Path, inbox: Inbox, what: str) -> None:
    assert idle(settings)
    CHANGES[what](settings, inbox)
    assert not idle(settings)


@pytest.mark.parametrize("by", [-1e8, 7 * 3600])
def test_a_clock_that_jumped_is_looked_at(settings: Path, monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + by)
    assert not idle(settings)


def test_a_series_that_waits_is_looked_at_when_its_time_has_come(
    settings: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.write_text(settings.read_text().replace("[[list]]", "[[list]]\nreview = true"))
    _, one, two = posted("bare", 2)
    inbox.deliver(one, two, at=START + 9)
    cli.run(["watch", "--config", str(settings), "--no-review"])
    now = time.time()
    settings_ = config.load(settings)
    assert nothing_to_do(settings_, review=False)[0] is not None
    monkeypatch.setattr(time, "time", lambda: now + 3601)
    assert nothing_to_do(settings_, review=False)[0] is None


def test_a_poll_that_only_read_leaves_the_reviews_to_be_done(settings: Path, inbox: Inbox) -> None:
    settings.write_text(settings.read_text().replace("[[list]]", "[[list]]\nreview = true"))
    inbox.deliver(patch("q@dev.example", "dm x: fix"), at=START + 9)
    cli.run(["watch", "--config", str(settings), "--no-review"])
    assert not idle(settings)
