"""A watcher's database with a few series in it."""

from __future__ import annotations

from functools import cache

import checking
import msgspec

from reviewbot.bench.demo import examine_case
from reviewbot.drafts import deliver
from reviewbot.types import Decision, Finding, Outcome, Place, Reply, Verdict
from reviewbot.watch.ledger import DraftRow, DraftState, Judged, Ledger
from reviewbot.watch.result import WorkResult
from reviewbot.watch.store import Kind, MailRow, SeriesRow, SeriesState, Store
from reviewbot.watch.work import shown_change

HOSTILE = "<script>alert(1)</script>\"'&\u202e"
CASE = "lock-order/table-under-depot"


@cache
def nack() -> WorkResult:
    """The result of a review with a schedule."""
    review = examine_case(checking.case(CASE))
    return WorkResult(
        Decision.NACK,
        verdicts=review.verdicts,
        checked=review.checked,
        change=shown_change(review),
        events=review.events,
        code=review.code,
        since="since v1: 1 new finding",
    )


def add(store: Store, number: int, result: WorkResult | None, **more: object) -> SeriesRow:
    """A series of two patches, with its mails."""
    key = f"{number:024x}"
    lead = f"{number}-0@x.example"
    values: dict[str, object] = {
        "key": key, "list": "dm-devel", "lead": lead, "author": "ann@dev.example", "subject": f"[PATCH 0/2] change {number}",
        "title": f"change {number}", "version": 1, "expected": 2, "present": 2, "root": lead, "change_id": "", "lineage": key,
        "previous": "", "arrived": 1.7e9 + number * 60, "first_seen": 1.0,
        "state": SeriesState.DONE if result else SeriesState.WAITING, "reason": result.reason if result else "",
        "decision": result.decision if result else "", "result": msgspec.json.encode(result).decode() if result else "",
    }  # fmt: skip
    row = SeriesRow(**{**values, **more})  # type: ignore[arg-type]
    store.add_series(row)
    kinds = (Kind.COVER, Kind.PATCH, Kind.PATCH)
    store.add_mails(
        MailRow(f"{number}-{n}@x.example", row.list, "0", "b", row.arrived, kind, number=n, expected=2, series=key)
        for n, kind in enumerate(kinds)
    )
    return row


def fill(store: Store) -> dict[str, SeriesRow]:
    """One series of each kind, by what it is."""
    doubt = Verdict(
        Finding("lock-order", Place("a.c", 3, "f"), "takes x under y"), Outcome.INCONCLUSIVE, reason="a limit"
    )
    found = {
        "ack": add(store, 1, WorkResult(Decision.ACK, checked=("the order of locks",))),
        "nack": add(store, 2, nack(), version=2, lineage=f"{1:024x}", previous=f"{1:024x}"),
        "comment": add(store, 3, WorkResult(Decision.COMMENT, "f() could not be read", (doubt,)), list="linux-block"),
        "unreviewed": add(store, 4, WorkResult(Decision.UNREVIEWED, "does not apply: a.c has changed")),
        "waiting": add(store, 5, None, present=1, reason="1 of 2 patches are there"),
        "hostile": add(store, 6, WorkResult(Decision.ACK, HOSTILE), subject=HOSTILE, author=HOSTILE, list=HOSTILE),
    }
    verdicts = tuple(v for v in nack().verdicts if v.outcome is Outcome.CONFIRMED)
    headers = (("From", "m@x.example"), ("To", "ann@dev.example"), ("Subject", "Re: [PATCH 1/2] change 2"))
    more = (
        ("In-Reply-To", "<2-1@x.example>"),
        ("Message-ID", "<d@x.example>"),
        ("Date", "Tue, 14 Nov 2023 22:13:20 +0000"),
    )
    reply = Reply((*headers, *more), "> +\tmutex_lock(&d->lock);\n\nThis can deadlock.\n", verdicts)
    ledger = Ledger(store)
    draft = DraftRow(
        "d1", found["nack"].key, found["nack"].lineage, "<d@x.example>", "Re: change 2", DraftState.PENDING, 1.0,
        msgspec.json.encode(verdicts).decode(),
    )  # fmt: skip
    ledger.add(draft, deliver.as_bytes(reply))
    ledger.judge(draft, Judged.AGREED, by="ann", said_in="a@x.example")
    return found
