"""Memory: who waits for pages, what direct reclaim may do under which flags and scopes, and reserves."""

from __future__ import annotations

import pytest
from sim_models import circle, run, told

from reviewbot.sim.check import check
from reviewbot.sim.compile import compile_model
from reviewbot.sim.model import (
    GFP_KERNEL,
    GFP_NOFS,
    GFP_NOIO,
    GFP_NOWAIT,
    Completion,
    Gfp,
    Interrupt,
    Memory,
    Mempool,
    Model,
    ModelError,
    Mutex,
    Unbalanced,
    Var,
    WorkQueue,
    alloc_page,
    atomic_dec,
    choice,
    complete,
    free_page,
    memalloc_nofs_restore,
    memalloc_nofs_save,
    memalloc_noio_restore,
    memalloc_noio_save,
    memalloc_noreclaim_restore,
    memalloc_noreclaim_save,
    mempool_alloc,
    mempool_free,
    mutex_lock,
    mutex_unlock,
    program,
    queue_work,
    reached,
    start_io,
    task,
    try_alloc_page,
    try_mempool_alloc,
    wait_for_completion,
)


def test_an_allocation_waits_for_a_page() -> None:
    memory = Memory("free memory")

    @task()
    def allocator() -> None:
        alloc_page(memory)

    @task()
    def freer() -> None:
        free_page(memory)

    assert run(allocator, freer).outcome == "free"
    assert run(allocator, reachable=["allocator"]).outcome == "vacuous"


def reclaiming(flags: Gfp, *, scope: str = "", gate: Gfp = Gfp.FS):
    """A filesystem allocates with its lock held; a shrinker behind a gate takes the lock."""
    fs = Mutex("fs lock")

    @program
    def shrink(gfp: Gfp) -> None:
        if gate not in gfp:
            return
        reached("shrinks")
        mutex_lock(fs)
        mutex_unlock(fs)
        free_page(memory)

    memory = Memory("free memory", reclaim=shrink)

    @task()
    def filesystem() -> None:
        mutex_lock(fs)
        if scope == "nofs":
            memalloc_nofs_save()
        elif scope == "noio":
            memalloc_noio_save()
        alloc_page(memory, flags)
        if scope == "nofs":
            memalloc_nofs_restore()
        elif scope == "noio":
            memalloc_noio_restore()
        mutex_unlock(fs)

    @task()
    def user() -> None:
        alloc_page(memory)

    @task(n=2)
    def kswapd() -> None:
        free_page(memory)

    return run(filesystem, user, kswapd, reachable=["filesystem", "shrinks"])


@pytest.mark.parametrize(
    ("flags", "scope", "gate", "outcome"),
    [
        (GFP_KERNEL, "", Gfp.FS, "stuck"),
        (GFP_NOFS, "", Gfp.FS, "free"),
        (GFP_NOFS, "", Gfp.IO, "stuck"),
        (GFP_NOIO, "", Gfp.IO, "free"),
        (GFP_KERNEL, "nofs", Gfp.FS, "free"),
        (GFP_KERNEL, "nofs", Gfp.IO, "stuck"),
        (GFP_KERNEL, "noio", Gfp.IO, "free"),
    ],
)
def test_flags_and_scopes_decide_what_reclaim_does(flags: Gfp, scope: str, gate: Gfp, outcome: str) -> None:
    result = reclaiming(flags, scope=scope, gate=gate)
    assert result.outcome == outcome
    if result.trace and not scope:
        name = "GFP_KERNEL" if flags == GFP_KERNEL else "GFP_NOFS"
        assert told(result) == [
            "filesystem: takes fs lock",
            f"filesystem: calls alloc_page({name}) and finds no free page: direct reclaim",
            "filesystem: blocks in mutex_lock(fs lock)",
        ]
        assert circle(result) == [("filesystem", "fs lock", "filesystem")]


def test_reclaim_does_not_recurse_and_has_the_emergency_reserve() -> None:
    @program
    def shrink(gfp: Gfp) -> None:
        alloc_page(memory)  # under PF_MEMALLOC
        reached("got a page of the reserve")
        free_page(memory)  # that page
        free_page(memory)  # what it was called for

    memory = Memory("free memory", reclaim=shrink)

    @task()
    def allocator() -> None:
        alloc_page(memory)
        alloc_page(memory)

    result = run(allocator, reachable=["allocator", "got a page of the reserve"])
    assert result.outcome == "free"


def test_the_reserve_by_hand() -> None:
    memory = Memory("free memory")

    @task()
    def swapper() -> None:
        memalloc_noreclaim_save()
        alloc_page(memory)
        free_page(memory)
        memalloc_noreclaim_restore()

    assert run(swapper).outcome == "free"


@pytest.mark.parametrize(("dirty", "outcome"), [(2, "free"), (1, "stuck")])
def test_reclaim_again_while_there_is_something_to_reclaim(dirty: int, outcome: str) -> None:
    pages = Var("dirty pages", dirty)

    @program
    def shrink(gfp: Gfp) -> None:
        cleaned = pages
        atomic_dec(cleaned)
        free_page(memory)

    memory = Memory("free memory", reclaim=shrink, reclaimable=pages > 0)

    @task()
    def allocator() -> None:
        alloc_page(memory)
        reached("one page")
        alloc_page(memory)

    assert run(allocator, reachable=["one page"]).outcome == outcome


def test_scopes_have_to_be_closed_in_order() -> None:
    memory = Memory("free memory", 1)

    @task()
    def forgets() -> None:
        memalloc_noio_save()
        alloc_page(memory)

    @task()
    def crosses() -> None:
        memalloc_noio_save()
        memalloc_nofs_save()
        memalloc_noio_restore()

    for wrong in (forgets, crosses):
        with pytest.raises(Unbalanced):
            compile_model(Model("test", (wrong,), (wrong.name,)))
        assert check(Model("test", (wrong,), (wrong.name,))).outcome == "inconclusive"


def test_an_allocation_that_may_fail_is_a_condition() -> None:
    memory = Memory("free memory", 1)
    pool = Mempool("pool", 1, memory)
    for call in (lambda: alloc_page(memory, GFP_NOWAIT), lambda: mempool_alloc(pool, GFP_NOWAIT)):
        with pytest.raises(ModelError, match="may fail"):
            call()

    @task(n=3)
    def tries() -> None:
        if try_alloc_page(memory):
            free_page(memory)
        else:
            reached("no page")
        if not try_mempool_alloc(pool):
            reached("no element")

    assert run(tries, reachable=["tries", "no page", "no element"]).outcome == "free"


# --- reserves --------------------------------------------------------------------------------------------------------


def holders(*, min_nr: int, tasks: int = 2, pages: int = 0, elements: int = 2):
    """Every task takes so many elements one after the other; what it gives back is used by the next."""
    memory = Memory("free memory", pages)
    pool = Mempool("pool", min_nr, memory)

    @task(n=tasks)
    def user() -> None:
        for _ in range(elements):
            mempool_alloc(pool)
        for _ in range(elements):
            mempool_free(pool)

    return run(user)


@pytest.mark.parametrize(
    ("min_nr", "pages", "outcome"), [(2, 0, "stuck"), (3, 0, "free"), (2, 1, "free"), (1, 0, "vacuous"), (0, 3, "free")]
)
def test_two_elements_of_one_pool(min_nr: int, pages: int, outcome: str) -> None:
    assert holders(min_nr=min_nr, pages=pages).outcome == outcome


def test_the_last_element_is_told() -> None:
    result = holders(min_nr=2)
    assert told(result) == [
        "user #1: calls mempool_alloc(&pool) and takes an element of the reserve",
        "user #2: calls mempool_alloc(&pool) and takes the last element of the reserve",
        "user #1: blocks in mempool_alloc(&pool)",
        "user #2: blocks in mempool_alloc(&pool)",
    ]
    assert circle(result) == [("user #1, user #2", "an element of pool", "user #1, user #2")]


def test_a_pool_fills_its_reserve_before_it_gives_memory_back() -> None:
    memory = Memory("free memory", 1)
    pool = Mempool("pool", 1, memory)

    @task()
    def user() -> None:
        mempool_alloc(pool)  # from memory
        mempool_alloc(pool)  # from the reserve
        mempool_free(pool)  # fills the reserve
        if try_alloc_page(memory):
            reached("memory came back first")
        mempool_free(pool)
        alloc_page(memory)

    assert run(user).outcome == "free"
    assert run(user, reachable=["memory came back first"]).outcome == "vacuous"


def test_a_pool_without_memory_behind_it_and_words_of_the_model() -> None:
    pool = Mempool("pool", 2)

    @task(n=2)
    def user() -> None:
        mempool_alloc(pool).says("holds {one} page")
        mempool_alloc(pool).says("holds {one} page")
        mempool_free(pool)
        mempool_free(pool)

    assert told(run(user))[:2] == ["user #1: holds a page", "user #2: holds the last page"]


def test_mempool_alloc_reclaims_before_it_sleeps() -> None:
    lock = Mutex("lock")

    @program
    def shrink(gfp: Gfp) -> None:
        if Gfp.IO in gfp:
            mutex_lock(lock)
            mutex_unlock(lock)
            free_page(memory)

    memory = Memory("free memory", reclaim=shrink)
    pool = Mempool("pool", 0, memory)

    def user(flags: Gfp):
        @task()
        def taker() -> None:
            mutex_lock(lock)
            mempool_alloc(pool, flags)
            mutex_unlock(lock)

        @task()
        def freer() -> None:
            free_page(memory)

        return run(taker, freer)

    assert user(GFP_NOFS).outcome == "stuck"
    assert user(GFP_NOIO).outcome == "free"


def reread(*, threads: int, min_nr: int, works: int = 3):
    """A pool whose elements are held only by works of two queues with so many threads; one work waits for the other."""
    pool, disk = Mempool("pool", min_nr), Interrupt("disk")
    upper, lower = WorkQueue("upper", threads=threads), WorkQueue("lower", threads=threads)
    upper_read, lower_read, done = Completion("upper read"), Completion("lower read"), Completion("bio")

    @program
    def end_upper() -> None:
        complete(upper_read)

    @program
    def end_lower() -> None:
        complete(lower_read)

    @program
    def lower_work() -> None:
        mempool_alloc(pool)
        start_io(disk, end_lower())
        wait_for_completion(lower_read)
        mempool_free(pool)
        complete(upper_read)

    @program
    def upper_work() -> None:
        mempool_alloc(pool)
        queue_work(lower, lower_work())
        wait_for_completion(upper_read)
        mempool_free(pool)
        complete(done)

    @task(n=works)
    def reader() -> None:
        queue_work(upper, upper_work())
        wait_for_completion(done)

    return run(reader)


def test_a_pool_may_be_scaled_down_only_with_its_holders() -> None:
    """One thread for each level holds at most one element each: two elements are enough whatever the load.

    A model with a pool of one instead would find a deadlock that the code does not have.
    """
    assert reread(threads=1, min_nr=2).outcome == "free"
    assert reread(threads=1, min_nr=1).outcome == "vacuous"
    assert reread(threads=2, min_nr=2, works=2).outcome == "stuck"
    assert reread(threads=2, min_nr=3, works=2).outcome == "free"


def test_one_event_shared_by_two_classes_of_tasks_makes_a_circle_that_is_none() -> None:
    """The trap: a completion of one class is taken by a task of the other, which in the code has its own."""

    def model(shared: bool):
        first_done = Completion("a buffer")
        second_done = first_done if shared else Completion("another buffer")
        lock = Mutex("lock")

        @task()
        def first() -> None:
            if choice():
                complete(first_done)
            wait_for_completion(first_done)

        @task()
        def second() -> None:
            mutex_lock(lock)
            complete(second_done)
            wait_for_completion(second_done)
            mutex_unlock(lock)

        return {knot.key for knot in run(first, second).knots}

    assert any("second" in dict(key) for key in model(shared=True))
    assert not any("second" in dict(key) for key in model(shared=False))
