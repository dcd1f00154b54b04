"""What comes in between on a processor: which functions interrupts run, and where interrupts are known to be on.

Both have to be known for a claim. A function that is only seen to be called from elsewhere says nothing: its callers may have
interrupts off. That they are on is known of the entry points of tasks, and of what sleeps or turns them off and on itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from reviewbot.analysis.callgraph.contexts import ExecutionContext
from reviewbot.analysis.callgraph.pointer_flow import EntryPoint
from reviewbot.analysis.code import gfp
from reviewbot.analysis.code.identity import Scope, known, owner, scope
from reviewbot.analysis.events.kinds import Allocation, Flush, Lock, Site, Wait
from reviewbot.analysis.locks.plan import BH_OFF, IRQ_OFF, masks
from reviewbot.analysis.program.program import Component, Program
from reviewbot.detect.edges import changed
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.detect.providers import providers
from reviewbot.detect.sure import named, on_request, one_face
from reviewbot.function_key import FunctionKey, file_of, name_of
from reviewbot.kernel import BACKOFF, BLOCKING, KERNEL
from reviewbot.limits import MAX_CALLS_TO_LOCK, MAX_CALLS_TO_TASK, MAX_TAKERS_OF_LOCK
from reviewbot.types import Place, Value

Names = Iterable[tuple[str, str]]
OFF = {BH_OFF: 1, IRQ_OFF: 2}
"""How much is off: nothing < softirqs < interrupts."""
INTERRUPTS = {"hardirq": False, "completion": False, "softirq": True}
"""Contexts that come in between whatever runs on a processor; whether they are softirqs."""
SPINNING = ("spin", "rwspin")
QUIETS = ("irq", "hardirq", "timer", "tasklet", "softirq")
"""Kinds of flushes after which what was waited for does not come any more."""


def interrupts(program: Program, key: FunctionKey, beside: FunctionKey | None = None) -> list[str]:
    """The contexts of a function that come in between whatever runs; a callback in a thread of its own does not.

    beside: for a function of this one's file, what the file itself put into a pointer counts, too: others put something
    else there, but for objects of theirs.
    """
    return [e.context for e in interrupting(program, key, beside)]


def interrupting(program: Program, key: FunctionKey, beside: FunctionKey | None = None) -> list[ExecutionContext]:
    """The same with the chains of calls by which they get there."""
    coming = [e for e in program.entered(key) if comes_between(e)]
    file = file_of(key) if beside is not None and file_of(beside) == file_of(key) else ""
    return [e for e in coming if all(named(program, s) or _put(program, s, file) for s in pairwise(e.chain))]


def _put(program: Program, step: tuple[FunctionKey, FunctionKey], file: str) -> bool:
    """Whether a call goes through a pointer into which a function of a file put the callee, one of that file."""
    caller, callee = step
    nodes = program.callgraph.wiring(caller).nodes
    placed = (p for places in program.callgraph.placed_in.values() for p in places)
    return file_of(callee) == file and any((p.handler, p.file) == (callee, file) and p.slot in nodes for p in placed)


def surely(context: ExecutionContext) -> bool:
    """Whether it is an interrupt or softirq for sure: I/O of other kinds is passed up by workers, too."""
    return context.context != "completion" or context.slot in KERNEL.words["bio_end"]


def comes_between(root: ExecutionContext | EntryPoint) -> bool:
    """Whether what begins there comes in between whatever runs on a processor."""
    return root.context in INTERRUPTS and root.slot not in KERNEL.threaded


def only_in_interrupts(program: Program, key: FunctionKey) -> bool:
    """Whether a function runs nowhere else, as far as can be seen."""
    found = program.roots(key)
    return bool(found) and all(map(comes_between, found))


def needed(soft: bool) -> int:
    """How much has to be off where a lock is taken that a softirq (or an interrupt) takes: see `OFF`."""
    return OFF[BH_OFF if soft else IRQ_OFF]


def level(off: Iterable[str]) -> int:
    """How much is off, of what is kept away."""
    return max((OFF[name] for name in off if name in OFF), default=0)


def own_level(program: Program, key: FunctionKey, taken: Lock) -> int:
    """How much is off where a lock is taken, by its call and by what the function did before."""
    own = {t.lock for t in masks(taken.irq, atomic=False)}
    return min((level((*own, *off)) for off in _sites(program, key, taken)), default=level(own))


def _sites(program: Program, key: FunctionKey, fact: Site) -> list[tuple[str, ...]]:
    made = (m for m in program.view(key).made if (m.call.line, m.call.callee) == (fact.at.line, fact.call))
    return [m.at.off for m in made]


class Tasks(Component):
    """Ways from where a task has interrupts on down to functions of a program, found when asked for."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._awake: dict[FunctionKey, bool] = {}
        self._ways: dict[tuple[FunctionKey, int], tuple[FunctionKey, ...]] = {}

    def way(self, key: FunctionKey, need: int) -> tuple[FunctionKey, ...]:
        """A chain of calls by name down to a function, from one that is known to begin with interrupts on, and with less
        than `need` off at each call; empty where there is none."""
        if (key, need) not in self._ways:
            self._ways[key, need] = self._search(key, need)
        return self._ways[key, need]

    def _search(self, key: FunctionKey, need: int) -> tuple[FunctionKey, ...]:
        todo: list[tuple[FunctionKey, ...]] = [(key,)]
        seen = {key}
        for chain in todo:
            if self._quiet(chain[0]):
                continue
            if self._begins(chain[0]) or self._sleeps(chain[0]):
                return chain
            if len(chain) > MAX_CALLS_TO_TASK:
                continue
            for caller in self.program.callers(chain[0]):
                if caller not in seen and self._open(caller, chain[0], need):
                    seen.add(caller)
                    todo.append((caller, *chain))
        return ()

    def _begins(self, key: FunctionKey) -> bool:
        """Whether a task enters there, and nothing else does."""
        roots = self.program.callgraph.roots.get(key, ())
        return bool(roots) and all(KERNEL.contexts[r.context].task and not _early(r) for r in roots)

    def _open(self, caller: FunctionKey, callee: FunctionKey, need: int) -> bool:
        """Whether a caller calls by name, with less off."""
        if not self.program.callgraph.names_it(caller, callee) or self.program.function(caller).macro:
            return False
        record = self.program.locksets.record(caller)
        sites = [site for site in record.under if site.callee == callee]
        return not (record.at or record.under) or any(level(site.off) < need for site in sites)

    def _sleeps(self, key: FunctionKey) -> bool:
        """Whether a function sleeps whoever calls it, so that its callers do not have interrupts off."""
        if key not in self._awake:
            self._awake[key] = any(self._asleep(key, fact) for fact in self.program.own_facts(key))
        return self._awake[key]

    def _asleep(self, key: FunctionKey, fact: object) -> bool:
        match fact:
            case Lock():
                sleeps = fact.how in ("acquire", "killable", BACKOFF) and all(
                    map(KERNEL.sleeping, fact.klass.split("/"))
                )
            case Wait():
                sleeps = fact.klass in ("event", "completion", "sleep") and not fact.announce
            case Allocation():
                sleeps = bool(fact.gfp) and all(gfp.kind(mask) == "full" for mask in fact.gfp)
            case _:
                return False
        if not sleeps or not isinstance(fact, Site) or fact.gates or on_request(self.program, fact.at):
            return False
        return not any(KERNEL.atomic(h.klass) for h in (*fact.held, *fact.maybe))

    def _quiet(self, key: FunctionKey) -> bool:
        """Whether a function keeps interrupts, timers or tasklets from coming, or sets them up: who may come in between
        there is not known."""
        roots = self.program.callgraph.roots.get(key, ())
        if any(map(_early, roots)):
            return True
        quieting = (f for f in self.program.own_facts(key) if isinstance(f, Flush))
        if any(fact.of in QUIETS for fact in quieting):
            return True
        return any(call.callee in KERNEL.words["quiets"] for call in self.program.body(key).calls)


def _early(root: EntryPoint) -> bool:
    """Whether a device is set up, put to sleep or taken away there: its interrupts may not come."""
    return root.context == "init" or (root.slot in KERNEL.slots and KERNEL.slots[root.slot].quiet)


# --- a lock, taken by a task and by an interrupt ----------------------------------------------------------------------


class Interrupted(Value, frozen=True):
    """A spinlock that is taken with interrupts on, and that an interrupt takes as well."""

    key: FunctionKey
    lock: str
    at: Place
    handler: FunctionKey
    """Key of the function that takes it in an interrupt."""
    soft: bool
    way: tuple[FunctionKey, ...] = ()
    """From a task's function down to the one that takes it, by key; empty where that took it with more off before."""
    where: tuple[Place, ...] = ()
    """Where the interrupt takes it."""

    @property
    def function(self) -> str:
        """Name of the function."""
        return name_of(self.key)

    def guarded(self, program: Program) -> bool:
        """Whether a side keeps the interrupt away, or does not take the lock there."""
        if self.key not in program.names.functions:
            return bool(self.way)
        if not self.way:
            return levels(program, self.key).get(self.lock, 0) >= needed(self.soft)
        return not any(
            own_level(program, self.key, fact) < needed(self.soft) for fact in spins(program, self.key, self.lock)
        )

    def comes(self, program: Program) -> bool:
        """Whether on a side an interrupt takes the lock."""
        takes = self.handler in program.names.functions and any(spins(program, self.handler, self.lock))
        return takes and bool(interrupts(program, self.handler, self.key))


def interrupted(before: Program, after: Program, names: Names) -> Iterator[Interrupted | Dropped]:
    """The spinlocks that since a change are taken with interrupts on, and by an interrupt too; between them what came to
    nothing."""
    names, seen = tuple(names), set[str]()
    for found in _lowered(before, after, names):
        if isinstance(found, Interrupted):
            seen.add(found.lock)
        yield found
    touched = changed(after, names)
    for lock in dict.fromkeys(lock for key in touched for lock in spinlocks(after, key)):
        if lock in seen:
            continue
        met = [*meets(after, lock, frozenset(touched))]
        if met and any(meets(before, lock)):
            yield Dropped(
                LeadPlace(met[0].at, f"takes {lock} with interrupts on"), "an interrupt could come before as well"
            )
        else:
            yield from met


def _lowered(before: Program, after: Program, names: Names) -> Iterator[Interrupted | Dropped]:
    """The spinlocks that a function takes with less off than before."""
    for key in changed(after, names):
        if key not in before.names.functions:
            continue
        was, now = levels(before, key), levels(after, key)
        for lock, least in now.items():
            if least >= was.get(lock, 0) or not known(lock) or scope(lock) is Scope.STACK:
                continue
            at = [f.at for f in spins(after, key, lock) if _level(after, key, f) == least]
            reason = "no interrupt is seen to take it"
            for handler in nearest(after, taking(after, lock), key) if at else ():
                soft = all(INTERRUPTS[c] for c in interrupts(after, handler, key))
                if not least < needed(soft) <= was[lock]:
                    reason = "what takes it is kept away as it was before"
                elif not _interruptible(after, key, handler, soft):
                    reason = "the interrupt that takes it is not seen to come in between"
                else:
                    yield Interrupted(key=key, lock=lock, at=at[0], handler=handler, soft=soft)
                    reason = ""
                    break
            if at and reason:
                yield Dropped(LeadPlace(at[0], f"takes {lock} with more enabled than before"), reason)


def _interruptible(program: Program, key: FunctionKey, handler: FunctionKey, soft: bool) -> bool:
    """Whether an interrupt that comes to a handler can come between what a function does: a task's, or a softirq's where it
    is none itself. A handler that takes the lock itself has to be seen to run elsewhere, too: others may
    call it as an interrupt would."""
    if only_in_interrupts(program, key):
        ways = {way.chain[0]: way.off for way in program.entry(key)}
        calls = [
            e for e in interrupting(program, key) if e.context == "softirq" and IRQ_OFF not in ways.get(e.chain[0], ())
        ]
        return not soft and handler != key and any(handler not in e.chain for e in calls)
    if handler != key or all(len(e.chain) > 1 for e in interrupting(program, key)):
        return True
    elsewhere = any(not comes_between(e) for e in program.entered(key))
    return elsewhere or bool(program.component(Tasks).way(key, needed(soft)))


def meets(program: Program, lock: str, through: frozenset[FunctionKey] | None = None) -> Iterator[Interrupted]:
    """Who takes a lock with interrupts on for sure, with who takes it in an interrupt; the first of them.

    through: functions of which one has to be on the way of either.
    """
    takers = taking(program, lock)
    coming = [(handler, e) for handler in takers for e in interrupting(program, handler) if surely(e)]
    for handler, e in sorted(coming, key=lambda c: (INTERRUPTS[c[1].context], len(c[1].chain), c[0])):
        soft = INTERRUPTS[e.context]
        writes = any(f.mode != "r" for f in spins(program, handler, lock))
        for key in takers:
            for fact in spins(program, key, lock):
                if own_level(program, key, fact) >= needed(soft) or not (writes or fact.mode != "r"):
                    continue
                if key in e.chain or only_in_interrupts(program, key):
                    continue
                way = program.component(Tasks).way(key, needed(soft))
                if (
                    way
                    and one_object(program, lock, way, e.chain)
                    and (through is None or not through.isdisjoint((*way, *e.chain)))
                ):
                    where = tuple(f.at for f in spins(program, handler, lock))
                    yield Interrupted(key=key, lock=lock, at=fact.at, handler=handler, soft=soft, way=way, where=where)
                    return


def nearest(program: Program, keys: Iterable[FunctionKey], beside: FunctionKey | None = None) -> list[FunctionKey]:
    """Those of some functions that run in interrupts, by the number of calls down to them: with each call it is less sure
    that an interrupt comes by. beside: see `interrupts`."""
    ways = {key: [len(e.chain) for e in interrupting(program, key, beside)] for key in keys}
    return sorted((key for key in ways if ways[key]), key=lambda key: min(ways[key]))


def one_object(program: Program, lock: str, one: tuple[FunctionKey, ...], other: tuple[FunctionKey, ...]) -> bool:
    """Whether a lock can be one and the same on two chains: that of a structure of the kernel's headers is another one for
    each driver."""
    owns = owner(lock)
    declared = program.names.declaring(owns) if owns else ()
    if not owns or any(not path.startswith("include/") for path in declared):
        return True
    files = [{file_of(key) for key in chain if not file_of(key).startswith("include/")} for chain in (one, other)]
    return bool(files[0] & files[1])


def taking(program: Program, lock: str) -> list[FunctionKey]:
    """Who takes a lock, but for what is a lock call by itself; nobody where too many do."""
    found = providers(program)
    both = dict.fromkeys((*found.takers.get(lock, ()), *found.passers.get(lock, ())))
    takers = [key for key in both if name_of(key) not in KERNEL.effects]
    return takers if len(takers) <= MAX_TAKERS_OF_LOCK else []


def spins(program: Program, key: FunctionKey, lock: str) -> list[Lock]:
    """Where a function takes a lock by calls of its own that spin for it."""
    if key not in program.names.functions:
        return []
    own = (f for f in program.own_facts(key) if isinstance(f, Lock) and f.lock == lock)
    waits = (*BLOCKING, "transient")
    return [f for f in own if f.how in waits and f.klass in SPINNING and not one_face(program, f.at)]


def spinlocks(program: Program, key: FunctionKey) -> list[str]:
    """Spinlocks that a function takes, by itself or not far below."""
    own = (f for f in program.own_facts(key) if isinstance(f, Lock) and f.klass in SPINNING)
    found = dict.fromkeys(f.lock for f in own if f.how != "try")
    for effect in program.does(key):
        if effect.kind == "lock" and effect.object not in found:
            chain = program.effects.chain(key, effect)
            if 1 < len(chain) <= MAX_CALLS_TO_LOCK and spins(program, chain[-1].key, effect.object):
                found[effect.object] = None
    return [lock for lock in found if known(lock) and scope(lock) is not Scope.STACK and lock[:1] != "*"]


def levels(program: Program, key: FunctionKey) -> dict[str, int]:
    """Spinlock -> how much is off at least where a function takes it."""
    found: dict[str, int] = {}
    for fact in program.own_facts(key):
        if isinstance(fact, Lock) and fact.klass == "spin":
            found[fact.lock] = min(_level(program, key, fact), found.get(fact.lock, OFF[IRQ_OFF]))
    return found


def _level(program: Program, key: FunctionKey, taken: Lock) -> int:
    """How much is off where a lock is taken: by its call, by what came before it, and on every way into the function
    (on those from interrupts no other one comes)."""
    own = {t.lock for t in masks(taken.irq, atomic=False)}
    sites = [m.at for m in program.view(key).made if (m.call.line, m.call.callee) == (taken.at.line, taken.call)]
    ways = [way for way in program.entry(key) if not only_in_interrupts(program, way.chain[0])]
    above = [{name for name in way.off if not any(name in at.on for at in sites)} for way in ways]
    return min(
        (level((*own, *at.off, *outside)) for at in sites for outside in above),
        default=level((*own, *(n for at in sites for n in at.off))),
    )


__all__ = [
    "INTERRUPTS",
    "Interrupted",
    "Names",
    "Tasks",
    "comes_between",
    "interrupted",
    "interrupting",
    "interrupts",
    "levels",
    "meets",
    "nearest",
    "needed",
    "one_object",
    "own_level",
    "spinlocks",
    "spins",
    "surely",
    "taking",
]
