"""Each limit that cuts a search says so in the notes of the review, and the value that was cut knows it."""

from __future__ import annotations

import checking
import pytest

from reviewbot.analysis.program import cache, programs
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries import effect_summary
from reviewbot.bench.demo import examine_case
from reviewbot.detect import announced, signals, waitfor
from reviewbot.gittree.source import MemorySource
from reviewbot.replay import circles
from reviewbot.replay.slicing import slicer
from reviewbot.types import Cut, Outcome

FILE = "drivers/md/small.c"
ANNOUNCED = "lost-wakeup/work-not-queued"
CODE = """
struct mill { struct mutex one; struct mutex two; struct mutex three; };
static void back(struct mill *m, int n);
static void forth(struct mill *m, int n) { mutex_lock(&m->one); mutex_unlock(&m->one); back(m, n); }
static void back(struct mill *m, int n) { mutex_lock(&m->two); mutex_unlock(&m->two); if (n) forth(m, n - 1); }
void all(struct mill *m) { forth(m, 3); mutex_lock(&m->three); mutex_unlock(&m->three); }
"""


def notes(name: str) -> tuple[str, ...]:
    """What is noted when a case is reviewed, by programs that are made for it."""
    programs.forget()
    return examine_case(checking.case(name)).notes


def small(text: str = CODE) -> Program:
    """The program of one file."""
    source = MemorySource({FILE: text.encode()})
    return programs.make(source, {FILE: source.blob(FILE) or ""})


def test_nothing_is_said_of_limits_that_were_not_reached() -> None:
    assert notes("lock-order/table-under-depot") == ()
    assert notes("wait-under-lock/throttle-under-lock") == ()


def test_most_circles_of_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circles, "MAX_WAIT_CYCLES", 0)
    assert notes("lock-order/table-under-depot") == ("not all looked at: at most 0 circles of waits of a change",)


def test_most_edges_of_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waitfor, "MAX_EDGES_OF_CHANGE", -1)
    [note] = notes("lock-order/table-under-depot")
    assert note.startswith("not all looked at: at most -1 hold-and-wait edges of a change (")


def test_most_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waitfor, "MAX_PROVIDERS", 0)
    [note] = notes("wait-under-lock/throttle-under-lock")
    assert note.startswith("not all looked at: at most 0 providers of what a function waits for (")


@pytest.mark.parametrize(("most", "outcome"), [(30, Outcome.CONFIRMED), (5, Outcome.INCONCLUSIVE)])
def test_most_states_of_a_program(most: int, outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicer.Extractor, "most", most)
    programs.forget()
    review = examine_case(checking.case("wait-under-lock/completion-under-lock"))
    assert [v.outcome for v in review.verdicts if v.finding.rule == "wait-under-lock"] == [
        outcome
    ]  # what fits is still judged
    [note] = review.notes
    assert note.startswith(f"not all looked at: at most {most} states of the program of a task (")


def test_most_announced_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert notes(ANNOUNCED) == ()
    monkeypatch.setattr(announced, "MAX_ANNOUNCEMENTS", 0)
    [note] = notes(ANNOUNCED)
    assert note.startswith("not all looked at: at most 0 changes that a function announces (")


def test_most_states_until_a_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals.Announcing, "most", 2)
    [note] = notes(ANNOUNCED)
    assert note.startswith("not all looked at: at most 2 states of the program of a task (")


def test_most_effects_of_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    key = f"{FILE}:all"
    program = small()
    assert len(program.does(key)) == 3
    assert program.effects.cut(key) is None
    monkeypatch.setattr(effect_summary, "MAX_EFFECTS_OF_FUNCTION", 1)
    program = small()
    assert program.effects.cut(key) is None  # nobody has asked yet
    program.does(key)
    assert program.effects.cut(key) == Cut("effects of a function", 1, key)


def test_most_rounds_through_a_cycle_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    forth, all_ = f"{FILE}:forth", f"{FILE}:all"
    program = small()
    assert len(program.does(forth)) == 2
    assert program.effects.cut(forth) is None
    monkeypatch.setattr(effect_summary, "MAX_ROUNDS_OF_CYCLE", 1)
    program = small()
    program.does(all_)
    cut = Cut("rounds through a cycle of calls", 1, forth)
    assert (program.effects.cut(forth), program.effects.cut(all_)) == (cut, None)
    cache.save("small", program)
    kept = cache.load("small")
    assert kept is not None
    assert kept.effects.cut(forth) == cut
    source = MemorySource({FILE: CODE.replace("forth(m, 3)", "forth(m, 4)").encode()})
    led_on = programs.led_on(program, source, [FILE])
    assert led_on.effects.cut(forth) == cut
