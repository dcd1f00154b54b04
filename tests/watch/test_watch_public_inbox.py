"""The watcher against a real public-inbox server with a real list: dm-devel, 18,001 mails."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from servers import public_inbox

from reviewbot.watch.config import Config, MailingList
from reviewbot.watch.poll import poll
from reviewbot.watch.store import Store

DAY = 86400.0


@pytest.fixture(scope="module")
def epoch(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = shared / "lore/dm-devel-epoch-0.bundle"
    if not bundle.exists():
        pytest.skip("no archive of dm-devel")
    made = tmp_path_factory.mktemp("epoch") / "0.git"
    subprocess.run(["git", "clone", "-q", "--mirror", str(bundle), str(made)], check=True)
    return made


def test_the_first_poll_takes_the_last_days_and_the_next_one_nothing(epoch: Path, tmp_path: Path) -> None:
    newest = float(subprocess.check_output(["git", "-C", str(epoch), "log", "-1", "--format=%ct"]))
    days = (time.time() - newest) / DAY + 30
    since = f"--since={int(time.time() - days * DAY)}"
    count = int(subprocess.check_output(["git", "-C", str(epoch), "rev-list", "--count", since, "master"]))
    with public_inbox(tmp_path, epoch) as url:
        lists = (MailingList(name="dm", url=url, look_back_days=days, review=True),)
        config = Config(lists=lists, state=str(tmp_path / "state"))
        with Store.open(config.database_url()) as store:
            first = poll(config, store, review=False)
            assert first.faults == ()
            assert 0 < first.mails <= count < 2000
            assert first.mails >= count - 5  # some came twice
            mirror = tmp_path / "state/lists/dm/0.git"
            size = sum(f.stat().st_size for f in mirror.rglob("*") if f.is_file())
            assert size < 20 << 20, "the whole epoch was fetched"
            second = poll(config, store, review=False)
            assert (second.mails, second.faults) == (0, ())
            assert second.states == first.states
            assert second.states["ready"] > 5


WALK = [
    ("reviewbot.mail.epochs:Mirror.fetch", "before", 1),
    ("reviewbot.mail.epochs:Mirror.fetch", "after", 1),
    ("reviewbot.mail.epochs:Mirror.commits", "after", 2),
    *[("reviewbot.mail.epochs:Mirror.mail_in", "after", n) for n in (1, 201, 9000)],
    *[("reviewbot.watch.store:Store.add_mails", "after", n) for n in (1, 2)],
    *[("reviewbot.watch.series:_enter", "before", n) for n in (1, 100)],
    *[("reviewbot.watch.walk:settle", "after", n) for n in (1, 3)],
    *[("reviewbot.watch.walk:take", "after", n) for n in (1, 5)],
    ("reviewbot.watch.store:Store.set_cursor", "after", 7),
    ("reviewbot.watch.lists:_read_up_to", "before", 1),
]


def walked(folder: Path) -> list[tuple[object, ...]]:
    """All that a walk leaves in the database."""
    with sqlite3.connect(folder / "state.sqlite") as database:
        return [
            *database.execute("SELECT id, kind, root, series, fault FROM mail ORDER BY id"),
            *database.execute("SELECT key, state, reason, present, lineage, previous FROM series ORDER BY key"),
            *database.execute("SELECT list, source, position, fingerprint, tries, singly FROM cursor"),
        ]


@pytest.mark.skipif(os.environ.get("REVIEWBOT_KILLS") != "full", reason="takes minutes; REVIEWBOT_KILLS=full runs it")
def test_a_walk_of_the_whole_epoch_killed_again_and_again(epoch: Path, tmp_path: Path) -> None:
    def start(name: str, *kill: object) -> subprocess.Popen[bytes]:
        config = tmp_path / f"{name}.toml"
        config.write_text(
            f'state = "{tmp_path / name}"\n'
            f'[[list]]\nname = "dm"\nurl = "{url}"\nreview = true\nlook_back_days = 100000\n'
        )
        command = [sys.executable, str(Path(__file__).parent / "watch_killed.py"), str(config), *map(str, kill)]
        return subprocess.Popen(command, env={**os.environ, "READ_ONLY": "1"}, stdout=subprocess.DEVNULL)

    with public_inbox(tmp_path, epoch) as url:
        assert start("calm").wait() == 0
        killed = sum(start("chosen", *point).wait() == -9 for point in WALK)
        assert killed == len(WALK) == 16
        assert start("chosen").wait() == 0
        assert walked(tmp_path / "chosen") == walked(tmp_path / "calm")
        chance = random.Random(int(os.environ.get("REVIEWBOT_SEED", "6")))
        for _ in range(20):
            process = start("chance")
            time.sleep(chance.uniform(0.2, 6))
            process.kill()
            process.wait()
        assert start("chance").wait() == 0
        assert walked(tmp_path / "chance") == walked(tmp_path / "calm")
