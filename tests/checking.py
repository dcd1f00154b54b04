"""Cases of the corpus as git repositories and mails, kernel trees with a patch in them, and the command line to run."""

from __future__ import annotations

import difflib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from reviewbot.bench import case as cases
from reviewbot.bench.case import Case
from reviewbot.process.bounded import Bounds
from reviewbot.watch import reviewer

ROOT = Path(__file__).parent.parent
HEAD = """\
From: {author}
To: dm-devel@lists.example.org
Date: Tue, 3 Nov 2026 10:12:00 +0000
Message-ID: <{id}@example.org>
Subject: {subject}

{text}

Signed-off-by: A Developer <developer@example.org>
---
"""
FILE = "drivers/md/dm-mill.c"
CODE = "".join(f"static int mill_{n}(void)\n{{\n\treturn {n};\n}}\n\n" for n in range(1, 9))
"""A file in which no rule finds anything."""


def git(folder: Path, *args: str, data: str = "") -> str:
    """Output of git, with a configuration of our own."""
    own = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = kept | own | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-C", str(folder), *args], input=data.encode(), capture_output=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(errors="replace")


def repository(folder: Path, files: Mapping[str, str]) -> Path:
    """A git repository of one commit with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    return folder


def case(name: str) -> Case:
    """A case of our corpus."""
    path = ROOT / "corpus" / f"{name}.case"
    return cases.parse(path.read_text(), name)


def case_repository(folder: Path, of: Case) -> Path:
    """The tree of a case."""
    return repository(folder, dict(of.files))


def mail(diff: str, **header: str) -> str:
    """A patch mail around a diff; `author`, `id`, `subject` and `text` may be given."""
    words = {
        "author": "A Developer <developer@example.org>",
        "id": "one",
        "subject": "[PATCH] dm mill: turn",
        "text": "It turns.",
    }
    return HEAD.format(**(words | header)) + diff


def diff(old: str, new: str, path: str = FILE) -> str:
    """A diff as git writes it, without blob ids."""
    rows = difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}")
    return f"diff --git a/{path} b/{path}\n" + "".join(rows)


def innocent(number: int = 3) -> str:
    """A diff that applies to FILE and does nothing."""
    return diff(CODE, CODE.replace(f"return {number};", f"return {number} + 0;"))


def patched(folder: Path, tree: Path, patch: str) -> Path:
    """A repository that borrows the objects of `tree` and whose HEAD has the patch in it; nothing is checked out."""
    git(folder.parent, "clone", "-q", "--shared", "--no-checkout", str(tree), str(folder))
    git(folder, "read-tree", "HEAD")
    git(folder, "apply", "--cached", "-", data=patch)
    git(folder, "commit", "-q", "-m", "patched")
    return folder


def listing(*folders: Path) -> dict[str, str]:
    """Every file below some folders with what is in it, to compare later."""
    return {
        str(path): os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fails when what is done inside takes more processor time than that; the machine may be busy with other things."""
    before = time.process_time()
    yield
    assert time.process_time() - before < seconds


class Here:
    """Stands for `bounded.Child`: does its job in this process, which has imported everything already."""

    def __init__(self, module: str, *arguments: str, shown: bool = False) -> None:
        """Starts nothing."""

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, question: bytes, bounds: Bounds) -> bytes:
        """The answer."""
        return msgspec.json.encode(reviewer.do(msgspec.json.decode(question, type=reviewer.Job)))

    def close(self) -> None:
        """Nothing."""


def process(
    *args: str | Path, cwd: Path, stdin: bytes = b"", timeout: float = 600
) -> subprocess.CompletedProcess[bytes]:
    """The command line as a process of its own, from this checkout."""
    return subprocess.run(
        [sys.executable, "-c", "from reviewbot.cli import main; main()", *map(str, args)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=timeout,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
