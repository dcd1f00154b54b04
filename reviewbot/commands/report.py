"""`reviewbot report`: what a replayed archive says, as tables and as a page with plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from rich.table import Table

    from reviewbot.archive.summary import ArchiveSummary


@click.command()
@click.argument("rows", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="PAGE", help="Write a page with plots, which fetches nothing."
)
@click.option("--json", "as_json", is_flag=True, help="The counts as JSON, and nothing else, on standard output.")
def report(rows: Path, html: Path | None, as_json: bool) -> int:
    """Sum up FILE, the rows of `reviewbot replay`, or the journal of a run that goes on: by month, subsystem and rule.

    First comes what to ask before reviews are turned on for a list: how many drafts a month, and how many of them about
    what was merged all the same. Each NACK is listed.
    """
    import msgspec

    from reviewbot.archive import shown, table
    from reviewbot.archive.summary import summed
    from reviewbot.report.files import put
    from reviewbot.text import clean

    summary = summed(table.read(rows))
    if html:
        put(html, shown.page(summary, f"reviewbot on {clean(rows.name)}").encode())
    if as_json:
        value = {"schema": 1, **msgspec.to_builtins(summary)}
        click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
    else:
        _print(summary)
    return 0


def _print(summary: ArchiveSummary) -> None:
    from rich.console import Console

    from reviewbot.archive import shown
    from reviewbot.archive.summary import month
    from reviewbot.text import clean

    console = Console(highlight=False, markup=False)
    for name, value in shown.asked(summary):
        console.print(f"{name}: {value}", soft_wrap=True)
    few = shown.few(summary.subsystems)
    console.print(_table("by month", shown.COUNT_HEAD, shown.count_rows(summary.months)))
    console.print(_table("by subsystem", shown.COUNT_HEAD, shown.count_rows(few)))
    console.print(_table("by rule", shown.RULE_HEAD, shown.rule_rows(summary.rules)))
    for row in summary.nacks:
        console.print(
            f"\n{month(row)} <{clean(row.id)}> {clean(row.subject)}, {shown.fitted(row.fit, row.tree)}",
            soft_wrap=True,
        )
        for finding in row.findings:
            if finding.outcome == "confirmed":
                said = f"{clean(finding.at)}: {clean(finding.message)} [{clean(finding.rule)}]"
                console.print(f"    {said}", soft_wrap=True)


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for name in head:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
