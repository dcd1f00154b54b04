"""Each lock of the vocabulary, by the deadlock that it makes and the one that it does not."""

from __future__ import annotations

import pytest
from sim_models import circle, run, told

from reviewbot.sim.model import (
    Completion,
    Cpu,
    Interrupt,
    Mutex,
    PercpuRef,
    RwSem,
    Semaphore,
    SpinLock,
    Srcu,
    Task,
    Timer,
    blk_freeze_queue_start,
    blk_mq_freeze_queue,
    blk_mq_unfreeze_queue,
    blk_queue_enter,
    blk_queue_exit,
    choice,
    complete_all,
    down,
    down_read,
    down_read_trylock,
    down_trylock,
    down_write,
    down_write_trylock,
    downgrade_write,
    local_bh_disable,
    local_bh_enable,
    local_irq_disable,
    local_irq_enable,
    mod_timer,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    percpu_ref_get,
    percpu_ref_tryget_live,
    program,
    reached,
    spin_lock,
    spin_lock_bh,
    spin_lock_irq,
    spin_trylock,
    spin_unlock,
    spin_unlock_bh,
    spin_unlock_irq,
    srcu_read_lock,
    srcu_read_unlock,
    start_io,
    synchronize_srcu,
    task,
    up,
    up_read,
    up_write,
    wait_for_completion,
)
from reviewbot.sim.program import Act, ProgramStep, Seq


def two_mutexes(*, same_order: bool):
    a, b = Mutex("a"), Mutex("b")

    @task()
    def first() -> None:
        mutex_lock(a)
        mutex_lock(b)
        mutex_unlock(b)
        mutex_unlock(a)

    @task()
    def second() -> None:
        mutex_lock(a if same_order else b)
        mutex_lock(b if same_order else a)
        mutex_unlock(a if same_order else b)
        mutex_unlock(b if same_order else a)

    return first, second


def test_mutex_in_two_orders() -> None:
    result = run(*two_mutexes(same_order=False))
    assert (result.outcome, result.states) == ("stuck", 9)
    assert told(result) == [
        "first: takes a",
        "second: takes b",
        "first: blocks in mutex_lock(&b)",
        "second: blocks in mutex_lock(&a)",
    ]
    assert sorted(circle(result)) == [("first", "b", "second"), ("second", "a", "first")]


def test_mutex_in_one_order() -> None:
    result = run(*two_mutexes(same_order=True))
    assert (result.outcome, result.states) == ("free", 8)


def test_mutex_taken_twice_is_waiting_for_oneself() -> None:
    a = Mutex("a")

    @task()
    def once() -> None:
        mutex_lock(a)
        reached("took it")
        mutex_lock(a)

    result = run(once, reachable=["took it"])
    assert circle(result) == [("once", "a", "once")]


def test_mutex_that_an_error_path_forgets_to_release() -> None:
    a = Mutex("a")

    @task(n=2)
    def caller() -> None:
        mutex_lock(a)
        if choice():
            return
        mutex_unlock(a)

    result = run(caller)
    assert circle(result) == [("caller #2", "a", "caller #1, which never gives it back")]


def test_mutex_held_by_its_own_waiter() -> None:
    a = Mutex("a")

    @task()
    def once() -> None:
        mutex_lock(a)
        reached("took it")
        mutex_lock(a)
        mutex_unlock(a)
        mutex_unlock(a)

    assert run(once, reachable=["took it"]).outcome == "stuck"


def test_mutex_trylock_never_waits() -> None:
    a, b = Mutex("a"), Mutex("b")

    @task()
    def first() -> None:
        mutex_lock(a)
        if mutex_trylock(b):
            mutex_unlock(b)
        mutex_unlock(a)

    @task()
    def second() -> None:
        mutex_lock(b)
        if not mutex_trylock(a):
            reached("a was taken")
        else:
            mutex_unlock(a)
        mutex_unlock(b)

    assert run(first, second, reachable=["first", "second", "a was taken"]).outcome == "free"


def interrupted(lock_by: str, *, same_cpu: bool = True, soft: bool = False):
    """A task takes a lock that an interrupt takes as well."""
    lock, cpu = SpinLock("lock"), Cpu("CPU0")
    disk = Interrupt("disk", cpu=cpu if same_cpu else None, soft=soft)
    take, give = {
        "spin_lock": (spin_lock, spin_unlock),
        "spin_lock_irq": (spin_lock_irq, spin_unlock_irq),
        "spin_lock_bh": (spin_lock_bh, spin_unlock_bh),
    }[lock_by]

    @program
    def end_io() -> None:
        spin_lock(lock)
        spin_unlock(lock)

    @task(cpu=cpu)
    def submitter() -> None:
        start_io(disk, end_io())
        take(lock)
        give(lock)

    return run(submitter, reachable=["submitter", "end_io"])


def test_spin_lock_that_an_interrupt_takes_on_the_same_processor() -> None:
    result = interrupted("spin_lock")
    assert told(result) == [
        "submitter: starts I/O on disk",
        "submitter: takes lock",
        "disk: runs end_io",
        "submitter: is interrupted on CPU0",
        "disk: blocks in spin_lock(&lock)",
    ]
    assert circle(result) == [("submitter", "CPU0", "disk"), ("disk", "lock", "submitter")]


@pytest.mark.parametrize(
    ("lock_by", "same_cpu", "soft", "outcome"),
    [
        ("spin_lock", True, False, "stuck"),
        ("spin_lock", False, False, "free"),
        ("spin_lock_irq", True, False, "free"),
        ("spin_lock_bh", True, False, "stuck"),
        ("spin_lock_bh", True, True, "free"),
        ("spin_lock", True, True, "stuck"),
        ("spin_lock_irq", True, True, "free"),
    ],
)
def test_spin_locks_and_interrupts(lock_by: str, same_cpu: bool, soft: bool, outcome: str) -> None:
    assert interrupted(lock_by, same_cpu=same_cpu, soft=soft).outcome == outcome


def test_interrupts_and_softirqs_disabled_by_hand() -> None:
    lock, cpu = SpinLock("lock"), Cpu("CPU0")

    @program
    def expired() -> None:
        spin_lock(lock)
        spin_unlock(lock)

    timer = Timer(name="timer", cpu=cpu, function=expired())

    for off, on in ((local_irq_disable, local_irq_enable), (local_bh_disable, local_bh_enable)):

        @task(cpu=cpu)
        def careful() -> None:
            mod_timer(timer)
            off()  # noqa: B023
            spin_lock(lock)
            spin_unlock(lock)
            on()  # noqa: B023

        assert run(careful, reachable=["careful", "expired"]).outcome == "free"


def test_spin_trylock() -> None:
    lock = SpinLock("lock")

    @task(n=2)
    def polite() -> None:
        if spin_trylock(lock):
            spin_unlock(lock)
        else:
            reached("gave up")

    assert run(polite, reachable=["polite", "gave up"]).outcome == "free"


def test_rwsem_with_a_writer_between_two_readers() -> None:
    sem = RwSem("sem")

    @task()
    def reader() -> None:
        down_read(sem)
        down_read(sem)
        up_read(sem)
        up_read(sem)

    @task()
    def writer() -> None:
        down_write(sem)
        up_write(sem)

    assert run(reader).outcome == "free"
    result = run(reader, writer)
    assert result.outcome == "stuck"
    assert told(result) == [
        "reader: takes sem for read",
        "writer: blocks in down_write(&sem), ahead of new readers",
        "reader: blocks in down_read(&sem)",
        "writer: blocks in down_write(&sem)",
    ]
    assert sorted(circle(result)) == [("reader", "sem for read", "writer"), ("writer", "sem for write", "reader")]


def test_rwsem_excludes() -> None:
    sem = RwSem("sem")

    @task(n=2)
    def reader() -> None:
        down_read(sem)
        if down_write_trylock(sem):
            reached("both")
        up_read(sem)

    @task()
    def writer() -> None:
        down_write(sem)
        if down_read_trylock(sem):
            reached("both")
        up_write(sem)

    assert run(reader, writer).outcome == "free"
    assert run(reader, writer, reachable=["both"]).outcome == "vacuous"


@pytest.mark.parametrize(("downgrades", "outcome"), [(True, "free"), (False, "stuck")])
def test_rwsem_downgraded_lets_readers_in_but_no_writer(downgrades: bool, outcome: str) -> None:
    sem, done = RwSem("sem"), Semaphore("done", 0)

    @task()
    def owner() -> None:
        down_write(sem)
        if downgrades:
            downgrade_write(sem)
        if down_write_trylock(sem):
            reached("a second writer")
        down(done)  # the reader gives it with the semaphore held
        if downgrades:
            up_read(sem)
        else:
            up_write(sem)

    @task()
    def reader() -> None:
        down_read(sem)
        up(done)
        up_read(sem)

    assert run(owner, reader).outcome == outcome
    assert run(owner, reader, reachable=["a second writer"]).outcome == "vacuous"


def test_trylocks_of_an_rwsem_fail_while_a_writer_is_queued() -> None:
    sem = RwSem("sem")

    @task()
    def reader() -> None:
        down_read(sem)
        if down_read_trylock(sem):
            up_read(sem)
        else:
            reached("a writer is queued")
        up_read(sem)

    @task()
    def writer() -> None:
        down_write(sem)
        up_write(sem)

    assert run(reader, writer, reachable=["reader", "writer", "a writer is queued"]).outcome == "free"


def test_semaphore_counts_and_anybody_may_give() -> None:
    def model(count: int, takers: int):
        sem = Semaphore("sem", count)

        @task(n=takers)
        def taker() -> None:
            down(sem)

        @task()
        def giver() -> None:
            up(sem)

        return run(taker, giver)

    assert model(1, 2).outcome == "free"
    assert model(0, 2).outcome == "stuck"
    sem = Semaphore("sem", 1)

    @task(n=2)
    def polite() -> None:
        if not down_trylock(sem):
            reached("none left")

    assert run(polite, reachable=["none left"]).outcome == "free"


@pytest.mark.parametrize(("inside", "outcome"), [(True, "stuck"), (False, "free")])
def test_readers_are_waited_for_under_a_lock_that_they_take(inside: bool, outcome: str) -> None:
    domain, lock = Srcu("srcu"), Mutex("lock")

    @task(n=2)
    def reader() -> None:
        srcu_read_lock(domain)
        if inside:
            mutex_lock(lock)
            mutex_unlock(lock)
        srcu_read_unlock(domain)

    @task()
    def writer() -> None:
        mutex_lock(lock)
        synchronize_srcu(domain)
        mutex_unlock(lock)

    assert run(reader, writer).outcome == outcome


@pytest.mark.parametrize(("late", "outcome"), [(True, "free"), (False, "stuck")])
def test_who_begins_to_read_later_is_not_waited_for(late: bool, outcome: str) -> None:
    domain, first, second, done = Srcu("srcu"), Completion("first"), Completion("second"), Completion("done")

    @task()
    def writer() -> None:
        wait_for_completion(first)
        synchronize_srcu(domain)
        complete_all(done)

    @task()
    def early() -> None:
        srcu_read_lock(domain)
        complete_all(first)
        wait_for_completion(second)
        srcu_read_unlock(domain)

    begun = ProgramStep((Act(~domain.waiting.is_(0)),)) if late else Seq()
    enters, leaves = Seq((srcu_read_lock(domain), complete_all(second))), srcu_read_unlock(domain)
    reader = Task("reader", Seq((begun, enters, wait_for_completion(done), leaves)))

    assert run(writer, early, reader).outcome == outcome


def frozen(*, order: str):
    """Freezing a queue and taking a mutex that somebody inside takes."""
    queue, lock = PercpuRef("q_usage_counter"), Mutex("lock")

    @task()
    def submitter() -> None:
        blk_queue_enter(queue)
        mutex_lock(lock)
        mutex_unlock(lock)
        blk_queue_exit(queue)

    @task()
    def freezer() -> None:
        if order == "lock first":
            mutex_lock(lock)
            blk_mq_freeze_queue(queue)
            blk_mq_unfreeze_queue(queue)
            mutex_unlock(lock)
        else:
            blk_mq_freeze_queue(queue)
            mutex_lock(lock)
            mutex_unlock(lock)
            blk_mq_unfreeze_queue(queue)

    return run(submitter, freezer)


def test_frozen_queue_under_a_lock_that_io_takes() -> None:
    result = frozen(order="lock first")
    assert sorted(circle(result)) == [
        ("freezer", "the users of q_usage_counter to leave", "submitter"),
        ("submitter", "lock", "freezer"),
    ]
    assert frozen(order="freeze first").outcome == "free"


def test_entering_a_frozen_queue_waits() -> None:
    queue, lock = PercpuRef("q_usage_counter"), Mutex("lock")

    @task()
    def freezer() -> None:
        blk_mq_freeze_queue(queue)
        mutex_lock(lock)
        mutex_unlock(lock)
        blk_mq_unfreeze_queue(queue)

    @task()
    def submitter() -> None:
        mutex_lock(lock)
        blk_queue_enter(queue)
        blk_queue_exit(queue)
        mutex_unlock(lock)

    result = run(freezer, submitter)
    assert sorted(circle(result)) == [
        ("freezer", "lock", "submitter"),
        ("submitter", "q_usage_counter to be unfrozen", "freezer"),
    ]


def test_references_from_inside_and_freezes_nest() -> None:
    queue = PercpuRef("q_usage_counter")

    @task()
    def submitter() -> None:
        if percpu_ref_tryget_live(queue):
            percpu_ref_get(queue)
            blk_queue_exit(queue)
            blk_queue_exit(queue)
        else:
            reached("was frozen")

    @task()
    def freezer() -> None:
        blk_freeze_queue_start(queue)
        blk_mq_freeze_queue(queue)
        blk_mq_unfreeze_queue(queue)
        blk_mq_unfreeze_queue(queue)

    assert run(submitter, freezer, reachable=["submitter", "freezer", "was frozen"]).outcome == "free"
