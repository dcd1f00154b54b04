"""A driver takes a second bio of a set while nobody would submit the first one.

Why it hangs
    Bios that a ->submit_bio sends on wait on current->bio_list until it returns. A bio_set holds a few bios in reserve;
    when they are out, and the task that waits for one has them on its own list, no one submits them and none comes back.
    With BIOSET_NEED_RESCUER a thread of the set submits them meanwhile; a bio of another set needs no such thread.
Reported when
    a bio_set loses BIOSET_NEED_RESCUER, and a function that bios come in by takes more than one bio of it in one pass.
Not reported
    Sets of which a pass takes one bio; attempts that do not wait; workers: their bios are submitted at once.
Known gaps
    Bios that are taken by several functions of one ->submit_bio; a second bio that moves to the set of the first.
"""

from collections.abc import Iterable, Iterator

from reviewbot.rule import (
    KERNEL,
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
    drains,
    file_of,
    name_of,
    serves,
    several,
    short,
)

FLAG = KERNEL.word("bioset_rescuer")


class Twice(Value, frozen=True):
    """A function that takes several bios of one set."""

    key: FunctionKey
    pool: str


class SecondBio(Rule[Twice]):
    """See the head of the file."""

    id = "second-bio"
    guarantee = "bios below never wait for bios above"
    checked = "second bios of a set"
    needs = (Take,)

    def check(self, diff: Diff) -> Iterator[Candidate[Twice]]:
        for made in diff.added[Reserve]:
            lost = [r for r in diff.removed[Reserve] if r.pool == made.pool and FLAG in r.flags and not r.drop]
            if lost and not made.drop and made.what == "bio_set" and FLAG not in made.flags:
                takers = {key for key, take in diff.after.program.all(Take) if take.pool == made.pool}
                for key in [k for k in sorted(takers) if made.pool in _twice(diff.after, k)][:1]:
                    yield from self._found(diff, key, made, lost[0])

    def _found(self, diff: Diff, key: FunctionKey, made: Reserve, was: Reserve) -> Iterator[Candidate[Twice]]:
        function, pool, takes = diff.after.program.function(key).name, made.pool, _twice(diff.after, key)[made.pool]
        yield from self.candidate(
            diff,
            Twice(key, pool),
            f"{function}() takes a second bio of {short(pool)} while the first waits on current->bio_list",
            Words(
                claim=f"{function}() takes more than one bio of {short(pool)}, and what it submits stays on "
                f"current->bio_list until it returns. Without {FLAG} nobody submits these bios while it sleeps for the next "
                "one.",
                setting="For example, when memory is short:",
                contrast=f"With {FLAG} the rescuer of the set would submit them.",
            ),
            after=[made.at, *(d.at for d in takes)],
            before=[was.at],
            object=f"{key} {pool}",
            facts=[made, was],
            related=[d.at for d in takes],
        )

    def scenes(self, candidate: Candidate[Twice], side: Version) -> Iterable[Scene]:
        flags = [r.flags for r in side.facts[Reserve] if r.pool == candidate.about.pool and not r.drop]
        yield _scene(candidate.about, any(FLAG in f for f in flags))

    def remedies(self, candidate: Candidate[Twice], side: Version) -> Iterable[Remedy]:
        pool = candidate.about.pool
        yield Remedy(f"Keep {FLAG} for {short(pool)}.", _scene(candidate.about, True), pool, FLAG)


def _known(side: Version, key: FunctionKey) -> bool:
    return key in side.program.names.functions


def _twice(side: Version, key: FunctionKey) -> dict[str, list[Drain]]:
    """Bio_sets of which one pass of a function that bios come in by takes several bios, with the places that may wait."""
    if not _known(side, key):
        return {}
    sets = {f.pool for f in side.program.own_facts(key) if isinstance(f, Take) and f.what == "bio_set"}
    found: dict[str, list[Drain]] = {}
    for drain in drains(side.program, key) if sets else ():
        if drain.own and drain.rank > 0 and drain.pool in sets:
            found.setdefault(drain.pool, []).append(drain)
    entered = serves(side.program, key) if found else None
    if entered is None or entered.context != "io_path":
        return {}
    body = side.program.body(key)
    return {p: ds for p, ds in found.items() if any(several(body, a, b) for a in ds for b in ds)}


def _scene(found: Twice, rescuer: bool) -> Scene:
    file, function = file_of(found.key), name_of(found.key)
    return Scene.of("second_bio", rescuer=rescuer, bio_set=short(found.pool), function=function, file=file)
