"""Draws facts at random to be read by eye: `python tests/benchmarks/sample_facts.py TREE SEED COUNT [FILE...]`."""

from __future__ import annotations

import random
import sys

from reviewbot.analysis.program import programs
from reviewbot.gittree.source import FolderSource

FILES = ("drivers/md/dm.c", "block/bio.c", "drivers/block/loop.c", "fs/xfs/xfs_buf.c")


def main() -> None:
    source, seed, count = FolderSource(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    by_kind: dict[str, list[str]] = {}
    for path in sys.argv[4:] or FILES:
        program = programs.around(source, [path])
        for fact in program.facts([p for p in program.whole if p.endswith(".c")]):
            by_kind.setdefault(type(fact).__name__, []).append(str(fact))
    draw = random.Random(seed)
    for _ in range(count):
        kind = draw.choice(sorted(by_kind))
        print(f"{kind}\t{draw.choice(by_kind[kind])}")


if __name__ == "__main__":
    main()
