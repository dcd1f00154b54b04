"""A function does without what kept it from waiting: a try, interrupts that were off, a scope, work that did it later.

Why it hangs
    Code is often more careful than it looks: it only tries because it may be the one that is waited for, turns interrupts
    off because one of them takes the lock, leaves something to a work item because the caller has what that needs. A patch
    that takes the care away rarely says why the reason is gone, too.
Reported when
    a function that both sides have waits for a lock that it only tried to take; leaves interrupts on under a lock that
    others take with them off; does without a memalloc_*_save() scope; does itself what it left to a work item, or queues
    that on a queue without a rescuer or order; calls what waits for more in place of a function that is named after it
    (`_nosync`, `_locked`). It rests on the difference alone, so it is a comment.
Not reported
    Calls for which nobody can have to wait; what only the names say, but with all comments; what is proven by another rule
    in the same function.
Known gaps
    Whether the reason is still there.
"""

from collections.abc import Iterable, Iterator

from reviewbot.detect.protections import Protection, gone
from reviewbot.rule import Candidate, Diff, Flush, Lock, Queue, Rule, Scene, Unlock, Version, Wait, Words

UNPROVEN = "no model says what it was there for"


class ProtectionGone(Rule[Protection]):
    """See the head of the file."""

    id = "protection-gone"
    guarantee = "care that was taken is not needed any more"
    checked = "what was kept from waiting"
    needs = (Lock, Unlock, Wait, Flush, Queue)

    def check(self, diff: Diff) -> Iterator[Candidate[Protection]]:
        if diff.reverse:
            return
        for found in gone(diff.before.program, diff.after.program, diff.code.changes):
            said = f"{found.function}() {found.says}"
            yield from self.candidate(
                diff,
                found,
                said,
                Words(claim=f"{said}."),
                after=[found.at],
                before=[found.at],
                object=found.object,
                facts=[found.rests],
            )

    def scenes(self, candidate: Candidate[Protection], side: Version) -> Iterable[Scene]:
        yield Scene(name="protection gone", missing=UNPROVEN)
