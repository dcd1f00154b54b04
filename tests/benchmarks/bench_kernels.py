"""Whether facts are found in one kernel as in another: `python tests/benchmarks/bench_kernels.py OLD NEW [FOLDER...]`.

Counts allocations, locks, waits and what is queued, in the folders of two trees (drivers/md, block and fs without any
named), and divides those of NEW by those of OLD. A ratio far from that of the functions says that the data does not know
how the newer kernel does it.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from reviewbot.analysis.events.kinds import Allocation, Lock, Queue, Take, Wait, Workqueue
from reviewbot.analysis.program import programs
from reviewbot.gittree.source import FolderSource

FOLDERS = ("drivers/md", "block", "fs")
KINDS = {
    "allocations": (Allocation, Take),
    "locks": (Lock,),
    "waits": (Wait,),
    "queues": (Queue, Workqueue),
}


def count(tree: Path, folder: str) -> Counter[str]:
    """Facts of each kind in the C files of a folder and its subfolders, and how many functions these have."""
    source, found = FolderSource(tree), Counter[str]()
    paths = sorted(str(path.relative_to(tree)) for path in (tree / folder).rglob("*.c"))
    while paths:
        program = programs.around(source, paths[:1])
        here = [path for path in paths if path in program.names.units]
        for key in (key for path in here for key in program.functions(path)):
            found["functions"] += 1
            for fact in program.own_facts(key):
                found.update(name for name, kinds in KINDS.items() if isinstance(fact, kinds))
        paths = [path for path in paths[1:] if path not in here]
        programs.forget()
    return found


def main() -> None:
    """Print a line for each folder and kind: OLD, NEW and the ratio."""
    print(f"{'folder':12} {'kind':12} {'old':>7} {'new':>7}  ratio")
    for folder in sys.argv[3:] or FOLDERS:
        old, new = (count(Path(tree), folder) for tree in sys.argv[1:3])
        for kind in ("functions", *KINDS):
            ratio = f"{new[kind] / old[kind]:.2f}" if old[kind] else "-"
            print(f"{folder:12} {kind:12} {old[kind]:7} {new[kind]:7}  {ratio:>5}", flush=True)


if __name__ == "__main__":
    main()
