"""The benchmarks beside other checkers: what is missing is said, and costs nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import bench_check
import checkers
import checking
import pytest
import tools

CHANGED = checking.CODE.replace("return 3;", "return 4;")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with one file, and nothing that makes headers."""
    files = {checking.FILE: checking.CODE, "scripts/checkpatch.pl": "exit 0;\n", "include/linux/kconfig.h": ""}
    return checking.repository(tmp_path_factory.mktemp("tree") / "tree", files)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs: beside those in it there is no checker."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "sh", "tar", "perl"):
        (folder / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, body: str) -> None:
    """One that gets the file as its last argument."""
    (folder / name).write_text(f"#!/bin/sh\nfor file; do :; done\n{body}\n")
    (folder / name).chmod(0o755)


def test_a_way_that_is_missing_is_named_and_the_others_are_measured(
    tree: Path, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for way in ("check", "check_id", "b4_am"):
        monkeypatch.setattr(bench_check.Bench, way, lambda *_, **__: bench_check.Cost(1.0, 1.0, 1.0))
    program(programs, "spatch", "exit 0")
    diff = checking.diff(checking.CODE, CHANGED)
    mails = [tmp_path / "whole.eml", tmp_path / "nobody.eml"]
    mails[0].write_text(
        checking.mail(diff, author="A <a@dev.example>", subject="[PATCH] mill: four", id="1", text="Four.")
    )
    mails[1].write_text(f"From: <>\nSubject: [PATCH] mill: four\n\n---\n{diff}")
    bench = bench_check.Bench(tree, tmp_path)
    costs, why = bench_check.measured(bench, mails, rounds=1, cold=1)
    taken = {way: len(each) for way, each in costs.items()}
    assert taken["git am"] == taken[bench_check.COLD] == 1
    assert taken["checkpatch.pl"] == taken["coccinelle, locks"] == taken[bench_check.CHECK] == 2
    assert why.keys() == {"sparse", "smatch", "git am"}
    assert "not installed (Debian: sparse)" in why["sparse"]


def test_what_a_checker_could_not_read_is_no_silence(tree: Path, tmp_path: Path, programs: Path) -> None:
    for side, text in (("before", checking.CODE), ("after", CHANGED)):
        (tmp_path / side).mkdir()
        (tmp_path / side / "a.c").write_text(text)
    kernel = checkers.Kernel(tree, tmp_path / "made")
    sides = tools.Sides(tmp_path / "a.patch", tmp_path / "before", tmp_path / "after", ("a.c",), kernel)
    says = next(tool.says for tool in tools.TOOLS if tool.name == "sparse")
    everywhere = 'echo "$file:9:1: warning: nine"'
    program(programs, "sparse", f'{everywhere}\ncase $file in */after/*) echo "$file:7:1: warning: four";; esac')
    assert says(sides) == tools.Report({": warning: four"})
    program(programs, "sparse", 'echo "x.h:1:9: error: unable to open y.h"')
    assert says(sides) == tools.Report(set(), read=False)


def test_a_tree_without_the_headers_of_a_build_says_what_it_lacks(tree: Path, tmp_path: Path, programs: Path) -> None:
    assert "without make, gcc" in checkers.Kernel.of(tree, tmp_path / "one").lacks
    for name in ("gcc", "flex", "bison"):
        program(programs, name, "exit 0")
    program(programs, "make", "echo no rule >&2; exit 2")
    kernel = checkers.Kernel.of(tree, tmp_path / "other")
    assert kernel.lacks.endswith("no rule")
    assert (kernel.source / "scripts/checkpatch.pl").exists()
    assert not (kernel.source / checking.FILE).exists()
