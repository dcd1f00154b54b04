"""The loop over many cases: all results, once, whatever a process does."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence

import pytest

from reviewbot.bench import workers


def doubled(part: Sequence[int], ends: int) -> Iterator[int]:
    """Twice each number; its process ends at one of them."""
    for number in part:
        if number == ends:
            os._exit(3)
        yield 2 * number


def lost(number: int, error: BaseException) -> str:
    return f"{number}: {type(error).__name__}"


@pytest.mark.parametrize("number", [1, 2])
def test_each_case_has_a_result(number: int) -> None:
    found = workers.spread(doubled, [[1, 2], [3], [4, 5, 6]], (0,), number, lost)
    assert sorted(map(str, found)) == sorted(map(str, (2, 4, 6, 8, 10, 12)))


def test_a_case_that_ends_its_process_is_lost_and_no_other_one() -> None:
    found = [*workers.spread(doubled, [[1, 2], [3], [4, 5, 6]], (5,), 2, lost)]
    assert sorted(map(str, found)) == sorted(["2", "4", "6", "8", "12", "5: BrokenProcessPool"])


def test_whoever_stops_does_not_wait_for_all() -> None:
    found = workers.spread(doubled, [[number] for number in range(10_000)], (-1,), 2, lost)
    assert isinstance(next(found), int)
    found.close()  # type: ignore[attr-defined]


def test_a_part_is_about_one_thing_and_not_too_long() -> None:
    made = workers.parts(range(40), lambda number: number % 3)
    assert sorted(number for part in made for number in part) == [*range(40)]
    assert all(len({number % 3 for number in part}) == 1 for part in made)
    assert [len(part) for part in made] == [12, 12, 12, 2, 1, 1]


class Kept:
    """What holds itself: only a garbage collection frees it."""

    alive = 0

    def __init__(self) -> None:
        self.itself = self
        self.room = bytearray(4 << 20)
        Kept.alive += 1

    def __del__(self) -> None:
        Kept.alive -= 1


def leaving(part: Sequence[int]) -> Iterator[int]:
    """The most that were alive so far; each case leaves one behind."""
    for _ in part:
        Kept()
        yield Kept.alive


def test_what_cases_leave_behind_is_freed_before_it_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LEFT_BEHIND", 40)
    collecting = gc.isenabled()
    gc.disable()  # as good as what a review runs with
    try:
        found = [*workers.spread(leaving, [range(100)], (), 1, lost)]
    finally:
        if collecting:
            gc.enable()
    assert max(int(n) for n in found) < 40
    assert workers.megabytes() > 0
