"""`reviewbot reproduce`: what is asked for is found or refused in one line, and the exit code says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reviewbot import cli
from reviewbot.drafts.deliver import as_bytes
from reviewbot.report.explain import StoredRun
from reviewbot.reproduce import reproduction
from reviewbot.reproduce.boot import Boot
from reviewbot.reproduce.console import ConsoleLog, SleepingTask
from reviewbot.reproduce.drivers import ScenarioDriver, drivers
from reviewbot.reproduce.reproduction import Reproduction, SideRuns, Suspect
from reviewbot.review import Options, runs_folder
from reviewbot.types import (
    Address,
    Change,
    Decision,
    Finding,
    Mail,
    Outcome,
    Patch,
    Place,
    Reply,
    Review,
    ReviewError,
    Series,
    Side,
    Step,
    Trace,
    Verdict,
)

SERIES = Series((Patch(Mail("1@x", "one", Address("A", "a@x"), ""), b""),))
TASK = SleepingTask("dd", 7, ("schedule", "wait"))
HUNG = Boot("hung", ConsoleLog(left=1, scans=((TASK,), (TASK,))), 1.0, text=b"the console\n")
FINISHED = Boot("finished", ConsoleLog(started=True, finished=True), 1.0, text=b"the other console\n")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Suspect, str]]:
    """What kernels were asked for; the guilty one always hangs."""
    found: list[tuple[Suspect, str]] = []

    def fake(tree: object, suspect: Suspect, driver: ScenarioDriver, runs: int, *_: object) -> Reproduction:
        found.append((suspect, driver.name))
        return Reproduction(driver, SideRuns(Side.AFTER, (HUNG,) * runs), SideRuns(Side.BEFORE, (FINISHED,) * runs))

    monkeypatch.setattr(reproduction, "reproduce", fake)
    monkeypatch.chdir(tmp_path)
    return found


def stored(name: str, rule: str, file: str, model: str = "", series: Series | None = SERIES, tree: str = "") -> None:
    verdict = Verdict(Finding(rule, Place(file, 1), "waits"), Outcome.CONFIRMED, Trace((), ()), model=model)
    runs_folder().mkdir(parents=True, exist_ok=True)
    (runs_folder() / f"{name}.json").write_bytes(msgspec.json.encode(StoredRun(name, verdict, tree, "b" * 40, series)))


def repository(at: Path) -> str:
    import subprocess

    subprocess.run(["git", "init", "-q", at], check=True)
    return str(at)


def test_the_list_has_every_driver(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["reproduce", "--list"]) == 0
    told = capsys.readouterr().out
    assert all(driver.title in told for driver in drivers().values())
    assert cli.run(["reproduce", "--list", "--driver", "verity-pool"]) == 0
    assert capsys.readouterr().out.count("plays") == 1


def test_a_finding_is_run_with_each_driver_that_plays_it(
    asked: list[tuple[Suspect, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(
        "0badcafe",
        "shared-reserve",
        "drivers/md/dm-verity-target.c",
        "shared_pool x=1",
        tree=repository(tmp_path / "t"),
    )
    draft = tmp_path / "draft.eml"
    draft.write_bytes(as_bytes(Reply((("From", "a@x"), ("Subject", "Re: x")), "This can deadlock.\n")))
    consoles = tmp_path / "consoles"
    command = ["reproduce", "0badcafe", "--runs", "2", "--attach", str(draft), "--consoles", str(consoles)]
    assert cli.run(command) == 0
    assert [(s.base, s.guilty, name) for s, name in asked] == [
        ("b" * 40, Side.AFTER, "verity-clients"),
        ("b" * 40, Side.AFTER, "verity-pool"),
    ]
    told = capsys.readouterr().out
    assert told.count("The deadlock happens on a real kernel.") == 2
    assert draft.read_text().count("The deadlock happens on a real kernel.") == 2
    assert (consoles / "verity-pool-after-2.txt").read_text() == "the console\n"
    assert len(list(consoles.iterdir())) == 8


def test_nothing_is_shown_where_the_other_kernel_hangs_too(
    asked: list[tuple[Suspect, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(tree: object, suspect: Suspect, driver: ScenarioDriver, *_: object) -> Reproduction:
        return Reproduction(driver, SideRuns(Side.AFTER, (HUNG,)), SideRuns(Side.BEFORE, (HUNG,)))

    monkeypatch.setattr(reproduction, "reproduce", both)
    stored(
        "0badcafe", "wq-mem-reclaim", "drivers/md/dm-verity-target.c", "workqueue_writeback", tree=repository(tmp_path)
    )
    assert cli.run(["reproduce", "0badcafe"]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["12345678"], "no finding 12345678 is kept"),
        (["none"], "`none` is no id of a finding"),
        (["0badcafe"], "no driver plays the schedule of 0badcafe"),
        (["0badcafe", "--driver", "none"], "there is no driver `none`"),
        (["0badbeef"], "the patch of 0badbeef is not kept"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    words: list[str], said: str, asked: list[tuple[Suspect, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored("0badcafe", "wq-mem-reclaim", "drivers/gpu/drm/x.c", "workqueue_writeback")
    stored("0badbeef", "wq-mem-reclaim", "drivers/md/dm-verity-target.c", "workqueue_writeback", None)
    (tmp_path / "a.patch").write_text("x")
    assert cli.run(["reproduce", *words]) == ReviewError.exit_code
    out, error = capsys.readouterr()
    assert said in error
    assert len(error.splitlines()) == 1
    assert out == ""
    assert asked == []


MAIL = b"""From: A Developer <a@example.org>
Subject: [PATCH] x: one
Message-ID: <one@example.org>

One.

diff --git a/x.c b/x.c
--- a/x.c
+++ b/x.c
@@ -1 +1 @@
-int a;
+int b;
"""


@pytest.fixture
def reviewed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what a review says of any series."""

    def says(*verdicts: Verdict) -> None:
        def fake(series: Series, options: Options, *_: object) -> Review:
            decision = Decision.NACK if verdicts else Decision.ACK
            return Review(series, decision, change=Change("c" * 40, "given", ()), verdicts=verdicts)

        monkeypatch.setattr("reviewbot.review.review", fake)

    return says


def verdict(rule: str, file: str, model: str, outcome: Outcome = Outcome.CONFIRMED) -> Verdict:
    steps = (Step("a writer", "waits", file, 1, "x"),)
    return Verdict(Finding(rule, Place(file, 1), "waits"), outcome, Trace(steps, ()), model=model)


def test_patches_are_reviewed_and_each_deadlock_of_them_is_run(
    asked: list[tuple[Suspect, str]],
    reviewed: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("a.eml", "b.eml"):
        (tmp_path / name).write_bytes(MAIL)
    found = verdict("wq-mem-reclaim", "drivers/md/dm-verity-target.c", "workqueue_writeback x=1")
    same = verdict("shared-reserve", "drivers/md/dm-verity-target.c", "workqueue_writeback x=2")
    reviewed(found, same, verdict("lock-order", "drivers/gpu/x.c", ""))
    tree = repository(tmp_path / "t")
    page = tmp_path / "page.html"
    assert cli.run(["reproduce", "a.eml", "b.eml", "--tree", tree, "--runs", "3", "--html", str(page)]) == 0
    assert [(s.base, name) for s, name in asked] == [("c" * 40, "verity-worker")] * 2
    rows = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines() if "verity-worker" in line]
    assert rows == ["a.eml", "b.eml"]
    told = page.read_text()
    assert told.count("On a real kernel") == 1
    assert "The deadlock happens on a real kernel." in told
    assert "the console" not in told


def test_a_patch_without_a_deadlock_that_is_played_is_refused(
    asked: list[tuple[Suspect, str]], reviewed: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.eml").write_bytes(MAIL)
    reviewed()
    assert cli.run(["reproduce", "a.eml", "--tree", repository(tmp_path / "t")]) == ReviewError.exit_code
    assert "no driver plays a deadlock of it (the review says ack)" in capsys.readouterr().err
    assert asked == []
    assert cli.run(["reproduce", "a.eml", "--tree", str(tmp_path / "t"), "--driver", "verity-pool"]) == 0
    assert [name for _, name in asked] == ["verity-pool"]
