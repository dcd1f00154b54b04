"""The same mails give the same series, in whatever order and in how many polls they arrive."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.watch.series import Posting, postings, ripen
from reviewbot.watch.store import Kind, MailRow, SeriesState, Store
from reviewbot.watch.walk import take

ANN = "ann@dev.example"


def row(
    id_: str,
    number: int,
    of: int,
    *,
    version: int = 1,
    author: str = ANN,
    parent: str = "",
    root: str = "",
    arrived: float = 0.0,
    counted: bool = True,
    title: str = "",
) -> MailRow:
    kind = Kind.COVER if number == 0 else Kind.PATCH
    return MailRow(
        id=id_, list="dm", source="0", ref="b", arrived=arrived, kind=kind, author=author, subject=title or id_,
        title=title or id_, version=version, number=number, expected=of, counted=counted, parent=parent,
        root=root or parent or id_,
    )  # fmt: skip


def threaded(
    name: str, of: int, version: int = 1, *, cover: bool = True, parent: str = "", root: str = ""
) -> list[MailRow]:
    """A series as git send-email threads it."""
    top = f"{name}{version}-{0 if cover else 1}"
    first = row(top, 0 if cover else 1, of, version=version, parent=parent, root=root or parent, title=name)
    below = range(1 if cover else 2, of + 1)
    return [first, *(row(f"{name}{version}-{n}", n, of, version=version, parent=top, root=first.root) for n in below)]


def chained(name: str, of: int) -> list[MailRow]:
    """Each patch answers the one before, with In-Reply-To alone."""
    ids = [f"{name}-{n}" for n in range(1, of + 1)]
    return [row(id_, n, of, parent=ids[n - 2] if n > 1 else "", title=name) for n, id_ in enumerate(ids, 1)]


def loose(name: str, of: int) -> list[MailRow]:
    """Sent without threading at all."""
    return [row(f"{name}-{n}", n, of, title=name) for n in range(1, of + 1)]


def flat(name: str, of: int, parent: str) -> list[MailRow]:
    """A second version, all of it in answer to the first one's cover letter."""
    return [row(f"{name}2-{n}", n, of, version=2, parent=parent, title=name) for n in range(1, of + 1)]


def numbered(rows: Sequence[MailRow]) -> list[MailRow]:
    """The rows with the times at which they arrive in this order."""
    import msgspec

    return [msgspec.structs.replace(r, arrived=float(n)) for n, r in enumerate(rows)]


def outcome(batches: Sequence[Sequence[MailRow]]) -> set[tuple[str, int, str, frozenset[str]]]:
    """What comes of mails: lead, patches present, state and members of each series."""
    with Store.open("sqlite://") as store:
        for batch in batches:
            take(store, batch, lambda _: "")
        ripen(store, 0, store.now() + 1)
        members = {m.id: m.series for m in store.mails()}
        return {
            (s.lead, s.present, str(s.state), frozenset(i for i, key in members.items() if key == s.key))
            for s in store.series()
        }


THREADS = {
    "with cover": (threaded("a", 3), {("a1-0", 3, "ready")}),
    "without cover": (threaded("a", 3, cover=False), {("a1-1", 3, "ready")}),
    "chained": (chained("a", 4), {("a-1", 4, "ready")}),
    "loose": (loose("a", 3), {("a-1", 3, "ready")}),
    "two versions": (
        threaded("a", 2) + threaded("a", 2, 2, parent="a1-0"),
        {("a1-0", 2, "superseded"), ("a2-0", 2, "ready")},
    ),
    "two versions apart": (
        threaded("a", 2) + threaded("a", 3, 2),
        {("a1-0", 2, "superseded"), ("a2-0", 3, "ready")},
    ),
    "second version flat": (
        threaded("a", 2) + flat("a", 2, "a1-0"),
        {("a1-0", 2, "superseded"), ("a2-1", 2, "ready")},
    ),
    "one patch missing": (threaded("a", 3)[:-1], {("a1-0", 2, "waiting")}),
    "two series": (threaded("a", 2) + threaded("b", 2), {("a1-0", 2, "ready"), ("b1-0", 2, "ready")}),
    "another author's patch": (
        [*threaded("a", 2), row("x-2", 2, 2, author="eve@x.example", parent="a1-0", root="a1-0")],
        {("a1-0", 2, "ready")},
    ),
    "single patches": (
        [row("s1", 1, 1, counted=False), row("s2", 1, 1, counted=False, parent="s1", root="s1")],
        {("s1", 1, "ready"), ("s2", 1, "ready")},
    ),
}


@pytest.mark.parametrize("name", THREADS)
def test_series_are_found(name: str) -> None:
    rows, expected = THREADS[name]
    assert {found[:3] for found in outcome([numbered(rows)])} == expected


@settings(max_examples=30, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(THREADS)))
def test_neither_order_nor_polls_make_a_difference(data: st.DataObject, name: str) -> None:
    rows, expected = THREADS[name]
    mixed = numbered(data.draw(st.permutations(rows)))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(mixed)), max_size=4)))
    batches = [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]
    got = outcome([b for b in batches if b])
    assert {found[:3] for found in got} == expected
    assert got == outcome([mixed])


def test_of_two_alternatives_in_one_thread_each_keeps_its_own() -> None:
    one = threaded("a", 2)
    other = [row("b-0", 0, 2, parent="a1-0", root="a1-0", title="b")]
    other += [row(f"b-{n}", n, 2, parent="b-0", root="a1-0") for n in (1, 2)]
    found = postings(numbered(one + other))
    assert {p.lead.id: [m.id for m in p.members] for p in found} == {
        "a1-0": ["a1-0", "a1-1", "a1-2"],
        "b-0": ["b-0", "b-1", "b-2"],
    }


def test_a_patch_sent_twice_counts_once() -> None:
    rows = numbered([*threaded("a", 2), row("again", 2, 2, parent="a1-0", root="a1-0")])
    (found,) = postings(rows)
    assert [m.id for m in found.members] == ["a1-0", "a1-1", "a1-2"]
    assert found.missing == 0


def test_a_resent_series_is_known_for_the_same() -> None:
    with Store.open("sqlite://") as store:
        take(store, numbered(threaded("a", 2)), lambda _: "")
        again = [row("r-0", 0, 2, title="a"), row("r-1", 1, 2, parent="r-0"), row("r-2", 2, 2, parent="r-0")]
        take(store, numbered(again), lambda _: "")
        first, second = sorted(store.series(), key=lambda s: s.lead)
        assert second.lineage == first.lineage == first.key


def test_a_change_id_connects_versions_by_whatever_title() -> None:
    import msgspec

    one = [msgspec.structs.replace(r, change_id="c-1") for r in threaded("a", 2)]
    two = [msgspec.structs.replace(r, change_id="c-1") for r in threaded("other", 2, 2)]
    with Store.open("sqlite://") as store:
        take(store, numbered(one), lambda _: "")
        take(store, numbered(two), lambda _: "")
        assert {s.lead: s.state for s in store.series()} == {
            "a1-0": SeriesState.SUPERSEDED,
            "other2-0": SeriesState.READY,
        }


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.builds(
            row,
            id_=st.sampled_from(["a", "b", "c", "d", "e", "f"]),
            number=st.integers(0, 4),
            of=st.integers(1, 4),
            version=st.integers(1, 2),
            author=st.sampled_from([ANN, "eve@x.example"]),
            parent=st.sampled_from(["", "a", "b", "c", "x"]),
            root=st.sampled_from(["", "a", "b", "x"]),
            counted=st.booleans(),
        ),
        max_size=10,
        unique_by=lambda r: r.id,
    )
)
def test_whatever_arrives_each_mail_is_in_one_series_at_most(rows: list[MailRow]) -> None:
    with Store.open("sqlite://") as store:
        for one in numbered(rows):
            take(store, [one], lambda _: "")
        keys = {s.key for s in store.series()}
        for there in store.mails():
            assert there.series == "" or there.series in keys
        for series in store.series():
            assert 0 <= series.present <= series.expected


def test_a_skipped_series_says_why() -> None:
    def skip(posting: Posting) -> str:
        return f"{posting.lead.author} asked not to"

    with Store.open("sqlite://") as store:
        take(store, numbered(threaded("a", 2)), skip)
        assert [(s.state, s.reason) for s in store.series()] == [(SeriesState.SKIPPED, f"{ANN} asked not to")]
