"""Something sleeps with a spinlock held, with interrupts or preemption off, or in an interrupt.

Why it hangs
    Who waits for a spinlock spins and keeps its processor. When the holder gives its own processor up in between, those
    who spin can have taken all of them, and the holder never runs again to give the lock back.
    A sleep in an RCU read section keeps the grace period from ending, for which whoever has what the sleeper needs may
    be waiting; a section with preemption, softirqs or interrupts off is one as well.
Reported when
    the patch puts something that may sleep (a sleeping lock, an allocation that may reclaim, a wait, cond_resched())
    under a spinlock (or rcu_read_lock(), preempt_disable(), local_irq_save()) that is held there on every path, by the
    function, by its callers or by the iterator that calls it back, or the lock around it.
    Also when it puts something that may sleep into a function that interrupts, softirqs and ends of bios run, and that
    did not sleep before.
Not reported
    What stands under a condition on gfp flags or on the context; waits that drop the lock for the sleep; locks with a
    sleeping face, of which only one side is a spinlock.
Known gaps
    Sleeps beyond a pointer that may be many functions.
"""

from collections.abc import Iterable, Iterator

from reviewbot.detect.sleeps import SECTIONS, Atomic, interrupting, sleeping
from reviewbot.replay import spinning_cast
from reviewbot.replay.circles import taken, touched, words
from reviewbot.rule import Candidate, Diff, Lock, Rule, Scene, Version, Words, file_of, name_of

ENTERS = {
    "rcu": ("rcu_read_lock()", "an RCU read section"),
    "preempt": ("preempt_disable()", "a section with preemption off"),
    "irq": ("local_irq_disable()", "a section with interrupts off"),
    "bh": ("local_bh_disable()", "a section with softirqs off"),
}
"""Section -> how it is entered, and what it is."""

KINDS = {"bit": "bit lock", "raw": "raw spinlock", "rwspin": "rwlock"}
"""Class of a lock that is spun for -> what it is, if it is no plain spinlock."""


class SleepInAtomic(Rule[Atomic]):
    """See the head of the file."""

    id = "sleep-in-atomic"
    guarantee = "no circle of waits"
    checked = "sleeps under spinlocks"
    audits = True
    needs = (Lock,)

    def check(self, diff: Diff) -> Iterator[Candidate[Atomic]]:
        for found in diff.noting(interrupting(diff.before.program, diff.after.program, touched(diff))):
            inside = _inside(found)
            yield from self.candidate(
                diff,
                found,
                f"{found.function}() calls {found.call}{inside} in {found.lock}, and that may sleep",
                _interrupt(found, inside),
                after=[found.at, found.ends],
                before=[found.at],
                object=found.object or found.lock,
                related=[found.ends],
            )
        text = (
            (file_of(key), name_of(key)) for key in diff.touched
        )  # who has what called back need not do anything else
        names = sorted({*touched(diff), *text})
        for found in diff.noting(sleeping(diff.before.program, diff.after.program, names)):
            section = found.klass in SECTIONS
            lock = ENTERS[found.lock][1].removeprefix("a section with ") if section else words(found.lock)
            lock = "rcu_read_lock() held" if found.klass == "rcu" else lock if section else f"{lock} held"
            held = taken(diff.after.program, found.key, found.lock, found.at)
            inside = _inside(found)
            yield from self.candidate(
                diff,
                found,
                f"{found.function}() calls {found.call}{inside} with {lock}, and that may sleep",
                _section(found, inside, diff.after) if section else _spinning(found, inside),
                after=[found.at, found.ends, *held],
                before=[found.at],
                object=found.lock,
                related=[found.ends],
            )

    def scenes(self, candidate: Candidate[Atomic], side: Version) -> Iterable[Scene]:
        found = candidate.about
        if found.klass == "interrupt":
            yield Scene.of(
                "sleep_in_interrupt",
                sleeps=found.holds(side.program),
                soft=found.lock == "a softirq",
                call=found.call,
                function=found.function,
                file=found.at.file,
            )
            return
        if found.klass in SECTIONS:
            enters, section = ENTERS[found.lock]
            yield Scene.of(
                "sleep_in_rcu",
                sleeps=found.holds(side.program),
                enters=enters,
                section=section,
                call=found.call,
                function=found.function,
                file=found.at.file,
            )
            return
        if (read := spinning_cast.sleeping(found, side.program)) is not None:
            yield read
            return
        yield Scene.of(
            "sleep_in_atomic",
            sleeps=found.holds(side.program),
            lock=words(found.lock),
            call=found.call,
            function=found.function,
            other_function=found.other,
            file=found.at.file,
        )


def _spinning(found: Atomic, inside: str) -> Words:
    lock, kind = words(found.lock), KINDS.get(found.klass, "spinlock")
    return Words(
        claim=f"{found.function}() calls {found.call}{inside} with the {kind} {lock} held, and that may sleep. Whoever "
        f"takes {lock} meanwhile, as {found.other}() does, spins and keeps its CPU, so there may be none for the sleeper.",
        setting="On one CPU, or with a task that spins on each of them:",
        contrast=f"{found.call} has to be called without {lock} held.",
    )


def _inside(found: Atomic) -> str:
    """Where the call that sleeps stands, if that is neither in the function nor in what it calls."""
    return (
        f" in {found.ends.function}()" if f"{found.ends.function}()" not in (f"{found.function}()", found.call) else ""
    )


def _called_inside(found: Atomic, side: Version) -> str:
    """The function that the kernel calls inside of the section; empty where the section is begun further down."""
    root, callgraph = (*found.chain, found.key)[0], side.program.callgraph
    held = (lock for entry in callgraph.roots.get(root, ()) for lock, _, _ in callgraph.held_over(root, entry.slot))
    return name_of(root) if found.lock in held else ""


def _section(found: Atomic, inside: str, side: Version) -> Words:
    if found.klass != "rcu":
        _, section = ENTERS[found.lock]
        return Words(
            claim=f"{found.function}() calls {found.call}{inside} in {section}, and that may sleep. What the section "
            "protects is open during the sleep, and a grace period waits for the end of such a section, too.",
            setting="For example:",
            contrast=f"{found.call} has to be called outside of the section.",
        )
    where = "in an RCU read-side critical section"
    if root := _called_inside(found, side):
        where = f"in the RCU read-side critical section in which {'it' if root == found.function else f'{root}()'} is called"
    return Words(
        claim=f"{found.function}() calls {found.call}{inside} {where}, and that may sleep. "
        "With CONFIG_PREEMPT_RCU no grace period ends meanwhile, and the task that it waits for may wait for one. Without "
        "it, what the section protects may be freed during the sleep.",
        setting="For example, with CONFIG_PREEMPT_RCU:",
        contrast=f"{found.call} has to be called outside of the section.",
    )


def _interrupt(found: Atomic, inside: str) -> Words:
    return Words(
        claim=f"{found.function}() runs in {found.lock} and calls {found.call}{inside}, which may sleep. It may wait for "
        "the task that it has interrupted.",
        setting="On one CPU:",
        contrast=f"{found.call} must not be called in {found.lock}.",
    )
