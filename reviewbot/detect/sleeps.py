"""Sleeping where nobody may, interrupts that meet a lock: what a change brings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reviewbot.analysis.callgraph.contexts import ExecutionContext
from reviewbot.analysis.callgraph.pointer_flow import EntryPoint
from reviewbot.analysis.code.identity import Scope, known, scope
from reviewbot.analysis.events.kinds import Lock, Site, Unlock
from reviewbot.analysis.locks.plan import BH_OFF, IRQ_OFF, masks
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect, own
from reviewbot.detect.edges import REAL
from reviewbot.detect.sure import by_state, doubtful, named, on_request
from reviewbot.detect.waitfor import Edge, changed, edges, lock_class, providers
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_CALLS_TO_LOCK
from reviewbot.types import Place, Value

ATOMIC = frozenset(filter(KERNEL.atomic, REAL | {"rcu"}))
"""Classes of locks whose holder may not sleep."""
Names = Iterable[tuple[str, str]]
_OFF = {BH_OFF: 1, IRQ_OFF: 2}
"""How much is off: nothing < softirqs < interrupts."""
INTERRUPTS = {"hardirq": False, "completion": False, "softirq": True}
"""Contexts that come in between whatever runs on a processor; whether they are softirqs."""


class Atomic(Value, frozen=True):
    """A place that may sleep with a spinlock held."""

    key: FunctionKey
    lock: str
    klass: str
    kind: str
    object: str
    at: Place
    ends: Place
    call: str
    """What sleeps, as it is called."""
    other: str
    """Name of another function that takes the lock."""

    @property
    def function(self) -> str:
        """Name of the function."""
        return name_of(self.key)

    def holds(self, program: Program) -> bool:
        """Whether a side sleeps there."""
        if self.key not in program.names.functions:
            return False
        if self.klass == "interrupt":
            return any(kind == self.kind for kind, _ in _asleep(program, self.key))
        return any((e.lock.lock, e.effect.kind) == (self.lock, self.kind) for e in _atomic(program, self.key))


def sleeping(before: Program, after: Program, names: Names) -> Iterator[Atomic]:
    """The places that sleep with a spinlock held since a change."""
    names = tuple(names)
    there = {(e.name, e.lock.lock, e.effect.kind) for k in changed(before, names) for e in _under(before, k)}
    for key in changed(after, names):
        if key not in before.names.functions:
            continue
        for edge in _atomic(after, key):
            if (edge.name, edge.lock.lock, edge.effect.kind) in there:
                continue
            there.add((edge.name, edge.lock.lock, edge.effect.kind))
            takers = [k for k in providers(after).takers.get(edge.lock.lock, ()) if k != key] or [key]
            ends = edge.down[-1] if edge.down else edge.place
            yield Atomic(
                key=key,
                lock=edge.lock.lock,
                klass=edge.lock.klass,
                kind=edge.effect.kind,
                object=edge.effect.object,
                at=edge.place,
                ends=ends,
                call=_call(after, ends),
                other=name_of(takers[0]),
            )


def interrupting(before: Program, after: Program, names: Names) -> Iterator[Atomic]:
    """The places that sleep in a function that only interrupts, softirqs and ends of bios run, since a change."""
    names = tuple(names)
    for key in changed(after, names):
        which = _interrupt(after, key)
        if not which or key not in before.names.functions:
            continue
        slept = {kind for kind, _ in _asleep(before, key)}
        for kind, down in _asleep(after, key):
            if kind not in slept:
                slept.add(kind)
                at, ends = down[0], down[-1]
                call = _call(after, ends)
                yield Atomic(key, which, "interrupt", kind, "", at, ends, call, "")


def _interrupt(program: Program, key: FunctionKey) -> str:
    """What a function runs in, where that is nothing but interrupts: an interrupt, a softirq; else empty."""
    found = {_runs_in(r) for r in program.entered(key)}
    only = {"hardirq", "softirq"}
    if not found or not found <= only or not {_runs_in(r) for r in program.roots(key)} <= only:
        return ""
    return "an interrupt" if "hardirq" in found else "a softirq"


def _runs_in(root: ExecutionContext | EntryPoint) -> str:
    return root.context if root.slot not in KERNEL.words["bio_end"] else "hardirq"


def _asleep(program: Program, key: FunctionKey) -> Iterator[tuple[str, tuple[Place, ...]]]:
    """What sleeps in a function or not far below: its kind, and the lines down to it."""
    for effect, reason in program.does(key).items():
        if _sleeps(program, effect) and not reason.gates:
            down = program.effects.chain(key, effect)
            if down and len(down) <= MAX_CALLS_TO_LOCK + 1 and not _stands_off(program, down[-1], ""):
                yield effect.kind, down


def _under(program: Program, key: FunctionKey) -> Iterator[Edge]:
    """What may sleep in a function, however far below, under something that does not allow it."""
    for edge in edges(program, key, lambda effect: _sleeps(program, effect), ATOMIC):
        if KERNEL.atomic(edge.lock.klass):
            yield edge


def _atomic(program: Program, key: FunctionKey) -> Iterator[Edge]:
    """The same as far as it is worth saying: near, and with the lock not given back on the way."""
    near = (
        edge
        for edge in _under(program, key)
        if len(edge.down) <= MAX_CALLS_TO_LOCK and not _on_condition(program, edge)
    )
    near = (edge for edge in near if not doubtful(program, edge) and not by_state(program, edge))
    return (edge for edge in near if not any(_drops_what_it_was_handed(program, k) for k in edge.chain))


def _drops_what_it_was_handed(program: Program, key: FunctionKey) -> bool:
    """Whether a function gives back a lock that it knows as a parameter only: which one that is, its caller decides."""
    return any(isinstance(f, Unlock) and not known(f.lock) for f in program.own_facts(key))


def _sleeps(program: Program, effect: Effect) -> bool:
    match effect.kind:
        case "lock":
            klass = lock_class(program, effect.object)
            return bool(klass) and all(KERNEL.sleeping(k) for k in klass.split("/"))
        case "wait":
            return effect.detail.split(" ")[0] in (
                "event",
                "completion",
                "io",
                "bit",
                "freeze",
                "rcu",
                "sleep",
                "reschedule",
            )
        case "memory":
            return effect.detail in ("full", "nofs", "noio")
        case "flush":
            return effect.detail in ("work", "workqueue", "thread")
        case "io":
            return True
    return False


def _on_condition(program: Program, edge: Edge) -> bool:
    """Whether the sleep stands under a condition on who may sleep."""
    return _stands_off(program, edge.down[-1] if edge.down else edge.place, edge.lock.lock)


def _stands_off(program: Program, last: Place, lock: str) -> bool:
    key = last.key
    for fact in program.own_facts(key):
        if isinstance(fact, Site) and fact.at.line == last.line and fact.gates:
            return True
    taken = {f.lock for f in program.own_facts(key) if isinstance(f, Lock)}
    return lock not in taken and on_request(program, last)


def _call(program: Program, at: Place) -> str:
    """The call at a line that sleeps, by its name."""
    key = at.key
    if key in program.names.functions:
        for fact in program.own_facts(key):
            if isinstance(fact, Site) and fact.at.line == at.line and any(_sleeps(program, e) for e in own([fact])):
                return f"{fact.call}()"
    return f"{at.function}()"


# --- interrupts -------------------------------------------------------------------------------------------------------


class Interrupted(Value, frozen=True):
    """A spinlock that is taken with interrupts on, and that an interrupt takes as well."""

    key: FunctionKey
    lock: str
    at: Place
    handler: FunctionKey
    """Key of the function that takes it in an interrupt."""
    soft: bool

    @property
    def function(self) -> str:
        """Name of the function."""
        return name_of(self.key)

    def guarded(self, program: Program) -> bool:
        """Whether a side keeps the interrupt away."""
        return self.key in program.names.functions and _levels(program, self.key).get(self.lock, 0) >= _needed(
            self.soft
        )


def interrupted(before: Program, after: Program, names: Names) -> Iterator[Interrupted]:
    """The spinlocks that a change takes with interrupts on where they were off, and that an interrupt takes."""
    names = tuple(names)
    for key in changed(after, names):
        if key not in before.names.functions:
            continue
        was, now = _levels(before, key), _levels(after, key)
        for lock, level in now.items():
            if level >= was.get(lock, 0) or not known(lock) or scope(lock) is Scope.STACK:
                continue
            if _only_in_interrupts(after, key):
                break
            for handler in nearest(after, providers(after).takers.get(lock, ())):
                contexts = interrupts(after, handler)
                soft = all(INTERRUPTS[c] for c in contexts)
                if level < _needed(soft) <= was[lock]:
                    taken = [f for f in after.own_facts(key) if isinstance(f, Lock) and f.lock == lock]
                    at = next(f.at for f in taken if _level(after, key, f) == level)
                    yield Interrupted(key=key, lock=lock, at=at, handler=handler, soft=soft)
                    break


def nearest(program: Program, keys: Iterable[FunctionKey]) -> list[FunctionKey]:
    """Those of some functions that run in interrupts, by the number of calls down to them: with each call it is less sure
    that an interrupt comes by."""
    ways = {key: [len(e.chain) for e in _between(program, key)] for key in keys}
    return sorted((key for key in ways if ways[key]), key=lambda key: min(ways[key]))


def interrupts(program: Program, key: FunctionKey) -> list[str]:
    """The contexts of a function that come in between whatever runs; a callback in a thread of its own does not."""
    return [e.context for e in _between(program, key)]


def _between(program: Program, key: FunctionKey) -> list[ExecutionContext]:
    return [e for e in program.entered(key) if _comes_between(e) and named(program, e.chain)]


def _comes_between(root: ExecutionContext | EntryPoint) -> bool:
    return root.context in INTERRUPTS and root.slot not in KERNEL.threaded


def _only_in_interrupts(program: Program, key: FunctionKey) -> bool:
    """Whether a function runs nowhere else, as far as can be seen."""
    found = program.roots(key)
    return bool(found) and all(map(_comes_between, found))


def _needed(soft: bool) -> int:
    """How much has to be off where a lock is taken that a softirq (or an interrupt) takes: see `_OFF`."""
    return _OFF[BH_OFF if soft else IRQ_OFF]


def _levels(program: Program, key: FunctionKey) -> dict[str, int]:
    """Spinlock -> how much is off at least where a function takes it."""
    found: dict[str, int] = {}
    for fact in program.own_facts(key):
        if isinstance(fact, Lock) and fact.klass == "spin":
            found[fact.lock] = min(_level(program, key, fact), found.get(fact.lock, _OFF[IRQ_OFF]))
    return found


def _level(program: Program, key: FunctionKey, taken: Lock) -> int:
    """How much is off where a lock is taken: by its call, by what came before it, and on every way into the function
    (on those from interrupts no other one comes)."""
    own = {t.lock for t in masks(taken.irq, atomic=False)}
    sites = [m.at for m in program.view(key).made if (m.call.line, m.call.callee) == (taken.at.line, taken.call)]
    ways = [way for way in program.entry(key) if not _only_in_interrupts(program, way.chain[0])]
    above = [{name for name in way.off if not any(name in at.on for at in sites)} for way in ways]
    return min(
        (
            max((_OFF[n] for n in (*own, *at.off, *outside) if n in _OFF), default=0)
            for at in sites
            for outside in above
        ),
        default=max((_OFF[n] for n in (*own, *(n for at in sites for n in at.off)) if n in _OFF), default=0),
    )


__all__ = ["Atomic", "Interrupted", "interrupted", "interrupting", "nearest", "sleeping"]
