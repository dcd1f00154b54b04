"""`reviewbot replay`: a whole archive of a mailing list reviewed, on all cores or on a cluster."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from rich.progress import Progress

    from reviewbot.archive.posting import ArchiveRow
    from reviewbot.archive.threads import PostedThread
    from reviewbot.mail.epochs import Epoch


@click.command()
@click.argument("archive", metavar="EPOCH", type=click.Path(path_type=Path))
@click.option(
    "--tree",
    "trees",
    multiple=True,
    required=True,
    metavar="NAME=PATH",
    help="Repository to try postings on, HEAD of it; the first one that fits is taken; may be repeated.",
)
@click.option(
    "--out",
    default=Path("replay.parquet"),
    show_default=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The rows, as .parquet (extra `scale`) or .jsonl. A run that was cut off goes on from its journal beside it.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes (default: as many as there are cores).")
@click.option("--scheduler", metavar="ADDRESS", help="Review on the Dask cluster of this scheduler (extra `scale`).")
@click.option("--most", type=click.IntRange(1), help="Only the threads of the first so many.", metavar="N")
def replay(
    archive: Path, trees: Sequence[str], out: Path, workers: int | None, scheduler: str | None, most: int | None
) -> int:
    """Review all that was posted in EPOCH: a public-inbox, an epoch of one, or the bundle of an epoch.

    A posting is reviewed on the first tree that it applies to, or that has it already: it is taken back there first. A
    series that fits no tree as a whole is tried patch by patch. `reviewbot report FILE` sums it up.
    """
    import os

    from reviewbot.archive import run, table, threads
    from reviewbot.bench.journal import identity
    from reviewbot.commands.backtest import bind

    if scheduler and archive.is_file():
        raise click.UsageError(
            f"--scheduler and the bundle {archive}: only this machine unpacks it; name an epoch or inbox"
        )
    bound = {name: path.resolve() for name, path in map(bind, trees)}
    table.check_name(out)
    with threads.opened(archive) as epochs, _shown() as show:
        of = identity(
            [*(epoch.fingerprint for epoch in epochs), *bound], (), bound
        )  # the first tree that fits is taken
        found = _read(epochs, show)[:most]
        with table.ArchiveJournal(out, of) as journal:
            left = [thread for thread in found if thread.id not in journal.done]
            wanted = {thread.id for thread in found}
            count = _Count(journal.rows(wanted))
            bar = show.add_task("reviewing", total=len(found), completed=len(found) - len(left), said=count.says())
            results = (
                run.on_cluster(left, bound, scheduler)
                if scheduler
                else run.replayed(left, bound, workers or os.cpu_count() or 1)
            )
            for done in results:
                journal.add(done)
                count.add(done.rows)
                show.update(bar, advance=1, said=count.says())
            table.write(out, journal.rows(wanted))
        if journal.done.keys() <= wanted:
            journal.path.unlink(missing_ok=True)
    click.echo(f"{len(found)} threads: {count.says()}; in {out}")
    return 0


def _read(epochs: list[Epoch], show: Progress) -> list[PostedThread]:
    from reviewbot.archive.threads import posted_threads

    bar = show.add_task("reading the mails", total=None, said="")
    found = posted_threads(epochs, lambda done, of: show.update(bar, completed=done, total=of))
    show.remove_task(bar)
    return found


class _Count:
    """What became of the postings so far, in a line."""

    def __init__(self, rows: Sequence[ArchiveRow]) -> None:
        self._verdicts: Counter[str] = Counter()
        self._fits: Counter[str] = Counter()
        self.add(rows)

    def add(self, rows: Sequence[ArchiveRow]) -> None:
        """Count some more."""
        self._verdicts.update(row.verdict for row in rows if row.fit or row.verdict == "fault")
        self._fits.update(row.fit for row in rows)

    def says(self) -> str:
        """The line."""
        fit = f"{self._fits.total()} postings, {self._fits['applies']} apply, {self._fits['merged']} are merged"
        said = ", ".join(f"{n} {verdict}" for verdict, n in sorted(self._verdicts.items()))
        return f"{fit}: {said}" if said else fit


@contextmanager
def _shown() -> Iterator[Progress]:
    """A progress bar with the counts beside it; nothing where standard error is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress
