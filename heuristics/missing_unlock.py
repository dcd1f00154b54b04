"""A function returns with a lock held that it gave back before, or gives back twice what it took once.

Why it hangs
    Nobody else gives it back: the next one who takes the lock waits for ever, often the same function, called again. A
    second release takes the lock away from whoever has it by then, or leaves its count wrong.
Reported when
    since the patch some return leaves a lock held (or does not give back one of the caller's) that no return of that
    kind (zero, error, positive, void) left before, and the program of the whole way in, callers included, ends with it;
    or some way through a function releases a lock, which it took itself, once more, as guard() and an explicit unlock do.
    Of a lock that counts its readers that is proven; of another one it lets two tasks in, and is a comment. A read section
    of RCU, or of SRCU where somebody is seen to wait for its readers, is such a lock. Of a new function: some way to a
    failure leaves a mutex, rwsem, spinlock or read section which the other ways to one, and those where it succeeds, give
    back.
Not reported
    Functions whose callers give it back; locks that are meant to be kept, like those of a lock function; throttles and
    references that another task returns; ways that cannot be, as far as conditions agree with each other.
Known gaps
    Locks without a call of the kernel's own (tree locks of filesystems); locks that a new function leaves held where it succeeds.
"""

from collections.abc import Iterable

from reviewbot.detect.unbalanced import OWNED
from reviewbot.replay.circles import Circle, CircleRule, Diff, Words, left, name, words
from reviewbot.rule import Candidate, Lock, Scene, Unlock, Version

READ = {"srcu": "a read section of {}", "rcu": "an RCU read-side critical section"}
"""Class of what readers enter without a wait -> what that is."""
LETS_IN = "a second release of it lets two tasks in, and need not leave anybody waiting"


class MissingUnlock(CircleRule):
    """See the head of the file."""

    id = "missing-unlock"
    guarantee = "no circle of waits"
    checked = "locks at each return"
    needs = (Lock, Unlock)
    kinds = frozenset({"kept", "twice"})
    classes = OWNED

    def circles(self, diff: Diff) -> list[Circle]:
        return left(diff)

    def message(self, circle: Circle) -> str:
        if circle.kind == "twice":
            return f"{circle.holder.function}() can release {words(circle.lock)} twice"
        if circle.klass in READ:
            return f"{circle.holder.function}() can return inside of {READ[circle.klass].format(words(circle.lock))}"
        return f"{circle.holder.function}() can return with {words(circle.lock)} held"

    def words(self, circle: Circle) -> Words:
        lock, function = words(circle.lock), f"{circle.holder.function}()"
        by = f", called by {name(circle.holder)}," if function != name(circle.holder) else ""
        if circle.kind == "twice":
            return Words(
                claim=f"{function} takes {lock} once and can release it twice. The second release leaves its count wrong, and "
                f"the next task that takes it may wait forever.",
                setting="For example:",
                contrast=f"Release {lock} once on every way.",
            )
        if circle.klass in READ:
            waits = "Whoever waits for its readers to leave"
            if circle.klass == "rcu":
                waits = "No grace period ends any more, and whoever waits for one"
            return Words(
                claim=f"{function}{by} can return inside of {READ[circle.klass].format(lock)}. {waits} waits forever.",
                setting="For example:",
                contrast="Leave the read section before every return.",
            )
        return Words(
            claim=f"{function}{by} can return with {lock} held. The next task that takes it waits forever.",
            setting="For example:",
            contrast=f"Release {lock} before every return.",
        )

    def scenes(self, candidate: Candidate[Circle], side: Version) -> Iterable[Scene]:
        if candidate.about.kind == "twice" and candidate.about.mode == "x":
            yield Scene(name="a second release", missing=LETS_IN)
        else:
            yield from super().scenes(candidate, side)

    def remedy(self, circle: Circle) -> str:
        return ""
