"""A comment that warns of a deadlock goes, and code beside it.

Why it hangs
    Many deadlocks were met once, mended, and explained in a comment. A patch that takes the comment away together with
    the code that it explains may bring the deadlock back.
Reported when
    a patch takes away a comment of a function that speaks of a deadlock, a lock order, a sleep that is not allowed or that
    never ends, and changes code in the same place. The words are quoted, and not understood: it is a comment.
Not reported
    Comments that are moved or reworded; those of functions that go; what is proven in the same function.
Known gaps
    Warnings in other words.
"""

from collections.abc import Iterable, Iterator

from reviewbot.detect.warnings import WarningGone, gone
from reviewbot.rule import Candidate, Diff, Flush, Lock, Queue, Rule, Scene, Unlock, Version, Wait, Words

UNPROVEN = "no model says whether it still holds"


class WarningTakenAway(Rule[WarningGone]):
    """See the head of the file."""

    id = "warning-gone"
    guarantee = "what a comment warns of does not happen"
    checked = "warnings in comments"
    needs = (Lock, Unlock, Wait, Flush, Queue)

    def check(self, diff: Diff) -> Iterator[Candidate[WarningGone]]:
        if diff.reverse:
            return
        for found in gone(diff.change, diff.before.program, diff.after.program):
            said = f'{found.at.function}() loses the comment "{found.text}"'
            yield from self.candidate(
                diff, found, said, Words(claim=f"{said}."), after=[], before=[found.at], object=str(found.at)
            )

    def scenes(self, candidate: Candidate[WarningGone], side: Version) -> Iterable[Scene]:
        yield Scene(name="warning gone", missing=UNPROVEN)
