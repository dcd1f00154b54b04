"""A function waits where it did not: without the condition that was in front of the wait.

Why it hangs
    Who waits goes on when somebody else has done his part. A condition in front of a wait is often there because in the
    other case nobody does: the part is the task's own, or needs what the task holds.
Reported when
    a wait, a flush or a lock for which a task sleeps is done under fewer conditions than before by a function that both
    sides have. It rests on the difference alone, so it is a comment.
Not reported
    Waits in a callee; those that end by themselves (a time limit, I/O, a grace period); conditions that went together with
    much else, and were a way out of the function; the end of a loop; what is proven by another rule in the same function.
Known gaps
    Whether the condition can be false where the wait does not end.
"""

from collections.abc import Iterable, Iterator

from reviewbot.detect.more_waits import MoreWaits, more_waits
from reviewbot.rule import Candidate, Diff, Lock, Rule, Scene, Version, Wait, Words

UNPROVEN = "no model says whether anybody ends the wait then"


class WaitsMore(Rule[MoreWaits]):
    """See the head of the file."""

    id = "waits-more"
    guarantee = "nobody waits for himself"
    checked = "who ends each sleep"
    needs = (Wait, Lock)

    def check(self, diff: Diff) -> Iterator[Candidate[MoreWaits]]:
        if diff.reverse:
            return
        for found in diff.noting(more_waits(diff.before.program, diff.after.program, diff.code.changes)):
            yield from self.candidate(
                diff,
                found,
                message(found),
                Words(claim=f"{message(found)}."),
                after=[found.at],
                before=[found.at],
                object=found.object or found.what,
                facts=[found.rests],
            )

    def scenes(self, candidate: Candidate[MoreWaits], side: Version) -> Iterable[Scene]:
        yield Scene(name="waits more", missing=UNPROVEN)


def message(found: MoreWaits) -> str:
    """Where the patch waits more, in one phrase."""
    return f"{found.function}() waits in {found.what.partition('(')[0]}() no longer only if {' && '.join(found.lost)}"
