"""What of a series was not seen, a clause each: the same words for the terminal, for the JSON and for the mail."""

from __future__ import annotations

from collections.abc import Sequence

from reviewbot.text import clean, ranges
from reviewbot.types import Prerequisite, Series, Unread

MOST = 3
"""Functions that are named."""


def gaps(series: Series, prerequisites: Sequence[Prerequisite] = (), unread: Sequence[Unread] = ()) -> tuple[str, ...]:
    """What is missing, and what could not be read; each as a clause without a full stop."""
    found = []
    if series.missing:
        verb = "is" if len(series.missing) == 1 else "are"
        found.append(f"{ranges(series.missing)} of {series.expected} {verb} missing")
    lost = [clean(str(p)) for p in prerequisites if p.state == "missing"]
    if lost:
        found.append(f"{'prerequisites' if lost[1:] else 'prerequisite'} {_listed(lost)} {_verb(lost)} missing")
    if unread:
        found.append(f"{_listed([clean(str(one)) for one in unread])} could not be read")
    return tuple(found)


def _verb(items: Sequence[str]) -> str:
    return "are" if items[1:] else "is"


def _listed(items: Sequence[str]) -> str:
    shown = [*items[:MOST], *([f"{len(items) - MOST} more"] if items[MOST:] else [])]
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)
