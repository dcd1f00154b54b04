"""Bios for the device below wait behind what waits for them.

Why it hangs
    Bios that a ->submit_bio sends on wait on current->bio_list until it returns, lower devices first. If it sleeps for
    something that only those bios free, nobody submits them; so before it sleeps they are handed to a thread. That
    thread may do nothing that can wait for them in turn: bios of several levels on one thread depend on each other
    as they did on the list. And a bio_set hands them to its rescuer only when it has tried without sleeping first.
Reported when
    bios of current->bio_list are offloaded to a work item that also handles another list of bios, or runs the very code
    that offloads; an allocation does not try without sleeping any more before it sleeps; bios that were sent on are
    put behind older ones for the device above.
Not reported
    Offloading to a thread that does nothing but submit.
Known gaps
    Lists that are handed from function to function.
"""

from collections.abc import Iterable, Iterator

from reviewbot.rule import (
    KERNEL,
    OWN_LIST,
    Candidate,
    Diff,
    FunctionKey,
    Queue,
    Remedy,
    Rule,
    Scene,
    Side,
    Submit,
    Take,
    Value,
    Version,
    Words,
    Write,
    file_of,
    merges,
    name_of,
    offloads,
    others,
    queue_name,
    sets,
    short,
    tried,
    tries,
)

RESCUED = KERNEL.word("bioset_rescuer")
"""The flag of a bio_set that has a rescuer."""


class OffloadedBios(Value, frozen=True):
    """Bios of a list that a function leaves to a work item which does something else, too."""

    key: FunctionKey
    handler: FunctionKey
    listed: str
    queue: str


class Try(Value, frozen=True):
    """A pool from which a function takes without a first attempt that cannot sleep."""

    key: FunctionKey
    pool: str


class Order(Value, frozen=True):
    """Two lists of bios that a function puts in the wrong order."""

    key: FunctionKey
    older: str
    younger: str


class BioOrder(Rule[OffloadedBios | Try | Order]):
    """See the head of the file."""

    id = "bio-order"
    guarantee = "bios below never wait for bios above"
    checked = "the order of bios"
    needs = (Submit, Queue)

    def check(self, diff: Diff) -> Iterator[Candidate[OffloadedBios | Try | Order]]:
        for key in diff.touched:
            yield from self._offload(diff, key)
            yield from self._first_try(diff, key)
            yield from self._order(diff, key)

    def _offload(self, diff: Diff, key: FunctionKey) -> Iterator[Candidate[OffloadedBios | Try | Order]]:
        for work, queue, listed, handler in offloads(diff.after.program, key):
            if any(o[3] == handler and o[2] == listed for o in offloads(diff.before.program, key)):
                continue
            function, worker = diff.after.program.function(key).name, diff.after.program.function(handler).name
            submits = [f.at for f in diff.after.program.own_facts(handler) if isinstance(f, Submit)]
            fresh = [at for at in submits if diff.changed(at, Side.AFTER)]
            yield from self.candidate(
                diff,
                OffloadedBios(key, handler, listed, queue_name(diff.after.program, queue)),
                f"{worker}() submits the bios of {short(listed)}, and what else it does may wait for them",
                Words(
                    claim=f"{function}() moves the bios of current->bio_list to {short(listed)}, and only {worker}() "
                    f"submits them. {worker}() also handles {others(diff.after.program, handler, listed)}. If it sleeps there "
                    f"for something that is released when a bio on {short(listed)} completes, nobody submits that bio.",
                    setting="Suppose a stack of two devices (upper on lower), where upper holds a lock until its bio for "
                    "lower is done:",
                    contrast="If each level had a thread of its own this could not happen.",
                ),
                after=[*fresh, *submits],
                object=f"{work} {listed}",
                facts=[f for f in diff.after.program.own_facts(key) if isinstance(f, Queue | Write)],
            )

    def _first_try(self, diff: Diff, key: FunctionKey) -> Iterator[Candidate[OffloadedBios | Try | Order]]:
        for pool in sorted(tries(diff.before.program, key) - tries(diff.after.program, key)):
            takes = [f for f in diff.after.program.own_facts(key) if isinstance(f, Take) and f.pool == pool]
            if not takes or len(takes) < 2 or not _hands_over(diff.after, key):
                continue
            function = diff.after.program.function(key).name
            yield from self.candidate(
                diff,
                Try(key, pool),
                f"{function}() takes from {short(pool)} without trying first whether it has to sleep",
                Words(
                    claim=f"{function}() sleeps for an element of {short(pool)} at the first attempt. Bios of the same "
                    "set can be on current->bio_list then. They are handed to the rescuer only after an attempt has "
                    "failed, so nobody submits them.",
                    setting="Suppose a driver that splits a bio, when memory is short:",
                    contrast="If the first attempt failed instead of sleeping, the rescuer would submit them.",
                ),
                after=[f.at for f in takes],
                before=tried(diff.before.program, key, pool),
                object=f"{key} {pool}",
                facts=takes,
            )

    def _order(self, diff: Diff, key: FunctionKey) -> Iterator[Candidate[OffloadedBios | Try | Order]]:
        # current->bio_list[0] has what the ->submit_bio that just returned sent on, [1] what was there before
        for (older, younger), place in merges(diff.after.program, key).items():
            right = merges(diff.before.program, key).get((younger, older))
            turned = older.endswith("[1]") and younger.endswith("[0]")
            if right and turned and sets(diff.after.program.body(key), OWN_LIST):
                function = diff.after.program.function(key).name
                yield from self.candidate(
                    diff,
                    Order(key, older, younger),
                    f"{function}() puts the bios that were just sent on behind older ones",
                    Words(
                        claim=f"{function}() puts the bios that a driver has just sent to the device below behind the "
                        "older ones. If the driver takes something for each bio and keeps it until the bio below is done, "
                        "its next bio sleeps for what only a bio behind it on current->bio_list can release.",
                        setting="Suppose a driver that takes an element of its pool for each bio:",
                        contrast="If bios of lower devices came first this could not happen.",
                    ),
                    after=[place],
                    before=[right],
                    object=key,
                )

    def scenes(self, candidate: Candidate[OffloadedBios | Try | Order], side: Version) -> Iterable[Scene]:
        match found := candidate.about:
            case OffloadedBios(key, handler, listed):
                yield _scene(found, any(o[2:] == (listed, handler) for o in offloads(side.program, key)))
            case Try(key, pool):
                yield _scene(found, pool not in tries(side.program, key))
            case Order(key, older, younger):
                yield _scene(found, (older, younger) in merges(side.program, key))

    def remedies(self, candidate: Candidate[OffloadedBios | Try | Order], side: Version) -> Iterable[Remedy]:
        found = candidate.about
        scene, why = _scene(found, False), "it does nothing else, so it never waits for a bio of a higher level."
        match found:
            case OffloadedBios():
                yield Remedy(f"Leave these bios to the rescuer of the bio_set: {why}", scene, flag=RESCUED)
                yield Remedy(f"Let the rescuer of the bio_set submit these bios ({RESCUED}): {why}", scene)
            case Try():
                yield Remedy("Try without __GFP_DIRECT_RECLAIM first if current->bio_list is not empty.", scene)
            case Order():
                yield Remedy("Put the bios of lower devices first.", scene)


def _hands_over(side: Version, key: FunctionKey) -> bool:
    """Whether the function has work queued that submits what waits: a rescuer."""
    return any(effect.kind == "queue" for effect in side.program.does(key))


def _scene(found: OffloadedBios | Try | Order, buggy: bool) -> Scene:
    file, function = file_of(found.key), name_of(found.key)
    if isinstance(found, OffloadedBios):
        worker, listed, thread = name_of(found.handler), short(found.listed), f"the worker of {found.queue}"
        given = {"helper": "one" if buggy else "each", "function": function, "file": file}
        return Scene.of("offload_levels", thread=thread, worker=worker, listed=listed, **given)
    if isinstance(found, Try):
        return Scene.of("second_bio", rescuer=not buggy, bio_set=short(found.pool), function="->submit_bio")
    return Scene.of("bio_order", order="in order" if buggy else "depth-first", pool="its pool", function="")
