"""What the watcher knows, in a database: mails, series, how far each list was read. SQLite, or PostgreSQL by URL.

Rows and cursor move in one transaction, a try is counted before the work it is for, and a claim names its worker, so
that a process that is gone is seen to be gone. Drafts and what became of them are in `store_drafts`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, and_, create_engine, event, func, or_, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.sql.expression import ColumnElement

from reviewbot.types import ReviewError, Value
from reviewbot.watch.schema import cursor, mail, migrate, series

T = TypeVar("T")
PATIENCE = 60
"""Seconds to wait for another process to finish with the database."""


class Unstored(ReviewError):
    """The database cannot be read or written now: full disk, server gone. Nothing was half done."""


class Kind(StrEnum):
    """What a mail is to a reviewer. BROKEN: it could not be read in three tries."""

    PATCH = "patch"
    COVER = "cover"
    REPLY = "reply"
    OTHER = "other"
    BROKEN = "broken"


class SeriesState(StrEnum):
    """Where a series stands. From WAITING (not complete) over READY and WORKING to one of the others."""

    WAITING = "waiting"
    READY = "ready"
    WORKING = "working"
    DONE = "done"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"
    SET_ASIDE = "set aside"


class Cursor(Value, frozen=True):
    """How far one source of a list was read; see the table `cursor`."""

    position: str = ""
    fingerprint: str = ""
    floor: float = 0.0
    tries: int = 0
    singly: int = 0


class MailRow(Value, frozen=True):
    """A mail as the watcher remembers it; its text stays in the archive, where `source` finds it by `ref`."""

    id: str
    list: str
    source: str
    ref: str
    arrived: float
    kind: Kind
    author: str = ""
    subject: str = ""
    title: str = ""
    version: int = 1
    number: int = 1
    expected: int = 1
    counted: bool = False
    parent: str = ""
    root: str = ""
    change_id: str = ""
    program: str = ""
    agrees: bool = False
    fault: str = ""
    series: str = ""


class SeriesRow(Value, frozen=True):
    """One version of a series; see the table `series`."""

    key: str
    list: str
    lead: str
    author: str
    subject: str
    title: str
    version: int
    expected: int
    present: int
    root: str
    change_id: str
    lineage: str
    previous: str
    arrived: float
    first_seen: float
    state: SeriesState
    reason: str = ""
    tries: int = 0
    worker: str = ""
    until: float = 0.0
    decision: str = ""
    result: str = ""


class ReasonCount(Value, frozen=True):
    """How many series there are for a reason."""

    reason: str
    count: int


class Store:
    """An open database. Each method is one transaction, or part of the `transaction` that it is called in."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._connection: Connection | None = None

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the database at an SQLAlchemy URL, made or brought up to date where needed. Unstored, ReviewError."""
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() == "sqlite":
                if parsed.database and parsed.database != ":memory:":
                    file = Path(parsed.database)
                    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    file.touch(mode=0o600)  # what SQLite adds beside it has the same mode
                engine = create_engine(parsed, connect_args={"timeout": PATIENCE})
                event.listen(engine, "connect", _sqlite_connect)
                event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE") and None)
            elif parsed.get_backend_name() == "postgresql":
                engine = create_engine(parsed, pool_pre_ping=True)
            else:
                raise ReviewError(f"no database of kind {parsed.get_backend_name()}: sqlite or postgresql")
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise ReviewError(f"not a database address: {url} ({error})") from error
        except OSError as error:
            raise Unstored(f"no state folder: {error}") from error
        store = cls(engine)
        with store.transaction() as connection:
            migrate(connection)
        return store

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All that is done in it happens, or nothing of it. One inside another is part of it."""
        if self._connection is not None:
            yield self._connection
            return
        try:
            with self.engine.begin() as connection:
                self._connection = connection
                yield connection
        except DBAPIError as error:
            said = " ".join(str(error.orig).split())
            raise Unstored(f"the database at {self.engine.url!r} does not work: {said}") from error
        finally:
            self._connection = None

    def now(self) -> float:
        """Seconds since 1970 by the clock that all workers share: the server's where there is one."""
        if self.engine.dialect.name != "postgresql":
            return time.time()
        with self.transaction() as connection:
            return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())

    def all(self, kind: type[T], statement: Any) -> list[T]:
        """The rows of a select as values of a struct with the same fields."""
        with self.transaction() as connection:
            rows = connection.execute(statement)
            names = [str(name) for name in rows.keys()]  # noqa: SIM118 - a result, not a dictionary
            return [msgspec.convert(dict(zip(names, row, strict=True)), kind) for row in rows]

    def put(self, table: Any, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows; one whose primary key is there already is left as it is."""
        if rows:
            with self.transaction() as connection:
                connection.execute(self._insert(table).on_conflict_do_nothing(), rows)

    def _insert(self, table: Any) -> Any:
        if self.engine.dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import insert as for_postgresql

            return for_postgresql(table)
        from sqlalchemy.dialects.sqlite import insert as for_sqlite

        return for_sqlite(table)

    # --- how far each list was read ----------------------------------------------------------------------------------

    def cursor(self, list_: str, source: str) -> Cursor:
        """Where reading of a source goes on; an empty one for a source that was never read."""
        where = and_(cursor.c.list == list_, cursor.c.source == source)
        rows = self.all(Cursor, select(*(cursor.c[f] for f in Cursor.__struct_fields__)).where(where))
        return rows[0] if rows else Cursor()

    def cursors(self, list_: str) -> dict[str, Cursor]:
        """The cursors of a list by source."""
        with self.transaction() as connection:
            rows = connection.execute(select(cursor).where(cursor.c.list == list_)).all()
        names = Cursor.__struct_fields__
        return {r.source: Cursor(**{name: getattr(r, name) for name in names}) for r in rows}

    def set_cursor(self, list_: str, source: str, to: Cursor) -> None:
        """Move the cursor of a source."""
        with self.transaction() as connection:
            where = and_(cursor.c.list == list_, cursor.c.source == source)
            if not connection.execute(cursor.update().where(where).values(msgspec.structs.asdict(to))).rowcount:
                connection.execute(cursor.insert().values(list=list_, source=source, **msgspec.structs.asdict(to)))

    # --- mails -------------------------------------------------------------------------------------------------------

    def known(self, ids: Collection[str]) -> set[str]:
        """Those of the ids that are in the database."""
        with self.transaction() as connection:
            return set(connection.execute(select(mail.c.id).where(mail.c.id.in_(ids))).scalars())

    def add_mails(self, rows: Iterable[MailRow]) -> None:
        """Remember mails. An id that is known keeps its first row."""
        self.put(mail, [msgspec.structs.asdict(r) for r in rows])

    def mails(self, *where: ColumnElement[bool]) -> list[MailRow]:
        """Mails by conditions on the columns of `store_schema.mail`, in the order in which they arrived."""
        return self.all(MailRow, select(mail).where(*where).order_by(mail.c.arrived, mail.c.id))

    def count_mails(self, kind: Kind) -> int:
        """How many mails of a kind are known."""
        with self.transaction() as connection:
            return int(connection.execute(select(func.count()).where(mail.c.kind == kind)).scalar_one())

    def change_mails(self, ids: Collection[str], **values: Any) -> None:
        """Set columns of some mails."""
        with self.transaction() as connection:
            connection.execute(mail.update().where(mail.c.id.in_(ids)).values(values))

    # --- series ------------------------------------------------------------------------------------------------------

    def add_series(self, row: SeriesRow) -> None:
        """Remember a series; one of that key that is there stays as it is."""
        self.put(series, [msgspec.structs.asdict(row)])

    def series(self, *where: ColumnElement[bool]) -> list[SeriesRow]:
        """Series by conditions on the columns of `store_schema.series`, oldest first."""
        return self.all(SeriesRow, select(series).where(*where).order_by(series.c.arrived, series.c.key))

    def change_series(self, key: str, **values: Any) -> None:
        """Set columns of one series."""
        with self.transaction() as connection:
            connection.execute(series.update().where(series.c.key == key).values(values))

    def drop_series(self, key: str) -> None:
        """Forget a series that no work was done for: its mails turned out to belong to another."""
        with self.transaction() as connection:
            connection.execute(series.delete().where(series.c.key == key))

    def count_series(self) -> dict[SeriesState, int]:
        """How many series are in each state."""
        with self.transaction() as connection:
            rows = connection.execute(select(series.c.state, func.count()).group_by(series.c.state)).all()
        return {SeriesState(state): int(count) for state, count in rows}

    def reasons(self, where: Any, column: str = "reason") -> list[ReasonCount]:
        """How many of some series have the same reason (or the same in another column)."""
        of = series.c[column]
        chosen = select(of.label("reason"), func.count().label("count")).where(where).group_by(of).order_by(of)
        return self.all(ReasonCount, chosen)

    # --- claims ------------------------------------------------------------------------------------------------------

    def claim(self, worker: str, seconds: float, tries: int, but: Collection[str] = ()) -> SeriesRow | None:
        """Take the oldest series that waits for a worker, for `seconds`; None when there is none.

        The try is counted here, before the work. A series whose tries are used up is set aside instead. `but` are keys
        to leave alone. Two workers never get the same series: rows that another is taking are skipped (PostgreSQL), or
        the database is one worker's at a time (SQLite).
        """
        free = or_(
            series.c.state == SeriesState.READY,
            and_(series.c.state == SeriesState.WORKING, series.c.until < self.now()),
        )
        statement = select(series).where(free, series.c.key.not_in(list(but)))
        statement = statement.order_by(series.c.arrived, series.c.key).limit(1).with_for_update(skip_locked=True)
        while True:
            with self.transaction():
                rows = self.all(SeriesRow, statement)
                if not rows:
                    return None
                row = rows[0]
                if row.tries >= tries:
                    reason = row.reason or f"{row.tries} tries, and none of them came to an end"
                    self.change_series(row.key, state=SeriesState.SET_ASIDE, reason=reason, worker="")
                    continue
                taken = {
                    "state": SeriesState.WORKING,
                    "worker": worker,
                    "until": self.now() + seconds,
                    "tries": row.tries + 1,
                }
                self.change_series(row.key, **taken)
                return msgspec.structs.replace(row, **taken)

    def holds(self, claimed: SeriesRow) -> bool:
        """Whether the claim still stands; asked in the transaction that ends the work. Locks the row until then."""
        with self.transaction() as connection:
            where = and_(
                series.c.key == claimed.key, series.c.worker == claimed.worker, series.c.tries == claimed.tries
            )
            return connection.execute(select(series.c.key).where(where).with_for_update()).first() is not None

    def fail(self, claimed: SeriesRow, reason: str, tries: int) -> SeriesState:
        """End a try that came to nothing: ready for the next one, or set aside after the last. Returns which."""
        state = SeriesState.SET_ASIDE if claimed.tries >= tries else SeriesState.READY
        with self.transaction():
            if self.holds(claimed):
                self.change_series(claimed.key, state=state, reason=reason, worker="")
        return state

    def give_back(self, claimed: SeriesRow) -> None:
        """End a try that never really began (asked to stop, tree not there): it does not count."""
        with self.transaction():
            if self.holds(claimed):
                self.change_series(claimed.key, state=SeriesState.READY, worker="", tries=claimed.tries - 1)

    def free_the_dead(self) -> int:
        """Make ready again what workers of this machine held that no longer run; returns how many series."""
        freed = 0
        with self.transaction():
            for row in self.series(series.c.state == SeriesState.WORKING):
                if not is_alive(row.worker):
                    self.change_series(row.key, state=SeriesState.READY, worker="")
                    freed += 1
        return freed


def worker_name() -> str:
    """Names this process among all that there ever were: host and boot, process id and its start."""
    return f"{_host()} {os.getpid()} {_started(os.getpid())}"


def is_alive(worker: str) -> bool:
    """False for a worker of this machine that no longer runs. Of another machine's nothing is known: True."""
    host, _, process = worker.rpartition(" ")[0].rpartition(" ")
    if host.partition("/")[0] != _host().partition("/")[0] or not process.isdigit():
        return True
    return host == _host() and _started(int(process)) == worker.rpartition(" ")[2] != ""


def _host() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()}/{boot}"


def _started(process: int) -> str:
    try:
        fields = (
            Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        )  # proc_pid_stat(5) from field 3 on
        return "" if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        return ""


def _sqlite_connect(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=60000"):
        connection.execute(f"PRAGMA {pragma}")
