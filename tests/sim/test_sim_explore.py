"""The search itself: large classes of tasks, cells that depend on each other, what it says when it gives up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from sim_models import plain_search, throttle

from reviewbot.limits import MAX_CELL
from reviewbot.sim.automaton import OutOfRange, apply
from reviewbot.sim.compile import compile_model
from reviewbot.sim.explore import SearchLimits, explore
from reviewbot.sim.knot import knots
from reviewbot.sim.model import (
    TRUE,
    Completion,
    Model,
    Mutex,
    Named,
    Semaphore,
    Seq,
    Task,
    Var,
    WaitQueue,
    While,
    WorkQueue,
    atomic_inc,
    atomic_set,
    complete,
    down,
    mutex_lock,
    mutex_unlock,
    queue_work,
    say,
    up,
    wait_event,
    wait_event_idle,
    wait_for_completion,
    wake_up_all,
)
from reviewbot.sim.promela import promela


def long_program(n: int, *, steps: int = 300) -> Model:
    """A class with more places than a byte can tell apart."""
    sem = Semaphore("sem", n)
    body = [step for _ in range(steps) for step in (down(sem), up(sem))]
    return Model("long", (Task("long", Named("long", Seq(tuple(body))), n),), ("long",))


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("reduce", [True, False])
@pytest.mark.parametrize("looked_up", [0, 1_000_000])
def test_classes_with_more_than_256_places(
    n: int, reduce: bool, looked_up: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reviewbot.sim.explore.LOOKED_UP", looked_up)
    automaton = compile_model(long_program(n, steps=130))
    assert automaton.classes[0].width == 2
    space = explore(automaton, SearchLimits(), reduce=reduce)
    assert space.complete
    assert "long" in space.marks
    places = 131 if reduce else 261
    assert len(space.order) == (places if n == 1 else places * (places + 1) // 2 if reduce else places**2)
    assert knots(space) == []


def test_the_graph_is_whole() -> None:
    space = explore(compile_model(throttle(held=False)), SearchLimits(), reduce=False)
    assert len(space.order) == len(set(space.order)) == len(space.starts) - 1 == space.expanded
    assert space.path(0) == [space.automaton.initial]
    depth = {0: 0}
    for state in range(len(space.order)):
        for after in space.onward(state):
            depth.setdefault(after, depth[state] + 1)
    for state in range(0, len(space.order), 7):
        way = space.way(state)
        assert (way[0], way[-1], len(way)) == (0, state, depth[state] + 1)
        assert all(after in space.onward(before) for before, after in pairwise(way))
    assert (len(space.order), 0) == plain_search(space.automaton)


@pytest.mark.parametrize("reduce", [True, False])
@pytest.mark.parametrize("looked_up", [0, 1_000_000])
def test_a_class_without_tasks(reduce: bool, looked_up: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reviewbot.sim.explore.LOOKED_UP", looked_up)
    space = explore(compile_model(throttle(held=True, writers=0)), SearchLimits(), reduce=reduce)
    assert space.complete
    assert "constructor" in space.marks
    assert knots(space) == []


def test_sleepers_are_counted_and_woken_together() -> None:
    """Changes that read other cells: three sleep, one wakes all of them at once."""
    ready, queue = Var("ready"), WaitQueue("queue")
    sleeper = Task("sleeper", Named("sleeper", wait_event(queue, ready > 0)), 3)
    waker = Task("waker", Named("waker", Seq((atomic_set(ready, 1), wake_up_all(queue)))))
    automaton = compile_model(Model("test", (sleeper, waker), ("sleeper", "waker")))
    space = explore(automaton, SearchLimits(), reduce=False)
    assert len(space.order) == plain_search(automaton)[0]
    woken = next(i for i, cell in enumerate(automaton.cells) if cell.role == "woken")
    assert max(space.state(i)[woken] for i in range(len(space.order))) == 3
    assert knots(space) == []


def test_a_thread_at_home_besides_tasks_that_end() -> None:
    work, queue, done = Var("work"), WaitQueue("queue"), Completion("done")
    loop = While(TRUE, Seq((wait_event_idle(queue, work > 0), atomic_set(work, 0), complete(done))))
    user = Seq((atomic_set(work, 1), wake_up_all(queue), wait_for_completion(done)))
    tasks = (Task("thread", Named("thread", loop)), Task("user", Named("user", user)))
    space = explore(compile_model(Model("test", tasks, ("user",))), SearchLimits())
    assert knots(space) == []


def test_cells_know_their_range() -> None:
    automaton = compile_model(throttle(held=False))
    cell = next(i for i, cell in enumerate(automaton.cells) if cell.owner.name == "in_progress")
    moves = [edge for c in automaton.classes for edges in c.edges for edge in edges]
    up = next(e.changes for e in moves if any(ch.cell == cell and ch.value == 1 for ch in e.changes))
    state = bytearray(automaton.initial)
    state[cell] = MAX_CELL
    with pytest.raises(OutOfRange, match="in_progress left the range"):
        apply(up, state, automaton.cells)
    down_ = next(e.changes for e in moves if any(ch.cell == cell and ch.value == -1 for ch in e.changes))
    with pytest.raises(OutOfRange, match="in_progress left the range"):
        apply(down_, bytearray(automaton.initial), automaton.cells)


@pytest.mark.parametrize("looked_up", [0, 1_000_000])
@pytest.mark.parametrize("first", [True, False])
def test_what_is_given_back_without_having_been_taken(
    looked_up: int, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the cell is the first byte of the state and nothing is left to borrow from."""
    monkeypatch.setattr("reviewbot.sim.explore.LOOKED_UP", looked_up)
    a, b = Mutex("first"), Mutex("second")
    wrong, other = (a, b) if first else (b, a)
    users = Seq((mutex_lock(a), mutex_unlock(a), mutex_lock(b), mutex_unlock(b)))
    tasks = (Task("users", Named("users", users)), Task("wrong", Named("wrong", Seq((say("x"), mutex_unlock(wrong))))))
    space = explore(compile_model(Model("test", tasks, ("users",))), SearchLimits())
    assert space.broken
    assert space.reason.startswith(f"{wrong}.owned left the range 0..127")
    assert str(other) not in space.reason


def test_promela_says_the_same() -> None:
    lock, queue = Mutex("lock"), WorkQueue("queue", threads=1)
    work = Named("work", Seq((mutex_lock(lock), mutex_unlock(lock))))
    count = Var("count")
    body = Seq((queue_work(queue, work), mutex_lock(lock), atomic_inc(count), mutex_unlock(lock)))
    text = promela(compile_model(Model("test", (Task("a task", Named("t", body), 2),), ("a task",))))
    assert text == PROMELA


PROMELA = """\
/* s[0]: lock.owned */
/* s[1]: queue.pending of work */
byte s[2];
proctype P0_a_task() {
  goto at_0;
at_0:
  if
  :: atomic { (true) -> s[1] = s[1] + 1; goto at_1 }
  fi;
at_1:
  if
  :: atomic { (s[0] < 1) -> s[0] = s[0] + 1; goto at_2 }
  fi;
at_2:
  if
  :: atomic { (true) -> goto at_3 }
  fi;
at_3:
  if
  :: atomic { (true) -> s[0] = s[0] - 1; goto end_4 }
  fi;
end_4:
  goto fin;
fin: skip
}
proctype P1_queue() {
  goto end_0;
end_0:
  if
  :: atomic { (s[1] >= 1) -> s[1] = s[1] - 1; goto at_1 }
  fi;
at_1:
  if
  :: atomic { (s[0] < 1) -> s[0] = s[0] + 1; goto at_2 }
  fi;
at_2:
  if
  :: atomic { (true) -> s[0] = s[0] - 1; goto at_3 }
  fi;
at_3:
  if
  :: atomic { (true) -> goto end_0 }
  fi;
fin: skip
}
init { atomic {
  run P0_a_task();
  run P0_a_task();
  run P1_queue();
} }
"""
