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
    Client,
    Diff,
    Finding,
    Place,
    Remedy,
    Reserve,
    Rule,
    Scene,
    Scope,
    Take,
    Version,
    Words,
    called,
    kept,
    member,
    scope,
    serves,
    short,
    stacks,
)

CLIENTS = ("dm_io_client", "dm_kcopyd_client", "dm_bufio_client")
EVERYBODYS = "fs_bio_set"


class SharedReserve(Rule):
    """See the head of the file."""

    id = "shared-reserve"
    guarantee = "a private reserve"
    checked = "whose pools and clients are taken from"
    needs = (Client, Reserve, Take)

    def check(self, diff: Diff) -> Iterator[Finding]:
        pools = {take.pool: (was, take) for was, take in _moved(diff) if _matters(diff.after, take)}
        clients = {fact.object: (was, fact) for was, fact in _clients(diff) if stacks(diff.after.world, fact.at.file)}
        found: list[tuple[str, tuple[str, Take | Client]]] = [*pools.items(), *clients.items()]
        if found:
            yield from self._found(diff, found)

    def _found(self, diff: Diff, found: list[tuple[str, tuple[str, Take | Client]]]) -> Iterator[Finding]:
        (pool, (was, fact)), *others = found
        function, name = fact.function, member(pool)
        made = [f.at for f in diff.after.facts if isinstance(f, Reserve | Client) and getattr(f, "pool", "") == pool]
        also = others[0][0] if others else ""
        users = [f.at for f in diff.after.facts[Take] if f.pool == pool]
        yield from self.finding(
            diff,
            f"all devices share {short(pool)}, where each had {short(was)}",
            _words(diff, fact, pool, was, also),
            after=[*_declared(diff.after, pool), *users, *made, fact.at],
            before=[f.at for f in diff.removed if getattr(f, "pool", getattr(f, "object", "")) == was],
            object=pool,
            facts=[fact, *(f for _, (_, f) in others)],
            related=users,
            pool=pool,
            was=was,
            also=also,
            name=name,
            function=function,
            file=fact.at.file,
            waits="yes" if isinstance(fact, Take) and _waits(diff.after, fact) else "",
            client="yes" if isinstance(fact, Client) else "",
            where="map" if _context(diff.after, fact) == "io_path" else "worker",
            dm_io="yes" if any(isinstance(f, Client) and f.klass == "dm_io_client" for _, (_, f) in found) else "",
        )

    def scenes(self, finding: Finding, side: Version) -> Iterable[Scene]:
        used = {f.pool for f in side.facts[Take]} | {f.object for f in side.facts[Client]}
        yield _scene(finding, finding.get("pool"), finding.get("pool") in used)
        if also := finding.get("also"):
            yield _scene(finding, also, also in used)

    def remedies(self, finding: Finding, side: Version) -> Iterable[Remedy]:
        text = f"Keep {short(finding.get('was'))} in each device."
        if finding.get("dm_io"):
            text += (
                " If you want to reduce memory consumption, set dm_mod.reserved_bio_based_ios to 1: then each dm_io client "
                "has one entry in reserve, which is enough."
            )
        yield Remedy(text, _scene(finding, finding.get("pool"), shared=False), finding.get("was"))


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
    key = f"{take.at.file}:{take.function}"
    return (
        any(k in ("noio", "nofs", "full") for k in take.classes or ("noio",))
        and stacks(side.world, take.at.file)
        and serves(side.world, key) is not None
        and kept(side.world, key, take.pool)
    )


def _clients(diff: Diff) -> Iterator[tuple[str, Client]]:
    """Clients with a reserve that were made for each instance and are made once."""
    for new in diff.added[Client]:
        for old in diff.removed[Client]:
            same = new.klass == old.klass in CLIENTS and (new.does, old.does) == ("create", "create")
            if same and scope(new.object) is Scope.GLOBAL and scope(old.object) is Scope.INSTANCE:
                yield old.object, new


def _waits(side: Version, take: Take) -> bool:
    """Whether the function sleeps until I/O has ended, rather than leave the element to whoever ends it."""
    effects = side.world.does(f"{take.at.file}:{take.function}")
    return any(e.kind == "io" or (e.kind == "wait" and e.detail.startswith(("completion", "io"))) for e in effects)


def _context(side: Version, fact: Take | Client) -> str:
    found = serves(side.world, f"{fact.at.file}:{fact.function}")
    return found.context if found else ""


def _declared(side: Version, pool: str) -> list[Place]:
    file, _, name = pool.rpartition(":")
    unit = side.world.names.units.get(file)
    return [Place(file, v.line) for v in unit.variables if v.name == name and v.line] if unit else []


def _scene(finding: Finding, pool: str, shared: bool) -> Scene:
    name = member(pool) if pool == finding.get("pool") and not finding.get("client") else f"the pool of {member(pool)}"
    return Scene.of(
        "shared_pool",
        owner="shared" if shared else "device",
        where=finding.get("where"),
        waits=bool(finding.get("waits")),
        above="dm-snapshot" if finding.get("waits") else "a filesystem",
        pool=name,
        function=finding.get("function") if not finding.get("client") else "the driver",
        file=finding.get("file"),
    )


def _words(diff: Diff, fact: Take | Client, pool: str, was: str, also: str) -> Words:
    name, device = member(pool), called(diff.after.world, fact.at.file)
    top = "dm-snapshot on " if isinstance(fact, Take) and _waits(diff.after, fact) else "a filesystem on "
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
