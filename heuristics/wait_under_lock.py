"""A task sleeps with a lock held that the one who would wake it has to take first.

Why it hangs
    The sleep ends when somebody else has done something: a completion, a counter that falls, a flag. If that somebody
    takes the sleeper's lock on the way there, neither goes on. Lockdep sees none of it, since a wake-up is no lock. A
    read-write semaphore that both only read is no way out: once a writer waits for it, new readers wait behind the
    writer (kernel/locking/rwsem.c), and the sleeper keeps the writer from ever getting it.
Reported when
    the patch puts a lock (its own, or one that its callers hold) around a sleep, or a sleep under a lock, and every
    task that wakes the sleeper by itself takes that lock on its way to the wake-up; the programs of these tasks, read
    off the code, get stuck in the simulator, and those of the tree without the patch do not.
Not reported
    Sleeps with a time limit; sleeps that somebody can end who needs none of the locks; a lock that is dropped for the
    sleep, also by a callee to which a constant says so; locks of other instances of the same structure; a lock that is
    taken with the last reference only, where the sleeper has one. Who quiesces a queue waits for the driver's functions
    that dispatch, who freezes it for requests: those that somebody left in it who stopped it and wants the lock then.
Known gaps
    Wake-ups by the end of I/O that the code does not name; flags that are tested in a helper of another file.
"""

from reviewbot.replay.circles import Circle, CircleRule, Words, asks, name, wanted, words
from reviewbot.rule import Wait


class WaitUnderLock(CircleRule):
    """See the head of the file."""

    id = "wait-under-lock"
    guarantee = "nobody sleeps holding what the waker needs"
    checked = "locks held at each sleep"
    needs = (Wait,)
    kinds = frozenset({"event", "completion", "bit", "sleep", "freeze", "dispatch"})

    def message(self, circle: Circle) -> str:
        return (
            f"{circle.holder.function}() waits for {words(circle.object)} with {words(circle.lock)} held, "
            f"{wanted(circle.klass, name(circle.providers[0]))} before it ends that"
        )

    def words(self, circle: Circle) -> Words:
        lock, waker = words(circle.lock), circle.providers[0]
        inside = circle.ends.function if circle.ends else circle.holder.function
        where = f" in {inside}()" if inside != circle.holder.function else ""
        first = f"{asks(circle.klass, lock)} before that"
        takes = f"It is woken by {waker.function}(), which {first}."
        if waker.function != name(waker)[:-2]:
            takes = f"It is woken by {waker.function}(), called by {name(waker)}, which {first}."
        if circle.kind == "dispatch":
            takes = f"That lasts until {name(waker)} has returned, and it {asks(circle.klass, lock)} before."
        claim = (
            f"{circle.holder.function}() sleeps{where} on {words(circle.object)} with {lock} held"
            f"{' for read' if circle.mode == 'r' else ''}. {takes}"
        )
        if circle.writer:
            claim += f" Both take it for read, but once a writer waits for {lock}, new readers wait behind the writer."
        return Words(
            claim=claim,
            setting="For example:",
            contrast=f"If {lock} were dropped for the sleep this could not happen.",
        )

    def remedy(self, circle: Circle) -> str:
        return f"Drop {words(circle.lock)} before the sleep, and look up again afterwards what it protects."
