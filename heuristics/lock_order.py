"""Two tasks take two locks in opposite order.

Why it hangs
    One task holds the first lock and waits for the second, the other holds the second and waits for the first.
    Nothing ends that. Several readers of a read-write semaphore are no exception once a writer waits for it. Who waits
    for the readers of an SRCU domain waits for all that hold it for read.
Reported when
    the patch takes a lock under another one (or calls, with it held, something that does), another function takes the
    two the other way round, and the programs of both, read off the code from the roots of their contexts, get stuck in
    the simulator.
Not reported
    Pairs that both tasks take under a common outer lock; orders of which one needs the last reference to an object, or
    that never come to pass because both tasks get stuck on a third lock before; trylocks; two instances of one class;
    orders that another function of the file had already before the patch in the same direction.
Known gaps
    Locks that a subsystem outside of the directory takes the other way round; more than two locks in a circle.
"""

from reviewbot.replay.circles import Circle, CircleRule, Words, asks, pair, read_only, words
from reviewbot.rule import Lock


class LockOrder(CircleRule):
    """See the head of the file."""

    id = "lock-order"
    guarantee = "no circle of waits"
    checked = "the order of locks"
    needs = (Lock,)
    kinds = frozenset({"lock"})

    def picks(self, circle: Circle) -> bool:
        return super().picks(circle) and "queue" not in (circle.klass, circle.wait_class)

    def message(self, circle: Circle) -> str:
        first, second = words(circle.lock), words(circle.object)
        does = asks(circle.wait_class, second)
        return f"{circle.holder.function}() {does} under {first}, {other(circle)} the other way round"

    def words(self, circle: Circle) -> Words:
        first, second = words(circle.lock), words(circle.object)
        return Words(
            claim=f"{circle.holder.function}() {asks(circle.wait_class, second)} with {first} held, {other(circle)} "
            f"{asks(circle.klass, first)} with {second} held.",
            setting=pair(circle),
            contrast=f"If it did not do so with {first} held this could not happen."
            if read_only(circle.wait_class)
            else f"If {second} were not taken under {first} this could not happen.",
        )

    def remedy(self, circle: Circle) -> str:
        return ""


def other(circle: Circle) -> str:
    """The function with the opposite order."""
    return f"{circle.providers[0].function}()"
