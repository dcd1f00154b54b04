"""The rows of a replayed archive as a file: Parquet (extra `scale`) or JSON lines, and the journal of a run that goes on.

A row is kept as soon as its thread is done, in a journal beside the file, a line a thread; the file itself appears whole,
at the end. A run that was cut off reads its journal and does the rest; one about other trees or mails, or by
other code, does not take it.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Container, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from time import gmtime
from types import TracebackType
from typing import Any, Self

import msgspec

from reviewbot.archive.posting import ArchiveRow, ThreadDone
from reviewbot.report.files import check_target, put
from reviewbot.text import clean
from reviewbot.types import Outcome, ReviewError

PARQUET = ".parquet"
NEEDS = "needs pyarrow: install reviewbot[scale], or name a file that ends in .jsonl"


def check_name(file: Path) -> None:
    """Raises ReviewError where rows could not be written to, or read from, a file of this name."""
    if file.suffix == PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise ReviewError(f"{clean(str(file))} {NEEDS}")
    if file.suffix not in (PARQUET, ".jsonl"):
        raise ReviewError(f"{clean(str(file))}: rows are kept as .parquet or .jsonl")
    check_target(file)


class ArchiveJournal:
    """What a run has done so far, beside the file that it makes. Use it as a context manager."""

    def __init__(self, file: Path, run: str) -> None:
        """run: what it is of, as one line. Raises ReviewError where the journal there is of another run."""
        self.path = file.with_name(f"{file.name}.journal")
        self.done: dict[str, ThreadDone] = {}
        head = run.encode() + b"\n"
        kept = 0
        try:
            if self.path.exists():
                lines = self.path.read_bytes().split(b"\n")[:-1]  # what follows the last line end was cut off
                kept = self._taken(lines, run)
            self._out = self.path.open("ab", buffering=0)
            self._out.truncate(kept)
        except OSError as error:
            raise ReviewError(f"cannot keep results in {clean(str(self.path))}: {error.strerror or error}") from error
        if not kept:
            self._write(head)

    def _taken(self, lines: list[bytes], run: str) -> int:
        """Take over what was done; returns how many bytes of the journal are good."""
        if not lines:
            return 0
        if lines[0] != run.encode():
            raise ReviewError(
                f"{clean(str(self.path))} is of a run over other mails or trees, or by another reviewbot: remove it, or name"
                " another file"
            )
        kept = len(lines[0]) + 1
        with suppress(msgspec.MsgspecError):
            for line in lines[1:]:
                one = msgspec.json.decode(line, type=ThreadDone)
                self.done[one.thread] = one
                kept += len(line) + 1
        return kept

    def add(self, done: ThreadDone) -> None:
        """A thread is done."""
        self.done[done.thread] = done
        self._write(msgspec.json.encode(done) + b"\n")

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[self._out.write(line) :]
        except OSError as error:
            why = error.strerror or error
            raise ReviewError(
                f"cannot keep results in {clean(str(self.path))}: {why}; the same command goes on from there"
            ) from error

    def rows(self, wanted: Container[str]) -> list[ArchiveRow]:
        """The rows so far of the wanted threads, in the order of the archive."""
        found = [row for one in self.done.values() if one.thread in wanted for row in one.rows]
        return sorted(found, key=lambda row: (row.posted, row.thread, row.id, row.number))

    def close(self) -> None:
        """Close the journal; it stays."""
        self._out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def write(file: Path, rows: Iterable[ArchiveRow]) -> None:
    """Write the rows to a file, whole or not at all. Raises ReviewError where it cannot be written."""
    if file.suffix == PARQUET:
        put(file, _as_parquet(rows))
    else:
        put(file, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def read(file: Path) -> list[ArchiveRow]:
    """The rows of a file, or of the journal of a run that goes on. Raises ReviewError for a file that has none."""
    try:
        rows = _read_parquet(file) if file.suffix == PARQUET else _read_lines(file)
        for row in rows:
            _check(row)
    except OSError as error:
        raise ReviewError(f"cannot read {clean(str(file))}: {error.strerror or clean(str(error))}") from error
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise ReviewError(f"{clean(str(file))} has no rows of `reviewbot replay`: {clean(str(error))[:300]}") from error
    return rows


def _read_lines(file: Path) -> list[ArchiveRow]:
    lines = file.read_bytes().splitlines(keepends=True)
    if file.suffix != ".journal":
        return [msgspec.json.decode(line, type=ArchiveRow) for line in lines]
    if not lines or not re.fullmatch(rb"[0-9a-f]{64}\n", lines[0]):
        raise ValueError("its first line does not say what run it is of")
    whole = [line for line in lines[1:] if line.endswith(b"\n")]  # the last one of a run that was killed is not
    return [row for line in whole for row in msgspec.json.decode(line, type=ThreadDone).rows]


def _check(row: ArchiveRow) -> None:
    """Raises ValueError or OverflowError for what no run writes, and nobody could count."""
    gmtime(row.posted)
    if not math.isfinite(row.seconds):
        raise ValueError(f"{row.seconds} seconds is no time that a review took")
    for finding in row.findings:
        Outcome(finding.outcome)


def _as_parquet(rows: Iterable[ArchiveRow]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    text, number = pyarrow.string(), pyarrow.int32()
    finding = pyarrow.struct(
        [(name, text) for name in ("rule", "outcome", "at", "message", "reason")] + [("proven", pyarrow.bool_())]
    )
    kinds: dict[str, Any] = {"version": number, "patches": number, "number": number, "seconds": pyarrow.float64()}
    kinds |= {"findings": pyarrow.list_(finding), "posted": pyarrow.timestamp("s", tz="UTC")}
    schema = pyarrow.schema([(name, kinds.get(name, text)) for name in ArchiveRow.__struct_fields__])
    plain = [_plain(row) for row in rows]
    with pyarrow.BufferOutputStream() as out:
        parquet.write_table(pyarrow.Table.from_pylist(plain, schema=schema), out, compression="zstd")
        return bytes(out.getvalue())


def _plain(row: ArchiveRow) -> dict[str, Any]:
    """A row as a column store has it: all fields, the time in whole seconds."""
    fields = msgspec.structs.asdict(row)
    return fields | {"posted": int(row.posted), "findings": [msgspec.structs.asdict(s) for s in row.findings]}


def _read_parquet(file: Path) -> list[ArchiveRow]:
    if importlib.util.find_spec("pyarrow") is None:
        raise ReviewError(f"{clean(str(file))} {NEEDS}")
    from pyarrow import parquet

    rows = parquet.ParquetFile(file).read().to_pylist()
    times = [row.get("posted") for row in rows]
    if not all(isinstance(time, datetime) for time in times):
        raise ValueError("it has no column `posted` of times")
    return [
        msgspec.convert({**row, "posted": time.timestamp()}, ArchiveRow) for row, time in zip(rows, times, strict=True)
    ]
