"""The sample git hook and the entry for pre-commit: a deadlock stops a push, and nothing else does."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import checking
import pytest

from reviewbot.commands.check import check

HOOK = checking.ROOT / "deploy/pre-push"
ENTRY = checking.ROOT / ".pre-commit-hooks.yaml"


class Clone:
    """A kernel tree with an upstream, the hook in place and `reviewbot` in its PATH."""

    def __init__(self, folder: Path) -> None:
        case = checking.case("wq-mem-reclaim/lost-flag")
        self.patch = case.patch
        self.tree = checking.case_repository(folder / "tree", case)
        checking.git(folder, "clone", "-q", "--bare", "tree", "upstream.git")
        checking.git(self.tree, "remote", "add", "origin", str(folder / "upstream.git"))
        checking.git(self.tree, "fetch", "-q", "origin")
        shutil.copy(HOOK, self.tree / ".git/hooks/pre-push")
        (folder / "bin").mkdir()
        command = folder / "bin/reviewbot"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from reviewbot.cli import main; main()" "$@"\n')
        command.chmod(0o755)
        path = os.pathsep.join([str(command.parent), os.environ["PATH"]])
        self.environment = os.environ | {"PATH": path, "PYTHONPATH": str(checking.ROOT)}

    def deadlock(self) -> None:
        checking.git(self.tree, "am", "-q", data=self.patch)

    def commit(self, name: str, text: str) -> None:
        (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
        (self.tree / name).write_text(text)
        checking.git(self.tree, "add", "-A")
        checking.git(self.tree, "commit", "-q", "-m", f"{name}: written")

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.tree, env=self.environment | environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.mark.parametrize("branch", ["main", "new"])
def test_a_deadlock_is_not_pushed(clone: Clone, branch: str) -> None:
    clone.commit("drivers/md/dm-mill.c", checking.CODE)
    clone.deadlock()
    done = clone.run("git", "push", "origin", f"HEAD:{branch}")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert re.search(r"^drivers/md/dm-sieve\.c:83: nack: .* \[wq-mem-reclaim\]$", said, re.MULTILINE)
    assert "this push brings a deadlock" in said
    assert clone.run("git", "push", "--no-verify", "origin", f"HEAD:{branch}").returncode == 0


def test_everything_else_is(clone: Clone) -> None:
    clone.commit("notes.txt", "none\n")
    done = clone.run("git", "push", "origin", "HEAD:main")
    assert done.returncode == 0, done.stderr
    assert "out of scope: the series changes no C code (notes.txt)" in done.stderr
    assert clone.run("git", "push", "origin", "HEAD:copy").returncode == 0
    assert clone.run("git", "push", "origin", ":copy").returncode == 0
    assert clone.run("git", "push", "--force", "origin", "HEAD~1:main").returncode == 0


def entry() -> list[str]:
    """The command of the entry, as pre-commit splits it."""
    found = re.search(r"^  entry: (.*)$", ENTRY.read_text(), re.MULTILINE)
    assert found
    return shlex.split(found[1])


def test_the_entry_stops_for_a_deadlock_only(clone: Clone) -> None:
    old = checking.git(clone.tree, "rev-parse", "HEAD").strip()
    clone.commit("notes.txt", "none\n")
    assert clone.run(*entry()).returncode == 0
    clone.deadlock()
    refs = {"PRE_COMMIT_FROM_REF": old, "PRE_COMMIT_TO_REF": "HEAD"}
    done = clone.run(*entry(), **refs)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("drivers/md/dm-sieve.c:83: nack: ")


def test_both_use_options_that_there_are() -> None:
    options = {name for parameter in check.params for name in parameter.opts}
    for text in (HOOK.read_text(), ENTRY.read_text()):
        used = {o for line in re.findall(r"reviewbot check (.*)", text) for o in re.findall(r"--[a-z]+", line)}
        assert used
        assert used <= options
