"""A small kernel-like repository, a clone to make patches in, and a Tree over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gitwork import FILES, TARGET, Work, run

from reviewbot.gittree.tree import Tree


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("origin")
    run(path, "init", "-q", "-b", "main")
    work = path
    for name, content in FILES.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(content)
    (work / "arch/arm/dts").mkdir(parents=True)
    (work / "arch/arm/dts/board.dts").write_text("/ { };\n")
    (work / "include").mkdir()
    (work / "include/dt").symlink_to("../arch/arm/dts")
    run(path, "add", "-A")
    run(path, "commit", "-q", "-m", "start")
    return path


@pytest.fixture(scope="module")
def work(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Work:
    path = tmp_path_factory.mktemp("work") / "clone"
    run(origin, "clone", "-q", str(origin), str(path))
    return Work(path)


@pytest.fixture
def tree(work: Work) -> Iterator[Tree]:
    with Tree.open(work.path) as opened:
        yield opened


@pytest.fixture
def history(origin: Path, tmp_path: Path) -> Work:
    """Thirty commits that change the target, with a tag, another branch, and a branch that goes elsewhere."""
    run(tmp_path, "clone", "-q", str(origin), "history")
    work = Work(tmp_path / "history")
    for n in range(30):
        work.write("Makefile", f"VERSION = {n}\n")
        work.commit()
        work.write(TARGET, FILES[TARGET].replace("int r = 6;", f"int r = 6{n};"))
        work.commit(f"change {n}")
        if n == 11:
            run(work.path, "tag", "-a", "-m", "v", "v11")
    run(work.path, "tag", "a-tree", "HEAD^{tree}")
    return work
