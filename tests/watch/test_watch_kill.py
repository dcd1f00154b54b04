"""kill -9 at any moment: what comes out in the end is what an undisturbed run gives.

REVIEWBOT_KILLS=full runs all chosen moments and 20 random ones; without it some of them.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from inbox import Inbox, mail, patch, posted
from sqlalchemy import create_engine, select

from reviewbot.watch.schema import draft, judgement, series
from reviewbot.watch.schema import mail as mails

FULL = os.environ.get("REVIEWBOT_KILLS") == "full"
POINTS = [
    ("reviewbot.mail.epochs:Mirror.fetch", "before", 1),
    ("reviewbot.mail.epochs:Mirror.fetch", "after", 1),
    ("reviewbot.mail.epochs:Mirror.mail_in", "after", 4),
    ("reviewbot.watch.store:Store.add_mails", "after", 1),
    ("reviewbot.watch.walk:settle", "after", 1),
    ("reviewbot.watch.walk:take", "after", 1),
    ("reviewbot.watch.lists:_read_up_to", "before", 1),
    ("reviewbot.watch.store:Store.claim", "after", 2),
    ("reviewbot.watch.work:Worker._record", "before", 1),
    ("reviewbot.watch.ledger:Ledger.add", "after", 1),
    ("reviewbot.watch.work:Worker._record", "after", 2),
    ("reviewbot.drafts.deliver:stage", "after", 1),
    ("reviewbot.drafts.deliver:place", "after", 1),
    ("reviewbot.drafts.deliver:MaildirCopy.stage", "after", 1),
    ("reviewbot.drafts.deliver:MaildirCopy.place", "before", 2),
    ("reviewbot.drafts.deliver:MaildirCopy.place", "after", 1),
]
SOME = (2, 4, 7, 9, 11, 14)
SEED = int(os.environ.get("REVIEWBOT_SEED", "6"))


class Bench:
    """One state folder that is polled by processes of its own."""

    def __init__(self, path: Path, inbox: Inbox) -> None:
        self.path = path
        self.config = path / "config.toml"
        path.mkdir()
        self.config.write_text(
            f'state = "{path}/state"\n[drafts]\ndeliver = "{path}/Drafts"\n[[tree]]\npath = "/nowhere"\n'
            f'[[list]]\nname = "dm"\nurl = "{inbox.url}"\nreview = true\nlook_back_days = 100000\n'
        )

    def start(self, *kill: object) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            str(Path(__file__).parent / "watch_killed.py"),
            str(self.config),
            *map(str, kill),
        ]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def run(self, *kill: object) -> int:
        process = self.start(*kill)
        out, _ = process.communicate(timeout=600)
        assert process.returncode in (0, 1, -9), out.decode()
        return process.returncode

    def finish(self) -> None:
        """Poll until nothing is left to do."""
        for _ in range(3):
            if self.run() == 0:
                return
        raise AssertionError("the poll does not come to an end")

    def state(self) -> Any:
        engine = create_engine(f"sqlite:///{self.path}/state/state.sqlite")
        with engine.connect() as connection:
            rows = [
                [tuple(r) for r in connection.execute(select(*columns).order_by(*columns))]
                for columns in (
                    (mails.c.id, mails.c.kind, mails.c.root, mails.c.series, mails.c.fault),
                    (series.c.key, series.c.state, series.c.decision, series.c.result, series.c.lineage),
                    (draft.c.name, draft.c.state, draft.c.mail, draft.c.placed != "", draft.c.delivery),
                    (judgement.c.lineage, judgement.c.finding, judgement.c.kind),
                )
            ]
        engine.dispose()
        files = {}
        for folder in ("state/drafts", "Drafts"):
            for file in sorted((self.path / folder).rglob("*")):
                if file.is_file() and file.name != ".id":
                    files[str(file.relative_to(self.path))] = file.read_bytes()
        return rows, files


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    made = Inbox(tmp_path_factory.mktemp("inbox"))
    made.deliver(*posted("one", 2, 1, "lock"), mail("so@x.example", "Re: x", "So.\n", parent="one-v1-1@dev.example"))
    made.deliver(patch("alone@dev.example", "dm a: fix", "pool"), b"garbage\n", patch("good@dev.example", "dm b: ok"))
    made.deliver(*posted("two", 2, 1, "a"), *posted("two", 2, 2, "a", "b", parent="two-v1-0@dev.example"))
    return made


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, inbox: Inbox) -> Any:
    bench = Bench(tmp_path_factory.mktemp("reference") / "run", inbox)
    started = time.monotonic()
    assert bench.run() == 0
    took = time.monotonic() - started
    state = bench.state()
    assert len(state[1]) == 6  # three drafts, and a copy of each
    return state, took


@pytest.mark.parametrize(("target", "when", "count"), POINTS if FULL else [POINTS[n] for n in SOME])
def test_killed_at_a_chosen_moment(
    tmp_path: Path, inbox: Inbox, reference: Any, target: str, when: str, count: int
) -> None:
    bench = Bench(tmp_path / "run", inbox)
    assert bench.run(target, when, count) == -9
    bench.finish()
    assert bench.state() == reference[0]


def test_killed_at_random_moments(tmp_path: Path, inbox: Inbox, reference: Any) -> None:
    chance = random.Random(SEED)
    kills, rounds = (20, 4) if FULL else (3, 1)
    for number in range(rounds):
        bench = Bench(tmp_path / str(number), inbox)
        for _ in range(kills // rounds):
            process = bench.start()
            try:
                process.wait(chance.uniform(0, reference[1]))
            except subprocess.TimeoutExpired:
                process.kill()  # it alone: what it started finds out by itself
            process.communicate()
        bench.finish()
        assert bench.state() == reference[0], f"round {number} of seed {SEED}"
        shutil.rmtree(bench.path)


def test_a_disk_that_is_full_loses_nothing(tmp_path: Path, inbox: Inbox, reference: Any) -> None:
    bench = Bench(tmp_path / "run", inbox)
    disk = bench.path / "state"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.getuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small disk: mounting one needs root")
    try:
        failed = 0
        for size in range(96, 100_000, 96):
            subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
            process = bench.start()
            said, _ = process.communicate(timeout=600)
            if process.returncode == 0:
                break
            failed += 1
            assert b"Traceback" not in said or b"Unstored" in said.splitlines()[-1], said.decode()
        assert failed > 1
        assert bench.state() == reference[0]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
