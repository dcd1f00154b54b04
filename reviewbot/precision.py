"""How often each rule was right, as the last recorded backtests measured it: on cases that it was developed with, and on
others."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from math import sqrt
from pathlib import Path
from typing import Literal, Protocol

import msgspec

FILE = "precision.json"
MAY_NACK = 0.9
"""A rule below this share of right NACKs may comment, not NACK."""
ENOUGH = 10
"""With fewer NACKs on cases that nobody looked at, a rule counts as not measured on them."""
On = Literal["seen", "unseen"]
"""The cases that were measured on: those that the rules were developed with, or others."""


class Measured(msgspec.Struct, frozen=True, omit_defaults=True):
    """NACKs of one rule over labelled patches."""

    right: int
    wrong: int
    on: On = "seen"

    @property
    def share(self) -> float | None:
        """Right NACKs of all; None without any."""
        return self.right / self.number if self.number else None

    @property
    def number(self) -> int:
        """How many NACKs were looked at."""
        return self.right + self.wrong


class Counted(Protocol):
    """A row of a backtest's table by rule."""

    @property
    def name(self) -> str:
        """Id of the rule."""

    @property
    def found(self) -> int:
        """Deadlocks that it NACKed."""

    @property
    def wrong(self) -> int:
        """Cases without a deadlock that it NACKed."""


Recorded = dict[On, dict[str, Measured]]


def file() -> Path:
    """The record, beside the rules that it speaks of."""
    return Path(str(files("heuristics"))) / FILE


def recorded() -> Recorded:
    """What was recorded of both kinds of cases: rule id -> its NACKs. Empty when there is nothing that can be read."""
    try:
        return msgspec.json.decode(file().read_bytes(), type=Recorded)
    except (OSError, msgspec.MsgspecError):
        return {}


@cache
def load() -> dict[str, Measured]:
    """Rule id -> the figures that count: those on unseen cases where there are enough, else those on seen ones."""
    found = dict(recorded().get("seen", {}))
    for rule, measured in recorded().get("unseen", {}).items():
        if measured.number >= ENOUGH:
            found[rule] = msgspec.structs.replace(measured, on="unseen")
    return found


def may_nack(rule: str) -> bool:
    """False for a rule whose measured precision is too low to be said aloud; a rule without figures may."""
    measured = load().get(rule)
    return measured is None or measured.share is None or measured.share >= MAY_NACK


def record(rows: Iterable[Counted], on: On) -> Path:
    """Write the rows of a backtest on one kind of cases, and leave the other as it is; returns the file.

    Read by `load` from the next run on.
    """
    kept = recorded()
    kept[on] = {row.name: Measured(right=row.found, wrong=row.wrong) for row in rows}
    partial = file().with_suffix(".tmp")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
    partial.replace(file())
    load.cache_clear()
    return file()


def interval(count: int, of: int) -> tuple[float, float] | None:
    """The 95 % confidence interval of a share (Wilson's score); None without any case."""
    if not of:
        return None
    z = 1.959964
    share, spread = count / of, z * z / of
    middle = share + spread / 2
    half = z * sqrt(share * (1 - share) / of + spread / of / 4)
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
