"""A sleep under a spinlock, or a spinlock that an interrupt takes -> the model of one side, its tasks read off the code.

The lock is followed from the outermost caller that matters, with the conditions on the way; who else spins for the lock, the
processors and the hardware are the environment. Where the code does not say it, there is no such model.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from reviewbot.analysis.events.kinds import Held, Lock, Site
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect, own
from reviewbot.csource.ir import CallEvent
from reviewbot.detect.interrupts import Interrupted, own_level, spins
from reviewbot.detect.sleeps import Atomic, sleeps
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_POINTER_TARGETS
from reviewbot.models.block import called
from reviewbot.replay.slicing.automaton import TaskAutomaton
from reviewbot.replay.slicing.frames import Frame
from reviewbot.replay.slicing.lock_calls import LockState
from reviewbot.replay.slicing.reader import FunctionReader
from reviewbot.replay.slicing.slicer import Extractor, SlicedOp, TooLarge, Unreadable
from reviewbot.replay.steps import words
from reviewbot.rule import Scene
from reviewbot.sim import (
    Cpu,
    Either,
    Goto,
    Graph,
    If,
    Interrupt,
    Model,
    Named,
    Node,
    Semaphore,
    Seq,
    SpinLock,
    Task,
    down,
    spin_lock,
    spin_lock_bh,
    spin_lock_irq,
    spin_trylock,
    spin_unlock,
    spin_unlock_bh,
    spin_unlock_irq,
    start_io,
    up,
)
from reviewbot.sim.program import Attempt, argument
from reviewbot.types import Place

TAKES = (spin_lock, spin_lock_bh, spin_lock_irq)
GIVES = (spin_unlock, spin_unlock_bh, spin_unlock_irq)
"""By how much is off: nothing, softirqs, interrupts."""


def sleeping(found: Atomic, program: Program) -> Scene | None:
    """The model of a sleep under a spinlock; None where the code of its task cannot be read, or has no sleep in it."""
    try:
        automaton, held = _sliced(_Sleeping(program, found), found.chain, found.lock)
    except Unreadable:
        return None
    if not automaton.ops():
        return None
    lock, cpu = SpinLock(words(found.lock)), Semaphore("a CPU", 1)
    several = found.lock in program.locksets.faces  # a mutex or a spinlock, as its object says
    spins = found.holds(program) if several else _is_spun_for(program, automaton, found.lock, held)

    def step(op: SlicedOp) -> Node:
        if op.kind != "sleep":
            return _locking(op, spin_lock(lock), spin_unlock(lock))
        if not spins:  # on this side it is a lock that sleeps itself: who waits for it leaves the CPU to the holder
            return Seq()
        away = up(cpu).says(f"sleeps in {op.call}() with {lock} held").at(op.place)
        return Seq((away, called("waits for a CPU to go on", down(cpu)).says("")))

    body = _graph(automaton, step, lambda _: spin_trylock(lock))
    if held:
        body = Seq((spin_lock(lock).says(f"has {lock} held"), body, spin_unlock(lock).says("")))
    sleeper = f"{name_of(found.chain[0])}()"
    spinner = f"{'another ' if found.other == name_of(found.chain[0]) else ''}{found.other}()"
    waits = (
        down(cpu).says(""),
        _asked_for(program, found, spin_lock(lock), lock),
        spin_unlock(lock).says(""),
        up(cpu).says(""),
    )
    runs = Seq((down(cpu).says(""), body, up(cpu).says("")))
    tasks = Task(sleeper, Named(sleeper, runs)), Task(spinner, Named(spinner, Seq(waits)))
    built = Model(f"sleep under {found.lock}", tasks, reachable=tuple(t.name for t in tasks))
    return Scene(name="sleep under a spinlock", built=built, through=(str(lock),))


def _sliced(extractor: Extractor, chain: tuple[FunctionKey, ...], lock: str) -> tuple[TaskAutomaton, list[Held]]:
    """The program from the outermost function of a chain that can be read, and how the lock is held where that is
    entered (empty: not). Raises Unreadable."""
    for number, key in enumerate(chain):
        ways = extractor.program.entry(key) if key in extractor.program.names.functions else ()
        way = next((w for w in ways if w.chain == chain[: number + 1]), None)
        held = [h for h in way.held if h.lock == lock] if way else []
        try:
            automaton = extractor.automaton(key, tuple((h.lock, h.mode) for h in held))
        except TooLarge:
            extractor.refill()
            continue
        # a callback that a helper is handed is not followed: then it begins further down
        if any(op.place.key == chain[-1] for op in automaton.ops()):
            return automaton, held
    raise Unreadable("nobody is there")


def _asked_for(program: Program, found: Atomic, take: Node, lock: SpinLock) -> Node:
    """How who spins asks for the lock, by the name of its call where it is no plain spinlock."""
    facts = (f for key in program.named(found.other) for f in program.own_facts(key) if isinstance(f, Lock))
    spun = (f for f in facts if f.lock == found.lock and f.how != "try" and KERNEL.atomic(f.klass))
    call = next((f.call for f in spun), "")
    if not call.isidentifier() or "spin" in found.klass.split("/"):
        return take
    return called(f"{call}({'' if found.klass == 'bit' else argument(lock)})", take)  # a bit has a number besides


def _is_spun_for(program: Program, automaton: TaskAutomaton, lock: str, held: list[Held]) -> bool:
    """Whether the lock that a task has is one that others spin for, as this side takes it."""
    takers = {op.place.key for op in automaton.ops() if op.kind in ("take", "try", "pass")}
    facts = (
        f for key in takers & program.names.functions.keys() for f in program.own_facts(key) if isinstance(f, Lock)
    )
    return any(map(KERNEL.atomic, (*(h.klass for h in held), *(f.klass for f in facts if f.lock == lock))))


class _Sleeping(Extractor):
    """Programs of one lock and of what sleeps in the functions of one chain, nothing else."""

    def __init__(self, program: Program, found: Atomic) -> None:
        super().__init__(program, {found.lock}, (), [found.chain], lean=True)
        self.found = found
        self._calls: dict[FunctionKey, frozenset[tuple[int, str]]] = {}

    def _call(
        self, frame: Frame, after: LockState, event: CallEvent, reader: FunctionReader
    ) -> Iterator[tuple[SlicedOp | None, Hashable]]:
        call = event.call
        if frame.key in self.found.chain and (call.line, call.callee) in self._asleep(frame.key):
            place = Place(reader.body.file, call.line, reader.body.name)
            values = frozenset(v for v in after.values if v[0] != reader.plan.text(call))
            yield SlicedOp("sleep", "", "", call.callee or name_of(frame.key), place), after._replace(values=values)
        else:
            yield from super()._call(frame, after, event, reader)

    def _asleep(self, key: FunctionKey) -> frozenset[tuple[int, str]]:
        """The calls of a function that sleep, by themselves or in a callee, and keep the lock."""
        if key not in self._calls:
            self._calls[key] = frozenset(self._search(key))
        return self._calls[key]

    def _search(self, key: FunctionKey) -> Iterator[tuple[int, str]]:
        program, lock = self.program, self.found.lock
        for fact in program.own_facts(key):
            if not isinstance(fact, Site) or fact.gates or lock in fact.dropped:
                continue
            if any(map(self._wanted, own([fact]))):
                yield fact.at.line, fact.call if fact.call.isidentifier() else ""  # else through a pointer
        view = program.view(key)
        for made in view.made if not self.found.detail else ():
            targets = view.callgraph.reached(key, made.call)
            if made.cut or len(targets) > MAX_POINTER_TARGETS or program.has_context(key, made.call):
                continue
            if any((key, target) in self.steps for target in targets):
                continue
            for target in targets:
                program.does(target)
                found = (r for e, _, r in program.effects.call(view, made, target) if self._wanted(e))
                if any(not reason.gates and lock not in reason.dropped for reason in found):
                    yield made.call.line, made.call.callee

    def _wanted(self, effect: Effect) -> bool:
        """Whether an effect is the sleep that was found."""
        this = self.found.detail in ("", effect.detail)
        return this and effect.kind == self.found.kind and sleeps(self.program, effect)


# --- interrupts -------------------------------------------------------------------------------------------------------


def interrupted(found: Interrupted, program: Program) -> Scene | None:
    """The model of a lock that an interrupt takes; None where the code of either cannot be read."""
    try:
        chains = [found.way or (found.key,), (found.handler,)]
        programs = [Extractor(program, {found.lock}, (), [chain], lean=True).automaton(chain[0]) for chain in chains]
    except Unreadable:
        return None
    where = [{op.place.key for op in automaton.ops()} for automaton in programs]
    if any(len(keys) != 1 for keys in where):
        return None
    cpu, lock = Cpu("CPU0"), SpinLock(words(found.lock))
    irq = Interrupt("an interrupt" if not found.soft else "a softirq", cpu=cpu, soft=found.soft)
    runs, handles = (
        Named(f"{name_of(chain[0])}()", _masked(automaton, lock, _off(program, key, found.lock)))
        for chain, automaton, (key,) in zip(chains, programs, where, strict=True)
    )
    hardware = Named("the hardware", start_io(irq, handles).says(""))
    tasks = Task(runs.title, runs, cpu=cpu), Task("the hardware", hardware)
    built = Model(f"interrupts meet {found.lock}", tasks, reachable=(runs.title, handles.title))
    return Scene(name="a spinlock that an interrupt takes", built=built, through=(str(lock),))


def _off(program: Program, key: FunctionKey, lock: str) -> int:
    """How much is off at least where a function takes a lock."""
    return min((own_level(program, key, fact) for fact in spins(program, key, lock)), default=0)


def _masked(automaton: TaskAutomaton, lock: SpinLock, off: int) -> Node:
    takes, gives = TAKES[off], GIVES[off]
    return _graph(automaton, lambda op: _locking(op, takes(lock), gives(lock)), lambda _: spin_trylock(lock))


def _locking(op: SlicedOp, take: Node, give: Node) -> Node:
    match op.kind:
        case "take":
            step = take
        case "give":
            step = give
        case "pass":
            step = Seq((take, give.says("")))
        case _:
            raise Unreadable(f"a step of kind {op.kind}")
    return step.at(op.place)


# --- a program as steps -----------------------------------------------------------------------------------------------


def _graph(automaton: TaskAutomaton, step: Callable[[SlicedOp], Node], attempt: Callable[[SlicedOp], Attempt]) -> Node:
    blocks: dict[str, Node] = {"start": _choice(automaton.start)}
    for number, ways in automaton.places.items():
        blocks[str(number)] = _place(ways.steps, step, attempt)
    return Graph("start", blocks)


def _choice(places: frozenset[int]) -> Node:
    gotos = tuple(Goto(str(p)) for p in sorted(places))
    return gotos[0] if len(gotos) == 1 else Either(gotos)


def _place(
    steps: tuple[tuple[SlicedOp, frozenset[int]], ...],
    step: Callable[[SlicedOp], Node],
    attempt: Callable[[SlicedOp], Attempt],
) -> Node:
    nodes: list[Node] = []
    tries = {op.kind: (op, after) for op, after in steps if op.kind in ("try", "fail")}
    if tries:
        (op, yes), (_, no) = tries.get("try") or tries["fail"], tries.get("fail") or tries["try"]
        nodes.append(If(attempt(op), _choice(yes), _choice(no)))
    nodes += [Seq((step(op), _choice(after))) for op, after in steps if op.kind not in ("try", "fail")]
    return Seq() if not nodes else nodes[0] if len(nodes) == 1 else Either(tuple(nodes))
