"""What has to hold on the real patches and trees beside the checkout: the founding patches, and no innocent one NACKed anew.

    python tests/shared_checks.py [--all]

Of the labelled patches those of the gate (`gate.toml`) are scored, with --all every one.
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

import gate
from checking import git, mail, patched
from conftest import kernel_repository, shared_folder

from reviewbot.bench import backtest, shown
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
    """No clean patch and no fix of the labelled ones is NACKed but those of wrong_nacks.toml, few deadlocks of the gate are
    lost, and nothing crashes."""
    index, chosen = shared / "corpus/index.jsonl", gate.read()
    wanted = {*chosen.deadlocks, *chosen.innocent}
    cases = [c for c in backtest.read_index(index) if c.tree in trees and ("--all" in sys.argv or c.id in wanted)]
    start = perf_counter()
    results = [*backtest.run(cases, index.parent, trees, WORKERS)]
    print(f"{len(results)} labelled patches in {perf_counter() - start:.0f} s on {WORKERS} processes")
    known = {id_: what for id_, what in tomllib.loads(WRONG.read_text()).items() if id_ in {c.id for c in cases}}
    shown.show([*results], with_funnel=False)
    yield from gate.faults(chosen, results, known)


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
