"""Changes of what a sleep tests: which of them are told to the sleeper, and when a change of the code is a miss."""

from __future__ import annotations

import pytest
from searches import sure
from small import program

from reviewbot.detect.announced import Missed, missed
from reviewbot.detect.signals import Announcement, silence
from reviewbot.replay.announced_cast import model
from reviewbot.sim.check import check

FILE = "drivers/md/small.c"
HEAD = """
struct rack { atomic_t busy; atomic_t sleepers; wait_queue_head_t wait; struct list_head list; spinlock_t lock; };

static void rack_wait(struct rack *r)
{
	atomic_inc(&r->sleepers);
	wait_event(r->wait, !atomic_read(&r->busy));
}
"""
BUSY = Announcement("rack.busy", "-", "rack.wait")


def body(text: str, caller: str = "") -> str:
    """A file with a function rack_done() of these lines, and whoever calls it."""
    return f"{HEAD}\nvoid rack_done(struct rack *r, int error)\n{{\n{text}\n}}\n{caller}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("atomic_dec(&r->busy); wake_up(&r->wait);", True),
        ("wake_up(&r->wait); atomic_dec(&r->busy);", False),
        ("atomic_dec(&r->busy); if (error) return; wake_up(&r->wait);", False),
        ("if (atomic_dec_and_test(&r->busy)) wake_up(&r->wait);", True),
        ("if (error) return; atomic_dec(&r->busy); wake_up(&r->wait);", True),
    ],
)
def test_a_change_is_told_where_a_wake_up_follows_it_on_every_way(text: str, told: bool) -> None:
    found = silence(program(body(text)), BUSY, (f"{FILE}:rack_done",))
    assert found is not None
    assert (found.silent == ()) is told


def test_a_constant_decides_whether_a_callee_wakes() -> None:
    callee = "static void end(struct rack *r, bool wake) { atomic_dec(&r->busy); if (wake) wake_up(&r->wait); }\n"
    way = (f"{FILE}:rack_done", f"{FILE}:end")
    for constant, told in (("true", True), ("false", False)):
        found = silence(program(callee + body(f"end(r, {constant});")), BUSY, way)
        assert found is not None
        assert (found.silent == ()) is told


ALWAYS = "atomic_dec(&r->busy); wake_up(&r->wait);"
SELDOM = "atomic_dec(&r->busy); if (error) return; wake_up(&r->wait);"


def found(before: str, after: str, caller: str = "") -> list[str]:
    """Names of the functions that miss a wake-up since a change."""
    programs = program(body(before, caller)), program(body(after, caller))
    return [m.function for m in sure(missed(*programs, [(FILE, "rack_done")]))]


def test_a_wake_up_that_is_left_out_is_a_miss() -> None:
    assert found(ALWAYS, SELDOM) == ["rack_done"]
    assert found(SELDOM, ALWAYS) == []
    assert found(SELDOM, SELDOM) == []


def test_a_caller_makes_up_for_it() -> None:
    caller = "void rack_end(struct rack *r) {{ rack_done(r, r->list.next != 0); {wake} }}"
    assert found(ALWAYS, SELDOM, caller.format(wake="")) == ["rack_done"]
    assert found(ALWAYS, SELDOM, caller.format(wake="wake_up(&r->wait);")) == []


@pytest.mark.parametrize("asks", ["waitqueue_active(&r->wait)", "atomic_read(&r->sleepers)"])
def test_who_asks_for_sleepers_first_misses_nobody(asks: str) -> None:
    assert found(ALWAYS, f"atomic_dec(&r->busy); if ({asks}) wake_up(&r->wait);") == []


def test_the_program_of_the_side_after_leaves_the_sleeper_asleep() -> None:
    before, after = program(body(ALWAYS)), program(body(SELDOM))
    (miss,) = sure(missed(before, after, [(FILE, "rack_done")]))
    assert check(model(miss, after)).outcome == "stuck"
    assert check(model(miss, before)).outcome == "free"


@pytest.mark.parametrize(
    ("condition", "write", "found"),
    [
        ("r->ready", "r->ready = true;", True),
        ("r->ready", "r->ready = false;", False),
        ("!r->ready", "r->ready = false;", True),
        ("r->ready == 0", "r->ready = 0;", True),
        ("test_bit(OPEN, &r->flags)", "set_bit(OPEN, &r->flags);", True),
        ("test_bit(OPEN, &r->flags)", "clear_bit(OPEN, &r->flags);", False),
    ],
)
def test_a_flag_ends_a_sleep_when_it_is_what_the_condition_asks_for(condition: str, write: str, found: bool) -> None:
    head = f"""
struct rack {{ bool ready; unsigned long flags; wait_queue_head_t wait; }};
static void rack_wait(struct rack *r) {{ wait_event(r->wait, {condition}); }}
static void rack_poke(struct rack *r) {{ wake_up(&r->wait); }}
"""
    before, after = (
        program(f"{head}\nvoid rack_done(struct rack *r)\n{{\n{text}\n}}\n")
        for text in (f"{write} wake_up(&r->wait);", write)
    )
    assert bool(sure(missed(before, after, [(FILE, "rack_done")]))) is found


def test_where_nobody_else_wakes_any_change_of_what_is_tested_has_to_be_told() -> None:
    for other, found in (("", True), ("static void rack_poke(struct rack *r) { wake_up(&r->wait); }\n", False)):
        head = f"""
struct rack {{ int served; wait_queue_head_t wait; }};
static void rack_wait(struct rack *r, int was) {{ wait_event(r->wait, r->served != was); }}
{other}"""
        before, after = (
            program(f"{head}\nvoid rack_done(struct rack *r)\n{{\n{text}\n}}\n")
            for text in ("r->served += 1; wake_up(&r->wait);", "r->served += 1;")
        )
        assert bool(sure(missed(before, after, [(FILE, "rack_done")]))) is found


def test_of_two_changes_the_one_that_was_told_before_counts() -> None:
    text = "if (error) {{ atomic_dec(&r->busy); return; }}\natomic_dec(&r->busy);\n{wake}"
    before, after = (program(body(text.format(wake=wake))) for wake in ("wake_up(&r->wait);", ""))
    assert [m.function for m in sure(missed(before, after, [(FILE, "rack_done")]))] == ["rack_done"]
    assert not sure(missed(after, after, [(FILE, "rack_done")]))


HELPER = "static void end(struct rack *r) { atomic_dec(&r->busy); wake_up(&r->wait); }\n"


def test_who_writes_himself_where_a_helper_wrote_and_woke_misses_the_wake_up() -> None:
    calls = "if (error) { end(r); return; } end(r);"
    before, after, both = (
        program(HELPER + body(text))
        for text in (calls, "if (error) return; atomic_dec(&r->busy);", calls.replace("end(r)", ALWAYS[:-1]))
    )
    found_now = [m for m in missed(before, after, [(FILE, "rack_done")]) if isinstance(m, Missed)]
    assert [m.function for m in found_now] == ["rack_done"]
    assert [check(model(found_now[0], side)).outcome for side in (before, after)] == ["free", "stuck"]
    assert sure(missed(before, both, [(FILE, "rack_done")])) == []  # it wakes himself, too
