"""The loop over many cases: all results, once, whatever a process does."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

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


def asleep(part: Sequence[Path]) -> Iterator[int]:
    """Writes down the process that it runs in, and stays there."""
    for path in part:
        path.write_text(str(os.getpid()))
        time.sleep(600)
        yield 0


def test_no_process_goes_on_when_its_parent_was_killed(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from test_workers import asleep, lost
from reviewbot.bench import workers
if __name__ == "__main__":
    [*workers.spread(asleep, [[Path(sys.argv[1])], [Path(sys.argv[2])]], (), 2, lost)]
"""
    script, notes = tmp_path / "script.py", [tmp_path / "one", tmp_path / "two"]
    script.write_text(code)
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    parent = subprocess.Popen([sys.executable, script, *notes], env={**os.environ, "PYTHONPATH": path})
    eventually(lambda: all(note.exists() and note.read_text() for note in notes))
    parent.kill()
    parent.wait()
    eventually(lambda: not any(Path(f"/proc/{note.read_text()}/status").exists() for note in notes))


def eventually(holds: Callable[[], bool]) -> None:
    """Waits until something holds; a test that has to wait too long fails."""
    for _ in range(1200):
        if holds():
            return
        time.sleep(0.1)
    pytest.fail("it never came to that")


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
    assert max(int(n) for n in found) < 70  # of 100: how soon it shows in what the system counts differs
    assert workers.megabytes() > 0
