"""How often each rule was right, as the last recorded backtest measured it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Protocol

import msgspec

FILE = "precision.json"
MAY_NACK = 0.9
"""A rule below this share of right NACKs may comment, not NACK."""


class Measured(msgspec.Struct, frozen=True):
    """NACKs of one rule over labelled patches."""

    right: int
    wrong: int

    @property
    def share(self) -> float | None:
        """Right NACKs of all; None without any."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None


class Counted(Protocol):
    """A row of a backtest's table by rule."""

    @property
    def name(self) -> str: ...
    @property
    def found(self) -> int: ...
    @property
    def wrong(self) -> int: ...


def file() -> Path:
    """The record, beside the rules that it speaks of."""
    import heuristics

    return Path(heuristics.__path__[0]) / FILE


@cache
def load() -> dict[str, Measured]:
    """Rule id -> what was measured. Empty when nothing has been recorded yet."""
    try:
        return msgspec.json.decode(file().read_bytes(), type=dict[str, Measured])
    except (OSError, msgspec.MsgspecError):
        return {}


def may_nack(rule: str) -> bool:
    """False for a rule whose measured precision is too low to be said aloud; a rule without figures may."""
    measured = load().get(rule)
    return measured is None or measured.share is None or measured.share >= MAY_NACK


def record(rows: Iterable[Counted]) -> Path:
    """Write the rows of a backtest; returns the file. Read by `load` from the next run on."""
    table = {row.name: Measured(right=row.found, wrong=row.wrong) for row in rows}
    partial = file().with_suffix(".tmp")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(table)) + b"\n")
    partial.replace(file())
    load.cache_clear()
    return file()
