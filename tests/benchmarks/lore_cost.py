"""What all of lore would cost, computed from what a part of it did.

    python tests/benchmarks/lore_cost.py ROWS EPOCH [--cpu SECONDS] [--state FOLDER]

ROWS is what `reviewbot replay` made of the archive EPOCH (a bare repository), on one machine; FOLDER is the state of a
watcher that has read mails of it (`reviewbot watch --no-review`). Printed are the figures that were measured, and what
they come to for all the mails that are there and for those of a day: core hours and disk. Nothing is assumed but how many
mails there are (--mails) and how many patches a day (--patches), and that other lists are like this one.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from reviewbot.archive import table
from reviewbot.archive.posting import ArchiveRow

HOUR, DAY, GIGABYTE = 3600.0, 86400.0, 1e9


class Archive(NamedTuple):
    """What was measured of a part of lore."""

    mails: int
    archive: float
    """Bytes, packed by git."""
    rows: float
    """Bytes of what a replay keeps."""
    state: float
    """Bytes a mail of the watcher's database; 0 where it was not measured."""
    postings: int
    patches: int
    """In those that were reviewed."""
    reviewed: int
    seconds: float
    """Of processor time for the reviewed ones."""
    elsewhere: float
    """Of processor time for those that go with no tree."""
    beside: float = 0.0
    """Of processor time a posting for what is not in its row: reading the archive and the mails, git, starting."""

    @property
    def posted(self) -> float:
        """Postings among the mails."""
        return self.postings / self.mails

    @property
    def posting(self) -> float:
        """Seconds of processor time for a posting that is reviewed."""
        return self.seconds / self.reviewed + self.beside

    @property
    def patch(self) -> float:
        """The same for a patch."""
        return self.posting * self.reviewed / self.patches


def measured(
    rows: Sequence[ArchiveRow], mails: int, archive: float, kept: float, state: float, cpu: float = 0.0
) -> Archive:
    """The figures of a replay. cpu: processor time of the whole run, where it is known."""
    fit = [row for row in rows if row.fit]
    return Archive(
        mails=mails,
        archive=archive,
        rows=kept,
        state=state,
        postings=len(rows),
        patches=sum(row.patches for row in fit),
        reviewed=len(fit),
        seconds=sum(row.seconds for row in fit),
        elsewhere=sum(row.seconds for row in rows if not row.fit),
        beside=max(0.0, cpu - sum(row.seconds for row in rows)) / len(rows),
    )


def lines(found: Archive, mails: int, patches: int) -> Iterator[str]:
    """What was measured, and what it comes to, as two tables in Markdown."""
    yield "| measured | |"
    yield "|---|---|"
    yield f"| mails, of which postings | {found.mails:,}, {found.postings:,} |"
    yield f"| postings that were reviewed, and patches in them | {found.reviewed:,}, {found.patches:,} |"
    yield f"| processor time of a posting, of a patch | {found.posting:.2f} s, {found.patch:.2f} s |"
    yield f"| of this beside the review itself | {found.beside:.3f} s a posting |"
    yield f"| a posting that goes with no tree, beside that | {found.elsewhere / max(1, found.postings - found.reviewed):.4f} s |"
    yield f"| archive, a mail | {found.archive / found.mails / 1000:.2f} kB |"
    yield f"| rows of a replay, a posting | {found.rows / found.postings:.0f} bytes |"
    if found.state:
        yield f"| database of a watcher, a mail | {found.state / 1000:.2f} kB |"
    whole, day = mails * found.posted * found.posting, patches * found.patch
    yield ""
    yield f"| computed | {mails:,} mails | {patches:,} patches a day |"
    yield "|---|---|---|"
    yield f"| postings | {mails * found.posted:,.0f} | {patches * found.reviewed / found.patches:,.0f} |"
    yield f"| core hours | {whole / HOUR:,.0f} | {day / HOUR:.1f} |"
    yield f"| cores that are busy | {whole / DAY / 30:.1f} for 30 days | {day / DAY:.2f} all the time |"
    for name, size, unit in (
        ("archive", found.archive / found.mails, 1.0),
        ("rows", found.rows / found.postings, found.posted),
    ):
        yield f"| {name} | {mails * unit * size / GIGABYTE:,.1f} GB | |"
    if found.state:
        yield f"| database of a watcher | {mails * found.state / GIGABYTE:,.1f} GB | |"


def kept(database: Path) -> float:
    """Bytes a mail of a watcher's database."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        pages, size, mails = (
            connection.execute(text).fetchone()[0]
            for text in ("PRAGMA page_count", "PRAGMA page_size", "SELECT count(*) FROM mail")
        )
    return float(pages * size / mails) if mails else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("epoch", type=Path)
    parser.add_argument("--state", type=Path, help="state folder of a watcher that has read mails of it")
    parser.add_argument("--cpu", type=float, default=0.0, help="seconds of processor time of the whole replay (`time`)")
    parser.add_argument("--mails", type=int, default=20_000_000)
    parser.add_argument("--patches", type=int, default=5_000)
    asked = parser.parse_args()
    git = ["git", "-C", str(asked.epoch)]
    mails = int(subprocess.run([*git, "rev-list", "--count", "--all"], capture_output=True, check=True).stdout)
    packed = sum(file.stat().st_size for file in asked.epoch.rglob("*.pack"))
    state = kept(asked.state / "state.sqlite") if asked.state else 0.0
    found = measured(table.read(asked.rows), mails, packed, asked.rows.stat().st_size, state, asked.cpu)
    print("\n".join(lines(found, asked.mails, asked.patches)))


if __name__ == "__main__":
    main()
