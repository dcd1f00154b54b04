"""Reduced search, whole search, the plain meaning of the automaton and SPIN say the same of random models."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sim_models import plain_search, throttle
from sim_random import models
from sim_spin import spin

from reviewbot.sim.compile import compile_model
from reviewbot.sim.explore import SearchLimits, explore
from reviewbot.sim.knot import knots
from reviewbot.sim.model import (
    TRUE,
    Memory,
    Mempool,
    Model,
    Mutex,
    Named,
    Seq,
    Task,
    While,
    WorkQueue,
    alloc_page,
    free_page,
    mempool_alloc,
    mempool_free,
    mutex_lock,
    mutex_unlock,
    queue_work,
)
from reviewbot.sim.trace import trace

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
LIMITS = SearchLimits(states=4000, seconds=600)
Key = tuple[tuple[str, str], ...]


def both_ways(model: Model) -> tuple[set[Key], set[Key]]:
    """The keys of the knots that the search with reductions finds, and the one without."""
    automaton = compile_model(model)
    reduced, whole = (knots(explore(automaton, LIMITS, reduce=reduce)) for reduce in (True, False))
    return {knot.key for _, knot in reduced}, {knot.key for _, knot in whole}


def test_of_two_circles_as_short_both_searches_name_the_same() -> None:
    memory = Memory("memory", 0)
    pool = Mempool("pool", 1, memory)
    both = Seq((mempool_alloc(pool), alloc_page(memory), mempool_free(pool), free_page(memory)))
    one = Seq((mempool_alloc(pool), mempool_free(pool)))
    reduced, whole = both_ways(Model("circles", (Task("both", Named("both", both), 2), Task("one", Named("one", one)))))
    assert reduced == whole
    assert len(whole) == 2


def test_a_knot_that_only_some_of_the_last_states_have_is_found_both_ways() -> None:
    """The work queued once more waits for the kworker, which waits for what that work would give back.

    A third task stands in a knot of its own, so that none of the last states is without one.
    """
    first, second, pool = Mutex("first"), Mutex("second"), Mempool("pool", 0, Memory("memory", 0))
    shared = WorkQueue("shared", max_active=1)
    work = Named("work", Seq((mutex_lock(first), mempool_alloc(pool), mutex_unlock(first), mempool_free(pool))))
    asks = Seq((queue_work(shared, work), mutex_lock(first), mutex_unlock(first)))
    again = Seq((mutex_lock(second), mutex_lock(second), mutex_unlock(second), mutex_unlock(second)))
    tasks = (
        Task("asks", Named("asks", asks)),
        Task("queues", Named("queues", queue_work(shared, work)), 2),
        Task("again", Named("again", again)),
    )
    reduced, whole = both_ways(Model("last", tasks, kworkers=1))
    assert reduced == whole
    assert any("the queued work" in {who for who, _ in key} for key in whole)


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(models())
def test_searches_agree_on_random_models(model: Model) -> None:
    automaton = compile_model(model)
    whole = explore(automaton, LIMITS, reduce=False)
    assume(whole.complete)
    states, dead = plain_search(automaton)
    assert states == len(whole.order)
    reduced = explore(automaton, LIMITS)
    assert reduced.complete
    assert len(reduced.order) <= len(whole.order)
    found, found_whole = knots(reduced), knots(whole)
    assert bool(found) == bool(found_whole) == bool(dead)
    assert {knot.key for _, knot in found} == {knot.key for _, knot in found_whole}
    assert reduced.marks == whole.marks
    for space, some in ((reduced, found), (whole, found_whole)):
        for state, knot in some:
            assert trace(space, space.path(state), knot).knot


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(models())
def test_an_endless_task_hides_no_knot_and_makes_none(model: Model) -> None:
    lock = Mutex("its own lock")
    ticker = Task("ticker", Named("ticker", While(TRUE, Seq((mutex_lock(lock), mutex_unlock(lock))))))
    alone = explore(compile_model(model), LIMITS)
    beside = explore(compile_model(Model("beside", (*model.tasks, ticker), model.reachable, model.kworkers)), LIMITS)
    assume(alone.complete and beside.complete)
    assert {knot.key for _, knot in knots(alone)} == {knot.key for _, knot in knots(beside)}


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(models(), st.booleans())
def test_looked_up_and_generated_search_are_one(model: Model, reduce: bool) -> None:
    automaton = compile_model(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reviewbot.sim.explore.LOOKED_UP", 1_000_000)
        found = explore(automaton, LIMITS, reduce=reduce)
        patch.setattr("reviewbot.sim.explore.LOOKED_UP", 0)
        made = explore(automaton, LIMITS, reduce=reduce)
    assert found.complete == made.complete
    if found.complete:
        assert (found.order, found.targets, found.starts, found.marks) == (
            made.order,
            made.targets,
            made.starts,
            made.marks,
        )
    elif "states" not in found.reason:
        assert found.reason == made.reason


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(models())
def test_spin_agrees_on_random_models(model: Model) -> None:
    automaton = compile_model(model)
    space = explore(automaton, LIMITS)
    assume(space.complete)
    assert spin(automaton, "-O0").stuck == bool(knots(space))


@pytest.mark.parametrize("held", [True, False])
def test_spin_agrees_on_the_throttle(held: bool) -> None:
    automaton = compile_model(throttle(held=held))
    assert spin(automaton, "-O0").stuck is held
    assert bool(knots(explore(automaton, LIMITS))) is held
