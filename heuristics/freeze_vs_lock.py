"""A queue is frozen, or entered, with a lock held that is taken the other way round elsewhere.

Why it hangs
    Freezing a queue waits for everybody who has entered it, and keeps everybody else out: it is q_usage_counter taken
    for write, and entering is taking it for read. Who freezes with a lock held that somebody inside needs, or takes a
    lock while the queue is frozen that is held by somebody who wants to enter, waits for ever. Lockdep learned of it
    only in 6.12 (commit f1be1788a32e).
Reported when
    the patch freezes or enters a queue with a lock held, or takes a lock inside, another function takes the two the
    other way round, and the programs of both get stuck in the simulator.
Not reported
    Two tasks that only enter; locks that both take before anything else.
Known gaps
    Whose queue it is: the queue of the disk is assumed. I/O that is submitted to another queue.
"""

from reviewbot.replay.circles import Circle, CircleRule, Words, name, pair, words
from reviewbot.rule import Lock


class FreezeVsLock(CircleRule):
    """See the head of the file."""

    id = "freeze-vs-lock"
    guarantee = "no circle of waits"
    checked = "locks against frozen queues"
    needs = (Lock,)
    kinds = frozenset({"lock"})

    def picks(self, circle: Circle) -> bool:
        return super().picks(circle) and "queue" in (circle.klass, circle.wait_class)

    def message(self, circle: Circle) -> str:
        return f"{circle.holder.function}() {does(circle)}, {name(circle.providers[0])} the other way round"

    def words(self, circle: Circle) -> Words:
        lock = words(circle.object if circle.klass == "queue" else circle.lock)
        return Words(
            claim=f"{circle.holder.function}() {does(circle)}, {circle.providers[0].function}() does it the other way "
            "round.",
            setting=pair(circle),
            contrast=f"{lock} and the queue have to be taken in the same order everywhere.",
        )

    def remedy(self, circle: Circle) -> str:
        return ""


def does(circle: Circle) -> str:
    """What the holder does to the queue and the lock, as a verb phrase."""
    if circle.klass == "queue":
        state = "frozen" if circle.mode == "w" else "entered"
        return f"takes {words(circle.object)} with the queue {state}"
    verb = "freezes" if circle.detail == "w" else "enters"
    return f"{verb} the queue with {words(circle.lock)} held"
