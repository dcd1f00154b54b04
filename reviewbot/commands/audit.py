"""`reviewbot audit`: what a tree already has that can get stuck, without a patch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.audit.file import AuditedFile
    from reviewbot.audit.findings import AuditFinding


FAULT = 5


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--tree", type=click.Path(path_type=Path), help="Git repository of the kernel (default: the current folder's)."
)
@click.option("--base", metavar="REV", default="HEAD", show_default=True, help="The commit to look at.")
@click.option("--rule", "only", metavar="ID", multiple=True, help="Ask only this rule (may be repeated).")
@click.option(
    "--comments",
    type=click.Choice(["all", "likely", "none"]),
    default="none",
    show_default=True,
    help="Of what could not be settled show all, what is likely, or nothing.",
)
@click.option("--most", type=click.IntRange(1), metavar="N", help="Show only the first so many, the surest first.")
@click.option("--terse", is_flag=True, help="A line for each finding, `file:line: deadlock: text [rule]`.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
@click.option("--workers", type=click.IntRange(1), help="Processes (default: as many as there are cores).")
def audit(
    paths: Sequence[str],
    tree: Path | None,
    base: str,
    only: Sequence[str],
    comments: str,
    most: int | None,
    terse: bool,
    as_json: bool,
    workers: int | None,
) -> int:
    """Say what the code in PATH, files and folders of the tree, can already get stuck in.

    Each file is asked what a review would ask if a patch brought it: who waits for whom, who sleeps where nobody may. What
    gets stuck in the simulator is a deadlock, told with its schedule; the rest is shown with --comments. Exit codes: 0
    nothing found, 1 deadlocks, 2 wrong use, 5 where a file could not be audited.
    """
    from reviewbot.audit import findings, run, shown
    from reviewbot.audit.file import auditing
    from reviewbot.audit.progress import progress
    from reviewbot.gittree.tree import Tree
    from reviewbot.score import COMMENT_ABOVE
    from reviewbot.types import Outcome

    if terse and as_json:
        raise click.UsageError("--terse and --json both want stdout: choose one of them")
    if unknown := sorted(set(only) - set(auditing())):
        raise click.UsageError(f"no rule {unknown[0]} that can audit: {', '.join(auditing())}")
    place = (tree or Path()).resolve()
    with Tree.open(place) as opened:
        commit = opened.resolve(base)
        files = run.c_files(opened.at(commit), [run.inside(name, place) for name in paths])
    above = {"all": 0.0, "likely": COMMENT_ABOVE, "none": 1.0}[comments]
    jobs = workers or os.cpu_count() or 1
    folders = len(run.folders(files))
    list(progress(run.indexed(files, place, commit, jobs), "reading folders", folders))
    done = sorted(progress(run.audit(files, place, commit, tuple(only), above, jobs), "files", len(files)), key=_path)
    found = findings.findings(done, commit)[:most]
    _keep(found, place, commit)
    if as_json:
        _print_json(found, done, commit)
    else:
        for line in shown.terse(found) if terse else (*shown.text(found), *shown.summary(found, done)):
            click.echo(line)
    if any(file.fault for file in done):
        return FAULT
    return int(any(one.verdict.outcome is Outcome.CONFIRMED for one in found))


def _path(file: AuditedFile) -> str:
    return file.path


def _keep(found: Sequence[AuditFinding], tree: Path, commit: str) -> None:
    """Keep what has a schedule for `reviewbot explain`."""
    from reviewbot.report.explain import StoredRun
    from reviewbot.review import keep

    keep([StoredRun(one.id, one.verdict, str(tree), commit) for one in found if one.verdict.trace is not None])


def _print_json(found: Sequence[AuditFinding], files: Sequence[AuditedFile], commit: str) -> None:
    import msgspec

    from reviewbot.audit import shown

    sys.stdout.write(msgspec.json.encode(shown.as_json(found, files, commit)).decode() + "\n")
