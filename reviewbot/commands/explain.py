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
@click.option("--step", is_flag=True, help="Go through the schedule on the screen: space goes on, b back, q ends.")
@click.option("--svg", "as_svg", is_flag=True, help="Print the picture of the schedule as SVG, and nothing else.")
def explain(name: str | None, tree: Path | None, base: str, no_replay: bool, step: bool, as_svg: bool) -> int:
    """Replay the schedule of a finding step by step; without ID list the findings that are kept.

    ID is in the last line of a reply. Exit code 0, or 1 when the model does not lead to that schedule any more.
    """
    from reviewbot.report.explain import load, runs
    from reviewbot.review import runs_folder
    from reviewbot.text import clean
    from reviewbot.types import ReviewError

    if not name:
        if step or as_svg:
            raise ReviewError("--step and --svg show one finding: name its ID, `reviewbot explain` lists them")
        for run in runs(runs_folder()):
            click.echo(f"{run.id}  {run.verdict.outcome}  {clean(run.verdict.finding.message)}")
        return 0
    run = load(runs_folder(), name)
    verdict = run.verdict
    finding = verdict.finding
    title = clean(f"{verdict.outcome}: {finding.at}: {finding.message} [{finding.rule}]")
    if verdict.score.doubts:
        title += f"\nscore {verdict.score}"
    if verdict.trace is None:
        if as_svg:
            raise ReviewError(f"no schedule is kept for {name}, so there is no picture of it")
        click.echo(f"{title}\n\n{clean(verdict.reason) or 'no schedule is kept for it'}")
        return 0
    if as_svg:
        from reviewbot.report.picture import layout
        from reviewbot.report.svg import svg

        click.echo(svg(layout(verdict.trace), title), nl=False)
        return 0
    if step:
        from reviewbot.report.stepping import through

        return through(verdict.trace, title, _source(run, tree, base))
    _tell(verdict.trace, title, _source(run, tree, base))
    return 0 if no_replay else _again(run)


def _tell(trace: Trace, title: str, source: Source | None) -> None:
    """Print the picture, as far as the terminal is wide enough, each step with its line, and who waits for whom."""
    from rich.console import Console

    from reviewbot.report.explain import told
    from reviewbot.report.picture import layout
    from reviewbot.report.reply import fill
    from reviewbot.report.schedule import knot
    from reviewbot.report.terminal import circle, drawn
    from reviewbot.text import clean

    console, picture = Console(highlight=False), layout(trace)
    unicode = console.encoding.startswith("utf")
    click.echo(f"{title}\n")
    if lines := drawn(picture, console.width, unicode=unicode):
        for line in (*lines, circle(picture, unicode), ""):
            console.print(line, no_wrap=True, crop=False, overflow="ignore")
    last = ""
    for number, item in enumerate(told(trace.steps, source), 1):
        if item.step.task != last:
            last = item.step.task
            click.secho(clean(last), bold=True)
        click.echo(f"{number:4}. {clean(item.step.step)}")
        if place := _place(item):
            click.secho(f"      {clean(place)}", dim=True)
    click.echo(f"\n{fill(knot(trace))}")


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
