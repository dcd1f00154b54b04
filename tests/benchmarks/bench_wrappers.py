"""Wrapper patches over real files: what is called goes out of sight, and nothing may be said of that.

    python tests/benchmarks/bench_wrappers.py REPOSITORY [FOLDER ...]

In every file of the folders (default: drivers/md, fs/ext4, drivers/nvme/host) calls on locks, work, completions, memory
and the like are renamed to functions that nobody defines: one patch a file and way, one for the whole folder, and each
the other way round, from such functions to the kernel's. Printed is whatever is said of one: a NACK, something
undecided, something fixed. Exit code 1 when there is any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping

from reviewbot.gittree.tree import Tree
from reviewbot.review import Examined, examine
from reviewbot.types import Change, FileChange, Hunk, Line, Outcome

FOLDERS = ("drivers/md", "fs/ext4", "drivers/nvme/host")
SPOKEN = (Outcome.CONFIRMED, Outcome.FIXED, Outcome.INCONCLUSIVE)
_LOCKS = r"\b((?:mutex|spin|read|write|down|up)_(?:lock|unlock|trylock|read|write)\w*|down|up)\("
_OTHERS = (
    r"\b(wake_up\w*|complete|complete_all|queue_work|queue_delayed_work|schedule_work|flush_work|flush_workqueue|"
    r"cancel_work_sync|wait_for_completion|memalloc_\w+|kmalloc|kzalloc|mempool_alloc|mempool_free|bio_alloc_bioset|"
    r"alloc_workqueue|submit_bio_noacct|bio_endio|blk_mq_freeze_queue|blk_mq_unfreeze_queue)\("
)
WAYS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "lock": ((_LOCKS, r"my_\1("),),
    "owner": ((r"\bmutex_(lock|unlock)\(&(\w+)->(\w+)\)", r"\3_\1(\2)"),),
    "down": ((r"\bmutex_lock\((?=&)", "down_mutex("), (r"\bmutex_unlock\((?=&)", "up_mutex(")),
    "other": ((_OTHERS, r"drv_\1("),),
}
"""Name -> what is looked for, with what stands in its place."""


def wrapped(way: str, text: str) -> str:
    """A file with the calls of a way put out of sight, but for where they are defined."""
    lines = []
    for line in text.splitlines(keepends=True):
        if line[:1] in "#/ *\t" and line.strip()[:1] not in "#*":
            for pattern, new in WAYS[way]:
                line = re.sub(pattern, new, line)
        lines.append(line)
    return "".join(lines)


def turned(change: Change) -> Change:
    """The change that takes back what this one does."""

    def line(x: Line) -> Line:
        return Line({"+": "-", "-": "+"}.get(x.sign, x.sign), x.text, x.after, x.before)

    def file(x: FileChange) -> FileChange:
        hunks = tuple(Hunk(tuple(map(line, hunk.lines)), hunk.section) for hunk in x.hunks)
        return FileChange(x.old_path or x.path, x.path if x.old_path else "", x.after, x.before, hunks, x.binary)

    files = tuple(map(file, change.files))
    return Change(change.base, change.how, files, (files,))


def said(result: Examined) -> list[str]:
    """What is said of a change, a line each; rules that crashed, too."""
    spoken = [v for v in result.verdicts if v.outcome in SPOKEN]
    return [f"{v.outcome} {v.finding.rule} {v.finding.at}: {v.finding.message}" for v in spoken] + [
        f"failed: {name}" for name in result.failed
    ]


def both_ways(tree: Tree, files: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """What is said of a patch that makes these files of what the tree has, and of the one that takes it back."""
    change = tree.replace({path: text.encode("utf-8", "surrogateescape") for path, text in files.items()})
    before, after = tree.sources(change)
    yield "there", said(examine(change, before, after))
    yield "back", said(examine(turned(change), after, before))


def texts(tree: Tree, folder: str) -> dict[str, str]:
    """The C files of a folder, without those of folders below it."""
    source = tree.at("HEAD")
    paths = [p for p in source.ls(folder) if p.endswith(".c") and "/" not in p[len(folder) + 1 :]]
    return {p: b.decode("utf-8", "surrogateescape") for p, b in source.read_many(paths).items()}


def main() -> int:
    """See the head of the file."""
    patches = bad = 0
    with Tree.open(sys.argv[1]) as tree:
        for folder in sys.argv[2:] or FOLDERS:
            files = texts(tree, folder)
            for way in WAYS:
                new = {path: text for path, old in files.items() if (text := wrapped(way, old)) != old}
                for name, some in [*((path, {path: text}) for path, text in new.items()), (folder, new)]:
                    for turn, lines in both_ways(tree, some) if some else ():
                        patches, bad = patches + 1, bad + len(lines)
                        for line in lines:
                            print(f"{way} {turn} {name}: {line}", flush=True)
    print(f"{patches} patches, {bad} lines")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
