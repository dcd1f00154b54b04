"""A mail that ends the reader is set aside; one that ends the watcher itself, too; all others are taken once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from inbox import patch

from reviewbot.mail.protocol import MailLimits
from reviewbot.watch.child import UnreadableMail
from reviewbot.watch.mail import Head
from reviewbot.watch.store import Kind, Store
from reviewbot.watch.walk import BATCH, TRIES, Item, walk


class Died(BaseException):
    """Stands for the end of the process."""


class Memory:
    """A source of mails in memory."""

    name = "0"

    def __init__(self, *mails: bytes) -> None:
        self.mails = mails

    def read(self, item: Item, most: int) -> tuple[str, bytes] | None:
        raw = self.mails[int(item.position)]
        return (f"b{item.position}", raw) if raw else None


class Heads:
    """Reads ids only; some mails end it."""

    limits = MailLimits()

    def __init__(self, deadly: bytes = b"", poison: bytes = b"") -> None:
        self.deadly = deadly
        self.poison = poison
        self.read_: list[bytes] = []

    def read(self, raw: bytes) -> Head:
        self.read_.append(raw)
        if raw == self.deadly:
            raise Died
        if raw == self.poison:
            raise UnreadableMail("ends the mail reader (Killed)")
        return Head(id=raw.decode(), kind="other", root=raw.decode())


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


def run(store: Store, source: Memory, heads: Heads) -> int:
    """Walk from where the cursor stands."""
    position = store.cursor("dm", "0").position
    start = int(position) + 1 if position else 0
    items = [Item(str(n), float(n)) for n in range(start, len(source.mails))]
    return walk(store, "dm", source, items, heads, lambda _: "", lambda *_: None)  # type: ignore[arg-type]


def test_each_mail_is_taken_once(store: Store) -> None:
    source = Memory(*(b"m%d@x" % n for n in range(2 * BATCH + 7)), b"", b"m0@x")
    assert run(store, source, Heads()) == 2 * BATCH + 7
    assert run(store, source, Heads()) == 0
    assert len(store.mails()) == 2 * BATCH + 7


def test_a_mail_that_ends_the_reader_is_set_aside_after_three_tries(store: Store) -> None:
    heads = Heads(poison=b"bad@x")
    assert run(store, Memory(b"a@x", b"bad@x", b"c@x"), heads) == 3
    (broken,) = [m for m in store.mails() if m.kind is Kind.BROKEN]
    assert (broken.ref, broken.fault) == ("b1", "ends the mail reader (Killed), 3 times")
    assert heads.read_.count(b"bad@x") == TRIES


def test_a_mail_that_ends_the_watcher_is_found_and_set_aside(store: Store) -> None:
    source = Memory(*(b"m%d@x" % n for n in range(BATCH)), b"bad@x", b"last@x")
    heads = Heads(deadly=b"bad@x")
    runs = 0
    while True:
        runs += 1
        try:
            run(store, source, heads)
            break
        except Died:
            assert runs < 20
    (broken,) = [m for m in store.mails() if m.kind is Kind.BROKEN]
    assert broken.fault == "3 times the watcher ended at it"
    assert {m.id for m in store.mails()} - {broken.id} == {*(f"m{n}@x" for n in range(BATCH)), "last@x"}
    assert heads.read_.count(b"bad@x") == 2 * TRIES
    assert store.cursor("dm", "0").position == str(BATCH + 1)


def test_the_same_mail_twice_in_one_batch_is_one(store: Store) -> None:
    assert run(store, Memory(b"a@x", b"a@x"), Heads()) == 1


def test_a_mail_without_id_is_kept_as_broken(store: Store) -> None:
    run(store, Memory(b"a@x"), Heads())
    from reviewbot.watch.child import HeadReader

    with HeadReader() as heads:
        source = Memory(b"a@x", b"From: x\n\nno id\n", patch("p@dev.example"))
        items = [Item(str(n), float(n)) for n in (1, 2)]
        walk(store, "dm", source, items, heads, lambda _: "", lambda *_: None)
    found = {m.id: (m.kind, m.fault) for m in store.mails()}
    assert found["!b1"] == (Kind.BROKEN, "no message-id")
    assert found["p@dev.example"][0] is Kind.PATCH
