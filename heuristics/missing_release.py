"""A function leaves a counter raised that somebody waits for to be zero.

Why it hangs
    What is in use is counted: references, requests in flight, freezes of a queue. Who takes it down sleeps until the
    counter is zero, or until the last one who lowers it says so. An exit that leaves out what the others lower keeps him
    asleep for ever, and whatever he holds.
Reported when
    a function raises a counter and lowered it before every return of that kind (zero, error, positive, void), and since
    the patch one such return leaves it raised; or every way through it lowered what its caller had raised, and one does
    not; or it was the only one to lower it, and does not any more; none of its callers lowers it for that; and somebody
    sleeps without a time limit until the counter is zero, or until who lowered it last completes something.
Not reported
    Counters that are lowered in another place since the patch; what is given to a work item, a thread or to I/O; results
    with which it was left raised before: somebody else lowers it then.
Known gaps
    Which of several objects of one kind a counter belongs to; counters that only one more function of another folder waits
    for.
"""

from collections.abc import Iterable, Iterator

from reviewbot.detect.counted import LAST, OWED, Leak, leaks
from reviewbot.detect.counters import Counters
from reviewbot.replay.circles import touched, words
from reviewbot.replay.counted_cast import scene, sleeper_name
from reviewbot.rule import (
    CallTo,
    Candidate,
    Diff,
    FunctionKey,
    Place,
    Program,
    Rule,
    Scene,
    Version,
    Wait,
    Words,
    Write,
    file_of,
    name_of,
)


class MissingRelease(Rule[Leak]):
    """See the head of the file."""

    id = "missing-release"
    guarantee = "nobody sleeps without a waker"
    checked = "counters at each return"
    needs = (Write, Wait)

    def concerns(self, diff: Diff) -> bool:
        program = diff.after.program
        counters, keys = program.component(Counters), [k for k in diff.touched if k in program.names.functions]
        return any(counters.near(counter, key) for key in keys for counter in counters.sleepers)

    def check(self, diff: Diff) -> Iterator[Candidate[Leak]]:
        programs = diff.before.program, diff.after.program
        names = sorted({*touched(diff), *((file_of(k), name_of(k)) for k in diff.touched)})
        for leak in diff.noting(leaks(*programs, names)):
            before, after = ([_place(p, k) for k in leak.way[::-1] if k in p.names.functions] for p in programs)
            related = [leak.sleeper.at] if leak.sleeper.at else []
            own = [f for p in programs for f in p.own_facts(leak.key) if isinstance(f, Write | CallTo)]
            yield from self.candidate(
                diff,
                leak,
                message(leak),
                told(leak),
                after=after,
                before=before,
                object=leak.counter,
                facts=list(dict.fromkeys(own))[:6],
                related=[*after[:1], *related],
            )

    def scenes(self, candidate: Candidate[Leak], side: Version) -> Iterable[Scene]:
        yield scene(candidate.about, side.program)


def _place(program: Program, key: FunctionKey) -> Place:
    return Place(file_of(key), program.function(key).line, name_of(key))


def message(leak: Leak) -> str:
    """What the patch does, in one phrase."""
    if leak.how == LAST:
        return f"{leak.function}() does not lower {words(leak.counter)} any more, for which {sleeper_name(leak)} waits"
    does = "return without lowering" if leak.how == OWED else "return with"
    raised = "" if leak.how == OWED else " raised"
    return f"{leak.function}() can {does} {words(leak.counter)}{raised}, for which {sleeper_name(leak)} waits"


def told(leak: Leak) -> Words:
    """What the reply says."""
    counter, function = words(leak.counter), f"{leak.function}()"
    does = (
        f"can return without lowering {counter}"
        if leak.how == OWED
        else f"raises {counter} and can return without lowering it"
    )
    if leak.how == LAST:
        return Words(
            claim=f"{function} does not lower {counter} any more, nor does anybody else, and {sleeper_name(leak)} waits "
            "forever until it is zero.",
            setting="For example:",
            contrast=f"Lower {counter} in {function}.",
        )
    return Words(
        claim=f"{function} {does}, and {sleeper_name(leak)} waits forever until it is zero.",
        setting="For example:",
        contrast=f"Lower {counter} before every such return.",
    )
