"""Something sleeps with a spinlock held.

Why it hangs
    Who waits for a spinlock spins and keeps its processor. When the holder gives its own processor up in between, those
    who spin can have taken all of them, and the holder never runs again to give the lock back.
Reported when
    the patch puts something that may sleep (a sleeping lock, an allocation that may reclaim, a wait, cond_resched())
    under a spinlock that is held there on every path, by the function or by its callers, or the spinlock around it.
Not reported
    What stands under a condition on gfp flags or on the context; waits that drop the lock for the sleep; locks with a
    sleeping face, of which only one side is a spinlock.
Known gaps
    Sleeping inside of RCU read sections and with interrupts off: there is no circle to show.
"""

from collections.abc import Iterable, Iterator

from reviewbot.circles import taken, touched, words
from reviewbot.rule import Diff, Finding, Lock, Rule, Scene, Version, Words
from reviewbot.sleeps import Atomic, sleeping


class SleepInAtomic(Rule):
    """See the head of the file."""

    id = "sleep-in-atomic"
    guarantee = "no circle of waits"
    checked = "sleeps under spinlocks"
    needs = (Lock,)

    def check(self, diff: Diff) -> Iterator[Finding]:
        for found in sleeping(diff.before.world, diff.after.world, touched(diff)):
            lock = words(found.lock)
            held = taken(diff.after.world, found.key, found.lock, found.at)
            inside = f" in {found.ends.function}()" if found.ends.function != found.function else ""
            yield from self.finding(
                diff,
                f"{found.function}() calls {found.call}{inside} with {lock} held, and that may sleep",
                Words(
                    claim=f"{found.function}() holds the spinlock {lock} over {found.call}{inside}, which may sleep. "
                    f"{found.other}() and whoever else wants {lock} spins meanwhile and keeps its processor, so the "
                    "sleeper may find none to go on.",
                    setting="With one processor, or as many tasks that spin as there are processors:",
                    contrast=f"Where nothing sleeps with {lock} held the same situation cannot occur.",
                ),
                after=[p for p in (found.at, found.ends, held) if p],
                before=[found.at],
                object=found.lock,
                related=[found.ends],
                found=found.text(),
            )

    def scenes(self, finding: Finding, side: Version) -> Iterable[Scene]:
        found = Atomic.read(finding.get("found"))
        yield Scene.of(
            "sleep_in_atomic",
            sleeps=found.holds(side.world),
            lock=words(found.lock),
            call=found.call,
            function=found.function,
            other_function=found.other,
            file=found.at.file,
        )
