"""Two spinlocks and an interrupt: who holds the second one is interrupted by who waits for the first.

The first lock is one that an interrupt takes. Who holds it waits for the second; who holds that has interrupts on, and the
interrupt that comes in between spins for the first. Lockdep calls the first irq-safe and the second irq-unsafe.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from reviewbot.analysis.code.identity import known
from reviewbot.analysis.events.kinds import Lock
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.detect.edges import Edge, changed, edges
from reviewbot.detect.interrupts import (
    INTERRUPTS,
    SPINNING,
    Names,
    Tasks,
    interrupting,
    needed,
    one_object,
    own_level,
    spinlocks,
    spins,
    surely,
    taking,
)
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.detect.sure import doubtful
from reviewbot.function_key import FunctionKey, file_of, key_of, name_of
from reviewbot.kernel import KERNEL, lock_words
from reviewbot.types import Place, Value

SHARED = {
    lock: group.calls[0]
    for group in KERNEL.api.contract
    for lock, _, klass in map(lock_words, group.takes)
    if klass in SPINNING
}
"""Spinlocks of the kernel's that its own calls take, in tasks with interrupts on -> one of these calls."""


class Inverted(Value, frozen=True):
    """A spinlock `inner`, taken under one that an interrupt takes (`lock`), and elsewhere with interrupts on."""

    key: FunctionKey
    lock: str
    inner: str
    at: Place
    """Where it is taken under the other."""
    handler: FunctionKey
    """Key of the function that takes the other one in an interrupt."""
    soft: bool
    task: FunctionKey
    """Key of the function that takes it with interrupts on."""
    where: Place

    @property
    def function(self) -> str:
        """Name of the function that takes both."""
        return name_of(self.key)

    def there(self, program: Program) -> bool:
        """Whether a side has it, in whichever functions."""
        return any((found.lock, found.inner) == (self.lock, self.inner) for found in inversions(program, self.inner))


def inverted(before: Program, after: Program, names: Names) -> Iterator[Inverted | Dropped]:
    """The pairs of spinlocks that since a change an interrupt can come between; between them what came to nothing."""
    touched = frozenset(changed(after, tuple(names)))
    for inner in sorted(set(chain.from_iterable(spinlocks(after, key) for key in touched))):
        new = list(_inversions(after, inner, touched))
        if any(isinstance(found, Inverted) for found in new):
            old = {found.lock for found in inversions(before, inner)}
            for found in new:
                if isinstance(found, Inverted) and found.lock in old:
                    found = Dropped(
                        LeadPlace(found.at, f"takes {inner} under {found.lock}"),
                        "an interrupt could come before as well",
                    )
                yield found
        else:
            yield from new


def inversions(program: Program, inner: str, through: frozenset[FunctionKey] | None = None) -> Iterator[Inverted]:
    """The locks under which a lock is taken and that an interrupt takes, where the lock is taken with interrupts on, too.

    through: functions of which one has to have a part in it.
    """
    return (found for found in _inversions(program, inner, through) if isinstance(found, Inverted))


def _inversions(
    program: Program, inner: str, through: frozenset[FunctionKey] | None = None
) -> Iterator[Inverted | Dropped]:
    """The same, and between them what came to nothing.

    through: functions of which one has to have a part in it.
    """
    takers, seen = taking(program, inner), set[str]()
    if inner in SHARED:
        takers = [key for key, fact in program.all(Lock) if fact.lock == inner]

    def takes(effect: Effect) -> bool:
        return effect.kind == "lock" and effect.object == inner

    for key in takers:
        for edge in edges(program, key, takes, frozenset(SPINNING)):
            outer = edge.lock.lock
            if edge.down or outer in seen or outer == inner or not known(outer):
                continue
            if doubts := doubtful(program, edge):
                if through is None or not through.isdisjoint(edge.chain):
                    yield Dropped(edge, doubts[0].says)
                continue
            seen.add(outer)
            yield from _coming(program, edge, takers, through)


def _coming(
    program: Program, edge: Edge, takers: list[FunctionKey], through: frozenset[FunctionKey] | None
) -> Iterator[Inverted]:
    outer, inner = edge.lock.lock, edge.effect.object
    for handler in taking(program, outer):
        for context in interrupting(program, handler):
            if not surely(context):
                continue
            soft = INTERRUPTS[context.context]
            if inner in SHARED:
                task = key_of(file_of(edge.key), SHARED[inner])
                if through is None or not through.isdisjoint((*edge.chain, *context.chain)):
                    yield Inverted(edge.key, outer, inner, edge.place, handler, soft, task, edge.place)
                return
            for task in takers:
                if task in (edge.key, *edge.chain, *context.chain) or outer in program.surely_held(task):
                    continue
                for fact in spins(program, task, inner):
                    if own_level(program, task, fact) >= needed(soft) or any(h.lock == outer for h in fact.held):
                        continue
                    way = program.component(Tasks).way(task, needed(soft))
                    if (
                        way
                        and one_object(program, outer, edge.chain, context.chain)
                        and (through is None or not through.isdisjoint((*way, *edge.chain, *context.chain)))
                    ):
                        yield Inverted(edge.key, outer, inner, edge.place, handler, soft, task, fact.at)
                        return


__all__ = ["Inverted", "inversions", "inverted"]
