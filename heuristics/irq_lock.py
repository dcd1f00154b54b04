"""A spinlock that an interrupt takes is taken with interrupts on.

Why it hangs
    The interrupt may come on the very processor whose task holds the lock. It spins for the lock, and the task cannot
    give it back before the interrupt is over.
Reported when
    the patch takes a spinlock with interrupts (or softirqs) on that the same function took with them off before, and a
    function that runs in an interrupt, a softirq or at the end of I/O takes the same lock; a softirq's own lock counts where
    an interrupt takes it.
    Also when one of the two is new, and it is known that the task has interrupts on: it is an entry point of tasks, or it
    sleeps itself.
    Also when such a lock is held where another one is waited for whose holder has interrupts on.
    Also when the release of an inner lock enables interrupts, where the patch took away their saved state, while an
    outer lock, taken with interrupts off by a caller or the function itself, is one that an interrupt takes.
Not reported
    Functions that run in interrupts themselves; locks that no interrupt of the directory takes; functions that set up
    or silence what comes in between.
Known gaps
    Interrupts that are off because the caller's caller is an interrupt handler itself.
"""

from collections.abc import Iterable, Iterator

from reviewbot.detect.interrupts import Interrupted, interrupted
from reviewbot.detect.inversion import Inverted, inverted
from reviewbot.detect.unmasked import Unmasked, unmasked
from reviewbot.replay import spinning_cast
from reviewbot.replay.circles import touched, words
from reviewbot.rule import Candidate, Diff, Lock, Rule, Scene, Version, Words, name_of


class IrqLock(Rule[Interrupted | Inverted | Unmasked]):
    """See the head of the file."""

    id = "irq-lock"
    guarantee = "no circle of waits"
    checked = "locks that interrupts take"
    audits = True
    needs = (Lock,)

    def check(self, diff: Diff) -> Iterator[Candidate[Interrupted | Inverted | Unmasked]]:
        for found in diff.noting(interrupted(diff.before.program, diff.after.program, touched(diff))):
            lock, handler = words(found.lock), name_of(found.handler)
            which, off = ("a softirq", "softirqs") if found.soft else ("an interrupt", "interrupts")
            yield from self.candidate(
                diff,
                found,
                f"{found.function}() takes {lock} with interrupts on, and {handler}() takes it in {which}",
                Words(
                    claim=f"{found.function}() takes {lock} with {off} enabled, and {handler}() takes it in {which}. "
                    "That can run on the same CPU while the lock is held.",
                    setting="On one CPU:",
                    contrast=f"Keep {off} disabled while {lock} is held.",
                ),
                after=[found.at, *found.where],
                before=[found.at],
                object=found.lock,
            )
        for pair in diff.noting(inverted(diff.before.program, diff.after.program, touched(diff))):
            inner, lock, handler, task = words(pair.inner), words(pair.lock), name_of(pair.handler), name_of(pair.task)
            which, off = ("a softirq", "softirqs") if pair.soft else ("an interrupt", "interrupts")
            yield from self.candidate(
                diff,
                pair,
                f"{pair.function}() takes {inner} under {lock}, which {handler}() takes in {which}",
                Words(
                    claim=f"{pair.function}() takes {inner} with {lock} held, and {handler}() takes {lock} in {which}. "
                    f"{task}() takes {inner} with {off} enabled: {which} that comes meanwhile spins for {lock}.",
                    setting=f"With {task}() on one CPU and {pair.function}() on another:",
                    contrast=f"Keep {off} disabled wherever {inner} is held.",
                ),
                after=[pair.at, pair.where],
                before=[pair.at, pair.where],
                object=pair.inner,
            )
        for early in diff.noting(unmasked(diff.before.program, diff.after.program, touched(diff))):
            inner, lock = words(early.inner), words(early.lock)
            handler, outer = name_of(early.handler), name_of(early.outer)
            which = "a softirq" if early.soft else "an interrupt"
            yield from self.candidate(
                diff,
                early,
                f"{early.function}() enables interrupts when it releases {inner}, with {lock} held",
                Words(
                    claim=f"{early.function}() enables interrupts when it releases {inner}. {outer}() has disabled them "
                    f"for {lock}, which is still held, and {handler}() takes {lock} in {which}. That can run on the "
                    "same CPU from then on.",
                    setting="On one CPU:",
                    contrast=f"Keep interrupts as they were when {inner} is released.",
                ),
                after=[early.at],
                before=[early.at],
                object=early.lock,
            )

    def scenes(self, candidate: Candidate[Interrupted | Inverted | Unmasked], side: Version) -> Iterable[Scene]:
        found = candidate.about
        if isinstance(found, Inverted):
            yield Scene.of(
                "irq_inversion",
                on=found.there(side.program),
                soft=found.soft,
                lock=words(found.lock),
                inner=words(found.inner),
                function=found.function,
                task_function=name_of(found.task),
                handler=name_of(found.handler),
                file=found.at.file,
            )
            return
        read = spinning_cast.interrupted(found, side.program) if isinstance(found, Interrupted) and found.way else None
        if read is not None:
            yield read
            return
        if isinstance(found, Unmasked):
            how = "enabled early" if found.early(side.program) else "irqsave"
        else:
            how = "irqsave" if found.guarded(side.program) or not found.comes(side.program) else "plain"
        yield Scene.of(
            "irq_lock",
            how=how,
            soft=found.soft,
            lock=words(found.lock),
            function=found.function,
            handler=name_of(found.handler),
            file=found.at.file,
        )
