"""A reserve is too small for what one request takes, or several take from it at once what only one can have.

Why it hangs
    mempool_alloc() with direct reclaim never fails: it waits for an element to come back. A request that has one element
    and waits for the next keeps the first. With an element for each step, and one request at a time between the first
    and the last step (a lock), somebody always gets all that he needs; without the lock two can each have a part. An
    empty reserve helps nobody.
Reported when
    the lock goes under which a request took several elements of one pool with a mask that may wait; min_nr becomes 0
    for a pool that I/O takes from.
Not reported
    Attempts that cannot wait (GFP_NOWAIT) without the lock; calls that start the I/O of the element they take; a
    smaller reserve of one element or more (reserve-count counts what one function takes of it).
Known gaps
    What several functions take for one request is not added up.
"""

from collections.abc import Iterable, Iterator

from reviewbot.rule import (
    KERNEL,
    NO_FUNCTION,
    Candidate,
    Diff,
    Drain,
    FunctionKey,
    Remedy,
    Reserve,
    Rule,
    Scene,
    Take,
    Value,
    Version,
    Words,
    alone,
    called,
    drains,
    file_of,
    name_of,
    serves,
    several,
    short,
    worker,
)


class Unlocked(Value, frozen=True):
    """Several elements of a pool that a function takes without the lock that it took them under."""

    key: FunctionKey
    pool: str
    device: str
    lock: str


class Empty(Value, frozen=True):
    """A pool without a reserve, and a function that takes from it for I/O."""

    key: FunctionKey
    pool: str
    device: str
    worker: str


class ReserveSize(Rule[Unlocked | Empty]):
    """See the head of the file."""

    id = "reserve-size"
    guarantee = "a private reserve"
    checked = "sizes of pools"
    needs = (Reserve, Take)

    def check(self, diff: Diff) -> Iterator[Candidate[Unlocked | Empty]]:
        for key in diff.touched:
            if key in diff.before.program.names.functions:
                yield from self._unlocked(diff, key)
        for made in diff.added[Reserve]:
            was = [r for r in diff.removed[Reserve] if r.pool == made.pool and not r.drop and r.number != 0]
            if made.number == 0 and not made.drop and was and (user := _user(diff.after, made.pool)):
                yield from self._empty(diff, made, was[0], user)

    def _unlocked(self, diff: Diff, key: FunctionKey) -> Iterator[Candidate[Unlocked | Empty]]:
        for pool, now in _series(diff.after, key).items():
            was = _series(diff.before, key).get(pool, [])
            common = frozenset.intersection(*(_locks(diff.before, key, d) for d in was)) if was else frozenset()
            lost = common - frozenset.union(*(_locks(diff.after, key, d) for d in now))
            if not lost:
                continue
            lock, function = min(lost), now[0].at.function
            unlocks = [f.at for f in diff.before.program.own_facts(key) if getattr(f, "lock", "") == lock]
            yield from self.candidate(
                diff,
                Unlocked(key, pool, called(diff.after.program, now[0].at.file), lock),
                f"{function}() takes several elements of {short(pool)} at once without {short(lock)}",
                Words(
                    claim=f"{function}() takes several elements of {short(pool)}, and sleeps when there is none, without "
                    f"{short(lock)} held. If two tasks do so at once, each can hold a part of the reserve and wait for "
                    "the rest.",
                    setting="Suppose two writers, when memory is short:",
                    contrast=f"With {short(lock)} held, one task at a time takes its elements, and the reserve is enough "
                    "for it.",
                ),
                after=[d.at for d in now],
                before=[*unlocks, *(d.at for d in was)],
                object=pool,
                facts=[f for f in diff.before.program.own_facts(key) if getattr(f, "lock", "") == lock],
            )

    def _empty(
        self, diff: Diff, made: Reserve, was: Reserve, user: FunctionKey
    ) -> Iterator[Candidate[Unlocked | Empty]]:
        function = diff.after.program.function(user).name
        device = called(diff.after.program, diff.after.program.names.file[user])
        yield from self.candidate(
            diff,
            Empty(user, made.pool, device, worker(diff.after.program, user, device)),
            f"{short(made.pool)} is made with no element in reserve, and {function}() takes from it for I/O",
            Words(
                claim=f"{short(made.pool)} has no reserve, and {function}() allocates from it on the I/O path. "
                "When no memory is free, it waits for memory that only this I/O could free.",
                setting="For example, when memory is short:",
                contrast=f"With {was.count} in reserve one request could always make progress.",
            ),
            after=[made.at],
            before=[was.at],
            object=made.pool,
            facts=[made],
        )

    def scenes(self, candidate: Candidate[Unlocked | Empty], side: Version) -> Iterable[Scene]:
        found = candidate.about
        if isinstance(found, Empty):
            empty = any(r.number == 0 and not r.drop for r in side.facts[Reserve] if r.pool == found.pool)
            yield _scene(found, 0 if empty else 1, True)
            return
        series = _series(side, found.key).get(found.pool, [])
        yield _scene(found, 2, all(found.lock in _locks(side, found.key, d) for d in series))

    def remedies(self, candidate: Candidate[Unlocked | Empty], side: Version) -> Iterable[Remedy]:
        found = candidate.about
        if isinstance(found, Empty):
            yield Remedy(text="Keep at least one element in reserve.", scene=_scene(found, 1, True))
        else:
            scene = _scene(found, 2, True)
            yield Remedy(f"Keep {short(found.lock)} around the allocation.", scene, found.lock)
            yield Remedy("Let one task at a time take them, under a lock of their own.", scene)


def _series(side: Version, key: FunctionKey) -> dict[str, list[Drain]]:
    """Pools of which one pass of the function can take several elements, with the places that may wait for one."""
    if key not in side.program.names.functions:
        return {}
    found: dict[str, list[Drain]] = {}
    for drain in drains(side.program, key):
        if drain.rank > 0 and not drain.started:
            found.setdefault(drain.pool, []).append(drain)
    body = side.program.body(key)
    return {p: ds for p, ds in found.items() if any(several(body, a, b) for a in ds for b in ds)}


def _locks(side: Version, key: FunctionKey, drain: Drain) -> frozenset[str]:
    callers = [{h.lock for h in entry.held if alone(h)} for entry in side.program.entry(key)]
    return drain.under() | frozenset(set.intersection(*callers) if callers else set())


def _user(side: Version, pool: str) -> FunctionKey:
    """A function that takes from the pool for I/O and waits for an element; empty without one."""
    program = side.program
    for key in dict.fromkeys(key for key, take in program.all(Take) if take.pool == pool):
        waits = any(d.own and d.pool == pool and d.rank > 0 for d in drains(program, key))
        if waits and (serves(program, key) or program.function(key).name in KERNEL.services):
            return key
    return NO_FUNCTION


def _scene(found: Unlocked | Empty, min_nr: int, serialised: bool) -> Scene:
    file, function = file_of(found.key), name_of(found.key)
    worker, lock, count = (found.worker, "no lock", 1) if isinstance(found, Empty) else ("", short(found.lock), 2)
    return Scene.of(
        "pool_elements",
        min_nr=min_nr,
        takes=count,
        tasks=count,
        serialised=serialised,
        pool=short(found.pool),
        device=found.device or "the device",
        worker=worker,
        lock=lock,
        function=function,
        file=file,
    )
