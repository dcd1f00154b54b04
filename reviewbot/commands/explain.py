"""`reviewbot explain`: the schedule of a finding, replayed step by step, with source lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.report.explain import StoredRun, ToldStep
    from reviewbot.types import Source, Trace


@click.command()
@click.argument("name", required=False, metavar="ID")
@click.option("--tree", type=click.Path(path_type=Path), help="Git repository for source lines (default: as reviewed).")
@click.option("--base", metavar="REV", default="", help="Commit for source lines (default: as reviewed).")
@click.option("--no-replay", is_flag=True, help="Show what is stored, without running the model again.")
def explain(name: str | None, tree: Path | None, base: str, no_replay: bool) -> int:
    """Replay the schedule of a finding step by step; without ID list the findings that are kept.

    ID is in the last line of a reply. Exit code 0, or 1 when the model does not lead to that schedule any more.
    """
    from reviewbot.report.explain import load, runs, told
    from reviewbot.report.reply import fill
    from reviewbot.report.schedule import columns, knot
    from reviewbot.review import runs_folder
    from reviewbot.text import clean, clean_lines

    if not name:
        for run in runs(runs_folder()):
            click.echo(f"{run.id}  {run.verdict.outcome}  {clean(run.verdict.finding.message)}")
        return 0
    run = load(runs_folder(), name)
    verdict = run.verdict
    finding = verdict.finding
    click.echo(clean(f"{verdict.outcome}: {finding.at}: {finding.message} [{finding.rule}]") + "\n")
    if verdict.trace is None:
        click.echo(clean(verdict.reason) or "no schedule is kept for it")
        return 0
    last = ""
    for number, item in enumerate(told(verdict.trace.steps, _source(run, tree, base)), 1):
        if item.step.task != last:
            last = item.step.task
            click.secho(clean(last), bold=True)
        click.echo(f"{number:4}. {clean(item.step.step)}")
        if place := _place(item):
            click.secho(f"      {clean(place)}", dim=True)
    if aside := columns(verdict.trace):
        click.echo(f"\n{clean_lines(aside)}")
    click.echo(f"\n{fill(knot(verdict.trace))}")
    return 0 if no_replay else _again(run)


def _place(item: ToldStep) -> str:
    step = item.step
    if not step.file:
        return ""
    where = f"{step.file}:{item.line}" if item.line else step.file
    inside = f" in {step.function}()" if step.function else ""
    return f"{where}{inside}: {item.source}" if item.source else f"{where}{inside}"


def _source(run: StoredRun, tree: Path | None, base: str) -> Source | None:
    """The files to show lines of: the reviewed tree with the series applied, or without it for what the series ends."""
    from reviewbot.gittree.tree import Tree
    from reviewbot.types import Outcome, ReviewError

    if not run.tree and tree is None:
        return None
    try:
        repository, commit = Tree.open(tree or Path(run.tree)), base or run.base or "HEAD"
        if run.series is None or run.verdict.outcome is Outcome.FIXED:
            return repository.at(commit)
        return repository.sources(repository.apply(run.series, commit))[1]
    except ReviewError as error:
        if tree is not None or base:
            raise
        click.secho(f"no source lines: {error}", dim=True, err=True)
        return None


def _told(trace: Trace) -> object:
    """What two schedules have in common when they are the same: lines are those of the tree, not of the model."""
    waits = [(wait.task, wait.waits_for, wait.held_by, wait.told) for wait in trace.knot]
    return [(step.task, step.step) for step in trace.steps], waits


def _again(run: StoredRun) -> int:
    """Run the model once more and say whether the schedule is the same."""
    from reviewbot.models.scene import build
    from reviewbot.sim.check import check
    from reviewbot.text import clean

    if not run.verdict.model:
        click.echo("\nThe model was made from the patched code; only the schedule is kept.")
        return 0
    click.echo(f"\nreviewbot simulate {clean(run.verdict.model)}")
    result = check(build(run.verdict.model))
    stored = run.verdict.trace
    same = result.trace is not None and stored is not None and _told(result.trace) == _told(stored)
    click.echo(f"{result.outcome} after {result.states} states, {'the same' if same else 'not the same'} schedule")
    return 0 if same else 1
