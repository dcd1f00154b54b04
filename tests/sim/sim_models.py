"""Small models for the simulator's own tests, and the different searches that all have to say the same of them."""

from __future__ import annotations

from collections.abc import Sequence

from reviewbot.sim.automaton import Automaton, successors
from reviewbot.sim.check import SearchLimits, SearchResult, check
from reviewbot.sim.compile import compile_model
from reviewbot.sim.model import (
    Completion,
    Model,
    RwSem,
    Semaphore,
    Task,
    Var,
    WaitQueue,
    WorkQueue,
    atomic_dec,
    atomic_inc,
    complete,
    down,
    down_read,
    down_write,
    program,
    queue_work,
    task,
    up,
    up_read,
    up_write,
    wait_event,
    wait_for_completion,
    wake_up,
)


def run(*tasks: Task, reachable: Sequence[str] = (), kworkers: int = 1) -> SearchResult:
    """Check a model of these tasks, with and without reductions and by the plain meaning of the automaton.

    Without `reachable` the first task has to finish.
    """
    model = Model("test", tasks, tuple(reachable) or (tasks[0].name,), kworkers)
    result = check(model)
    whole = check(model, reduce=False)
    assert (result.outcome, result.keys) == (whole.outcome, whole.keys)
    states, dead = plain_search(compile_model(model))
    assert whole.states == states
    if (
        dead and result.outcome != "vacuous"
    ):  # a state where nothing moves is a deadlock; the other way round there may be an endless task
        assert result.knots
    return result


def plain_search(automaton: Automaton) -> tuple[int, int]:
    """States, and states where nothing moves and somebody is away from home, by the plain meaning of the automaton."""
    seen, todo, dead = {automaton.initial}, [automaton.initial], 0
    while todo:
        state = todo.pop()
        after = [new for *_, new in successors(automaton, state)]
        dead += not after and automaton.away(state)
        todo += (fresh := set(after) - seen)
        seen |= fresh
    return len(seen), dead


def told(result: SearchResult) -> list[str]:
    """The steps of the trace, one line each."""
    assert result.trace is not None, result
    return [f"{step.task}: {step.step}" for step in result.trace.steps]


def circle(result: SearchResult) -> list[tuple[str, str, str]]:
    """Who waits for what, held by whom, in the trace."""
    assert result.trace is not None, result
    return [(wait.task, wait.waits_for, wait.held_by) for wait in result.trace.knot]


def throttle(*, held: bool, writers: int = 2, limit: int = 1) -> Model:
    """A writer throttles itself, with or without the lock that the completion of a copy takes."""
    origins, count = RwSem("origins"), Semaphore("count", limit)
    in_progress, waiters = Var("in_progress"), WaitQueue("waiters")
    copier, done = WorkQueue("copier", threads=1), Completion("the write")

    @program
    def copied() -> None:
        down_read(origins)
        up_read(origins)
        complete(done)
        if held:
            up(count)
        else:
            atomic_dec(in_progress)
            wake_up(waiters)

    @task(n=writers)
    def writer() -> None:
        down_read(origins)
        if held:
            down(count)
        else:
            while in_progress >= limit:
                up_read(origins)
                wait_event(waiters, in_progress < limit)
                down_read(origins)
            atomic_inc(in_progress)
        queue_work(copier, copied())
        up_read(origins)
        wait_for_completion(done)

    @task()
    def constructor() -> None:
        down_write(origins)
        up_write(origins)

    return Model("throttle", (writer, constructor), ("writer", "constructor"))


LIMITS = SearchLimits(states=300_000, seconds=600)
