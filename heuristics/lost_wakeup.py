"""What a sleeper waits for is done, and the wake-up that always came with it is left out on some way.

Why it hangs
    Who waits for a completion without a time limit waits for that one call. Who sleeps on a wait queue looks at its
    condition again when it is woken, not when the condition becomes true; a request in a list of blk-mq waits until the
    queue is run, what is handed to a work item waits until that is queued. A way through the code that leaves the
    wake-up out, or wakes before it changes the condition, leaves the sleeper asleep.
Reported when
    every way through a function gave a completion (by itself or through its calls), since the patch one does not, and
    somebody waits for that completion without a time limit; or after every change of what a sleep tests the function
    woke the sleepers (ran the queue, queued the work), since the patch some way returns without, and a caller does not
    make up for it.
Not reported
    Wake-ups that the patch gives elsewhere; those that depended on a condition before; waits with a time limit.
Known gaps
    Barriers between the change and the look at the wait queue; threads that are woken by their task.
"""

from collections.abc import Iterable, Iterator

from reviewbot.detect.announced import Missed, missed
from reviewbot.detect.completions import Unwoken, unwoken
from reviewbot.detect.signals import RUN
from reviewbot.replay.announced_cast import queue_name, scene, sleeper_name
from reviewbot.replay.circles import touched, words
from reviewbot.rule import (
    CallTo,
    Candidate,
    Diff,
    Fact,
    FunctionKey,
    Queue,
    Rule,
    Scene,
    Version,
    Wait,
    Wake,
    Words,
    Write,
    file_of,
    name_of,
)


class LostWakeup(Rule[Unwoken | Missed]):
    """See the head of the file."""

    id = "lost-wakeup"
    guarantee = "nobody sleeps without a waker"
    checked = "who ends each sleep"
    needs = (Wait, Wake)

    def check(self, diff: Diff) -> Iterator[Candidate[Unwoken | Missed]]:
        programs = diff.before.program, diff.after.program
        names = sorted({*touched(diff), *((file_of(k), name_of(k)) for k in diff.touched)})
        for found in diff.noting(unwoken(*programs, names)):
            what, waiter = words(found.object), f"{found.waiter.function}()"
            yield from self.candidate(
                diff,
                found,
                f"{found.function}() can return without completing {what}, for which {waiter} waits",
                Words(
                    claim=f"{found.function}() can return without completing {what}, and {waiter} waits for it "
                    "forever.",
                    setting="For example:",
                    contrast=f"Complete {what} on every path through {found.function}().",
                ),
                after=[found.at],
                before=[found.at],
                object=found.object,
                facts=rests(diff, (found.key,)),
                related=[found.waiter],
            )
        for change in diff.noting(missed(*programs, names)):
            yield from self.candidate(
                diff,
                change,
                f"{change.function}() can {changes(change)} and return without {waking(change)}",
                told(change),
                after=[change.at],
                before=[change.waker],
                object=change.told.wake,
                facts=rests(diff, change.way),
                related=[p for p in (change.at, change.sleeper) if p],
            )

    def scenes(self, candidate: Candidate[Unwoken | Missed], side: Version) -> Iterable[Scene]:
        found = candidate.about
        if isinstance(found, Missed):
            yield scene(found, side.program)
            return
        yield Scene.of(
            "completion_missing",
            always=found.always(side.program),
            call=found.call,
            event=words(found.object),
            function=found.waiter.function,
            waker=found.function,
            file=found.at.file,
        )


def rests(diff: Diff, way: Iterable[FunctionKey]) -> list[Fact]:
    """What the functions on a way change and wake, before the patch and after it; their callers' facts say nothing."""
    programs = (diff.before.program, diff.after.program)
    keys = [(w, key) for w in programs for key in way if key in w.names.functions]
    own: list[Fact] = [f for w, key in keys for f in w.own_facts(key) if isinstance(f, Wake | Write | Queue | CallTo)]
    return list(dict.fromkeys(own))[:6]


def waking(change: Missed) -> str:
    """The wake-up, as a verb in -ing."""
    if change.sleeper is not None:
        return f"waking up {queue_name(change)}"
    return "running the hardware queue" if change.told.wake == RUN else f"queueing {queue_name(change)}"


def order(change: Missed) -> str:
    """The wake-up, as what is to be done."""
    verb, _, what = waking(change).partition(" ")
    return f"{ {'waking': 'Wake', 'running': 'Run', 'queueing': 'Queue'}[verb] } {what}"


DOES = {
    "put": "put something on",
    "take": "take something off",
    "+": "raise",
    "-": "lower",
    "|": "set",
    "=1": "set",
    "&~": "clear",
    "=0": "clear",
}


def changes(change: Missed) -> str:
    """What the function does to what is tested, as a verb phrase."""
    return f"{DOES.get(change.told.op, 'change')} {words(change.told.tested)}"


def told(change: Missed) -> Words:
    """What the reply says of a change without its wake-up."""
    sleeper = sleeper_name(change)
    by = change.at.function
    inside = f", in {by}()," if by != change.function else ""
    where = f" in {change.call}()" if change.call else ""
    return Words(
        claim=f"{change.function}() can {changes(change)}{inside} and return without {waking(change)} after that. "
        f"{sleeper if change.sleeper else sleeper.capitalize()} sleeps{where} forever.",
        setting="For example:",
        contrast=f"{order(change)} on that path, too.",
    )
