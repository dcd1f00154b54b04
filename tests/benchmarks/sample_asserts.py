"""Compares what the program says is held, and may sleep, with what the kernel asserts of itself.

`python tests/benchmarks/sample_asserts.py TREE SEED [--count 200] [--folders fs/xfs,drivers/md,...]` draws places with
`lockdep_assert_held()` and with `might_sleep()` from a kernel tree. The first has to have its lock on every way into the
function, the second has to be entered without a spinlock, with interrupts on, by no interrupt. A way whose outermost caller
nobody is seen to call says nothing. Prints each disagreement as `file:line`, and the totals.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from reviewbot.analysis.code.identity import known
from reviewbot.analysis.events.kinds import Held
from reviewbot.analysis.locks.flow import walk
from reviewbot.analysis.locks.lockset_summary import NOTHING, At, at_call
from reviewbot.analysis.locks.plan import PreparedCfg
from reviewbot.analysis.program import programs
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.entry_lockset import EntryLockset
from reviewbot.csource.ir import Call
from reviewbot.gittree.source import FolderSource
from reviewbot.kernel import KERNEL

HELD = frozenset({"lockdep_assert_held", "lockdep_assert_held_write", "lockdep_assert_held_read"})
SLEEPS = frozenset({"might_sleep"})
FOLDERS = (
    "block drivers/md drivers/block drivers/nvme/host drivers/nvme/target drivers/scsi drivers/target fs fs/btrfs "
    "fs/ceph fs/ext4 fs/f2fs fs/gfs2 fs/jbd2 fs/nfs fs/ocfs2 fs/smb/client fs/xfs io_uring kernel kernel/cgroup "
    "kernel/locking kernel/sched lib mm"
)
INTERRUPTS = frozenset({"hardirq", "softirq"})


class Place(NamedTuple):
    """An assertion: the file with its folder, the function and the call."""

    path: str
    key: str
    call: Call


def main() -> None:
    parser = argparse.ArgumentParser(description="what is held and may sleep, against the kernel's own assertions")
    parser.add_argument("tree")
    parser.add_argument("seed", type=int)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--folders", default=FOLDERS.replace(" ", ","))
    options = parser.parse_args()
    source = FolderSource(options.tree)
    draw = random.Random(options.seed)
    for title, names, judge in (("held", HELD, _held), ("may sleep", SLEEPS, _sleeps)):
        files = _files(source, options.folders.split(","), names)
        chosen = _chosen(files, options.count, draw)
        verdicts: Counter[str] = Counter()
        for folder in sorted({path.rpartition("/")[0] for path in chosen}):
            here = {path: n for path, n in chosen.items() if path.rpartition("/")[0] == folder}
            program = programs.find(source, (sorted(here)[0],))
            for path, count in here.items():
                places = list(_places(program, path, names))
                for place in draw.sample(places, min(count, len(places))):
                    verdict, why = judge(program, place)
                    verdicts[verdict] += 1
                    if verdict == "disagrees":
                        print(f"{title}: {path}:{place.call.line} {place.key.rpartition(':')[2]}(): {why}", flush=True)
            programs.forget()
        print(
            f"{title}: {sum(verdicts.values())} places, " + ", ".join(f"{n} {v}" for v, n in sorted(verdicts.items()))
        )


def _files(source: FolderSource, folders: list[str], names: frozenset[str]) -> dict[str, int]:
    """Files with assertions -> how many."""
    pattern = re.compile(rf"^\s.*?\b(?:{'|'.join(sorted(names))})\(".encode(), re.MULTILINE)
    found = {}
    for folder in folders:
        paths = [p for p in source.ls(folder) if p.endswith(".c") and p.rpartition("/")[0] == folder]
        for path, text in source.read_many(paths).items():
            if count := len(pattern.findall(text)):
                found[path] = count
    return found


def _chosen(files: dict[str, int], count: int, draw: random.Random) -> dict[str, int]:
    """How many places of which file are looked at."""
    every = [path for path, n in sorted(files.items()) for _ in range(n)]
    return dict(Counter(draw.sample(every, min(count, len(every)))))


def _places(program: Program, path: str, names: frozenset[str]) -> Iterator[Place]:
    for key in program.functions(path):
        function = program.function(key)
        if not function.unreadable and not function.macro:
            for call in program.body(key).calls:
                if call.callee in names:
                    yield Place(path, key, call)


def _at(program: Program, place: Place) -> At:
    """What is held at the assertion itself."""
    body, locksets = program.body(place.key), program.locksets
    plan = PreparedCfg(body, lambda call: locksets.outcome(body, call), lambda call: call is place.call)
    if plan.plain:
        return NOTHING
    coarse = walk(plan, {}, correlate=False)
    fine = walk(plan, {}, correlate=True)
    paths = coarse if fine.cut else fine
    index = body.calls.index(place.call)
    return at_call(paths.at.get(index, {()}), coarse.at.get(index, {()}))


def _open(program: Program, way: EntryLockset) -> bool:
    """Whether the callers of a way's outermost function are not all at hand."""
    head = way.chain[0]
    roots = program.callgraph.roots.get(head, ())
    if roots:
        return all(r.slot in KERNEL.slots and not KERNEL.slots[r.slot].holds for r in roots)
    return True


def _held(program: Program, place: Place) -> tuple[str, str]:
    body = program.body(place.key)
    lock = body.identity(place.call.args[0]) if place.call.args else "?"
    lock = program.locksets.alternatives.get(lock, lock)
    if not known(lock):
        return "unknown", "not a lock that has a name"
    at = _at(program, place)
    if any(h.lock == lock for h in at.held):
        return "agrees", ""
    unheld = []
    opened = False
    ways = program.entry(place.key)
    for way in ways:
        if lock in way.locks() and lock not in at.dropped:
            continue
        if _open(program, way) and lock not in at.dropped:
            opened = True
        else:
            unheld.append(way)
    if unheld:
        return "disagrees", f"{lock} is not held by way of {_chain(unheld[0])}"
    return ("unknown", "") if opened else ("agrees", "")


def _sleeps(program: Program, place: Place) -> tuple[str, str]:
    at = _at(program, place)
    for way in program.entry(place.key):
        held = [h for h in (*at.held, *way.held) if _atomic(h) and h.lock not in at.dropped]
        if held:
            return "disagrees", f"{held[0].lock} is held by way of {_chain(way)}"
    for entered in program.entered(place.key):
        if entered.context in INTERRUPTS:
            return "disagrees", f"runs in {entered.context} by way of {' -> '.join(map(_name, entered.chain))}"
    return "agrees", ""


def _atomic(held: Held) -> bool:
    return KERNEL.atomic(held.klass)


def _chain(way: EntryLockset) -> str:
    return " -> ".join(map(_name, way.chain))


def _name(key: str) -> str:
    return key.rpartition(":")[2]


if __name__ == "__main__":
    main()
