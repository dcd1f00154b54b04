"""`reviewbot watch` at the command line, its figures and its bars."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from inbox import START, Inbox, mail, patch

from reviewbot import cli
from reviewbot.watch_metrics import text


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    inbox = Inbox(tmp_path / "inbox")
    inbox.deliver(mail("x@x.example", "Hello", "Hi.\n"), patch("p@dev.example", "dm x: fix"), at=START)
    file = tmp_path / "config.toml"
    file.write_text(
        f'state = "{tmp_path}/state"\nmetrics = "{tmp_path}/m.prom"\n'
        f'[[list]]\nname = "dm"\nurl = "{inbox.url}"\nlook_back_days = 100000\n'
    )
    return file


def test_the_command_line(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["watch", "--config", str(settings)]
    assert cli.run([*run, "--check-config"]) == 0
    assert capsys.readouterr().out == f"{settings}: 1 lists, 0 trees\n"
    assert cli.run(run) == 0
    out = capsys.readouterr()
    assert out.out.startswith("watch: 1 list, 2 new mails, 0 reviewed, 0 new drafts, 0 waiting for you; ")
    assert out.out.count("\n") == 1
    assert out.err == ""
    assert 'reviewbot_series{state="skipped"} 1' in (settings.parent / "m.prom").read_text()
    assert cli.run([*run, "--status"]) == 0
    assert "1 skipped" in capsys.readouterr().out
    assert cli.run([*run, "--retry", "p@dev.example", "--no-review"]) == 0
    capsys.readouterr()
    assert cli.run([*run, "--status"]) == 0
    assert "1 ready" in capsys.readouterr().out
    assert cli.run([*run, "--retry", "none@dev.example"]) == 2
    assert "is not known" in capsys.readouterr().err


def test_a_list_that_is_gone_is_exit_code_1_and_a_line(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings.write_text(settings.read_text().replace("inbox", "gone"))
    assert cli.run(["watch", "--config", str(settings)]) == 1
    assert capsys.readouterr().err.startswith("reviewbot: list dm: no public-inbox at ")


def test_asked_to_stop_it_stops_and_loses_nothing(settings: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from reviewbot.cli import main; main()",
        "watch",
        "--follow",
        "--config",
        str(settings),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    _, said = process.communicate(timeout=20)
    assert "2 new mails" in line
    assert process.returncode == 130
    assert said.strip() == "reviewbot: interrupted"


def test_the_metrics_are_what_prometheus_reads(tmp_path: Path) -> None:
    from reviewbot.watch_idle import Summary

    summary = Summary(1, 2, {"nack": 1}, 1, 4, 0, 0, 0, (), 0.5, {"ready": 3}, 1_795_250_756.25)
    lines = text(summary).splitlines()
    assert "reviewbot_last_poll_timestamp_seconds 1795250756.25" in lines
    assert 'reviewbot_poll_reviews{result="nack"} 1' in lines
    for line in lines:
        assert line.startswith("# ") or len(line.rpartition(" ")) == 3
        if not line.startswith("# "):
            float(line.rpartition(" ")[2])


def test_progress_is_shown_on_a_terminal() -> None:
    from reviewbot.watch_show import Bars

    with Bars() as bars:
        bars.reading("dm", "0", 1, 2)
        bars.reviewing("[red]\x1b[2Jsubject", 0, 1)
        bars.said("a\nfault")
