"""`reviewbot backtest`: labelled cases, or a flood of merged changes, and how often each rule was right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, get_args

import rich_click as click

from reviewbot.bench import journal, shown
from reviewbot.bench.workers import WORKERS
from reviewbot.precision import On

if TYPE_CHECKING:
    from reviewbot.bench.totals import Totals

FLOODED = ("drivers/md", "block", "drivers/block")
NOTHING = "name an index of labelled cases, or --flood OLD NEW"


@click.command()
@click.argument("indexes", nargs=-1, metavar="[INDEX]...")
@click.option(
    "--tree",
    "trees",
    multiple=True,
    metavar="NAME=PATH",
    help="Repository for the cases of that tree; may be repeated.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="Write the results there. While it runs they are in FILE.partial; the same command goes on from there.",
)
@click.option("--only", metavar="REGEX", default="", help="Only the cases whose id, label or class matches.")
@click.option(
    "--flood",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="OLD NEW",
    help="Two repositories: the files of NEW, one by one, as patches on OLD.",
)
@click.option(
    "--path", "paths", multiple=True, metavar="FOLDER", help="With --flood: the folders to take (may be repeated)."
)
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes (default: the cores, at most 2).")
@click.option(
    "--totals",
    is_flag=True,
    help="Print and write nothing but counts and seconds, for cases that nobody may look at.",
)
@click.option(
    "--funnel",
    is_flag=True,
    help="Show, too, at which stage the deadlocks of each class were lost, and what is shown at which score.",
)
@click.option(
    "--compare",
    "older",
    type=click.Path(path_type=Path),
    metavar="OLD.json",
    help="Show, too, which verdicts turned against an older run (what --json wrote), both ways.",
)
@click.option(
    "--reproduced",
    is_flag=True,
    help="Compare the simulator with a real kernel instead, for every finding that `reviewbot reproduce` has a driver for.",
)
@click.option(
    "--lockdep",
    is_flag=True,
    help="With --reproduced: every case whose code a driver runs, whatever is found in it, once on each kernel, under lockdep.",
)
@click.option(
    "--record",
    type=click.Choice(get_args(On)),
    help="Keep the measured precision of each rule: of cases that the rules were developed with (seen), or of others, for "
    "`reviewbot rules` and the verdicts (blind, replay, flood).",
)
def backtest(
    indexes: Sequence[str],
    trees: Sequence[str],
    json_file: Path | None,
    only: str,
    flood: tuple[Path, Path] | None,
    paths: Sequence[str],
    workers: int,
    totals: bool,
    funnel: bool,
    older: Path | None,
    reproduced: bool,
    lockdep: bool,
    record: On | None,
) -> int:
    """Score the rules on each INDEX, a file of labelled patches, and list every wrong answer with its reason.

    An INDEX is a set: NAME=FILE names it, else the folder that it lies in does. Shares are shown with their 95 % intervals
    (Wilson); cases with a doubtful label count apart. Exit code 0 when no innocent patch was NACKed (with --reproduced:
    when the kernels agree with the simulator), else 1.
    """
    from reviewbot.bench import tables
    from reviewbot.report.files import check_target

    _possible(indexes, totals, only, flood, record, reproduced, older)
    if lockdep and not reproduced:
        raise click.UsageError("--lockdep says what is run with --reproduced: give both")
    workers = workers or WORKERS
    if json_file:
        check_target(json_file)
    bound = dict(bind(text) for text in trees)
    sets = _sets(indexes)
    index = next(iter(sets.values()), None)
    if reproduced:
        return _reproduced(index, bound, _pattern(only), json_file, lockdep)
    if totals:
        return _totals(index, bound, flood, paths, workers, json_file, record)
    was = tables.read_run(older) if older else None
    if flood:
        scoring = _flood(flood, paths or FLOODED, workers)
    elif sets:
        scoring = _labelled(sets, bound, _pattern(only), workers)
    else:
        raise click.UsageError(NOTHING)
    results = shown.progress(journal.kept(scoring, json_file, _say), scoring.number)
    found = tables.compare(was, results) if was else None
    if json_file:
        shown.write(json_file, tables.as_json(results) | ({"compared": found.as_json()} if found else {}))
        journal.at(json_file).unlink(missing_ok=True)
    shown.show(results, funnel)
    if found:
        shown.compared(found)
    if record:
        from reviewbot import precision

        print(f"\nrecorded in {precision.record(tables.by_rule(tables.counted(results)), record)}")
    return int(any(r.verdict == "nack" for r in tables.counted(results) if r.label in tables.INNOCENT))


def _possible(
    indexes: Sequence[str],
    totals: bool,
    only: str,
    flood: tuple[Path, Path] | None,
    record: On | None,
    reproduced: bool,
    older: Path | None,
) -> None:
    """Raises UsageError for options that do not go together."""
    if totals and only:
        raise click.UsageError("--only and --totals: the totals of cases that are picked out tell what they are")
    if totals and older:
        raise click.UsageError("--compare and --totals: which case turned is nothing that totals may tell")
    if record and flood:
        raise click.UsageError("--record and --flood: of merged changes it is not known which NACKs are right")
    if reproduced and (totals or flood or record or older):
        raise click.UsageError(
            "--reproduced compares labelled cases, one by one: not with --totals, --flood, --compare or --record"
        )
    if len(indexes) > 1 and (totals or reproduced):
        raise click.UsageError("--totals and --reproduced take one INDEX")
    if flood and indexes:
        raise click.UsageError("an INDEX and --flood: score them one after the other")


def _sets(indexes: Sequence[str]) -> dict[str, Path]:
    """The name of each set, and its index. Raises UsageError for two of one name."""
    found: dict[str, Path] = {}
    for text in indexes:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = Path(text).absolute().parent.name, text
        if name in found:
            raise click.UsageError(f"two sets are called {name}: name them, as in first={found[name]} second={path}")
        found[name] = Path(path)
    return found


def _labelled(sets: dict[str, Path], trees: dict[str, Path], wanted: re.Pattern[str], workers: int) -> journal.Scoring:
    from reviewbot.bench import backtest as tests

    cases = [c for c in tests.read_sets(sets) if wanted.search(f"{c.id} {c.label} {c.cls}")]
    tests.check_trees(cases, trees)
    return journal.Scoring(
        len(cases),
        lambda done: tests.run([c for c in cases if c.key not in done], Path(), trees, workers),
        lambda: journal.identity([c.key for c in cases], [*sets.values(), *tests.patches(cases)], trees),
    )


def _flood(flood: tuple[Path, Path], paths: Sequence[str], workers: int) -> journal.Scoring:
    from reviewbot.bench import backtest as tests

    files = tests.flood_paths(*flood, paths)
    return journal.Scoring(
        len(files),
        lambda done: tests.flood([f for f in files if ("", f) not in done], *flood, workers),
        lambda: journal.identity(files, (), dict(zip(("old", "new"), flood, strict=True))),
    )


def _reproduced(
    index: Path | None, trees: dict[str, Path], only: re.Pattern[str], json_file: Path | None, lockdep: bool
) -> int:
    """The verdicts of the simulator against real kernels."""
    import os

    import msgspec

    from reviewbot.bench import backtest as tests
    from reviewbot.bench import reproduced
    from reviewbot.reproduce.reproduction import RUNS

    if index is None:
        raise click.UsageError("--reproduced needs an index of labelled cases")
    cases = [c for c in tests.read_index(index) if only.search(f"{c.id} {c.label} {c.cls}")]
    missing = sorted({c.tree for c in cases} - set(trees))
    if missing:
        raise click.UsageError(f"no repository for tree {missing[0]}: name it with --tree {missing[0]}=PATH")
    found = []
    runs = 1 if lockdep else RUNS
    jobs = os.cpu_count() or 1
    for one in reproduced.compare(cases, index.parent, trees, jobs, lambda t: click.echo(t, err=True), runs, lockdep):
        found.append(one)
        click.echo("\n".join(reproduced.table([one])))
    if json_file:
        rows = [{**msgspec.to_builtins(one), "agrees": one.agrees, "matches": one.matches} for one in found]
        shown.write(json_file, {"schema": 1, "compared": rows})
    agreed, against = sum(c.agrees is True for c in found), sum(c.agrees is False for c in found)
    click.echo(f"\n{len(cases)} cases, {len(found)} with a driver: {agreed} agree, {against} do not")
    if lockdep:
        seen, matched = sum(c.shown for c in found), sum(c.matches for c in found)
        click.echo(
            f"{seen} show on one kernel and not on the other, {matched} with the line, or locks and functions, of the schedule"
        )
    return int(against > 0)


def _totals(
    index: Path | None,
    trees: dict[str, Path],
    flood: tuple[Path, Path] | None,
    paths: Sequence[str],
    workers: int,
    json_file: Path | None,
    record: On | None,
) -> int:
    """The same with nothing but counts and seconds; what goes wrong on the way is said without its message."""
    from reviewbot import precision
    from reviewbot.bench import backtest as tests
    from reviewbot.bench import totals, totals_table
    from reviewbot.faults import fault
    from reviewbot.gittree.tree import Tree
    from reviewbot.types import ReviewError

    for path in flood or trees.values():
        with Tree.open(path):
            pass  # while it can be said which one cannot be opened
    if not flood and (index is None or not index.is_file()):
        raise click.UsageError(f"cannot read the index {index}" if index else NOTHING)
    try:
        with totals.silence() as said:
            if flood:
                files = tests.flood_paths(*flood, paths or FLOODED)
                found = _sum(totals.flood(files, *flood, workers), len(files), said)
            else:
                assert index is not None
                cases = totals.read_index(index)
                found = _sum(totals.run(cases, index.parent, trees, workers), len(cases), said)
    except totals.Refused:
        raise
    except Exception as error:
        crash = fault(error)
        raise ReviewError(f"the cases could not be scored: {crash.type} at {crash.at or 'a line not ours'}") from None
    if json_file:
        shown.write(json_file, totals_table.as_json(found))
    totals_table.show(found)
    if record:
        print(f"\nrecorded in {precision.record(totals_table.by_rule(found), record)}")
    return int(found.count("nack", labels=totals.INNOCENT) > 0)


def _sum(results: Iterable[Totals], total: int, said: TextIO) -> Totals:
    from reviewbot.bench.totals import Totals

    found = Totals()
    for one in shown.progress(results, total, said):
        found.add(one)
    return found


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise click.UsageError(f"--only {text} is no regular expression: {error}") from None


def bind(text: str) -> tuple[str, Path]:
    """Name and path of a `--tree NAME=PATH`. Raises UsageError for anything else."""
    name, equals, path = text.partition("=")
    if not equals:
        raise click.UsageError(f"--tree {text}: write it as NAME=PATH, as in --tree 6.12=/path/to/linux")
    return name, Path(path)


def _say(text: str) -> None:
    click.echo(text, err=True)
