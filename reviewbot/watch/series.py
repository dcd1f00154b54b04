"""Mails that arrived -> series, their versions, and what is to be done with them. Works on rows, reads no mail.

It makes no difference in which order the mails of a series arrive, or in how many polls: the same mails give the same
series. A series is asked for when it is complete; a late patch completes it whenever it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from reviewbot.key import key_of
from reviewbot.types import Value
from reviewbot.watch.ledger import Ledger
from reviewbot.watch.schema import mail, series
from reviewbot.watch.store import Kind, MailRow, SeriesRow, SeriesState, Store

POSTED = (Kind.PATCH, Kind.COVER)
UNTOUCHED = (SeriesState.WAITING, SeriesState.READY, SeriesState.SKIPPED, SeriesState.SUPERSEDED)
"""States of a series on which no work was done, as long as no try was counted."""
ALONE = 3600.0
"""Seconds within which patches that were sent without threading are taken for one series."""


class Posting(Value, frozen=True):
    """Mails that are one version of a series: `lead` is its cover letter or else its first patch."""

    lead: MailRow
    members: tuple[MailRow, ...]

    @property
    def missing(self) -> int:
        """How many patches have not arrived."""
        return self.lead.expected - len({m.number for m in self.members if m.kind is Kind.PATCH})

    @property
    def arrived(self) -> float:
        """When the archive took the newest of them."""
        return max(m.arrived for m in self.members)


Skip = Callable[[Posting], str]
"""Why a posting is not to be reviewed; empty when it is."""


def postings(rows: Sequence[MailRow]) -> list[Posting]:
    """The postings in mails of one author, version, length and thread, which are given in the order of arrival."""
    if rows and not rows[0].counted:
        return [Posting(row, (row,)) for row in rows if row.kind is Kind.PATCH]
    leads = [r for r in rows if r.kind is Kind.COVER] or [r for r in rows if r.number == 1]
    members: dict[str, dict[tuple[Kind, int], MailRow]] = {lead.id: {(lead.kind, lead.number): lead} for lead in leads}
    for row in rows:
        if leads and row.id not in members:
            members[_lead_of(row, leads, rows).id].setdefault((row.kind, row.number), row)
    found = []
    for lead in leads:
        mine = sorted(members[lead.id].values(), key=lambda m: (m.number, m.arrived, m.id))
        found.append(Posting(lead, tuple(m for m in mine if m.number <= lead.expected)))
    return found


def _lead_of(row: MailRow, leads: Sequence[MailRow], rows: Sequence[MailRow]) -> MailRow:
    """Of several series of the same shape in one thread: the one that the mail answers, else the last before it."""
    by_id = {r.id: r for r in rows}
    above = row
    for _ in rows:
        if above.id in {lead.id for lead in leads}:
            return above
        if above.parent not in by_id:
            break
        above = by_id[above.parent]
    before = [lead for lead in leads if (lead.arrived, lead.id) <= (row.arrived, row.id)]
    return before[-1] if before else leads[0]


def settle(store: Store, new: Iterable[MailRow], skip: Skip, now: float) -> set[str]:
    """Put new patches and cover letters into their series; returns the keys of the series they are in.

    Part of the transaction that remembers the mails. `now` is when we see them, seconds since 1970.
    """
    shapes: dict[tuple[str, str, int, int], None] = {}
    for row in new:
        if row.kind in POSTED:
            root = _rooted(store, row)
            shapes[(root, row.author, row.version, row.expected)] = None
    touched: set[str] = set()
    for root, author, version, expected in shapes:
        same = (mail.c.root == root, mail.c.author == author, mail.c.version == version, mail.c.expected == expected)
        rows = store.mails(*same, mail.c.kind.in_(POSTED))
        for posting in postings([r for r in rows if r.counted]) + postings([r for r in rows if not r.counted]):
            touched.add(_enter(store, posting, skip, now))
    return touched


def _rooted(store: Store, row: MailRow) -> str:
    """The thread of a patch: where its headers tell too little, its series' other mails help. Order does not matter."""
    shape = (mail.c.author == row.author, mail.c.version == row.version, mail.c.expected == row.expected)
    posted = mail.c.counted & mail.c.kind.in_(POSTED)
    if not row.counted:
        return row.root
    if not row.parent:
        near = mail.c.arrived.between(row.arrived - ALONE, row.arrived + ALONE)
        loose = store.mails(*shape, posted, mail.c.parent == "", near)
        heads = [r for r in loose if r.number == 0] or [r for r in loose if r.number == 1]
        if row.number > 1 and heads:
            return _move(store, [row], heads[0].root)
        if row in heads[:1]:
            _move(store, [r for r in loose if r.number > row.number], row.root)
    root = row.root
    for _ in range(row.expected):
        above = store.mails(*shape, posted, mail.c.id == root, mail.c.root != root)
        if not above:
            break
        root = above[0].root
    _move(store, [row], root)
    _move(store, store.mails(*shape, posted, mail.c.root == row.id, mail.c.id != row.id), root)
    return root


def _move(store: Store, rows: Collection[MailRow], root: str) -> str:
    stray = [r.id for r in rows if r.root != root]
    if stray:
        store.change_mails(stray, root=root)
    return root


def _enter(store: Store, posting: Posting, skip: Skip, now: float) -> str:
    """Make or bring up to date the row of a series; returns its key."""
    lead = posting.lead
    key = key_of(lead.author, lead.id, lead.version)
    earlier = {m.series for m in posting.members if m.series} - {key}
    for old in store.series(series.c.key.in_(earlier)):
        if old.state not in UNTOUCHED or old.tries:
            key = old.key  # its cover letter came when the work was done: it stays that series
        else:
            store.drop_series(old.key)
    store.change_mails([m.id for m in posting.members if m.series != key], series=key)
    there = store.series(series.c.key == key)
    present = lead.expected - posting.missing
    if there and (there[0].state not in UNTOUCHED or there[0].tries):
        store.change_series(key, present=max(present, there[0].present))
        return key
    state, reason = _what_to_do(store, posting, skip)
    if there:
        store.change_series(key, state=state, reason=reason, present=present, arrived=posting.arrived, list=lead.list)
        row = msgspec.structs.replace(there[0], state=state, arrived=posting.arrived)
    else:
        row = SeriesRow(
            key=key, list=lead.list, lead=lead.id, author=lead.author, subject=lead.subject, title=lead.title,
            version=lead.version, expected=lead.expected, present=present, root=lead.root,
            change_id=next((m.change_id for m in posting.members if m.change_id), ""), lineage=key, previous="",
            arrived=posting.arrived, first_seen=now, state=state, reason=reason,
        )  # fmt: skip
        row = _related(store, row)
        store.add_series(row)
    if row.state in (SeriesState.READY, SeriesState.WAITING):
        overtake(store, row)
    return key


def _what_to_do(store: Store, posting: Posting, skip: Skip) -> tuple[SeriesState, str]:
    lead = posting.lead
    reason = skip(posting)
    if reason:
        return SeriesState.SKIPPED, reason
    if posting.missing > 0:
        return SeriesState.WAITING, f"{lead.expected - posting.missing} of {lead.expected} patches are there"
    if lead.kind is Kind.PATCH and lead.counted and lead.parent and not store.known([lead.parent]):
        return SeriesState.WAITING, "what it answers, perhaps its cover letter, is not there"
    return SeriesState.READY, ""


def _related(store: Store, row: SeriesRow) -> SeriesRow:
    """The row with its lineage, and the version before it."""
    same = (series.c.author == row.author) & ((series.c.title == row.title) | (series.c.root == row.root))
    if row.change_id:
        same = same | (series.c.change_id == row.change_id)
    others = [s for s in store.series(same, series.c.key != row.key) if not _rival(s, row)]
    if not others:
        return row
    older = [s for s in others if (s.version, s.arrived) < (row.version, row.arrived)]
    previous = max(older, key=lambda s: (s.version, s.arrived)).key if older else ""
    return msgspec.structs.replace(row, lineage=others[0].lineage, previous=previous)


def _rival(one: SeriesRow, other: SeriesRow) -> bool:
    """Two postings of one version in one thread are alternatives, not versions of each other."""
    return one.version == other.version and one.root == other.root and one.title != other.title


def overtake(store: Store, row: SeriesRow) -> None:
    """Nobody needs a review of a version that has a successor: of two, the older one is superseded."""
    lineage = store.series(series.c.lineage == row.lineage, series.c.key != row.key)
    newer = [
        s for s in lineage if s.version > row.version and s.state not in (SeriesState.WAITING, SeriesState.SKIPPED)
    ]
    if newer:
        store.change_series(row.key, state=SeriesState.SUPERSEDED, reason=f"v{newer[-1].version} is there")
        return
    if row.state is SeriesState.WAITING:
        return
    older = [s for s in lineage if s.version < row.version]
    for old in older:
        if old.state in (SeriesState.WAITING, SeriesState.READY):
            store.change_series(old.key, state=SeriesState.SUPERSEDED, reason=f"v{row.version} is there")
    Ledger(store).supersede([s.key for s in older], f"v{row.version}")


def ripen(store: Store, seconds: float, now: float, fetch: bool = False) -> int:
    """Stop waiting for cover letters that did not come within `seconds`; returns how many series that made ready.

    A clock that was set back lets a series wait once more, not for ever. Series that lack patches go on waiting, unless
    what they lack can be fetched.
    """
    ready = 0
    least = series.c.present > 0 if fetch else series.c.present == series.c.expected
    with store.transaction():
        for row in store.series(series.c.state == SeriesState.WAITING, least):
            if now < row.first_seen:
                store.change_series(row.key, first_seen=now)
            elif now - row.first_seen >= seconds:
                store.change_series(row.key, state=SeriesState.READY, reason="")
                overtake(store, msgspec.structs.replace(row, state=SeriesState.READY))
                ready += 1
    return ready
