"""A reserve holds less than what one pass of a function takes from it before it gives any back.

Why it hangs
    mempool_alloc() with direct reclaim never fails: when no memory is free it waits for an element to come back. Who has
    taken all of the reserve and asks for one more waits for himself, and no lock helps.
Reported when
    min_nr becomes less than the number of elements that a function on the I/O path takes one after the other, or the
    function begins to take more than min_nr.
Not reported
    What was too little before; attempts that cannot wait; calls that start the I/O of the element they take, whose end
    gives it back; pools whose size is not one number; anything else that is called in between, which may give one back.
Known gaps
    What a loop takes is not counted, nor what is taken under a condition first.
"""

from collections.abc import Iterable, Iterator

from reviewbot.rule import (
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
    called,
    drains,
    file_of,
    name_of,
    serves,
    several,
    short,
    worker,
)


class TakenTogether(Value, frozen=True):
    """Elements of one pool that a function takes one after the other, and for whom."""

    key: FunctionKey
    pool: str
    count: int
    device: str
    worker: str


class ReserveCount(Rule[TakenTogether]):
    """See the head of the file."""

    id = "reserve-count"
    guarantee = "a private reserve"
    checked = "sizes of pools"
    needs = (Reserve, Take)

    def check(self, diff: Diff) -> Iterator[Candidate[TakenTogether]]:
        pools = {made.pool for made in diff.added[Reserve]}
        users = [key for key, take in diff.after.program.all(Take) if take.pool in pools]
        for key in dict.fromkeys((*diff.touched, *users)):
            series = _together(diff.after, key) if key in diff.before.program.names.functions else {}
            if series and serves(diff.after.program, key):
                for pool, taken in series.items():
                    was = len(_together(diff.before, key).get(pool, taken[:1]))
                    yield from self._short(diff, key, taken, was)

    def _short(self, diff: Diff, key: FunctionKey, taken: list[Drain], were: int) -> Iterator[Candidate[TakenTogether]]:
        pool, function, count = taken[0].pool, taken[0].at.function, len(taken)
        made, was = _made(diff.after, pool), _made(diff.before, pool)
        if made is None or was is None or not 0 < _size(made) < count or _size(was) < were:
            return
        device = called(diff.after.program, taken[0].at.file)
        yield from self.candidate(
            diff,
            TakenTogether(key, pool, count, device, worker(diff.after.program, key, device)),
            f"{function}() takes {count} elements of {short(pool)} at once, which holds {made.number} in reserve",
            Words(
                claim=f"{function}() takes {count} elements of {short(pool)} and gives none back in between, but there "
                f"{'is' if made.number == 1 else 'are'} only {made.number} in reserve.",
                setting="For example, when memory is short:",
                contrast=f"With {count} in reserve this could not happen.",
            ),
            after=[made.at, *(drain.at for drain in taken)],
            before=[was.at],
            object=pool,
            facts=[made],
        )

    def scenes(self, candidate: Candidate[TakenTogether], side: Version) -> Iterable[Scene]:
        found = candidate.about
        made = _made(side, found.pool)
        taken = _together(side, found.key).get(found.pool, [])
        yield _scene(found, _size(made) if made else 0, len(taken) or 1)

    def remedies(self, candidate: Candidate[TakenTogether], side: Version) -> Iterable[Remedy]:
        count = candidate.about.count
        yield Remedy(text=f"Keep {count} elements in reserve.", scene=_scene(candidate.about, count, count))


def _together(side: Version, key: FunctionKey) -> dict[str, list[Drain]]:
    """Pools of which the function takes several elements, each after the one before on every way, and may wait for each:
    the places of such a series. Any other call in between may give one back, or start the I/O that does."""
    if key not in side.program.names.functions or sum(isinstance(f, Take) for f in side.program.own_facts(key)) < 2:
        return {}
    view = side.program.view(key)
    found: dict[str, list[Drain]] = {}
    for drain in drains(side.program, key):
        if drain.own and drain.rank > 0 and not drain.started and not several(view.body, drain, drain):
            series = found.setdefault(drain.pool, [])
            if not series or series[-1].block in (drain.block, *view.dominance.above(drain.block)):
                series.append(drain)
    calls = {call.line for call in view.body.calls}
    return {
        pool: series
        for pool, series in found.items()
        if len(series) > 1
        and calls.intersection(range(series[0].at.line, series[-1].at.line + 1)) == {drain.at.line for drain in series}
    }


def _made(side: Version, pool: str) -> Reserve | None:
    """Where the pool gets its reserve, if there is one size for it."""
    made = [r for _, r in side.program.all(Reserve) if r.pool == pool and not r.drop]
    return made[0] if len({r.number for r in made}) == 1 and made[0].number is not None else None


def _size(made: Reserve) -> int:
    return made.number or 0


def _scene(found: TakenTogether, min_nr: int, takes: int) -> Scene:
    file, function = file_of(found.key), name_of(found.key)
    return Scene.of(
        "pool_elements",
        min_nr=min_nr,
        takes=takes,
        tasks=1,
        serialised=True,
        pool=short(found.pool),
        device=found.device or "the device",
        worker=found.worker,
        lock="no lock",
        function=function,
        file=file,
    )
