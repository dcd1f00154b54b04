"""Figures of the facts on a real tree: `python tests/benchmarks/bench_facts.py TREE [PATCHED_FILE OLD NEW]`.

Prints lock balance over drivers/md with the functions that do not balance, times cold and warm, and memory.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter, process_time

import platformdirs

from reviewbot.facts import worlds
from reviewbot.facts.records import Record, throttles
from reviewbot.facts.world import World
from reviewbot.source import FolderSource

SCOPES = {
    "drivers/md": ["drivers/md/dm.c", "drivers/md/bcache/super.c", "drivers/md/dm-vdo/vdo.c"],
    "all": [
        "block/bio.c",
        "drivers/block/loop.c",
        "fs/ext4/inode.c",
        "fs/xfs/xfs_buf.c",
        "fs/btrfs/inode.c",
        "mm/vmscan.c",
    ],
}


def balanced(record: Record) -> bool:
    """Whether every return class leaves locks as all its paths agree."""
    return not record.cut and all(x.agreed or any(throttles(t) for t in (*x.takes, *x.drops)) for x in record.left)


def balance(found: Iterable[World]) -> None:
    """Print the share of functions that touch locks and balance, and the others by name."""
    touch, bad = 0, []
    for world in found:
        for key in world.functions():
            stub = world.names.functions[key]
            if stub.macro or stub.unreadable or not key.startswith("drivers/md") or world.locking.plan(key).plain:
                continue
            touch += 1
            if not balanced(world.locking.record(key)):
                bad.append(key)
    print(f"lock balance over drivers/md: {1 - len(bad) / touch:.2%} of {touch} functions")
    for key in bad:
        print(f"  not: {key}")


def timed(source: FolderSource, paths: list[str]) -> tuple[str, list[World]]:
    """Seconds for the worlds around some files, with all their facts and effects; and of this process's own time."""
    start, used = perf_counter(), process_time()
    found = []
    for path in paths:
        world = World.of(source, [path])
        world.facts()
        world.effects.all()
        found.append(world)
    return f"{perf_counter() - start:.1f} s ({process_time() - used:.1f} s of the processor)", found


def main() -> None:
    tree = FolderSource(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        platformdirs.user_cache_dir = lambda *_: folder  # type: ignore[assignment]
        for name, paths in SCOPES.items():
            present = [p for p in paths if tree.blob(p)]
            cold, found = timed(FolderSource(sys.argv[1]), present)
            worlds.forget()
            warm, found = timed(FolderSource(sys.argv[1]), present)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{name}: cold {cold}, warm {warm}, peak {peak} MB")
            if name == "drivers/md":
                balance(found)
            worlds.forget()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent.parent))
    main()
