"""The loop over many cases: all results, once, whatever a process does."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread

import pytest

from reviewbot.bench import workers
from reviewbot.process.memory import megabytes


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
    assert sorted(map(str, found)) == sorted(["2", "4", "6", "8", "12", "5: WorkerEnded"])


def test_whoever_stops_does_not_wait_for_all() -> None:
    found = workers.spread(doubled, [[number] for number in range(10_000)], (-1,), 2, lost)
    assert isinstance(next(found), int)
    found.close()  # type: ignore[attr-defined]


def begun(folder: Path, number: int) -> int:
    """Notes that a case is begun; how often it was before."""
    before = len([*folder.glob(f"{number}.*")])
    (folder / f"{number}.{before}").write_text(str(os.getpid()))
    return before


def falling(part: Sequence[int], folder: Path, falls: int, always: bool) -> Iterator[tuple[int, int]]:
    """Each number with the process that did it; at one of them that is killed: the first time, or always."""
    for number in part:
        first = not begun(folder, number)
        if number == falls and (first or always):
            (folder / "asleep").write_text(str(os.getpid()))
            time.sleep(600)
        yield number, os.getpid()


def killed(folder: Path, times: int) -> None:
    """Kills whoever falls asleep, so many times."""
    note = folder / "asleep"
    for _ in range(times):
        eventually(lambda: note.exists() and bool(note.read_text()))
        pid = int(note.read_text())
        note.unlink()
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(("always", "kills"), [(False, 1), (True, 2)])
def test_only_the_case_at_work_in_a_process_that_is_killed_is_tried_again(
    tmp_path: Path, always: bool, kills: int
) -> None:
    killer = Thread(target=killed, args=(tmp_path, kills))
    killer.start()
    lost: list[tuple[int, str]] = []

    def told(number: int, error: BaseException) -> tuple[int, int]:
        lost.append((number, str(error)))
        return number, 0

    found = [*workers.spread(falling, [[*range(6)], [*range(6, 12)]], (tmp_path, 2, always), 2, told)]
    killer.join()
    assert sorted(number for number, _ in found) == [*range(12)]
    assert lost == ([(2, "its process ended twice (Killed)")] if always else [])
    assert {n: len([*tmp_path.glob(f"{n}.*")]) for n in range(12)} == {n: 1 + (n == 2) for n in range(12)}
    alone = (tmp_path / "2.1").read_text()
    assert [n for n in range(12) for note in tmp_path.glob(f"{n}.*") if note.read_text() == alone] == [2]
    assert {str(process) for number, process in found if number in (3, 4, 5)}.isdisjoint(
        {(tmp_path / "0.0").read_text()}
    )


def in_step(part: Sequence[int], folder: Path) -> Iterator[str]:
    """Goes on when its last result was seen; says of each whether it was."""
    seen = True
    for number in part:
        yield f"{number} {seen}"
        for _ in range(100):
            if seen := (folder / str(number)).exists():
                break
            time.sleep(0.1)


def test_each_result_comes_as_soon_as_it_is_there(tmp_path: Path) -> None:
    found = []
    for result in workers.spread(in_step, [[1, 2, 3], [4, 5]], (tmp_path,), 2, lost):
        found.append(result)
        (tmp_path / result.partition(" ")[0]).touch()
    assert sorted(found) == [f"{number} True" for number in range(1, 6)]


def told(part: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Each number with the process that did it."""
    for number in part:
        yield number, os.getpid()


def test_a_process_that_has_become_large_gives_way_to_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[int]] = [[1, 2, 3], [4], [5, 6]]
    kept = [*workers.spread(told, asked, (), 2, lambda number, error: (0, 0))]
    monkeypatch.setattr(workers, "MAX_MEGABYTES_OF_WORKER", 1)
    found = [*workers.spread(told, asked, (), 2, lambda number, error: (0, 0))]
    assert sorted(number for number, _ in found) == sorted(number for number, _ in kept) == [1, 2, 3, 4, 5, 6]
    assert len({process for _, process in kept}) <= 2
    assert len({process for _, process in found}) == 6


class Awkward(Exception):
    """One that no other process can make again."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def raising(part: Sequence[int]) -> Iterator[int]:
    for number in part:
        if number == 2:
            raise ValueError("two")
        if number == 4:
            raise Awkward(4, 5)
        yield number


def test_a_function_that_raises_costs_one_case() -> None:
    found = workers.spread(raising, [[1, 2, 3], [4, 5]], (), 2, lambda number, error: f"{number} {error!r}")
    assert sorted(map(str, found)) == ["1", "2 ValueError('two')", "3", "4 RuntimeError('Awkward: 4 and 5')", "5"]


def untidy(part: Sequence[int], folder: Path) -> Iterator[int]:
    """Has something to put away, and takes long."""
    room = folder / str(part[0])
    room.touch()
    try:
        yield 0
        time.sleep(600)
    finally:
        room.unlink()


def test_whoever_stops_leaves_no_process_and_no_files(tmp_path: Path) -> None:
    found = workers.spread(untidy, [[1, 1], [2, 2], [3, 3]], (tmp_path,), 2, lost)
    assert [next(found), next(found)] == [0, 0]
    found.close()  # type: ignore[attr-defined]
    assert [*tmp_path.iterdir()] == []
    assert not multiprocessing.active_children()


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
from reviewbot.process.memory import megabytes
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
    assert max(int(str(n)) for n in found) < 70  # of 100: how soon it shows in what the system counts differs
    assert megabytes() > 0
