"""`reviewbot index`: what reviews need of a tree, made ahead of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import rich_click as click


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option(
    "--tree", type=click.Path(path_type=Path), help="Git repository of the kernel (default: the current folder's)."
)
@click.option("--base", metavar="REV", default="HEAD", show_default=True, help="The commit to index.")
@click.option("--workers", type=click.IntRange(1), help="Processes (default: as many as there are cores).")
def index(paths: Sequence[str], tree: Path | None, base: str, workers: int | None) -> int:
    """Make the programs around PATH, files and folders of the tree, or lead them on to its commit, and keep them.

    Without PATH: block, drivers/{md,block,nvme,scsi,target}, fs, mm, kernel and io_uring. `check` and `audit` make what they
    lack by themselves; this is for having it at hand before the first patch. Exit codes: 0, or 5 where a folder could not be
    indexed.
    """
    from reviewbot.audit import run
    from reviewbot.audit.progress import progress
    from reviewbot.gittree.tree import Tree

    place = (tree or Path()).resolve()
    with Tree.open(place) as opened:
        commit = opened.resolve(base)
        files = run.c_files(opened.at(commit), [run.inside(name, place) for name in paths] or run.CORE)
    total = len(run.folders(files))
    done = list(progress(run.indexed(files, place, commit, workers or os.cpu_count() or 1), "folders", total))
    failed = [one for one in done if one.fault]
    for one in failed:
        print(f"reviewbot: {one.folder or 'the top folder'} could not be indexed: {one.fault}", file=sys.stderr)
    largest = max(done, key=lambda one: one.largest_cycle)
    functions, cut = sum(one.functions for one in done), sum(one.cut for one in done)
    click.echo(
        f"{len(files)} files in {total} folders, {functions} functions; the largest cycle of calls has "
        f"{largest.largest_cycle} of them ({largest.folder}); of {cut} not all effects are known"
    )
    return 5 if failed else 0
