"""What a check answers: stuck, free, vacuous or inconclusive; which knot, and against which base."""

from __future__ import annotations

import msgspec
import pytest
from sim_models import circle, throttle, told

from reviewbot.sim.check import SearchLimits, check
from reviewbot.sim.compile import compile_model
from reviewbot.sim.explore import explore
from reviewbot.sim.future import FutureSpot
from reviewbot.sim.knot import knots
from reviewbot.sim.model import (
    TRUE,
    Completion,
    Model,
    ModelError,
    Mutex,
    Named,
    Semaphore,
    Seq,
    Task,
    Var,
    While,
    atomic_inc,
    choice,
    complete,
    down,
    memalloc_noio_save,
    mutex_lock,
    mutex_unlock,
    say,
    task,
    up,
    wait_for_completion,
)
from reviewbot.sim.trace import ReplayError, replay, trace


def test_the_throttle_under_its_lock() -> None:
    result = check(throttle(held=True), confirm=SearchLimits())
    assert (result.outcome, result.states, result.edges, result.depth, result.checked) == ("stuck", 54, 92, 5, 508)
    assert told(result) == [
        "writer #1: takes origins for read",
        "writer #2: takes origins for read",
        "writer #2: takes count",
        "writer #1: blocks in down(&count)",
        "writer #2: queues copied on copier",
        "writer #2: releases origins",
        "constructor: blocks in down_write(&origins), ahead of new readers",
        "constructor: blocks in down_write(&origins)",
        "copier: runs copied",
        "copier: blocks in down_read(&origins)",
    ]
    assert circle(result) == [
        ("writer #1", "count", "copier"),
        ("copier", "origins for read", "constructor"),
        ("constructor", "origins for write", "writer #1"),
    ]


def test_the_throttle_without_its_lock() -> None:
    result = check(throttle(held=False), confirm=SearchLimits())
    assert (result.outcome, result.states, result.edges, result.checked, result.knots) == ("free", 207, 460, 1400, ())


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (SearchLimits(states=100), "more than 100 states"),
        (SearchLimits(seconds=0), "more than 0 s"),
        (SearchLimits(bytes=1 << 20), "more than 1 MB"),
    ],
)
def test_a_limit_ends_in_inconclusive(limit: SearchLimits, reason: str) -> None:
    result = check(throttle(held=False, writers=6, limit=2), limit, reduce=False)
    assert (result.outcome, result.reason) == ("inconclusive", reason)


def test_a_dead_end_that_was_seen_counts_in_spite_of_a_limit() -> None:
    result = check(throttle(held=True, writers=4), SearchLimits(states=3000), reduce=False)
    assert result.outcome == "stuck"
    assert ("constructor", "origins for write") in result.knots[0].key


def test_a_counter_out_of_range_breaks_what_was_found_as_well() -> None:
    """The deadlock is found before the counter overflows; a model that counts without bound proves nothing."""
    a, pages = Mutex("a"), Semaphore("pages", 0)
    once = Task("once", Named("once", Seq((mutex_lock(a), mutex_lock(a)))))
    grower = Task("grower", Named("grower", Seq((While(choice(), up(pages)), down(pages)))))
    result = check(Model("test", (once, grower), ("grower",)))
    assert (result.outcome, result.knots, result.complete) == ("inconclusive", (), False)


@pytest.mark.parametrize("held", [True, False])
def test_the_time_that_knots_take_counts_as_well(held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reviewbot.sim.explore._exhausted", lambda *_: "")  # the search itself is in time
    result = check(throttle(held=held), SearchLimits(seconds=-1))
    assert (result.outcome, result.reason) == ("inconclusive", "more than -1 s")


def test_a_confirmation_that_hits_its_limit_is_told() -> None:
    assert check(throttle(held=False), confirm=SearchLimits(states=10)).checked == 0


def test_a_model_that_proves_nothing() -> None:
    never = Completion("never")
    waiter = Task("waiter", Named("waiter", wait_for_completion(never)))
    result = check(Model("test", (waiter,), ("waiter", "something else")))
    assert (result.outcome, result.reason) == ("vacuous", "never reached: waiter, something else")
    result = check(Model("test", (waiter,)))
    assert (result.outcome, result.reason) == ("vacuous", "the model says of nothing that it must be reachable")


def test_a_task_that_is_stuck_whichever_way_it_goes() -> None:
    lock = Mutex("lock")
    twice = Task("twice", Named("twice", Seq((mutex_lock(lock), mutex_lock(lock)))))
    assert check(Model("test", (twice,), ("twice",))).outcome == "vacuous"
    assert check(Model("test", (twice,), ("twice",)), always=True).outcome == "stuck"
    other = check(Model("test", (twice,), ("twice", "something else")), always=True)
    assert (other.outcome, other.reason) == ("vacuous", "never reached: twice, something else")


def test_an_unbalanced_program_is_inconclusive_and_a_wrong_model_an_error() -> None:
    scoped = Task("scoped", Named("scoped", memalloc_noio_save()))
    result = check(Model("test", (scoped,), ("scoped",)))
    assert (result.outcome, result.reason) == ("inconclusive", "scoped ends inside of noio")
    with pytest.raises(ModelError, match="begins with 128"):
        check(Model("test", (Task("t", Named("t", down(Semaphore("sem", 128)))),), ("t",)))


# --- which knot ------------------------------------------------------------------------------------------------------


def two_circles(*, first: bool = True, second: bool = True) -> Model:
    a, b, x, y = Mutex("a"), Mutex("b"), Mutex("x"), Mutex("y")

    def pair(one: Mutex, other: Mutex) -> Seq:
        return Seq((mutex_lock(one), mutex_lock(other), mutex_unlock(other), mutex_unlock(one)))

    tasks = [Task("ab", Named("ab", pair(a, b))), Task("ba", Named("ba", pair(b, a) if first else pair(a, b)))]
    tasks += [Task("xy", Named("xy", Seq((say("begins"), say("goes on"), pair(x, y)))))]
    tasks += [Task("yx", Named("yx", pair(y, x) if second else pair(x, y)))]
    return Model("two circles", tuple(tasks), ("ab", "ba", "xy", "yx"))


def test_a_task_that_waits_for_itself_is_no_knot_of_several() -> None:
    a, b, c = Mutex("a"), Mutex("b"), Mutex("c")
    twice = Named("t", Seq((mutex_lock(a), mutex_lock(a), mutex_unlock(a), mutex_unlock(a))))
    alone = Model("alone", (Task("t", twice),), ("t",))
    assert check(alone, through="a", always=True).outcome == "stuck"
    result = check(alone, through="a", always=True, several=True)
    assert (result.outcome, result.reason) == ("vacuous", "never reached: t")
    orders = [
        Task(name, Named(name, Seq((mutex_lock(one), mutex_lock(two), mutex_unlock(two), mutex_unlock(one)))))
        for name, one, two in (("u", b, c), ("v", c, b))
    ]
    both = check(Model("both", (Task("t", twice), *orders), ("u", "v")), always=True, several=True)
    assert both.outcome == "stuck"
    assert both.knot is not None
    assert {wait.waits_for for wait in both.knot.waits} == {"b", "c"}


def test_a_knot_of_two_locks_is_not_that_of_one_of_them_and_a_third() -> None:
    a, b, c = Mutex("a"), Mutex("b"), Mutex("c")

    def nested(*locks: Mutex) -> Seq:
        return Seq((*map(mutex_lock, locks), *map(mutex_unlock, reversed(locks))))

    tasks = (Task("u", Named("u", nested(a, c, b))), Task("v", Named("v", nested(c, b, a))))
    model = Model("gate", tasks, ("u", "v"))
    assert check(model, through=["a", "b"]).outcome == "stuck"
    assert check(model, through=["a", "c"], every=True).outcome == "stuck"
    result = check(model, through=["a", "b"], every=True)
    assert (result.outcome, result.reason.partition(":")[0]) == ("inconclusive", "stuck, but not through a and b")


def test_the_knot_through_what_was_changed() -> None:
    model = two_circles()
    assert len(check(model).knots) == 2
    for names in (("a", "b"), ("x", "y")):
        result = check(model, through=names[0])
        assert result.outcome == "stuck"
        assert {wait.waits_for for wait in result.knot.waits} == set(names)
        assert {step.task for step in result.trace.steps} == {names[0] + names[1], names[1] + names[0]}
    assert check(model, through=["nothing", "y"]).outcome == "stuck"
    result = check(model, through="nothing")
    assert result.outcome == "inconclusive"
    assert result.reason.startswith("stuck, but not through nothing: ")


def test_knots_of_the_base_do_not_count() -> None:
    base, patched = check(two_circles(second=False)), check(two_circles())
    assert [len(result.knots) for result in (base, patched)] == [1, 2]
    new = check(two_circles(), known=base.keys)
    assert new.outcome == "stuck"
    assert set(dict(new.knot.key)) == {"xy", "yx"}
    same = check(two_circles(second=False), known=base.keys)
    assert (same.outcome, same.reason) == ("free", "stuck only in knots that do not count")


def test_a_knot_beside_an_endless_task() -> None:
    """No state is without a way on; the task that goes on for ever hides nothing."""
    a, b, tick = Mutex("a"), Mutex("b"), Mutex("tick")
    ab = Seq((mutex_lock(a), mutex_lock(b), mutex_unlock(b), mutex_unlock(a)))
    ba = Seq((mutex_lock(b), mutex_lock(a), mutex_unlock(a), mutex_unlock(b)))
    ticker = While(TRUE, Seq((mutex_lock(tick), mutex_unlock(tick))))
    tasks = tuple(Task(name, Named(name, body)) for name, body in (("ab", ab), ("ba", ba), ("ticker", ticker)))
    space = explore(compile_model(Model("test", tasks, ("ab",))), SearchLimits(), reduce=False)
    assert all(len(space.onward(state)) for state in range(len(space.order)))
    result = check(Model("test", tasks, ("ab", "ba")))
    assert (result.outcome, result.depth) == ("stuck", 2)
    assert sorted(circle(result)) == [("ab", "b", "ba"), ("ba", "a", "ab")]


def test_the_knot_is_told_at_the_first_state_where_it_is_complete() -> None:
    """More writers do not make the schedule longer, though the state where nothing moves at all comes later."""
    depths = [check(throttle(held=True, writers=writers)).depth for writers in (2, 3, 4)]
    assert depths == [5, 5, 5]


def test_who_takes_first_and_gives_back_later_is_no_help() -> None:
    """Two tasks wait for the lock. Each would release it after having taken it, but neither holds it now."""
    lock, done = Mutex("lock"), Completion("done")

    @task()
    def holder() -> None:
        mutex_lock(lock)
        wait_for_completion(done)
        mutex_unlock(lock)

    @task(n=2)
    def other() -> None:
        mutex_lock(lock)
        mutex_unlock(lock)
        if choice():
            complete(done)

    result = check(Model("test", (holder, other), ("holder", "other")))
    assert result.outcome == "stuck"
    held_by = {wait.task: wait.held_by for wait in result.trace.knot}
    assert held_by["holder"] == "other #1, other #2"
    assert held_by["other #1, other #2"] == "holder"


def test_an_unbounded_counter_is_inconclusive() -> None:
    grows = Var("grows")
    body = Seq((say("begins"), While(grows < 200, atomic_inc(grows))))
    assert check(Model("test", (Task("t", Named("t", body)),), ("t",))).outcome == "inconclusive"
    body = Seq((up(memory := Semaphore("pages", 0)), While(choice(), up(memory)), down(memory)))
    result = check(Model("test", (Task("t", Named("t", body)),), ("t",)))
    assert result.outcome == "inconclusive"
    assert result.reason == "pages.count left the range 0..127: unbounded, or given back without having been taken"


# --- replay ----------------------------------------------------------------------------------------------------------


def test_every_schedule_is_executed_again() -> None:
    space = explore(compile_model(throttle(held=True)), SearchLimits())
    (state, knot), *_ = knots(space)
    runs = replay(space, space.path(state))
    assert len(runs) == 7  # the search joins the two releases of a writer with what comes before
    assert trace(space, space.path(state), knot).steps


def test_a_schedule_that_the_automaton_does_not_have_is_refused() -> None:
    space = explore(compile_model(throttle(held=True)), SearchLimits())
    (state, knot), *_ = knots(space)
    with pytest.raises(ReplayError, match="no task can take a step"):  # as if it could be reached at once
        replay(space, [space.state(0), space.state(state)])
    with pytest.raises(ReplayError, match="not where the knot has it"):
        trace(space, space.path(0), knot)
    with pytest.raises(ReplayError, match="can go on"):
        trace(space, space.path(0), msgspec.structs.replace(knot, nodes=(FutureSpot(0, 0),)))
