"""A task waits with a lock held that it did not hold there, and nobody is seen to end the wait.

Why it hangs
    A lock that is held over a wait is one that nobody needs who has a part in ending it. Where the patch puts the two
    together, by a lock, by a wait, or by an unlock that comes later than before, that has become a promise about all those
    who end the wait, and they may be in code that is not at hand: behind an operations table, in another folder, in user
    space.
Reported when
    a function waits, itself or in what it calls, with a lock held with which neither it nor its file did so before, and
    nobody is at hand who ends that wait or takes the two locks the other way round. There is nothing to replay, so it is
    a comment.
Not reported
    Waits in a callee, and for locks of this code of which nobody who has one waits for the other, but with all comments;
    those that end by themselves (a time limit, I/O, a grace period), those for a
    handler or a frozen queue; spinlocks; two locks of which the patch turns the order round; locks of which others are
    seen to hold one while they want the other: those are looked into by the rules about circles.
Known gaps
    Whether anybody who ends the wait wants the lock.
"""

from collections.abc import Iterable

from reviewbot.replay.circles import Circle, CircleRule, Words, words
from reviewbot.rule import Candidate, Scene, Version, Wait

UNPROVEN = "nobody who ends that wait is at hand"


class WaitsUnseen(CircleRule):
    """See the head of the file."""

    id = "waits-unseen"
    guarantee = "no circle of waits"
    checked = "locks held at each sleep"
    audits = False
    needs = (Wait,)
    kinds = frozenset({"unended"})

    def message(self, circle: Circle) -> str:
        waits = "takes" if circle.wait_class else "waits for"
        inside = circle.ends.function if circle.ends else ""
        where = f", in {inside}()," if inside and inside != circle.holder.function else ""
        held = f"with {words(circle.lock)} held, as it did not before"
        return f"{circle.holder.function}() {waits} {words(circle.object)}{where} {held}"

    def words(self, circle: Circle) -> Words:
        return Words(claim=f"{self.message(circle)}.")

    def scenes(self, candidate: Candidate[Circle], side: Version) -> Iterable[Scene]:
        yield Scene(name="waits unseen", missing=UNPROVEN, doubt=None)

    def remedy(self, circle: Circle) -> str:
        return ""
