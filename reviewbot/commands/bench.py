"""`reviewbot bench`: the public benchmark, on the user's own clone of Linux."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from reviewbot.bench.workers import WORKERS

if TYPE_CHECKING:
    from reviewbot.bench.upstream import UpstreamCase, UpstreamFix


@click.command()
@click.option(
    "--linux",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A clone of Linux with its history; nothing is written there.",
)
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Other fixes than those that come with reviewbot: lines of JSON with commit, subject, class.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="Write the results there. While it runs they are in FILE.partial; the same command goes on from there.",
)
@click.option("--only", metavar="REGEX", default="", help="Only the fixes whose subject or class matches.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes (default: the cores, at most 2).")
def bench(linux: Path, index: Path | None, json_file: Path | None, only: str, workers: int) -> int:
    """Take fixes of deadlocks out of a clone of Linux, and score the rules on each: reverted, and as it was applied.

    The index that comes with reviewbot names upstream commits and what they fix. A fix that is taken back should be NACKed,
    the fix itself should not. Exit code 0 when no fix was NACKed, else 1.
    """
    from reviewbot.bench import journal, shown, tables, upstream
    from reviewbot.report.files import check_target

    if json_file:
        check_target(json_file)
    try:
        wanted = re.compile(only)
    except re.error as error:
        raise click.UsageError(f"--only {only} is no regular expression: {error}") from None
    fixes = [f for f in upstream.read(index or upstream.shipped()) if wanted.search(f"{f.subject} {f.cls}")]
    cases, missing, lacks = _found(fixes, linux)
    scoring = journal.Scoring(
        len(cases),
        lambda done: upstream.run([c for c in cases if c.labelled.key not in done], linux, workers or WORKERS),
        lambda: journal.identity([(c.labelled.id, c.base) for c in cases], (), {}),
    )
    results = shown.progress(journal.kept(scoring, json_file, lambda text: click.echo(text, err=True)), len(cases))
    if json_file:
        absent = [{"commit": f.commit or None, "subject": f.subject} for f in missing]
        shown.write(json_file, tables.as_json(results) | {"missing": absent})
        journal.at(json_file).unlink(missing_ok=True)
    shown.show(results, with_funnel=False)
    print(f"{len(fixes)} fixes, of which {linux} has {len(fixes) - len(missing)}")
    if missing and lacks:
        print(f"{linux} {lacks}")
    for fix in missing:
        print(f"  not there: {fix.commit or 'by its subject'} {fix.subject}")
    return int(any(r.verdict == "nack" for r in results if r.label == "fix"))


def _found(fixes: list[UpstreamFix], linux: Path) -> tuple[list[UpstreamCase], list[UpstreamFix], str]:
    """The cases that a clone has of some fixes, the fixes that it lacks, and why it may (empty for no reason that is seen).

    Raises ReviewError where it has none of them.
    """
    from reviewbot.bench import upstream
    from reviewbot.gittree.tree import Tree
    from reviewbot.types import ReviewError

    with Tree.open(linux) as tree:
        cases, missing = upstream.find(fixes, tree)
        lacks = "is a shallow clone: git fetch --unshallow gets the rest of its history" if tree.shallow else ""
    if fixes and not cases:
        more = f"it {lacks}" if lacks else "take a clone of Linux with its whole history"
        raise ReviewError(f"{linux} has none of the {len(fixes)} fixes: {more}")
    return cases, missing, lacks
