"""All series without their results: enough to see which of them changed since somebody looked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import func, select

from reviewbot.types import Value
from reviewbot.watch.ledger import DraftRow, Ledger
from reviewbot.watch.schema import draft, mail, series
from reviewbot.watch.store import Kind, SeriesRow, SeriesState, Store

T = TypeVar("T")
AT_ONCE = 500
"""Keys in one question: a database takes no more than some thousand."""


class SeriesOutline(Value, frozen=True):
    """One version of a series; see the table `series`. `size` is that of its result, in characters."""

    key: str
    list: str
    lead: str
    author: str
    subject: str
    version: int
    expected: int
    present: int
    lineage: str
    previous: str
    arrived: float
    state: SeriesState
    reason: str
    tries: int
    decision: str
    size: int


class Posted(Value, frozen=True):
    """A patch or cover letter of a series."""

    id: str
    series: str
    kind: Kind
    number: int


def outlines(store: Store) -> list[SeriesOutline]:
    """All series, the oldest first."""
    names = [name for name in SeriesOutline.__struct_fields__ if name != "size"]
    columns = (*(series.c[name] for name in names), func.length(series.c.result).label("size"))
    return store.all(SeriesOutline, select(*columns).order_by(series.c.arrived, series.c.key))


def rows(store: Store, keys: Collection[str]) -> dict[str, SeriesRow]:
    """Some series with their results, by key."""
    found = [store.all(SeriesRow, select(series).where(series.c.key.in_(some))) for some in _some(list(keys))]
    return {row.key: row for part in found for row in part}


def posted(store: Store, keys: Collection[str]) -> dict[str, list[Posted]]:
    """The patches and cover letters of some series, in order of their numbers."""
    found: dict[str, list[Posted]] = {}
    columns = [mail.c[name] for name in Posted.__struct_fields__]
    for some in _some(list(keys)):
        where = mail.c.series.in_(some) & mail.c.kind.in_((Kind.PATCH, Kind.COVER))
        for one in store.all(Posted, select(*columns).where(where).order_by(mail.c.number, mail.c.arrived)):
            found.setdefault(one.series, []).append(one)
    return found


def drafts(store: Store, keys: Collection[str] | None = None) -> dict[str, list[DraftRow]]:
    """The drafts of some series (of all, where none are named), the oldest first."""
    ledger, found = Ledger(store), dict[str, list[DraftRow]]()
    questions = [[]] if keys is None else [[draft.c.series.in_(some)] for some in _some(list(keys))]
    for where in questions:
        for row in ledger.drafts(*where):
            found.setdefault(row.series, []).append(row)
    return found


def _some(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(items), AT_ONCE):
        yield items[begin : begin + AT_ONCE]
