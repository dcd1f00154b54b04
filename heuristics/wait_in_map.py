"""A ->map or ->submit_bio waits for I/O that cannot start before it returns.

Why it hangs
    What is submitted from within ->submit_bio stays on current->bio_list until that returns. Whoever waits there for
    such a bio, or for a counter that only its end brings down, waits for himself. Work that has to wait is done in a
    thread, where bios go straight to the driver.
Reported when
    a function that ->map or ->submit_bio runs through waits for I/O or for a completion, and did not before or left it
    to a work item of its own; a wait in such a function no longer lets pass who has bios on current->bio_list.
Not reported
    Waits in threads, constructors, and while suspended; waits with a time limit.
Known gaps
    Waits that only some value of an argument brings about.
"""

from collections.abc import Iterable, Iterator

from reviewbot.rule import (
    OWN_LIST,
    Candidate,
    Diff,
    ExecutionContext,
    FunctionKey,
    Queue,
    Remedy,
    Rule,
    Scene,
    Submit,
    Value,
    Version,
    Wait,
    Words,
    barriers,
    called,
    file_of,
    io_waits,
    known,
    mapped,
    name_of,
    puts_off,
    short,
)


class WaitBelow(Value, frozen=True):
    """A function that waits for I/O on the way of a bio."""

    key: FunctionKey
    call: str
    device: str
    later: int = 0
    """How often it put itself off before, where it did not wait then."""


class Barrier(Value, frozen=True):
    """A test that does not let pass any more who has bios of its own, and the function that sleeps on it."""

    key: FunctionKey
    function: str
    barrier: str


class WaitInMap(Rule[WaitBelow | Barrier]):
    """See the head of the file."""

    id = "wait-in-map"
    guarantee = "bios below never wait for bios above"
    checked = "waits on the way of bios"
    needs = (Submit,)

    def check(self, diff: Diff) -> Iterator[Candidate[WaitBelow | Barrier]]:
        for key in diff.touched:
            if key not in diff.before.program.names.functions:
                continue
            entered = mapped(diff.after.program, key)
            waits = io_waits(diff.after.program, key)
            later = puts_off(diff.before.program, key)
            if entered and waits and later > puts_off(diff.after.program, key):
                yield from self._found(diff, key, entered, waits[0], later)
            elif entered and waits and len(waits) > len(io_waits(diff.before.program, key)):
                yield from self._found(diff, key, entered, waits[-1])
            if _passes_own(diff.before, key) and not _passes_own(diff.after, key):
                for caller in barriers(diff.after.program, key):
                    yield from self._barrier(diff, key, *caller)

    def _found(
        self, diff: Diff, key: FunctionKey, entered: ExecutionContext, wait: Submit | Wait, later: int = 0
    ) -> Iterator[Candidate[WaitBelow | Barrier]]:
        function, root = wait.function, diff.after.program.function(entered.chain[0]).name
        within = f", called by {root}()," if root != function else ""
        queued = [f for f in diff.before.program.own_facts(key) if isinstance(f, Queue)]
        contrast = "If it were left to a work item this could not happen."
        yield from self.candidate(
            diff,
            WaitBelow(key, wait.call, called(diff.after.program, wait.at.file), later),
            f"{function}() waits for I/O ({wait.call}) within {root}()",
            Words(
                claim=f"{function}(){within} sleeps in {wait.call}(). Bios that are submitted there stay on "
                f"current->bio_list until {root}() returns, so nobody submits the one that it waits for.",
                setting="For example:",
                contrast=contrast if later else "Without that wait this could not happen.",
            ),
            after=[wait.at],
            before=[f.at for f in queued],
            object=key,
            facts=[wait],
            related=[wait.at],
        )

    def _barrier(
        self, diff: Diff, key: FunctionKey, caller: FunctionKey, wait: Wait, entered: ExecutionContext
    ) -> Iterator[Candidate[WaitBelow | Barrier]]:
        test, function = diff.after.program.function(key).name, diff.after.program.function(caller).name
        root = diff.after.program.function(entered.chain[0]).name
        yield from self.candidate(
            diff,
            Barrier(key, function, short(wait.object) if known(wait.object) else "the barrier"),
            f"{test}() keeps a task waiting in {function}() that has bios of its own on current->bio_list",
            Words(
                claim=f"{function}() sleeps until {test}() lets it go on, even if {root}() has submitted a part of a split "
                f"bio before. That part is on current->bio_list until {root}() returns, and it counts as pending. What "
                f"{function}() waits for waits until nothing is pending.",
                setting="Suppose a write that is split:",
                contrast="A task with bios on current->bio_list must not wait there.",
            ),
            before=diff.before.reads(key, OWN_LIST),
            after=[wait.at],
            object=key,
            facts=[wait],
            related=[wait.at],
        )

    def scenes(self, candidate: Candidate[WaitBelow | Barrier], side: Version) -> Iterable[Scene]:
        found, key = candidate.about, candidate.about.key
        here = key in side.program.names.functions
        if isinstance(found, Barrier):
            yield _scene(found, not (here and _passes_own(side, key)))
        elif found.later:
            yield _scene(found, not here or puts_off(side.program, key) < found.later)
        else:
            yield _scene(found, here and any(w.call == found.call for w in io_waits(side.program, key)))

    def remedies(self, candidate: Candidate[WaitBelow | Barrier], side: Version) -> Iterable[Remedy]:
        found = candidate.about
        if isinstance(found, Barrier):
            text = "Let a task with bios on current->bio_list go on, as it is done now."
        else:
            text = "Leave it to the work item." if found.later else "Leave the wait to a work item."
        yield Remedy(text=text, scene=_scene(found, False))


def _passes_own(side: Version, key: FunctionKey) -> bool:
    return bool(side.reads(key, OWN_LIST))


def _scene(found: WaitBelow | Barrier, buggy: bool) -> Scene:
    file, function = file_of(found.key), name_of(found.key)
    if isinstance(found, Barrier):
        return Scene.of(
            "barrier_in_map", passes_own=not buggy, barrier=found.barrier, function=found.function, file=file
        )
    offloaded, waits = bool(found.later) and not buggy, buggy or bool(found.later)
    device = {"device": found.device} if found.device else {}
    given = {"call": found.call, "function": function, "file": file, **device}
    return Scene.of("wait_in_map", waits=waits, offloaded=offloaded, **given)
