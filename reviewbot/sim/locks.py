"""Locks: what one task holds and others wait for. Every function stands for the kernel function of its name.

Called in a model it is a step; called by a program it returns that step. None of them is fair beyond what is said.
"""

from __future__ import annotations

import msgspec

from reviewbot.sim.program import (
    Act,
    Attempt,
    Cell,
    Here,
    If,
    Local,
    Locals,
    Node,
    ProgramStep,
    Resource,
    Seq,
    Test,
    Update,
    argument,
)


class Spoilt(Resource, frozen=True, eq=False):
    """A lock that somebody may give back who has not got it. spoilt: that is what its count shows then."""

    spoilt: bool = False

    def asked(self, role: str, act: Act) -> str:
        return f"set the count of {self} right" if self.spoilt else f"release {self}"


class Mutex(Spoilt, frozen=True, eq=False):
    """struct mutex (kernel/locking/mutex.c): one owner, not recursive."""

    @property
    def owned(self) -> Cell:
        """1 while somebody has it."""
        return Cell(self, "owned")

    def held(self, role: str, higher: bool) -> str:
        return str(self) if higher else ""


class Run(Mutex, frozen=True, eq=False):
    """The run of a work item, a timer, a thread: had by who runs in it, from its first step to its last."""

    ends: str = "finish"
    """What he has to do for whoever waits for it."""

    def asked(self, role: str, act: Act) -> str:
        return self.ends

    def held(self, role: str, higher: bool) -> str:
        return f"the run of {self}" if higher else ""


class SpinLock(Spoilt, frozen=True, eq=False):
    """spinlock_t (kernel/locking/spinlock.c): one owner; waiting for it is spinning, which is waiting all the same."""

    @property
    def owned(self) -> Cell:
        """1 while somebody has it."""
        return Cell(self, "owned")

    def held(self, role: str, higher: bool) -> str:
        return str(self) if higher else ""


class Cpu(Resource, frozen=True, eq=False):
    """A processor that one task and interrupts share: what is bound to it stands still while an interrupt runs on it.

    Needed only where an interrupt on the very processor of a lock's owner matters; tasks without one are interrupted
    somewhere else.
    """

    @property
    def irqs_off(self) -> Cell:
        """How many times interrupts were turned off."""
        return Cell(self, "irqs off")

    @property
    def bh_off(self) -> Cell:
        """How many times softirqs were turned off."""
        return Cell(self, "softirqs off")

    @property
    def in_irq(self) -> Cell:
        """1 while an interrupt runs."""
        return Cell(self, "in interrupt")

    @property
    def in_softirq(self) -> Cell:
        """1 while a softirq runs."""
        return Cell(self, "in softirq")

    def asked(self, role: str, act: Act) -> str:
        return f"leave {self}" if role.startswith("in ") else f"enable interrupts on {self}"


class RwSem(Spoilt, frozen=True, eq=False):
    """struct rw_semaphore (kernel/locking/rwsem.c): many readers or one writer; a waiting writer stops new readers."""

    @property
    def readers(self) -> Cell:
        """How many have it for read."""
        return Cell(self, "readers")

    @property
    def writer(self) -> Cell:
        """1 while somebody has it for write."""
        return Cell(self, "writer")

    @property
    def waiting(self) -> Cell:
        """How many wait for it for write: new readers wait behind them."""
        return Cell(self, "waiting writers")

    def asked(self, role: str, act: Act) -> str:
        return f"get and release {self}" if self.waiting.role == role else super().asked(role, act)

    def held(self, role: str, higher: bool) -> str:
        mode = {self.readers.role: "read", self.writer.role: "write"}.get(role, "")
        return f"{self} for {mode}" if higher and mode else ""


class Semaphore(Resource, frozen=True, eq=False):
    """struct semaphore (kernel/locking/semaphore.c) with `count` at the start; whoever likes may call up()."""

    count: int = 1

    @property
    def free(self) -> Cell:
        """How many more may have it."""
        return Cell(self, "count", init=self.count)

    def asked(self, role: str, act: Act) -> str:
        return f"release {self}"

    def held(self, role: str, higher: bool) -> str:
        return "" if higher else str(self)


class PercpuRef(Resource, frozen=True, eq=False):
    """struct percpu_ref as q_usage_counter of a request queue (block/blk-core.c, block/blk-mq.c).

    Entering is taking it for read, freezing is taking it for write: entering waits while it is frozen, freezing waits
    for everybody inside.
    """

    @property
    def users(self) -> Cell:
        """How many are inside."""
        return Cell(self, "users")

    @property
    def frozen(self) -> Cell:
        """1 while it is frozen, or being frozen: nobody new comes in."""
        return Cell(self, "frozen")

    def asked(self, role: str, act: Act) -> str:
        return f"unfreeze {self}" if self.frozen.role == role else f"leave {self}"

    def held(self, role: str, higher: bool) -> str:
        if not higher:
            return ""
        return f"a reference of {self}" if role == self.users.role else f"the freeze of {self}"


class Srcu(Resource, frozen=True, eq=False):
    """struct srcu_struct (kernel/rcu/srcutree.c): who waits for the readers waits for those that were there before."""

    @property
    def readers(self) -> Cell:
        """How many read for whom somebody who came now would wait."""
        return Cell(self, "readers")

    @property
    def waiting(self) -> Cell:
        """How many wait for readers: whoever begins to read now is not waited for."""
        return Cell(self, "waiting for readers")

    def asked(self, role: str, act: Act) -> str:
        return f"leave its read section of {self}"

    def held(self, role: str, higher: bool) -> str:
        return f"a read section of {self}" if higher and role == self.readers.role else ""


def take(resource: Resource, call: str, text: str, waits: str, when: Test, *do: Update) -> Node:
    """A step that acquires: a task waits in `call` for `waits` until `when` holds."""
    return ProgramStep((Act(when, do, text, f"{call}({argument(resource)})", waits, resource),))


def give(resource: Resource, text: str, *do: Update) -> Node:
    """A step that releases and never waits."""
    return ProgramStep((Act(do=do, text=text, on=resource),))


def _try(resource: Resource, call: str, when: Test, *do: Update) -> Attempt:
    text = f"{call}({argument(resource)})"
    return Attempt(
        (Act(when, do, f"calls {text}, which succeeds", on=resource),),
        (Act(~when, (), f"calls {text}, which fails", on=resource),),
    )


def mutex_lock(lock: Mutex) -> Node:
    """mutex_lock(), also _interruptible and _killable where nobody sends a signal: sleeps until the mutex is free."""
    return take(lock, "mutex_lock", f"takes {lock}", f"{lock}", lock.owned.is_(0), lock.owned.add())


def begin_run(run: Run, mark: str = "") -> Node:
    """The handler is entered; `mark` is reached by that."""
    return ProgramStep((Act(run.owned.is_(0), (run.owned.add(),), "runs", on=run, mark=mark),))


def end_run(run: Run) -> Node:
    """The handler returns."""
    return give(run, "", run.owned.sub())


def wait_for_run(run: Run, call: str) -> Node:
    """Sleep in a call until nobody is in it: flush_work(), cancel_work_sync(), kthread_stop()."""
    wait = Act(run.owned.is_(0), (run.owned.add(),), "", call, f"{run} to {run.ends}", run)
    return Seq((ProgramStep((wait,)), end_run(run)))


def mutex_trylock(lock: Mutex) -> Attempt:
    """mutex_trylock(): takes the mutex if it is free, never sleeps. For `if`."""
    return _try(lock, "mutex_trylock", lock.owned.is_(0), lock.owned.add())


def mutex_unlock(lock: Mutex) -> Node:
    """mutex_unlock()."""
    return give(lock, f"releases {lock}", lock.owned.sub())


def _off(cell: str, by: int, what: str) -> Node:
    """Interrupts (or softirqs) of this processor off or on; nothing for a task that is bound to none."""

    def meaning(here: Here) -> tuple[Locals, Node]:
        if not isinstance(here.cpu, Cpu):
            return here.me, Seq()
        region = here.cpu.irqs_off if cell == "irq" else here.cpu.bh_off
        return here.me, ProgramStep((Act(do=(region.add(by),), text=what),))

    return Local(meaning)


def local_irq_disable() -> Node:
    """local_irq_disable(), local_irq_save(): no interrupt and no softirq on this processor from here on. Nests."""
    return _off("irq", 1, "disables interrupts")


def local_irq_enable() -> Node:
    """local_irq_enable(), local_irq_restore(): ends what local_irq_disable() began."""
    return _off("irq", -1, "enables interrupts")


def local_bh_disable() -> Node:
    """local_bh_disable(): no softirq on this processor from here on. Nests."""
    return _off("bh", 1, "disables softirqs")


def local_bh_enable() -> Node:
    """local_bh_enable()."""
    return _off("bh", -1, "enables softirqs")


def _spin(lock: SpinLock, call: str) -> Node:
    return take(lock, call, f"takes {lock}", f"{lock}", lock.owned.is_(0), lock.owned.add())


def spin_lock(lock: SpinLock) -> Node:
    """spin_lock(): spins until the lock is free; an interrupt may come in between."""
    return _spin(lock, "spin_lock")


def spin_trylock(lock: SpinLock) -> Attempt:
    """spin_trylock(). For `if`."""
    return _try(lock, "spin_trylock", lock.owned.is_(0), lock.owned.add())


def spin_unlock(lock: SpinLock) -> Node:
    """spin_unlock()."""
    return give(lock, f"releases {lock}", lock.owned.sub())


def spin_lock_irq(lock: SpinLock) -> Node:
    """spin_lock_irq(), spin_lock_irqsave(): interrupts off on this processor, then spins."""
    return Seq((_off("irq", 1, ""), _spin(lock, "spin_lock_irq")))


def spin_unlock_irq(lock: SpinLock) -> Node:
    """spin_unlock_irq(), spin_unlock_irqrestore()."""
    return Seq((give(lock, f"releases {lock}", lock.owned.sub()), _off("irq", -1, "")))


def spin_lock_bh(lock: SpinLock) -> Node:
    """spin_lock_bh(): softirqs off on this processor, then spins."""
    return Seq((_off("bh", 1, ""), _spin(lock, "spin_lock_bh")))


def spin_unlock_bh(lock: SpinLock) -> Node:
    """spin_unlock_bh()."""
    return Seq((give(lock, f"releases {lock}", lock.owned.sub()), _off("bh", -1, "")))


def down_read(sem: RwSem) -> Node:
    """down_read(): sleeps while a writer holds the semaphore or is queued for it (rwsem_down_read_slowpath)."""
    free = sem.writer.is_(0) & sem.waiting.is_(0)
    return take(sem, "down_read", f"takes {sem} for read", f"{sem} for read", free, sem.readers.add())


def down_read_trylock(sem: RwSem) -> Attempt:
    """down_read_trylock(): fails where a writer holds the semaphore or is queued for it. For `if`."""
    return _try(sem, "down_read_trylock", sem.writer.is_(0) & sem.waiting.is_(0), sem.readers.add())


def up_read(sem: RwSem) -> Node:
    """up_read()."""
    return give(sem, f"releases {sem}", sem.readers.sub())


def down_write(sem: RwSem) -> Node:
    """down_write(): queues as a writer, from when on new readers wait, and sleeps until nobody holds the semaphore."""
    text = f"blocks in down_write({argument(sem)}), ahead of new readers"
    free, words = sem.writer.is_(0) & sem.readers.is_(0), f"{sem} for write"
    got = take(sem, "down_write", f"takes {words}", words, free, sem.writer.add(), sem.waiting.sub())
    return Seq((give(sem, text, sem.waiting.add()), got))


def down_write_trylock(sem: RwSem) -> Attempt:
    """down_write_trylock(): fails where somebody holds the semaphore or another writer is queued for it. For `if`."""
    free = sem.writer.is_(0) & sem.readers.is_(0) & sem.waiting.is_(0)
    return _try(sem, "down_write_trylock", free, sem.writer.add())


def up_write(sem: RwSem) -> Node:
    """up_write()."""
    return give(sem, f"releases {sem}", sem.writer.sub())


def downgrade_write(sem: RwSem) -> Node:
    """downgrade_write(): the writer becomes a reader without letting another writer in between."""
    return give(sem, f"keeps {sem} for read only", sem.writer.sub(), sem.readers.add())


def srcu_read_lock(domain: Srcu) -> Node:
    """srcu_read_lock(): never waits."""
    text = f"enters a read section of {domain}"

    def late(here: Here) -> tuple[Locals, Node]:
        return msgspec.structs.replace(here.me, late=(*here.me.late, domain)), Seq()

    free, adds = domain.waiting.is_(0), (domain.readers.add(),)
    enters = Attempt((Act(free, adds, text, on=domain),), (Act(~free, (), text, on=domain),))
    return If(enters, Seq(), Local(late))


def srcu_read_unlock(domain: Srcu) -> Node:
    """srcu_read_unlock() of the section that was entered last."""
    text = f"leaves its read section of {domain}"

    def meaning(here: Here) -> tuple[Locals, Node]:
        if domain not in here.me.late:
            return here.me, give(domain, text, domain.readers.sub())
        kept = list(here.me.late)
        kept.remove(domain)
        return msgspec.structs.replace(here.me, late=tuple(kept)), give(domain, text)

    return Local(meaning)


def synchronize_srcu(domain: Srcu) -> Node:
    """synchronize_srcu(): sleeps until all those have left who read when it was called."""
    begins = give(domain, f"begins to wait for the readers of {domain}", domain.waiting.add())
    waits, gone = f"the readers of {domain} to leave", domain.readers.is_(0)
    ends = take(
        domain, "synchronize_srcu", f"has seen the readers of {domain} leave", waits, gone, domain.waiting.sub()
    )
    return Seq((begins, ends))


def down(sem: Semaphore) -> Node:
    """down(): sleeps until the count is above 0 and takes one."""
    return take(sem, "down", f"takes {sem}", f"{sem}", sem.free > 0, sem.free.sub())


def down_trylock(sem: Semaphore) -> Attempt:
    """down_trylock(), true where the semaphore was taken (the kernel's returns 0 then). For `if`."""
    return _try(sem, "down_trylock", sem.free > 0, sem.free.sub())


def up(sem: Semaphore) -> Node:
    """up(): adds one; any task may."""
    return give(sem, f"calls up({argument(sem)})", sem.free.add())


def blk_queue_enter(queue: PercpuRef) -> Node:
    """blk_queue_enter(), bio_queue_enter(): sleeps while the queue is frozen, then counts as a user."""
    waits = f"{queue} to be unfrozen"
    return take(queue, "blk_queue_enter", f"enters {queue}", waits, queue.frozen.is_(0), queue.users.add())


def percpu_ref_tryget_live(queue: PercpuRef) -> Attempt:
    """percpu_ref_tryget_live(), blk_try_enter_queue(). For `if`."""
    return _try(queue, "percpu_ref_tryget_live", queue.frozen.is_(0), queue.users.add())


def percpu_ref_get(queue: PercpuRef) -> Node:
    """percpu_ref_get() by somebody who is inside already: one more user, frozen or not."""
    return give(queue, f"takes another reference of {queue}", queue.users.add())


def blk_queue_exit(queue: PercpuRef) -> Node:
    """blk_queue_exit(), percpu_ref_put()."""
    return give(queue, f"leaves {queue}", queue.users.sub())


def blk_freeze_queue_start(queue: PercpuRef) -> Node:
    """blk_freeze_queue_start(): from here on nobody enters. Nests (mq_freeze_depth)."""
    return give(queue, f"begins to freeze {queue}", queue.frozen.add())


def blk_mq_freeze_queue_wait(queue: PercpuRef) -> Node:
    """blk_mq_freeze_queue_wait(): sleeps until every user has left."""
    waits = f"the users of {queue} to leave"
    return take(queue, "blk_mq_freeze_queue_wait", f"has {queue} frozen", waits, queue.users.is_(0))


def blk_mq_freeze_queue(queue: PercpuRef) -> Node:
    """blk_mq_freeze_queue(): starts the freeze and waits for it."""
    return Seq((blk_freeze_queue_start(queue), blk_mq_freeze_queue_wait(queue)))


def blk_mq_unfreeze_queue(queue: PercpuRef) -> Node:
    """blk_mq_unfreeze_queue()."""
    return give(queue, f"unfreezes {queue}", queue.frozen.sub())
