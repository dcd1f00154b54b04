"""Reads what is new in a list: from its epochs or from IMAP into the database, a batch of mails at a time.

The mails of a batch, the series they make and the cursor behind them are one transaction. The try at a batch is
counted before it, so a mail that ends the watcher itself (its child, it may end as it likes) is found by taking that
batch one by one, and set aside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from reviewbot.key import draft_name, is_ours
from reviewbot.text import clean
from reviewbot.types import Value
from reviewbot.watch.child import HeadReader, UnreadableMail
from reviewbot.watch.ledger import OPEN, DraftState, Judged, Ledger
from reviewbot.watch.mail import Head
from reviewbot.watch.schema import draft, mail, series
from reviewbot.watch.series import Posting, Skip, settle
from reviewbot.watch.store import Kind, MailRow, Store

BATCH = 200
TRIES = 3

Progress = Callable[[str, int, int], None]
"""Name of the source, mails read, mails to read."""


class Item(Value, frozen=True):
    """A mail that is to be read: where the cursor stands behind it, and when the archive took it."""

    position: str
    arrived: float


class MailSource(Protocol):
    """Something that mails are read from, in order."""

    name: str

    def read(self, item: Item, most: int) -> tuple[str, bytes] | None:
        """(reference for reading it again, content up to `most` bytes and one), or None when there is no mail."""


def walk(
    store: Store,
    list_: str,
    source: MailSource,
    items: Sequence[Item],
    heads: HeadReader,
    skip: Skip,
    progress: Progress,
) -> int:
    """Take the mails of `items` into the database; returns how many were new. Raises Unstored, Unreachable."""
    cursor = store.cursor(list_, source.name)
    done = new = 0
    while done < len(items):
        progress(source.name, done, len(items))
        if cursor.tries >= TRIES and not cursor.singly:
            cursor = msgspec.structs.replace(cursor, tries=0, singly=BATCH)
        part = items[done : done + (1 if cursor.singly else BATCH)]
        poison = cursor.tries >= TRIES
        store.set_cursor(list_, source.name, msgspec.structs.replace(cursor, tries=cursor.tries + 1))
        read = [_row(list_, source, item, heads, poison) for item in part]
        rows = [r for r in read if r is not None]
        cursor = msgspec.structs.replace(
            cursor, position=part[-1].position, tries=0, singly=max(0, cursor.singly - len(part))
        )
        with store.transaction():
            new += take(store, rows, skip)
            store.set_cursor(list_, source.name, cursor)
        done += len(part)
    progress(source.name, done, len(items))
    return new


def take(store: Store, rows: Sequence[MailRow], skip: Skip) -> int:
    """Remember mails and draw the conclusions; returns how many were new. One transaction."""
    with store.transaction():
        fresh: dict[str, MailRow] = {}
        known = store.known([r.id for r in rows])
        for row in rows:
            if row.id not in known:
                fresh.setdefault(row.id, row)
        store.add_mails(fresh.values())
        again = [r for r in rows if r.id in known and r.kind in (Kind.PATCH, Kind.COVER)]
        settle(store, [*fresh.values(), *_posted_again(store, again, skip)], skip, store.now())
        for row in fresh.values():
            if is_ours(row.id) or (row.parent and is_ours(row.parent)):
                _answers(store, row)
    return len(fresh)


def _posted_again(store: Store, rows: Sequence[MailRow], skip: Skip) -> list[MailRow]:
    """Patches that came by another list before: where only this one wants reviews, they are read as this one's."""
    moved = []
    for row in rows:
        there = store.mails(mail.c.id == row.id)[0]
        if there.list != row.list and _skips(there, skip) and not _skips(row, skip):
            store.change_mails([row.id], list=row.list, source=row.source, ref=row.ref)
            moved.append(msgspec.structs.replace(there, list=row.list, source=row.source, ref=row.ref))
    return moved


def _skips(row: MailRow, skip: Skip) -> bool:
    return bool(skip(Posting(row, (row,))))


def _answers(store: Store, row: MailRow) -> None:
    """A mail of ours on the list was sent; what the author of the series says to it counts for its findings."""
    ledger = Ledger(store)
    if is_ours(row.id):
        for sent in ledger.drafts(draft.c.name == draft_name(row.id), draft.c.state.in_(OPEN)):
            ledger.change(sent.name, state=DraftState.SENT, why="seen on the list")
        return
    for answered in ledger.drafts(draft.c.name == draft_name(row.parent)):
        if answered.state in OPEN:
            ledger.change(answered.name, state=DraftState.SENT, why="answered on the list")
        author = store.series(series.c.key == answered.series, series.c.author == row.author)
        if author:
            kind = Judged.AGREED if row.agrees else Judged.REFUTED
            ledger.judge(answered, kind, by=row.author, said_in=row.id)


def _row(list_: str, source: MailSource, item: Item, heads: HeadReader, poison: bool) -> MailRow | None:
    if poison:
        return _broken(list_, source, item, "", f"{TRIES} times the watcher ended at it")
    found = source.read(item, heads.limits.mail)
    if found is None:
        return None
    ref, raw = found
    fault = ""
    for _ in range(TRIES):
        try:
            head = heads.read(raw)
            break
        except UnreadableMail as error:
            fault = str(error)
    else:
        return _broken(list_, source, item, ref, f"{fault}, {TRIES} times")
    return _of(head, list_, source, item, ref)


def _of(head: Head, list_: str, source: MailSource, item: Item, ref: str) -> MailRow:
    known = msgspec.structs.asdict(head)
    kind = Kind(known.pop("kind"))
    if not head.id:
        known |= {"id": f"!{ref}", "fault": head.fault or "no message-id"}
        kind = Kind.BROKEN
    return MailRow(list=list_, source=source.name, ref=ref, arrived=item.arrived, kind=kind, **known)


def _broken(list_: str, source: MailSource, item: Item, ref: str, fault: str) -> MailRow:
    name = f"!{ref or item.position}"
    return MailRow(
        id=name, list=list_, source=source.name, ref=ref, arrived=item.arrived, kind=Kind.BROKEN, fault=clean(fault)
    )
