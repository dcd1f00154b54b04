"""Units on disk: kept, found again, and made again when the disk is not to be trusted."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from reviewbot.csource import cache as module
from reviewbot.csource.cache import Cache, version
from reviewbot.csource.lower import lower

SOURCE = b"void f(void)\n{\n\ta();\n}\n"
BLOB = "a" * 40


def never() -> bytes:
    raise AssertionError("the unit was on the disk")


def kept(cache: Cache) -> Path:
    (path,) = [p for p in cache.folder.rglob("*") if p.is_file()]
    return path


def test_a_unit_is_made_once(tmp_path: Path) -> None:
    assert Cache(tmp_path).unit(BLOB, lambda: SOURCE) == lower(SOURCE)
    assert Cache(tmp_path).unit(BLOB, never) == lower(SOURCE)


def test_the_users_cache_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Cache().unit(BLOB, lambda: SOURCE)
    assert kept(Cache()).is_relative_to(tmp_path / "reviewbot" / "csource" / version())


@pytest.mark.parametrize("damage", ["torn", "flipped", "foreign", "empty", "other"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path)
    cache.unit(BLOB, lambda: SOURCE)
    path = kept(cache)
    good = path.read_bytes()
    middle = len(good) // 2
    path.write_bytes(
        {
            "torn": good[:middle],
            "flipped": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
            "foreign": b"PK\x03\x04 something else",
            "empty": b"",
            "other": zlib.compress(b"\x93\x01\x02\x03"),
        }[damage]
    )
    assert cache.unit(BLOB, lambda: SOURCE) == lower(SOURCE)
    assert path.read_bytes() == good


def test_another_version_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(tmp_path).unit(BLOB, lambda: SOURCE)
    monkeypatch.setattr(module, "version", lambda: "other")
    assert Cache(tmp_path).unit(BLOB, lambda: b"int x;") == lower(b"int x;")


def test_a_disk_that_cannot_be_written_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert Cache(tmp_path / "file").unit(BLOB, lambda: SOURCE) == lower(SOURCE)


def test_only_what_is_missing_is_read_and_only_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.unit(BLOB, lambda: SOURCE)
    asked: list[list[str]] = []

    def read(blobs: list[str]) -> Mapping[str, bytes]:
        asked.append(blobs)
        return {"b" * 40: b"int b;"}

    found = cache.units([BLOB, "b" * 40, "c" * 40, BLOB], read)
    assert asked == [["b" * 40, "c" * 40]]
    assert found == {BLOB: lower(SOURCE), "b" * 40: lower(b"int b;")}


@pytest.mark.parametrize("threads", [False, True])
def test_many_are_made_alike_by_one_process_and_by_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: bool
) -> None:
    sources = {f"{n:040}": b"/* %d */\n" % n + SOURCE * (300 // (n + 1)) for n in range(12)}
    monkeypatch.setattr(module, "MANY", 10_000)
    stop = threading.Event()
    if threads:
        threading.Thread(target=stop.wait).start()
    try:
        two = Cache(tmp_path / "two").units(sources, lambda blobs: {b: sources[b] for b in blobs})
    finally:
        stop.set()
    one = Cache(tmp_path / "one", processes=1).units(sources, lambda blobs: {b: sources[b] for b in blobs})
    assert one == two == {blob: lower(source) for blob, source in sources.items()}
    assert sorted(p.name for p in (tmp_path / "two").rglob("*")) == sorted(
        p.name for p in (tmp_path / "one").rglob("*")
    )
