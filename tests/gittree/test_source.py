"""Files in a folder or in memory: the ids are git's, and links lead nowhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reviewbot.gittree.source import FolderSource, MemorySource, blob_id
from reviewbot.types import Source

FILES = {"a.c": b"int a;\n", "d/b.c": b"", "d/e/c.h": b"caf\xe9", "dd/x": b"x"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "tree/link").symlink_to("a.c")
    (tmp_path / "tree/out").symlink_to("..")
    (tmp_path / "tree/.git").mkdir()
    (tmp_path / "tree/.git/config").write_text("x")
    return tmp_path / "tree"


def test_a_folder_reads_like_the_files_in_memory(folder: Path) -> None:
    sources: list[Source] = [FolderSource(folder), MemorySource(FILES)]
    for source in sources:
        assert {path: source.read(path) for path in FILES} == FILES
        assert source.read_many([*FILES, "none"]) == FILES
        assert source.ls("") == {path: blob_id(content) for path, content in FILES.items()}
        assert sorted(source.ls("d")) == ["d/b.c", "d/e/c.h"]
        assert source.ls("d/e") == {"d/e/c.h": source.blob("d/e/c.h")}
        assert source.ls("none") == {}
        assert source.blob("none") is None


def test_nothing_outside_of_the_folder_is_read(folder: Path) -> None:
    source = FolderSource(folder)
    for path in ("link", "out/secret", "../secret", "/etc/passwd", "d", "", ".git/config", "d//b.c", "d/../a.c"):
        assert source.read(path) is None
        assert source.blob(path) is None
    for path in ("..", "out", "d/..", ".git"):
        assert source.ls(path) == {}


def test_ids_are_those_of_git(folder: Path) -> None:
    done = subprocess.run(
        ["git", "hash-object", "--no-filters", *FILES], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [blob_id(content) for content in FILES.values()]
