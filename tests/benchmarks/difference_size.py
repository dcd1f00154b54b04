"""Size of the ordered difference of the patches of the corpus: `python tests/benchmarks/difference_size.py [--every N]`.

Changes of each patch, the median of all, and the share of patches without any. Says so and does nothing where the folder
of the corpus (`../shared`, or $REVIEWBOT_SHARED) or the kernel trees are not there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from reviewbot.difference import Diff
from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.types import ReviewError

SHARED = Path(os.environ.get("REVIEWBOT_SHARED") or Path(__file__).parents[3] / "shared")
TREES = Path.home() / ".cache" / "kernel-trees"
LEAST = 6
"""The median has to be at most this."""


def cases(every: int) -> list[Mapping[str, str]]:
    """Each N-th patch of the corpus, those of one tree and folder one after the other: they share a program."""
    lines = (SHARED / "corpus" / "index.jsonl").read_text().splitlines()
    found = sorted((json.loads(line) for line in lines), key=lambda case: case["id"])[::every]
    return sorted(found, key=lambda case: (case["tree"], (case["files"] or [""])[0].rpartition("/")[0], case["id"]))


def sizes(every: int) -> Iterator[tuple[Mapping[str, str], int]]:
    """Patches with the number of changes of each."""
    for case in cases(every):
        tree = TREES / f"linux-{case['tree']}"
        if not tree.is_dir():
            continue
        corpus = SHARED / "corpus"
        series = fetch.parse((corpus / case["patch"]).read_bytes(), case["id"])
        first = ((corpus / case["base_patch"]).read_bytes(),) if case.get("base_patch") else ()
        try:
            with Tree.open(tree) as repository:
                change = repository.apply(series, None, "HEAD", first=first)
                diff = Diff.of(change, *repository.sources(change), None)
                yield case, len(diff.code.changes)
        except ReviewError as error:
            print(f"{case['id']}: {error}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th patch")
    parser.add_argument("--each", action="store_true", help="one line for each patch")
    options = parser.parse_args()
    if not (SHARED / "corpus" / "index.jsonl").is_file() or not TREES.is_dir():
        print("no corpus or no kernel trees: nothing is measured")
        return
    found = []
    for case, size in sizes(options.every):
        found.append(size)
        if options.each:
            print(f"{size:4} {case['label']:9} {case['id']}", flush=True)
    if not found:
        print("no patch applies: nothing is measured")
        return
    found.sort()
    above = found[len(found) * 9 // 10]
    print(f"{len(found)} patches: median {median(found):g}, 90 % at most {above}, empty {found.count(0)}")
    if median(found) > LEAST:
        sys.exit(f"the median is above {LEAST}")


if __name__ == "__main__":
    main()
