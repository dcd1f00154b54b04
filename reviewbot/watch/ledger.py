"""The ledger of drafts: what waits, what was sent or dropped and never comes back, and who said what of a finding."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import and_, select

from reviewbot.key import finding_key
from reviewbot.types import ReviewError, Value, Verdict
from reviewbot.watch.schema import draft, judgement
from reviewbot.watch.store import Store


class DraftState(StrEnum):
    """Where a draft stands. RELEASING: handed to git send-email, which was not seen to end."""

    PENDING = "pending"
    RELEASING = "releasing"
    SENT = "sent"
    DROPPED = "dropped"
    SUPERSEDED = "superseded"


OPEN = (DraftState.PENDING, DraftState.RELEASING, DraftState.SUPERSEDED)
"""States in which a draft still waits for somebody."""


class Judged(StrEnum):
    """What was said of a finding: the author REFUTED or AGREED, the maintainer FALSE_POSITIVE or STANDS, v2 FIXED."""

    REFUTED = "refuted"
    AGREED = "agreed"
    FALSE_POSITIVE = "false positive"
    STANDS = "stands"
    FIXED = "fixed"


class DraftRow(Value, frozen=True):
    """A draft as the ledger has it; see the table `draft`."""

    name: str
    series: str
    lineage: str
    message_id: str
    subject: str
    state: DraftState
    made: float
    verdicts: str
    why: str = ""
    not_before: float = 0.0
    placed: str = ""
    delivery: str = ""

    def findings(self) -> tuple[Verdict, ...]:
        """The verdicts that the draft rests on."""
        return msgspec.json.decode(self.verdicts, type=tuple[Verdict, ...])


class JudgementRow(Value, frozen=True):
    """What was said of one finding in all versions of one series."""

    lineage: str
    finding: str
    rule: str
    kind: Judged
    by: str
    said_in: str
    at: float


class Tally(Value, frozen=True):
    """How the findings of one rule fared with people, each counted once for all versions of a series."""

    rule: str
    drafted: int
    wrong: int
    """Refuted by the author or marked by the maintainer as a false positive, and not upheld since."""
    right: int
    """The author agreed, a later version repaired it, or the maintainer upheld it."""


class Ledger:
    """Drafts and judgements of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, row: DraftRow, mail: bytes) -> bool:
        """Enter a draft. False, and nothing changes, when one of that name was ever entered: sent, dropped or not."""
        with self.store.transaction():
            if self.drafts(draft.c.name == row.name):
                return False
            self.store.put(draft, [{**msgspec.structs.asdict(row), "mail": mail}])
        return True

    def drafts(self, *where: Any) -> list[DraftRow]:
        """Drafts by conditions on the columns of `store_schema.draft`, oldest first."""
        columns = [draft.c[name] for name in DraftRow.__struct_fields__]
        return self.store.all(DraftRow, select(*columns).where(*where).order_by(draft.c.made, draft.c.name))

    def in_state(self, *states: DraftState) -> list[DraftRow]:
        """The drafts in one of some states."""
        return self.drafts(draft.c.state.in_(states))

    def find(self, name: str) -> DraftRow:
        """The draft of that name, or whose name begins so. ReviewError when there is none, or more than one."""
        found = self.drafts(draft.c.name.startswith(name, autoescape=True)) if name else []
        exact = [d for d in found if d.name == name] or found
        if len(exact) != 1:
            several = f": {', '.join(d.name for d in exact[:4])}" if exact else "; `reviewbot drafts` lists them"
            raise ReviewError(f"{'several drafts begin' if exact else 'no draft begins'} with `{name}`{several}")
        return exact[0]

    def mail(self, name: str) -> bytes:
        """The mail of a draft as it was made."""
        with self.store.transaction() as connection:
            return bytes(connection.execute(select(draft.c.mail).where(draft.c.name == name)).scalar_one())

    def unplaced(self) -> list[DraftRow]:
        """Pending drafts whose file has not been written; locked in the caller's transaction, so by one worker only."""
        columns = [draft.c[name] for name in DraftRow.__struct_fields__]
        where = and_(draft.c.placed == "", draft.c.state == DraftState.PENDING)
        return self.store.all(DraftRow, select(*columns).where(where).with_for_update(skip_locked=True))

    def change(self, name: str, only: Any = None, **values: Any) -> bool:
        """Set columns of one draft, if the condition `only` is true of it; returns whether that was so."""
        where = draft.c.name == name if only is None else and_(draft.c.name == name, only)
        with self.store.transaction() as connection:
            return connection.execute(draft.update().where(where).values(values)).rowcount == 1

    def supersede(self, series: Collection[str], by: str) -> None:
        """Mark what waits for an older version of a series."""
        with self.store.transaction() as connection:
            where = and_(draft.c.series.in_(series), draft.c.state == DraftState.PENDING)
            connection.execute(draft.update().where(where).values(state=DraftState.SUPERSEDED, why=f"there is {by}"))

    # --- what was said of findings -----------------------------------------------------------------------------------

    def judge(self, row: DraftRow, kind: Judged, by: str, said_in: str, only: Collection[str] | None = None) -> int:
        """Enter what somebody said of the findings of a draft (`only` of those with these keys); returns how many."""
        found = [v.finding for v in row.findings() if only is None or finding_key(v.finding) in only]
        rows = [
            JudgementRow(
                lineage=row.lineage,
                finding=finding_key(finding),
                rule=finding.rule,
                kind=kind,
                by=by,
                said_in=said_in,
                at=self.store.now(),
            )
            for finding in found
        ]
        self.store.put(judgement, [msgspec.structs.asdict(r) for r in rows])
        return len(rows)

    def judgements(self, lineage: str) -> list[JudgementRow]:
        """All that was said of the findings in a series, its other versions included."""
        where = judgement.c.lineage == lineage
        return self.store.all(JudgementRow, select(judgement).where(where).order_by(judgement.c.at))

    def silenced(self, lineage: str) -> dict[str, str]:
        """Finding key -> who said what against it: refuted or marked, and not upheld since. It is not raised again."""
        rows = self.judgements(lineage)
        upheld = {r.finding for r in rows if r.kind is Judged.STANDS}
        wrong = [r for r in rows if r.kind in (Judged.REFUTED, Judged.FALSE_POSITIVE) and r.finding not in upheld]
        return {r.finding: f"{r.kind} by {r.by} ({r.said_in})" for r in wrong}

    def tally(self) -> list[Tally]:
        """How each rule fared, by name of the rule."""
        drafted: dict[str, set[tuple[str, str]]] = {}
        for row in self.drafts():
            for verdict in row.findings():
                finding = verdict.finding
                drafted.setdefault(finding.rule, set()).add((row.lineage, finding_key(finding)))
        said: dict[tuple[str, str, str], set[Judged]] = {}
        for entry in self.store.all(JudgementRow, select(judgement)):
            said.setdefault((entry.rule, entry.lineage, entry.finding), set()).add(entry.kind)
        return [_tally(rule, places, said) for rule, places in sorted(drafted.items())]


def _tally(rule: str, places: Iterable[tuple[str, str]], said: dict[tuple[str, str, str], set[Judged]]) -> Tally:
    all_, right, wrong = list(places), 0, 0
    for place in all_:
        kinds = said.get((rule, *place), set())
        if Judged.STANDS in kinds:
            right += 1
        elif kinds & {Judged.REFUTED, Judged.FALSE_POSITIVE}:
            wrong += 1
        elif kinds & {Judged.AGREED, Judged.FIXED}:
            right += 1
    return Tally(rule=rule, drafted=len(all_), wrong=wrong, right=right)
