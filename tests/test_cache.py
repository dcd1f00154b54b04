"""The cache has a bound that all who keep something stay within, whatever several processes do at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import checking
import pytest
from checking import CODE, FILE, innocent, mail

from reviewbot import cli
from reviewbot.csource.cache import Cache
from reviewbot.process import cache

MEGABYTE = 1 << 20


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of at most one megabyte."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(cache.SETTING, "1")
    monkeypatch.setattr(cache, "_since_read", {})
    return cache.folder()


def total() -> int:
    return sum(entry.size for entry in cache.entries())


def put(name: str, size: int, age: float = 0) -> Path:
    """A file of the cache that was last used so many seconds ago."""
    path = cache.folder() / "worlds" / name
    cache.write(path, [b"x" * size])
    if path.exists():
        os.utime(path, (time.time() - age,) * 2)
    return path


def test_what_was_not_used_longest_goes_first(kept: Path) -> None:
    paths = [put(str(age), 100_000, age * 1000) for age in (4, 1, 3, 2)]
    cache.used(paths[0])
    for number in range(7):
        put(f"new{number}", 100_000)
    assert total() <= MEGABYTE
    assert paths[0].exists()
    assert {p.name for p in paths if not p.exists()} == {"3", "2"}


def test_a_month_without_use_is_the_end(kept: Path) -> None:
    old, young = put("old", 10, 40 * 24 * 3600), put("young", 10)
    cache.trim()
    assert (old.exists(), young.exists()) == (False, True)


def test_what_is_larger_than_the_bound_costs_nothing_else(kept: Path) -> None:
    other = put("other", 1000)
    large = put("large", 2 * MEGABYTE)
    assert (other.exists(), large.exists()) == (True, False)


def test_small_runs_one_after_another_are_counted_together(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        monkeypatch.setattr(cache, "_since_read", {})  # as a new process
        put(str(number), 60_000)
    assert total() <= MEGABYTE


def test_several_processes_at_once(kept: Path) -> None:
    script = (
        "import sys\nfrom reviewbot.process import cache\n"
        "for n in range(60):\n"
        "    path = cache.folder() / 'worlds' / f'{sys.argv[1]}-{n}'\n"
        "    cache.write(path, [b'x' * 50_000])\n"
        "    for entry in list(cache.entries()):\n"
        "        try:\n            assert len(entry.path.read_bytes()) in (50_000, 0) or entry.path.name[0] == '.'\n"
        "        except FileNotFoundError:\n            pass\n"
    )
    environment = os.environ | {"PYTHONPATH": str(checking.ROOT)}
    processes = [subprocess.Popen([sys.executable, "-c", script, str(n)], env=environment) for n in range(4)]
    assert [p.wait(120) for p in processes] == [0, 0, 0, 0]
    cache.trim()
    assert 0 < total() <= MEGABYTE


def test_what_is_being_written_is_not_taken_away(kept: Path) -> None:
    folder = kept / "worlds"

    def parts() -> Iterator[bytes]:
        yield b"a"
        (begun,) = folder.iterdir()
        os.utime(begun, (time.time() - 600,) * 2)
        for number in range(30):
            put(str(number), 60_000)
        yield b"b"

    cache.write(folder / "slow", parts())
    assert (folder / "slow").read_bytes() == b"ab"


def test_a_database_that_is_written_to_stays(kept: Path) -> None:
    base, journal = put("base", 10, 10**9), put("base-journal", 10, 10**9)
    cache.trim()
    assert base.exists()
    assert journal.exists()


def test_units_stay_within_the_bound_and_are_made_again(kept: Path) -> None:
    units = Cache()
    sources = {f"{n:040x}": b"".join(b"int f%d_%d(void) { return %d; }\n" % (n, m, m) for m in range(40))
               for n in range(300)}  # fmt: skip
    found = units.units(sources, lambda ids: {i: sources[i] for i in ids})
    assert len(found) == 300
    assert 0 < total() <= MEGABYTE
    assert units.units(sources, lambda ids: {i: sources[i] for i in ids}) == found


def test_a_review_in_a_full_cache(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.SETTING, "0")
    tree = checking.repository(tmp_path / "tree", {FILE: CODE})
    (tmp_path / "x.eml").write_text(mail(innocent()))
    done = checking.process("check", tmp_path / "x.eml", "--tree", tree, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert total() == 0


def test_the_command_shows_and_clears(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("a", 3 * MEGABYTE // 4)
    assert cli.run(["cache"]) == 0
    assert capsys.readouterr().out == (
        f"{kept}: 1 MB of at most 1 MB\n     1 MB  worlds   what is known of the folders of a tree\n"
    )
    assert cli.run(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"{kept}: 1 MB removed\n"
    assert total() == 0
    assert cli.run(["cache"]) == 0
    assert capsys.readouterr().out == f"{kept}: 0 MB of at most 1 MB\n"
