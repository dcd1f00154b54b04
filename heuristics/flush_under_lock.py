"""Work, a timer or a thread is waited for with a lock held that its handler takes.

Why it hangs
    flush_work(), cancel_work_sync(), flush_workqueue(), del_timer_sync() and kthread_stop() return when the handler has
    returned. A handler that waits for the caller's lock never does. Lockdep knows of works and not of threads, and only
    once both have run. Who removes a file of sysfs waits for those who read or write it.
Reported when
    the patch waits for a handler with a lock held (its own, or one that its callers hold), or makes such a handler
    take a lock that is held where it is waited for; and the programs get stuck in the simulator.
Not reported
    Handlers that only try to get the lock, and those that are left out of what is flushed; a lock that is dropped
    around the flush; one that the handler takes with the last reference to an object only, where whoever waits gives
    back one of his own after the wait; handlers of an object that has just been made, and that nobody queued.
Known gaps
    Works on a queue whose queueing is not in the same directory; handlers that are put into place through a table.
"""

from reviewbot.replay.circles import Circle, CircleRule, Words, asks, name, wanted, words
from reviewbot.rule import Flush


class FlushUnderLock(CircleRule):
    """See the head of the file."""

    id = "flush-under-lock"
    guarantee = "no circle of waits"
    checked = "locks held over flushes"
    needs = (Flush,)
    kinds = frozenset({"work", "workqueue", "timer", "thread", "irq", "attribute"})

    def message(self, circle: Circle) -> str:
        return (
            f"{circle.holder.function}() waits for {name(circle.providers[0])} to finish with {words(circle.lock)} held, "
            f"{wanted(circle.klass, 'that')}"
        )

    def words(self, circle: Circle) -> Words:
        lock, handler = words(circle.lock), name(circle.providers[0])
        inside = circle.ends.function if circle.ends else ""
        by = f", in {inside}()," if inside and inside != circle.holder.function else ""
        return Words(
            claim=f"{circle.holder.function}() waits{by} for {handler} to finish with {lock} held, and {handler} "
            f"{asks(circle.klass, lock)}.",
            setting="For example:",
            contrast=f"If {lock} were not held at that point this could not happen.",
        )

    def remedy(self, circle: Circle) -> str:
        return f"Wait for {name(circle.providers[0])} before {words(circle.lock)} is taken or after it is dropped."
