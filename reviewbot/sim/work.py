"""What runs later and elsewhere: work queues and their threads, interrupts, softirqs, timers, and waiting for them."""

from __future__ import annotations

import msgspec

from reviewbot.sim.program import TRUE, Act, Cell, Node, ProgramStep, Resource, Routine, Seq, Test

UNLIMITED = 256


class Runner(Resource, frozen=True, eq=False):
    """Whatever runs routines that were queued on it, in threads or interrupts of its own or in shared threads."""

    ids: dict[Routine, int] = msgspec.field(default_factory=dict)
    """Numbers for the slots of a queue that keeps its order."""

    def pending(self, work: Routine, once: bool = False) -> Cell:
        """How often the work is queued and not begun; with `once` the pending bit of the one work_struct."""
        return Cell(self, "pending once" if once else "pending", work)

    def running(self, work: Routine) -> Cell:
        """How many threads run it."""
        return Cell(self, "running", work)

    def need(self, work: Routine | None = None, call: str = "flush") -> Cell:
        """How many runs somebody who flushes (or cancels) still waits for; None for the whole queue."""
        return Cell(self, f"runs to {call}", work)

    def busy(self, work: Routine | None = None, call: str = "flush") -> Cell:
        """Somebody flushes (or cancels); a second one at the same time waits for the first."""
        return Cell(self, f"busy to {call}", work)

    @property
    def queued(self) -> Cell:
        """Everything that is queued and not begun."""
        return Cell(self, "queued")

    @property
    def active(self) -> Cell:
        """Everything that runs."""
        return Cell(self, "active")

    def slot(self, position: int) -> Cell:
        """What is queued at the position, in order; 0 for nothing."""
        return Cell(self, "slot", position)

    @property
    def limit(self) -> int:
        """How many may run at once."""
        return UNLIMITED

    @property
    def depth(self) -> int:
        """Positions of a queue that keeps its order, 0 for one that does not."""
        return 0

    def number(self, work: Routine) -> int:
        """The number of the work in the slots."""
        return self.ids.setdefault(work, len(self.ids) + 1)

    def asked(self, role: str, act: Act) -> str:
        return f"finish {act.waits.removesuffix(' to finish')}"


class WorkQueue(Runner, frozen=True, eq=False):
    """struct workqueue_struct (kernel/workqueue.c).

    threads: threads of its own (a kernel thread that takes items from a list, a queue of a loop device); with 0 the
    model's shared kworkers serve it. rescuer: WQ_MEM_RECLAIM; the rescuer may run an item at any time, as if no kworker
    could be had. ordered: alloc_ordered_workqueue(), one at a time in the order of queueing; `slots` is how many may
    be queued before the search gives up as inconclusive.
    """

    max_active: int = UNLIMITED
    rescuer: bool = False
    ordered: bool = False
    threads: int = 0
    slots: int = 4

    @property
    def limit(self) -> int:
        """How many of its items may run at once."""
        return 1 if self.ordered else self.max_active

    @property
    def depth(self) -> int:
        """How many items it remembers in their order; 0 where the order does not matter."""
        return self.slots if self.ordered else 0


class Interrupt(Runner, frozen=True, eq=False):
    """Something that interrupts: a disk that is done with a bio, a softirq (block/blk-mq.c, BLOCK_SOFTIRQ).

    On a `cpu` it stops what else is bound to that processor, and waits while that has interrupts off.
    """

    cpu: Resource | None = None
    soft: bool = False


class Timer(Interrupt, frozen=True, eq=False, kw_only=True):
    """struct timer_list (kernel/time/timer.c): `function` runs once in softirq context after each mod_timer()."""

    function: Routine
    soft: bool = True


# --- queueing --------------------------------------------------------------------------------------------------------


def _queue(runner: Runner, work: Routine, text: str, when: Test, once: bool) -> tuple[Act, ...]:
    """The ways to queue the work: one, or one for each position that may be the first free one."""
    count = (runner.pending(work, once).add(), runner.queued.add())
    if not runner.depth:
        return (Act(when, count, text, on=runner),)
    acts, number = [], runner.number(work)
    for i in range(runner.depth):
        here = runner.slot(i).is_(0)
        first_free = here & runner.slot(i - 1).is_not(0) if i else here
        acts.append(Act(when & first_free, (runner.slot(i).set(number), *count), text, on=runner))
    full = runner.slot(runner.depth - 1)
    acts.append(Act(when & full.is_not(0), (full.add(UNLIMITED),), text, on=runner))  # overflow: inconclusive
    return tuple(acts)


def queue_work(queue: WorkQueue, work: Routine) -> Node:
    """queue_work() of a work item of its own, one for each request: every call runs once."""
    return ProgramStep(_queue(queue, work, f"queues {work.title} on {queue}", TRUE, once=False))


def queue_work_once(queue: WorkQueue, work: Routine) -> Node:
    """queue_work() of the one work_struct: nothing happens if it is pending already. It never runs twice at once.

    Also queue_delayed_work(), whose delay any schedule may stretch.
    """
    return _queue_once(queue, work, f"queues {work.title} on {queue}")


def _queue_once(runner: Runner, work: Routine, text: str) -> Node:
    pending = runner.pending(work, once=True)
    again = Act(pending > 0, (), f"{text}, where it is pending already", on=runner)
    return ProgramStep((*_queue(runner, work, text, pending.is_(0), once=True), again))


def start_io(device: Interrupt, end_io: Routine) -> Node:
    """The hardware gets a request; at some time it interrupts and runs `end_io`. Requests finish in any order."""
    return ProgramStep(_queue(device, end_io, f"starts I/O on {device}", TRUE, once=False))


def raise_softirq(softirq: Interrupt, handler: Routine) -> Node:
    """raise_softirq(), tasklet_schedule(): the handler runs once, later."""
    return _queue_once(softirq, handler, f"raises {softirq}")


def mod_timer(timer: Timer) -> Node:
    """mod_timer(): its function runs once, later; a pending timer stays one timer."""
    return _queue_once(timer, timer.function, f"arms {timer}")


# --- running: used by the compiler for the threads of a runner -------------------------------------------------------


def begin(runner: Runner, work: Routine, once: bool) -> Act:
    """A thread of the runner takes the work."""
    pending, when, do = runner.pending(work, once), TRUE, []
    if runner.depth:
        when = when & runner.slot(0).is_(runner.number(work))
        do += [runner.slot(i).set(runner.slot(i + 1)) for i in range(runner.depth - 1)]
        do.append(runner.slot(runner.depth - 1).set(0))
    when = when & (pending > 0)
    if once:
        when = when & runner.running(work).is_(0)
    if runner.limit < UNLIMITED:
        when = when & (runner.active < runner.limit)
    do += [pending.sub(), runner.queued.sub(), runner.running(work).add(), runner.active.add()]
    return Act(when, tuple(do), f"runs {work.title}" if work.told else "", on=runner)


def finish(runner: Runner, work: Routine) -> Act:
    """The thread is done with it."""
    do = (
        runner.running(work).sub(),
        runner.active.sub(),
        runner.need(work).drop(),
        runner.need(work, "cancel").drop(),
        runner.need().drop(),
    )
    return Act(do=do, mark=work.title, on=runner)


# --- waiting for it --------------------------------------------------------------------------------------------------


def _wait(runner: Runner, need: Cell, busy: Cell, call: str, what: str, begins: tuple[Act, ...]) -> Node:
    """Begin to flush, with what is then to be waited for; sleep until that has run."""
    first = tuple(Act(act.when & busy.is_(0), (busy.set(1), *act.do), act.text, call, what, runner) for act in begins)
    done = Act(need.is_(0), (busy.set(0),), f"returns from {call}", call, what, runner)
    return Seq((ProgramStep(first), ProgramStep((done,))))


def _item(work: Routine) -> str:
    """The work item as an argument: named like its function."""
    return work.title.removesuffix("()")


def flush_work(queue: WorkQueue, work: Routine) -> Node:
    """flush_work(): sleeps until the work item, as queued when it is called, has run. For queue_work_once() items."""
    need, queued_or_running = queue.need(work), (queue.pending(work, once=True), queue.running(work))
    acts = (Act(do=tuple(need.add(cell) for cell in queued_or_running)),)
    return _wait(queue, need, queue.busy(work), f"flush_work({_item(work)})", f"{work.title} to finish", acts)


def flush_workqueue(queue: WorkQueue) -> Node:
    """flush_workqueue(): sleeps until as many items have run as were queued or running when it is called."""
    need, what = queue.need(), f"what is queued on {queue} to finish"
    acts = (Act(do=(need.add(queue.queued), need.add(queue.active))),)
    return _wait(queue, need, queue.busy(), f"flush_workqueue({queue})", what, acts)


def drain_workqueue(queue: WorkQueue) -> Node:
    """drain_workqueue(), destroy_workqueue(): sleeps until nothing is queued or running."""
    call = f"drain_workqueue({queue})"
    empty = queue.queued.is_(0) & queue.active.is_(0)
    return ProgramStep((Act(empty, (), f"returns from {call}", call, f"everything on {queue} to finish", queue),))


def _cancel(runner: Runner, work: Routine, call: str) -> Node:
    """Take the work back if it is pending, which lets go who flushes it; then wait for the thread that runs it."""
    pending, need, what = runner.pending(work, once=True), runner.need(work, "cancel"), f"{work.title} to finish"
    wait = need.add(runner.running(work))
    idle = Act(pending.is_(0), (wait,))
    back = (pending.sub(), runner.queued.sub(), runner.need(work).drop(), runner.need().drop(), wait)
    if not runner.depth:
        return _wait(runner, need, runner.busy(work, "cancel"), call, what, (idle, Act(pending > 0, back)))
    acts, number = [idle], runner.number(work)
    for i in range(runner.depth):
        close_gap = [runner.slot(j).set(runner.slot(j + 1)) for j in range(i, runner.depth - 1)]
        gone = (*close_gap, runner.slot(runner.depth - 1).set(0), *back)
        acts.append(Act((pending > 0) & runner.slot(i).is_(number), gone))
    return _wait(runner, need, runner.busy(work, "cancel"), call, what, tuple(acts))


def cancel_work_sync(queue: WorkQueue, work: Routine) -> Node:
    """cancel_work_sync(), cancel_delayed_work_sync(): takes a pending item back and waits for the one that runs."""
    return _cancel(queue, work, f"cancel_work_sync({_item(work)})")


def timer_delete_sync(timer: Timer) -> Node:
    """timer_delete_sync(), del_timer_sync(): takes the timer back and waits for its function to finish."""
    return _cancel(timer, timer.function, f"timer_delete_sync({timer})")
