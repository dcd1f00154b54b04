"""A reserve that each device had for itself serves all of them.

Why it hangs
    A mempool gives every device one request that can go on when no memory is free. A device that keeps an element while
    it waits for the device below needs that one to have elements of its own: with a pool for all of them the upper
    device can hold the last one. dm_io and kcopyd clients hold such pools. Reads are no excuse: what is written can
    stand on top of what is read.
Reported when
    a function on the I/O path of drivers that can be stacked takes from (or a request names) an object that there is
    once, where it took from one in each instance; bios come from the kernel's own set instead of the driver's.
Not reported
    An element that is given back before any I/O starts; drivers of hardware, whose requests end by themselves; a slab
    cache, which holds nothing in reserve.
Known gaps
    A reserve that some of the devices share; stacking by way of a file.
"""

from collections.abc import Iterable, Iterator

from reviewbot.rule import (
    KERNEL,
    Candidate,
    Client,
    Diff,
    Place,
    Remedy,
    Reserve,
    Rule,
    Scene,
    Scope,
    Take,
    Value,
    Version,
    Words,
    called,
    file_with,
    kept,
    member,
    scope,
    serves,
    short,
    stacks,
    without_file,
)

EVERYBODYS = KERNEL.word("shared_set")


class Shared(Value, frozen=True):
    """A pool of all devices in the place of one in each, and who takes from it."""

    pool: str
    was: str
    also: str
    """Another one of which the same holds."""
    fact: Take | Client
    waits: bool
    where: str
    dm_io: bool


class SharedReserve(Rule[Shared]):
    """See the head of the file."""

    id = "shared-reserve"
    guarantee = "a private reserve"
    checked = "whose pools and clients are taken from"
    needs = (Client, Reserve, Take)

    def check(self, diff: Diff) -> Iterator[Candidate[Shared]]:
        pools = {take.pool: (was, take) for was, take in _moved(diff) if _matters(diff.after, take)}
        clients = {fact.object: (was, fact) for was, fact in _clients(diff) if stacks(diff.after.program, fact.at.file)}
        found: list[tuple[str, tuple[str, Take | Client]]] = [*pools.items(), *clients.items()]
        if found:
            yield from self._found(diff, found)

    def _found(self, diff: Diff, found: list[tuple[str, tuple[str, Take | Client]]]) -> Iterator[Candidate[Shared]]:
        (pool, (was, fact)), *others = found
        made = [f.at for f in diff.after.facts if isinstance(f, Reserve | Client) and getattr(f, "pool", "") == pool]
        also = others[0][0] if others else ""
        users = [f.at for f in diff.after.facts[Take] if f.pool == pool]
        waits, where = _waits(diff.after, fact), "map" if _context(diff.after, fact) == "io_path" else "worker"
        dm_io = any(isinstance(f, Client) and f.klass == "dm_io_client" for _, (_, f) in found)
        yield from self.candidate(
            diff,
            Shared(pool, was, also, fact, waits, where, dm_io),
            f"all devices share {short(pool)}, where each had {short(was)}",
            _words(diff, fact, pool, was, also),
            after=[*_declared(diff.after, pool), *users, *made, fact.at],
            before=[f.at for f in diff.removed if getattr(f, "pool", getattr(f, "object", "")) == was],
            object=pool,
            facts=[fact, *(f for _, (_, f) in others)],
            related=users,
        )

    def scenes(self, candidate: Candidate[Shared], side: Version) -> Iterable[Scene]:
        found = candidate.about
        used = {f.pool for f in side.facts[Take]} | {f.object for f in side.facts[Client]}
        yield _scene(found, found.pool, found.pool in used)
        if found.also:
            yield _scene(found, found.also, found.also in used)

    def remedies(self, candidate: Candidate[Shared], side: Version) -> Iterable[Remedy]:
        found = candidate.about
        text = f"Keep {short(found.was)} in each device."
        if found.dm_io:
            text += (
                " If you want to reduce memory consumption, set dm_mod.reserved_bio_based_ios to 1: then each dm_io client "
                "has one entry in reserve, which is enough."
            )
        yield Remedy(text, _scene(found, found.pool, shared=False), found.was)


def _moved(diff: Diff) -> Iterator[tuple[str, Take]]:
    """Takes from a pool that there is once, in functions that took from one of each instance: (that one, take)."""
    kept_on = {(f.function, f.pool) for f in diff.after.facts[Take]}
    for take in diff.added[Take]:
        if scope(take.pool) is not Scope.GLOBAL:
            continue
        for was in diff.removed[Take]:
            same = (was.function, was.what) == (take.function, take.what) and scope(was.pool) is Scope.INSTANCE
            if same and (was.function, was.pool) not in kept_on and _made(diff.after, take.pool):
                yield was.pool, take


def _made(side: Version, pool: str) -> bool:
    return pool == EVERYBODYS or any(f.pool == pool and not f.drop for f in side.facts[Reserve])


def _matters(side: Version, take: Take) -> bool:
    """Whether it may wait, on the I/O path of something that can be stacked, with the element kept over I/O."""
    return (
        any(k in ("noio", "nofs", "full") for k in take.classes or ("noio",))
        and stacks(side.program, take.at.file)
        and serves(side.program, take.key) is not None
        and kept(side.program, take.key, take.pool)
    )


def _clients(diff: Diff) -> Iterator[tuple[str, Client]]:
    """Clients with a reserve that were made for each instance and are made once."""
    for new in diff.added[Client]:
        for old in diff.removed[Client]:
            same = new.klass == old.klass in KERNEL.reserved and (new.does, old.does) == ("create", "create")
            if same and scope(new.object) is Scope.GLOBAL and scope(old.object) is Scope.INSTANCE:
                yield old.object, new


def _waits(side: Version, fact: Take | Client) -> bool:
    """Whether a taker sleeps until I/O has ended, rather than leave the element to whoever ends it."""
    effects = side.program.does(fact.key) if isinstance(fact, Take) else ()
    return any(e.kind == "io" or (e.kind == "wait" and e.detail.startswith(("completion", "io"))) for e in effects)


def _context(side: Version, fact: Take | Client) -> str:
    found = serves(side.program, fact.key)
    return found.context if found else ""


def _declared(side: Version, pool: str) -> list[Place]:
    file, name = file_with(pool), without_file(pool)
    unit = side.program.names.units.get(file)
    return [Place(file, v.line) for v in unit.variables if v.name == name and v.line] if unit else []


def _scene(found: Shared, pool: str, shared: bool) -> Scene:
    client = isinstance(found.fact, Client)
    return Scene.of(
        "shared_pool",
        owner="shared" if shared else "device",
        where=found.where,
        waits=found.waits,
        above="dm-snapshot" if found.waits else "a filesystem",
        pool=member(pool) if pool == found.pool and not client else f"the pool of {member(pool)}",
        function="the driver" if client else found.fact.function,
        file=found.fact.at.file,
    )


def _words(diff: Diff, fact: Take | Client, pool: str, was: str, also: str) -> Words:
    name, device = member(pool), called(diff.after.program, fact.at.file)
    top = "dm-snapshot on " if _waits(diff.after, fact) else "a filesystem on "
    if isinstance(fact, Take):
        claim = (
            f"All devices take from {name}, and {fact.function}() keeps what it took until the device below is done. "
            "If devices are stacked on each other, the upper one may take the last element, and the lower one can't make "
            "progress."
        )
    else:
        claim = (
            f"All devices use the pools of {name}. If devices are stacked on each other, the upper one may keep the "
            "last element until the lower one is done, and the lower one can't make progress."
        )
    return Words(
        claim=claim,
        setting=f"Suppose {top}{device or 'such a device'} (upper) on another {device or 'one'} (lower), when memory is "
        "short:",
        also=f"The same holds for {member(also)}." if also else "",
        contrast=f"With {short(was)} in each device this could not happen.",
    )
