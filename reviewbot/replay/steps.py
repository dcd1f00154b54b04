"""Steps of the code of a task -> steps of the simulator: what is done to the locks and waits of one wait cycle."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from reviewbot.analysis.code.identity import short, spoken
from reviewbot.analysis.program.program import Program
from reviewbot.detect.waitfor import Circle
from reviewbot.kernel import KERNEL, LockCall
from reviewbot.kernel.schema import WaitGroup
from reviewbot.replay.slicing.automaton import TaskAutomaton
from reviewbot.replay.slicing.slicer import SlicedOp, Unreadable
from reviewbot.sim import (
    Completion,
    Either,
    Goto,
    Graph,
    If,
    Mutex,
    Named,
    Node,
    PercpuRef,
    Resource,
    Run,
    RwSem,
    Semaphore,
    Seq,
    SpinLock,
    Srcu,
    WaitQueue,
    WorkQueue,
    begin_run,
    blk_mq_freeze_queue,
    blk_mq_unfreeze_queue,
    blk_queue_enter,
    blk_queue_exit,
    cancel_work_sync,
    complete_all,
    down,
    down_read,
    down_read_trylock,
    down_trylock,
    down_write,
    down_write_trylock,
    downgrade_write,
    end_run,
    flush_work,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    percpu_ref_tryget_live,
    spin_lock,
    spin_trylock,
    spin_unlock,
    srcu_read_lock,
    srcu_read_unlock,
    synchronize_srcu,
    up,
    up_read,
    up_write,
    wait_for_completion,
    wait_for_run,
)
from reviewbot.sim.locks import Spoilt
from reviewbot.sim.locks import give as give_back
from reviewbot.sim.program import Act, Attempt, address, argument

LOCKS: dict[str, Callable[[str], Resource]] = {
    "mutex": Mutex,
    "page": Mutex,
    "ww": Mutex,
    "device": Mutex,
    "superblock": Mutex,
    "tree": Mutex,
    "spin": SpinLock,
    "raw": SpinLock,
    "bit": SpinLock,
    "rwsem": RwSem,
    "transaction": RwSem,
    "rwspin": RwSem,
    "sem": Semaphore,
    "queue": PercpuRef,
    "percpu_ref": PercpuRef,
    "srcu": Srcu,
    "rcu": Srcu,
}
FLUSHED = ("work", "workqueue", "timer", "irq")
RUNS = {"work": "a kworker", "timer": "the timer", "irq": "the interrupt"}
"""What runs a handler, where that is not a queue's worker."""


def words(identity: str, others: tuple[str, ...] = ()) -> str:
    """An object as C has it, with the file of a variable where two have the same name."""
    name = {"rcu": "RCU"}.get(identity) or spoken(identity)
    return name if all(spoken(o) != name for o in others if o != identity) else short(identity)


class CycleSteps:
    """The things that the tasks of a wait cycle share in its model, and what their code does to these.

    unlocked: as if the holder dropped the lock for the wait.
    """

    def __init__(self, circle: Circle, program: Program, unlocked: bool) -> None:
        self.circle, self.program, self.unlocked = circle, program, unlocked
        names = (*(name for name, _ in circle.locks), circle.object)
        self.names = names
        self.locks = {lock: _resource(klass.split("/")[0], words(lock, names)) for lock, klass in circle.locks}
        """Identity -> the lock, or the run, in the model."""
        if circle.kind == "twice":
            self.locks = {
                n: msgspec.structs.replace(k, spoilt=True) if isinstance(k, Spoilt) else k
                for n, k in self.locks.items()
            }
        self.done = Completion(words(circle.object, names))
        self.queue = WorkQueue(_runner(circle, names), threads=1)
        self.handlers: list[Named] = []
        """What runs on the queue, once it is known."""

    def node(self, automaton: TaskAutomaton) -> Node:
        """The program of a task: its places, each with the ways on from there."""
        blocks: dict[str, Node] = {"start": self._choice(automaton.start)}
        for number, ways in automaton.places.items():
            blocks[str(number)] = self._place(ways.steps)
        return Graph("start", blocks)

    def _choice(self, places: frozenset[int]) -> Node:
        gotos = tuple(Goto(str(p)) for p in sorted(places))
        return gotos[0] if len(gotos) == 1 else Either(gotos)

    def _place(self, steps: tuple[tuple[SlicedOp, frozenset[int]], ...]) -> Node:
        nodes: list[Node] = []
        tries = {op.kind: (op, after) for op, after in steps if op.kind in ("try", "fail")}
        if tries:
            (op, yes), (_, no) = tries.get("try") or tries["fail"], tries.get("fail") or tries["try"]
            nodes.append(If(self._attempt(op), self._choice(yes), self._choice(no)))
        for op, after in steps:
            if op.kind not in ("try", "fail"):
                nodes.append(Seq((self._step(op), self._choice(after))))
        return Seq() if not nodes else nodes[0] if len(nodes) == 1 else Either(tuple(nodes))

    def _attempt(self, op: SlicedOp) -> Attempt:
        match self.locks[op.object]:
            case Mutex() as lock:
                found = mutex_trylock(lock)
            case SpinLock() as lock:
                found = spin_trylock(lock)
            case RwSem() as lock:
                found = down_read_trylock(lock) if op.mode == "r" else down_write_trylock(lock)
            case PercpuRef() as lock:
                found = percpu_ref_tryget_live(lock)
            case Semaphore() as lock:
                found = down_trylock(lock)
            case _:
                raise Unreadable(f"nobody tries {op.object}")
        return found.over(lambda act: msgspec.structs.replace(act, at=op.place))

    def _step(self, op: SlicedOp) -> Node:
        match op.kind:
            case "take":
                step = self.take(op)
            case "give":
                step = self.give(op)
            case "keep":
                step = self._keep(op)
            case "pass" if isinstance(run := self.locks[op.object], Run):
                step = self._around(wait_for_run(run, f"{op.call}({self._flushed(op)})"), op)
            case "pass" if isinstance(domain := self.locks[op.object], Srcu):
                step = _named_call(synchronize_srcu(domain), op)
            case "pass":
                step = Seq((self.take(op), self.give(op)))
            case "spoil":
                step = self._spoil(op)
            case "wait":
                step = self._around(_called(wait_for_completion(self.done), op, f"waits for {self.done}"), op)
            case "wake":
                step = complete_all(self.done).says(f"wakes {self.done}")
            case "flush":
                step = self._around(self._flush(op), op)
            case _:
                raise Unreadable(f"a step of kind {op.kind}")
        return step.at(op.place)

    def _flushed(self, op: SlicedOp) -> str:
        """What a flush is handed: a work item or timer by its address, a queue or thread by the pointer to it."""
        name = words(op.mode, self.names)
        pointer = op.mode in self.program.callgraph.queues or dict(self.circle.locks)[op.object] == "thread"
        return name if pointer else address(name)

    def _around(self, wait: Node, op: SlicedOp) -> Node:
        """The wait, with the lock dropped for it where that is the remedy."""
        if not self.unlocked or op.place != self.circle.ends:
            return wait
        lock = op._replace(object=self.circle.lock, mode=self.circle.mode, call="")
        return Seq((self.give(lock), wait, self.take(lock)))

    def _flush(self, op: SlicedOp) -> Node:
        if self.circle.kind not in FLUSHED:
            return _called(wait_for_completion(self.done), op, f"waits for {self.done}")
        wait = cancel_work_sync if op.mode == "cancel" else flush_work
        call = f"{op.call}({address(str(self.done))})" if op.call else ""
        return Seq(tuple(renamed(wait(self.queue, handler), call) for handler in self.handlers))

    def take(self, op: SlicedOp) -> Node:
        """A lock of the cycle is taken, a run begins."""
        match self.locks[op.object]:
            case Run() as run:
                return begin_run(run)
            case Mutex() as lock:
                node: Node = mutex_lock(lock)
            case SpinLock() as lock:
                node = spin_lock(lock)
            case RwSem() as lock:
                node = down_read(lock) if op.mode == "r" else down_write(lock)
            case PercpuRef() as lock:
                node = blk_queue_enter(lock) if op.mode == "r" else blk_mq_freeze_queue(lock)
            case Semaphore() as lock:
                node = down(lock)
            case Srcu() as lock:
                node = srcu_read_lock(lock)
            case _:
                raise Unreadable(f"nobody takes {op.object}")
        return _named_call(node, op)

    def give(self, op: SlicedOp) -> Node:
        """A lock of the cycle is given back, a run ends."""
        match self.locks[op.object]:
            case Run() as run:
                return end_run(run)
            case Mutex() as lock:
                return mutex_unlock(lock)
            case SpinLock() as lock:
                return spin_unlock(lock)
            case RwSem() as lock:
                return up_read(lock) if op.mode == "r" else up_write(lock)
            case PercpuRef() as lock:
                return blk_queue_exit(lock) if op.mode == "r" else blk_mq_unfreeze_queue(lock)
            case Semaphore() as lock:
                return up(lock)
            case Srcu() as lock:
                return srcu_read_unlock(lock)
        raise Unreadable(f"nobody gives {op.object}")

    def _keep(self, op: SlicedOp) -> Node:
        """A lock that was taken for write is held for read from then on."""
        lock = self.locks[op.object]
        if not isinstance(lock, RwSem):
            raise Unreadable(f"nobody keeps {op.object} for read only")
        return downgrade_write(lock)

    def _spoil(self, op: SlicedOp) -> Node:
        """A lock is given back by who has not got it: its count is wrong from then on."""
        match self.locks[op.object]:
            case Mutex() | SpinLock() as lock:
                return give_back(lock, f"releases {lock} a second time", lock.owned.add())
            case RwSem() as lock:
                return give_back(lock, f"releases {lock} a second time", lock.writer.add())
        raise Unreadable(f"nobody gives {op.object} twice")


def _resource(klass: str, name: str) -> Resource:
    kind = KERNEL.resources.get(klass)
    return Run(name, ends=kind.ends) if kind is not None else LOCKS[klass](name)


def _runner(circle: Circle, names: tuple[str, ...]) -> str:
    """Who runs what is flushed: the same on both sides, whichever queue it is on there."""
    return RUNS.get(circle.kind, f"the worker of {words(circle.object, names)}")


def renamed(node: Node, call: str) -> Node:
    """The step with another call in its place, where there is one."""
    return node.over(lambda act: msgspec.structs.replace(act, call=call) if call and act.call else act)


def _named_call(node: Node, op: SlicedOp) -> Node:
    """The step with the name that the sleep has in the code."""
    return node.over(lambda act: msgspec.structs.replace(act, call=_call(op, act)) if act.call else act)


def _called(node: Node, op: SlicedOp, text: str) -> Node:
    return _named_call(node, op).over(lambda act: msgspec.structs.replace(act, text=text or act.text))


def _call(op: SlicedOp, act: Act) -> str:
    if not op.call or act.on is None:
        return act.call
    known = KERNEL.effects.get(op.call, ())
    if op.kind == "pass" or any(isinstance(e, LockCall) and e.group.argument is None for e in known):
        return f"{op.call}()"  # rtnl_lock() takes no argument
    if any(isinstance(effect, WaitGroup) and effect.argument is None for effect in known):
        return f"{op.call}() on {act.on}"  # the object comes from prepare_to_wait()
    return f"{op.call}({act.on if isinstance(act.on, WaitQueue) else argument(act.on)})"  # wait_event() is a macro
