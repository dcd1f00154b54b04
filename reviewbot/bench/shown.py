"""What a backtest shows while it runs and afterwards."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import msgspec

from reviewbot.bench import tables
from reviewbot.bench.backtest import STAGES, Scored
from reviewbot.report.files import put

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from reviewbot.bench.tables import Compared, Row

T = TypeVar("T")
WIDTH = 120
"""What a table takes where no terminal says how wide it is."""
COLUMNS: dict[str, Callable[[Row], str]] = {
    "deadlocks NACKed": lambda row: row.recall.short(),
    "NACKed or comment": lambda row: row.recall_with_comments.short(),
    "wrong NACKs": lambda row: row.wrong_nacks.short(),
    "comments on clean": lambda row: row.comments_on_innocent.short(),
    "fixes": lambda row: str(row.fixes),
    "unreviewed": lambda row: str(row.unreviewed),
}


def progress(results: Iterable[T], total: int, said: TextIO | None = None) -> list[T]:
    """All results, with a bar on a terminal meanwhile. said: standard error, where it is another one."""
    from rich.console import Console
    from rich.progress import track

    console = Console(file=said or sys.stderr)
    return [*track(results, total=total, console=console, description="reviewing", disable=not console.is_terminal)]


def write(file: Path, value: dict[str, Any]) -> None:
    """Write a JSON file, all of it or nothing. Raises ReviewError where it cannot be written."""
    put(file, msgspec.json.format(msgspec.json.encode(value)))


def show(results: Sequence[Scored], with_funnel: bool) -> None:
    """Print the tables, and every wrong answer with what was said of it."""
    console, count = _console(), tables.counted(results)
    several = len({r.set for r in results}) > 1
    for title, rows in (
        ("by set", tables.by(count, lambda r: r.set)),
        ("by subsystem", tables.by_subsystem(count)),
        ("by tree", tables.by(count, lambda r: r.tree)),
        ("by kind of label", tables.by(count, lambda r: f"{r.label}: {r.kind or 'not said'}")),
        ("by class", tables.by_class(count)),
        (
            "counted apart, and in none of the other tables",
            tables.by((r for r in results if r.apart), lambda r: f"{r.label}: {r.apart}"),
        ),
    ):
        if rows:
            console.print(_table(title, rows))
    console.print(_rules(tables.by_rule(count)))
    if with_funnel:
        _funnel(console, count)
    for title, wrong in (
        ("NACKed, and should not be", [r for r in results if r.verdict == "nack" and r.label != "deadlock"]),
        ("deadlocks that passed", [r for r in results if r.verdict != "nack" and r.label == "deadlock"]),
        ("faults and unreviewed", [r for r in results if r.verdict in ("fault", "unreviewed")]),
    ):
        if wrong:
            console.print(f"\n{title}:", style="bold", highlight=False)
        for r in sorted(wrong, key=lambda r: r.key):
            _case(r, several)
    _end(results)


def compared(found: Compared) -> None:
    """Print which cases turned against an older run."""
    print(f"\nagainst the older run: {len(found.turned)} verdicts turned, {found.same} stayed")
    if found.only_old or found.only_new:
        print(f"only in the older run: {found.only_old} cases; only in this one: {found.only_new}")
    for way, title in tables.WAYS.items():
        turned = [t for t in found.turned if t.way == way]
        if turned:
            print(f"{title}: {len(turned)}")
        for t in turned:
            print(f"  {f'{t.set} ' if t.set else ''}{t.id} [{t.label}] {t.was} -> {t.now}")


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, WIDTH))


def _end(results: Sequence[Scored]) -> None:
    nacks = sum(r.verdict == "nack" for r in results)
    seconds = sorted(r.seconds for r in results) or [0.0]
    times = f"median {seconds[len(seconds) // 2]:.2f}, longest {seconds[-1]:.2f}"
    print(f"\n{len(results)} cases, {nacks} NACKs; seconds a case: {times}")
    if most := max((r.megabytes for r in results), default=0):
        print(f"memory of a process: {most} MB at most")


def _funnel(console: Console, results: Sequence[Scored]) -> None:
    """Class against the stage that its deadlocks came to; below, the most frequent reasons at each stage."""
    found = tables.funnel(results)
    table = _empty("how far the deadlocks came", "class", STAGES)
    for name, counts in (*found.items(), ("all", sum(found.values(), Counter()))):
        table.add_row(name, *(str(counts[stage] or "-") for stage in STAGES))
    console.print(table)
    for stage in STAGES:
        first = Counter(r.gave_up[0] for r in results if r.label == "deadlock" and r.stage == stage and r.gave_up)
        for reason, number in first.most_common():
            print(f"  {stage}: {number} x {reason}")
    print("\nscore above   deadlocks NACKed or commented on   innocent with a comment")
    for at in tables.curve(results):
        print(f"{at.above:11.2f}   {at.found:24} of {at.deadlocks:3}   {at.disturbed:16} of {at.innocent:3}")


def _table(title: str, rows: Iterable[Row]) -> Table:
    """A line a name, with the share and its 95 % interval in each cell."""
    table = _empty(f"{title}: count of all, share, 95 % interval", "", ("cases", *COLUMNS))
    for row in rows:
        table.add_row(row.name or "-", str(row.cases), *(cell(row) for cell in COLUMNS.values()))
    return table


def _rules(rows: Iterable[Row]) -> Table:
    """What each rule said, and how often it was right."""
    table = _empty("by rule", "rule", ("cases", "NACKs right", "wrong", "fixes", "precision"))
    for row in rows:
        table.add_row(
            row.name, *(str(n) for n in (row.cases, row.found, row.wrong, row.fixes)), row.right_nacks.short()
        )
    return table


def _empty(title: str, name: str, columns: Iterable[str]) -> Table:
    from rich.table import Table

    table = Table(title=f"\n{title}", title_justify="left", box=None)
    table.add_column(name, no_wrap=True)
    for head in columns:
        table.add_column(head, justify="right")
    return table


def _case(result: Scored, of_several: bool) -> None:
    """A case whose verdict is wrong, with all that was said of it."""
    of = f"{result.set} " if of_several else ""
    apart = f" (counted apart: {result.apart})" if result.apart else ""
    print(f"  {of}{result.id} [{result.cls}] {result.verdict} {result.reason}{apart}")
    for s in result.spoken:
        print(f"      {s.outcome}: {s.at}: {s.message} [{s.rule}] {s.reason}")
    for note in result.notes:
        print(f"      note: {note}")
