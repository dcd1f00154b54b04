"""Scenes about locks alone: their order, taking one twice, spinlocks and interrupts."""

from __future__ import annotations

from typing import Literal

from reviewbot.models.block import called, named, of
from reviewbot.models.reader import LockKind, Mode, acquire, asks_for_write, lock_of, release, task_of, try_acquire
from reviewbot.models.scene import scene
from reviewbot.sim import (
    Cpu,
    Interrupt,
    Model,
    Mutex,
    Semaphore,
    SpinLock,
    Task,
    choice,
    down,
    local_irq_enable,
    mutex_lock,
    mutex_unlock,
    say,
    spin_lock,
    spin_lock_bh,
    spin_lock_irq,
    spin_unlock,
    spin_unlock_bh,
    spin_unlock_irq,
    start_io,
    task,
    up,
)


@scene
def lock_order(
    reversed: bool = False,
    tries: bool = False,
    kind: LockKind = "mutex",
    mode: Mode = "write",
    other_kind: LockKind = "mutex",
    other_mode: Mode = "write",
    writer: bool = False,
    lock: str = "&drv->lock",
    other: str = "&drv->other_lock",
    function: str = "drv_caller",
    other_function: str = "drv_other",
    file: str = "",
) -> Model:
    """One function takes `lock` and then `other`, another one takes both, `reversed`: in the opposite order.

    tries: the second function only tries its second lock. writer: a third task asks for a rwsem for write in between.
    """
    a, b = lock_of(kind, lock), lock_of(other_kind, other)

    @task_of(file, function)
    def forward() -> None:
        acquire(a, mode)
        acquire(b, other_mode)
        release(b, other_mode).says("")
        release(a, mode).says("")

    first, second = ((b, other_mode), (a, mode)) if reversed else ((a, mode), (b, other_mode))

    @of(file, other_function)
    def trying() -> None:
        if try_acquire(*second):
            release(*second).says("")

    @task_of(file, other_function)
    def backward() -> None:
        acquire(*first)
        if tries:
            trying()
        else:
            acquire(*second)
            release(*second).says("")
        release(*first).says("")

    tasks = (forward, backward, *asks_for_write(a, writer), *asks_for_write(b, writer))
    return Model("lock_order", tasks, reachable=(named(function), named(other_function)))


@scene
def recursive_lock(
    dropped: bool = True,
    kind: LockKind = "mutex",
    first: Mode = "write",
    second: Mode = "write",
    writer: bool = False,
    lock: str = "&drv->lock",
    function: str = "drv_caller",
    callee: str = "drv_callee",
    file: str = "",
) -> Model:
    """A function calls another one that takes a lock; `dropped`: it has dropped that lock before.

    writer: with a rwsem taken for read twice, a third task asks for it for write in between.
    """
    guard = lock_of(kind, lock)

    @of(file, callee)
    def inner() -> None:
        acquire(guard, second)
        release(guard, second).says("")

    @task_of(file, function)
    def outer() -> None:
        acquire(guard, first)
        if dropped:
            release(guard, first)
        if choice():
            say(f"calls {named(callee)}")
            inner()
        if not dropped:
            release(guard, first).says("")

    return Model("recursive_lock", (outer, *asks_for_write(guard, writer)), reachable=(named(function),))


@scene
def sleep_in_atomic(
    sleeps: bool = False,
    cpus: int = 1,
    lock: str = "&drv->lock",
    call: str = "kmalloc(GFP_KERNEL)",
    function: str = "drv_caller",
    other_function: str = "drv_other",
    file: str = "",
) -> Model:
    """A task `sleeps` with a spinlock held, while others spin for that lock on every CPU."""
    cpu, guard = Semaphore("a CPU", cpus), SpinLock(lock)

    @task_of(file, function)
    def sleeper() -> None:
        down(cpu).says("")
        spin_lock(guard)
        if sleeps:
            up(cpu).says(f"sleeps in {call} with {lock} held")
            called("waits for a CPU to go on", down(cpu)).says("")
        spin_unlock(guard).says("")
        up(cpu).says("")

    @task_of(file, other_function, n=cpus)
    def spinner() -> None:
        down(cpu).says("")
        spin_lock(guard)
        spin_unlock(guard).says("")
        up(cpu).says("")

    return Model("sleep_in_atomic", (sleeper, spinner), reachable=(named(function), named(other_function)))


@scene
def sleep_in_rcu(
    sleeps: bool = False,
    enters: str = "rcu_read_lock()",
    section: str = "an RCU read section",
    call: str = "kmalloc(GFP_KERNEL)",
    function: str = "drv_caller",
    file: str = "",
) -> Model:
    """A task `sleeps` in a section until somebody is done who waits for the end of all such sections.

    A grace period waits for sections with preemption, softirqs or interrupts off, too.
    """
    inside, thing = (
        Semaphore(f"the {section.removeprefix('an ').removeprefix('a ')}", 1),
        Mutex(f"what {call} waits for"),
    )

    @task_of(file, function)
    def reader() -> None:
        called(enters, down(inside)).says(f"enters {section}")
        if sleeps:
            called(call, mutex_lock(thing))
            mutex_unlock(thing).says("")
        up(inside).says("")

    @task(name="another task")
    def updater() -> None:
        mutex_lock(thing).says(f"holds {thing}")
        called("synchronize_rcu()", down(inside)).says("")
        up(inside).says("")
        mutex_unlock(thing).says("")

    return Model("sleep_in_rcu", (reader, updater), reachable=(named(function),))


@scene
def sleep_in_interrupt(
    sleeps: bool = False,
    soft: bool = False,
    call: str = "kmalloc(GFP_KERNEL)",
    function: str = "drv_interrupt",
    file: str = "",
) -> Model:
    """An interrupt `sleeps` until somebody is done: perhaps the very task that it came in between."""
    cpu, thing = Cpu("CPU0"), Mutex(f"what {call} waits for")
    irq = Interrupt("an interrupt" if not soft else "a softirq", cpu=cpu, soft=soft)

    @of(file, function)
    def handles() -> None:
        if sleeps:
            called(call, mutex_lock(thing))
            mutex_unlock(thing).says("")

    @of(file, "")
    def working() -> None:
        mutex_lock(thing).says(f"holds {thing}")
        mutex_unlock(thing).says("")

    @task(name="the hardware")
    def hardware() -> None:
        start_io(irq, handles()).says("")

    return Model("sleep_in_interrupt", (Task("a task", working(), cpu=cpu), hardware), reachable=("a task",))


@scene
def irq_lock(
    how: Literal["irqsave", "bh", "plain", "enabled early"] = "irqsave",
    soft: bool = False,
    lock: str = "&drv->lock",
    function: str = "drv_caller",
    handler: str = "drv_interrupt",
    file: str = "",
) -> Model:
    """A task takes a spinlock that an interrupt, or with `soft` a softirq, takes too; `how` it keeps that one away.

    enabled early: something under the lock enables interrupts, as spin_unlock_irq() of an inner lock does.
    """
    cpu, guard = Cpu("CPU0"), SpinLock(lock)
    irq = Interrupt("an interrupt" if not soft else "a softirq", cpu=cpu, soft=soft)

    @of(file, handler)
    def handles() -> None:
        spin_lock(guard)
        spin_unlock(guard).says("")

    @of(file, function)
    def locked() -> None:
        if how == "irqsave":
            spin_lock_irq(guard)
            spin_unlock_irq(guard).says("")
        elif how == "bh":
            spin_lock_bh(guard)
            spin_unlock_bh(guard).says("")
        elif how == "plain":
            spin_lock(guard)
            spin_unlock(guard).says("")
        else:
            spin_lock_irq(guard)
            local_irq_enable().says("enables interrupts with the lock held")
            spin_unlock(guard).says("")

    @task(name="the hardware")
    def hardware() -> None:
        start_io(irq, handles()).says("")

    caller = Task(named(function), locked(), cpu=cpu)
    return Model("irq_lock", (caller, hardware), reachable=(named(function), named(handler)))


@scene
def irq_inversion(
    on: bool = False,
    soft: bool = False,
    lock: str = "&drv->lock",
    inner: str = "&drv->list_lock",
    function: str = "drv_caller",
    task_function: str = "drv_ioctl",
    handler: str = "drv_interrupt",
    file: str = "",
) -> Model:
    """A task takes `inner` under `lock`, which an interrupt takes too; another one takes `inner`, with interrupts `on`."""
    cpu, outside, inside = Cpu("CPU0"), SpinLock(lock), SpinLock(inner)
    irq = Interrupt("an interrupt" if not soft else "a softirq", cpu=cpu, soft=soft)

    @of(file, handler)
    def handles() -> None:
        spin_lock(outside)
        spin_unlock(outside).says("")

    @task_of(file, function)
    def nests() -> None:
        spin_lock(outside)
        spin_lock(inside)
        spin_unlock(inside).says("")
        spin_unlock(outside).says("")

    @of(file, task_function)
    def locked() -> None:
        if on:
            spin_lock(inside)
            spin_unlock(inside).says("")
        else:
            spin_lock_irq(inside)
            spin_unlock_irq(inside).says("")

    @task(name="the hardware")
    def hardware() -> None:
        start_io(irq, handles()).says("")

    holder = Task(named(task_function), locked(), cpu=cpu)
    marks = (named(function), named(task_function), named(handler))
    return Model("irq_inversion", (nests, holder, hardware), reachable=marks)
