"""The database: transactions, claims and migrations, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import postgres
from sqlalchemy import create_engine, inspect, text

from reviewbot.types import ReviewError
from reviewbot.watch import schema
from reviewbot.watch.schema import series as table
from reviewbot.watch.store import Cursor, Kind, MailRow, SeriesRow, SeriesState, Store, Unstored, is_alive, worker_name

Fresh = Callable[[], str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/state.sqlite"
    address: str = request.getfixturevalue("server")
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS fresh WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE fresh"))
    engine.dispose()
    return address.replace("/postgres", "/fresh")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


def row(key: str, **more: object) -> SeriesRow:
    values: dict[str, object] = {
        "key": key, "list": "dm", "lead": key, "author": "ann@dev.example", "subject": key, "title": key, "version": 1,
        "expected": 1, "present": 1, "root": key, "change_id": "", "lineage": key, "previous": "", "arrived": 1.0,
        "first_seen": 1.0, "state": SeriesState.READY,
    }  # fmt: skip
    return SeriesRow(**{**values, **more})  # type: ignore[arg-type]


def mail_row(id_: str) -> MailRow:
    return MailRow(id=id_, list="dm", source="0", ref="b" * 40, arrived=1.0, kind=Kind.PATCH, root=id_)


def test_rows_and_cursor_move_together_or_not_at_all(store: Store) -> None:
    def cut_off() -> None:
        with store.transaction():
            store.add_mails([mail_row("a@x")])
            store.set_cursor("dm", "0", Cursor(position="c" * 40))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cut_off()
    assert store.mails() == []
    assert store.cursor("dm", "0") == Cursor()
    with store.transaction():
        store.add_mails([mail_row("a@x")])
        store.set_cursor("dm", "0", Cursor(position="c" * 40))
    assert [m.id for m in store.mails()] == ["a@x"]
    assert store.cursors("dm") == {"0": Cursor(position="c" * 40)}


def test_a_known_id_keeps_its_first_row(store: Store) -> None:
    store.add_mails([mail_row("a@x")])
    store.add_mails([MailRow(id="a@x", list="other", source="0", ref="", arrived=2.0, kind=Kind.OTHER)])
    assert [m.list for m in store.mails()] == ["dm"]
    assert store.known(["a@x", "b@x"]) == {"a@x"}


def test_a_claim_counts_the_try_before_the_work(store: Store) -> None:
    store.add_series(row("one"))
    claimed = store.claim("me", 60, 3)
    assert claimed is not None
    (there,) = store.series()
    assert (there.state, there.tries, there.worker) == (SeriesState.WORKING, 1, "me")
    assert store.claim("you", 60, 3) is None


def test_the_oldest_series_comes_first(store: Store) -> None:
    store.add_series(row("young", arrived=2.0))
    store.add_series(row("old", arrived=1.0))
    claimed = [store.claim("me", 60, 3) for _ in range(2)]
    assert [c.key for c in claimed if c] == ["old", "young"]


def test_after_three_tries_a_series_is_set_aside(store: Store) -> None:
    store.add_series(row("one"))
    for _ in range(3):
        claimed = store.claim("me", 60, 3)
        assert claimed is not None
        store.change_series("one", state=SeriesState.READY)  # as after a kill: nobody said how it ended
    assert store.claim("me", 60, 3) is None
    assert store.series()[0].state is SeriesState.SET_ASIDE
    assert "none of them came to an end" in store.series()[0].reason


def test_a_failed_try_keeps_its_reason(store: Store) -> None:
    store.add_series(row("one"))
    states = []
    for _ in range(3):
        claimed = store.claim("me", 60, 3)
        assert claimed is not None
        states.append(store.fail(claimed, "it broke", 3))
    assert states == [SeriesState.READY, SeriesState.READY, SeriesState.SET_ASIDE]
    assert store.series()[0].reason == "it broke"


def test_what_is_given_back_was_no_try(store: Store) -> None:
    store.add_series(row("one"))
    claimed = store.claim("me", 60, 3)
    assert claimed is not None
    store.give_back(claimed)
    assert (store.series()[0].state, store.series()[0].tries) == (SeriesState.READY, 0)


def test_a_claim_that_ran_out_is_another_workers(store: Store) -> None:
    store.add_series(row("one"))
    mine = store.claim("me", -1, 3)
    theirs = store.claim("you", 60, 3)
    assert mine is not None
    assert theirs is not None
    assert not store.holds(mine)
    assert store.holds(theirs)
    store.fail(mine, "too late", 3)
    assert store.series()[0].worker == "you"


def test_a_dead_workers_series_is_free_at_once(store: Store) -> None:
    store.add_series(row("one"))
    code = "from reviewbot.watch.store import worker_name; print(worker_name())"
    gone = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    assert store.claim(gone, 3600, 3) is not None
    store.add_series(row("two"))
    assert store.claim(worker_name(), 3600, 3) is not None
    store.add_series(row("three"))
    assert store.claim("elsewhere/boot 1 2", 3600, 3) is not None
    assert store.free_the_dead() == 1
    assert [s.key for s in store.series(table.c.state == SeriesState.READY)] == ["one"]
    assert is_alive(worker_name())


def test_many_threads_never_get_the_same_series(store: Store, url: str) -> None:
    for number in range(40):
        store.add_series(row(f"s{number}", arrived=float(number)))
    got: dict[str, list[str]] = {}

    def work(name: str) -> None:
        got[name] = []
        with Store.open(url) as own:
            while claimed := own.claim(name, 60, 3):
                got[name].append(claimed.key)
                own.change_series(claimed.key, state=SeriesState.DONE)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [key for keys in got.values() for key in keys]
    assert sorted(taken) == sorted(f"s{n}" for n in range(40))


def test_a_new_database_has_the_version_and_is_not_made_twice(url: str) -> None:
    for _ in range(2):
        with Store.open(url) as opened, opened.transaction() as connection:
            assert connection.execute(schema.schema.select()).scalar_one() == schema.VERSION


def test_an_old_database_walks_the_steps(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(url) as opened:
        opened.add_series(row("kept"))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 2)
    steps = {
        schema.VERSION - 1: ("ALTER TABLE series ADD COLUMN colour VARCHAR DEFAULT 'red'",),
        schema.VERSION: ("UPDATE series SET colour = 'blue'",),
    }
    monkeypatch.setattr(schema, "STEPS", steps)
    with Store.open(url) as opened, opened.transaction() as connection:
        assert connection.execute(text("SELECT colour FROM series")).scalar_one() == "blue"
        assert connection.execute(schema.schema.select()).scalar_one() == schema.VERSION


def test_a_step_that_fails_leaves_the_old_database(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(url) as opened:
        old = schema.VERSION
        opened.add_series(row("kept"))
    monkeypatch.setattr(schema, "VERSION", old + 1)
    bad = ("ALTER TABLE series ADD COLUMN colour VARCHAR", "NO SUCH STATEMENT")
    monkeypatch.setattr(schema, "STEPS", {old + 1: bad})
    with pytest.raises(Unstored):
        Store.open(url)
    monkeypatch.undo()
    with Store.open(url) as opened, opened.transaction() as connection:
        assert "colour" not in {c["name"] for c in inspect(connection).get_columns("series")}
        assert [s.key for s in opened.series()] == ["kept"]


def test_a_newer_database_is_left_alone(url: str) -> None:
    with Store.open(url) as opened, opened.transaction() as connection:
        connection.execute(schema.schema.update().values(version=99))
    with pytest.raises(ReviewError, match="newer reviewbot"):
        Store.open(url)


def test_every_step_up_to_the_version_is_there() -> None:
    assert sorted(schema.STEPS) == list(range(2, schema.VERSION + 1))


@pytest.mark.parametrize("bad", ["nonsense", "mysql://x/y", "sqlite:////proc/none/x.sqlite"])
def test_an_address_that_is_none_is_one_line(bad: str) -> None:
    with pytest.raises(ReviewError) as caught:
        Store.open(bad)
    assert "\n" not in str(caught.value)


def test_the_database_is_for_its_owner(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path}/state/state.sqlite").close()
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
