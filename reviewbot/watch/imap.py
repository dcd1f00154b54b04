"""Reads a list from an IMAP folder, for lists without a public-inbox: by UID, the folder itself is not changed.

Mails are kept in the state folder, because a mail program may move or delete them before they are reviewed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imapclient.exceptions import IMAPClientError

from reviewbot.drafts import deliver, imap
from reviewbot.mail.epochs import Unreachable
from reviewbot.watch.child import HeadReader
from reviewbot.watch.config import MailingList
from reviewbot.watch.series import Skip
from reviewbot.watch.store import Cursor, Store
from reviewbot.watch.walk import Item, Progress, walk

NAME = "imap"
DAY = 86400.0


class ImapSource:
    """Mails of a selected folder; the position of a mail is `uidvalidity:uid`."""

    name = NAME

    def __init__(self, client: Any, mails: Path) -> None:
        self.client = client
        self.mails = mails

    def read(self, item: Item, most: int) -> tuple[str, bytes] | None:
        """Fetch a mail without marking it as read, keep it, and give its name; None when it is gone."""
        uid = int(item.position.rpartition(":")[2])
        with _reachable(self.name):
            part = self.client.fetch([uid], [f"BODY.PEEK[]<0.{most + 1}>"]).get(uid, {})
        raw = next((value for key, value in part.items() if key.startswith(b"BODY[]")), None)
        if raw is None:
            return None
        data = bytes(raw).replace(b"\r\n", b"\n")
        name = f"{hashlib.sha256(data).hexdigest()[:40]}.eml"
        if not (self.mails / name).exists():
            deliver.write(self.mails / name, data)
        return name, data


def poll_imap(
    store: Store, list_: MailingList, mails: Path, heads: HeadReader, skip: Skip, progress: Progress, now: float
) -> int:
    """Read what is new in the folder of a list; returns how many mails were. Raises Unreachable, Unstored."""
    place = imap.parse(list_.imap, default_folder="INBOX")
    client = imap.connect(place)
    try:
        with _reachable(str(place)):
            validity = int(client.select_folder(place.folder, readonly=True)[b"UIDVALIDITY"])
            cursor = store.cursor(list_.name, NAME)
            if not cursor.floor:
                cursor = Cursor(floor=max(1.0, now - list_.look_back_days * DAY))
                store.set_cursor(list_.name, NAME, cursor)
            uids = _new_uids(client, cursor, validity)
            dates = client.fetch(uids, ["INTERNALDATE"]) if uids else {}
        items = [Item(f"{validity}:{uid}", _arrived(dates.get(uid, {}), now)) for uid in uids]
        items = [i for i in items if i.arrived >= cursor.floor]
        return walk(store, list_.name, ImapSource(client, mails), items, heads, skip, progress)
    finally:
        client.shutdown()


def can_be_read(url: str) -> None:
    """Log in and open the folder. Unreachable or ReviewError when that is not possible."""
    place = imap.parse(url, default_folder="INBOX")
    client = imap.connect(place)
    try:
        with _reachable(str(place)):
            client.select_folder(place.folder, readonly=True)
    finally:
        client.shutdown()


def _new_uids(client: Any, cursor: Cursor, validity: int) -> list[int]:
    """UIDs after the cursor. Where the server numbered the folder anew, all since the floor: known ids are skipped."""
    known, _, last = cursor.position.partition(":")
    if known == str(validity):
        return sorted(uid for uid in client.search(["UID", f"{int(last) + 1}:*"]) if uid > int(last))
    day = datetime.fromtimestamp(max(0.0, cursor.floor - DAY), UTC).date()
    return sorted(client.search(["SINCE", day]))


def _arrived(facts: dict[bytes, Any], now: float) -> float:
    when = facts.get(b"INTERNALDATE")
    return when.timestamp() if isinstance(when, datetime) else now


@contextmanager
def _reachable(what: str) -> Iterator[None]:
    try:
        yield
    except (IMAPClientError, OSError, KeyError) as error:
        raise Unreachable(f"{what}: {error}") from error
