"""How often each rule was right, as the last recorded runs measured it: on cases that it was developed with (seen), and on
others, which alone count."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from math import sqrt
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import msgspec

FILE = "precision.json"
MAY_NACK = 0.9
"""A rule below this share of right NACKs may comment, not NACK."""
ENOUGH = 10
"""With fewer NACKs a rule counts as not measured, and its replay alone decides."""
On = Literal["seen", "blind", "replay", "flood"]
"""What was measured on: cases that the rules were developed with; labelled cases that nobody looked at; an archive of
mails; merged changes. Of the last two somebody read every NACK."""
COUNT: tuple[On, ...] = ("blind", "replay", "flood")
"""What decides whether a rule may NACK."""


def interval(count: int, of: int) -> tuple[float, float] | None:
    """The 95 % confidence interval of a share (Wilson's score); None without any case."""
    if not of:
        return None
    z = 1.959964
    share, spread = count / of, z * z / of
    middle = share + spread / 2
    half = z * sqrt(share * (1 - share) / of + spread / of / 4)
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


class Share(NamedTuple):
    """So many of so many."""

    some: int
    of: int

    @property
    def value(self) -> float | None:
        """The share; None without any case."""
        return self.some / self.of if self.of else None

    def as_json(self) -> dict[str, int | float | None]:
        """With the share and its 95 % interval, which are null without any case."""
        low, high = interval(self.some, self.of) or (None, None)
        return {"count": self.some, "of": self.of, "share": self.value, "low": low, "high": high}

    def __str__(self) -> str:
        bounds = interval(self.some, self.of)
        if bounds is None:
            return "none"
        return f"{self.some} of {self.of} = {self.some / self.of:.0%} ({bounds[0]:.0%} to {bounds[1]:.0%})"

    def short(self) -> str:
        """The same for a cell of a table: `4/8 50% (22-78)`."""
        bounds = interval(self.some, self.of)
        if bounds is None:
            return "-"
        return f"{self.some}/{self.of} {self.some / self.of:.0%} ({100 * bounds[0]:.0f}-{100 * bounds[1]:.0f})"


class Measured(msgspec.Struct, frozen=True, omit_defaults=True):
    """NACKs of one rule that were looked at."""

    right: int
    wrong: int

    @property
    def number(self) -> int:
        """How many NACKs were looked at."""
        return self.right + self.wrong

    @property
    def enough(self) -> bool:
        """False for a rule that counts as not measured."""
        return self.number >= ENOUGH

    @property
    def nacks(self) -> Share:
        """Right NACKs of all."""
        return Share(self.right, self.number)


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
    """Rule id -> its NACKs on all that counts, however few."""
    found: dict[str, Measured] = {}
    kept = recorded()
    for on in COUNT:
        for rule, more in kept.get(on, {}).items():
            was = found.get(rule, Measured(0, 0))
            found[rule] = Measured(was.right + more.right, was.wrong + more.wrong)
    return found


def may_nack(rule: str) -> bool:
    """False for a rule whose measured precision is too low to be said aloud; a rule that is not measured may. The interval
    decides nothing."""
    measured = load().get(rule)
    return measured is None or not measured.enough or measured.right >= MAY_NACK * measured.number


def record(rows: Iterable[Counted], on: On) -> Path:
    """Write the rows of a run on one kind of cases, and leave the others as they are; returns the file.

    Read by `load` from the next run on.
    """
    kept = recorded()
    kept[on] = {row.name: Measured(right=row.found, wrong=row.wrong) for row in rows}
    partial = file().with_suffix(".tmp")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
    partial.replace(file())
    load.cache_clear()
    return file()
