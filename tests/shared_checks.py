"""What has to hold on the real patches and trees beside the checkout: the founding patches, and no innocent one NACKed anew.

    python tests/shared_checks.py [EVERY]

EVERY 6 takes every sixth labelled patch, in the order of their names; without it all are taken.
Needs the folder `shared` (REVIEWBOT_SHARED names another one) and the kernel trees 6.12, 6.1 and 7.3. Prints what it checks;
exit code 1 when something does not hold. The recall per class is printed, not required: silence is no fault.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent))

from checking import git, mail, patched
from conftest import kernel_repository, shared_folder

from reviewbot.bench import backtest
from reviewbot.types import Decision, Outcome

WORKERS = 2
WRONG = Path(__file__).parent / "wrong_nacks.toml"
"""NACKs that are known to be wrong, each with what is wrong in it."""


def main() -> int:
    shared = shared_folder()
    if shared is None:
        print("no folder `shared` beside the checkout: nothing is checked (REVIEWBOT_SHARED names one)")
        return 0
    trees = {name: path for name in ("6.12", "6.1", "7.3") if (path := kernel_repository(name, False))}
    faults = [*founding(shared, trees), *corpus(shared, trees), *later(trees)]
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"{len(faults)} faults" if faults else "all holds")
    return int(bool(faults))


def founding(shared: Path, trees: dict[str, Path]) -> Iterator[str]:
    """Each founding patch is NACKed on its tree; the same read backwards, on the tree with it, is seen as a fix."""
    if "6.12" not in trees:
        print("no kernel tree 6.12: the founding patches are not checked")
        return
    for patch in sorted((shared / "seeds/patches").glob("*.eml")):
        text = patch.read_text()
        with tempfile.TemporaryDirectory(prefix="reviewbot-checks-") as folder:
            after = patched(Path(folder) / "tree", trees["6.12"], text)
            (Path(folder) / "back.eml").write_text(mail(git(after, "diff", "HEAD", "HEAD~1"), id=f"back.{patch.stem}"))
            forth, back = one(patch, trees["6.12"]), one(Path(folder) / "back.eml", after)
        print(f"{patch.stem}: {said(forth)}\n    backwards: {said(back)}", flush=True)
        if forth.verdict != Decision.NACK:
            yield f"{patch.stem} is not NACKed: {forth.verdict} {forth.reason}"
        if back.verdict == Decision.NACK:
            yield f"{patch.stem} read backwards is NACKed"
        elif not any(s.outcome == Outcome.FIXED for s in back.spoken):
            yield f"{patch.stem} read backwards is not recognised as a fix: {back.verdict} {back.reason}"


def one(patch: Path, tree: Path) -> backtest.Scored:
    case = backtest.Labelled(id=patch.stem, patch=patch.name, tree="tree", label="")
    with backtest.opener({"tree": tree}) as opened:
        return backtest.score(case, patch.parent, opened)


def said(scored: backtest.Scored) -> str:
    found = "; ".join(f"{s.outcome} {s.at} [{s.rule}]" for s in scored.spoken) or scored.reason or "nothing found"
    return f"{scored.verdict} in {scored.seconds:.1f} s: {found}"


def corpus(shared: Path, trees: dict[str, Path]) -> Iterator[str]:
    """No clean patch and no fix of the labelled ones is NACKed but those of wrong_nacks.toml, and nothing crashes."""
    index = shared / "corpus/index.jsonl"
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    cases = sorted((case for case in backtest.read_index(index) if case.tree in trees), key=lambda case: case.id)[
        ::every
    ]
    start = perf_counter()
    results = [*backtest.run(cases, index.parent, trees, WORKERS)]
    print(f"{len(results)} labelled patches in {perf_counter() - start:.0f} s on {WORKERS} processes")
    for row in backtest.by_class(results):
        kind, _, _ = row.name.partition(":")
        counted = f"{row.found:3} NACKed" if kind == "deadlock" else f"{row.wrong:3} NACKed, {row.fixes} seen as fixes"
        print(f"    {row.name:34} {row.cases:4} cases {counted}")
    deadlocks = [r for r in results if r.label == "deadlock"]
    print(f"    recall {sum(r.verdict == Decision.NACK for r in deadlocks)} of {len(deadlocks)}")
    wrong = tomllib.loads(WRONG.read_text())
    for r in sorted(results, key=lambda r: r.id):
        nacked = r.label in ("clean", "fix") and r.verdict == Decision.NACK
        nacks = "; ".join(f"{s.at} {s.message} [{s.rule}]" for s in r.spoken if s.proven)
        if nacked and r.id in wrong:
            print(f"    known to be wrong: {r.id}: {nacks}\n        {wrong[r.id]}")
        elif nacked:
            yield f"{r.id} ({r.label}) is NACKed: {nacks}"
        elif r.id in wrong:
            yield f"{r.id} is no longer NACKed: take it out of {WRONG.name}"
        if r.verdict == "fault" or any(" failed: " in note for note in r.notes):
            yield f"{r.id} crashed: {r.reason} {' '.join(r.notes)}"


def later(trees: dict[str, Path]) -> Iterator[str]:
    """No rule crashes on files of a later tree, which call inline functions of headers."""
    if not {"6.12", "7.3"} <= trees.keys():
        print("no kernel trees 6.12 and 7.3: no files of a later tree are checked")
        return
    for path in ("drivers/block/zram/zram_drv.c", "fs/ext4/super.c"):
        examined = backtest.flooded(path, trees["6.12"], trees["7.3"])
        print(f"{path} of 7.3 on 6.12: {examined.decision}")
        yield from (f"{path}: {fault}" for fault in (*examined.faults, *examined.failed))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.SubprocessError as error:
        sys.exit(f"FAULT: {error}")
