"""A completion is not given any more on some way through the function that gave it always.

Why it hangs
    Who waits for a completion without a time limit waits for that one call. A way through the function that leaves it
    out leaves the waiter asleep; there is nobody to wake it later.
Reported when
    every way through a function gave a completion (by itself or through its calls), since the patch one does not, and
    somebody waits for that completion without a time limit.
Not reported
    Completions that the patch gives elsewhere; those that depended on a condition before; waits with a time limit.
Known gaps
    Flags, counters and lists that a sleep tests; queues that have to be run after something was put into them.
"""

from collections.abc import Iterable, Iterator

from reviewbot.circles import touched, words
from reviewbot.rule import Diff, Finding, Rule, Scene, Version, Wait, Wake, Words
from reviewbot.sleeps import Unwoken, unwoken


class LostWakeup(Rule):
    """See the head of the file."""

    id = "lost-wakeup"
    guarantee = "nobody sleeps without a waker"
    checked = "who ends each sleep"
    needs = (Wait, Wake)

    def check(self, diff: Diff) -> Iterator[Finding]:
        for found in unwoken(diff.before.world, diff.after.world, touched(diff)):
            what, waiter = words(found.object), f"{found.waiter.function}()"
            yield from self.finding(
                diff,
                f"{found.function}() can return without completing {what}, for which {waiter} waits",
                Words(
                    claim=f"{found.function}() can return without completing {what}. {waiter} waits for it and is "
                    "never woken.",
                    setting="For example:",
                    contrast=f"Where every way through {found.function}() completes {what} the wait ends.",
                ),
                after=[found.at],
                before=[found.at],
                object=found.object,
                related=[found.waiter],
                found=found.text(),
            )

    def scenes(self, finding: Finding, side: Version) -> Iterable[Scene]:
        found = Unwoken.read(finding.get("found"))
        yield Scene.of(
            "completion_missing",
            always=found.always(side.world),
            call=found.call,
            event=words(found.object),
            function=found.waiter.function,
            waker=found.function,
            file=found.at.file,
        )
