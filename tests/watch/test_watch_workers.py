"""Two watchers on one PostgreSQL, each a process with a state folder of its own, share the work and never overlap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from inbox import Inbox, patch
from servers import postgres

from reviewbot.watch.ledger import Ledger
from reviewbot.watch.store import SeriesState, Store


def test_two_workers_never_review_the_same_series(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    names = [f"p{n}@dev.example" for n in range(12)]
    inbox.deliver(*(patch(name, f"dm {name[:3]}: fix", "lock") for name in names))
    log = tmp_path / "log"
    with postgres(tmp_path) as url:
        workers = []
        for name in ("a", "b"):
            config = tmp_path / f"{name}.toml"
            config.write_text(
                f'state = "{tmp_path}/{name}"\ndatabase = "{url}"\n[[tree]]\npath = "/nowhere"\n'
                f'[[list]]\nname = "dm"\nurl = "{inbox.url}"\nreview = true\nlook_back_days = 100000\n'
            )
            workers.append(
                subprocess.Popen(
                    [sys.executable, str(Path(__file__).parent / "watch_killed.py"), str(config)],
                    env={**os.environ, "REVIEW_LOG": str(log)},
                    stdout=subprocess.PIPE,
                )
            )
        said = [w.communicate(timeout=120)[0].decode() for w in workers]
        assert [w.returncode for w in workers] == [0, 0], said
        with Store.open(url) as store:
            assert {s.lead: s.state for s in store.series()} == dict.fromkeys(names, SeriesState.DONE)
            assert len(Ledger(store).drafts()) == 12
    reviewed = log.read_text().split()
    assert sorted(line.partition(":")[2] for line in reviewed) == sorted(names)
    assert len({line.partition(":")[0] for line in reviewed}) == 2, "one of them did all the work"
    files = [p.name for name in ("a", "b") for p in (tmp_path / name / "drafts").glob("*.eml")]
    assert len(files) == len(set(files)) == 12
