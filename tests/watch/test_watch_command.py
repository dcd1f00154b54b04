"""`reviewbot watch` at the command line, its figures and its bars."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from checking import ROOT, repository
from inbox import START, Inbox, mail, patch

from reviewbot import cli
from reviewbot.watch.metrics import text


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
    assert capsys.readouterr().out == f"{settings}: 1 lists, 0 trees, and all of them can be opened\n"
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
    from reviewbot.watch.idle import Summary

    summary = Summary(1, 2, {"nack": 1}, 1, 4, 0, 0, 0, (), 0.5, {"ready": 3}, 1_795_250_756.25)
    lines = text(summary).splitlines()
    assert "reviewbot_last_poll_timestamp_seconds 1795250756.25" in lines
    assert 'reviewbot_poll_reviews{result="nack"} 1' in lines
    for line in lines:
        assert line.startswith("# ") or len(line.rpartition(" ")) == 3
        if not line.startswith("# "):
            float(line.rpartition(" ")[2])


def test_progress_is_shown_on_a_terminal() -> None:
    from reviewbot.watch.show import Bars

    with Bars() as bars:
        bars.reading("dm", "0", 1, 2)
        bars.reviewing("[red]\x1b[2Jsubject", 0, 1)
        bars.said("a\nfault")


def test_why_something_has_no_review_stands_where_one_looks(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from reviewbot.watch.reasons import KINDS

    tree = repository(tmp_path / "tree", {"drivers/md/dm-x.c": "int x;\n"})
    inbox = Inbox(tmp_path / "inbox")
    inbox.deliver(
        patch("notes@dev.example", "notes: more", path="notes.txt"),
        patch("fs@dev.example", "fs: lines", path="fs/file.c"),
        at=START + 10,
    )
    text = settings.read_text().replace("look_back", "review = true\nlook_back")
    settings.write_text(f'{text}[[tree]]\npath = "{tree}"\nfiles = ["drivers/*", "notes.txt"]\n')
    run = ["--config", str(settings)]
    assert cli.run(["watch", *run]) == 0
    line = capsys.readouterr().out
    assert "3 reviewed (1 skipped, 2 unreviewed)" in line
    assert "not reviewed: 2 does not apply, 1 no tree for its files" in line
    metrics = (tmp_path / "m.prom").read_text()
    assert 'reviewbot_series_unreviewed{reason="does not apply"} 2' in metrics
    assert 'reviewbot_series_unreviewed{reason="no tree for its files"} 1' in metrics
    assert cli.run(["watch", *run, "--status"]) == 0
    out = capsys.readouterr().out
    assert "     2 done (2 unreviewed)\n" in out
    assert "not reviewed: 2 does not apply, 1 no tree for its files\n" in out
    assert cli.run(["watch", *run, "--status", "--list"]) == 0
    rows = [x for x in capsys.readouterr().out.splitlines() if "[PATCH]" in x]
    assert [x.partition(":")[0] for x in rows] == ["unreviewed", "unreviewed", "skipped"]
    assert "dm x: fix: does not apply to " in rows[0]
    assert "fs: lines: no [[tree]] for fs/file.c" in rows[2]
    assert cli.run(["drafts", *run]) == 0
    shown = capsys.readouterr()
    assert shown.out == "no drafts\n"
    assert "not reviewed: 2 does not apply, 1 no tree" in shown.err
    assert cli.run(["watch", *run]) == 0  # nothing is new: the figures stay, the line says nothing of old series
    assert "not reviewed" not in capsys.readouterr().out
    assert 'reviewbot_series_unreviewed{reason="does not apply"} 2' in (tmp_path / "m.prom").read_text()
    sources = "".join(p.read_text() for p in (ROOT / "reviewbot").rglob("*.py") if p.name != "watch_reasons.py")
    assert [words for words, _ in KINDS if words not in sources] == []


def test_the_list_says_what_a_verdict_rests_on(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from reviewbot.watch import config
    from reviewbot.watch.poll import poll
    from reviewbot.watch.store import Store

    settings.write_text(
        settings.read_text().replace("look_back", "review = true\nlook_back") + '[[tree]]\npath = "/x"\n'
    )
    inbox = Inbox(settings.parent / "inbox")
    inbox.deliver(patch("bad@dev.example", "dm x: bad", "lock"), at=START + 20)
    told = config.load(settings)
    with Store.open(told.database_url()) as store:
        poll(told, store, reviewer="inbox:finder")
    assert cli.run(["watch", "--config", str(settings), "--list"]) == 0
    rows = [x for x in capsys.readouterr().out.splitlines() if "[PATCH]" in x]
    assert rows[0].startswith("ack: ")
    assert rows[1].startswith("nack: ")
    assert rows[1].endswith("[PATCH] dm x: bad: takes lock twice [bad-lock, confirmed]")


def test_the_untouched_example_is_not_right(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reviewbot.mail import epochs

    def down(url: str) -> None:
        raise epochs.Unreachable(f"{url}: refused")

    monkeypatch.setattr(epochs, "epochs", down)
    example = ROOT / "deploy/config.toml"
    assert cli.run(["watch", "--config", str(example), "--check-config"]) == 2
    out, err = capsys.readouterr()
    lines = [line.removeprefix(f"reviewbot: {example}: ") for line in err.splitlines()]
    assert (out, lines) == (
        "",
        [
            "drafts.maintainer: `Maintainer <maintainer@example.org>` is still the example's (example.org is nobody's)",
            "tree[1]: /srv/linux is not in a git repository: name a kernel tree",
            "list[1]: https://lore.kernel.org/dm-devel: refused",
        ],
    )


def test_what_a_configuration_names_is_opened(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = repository(tmp_path / "tree", {"a.c": "int x;\n"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    before = settings.read_text()

    def said(text: str) -> list[str]:
        settings.write_text(before + text)
        code = cli.run(["watch", "--config", str(settings), "--check-config"])
        out, err = capsys.readouterr()
        assert (code, bool(out)) == ((2, False) if err else (0, True))
        return [line.removeprefix(f"reviewbot: {settings}: ") for line in err.splitlines()]

    who = '[drafts]\nmaintainer = "Mia <mia@maint.test>"\n'
    rule = f'[[tree]]\npath = "{tree}"\n'
    assert said(who + rule) == []
    assert said(who + rule + 'branch = "origin/master"\n') == [
        f"tree[1]: there is no commit `origin/master` in {tree}: fetch it, or name another"
    ]
    assert said(who + rule + 'maintained_at = ["git://x"]\n') == [
        f"tree[1]: there is no MAINTAINERS in {tree} at HEAD, which `maintained_at` needs"
    ]
    assert said(rule) == ["drafts.maintainer: is empty, and tree[1] has no user.email: drafts have no From"]
    assert said(who + '[[list]]\nname = "y"\nurl = "file:///nowhere"\nreview = true\n') == [
        "tree: there is no [[tree]] to review patches on",
        "list[2]: no public-inbox at /nowhere",
    ]
    assert said(who + rule + '[[list]]\nname = "z"\nimap = "imaps://ann@127.0.0.1:1/x"\n')[0].startswith("list[2]: no ")
    assert not (tmp_path / "state").exists()
