"""Interrupts that are enabled too early: with a lock held, outside, that an interrupt takes."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.code.identity import Scope, known, scope
from reviewbot.analysis.events.kinds import Held, Lock
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.entry_lockset import EntryLockset
from reviewbot.detect.interrupts import INTERRUPTS, Names, interrupts, nearest
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.detect.providers import providers
from reviewbot.detect.waitfor import changed
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.types import Place, Value

OFF = ("off", "save")


class Unmasked(Value, frozen=True):
    """A spinlock whose release enables interrupts, with another one held that an interrupt takes."""

    key: FunctionKey
    inner: str
    lock: str
    at: Place
    outer: FunctionKey
    """Key of the function that took the other one, interrupts off."""
    handler: FunctionKey
    """Key of the function that takes it in an interrupt."""
    soft: bool

    @property
    def function(self) -> str:
        """Name of the function."""
        return name_of(self.key)

    def early(self, program: Program) -> bool:
        """Whether a side enables interrupts there."""
        return self.key in program.names.functions and self.inner in _enabling(program, self.key)


def unmasked(before: Program, after: Program, names: Names) -> Iterator[Unmasked | Dropped]:
    """The locks that a change gives back with interrupts on, inside of others that an interrupt takes; between them what came
    to nothing."""
    names = tuple(names)
    for key in changed(after, names):
        if key not in before.names.functions:
            continue
        was = _enabling(before, key)
        for inner, fact in _enabling(after, key).items():
            if inner in was or inner not in {f.lock for f in before.own_facts(key) if isinstance(f, Lock)}:
                continue
            reason = "no lock is held around it for which interrupts were turned off"
            for lock, outer in _outside(after, key, fact):
                taking = _taking(after, lock) if lock != inner else None
                if taking is not None:
                    handler, soft = taking
                    yield Unmasked(key=key, inner=inner, lock=lock, at=fact.at, outer=outer, handler=handler, soft=soft)
                    break
                reason = f"no interrupt is seen to take {lock}, which is held around it"
            else:
                yield Dropped(LeadPlace(fact.at, f"enables interrupts when it releases {inner}"), reason)


def _enabling(program: Program, key: FunctionKey) -> dict[str, Lock]:
    """Locks that a function takes by a call whose counterpart enables interrupts whatever they were before."""
    found: dict[str, Lock] = {}
    for fact in program.own_facts(key):
        if isinstance(fact, Lock) and fact.irq == "off" and fact.klass == "spin" and known(fact.lock):
            found.setdefault(fact.lock, fact)
    return found


def _outside(program: Program, key: FunctionKey, inner: Lock) -> Iterator[tuple[str, FunctionKey]]:
    """Spinlocks held around a place for which interrupts were turned off, each with the function that took it."""
    for held, chain in _around(program, key):
        for h in (*inner.held, *held):
            if h.klass != "spin" or not known(h.lock) or scope(h.lock) is Scope.STACK:
                continue
            for taker in (key, *reversed(chain)):
                if any(isinstance(f, Lock) and f.lock == h.lock and f.irq in OFF for f in program.own_facts(taker)):
                    yield h.lock, taker
                    break


def _around(program: Program, key: FunctionKey) -> Iterator[tuple[tuple[Held, ...], tuple[FunctionKey, ...]]]:
    """What is held on the ways into a function, calls through operations tables included, and by whom."""
    for way in program.entry(key):
        yield way.held, way.chain
        for slot in {r.slot for r in program.callgraph.roots.get(way.chain[0], ()) if r.slot in KERNEL.slots}:
            for caller, points_to in program.callgraph.points_to.items():
                if slot in points_to.nodes:
                    for outer in _calling(program, caller, slot):
                        yield (*way.held, *outer.held), (*outer.chain, *way.chain)


def _calling(program: Program, caller: FunctionKey, slot: str) -> Iterator[EntryLockset]:
    """What is held where a function calls through a slot."""
    record = program.locksets.record(caller)
    if not record.at:
        yield from program.entry(caller)
    for site in record.under:
        if site.callee == slot:
            for way in program.entry(caller):
                yield EntryLockset((*site.held, *(h for h in way.held if h.lock not in site.dropped)), way.chain)


def _taking(program: Program, lock: str) -> tuple[FunctionKey, bool] | None:
    """Who takes a lock in an interrupt, and whether that is a softirq."""
    handler = next(iter(nearest(program, providers(program).takers.get(lock, ()))), None)
    return (handler, all(INTERRUPTS[c] for c in interrupts(program, handler))) if handler is not None else None


__all__ = ["Unmasked", "unmasked"]
