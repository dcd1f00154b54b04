"""Which steps are joined with the one before, and which cells and conditions a compiled model keeps."""

from __future__ import annotations

import pytest
from sim_models import throttle

from reviewbot.sim.automaton import Automaton
from reviewbot.sim.compile import compile_model
from reviewbot.sim.explore import SearchLimits, explore
from reviewbot.sim.knot import knots
from reviewbot.sim.model import (
    Completion,
    Memory,
    Mempool,
    Model,
    Mutex,
    Named,
    Node,
    PercpuRef,
    RwSem,
    Semaphore,
    Seq,
    Task,
    Var,
    WaitQueue,
    WorkQueue,
    alloc_page,
    atomic_inc,
    atomic_set,
    blk_freeze_queue_start,
    blk_mq_freeze_queue,
    blk_queue_enter,
    blk_queue_exit,
    choice,
    complete,
    complete_all,
    down,
    down_read,
    down_write,
    flush_work,
    free_page,
    mempool_alloc,
    mempool_free,
    mutex_lock,
    mutex_unlock,
    queue_work,
    queue_work_once,
    say,
    up,
    up_read,
    up_write,
    wait_event,
    wait_for_completion,
    wait_until,
    wake_up,
)
from reviewbot.sim.reduce import fused, plain

MUTEX, SEM, COUNT, DONE = Mutex("mutex"), RwSem("sem"), Semaphore("count"), Completion("done")
MEMORY, REF, FLAG, SLEEP = Memory("memory"), PercpuRef("ref"), Var("flag"), WaitQueue("sleep")
POOL, ALONE, QUEUE = Mempool("pool", 1, MEMORY), Mempool("alone", 1), WorkQueue("queue", threads=1)
WORK = Named("work", Seq((mutex_lock(MUTEX), mutex_unlock(MUTEX))))
OTHERS = Seq(
    (
        mutex_lock(MUTEX),
        down_read(SEM),
        down_write(SEM),
        down(COUNT),
        wait_for_completion(DONE),
        alloc_page(MEMORY),
        mempool_alloc(POOL),
        mempool_alloc(ALONE),
        blk_queue_enter(REF),
        blk_mq_freeze_queue(REF),
        wait_event(SLEEP, FLAG > 0),
        wait_until(FLAG == 2),
        flush_work(QUEUE, WORK),
    )
)
"""Everything that others may wait for, so that nothing is left out as unobserved."""


def compiled(*nodes: Node) -> Automaton:
    first = Task("first", Named("first", Seq((mutex_lock(Mutex("before")), *nodes, mutex_lock(Mutex("after"))))))
    second = Task("second", Named("second", OTHERS))
    return compile_model(Model("test", (first, second), ("first",)))


@pytest.mark.parametrize(
    ("release", "joined"),
    [
        (mutex_unlock(MUTEX), True),
        (up_read(SEM), True),
        (up_write(SEM), True),
        (up(COUNT), True),
        (complete(DONE), True),
        (mempool_free(ALONE), True),
        (blk_queue_exit(REF), True),
        (say("something"), True),
        (queue_work(WorkQueue("another", threads=1), WORK), True),
        (choice, False),
        (free_page(MEMORY), False),  # the pool looks whether there is no memory
        (mempool_free(POOL), False),  # goes one way or another
        (blk_freeze_queue_start(REF), False),  # shuts the queue
        (atomic_inc(FLAG), False),  # two conditions on it
        (atomic_set(FLAG, 1), False),
        (complete_all(DONE), False),
        (wake_up(SLEEP), False),
        (queue_work_once(QUEUE, WORK), False),  # the pending bit
        (queue_work(QUEUE, WORK), True),  # other items than the one that is flushed
    ],
)
def test_which_releases_are_done_with_the_step_before(release: Node, joined: bool) -> None:
    if release is choice:
        from reviewbot.sim.model import If

        release = If(choice(), say("one"), say("other"))
    moves = fused(compiled(release))
    assert (len(moves[0][0][0].edges) > 1) is joined


def test_without_reductions_every_edge_is_a_move() -> None:
    automaton = compile_model(throttle(held=True))
    moves = plain(automaton)
    assert [[len(ways) for ways in places] for places in moves] == [
        [len(e) for e in c.edges] for c in automaton.classes
    ]
    assert all(len(move.edges) == 1 for places in moves for ways in places for move in ways)


def test_a_loop_of_releases_ends() -> None:
    from reviewbot.sim.model import TRUE, While

    forever = Named("forever", Seq((mutex_lock(MUTEX), While(TRUE, Seq((mutex_unlock(MUTEX), say("x")))))))
    automaton = compile_model(
        Model("test", (Task("forever", forever), Task("t", Named("t", mutex_lock(MUTEX)))), ("t",))
    )
    assert len(fused(automaton)[0][0][0].edges) == 3


def names(automaton: Automaton) -> set[str]:
    return {str(cell) for cell in automaton.cells}


def test_what_nothing_can_observe_is_left_out() -> None:
    done, never = Completion("done"), Var("never read")

    def model(*nodes: Node) -> Automaton:
        return compile_model(Model("test", (Task("t", Named("t", Seq(nodes))),), ("t",)))

    assert names(model(complete(done), atomic_inc(never))) == set()
    assert names(model(complete(done), wait_for_completion(done))) == {"done.done"}
    assert names(model(queue_work(QUEUE, WORK))) == {"queue.pending of work", "mutex.owned"}
    flushed = names(model(queue_work_once(QUEUE, WORK), flush_work(QUEUE, WORK)))
    assert {name.partition(" of ")[0] for name in flushed} == {
        "queue.pending once",
        "queue.running",
        "queue.runs to flush",
        "queue.busy to flush",
        "mutex.owned",
    }


def test_conditions_that_are_true_or_false_for_good_are_left_out() -> None:
    reader = Task("reader", Named("reader", Seq((down_read(SEM), up_read(SEM)))))
    automaton = compile_model(Model("test", (reader,), ("reader",)))
    assert automaton.cells == ()
    assert len(explore(automaton, SearchLimits()).order) == 2


def test_a_step_that_is_shut_for_good_stays_a_step() -> None:
    waiter = Task("waiter", Named("waiter", wait_for_completion(Completion("never"))))
    automaton = compile_model(Model("test", (waiter,), ("waiter",)))
    assert names(automaton) == {"never.done"}
    assert [len(edge.guard) for edge in automaton.classes[0].edges[0]] == [0, 1]  # complete_all() never comes
    space = explore(automaton, SearchLimits())
    assert len(space.order) == 1
    assert [wait.waits_for for _, knot in knots(space) for wait in knot.waits] == ["never"]
