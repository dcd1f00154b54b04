"""A function leaves undone what others wait for: a wake-up, the end of I/O, queued work, a barrier, an unlock.

Why it hangs
    Who sleeps goes on when somebody else has done his part: woken him, ended the request, queued the work, written in the
    order that he reads in. A condition or an exit that is put before that part, a call that is taken away, or a wait in
    front of it can leave him asleep.
Reported when
    such a part is gone from a function that both sides have, is done under more conditions than before, or only after a
    wait; and nothing that is new in that function does the same. It rests on the difference alone, so it is a comment.
Not reported
    Parts that another call does now; functions that call something new that cannot be read; unlocks where each return
    leaves the lock as one did before, but for a sleeping lock that is held for longer; what was done where something had
    failed that is not tried any more, or on a way out that is gone; a new way out whose value says that it was not done;
    a barrier with nothing behind it; what wakes others only many calls below, where it is done later; a thread that is
    woken by the call that makes it; but with all comments, what only comes later; what is proven by another rule in the
    same function.
Known gaps
    Whether the new condition can fail while somebody waits.
"""

from collections.abc import Iterable, Iterator

from reviewbot.detect.obligations import Obligation, undone
from reviewbot.rule import Candidate, Diff, Finish, Queue, Rule, Scene, Unlock, Version, Wake, Words

UNPROVEN = "no model says whether somebody waits for it then"


class LeftUndone(Rule[Obligation]):
    """See the head of the file."""

    id = "left-undone"
    guarantee = "nobody sleeps without a waker"
    checked = "what others wait for"
    needs = (Wake, Finish, Queue, Unlock)

    def check(self, diff: Diff) -> Iterator[Candidate[Obligation]]:
        if diff.reverse:
            return
        for found in diff.noting(undone(diff.before.program, diff.after.program, diff.code.changes)):
            condition = f" if {' && '.join(found.gained)}" if found.gained else ""
            yield from self.candidate(
                diff,
                found,
                message(found),
                Words(claim=f"{message(found)}: {found.what}{condition}."),
                after=[found.at],
                before=[found.at],
                object=found.object or found.what,
                facts=[found.rests],
                related=[found.sleeper] if found.sleeper else [],
            )

    def scenes(self, candidate: Candidate[Obligation], side: Version) -> Iterable[Scene]:
        yield Scene(name="left undone", missing=UNPROVEN)


def message(found: Obligation) -> str:
    """What the patch leaves undone, in one phrase."""
    function, call = f"{found.function}()", called(found.what)
    said = {
        "late": f"{function} calls {call} only after {called(found.past)} now",
        "guarded": f"{function} calls {call} only under more conditions than before",
        "gone": f"{function} does not call {call} any more",
    }[found.how]
    return said + (
        f", for which {found.sleeper.function}() waits" if found.sleeper is not None and found.object else ""
    )


def called(text: str) -> str:
    """A call in a sentence: without its arguments."""
    name, opening, _ = text.partition("(")
    return f"{name}()" if opening else name
