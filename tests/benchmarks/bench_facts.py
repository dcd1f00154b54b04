"""Figures of the facts on a real tree: `python tests/benchmarks/bench_facts.py REPOSITORY [MAIL]`.

For drivers/md, and for md + block + drivers/block + fs/{ext4,xfs,btrfs} + mm: seconds and memory of a process that finds
all facts and effects, cold (an empty cache) and warm; the balance of locks over drivers/md, with the functions that do
not balance. With the mail of a patch: the same for its files before and after it.
"""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

from reviewbot.analysis.locks.lockset_summary import LockSummary, throttles
from reviewbot.analysis.program import programs
from reviewbot.gittree.source import FolderSource
from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch

MD = ("drivers/md/dm.c", "drivers/md/bcache/super.c", "drivers/md/dm-vdo/vdo.c")
SEVEN = (
    *MD,
    "block/bio.c",
    "drivers/block/loop.c",
    "fs/ext4/inode.c",
    "fs/xfs/xfs_buf.c",
    "fs/btrfs/inode.c",
    "mm/vmscan.c",
)
SCOPES = {"drivers/md": MD, "seven folders": SEVEN}


def balanced(record: LockSummary) -> bool:
    """Whether every return class leaves locks as all its paths agree."""
    return not record.cut and all(x.agreed or any(throttles(t) for t in (*x.takes, *x.drops)) for x in record.left)


def balance(tree: str) -> None:
    """Print the share of functions of drivers/md that touch locks and balance, and the others by name."""
    touch, bad = 0, []
    source = FolderSource(tree)
    for path in MD:
        program = programs.around(source, [path])
        for key in program.functions():
            stub = program.names.functions[key]
            if stub.macro or stub.unreadable or not key.startswith("drivers/md") or program.locksets.plan(key).plain:
                continue
            touch += 1
            if not balanced(program.locksets.record(key)):
                bad.append(key)
    print(f"lock balance over drivers/md: {1 - len(bad) / touch:.2%} of {touch} functions")
    for key in bad:
        print(f"  not: {key}")


def every(tree: str, scope: str) -> None:
    """Find the programs of a scope with all their facts and effects, one after the other as a review does."""
    source = FolderSource(tree)
    for path in SCOPES[scope]:
        if source.blob(path):
            program = programs.around(source, [path])
            program.facts()
            program.effects.all()


def patch(tree: str, mail: str) -> None:
    """Find the facts of the files of a patch on both sides."""
    series = fetch.parse(Path(mail).read_bytes(), mail)
    with Tree.open(Path(tree)) as repository:
        change = repository.apply(series, None, "HEAD")
        paths = [p for f in change.files for p in (f.old_path, f.path) if p]
        start, used = perf_counter(), process_time()
        before, after = (programs.around(source, paths) for source in repository.sources(change))
        changed = len(after.facts(paths) - before.facts(paths)), len(before.facts(paths) - after.facts(paths))
        report(start, used, f"{changed[0]} facts more, {changed[1]} less; ")


def report(start: float, used: float, text: str = "") -> None:
    """Print what this process took."""
    peaks = [resource.getrusage(who).ru_maxrss >> 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    took = f"{perf_counter() - start:.2f} s ({process_time() - used:.2f} s of the processor)"
    print(f"{text}{took}, peak {peaks[0]} MB, of a child {peaks[1]} MB")


def alone(what: str, *arguments: str, cache: str) -> str:
    """What a process of its own reports."""
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, __file__, f"--{what}", *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main() -> None:
    if sys.argv[1] in ("--every", "--patch"):
        gc.set_threshold(1_000_000, 20, 100)  # as the command line has it
        start, used = perf_counter(), process_time()
        if sys.argv[1] == "--patch":
            patch(*sys.argv[2:])
        else:
            every(*sys.argv[2:])
            report(start, used)
        return
    tree, *mails = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for scope in SCOPES:
            cache = str(Path(folder, scope))
            for state in ("cold", "warm"):
                print(f"{scope}, {state}: {alone('every', tree, scope, cache=cache)}", flush=True)
        for mail in mails:
            cache = str(Path(folder, "patch"))
            for state in ("cold", "warm", "warm"):
                print(f"{Path(mail).name}, {state}: {alone('patch', tree, mail, cache=cache)}", flush=True)
    balance(tree)


if __name__ == "__main__":
    main()
