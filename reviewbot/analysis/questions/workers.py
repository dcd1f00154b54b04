"""Who runs a function apart from the task that wants it, as people call him: a worker by its queue, a thread by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reviewbot.analysis.code.identity import spoken
from reviewbot.analysis.events.kinds import Workqueue
from reviewbot.analysis.questions.io_dependence import serves
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL

if TYPE_CHECKING:
    from reviewbot.analysis.program.program import Program

POOLS = {
    KERNEL.word("wq_highpri"): "worker of the highpri pool",
    KERNEL.word("wq_unbound"): "worker of the unbound pool",
}
KWORKER = "kworker"


def queue_name(program: Program, workqueue: str) -> str:
    """What people call a queue: the name it is made with, without what is put in for each device; else its variable."""
    made = (fact.name for _, fact in program.all(Workqueue) if fact.object == workqueue)
    names = {name.strip('"').partition("%")[0].rstrip("-_/: ") for name in made if name.startswith('"')}
    (name,) = names if len(names) == 1 else ("",)
    return name if name.isidentifier() else spoken(workqueue)


def kworker(program: Program, workqueue: str) -> str:
    """The name, for a sentence, of a kworker of the pool that serves a workqueue; the pool is named where it is not the
    usual one."""
    flags = set(KERNEL.global_workqueues.get(workqueue, ()))
    flags.update(flag for _, fact in program.all(Workqueue) if fact.object == workqueue for flag in fact.flags)
    return next((name for flag, name in POOLS.items() if flag in flags), KWORKER)


def worker(program: Program, key: FunctionKey, device: str = "") -> str:
    """The name, for a sentence, of who runs a function while I/O waits for it: the worker of its queue, a thread, else
    the worker of `device`."""
    entered = serves(program, key) if key in program.names.functions else None
    if entered is not None and entered.context == "work":
        queues = program.callgraph.queued.get(entered.runner, ())
        names = {queue_name(program, queue) for queue in queues}
        if len(names) == 1:
            return f"the worker of {names.pop()}"
    if entered is not None and entered.context == "thread":
        return f"the thread {name_of(entered.chain[0])}"
    return f"the worker of {device or 'the device'}"
