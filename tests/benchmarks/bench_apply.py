"""How long applying takes on a whole kernel tree, against git am without a full work tree and against a full index.

    python tests/benchmarks/bench_apply.py REPOSITORY [ROUNDS]

All ways take turns in each round, warm; printed are medians and the ratio to Tree, which is timed from `Tree.open` to
the change (in this process, with all the git processes that it starts).
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from reviewbot.gittree.tree import Tree
from reviewbot.types import Address, Mail, Patch, Series

FILE = "drivers/md/dm.c"
HEAD = "From: Ann <ann@dev.example>\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nSubject: [PATCH] bench\n\nbench\n---\n"


def git(*args: str, data: bytes = b"", env: dict[str, str] | None = None) -> bytes:
    own = {"GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@dev.example", "GIT_CONFIG_GLOBAL": "/dev/null"}
    whole = os.environ | own | (env or {})
    return subprocess.run(["git", *args], input=data, capture_output=True, check=True, env=whole).stdout


def patches(repository: str, count: int) -> list[bytes]:
    """Patches that add a line each, to one file of the tree."""
    text = git("-C", repository, "show", f"HEAD:{FILE}").decode().splitlines(keepends=True)
    made = []
    for n in range(count):
        new = text.copy()
        new.insert(100 + 20 * n, f"/* bench {n} */\n")
        made.append(("".join(difflib.unified_diff(text, new, f"a/{FILE}", f"b/{FILE}"))).encode())
        text = new
    return made


def tree(repository: str, diffs: list[bytes]) -> None:
    mail = Mail("bench@dev.example", "bench", Address("Ann", "ann@dev.example"), "")
    with Tree.open(repository) as opened:
        opened.apply(Series(tuple(Patch(mail, diff, n) for n, diff in enumerate(diffs, 1))))


def sparse_am(clone: str, diffs: list[bytes]) -> None:
    """git am in a kept clone whose work tree is empty but for the file."""
    mbox = b"".join(b"From 0 Mon Sep 17 00:00:00 2001\n" + HEAD.encode() + diff + b"-- \n2\n\n" for diff in diffs)
    git("-C", clone, "reset", "-q", "--hard", "start")
    git("-C", clone, "am", "-q", data=mbox)


def full_index(repository: str, diffs: list[bytes], folder: str) -> None:
    """A temporary index of the whole tree, and a scratch repository for what is written."""
    (Path(folder) / "objects").mkdir(exist_ok=True)
    env = {
        "GIT_INDEX_FILE": f"{folder}/index",
        "GIT_OBJECT_DIRECTORY": f"{folder}/objects",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{repository}/.git/objects",
    }
    git("-C", repository, "read-tree", "HEAD", env=env)
    for diff in diffs:
        git("-C", repository, "apply", "--cached", "-", data=diff, env=env)
        git("-C", repository, "write-tree", env=env)


def main() -> None:
    repository = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory(prefix="reviewbot-bench-") as folder:
        clone = f"{folder}/clone"
        git("clone", "-q", "--shared", "--no-checkout", repository, clone)
        git("-C", clone, "sparse-checkout", "set", "--no-cone", f"/{FILE}")
        git("-C", clone, "checkout", "-q")
        git("-C", clone, "tag", "start")
        for count in (1, 10):
            diffs = patches(repository, count)
            ways: dict[str, Callable[[], None]] = {
                "Tree": partial(tree, repository, diffs),
                "sparse work tree, git am": partial(sparse_am, clone, diffs),
                "full index, git apply": partial(full_index, repository, diffs, folder),
            }
            times: dict[str, list[float]] = {name: [] for name in ways}
            for turn in range(rounds + 1):
                for name, way in ways.items():
                    start = perf_counter()
                    way()
                    if turn:  # the first one warms up
                        times[name].append(perf_counter() - start)
            own = median(times["Tree"])
            for name, seconds in times.items():
                print(f"{count:2} patches  {name:26} {median(seconds):7.3f} s  x {median(seconds) / own:5.1f}")


if __name__ == "__main__":
    main()
