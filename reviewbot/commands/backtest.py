"""`reviewbot backtest`: labelled cases, or a flood of merged changes, and how often each rule was right."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, get_args

import rich_click as click

from reviewbot.bench.backtest import Scored
from reviewbot.bench.workers import WORKERS
from reviewbot.precision import On

if TYPE_CHECKING:
    from rich.table import Table

    from reviewbot.bench.backtest import Row
    from reviewbot.bench.totals import Totals

T = TypeVar("T")


FLOODED = ("drivers/md", "block", "drivers/block")
NOTHING = "name an index of labelled cases, or --flood OLD NEW"


@click.command()
@click.argument("index", required=False, type=click.Path(path_type=Path))
@click.option(
    "--tree",
    "trees",
    multiple=True,
    metavar="NAME=PATH",
    help="Repository for the cases of that tree; may be repeated.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the results there.")
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
@click.option("--workers", type=int, default=0, help="Processes (default: the cores, at most 2).")
@click.option(
    "--totals",
    is_flag=True,
    help="Print and write nothing but counts and seconds, for cases that nobody may look at.",
)
@click.option("--funnel", is_flag=True, help="Show, too, at which stage the deadlocks of each class were lost.")
@click.option(
    "--reproduced",
    is_flag=True,
    help="Compare the simulator with a real kernel instead, for every finding that `reviewbot reproduce` has a driver for.",
)
@click.option(
    "--record",
    type=click.Choice(get_args(On)),
    help="Keep the measured precision of each rule for `reviewbot rules` and the verdicts: were the rules developed with "
    "these cases (seen) or not (unseen)?",
)
def backtest(
    index: Path | None,
    trees: Sequence[str],
    json_file: Path | None,
    only: str,
    flood: tuple[Path, Path] | None,
    paths: Sequence[str],
    workers: int,
    totals: bool,
    funnel: bool,
    reproduced: bool,
    record: On | None,
) -> int:
    """Score the rules on INDEX, a file of labelled patches, and list every wrong answer with its reason.

    Exit code 0 when no innocent patch was NACKed (with --reproduced: when the kernels agree with the simulator), else 1.
    """
    from reviewbot.bench import backtest as tests

    if totals and only:
        raise click.UsageError("--only and --totals: the totals of cases that are picked out tell what they are")
    if record and flood:
        raise click.UsageError("--record and --flood: of merged changes it is not known which NACKs are right")
    if reproduced and (totals or flood or record):
        raise click.UsageError(
            "--reproduced compares labelled cases, one by one: not with --totals, --flood or --record"
        )
    workers = workers or WORKERS
    if json_file and not json_file.parent.is_dir():
        raise click.UsageError(f"--json {json_file}: there is no folder {json_file.parent}")
    if reproduced:
        return _reproduced(index, dict(_bind(text) for text in trees), _pattern(only), json_file)
    if totals:
        return _totals(index, dict(_bind(text) for text in trees), flood, paths, workers, json_file, record)
    if flood:
        files = tests.flood_paths(*flood, paths or FLOODED)
        results = _progress(tests.flood(files, *flood, workers), len(files))
    elif index:
        bound = dict(_bind(text) for text in trees)
        wanted = _pattern(only)
        cases = [c for c in tests.read_index(index) if wanted.search(f"{c.id} {c.label} {c.cls}")]
        results = _progress(tests.run(cases, index.parent, bound, workers), len(cases))
    else:
        raise click.UsageError(NOTHING)
    if json_file:
        _write(json_file, tests.as_json(results))
    _show(results)
    if funnel:
        _show_funnel(results)
    if record:
        from reviewbot import precision

        print(f"\nrecorded in {precision.record(tests.by_rule(results), record)}")
    return int(any(r.verdict == "nack" for r in results if r.label in ("clean", "fix")))


def _reproduced(index: Path | None, trees: dict[str, Path], only: re.Pattern[str], json_file: Path | None) -> int:
    """The verdicts of the simulator against real kernels."""
    import os

    import msgspec

    from reviewbot.bench import backtest as tests
    from reviewbot.bench import reproduced

    if index is None:
        raise click.UsageError("--reproduced needs an index of labelled cases")
    cases = [c for c in tests.read_index(index) if only.search(f"{c.id} {c.label} {c.cls}")]
    missing = sorted({c.tree for c in cases} - set(trees))
    if missing:
        raise click.UsageError(f"no repository for tree {missing[0]}: name it with --tree {missing[0]}=PATH")
    found = []
    for one in reproduced.compare(cases, index.parent, trees, os.cpu_count() or 1, lambda t: click.echo(t, err=True)):
        found.append(one)
        click.echo("\n".join(reproduced.table([one])))
    if json_file:
        rows = [{**msgspec.to_builtins(one), "agrees": one.agrees} for one in found]
        _write(json_file, {"schema": 1, "compared": rows})
    agreed, against = sum(c.agrees is True for c in found), sum(c.agrees is False for c in found)
    click.echo(f"\n{len(cases)} cases, {len(found)} findings with a driver: {agreed} agree, {against} do not")
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
        _write(json_file, totals_table.as_json(found))
    totals_table.show(found)
    if record:
        print(f"\nrecorded in {precision.record(totals_table.by_rule(found), record)}")
    return int(found.count("nack", labels=totals.INNOCENT) > 0)


def _sum(results: Iterable[Totals], total: int, said: TextIO) -> Totals:
    from reviewbot.bench.totals import Totals

    found = Totals()
    for one in _progress(results, total, said):
        found.add(one)
    return found


def _write(file: Path, value: dict[str, Any]) -> None:
    import msgspec

    partial = file.with_name(file.name + ".tmp")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(value)))
    partial.replace(file)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise click.UsageError(f"--only {text} is no regular expression: {error}") from None


def _bind(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals:
        raise click.UsageError(f"--tree {text}: write it as NAME=PATH, as in --tree 6.12=/path/to/linux")
    return name, Path(path)


def _progress(results: Iterable[T], total: int, said: TextIO | None = None) -> list[T]:
    from rich.console import Console
    from rich.progress import track

    console = Console(file=said or sys.stderr)
    return [*track(results, total=total, console=console, description="reviewing", disable=not console.is_terminal)]


def _show(results: Sequence[Scored]) -> None:
    from rich.console import Console

    from reviewbot.bench import backtest as tests

    console = Console()
    console.print(_table("by class", tests.by_class(results), precision=False))
    console.print(_table("by rule", tests.by_rule(results), precision=True))
    for title, wrong in (
        ("NACKed, and should not be", [r for r in results if r.verdict == "nack" and r.label != "deadlock"]),
        ("deadlocks that passed", [r for r in results if r.verdict != "nack" and r.label == "deadlock"]),
        ("faults and unreviewed", [r for r in results if r.verdict in ("fault", "unreviewed")]),
    ):
        if not wrong:
            continue
        console.print(f"\n{title}:", style="bold", highlight=False)
        for r in sorted(wrong, key=lambda r: r.id):
            _show_case(r)
    nacks = sum(r.verdict == "nack" for r in results)
    seconds = sorted(r.seconds for r in results) or [0.0]
    times = f"median {seconds[len(seconds) // 2]:.2f}, longest {seconds[-1]:.2f}"
    print(f"\n{len(results)} cases, {nacks} NACKs; seconds a case: {times}")


def _show_funnel(results: Sequence[Scored]) -> None:
    """Class against the stage that its deadlocks came to; below, the most frequent reasons at each stage."""
    from collections import Counter

    from rich.console import Console
    from rich.table import Table

    from reviewbot.bench import backtest as tests

    table = Table(title="how far the deadlocks came", title_justify="left", box=None)
    table.add_column("class", no_wrap=True)
    for stage in tests.STAGES:
        table.add_column(str(stage), justify="right")
    found = tests.funnel(results)
    for name, counts in (*found.items(), ("all", sum(found.values(), Counter()))):
        table.add_row(name, *(str(counts[stage] or "-") for stage in tests.STAGES))
    Console().print(table)
    for stage in tests.STAGES:
        first = Counter(r.gave_up[0] for r in results if r.label == "deadlock" and r.stage == stage and r.gave_up)
        for reason, number in first.most_common():
            print(f"  {stage}: {number} x {reason}")


def _table(title: str, rows: Iterable[Row], precision: bool) -> Table:
    """What was found, a line a class or rule."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None)
    table.add_column("name", no_wrap=True)
    for head in ("cases", "nacks", "wrong", "fixes", "precision"):
        table.add_column(head, justify="right")
    for row in rows:
        share = f"{row.precision:.0%}" if precision and row.precision is not None else "-"
        table.add_row(row.name, *(str(n) for n in (row.cases, row.found, row.wrong, row.fixes)), share)
    return table


def _show_case(result: Scored) -> None:
    """A case whose verdict is wrong, with all that was said of it."""
    print(f"  {result.id} [{result.cls}] {result.verdict} {result.reason}")
    for s in result.spoken:
        print(f"      {s.outcome}: {s.at}: {s.message} [{s.rule}] {s.reason}")
    for note in result.notes:
        print(f"      note: {note}")
