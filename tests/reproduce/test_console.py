"""A console is read: who was left, who slept at one place in both scans, and what came of the boot."""

from __future__ import annotations

import pytest

from reviewbot.reproduce.boot import judged
from reviewbot.reproduce.console import ConsoleLog, SleepingTask, frames, read
from reviewbot.reproduce.drivers import Seat

HEAD = """\
[    0.000000] reviewbot: setup
[    0.000000] reviewbot: task 71 writer
[    0.000000] reviewbot: start
"""


def trace(name: str, pid: int, *functions: str, state: str = "D", work: str = "") -> str:
    lines = [f"task:{name:<15} state:{state} stack:0     pid:{pid:<5} tgid:{pid:<5} ppid:2      flags:0x00000000"]
    lines += [f"Workqueue: queue {work}"] if work else []
    lines += ["Stack:", " 00000000 7da6bd80 603445ca", "Call Trace:"]
    lines += [f" [<6033d72f>] {function}+0x651/0x6ab" for function in functions]
    return "".join(f"[   30.010000] {line}\n" for line in lines)


def scanned(number: int, *traces: str) -> str:
    return f"[  1.0] reviewbot: scan {number}\n{''.join(traces)}[  2.0] reviewbot: scanned {number}\n"


WRITER = trace("dd", 71, "schedule", "wait_for_it", "device_write")
WORKER = trace("kworker/0:1H", 9, "schedule", "do_check", work="check_work")


def test_who_sleeps_at_one_place_in_both_scans_is_stuck() -> None:
    moved = trace("sync", 80, "schedule", "wait_here")
    log = read(
        (
            HEAD
            + "[  9.0] reviewbot: left 1\n"
            + scanned(1, WRITER, WORKER, moved)
            + scanned(2, WORKER, WRITER, trace("sync", 80, "schedule", "wait_there"))
            + "[ 99.0] reviewbot: lift\n[ 99.0] reviewbot: after 1\n[ 99.0] reviewbot: end\n"
        ).encode()
    )
    assert log.started
    assert log.ended
    assert not log.finished
    assert (log.left, log.after) == (1, 1)
    assert log.stuck == (
        SleepingTask("dd", 71, ("schedule", "wait_for_it", "device_write")),
        SleepingTask("kworker/0:1H", 9, ("schedule", "do_check"), "check_work"),
    )
    assert log.hung
    assert judged(log, "") == ("hung", "")


def test_who_came_to_an_end_did_not_hang() -> None:
    log = read((HEAD + "[  3.0] reviewbot: finished\n[  3.0] reviewbot: end\n").encode())
    assert not log.hung
    assert judged(log, "") == ("finished", "")


def test_who_only_is_slow_did_not_hang() -> None:
    one, two = trace("dd", 71, "schedule", "here"), trace("dd", 71, "schedule", "there")
    log = read((HEAD + "[  9.0] reviewbot: left 1\n" + scanned(1, one) + scanned(2, two)).encode())
    assert not log.hung
    assert judged(log, "") == ("failed", "1 tasks did not end, and nobody slept at one place")


def test_who_runs_or_waits_to_be_interrupted_is_no_sleeper() -> None:
    idle = trace("sh", 70, "schedule", "do_wait", state="S")
    log = read((HEAD + "[  9.0] reviewbot: left 1\n" + scanned(1, idle) + scanned(2, idle)).encode())
    assert log.scans == ((), ())
    assert not log.hung


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("[ 0.1] reviewbot: failed no device snap: wrong table\n", "no device snap: wrong table"),
        (
            "[ 0.1] Kernel panic - not syncing: Attempted to kill init!\n",
            "Kernel panic - not syncing: Attempted to kill init!",
        ),
    ],
)
def test_a_guest_that_does_not_come_to_it_says_why(said: str, why: str) -> None:
    assert judged(read(said.encode()), "") == ("failed", why)


def test_a_guest_that_is_cut_off_is_no_hang() -> None:
    assert judged(read(HEAD.encode()), "time") == ("failed", "it used up its time")


def test_frames_that_are_only_found_on_the_stack_are_left_out_where_others_are_sure() -> None:
    told = [" [<60000000>] ? left_over+0x0/0x5a", " [<60000001>] sure.part.0+0x1/0x5a", " nothing"]
    assert frames(told) == ["sure.part.0"]
    assert frames(told[:1]) == ["left_over"]


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe\x00", b"reviewbot: left many\nreviewbot: scanned 7\nreviewbot: scan", b"[ 1.0] task:x\n" * 1000],
)
def test_any_text_is_read(text: bytes) -> None:
    assert not read(text).hung


def test_what_a_kernel_writes_cannot_move_the_terminal() -> None:
    log = read(b"[ 0.1] reviewbot: failed \x1b[2Jgone\x07\n")
    assert "\x1b" not in log.failed
    assert "\x07" not in log.failed


def test_a_seat_is_that_of_a_stack_with_all_its_functions() -> None:
    seat = Seat("the worker", "waits", ("mempool_alloc", "do_check"))
    assert seat.holds(("schedule", "mempool_alloc_noprof", "do_check.isra.0"))
    assert not seat.holds(("schedule", "mempool_alloc_noprof"))
    assert not seat.holds(("mempool_allocate", "do_check"))


def test_a_seat_may_say_what_is_not_on_its_stack() -> None:
    seat = Seat("the holder", "has one", ("do_check",), without=("mempool_alloc",))
    assert seat.holds(("schedule", "do_check"))
    assert not seat.holds(("schedule", "mempool_alloc_noprof", "do_check"))


def test_an_empty_log_is_of_a_guest_that_never_spoke() -> None:
    assert read(b"no such line\n") == ConsoleLog()
