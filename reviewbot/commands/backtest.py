"""`reviewbot backtest`: labelled cases, or a flood of merged changes, and how often each rule was right."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import rich_click as click

from reviewbot.backtest import Scored


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
    "--record", is_flag=True, help="Keep the measured precision of each rule for `reviewbot rules` and the verdicts."
)
def backtest(
    index: Path | None,
    trees: Sequence[str],
    json_file: Path | None,
    only: str,
    flood: tuple[Path, Path] | None,
    paths: Sequence[str],
    workers: int,
    record: bool,
) -> int:
    """Score the rules on INDEX, a file of labelled patches, and list every wrong answer with its reason.

    Exit code 0 when no innocent patch was NACKed, else 1.
    """
    import msgspec

    from reviewbot import backtest as tests

    workers = workers or tests.WORKERS
    if json_file and not json_file.parent.is_dir():
        raise click.UsageError(f"--json {json_file}: there is no folder {json_file.parent}")
    if flood:
        files = tests.flood_paths(*flood, paths or ("drivers/md", "block", "drivers/block"))
        results = _progress(tests.flood(files, *flood, workers), len(files))
    elif index:
        bound = dict(_bind(text) for text in trees)
        wanted = _pattern(only)
        cases = [c for c in tests.read_index(index) if wanted.search(f"{c.id} {c.label} {c.cls}")]
        results = _progress(tests.run(cases, index.parent, bound, workers), len(cases))
    else:
        raise click.UsageError("name an index of labelled cases, or --flood OLD NEW")
    if json_file:
        partial = json_file.with_name(json_file.name + ".tmp")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(tests.as_json(results))))
        partial.replace(json_file)
    _show(results)
    if record:
        from reviewbot import precision

        print(f"\nrecorded in {precision.record(tests.by_rule(results))}")
    return int(any(r.verdict == "nack" for r in results if r.label in ("clean", "fix")))


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


def _progress(results: Iterable[Scored], total: int) -> list[Scored]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return [*track(results, total=total, console=console, description="reviewing", disable=not sys.stderr.isatty())]


def _show(results: Sequence[Scored]) -> None:
    from rich.console import Console
    from rich.table import Table

    from reviewbot import backtest as tests

    console = Console()
    for title, rows in (("by class", tests.by_class(results)), ("by rule", tests.by_rule(results))):
        table = Table(title=title, title_justify="left", box=None)
        table.add_column("name", no_wrap=True)
        for head in ("cases", "nacks", "wrong", "fixes", "precision"):
            table.add_column(head, justify="right")
        for row in rows:
            share = "-" if row.precision is None or title == "by class" else f"{row.precision:.0%}"
            table.add_row(row.name, *(str(n) for n in (row.cases, row.found, row.wrong, row.fixes)), share)
        console.print(table)
    for title, wrong in (
        ("NACKed, and should not be", [r for r in results if r.verdict == "nack" and r.label != "deadlock"]),
        ("deadlocks that passed", [r for r in results if r.verdict != "nack" and r.label == "deadlock"]),
        ("faults and unreviewed", [r for r in results if r.verdict in ("fault", "unreviewed")]),
    ):
        if not wrong:
            continue
        console.print(f"\n{title}:", style="bold", highlight=False)
        for r in sorted(wrong, key=lambda r: r.id):
            print(f"  {r.id} [{r.cls}] {r.verdict} {r.reason}")
            for s in r.spoken:
                print(f"      {s.outcome}: {s.at}: {s.message} [{s.rule}] {s.reason}")
            for note in r.notes:
                print(f"      note: {note}")
    nacks = sum(r.verdict == "nack" for r in results)
    seconds = sorted(r.seconds for r in results) or [0.0]
    times = f"median {seconds[len(seconds) // 2]:.2f}, longest {seconds[-1]:.2f}"
    print(f"\n{len(results)} cases, {nacks} NACKs; seconds a case: {times}")
