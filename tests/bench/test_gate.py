"""The gate lets through what it should, and nothing else."""

from __future__ import annotations

from pathlib import Path

import gate
import pytest

from reviewbot.bench import backtest
from reviewbot.bench.backtest import Labelled, Scored


def scored(id_: str, label: str, verdict: str, **more: str) -> Scored:
    return Scored(id_, label, "a", verdict, 1.0, **more)


CHOSEN = gate.Gate(tuple(f"d{n}" for n in range(9)), ("c0", "c1"))
GOOD = [
    *(scored(id_, "deadlock", "nack") for id_ in CHOSEN.deadlocks),
    *(scored(i, "clean", "ack") for i in ("c0", "c1")),
]


def but(*others: Scored) -> list[Scored]:
    """The good results, some of them replaced."""
    changed = {r.id: r for r in others}
    return [changed.get(r.id, r) for r in GOOD]


@pytest.mark.parametrize(
    ("results", "known", "says"),
    [
        (GOOD, {}, []),
        (but(*(scored(f"d{n}", "deadlock", "ack") for n in range(4))), {}, []),
        (
            but(*(scored(f"d{n}", "deadlock", "comment") for n in range(5))),
            {},
            ["5 deadlocks that were NACKed are not"],
        ),
        (but(scored("c1", "clean", "nack")), {}, ["c1 (clean) is NACKed"]),
        (but(scored("c1", "fix", "nack")), {}, ["c1 (fix) is NACKed"]),
        (but(scored("c1", "clean", "nack")), {"c1": "the lock is another one"}, []),
        (GOOD, {"c1": "the lock is another one"}, ["c1 is no longer NACKed"]),
        (but(scored("c1", "clean", "comment")), {}, []),
        (but(scored("d1", "deadlock", "fault", reason="KeyError: 3")), {}, ["d1 crashed: KeyError: 3"]),
    ],
)
def test_what_fails(results: list[Scored], known: dict[str, str], says: list[str]) -> None:
    found = [*gate.faults(CHOSEN, results, known)]
    assert len(found) == len(says)
    assert all(text in fault for text, fault in zip(says, found, strict=True))


def case(number: int, label: str, **more: str) -> Labelled:
    return Labelled(f"case-{number}", "a.patch", "6.12", label, files=(f"fs/{number % 40}/a.c",), **more)


def test_choosing_depends_on_the_ids_alone() -> None:
    cases = [case(n, "deadlock" if n % 2 else "clean") for n in range(600)]
    nacked = {c.id for c in cases if int(c.id[5:]) % 3}
    chosen = gate.choose(cases, nacked)
    assert gate.choose(reversed(cases), nacked) == chosen
    assert (len(chosen.deadlocks), len(chosen.innocent)) == (gate.SIZE, gate.SIZE)
    assert set(chosen.deadlocks) <= nacked
    assert not set(chosen.innocent) & nacked
    folders = [int(id_[5:]) % 40 for id_ in chosen.deadlocks]
    assert max(map(folders.count, folders)) <= gate.OF_A_FOLDER


def test_what_counts_apart_is_not_chosen() -> None:
    cases = [case(1, "deadlock", confidence="low"), case(2, "deadlock"), case(3, "clean", confidence="low")]
    assert gate.choose(cases, {"case-1", "case-2"}) == gate.Gate(("case-2",), ())


def test_the_chosen_ones_are_in_the_corpus_with_their_labels(shared: Path) -> None:
    labels = {c.id: c.label for c in backtest.read_index(shared / "corpus/index.jsonl")}
    chosen = gate.read()
    assert {labels[id_] for id_ in chosen.deadlocks} == {"deadlock"}
    assert {labels[id_] for id_ in chosen.innocent} == {"clean", "fix"}
    assert len(set(chosen.deadlocks)) >= gate.SIZE * 3 // 4
    assert len(set(chosen.innocent)) == gate.SIZE
