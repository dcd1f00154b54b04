"""A shrinker waits for I/O, or for a lock whose holder waits for memory or I/O, in an allocation that must not.

Why it hangs
    A shrinker runs inside whatever allocation found no memory. With GFP_NOFS that is a filesystem with its locks held;
    I/O that the shrinker starts can go to a loop device whose worker needs them. __GFP_IO in the mask does not tell:
    only __GFP_FS does. A lock that is held over an allocation is taken again by the shrinker which that one calls.
Reported when
    a shrinker starts or waits for I/O and did not before, or does so with __GFP_IO (or without a test) where it took
    __GFP_FS or left it to a work item; a shrinker waits for a lock that it only tried, did not take, or took under a
    narrower mask, and some holder of the lock allocates or waits for I/O.
Not reported
    A gate in a function that no shrinker reaches; a shrinker that tries the lock, or hands the work to a work item, or
    whose ->count_objects() finds nothing under such a mask.
Known gaps
    Masks that travel in the driver's own structures.
"""

from collections.abc import Iterable, Iterator, Sequence

from reviewbot.rule import (
    GATE_STRENGTH,
    KERNEL,
    Candidate,
    Diff,
    FunctionKey,
    Gate,
    GatedWaits,
    Place,
    Remedy,
    Rule,
    Scene,
    Value,
    Version,
    Words,
    file_of,
    holders,
    name_of,
    places_below,
    short,
    shrinker_io,
    shrinker_locks,
    weakest,
)

SLOTS = KERNEL.words["shrinks"]


class Starts(Value, frozen=True):
    """A shrinker that waits for I/O."""

    root: FunctionKey
    was: str


class Takes(Value, frozen=True):
    """A shrinker that waits for a lock, and what a holder of it does."""

    root: FunctionKey
    lock: str
    holder: str
    place: Place
    gfp: str


class ShrinkerIo(Rule[Starts | Takes]):
    """See the head of the file."""

    id = "shrinker-io"
    guarantee = "allocation that does not recurse"
    checked = "what shrinkers wait for"
    needs = (Gate,)

    def check(self, diff: Diff) -> Iterator[Candidate[Starts | Takes]]:
        program, before = diff.after.program, diff.before.program
        touched = [e for key in diff.touched for e in program.entered(key) if e.slot in SLOTS]
        for root in dict.fromkeys(e.chain[0] for e in touched):
            if io := _weaker(root, shrinker_io(program, root), shrinker_io(before, root), ("none", "IO")):
                yield from self._starts(diff, *io[:2], Starts(root, io[2]))
                continue
            for lock in sorted({effect.object for effect in program.does(root) if effect.kind == "lock"}):
                now, was = shrinker_locks(program, root, lock), shrinker_locks(before, root, lock)
                weaker = _weaker(root, now, was, ("none", "IO", "FS"))
                found = holders(program, lock, program.names.file[root]) if weaker else None
                if weaker and found:
                    yield from self._takes(diff, weaker[0], Takes(root, lock, *found))

    def _starts(self, diff: Diff, at: Place, gate: str, found: Starts) -> Iterator[Candidate[Starts | Takes]]:
        name, was = name_of(found.root), found.was
        test = "tests only __GFP_IO" if gate != "none" else "does not test the mask"
        before = "left to a work item" if was == "work" else f"done only with __GFP_{was}"
        yield from self.candidate(
            diff,
            found,
            f"{name}(), a shrinker, waits for I/O and {test}",
            Words(
                claim=f"{name}() waits for I/O in the allocation that calls it and {test}. GFP_NOFS has __GFP_IO set, and "
                "filesystems allocate with it when they hold locks. On a loop device that I/O may need these locks.",
                setting="Suppose the device is on a loop device, and the backing file on that filesystem:",
                contrast=f"If it were {before} this could not happen.",
            ),
            after=[at, *places_below(diff.after.program, found.root, ("io", "submit", "wait"))],
            before=[at],
            object=found.root,
            facts=[f for f in diff.after.facts.of(name) if f.at.line == at.line],
        )

    def _takes(self, diff: Diff, at: Place, found: Takes) -> Iterator[Candidate[Starts | Takes]]:
        name, guard, function = name_of(found.root), short(found.lock), found.place.function
        does = f"allocates with {found.gfp}" if found.holder == "allocates" else "waits for I/O"
        yield from self.candidate(
            diff,
            found,
            f"{name}(), a shrinker, waits for {guard}, which {function}() holds while it {does}",
            Words(
                claim=f"{name}() is a shrinker and may be called from any allocation that reclaims memory, and it sleeps "
                f"for {guard}. {function}() {does} with {guard} held.",
                setting="For example, when memory is short:",
                contrast="With a trylock this could not happen.",
            ),
            after=[at, *places_below(diff.after.program, found.root, ("lock",), found.lock)],
            before=[at],
            object=f"{found.root} {found.lock}",
            facts=[f for f in diff.after.facts.of(name) if f.at.line == at.line],
            related=[found.place],
        )

    def scenes(self, candidate: Candidate[Starts | Takes], side: Version) -> Iterable[Scene]:
        found, program = candidate.about, side.program
        if isinstance(found, Starts):
            yield _scene(found, weakest(shrinker_io(program, found.root)))
        else:
            yield _scene(found, weakest(shrinker_locks(program, found.root, found.lock)))

    def remedies(self, candidate: Candidate[Starts | Takes], side: Version) -> Iterable[Remedy]:
        found = candidate.about
        if isinstance(found, Starts):
            work = "the work item" if found.was == "work" else "a work item"
            yield Remedy(text=f"Leave it to {work}, or test __GFP_FS.", scene=_scene(found, "FS"))
        else:
            yield Remedy(text="Use a trylock there.", scene=_scene(found, "work"))


def _weaker(root: FunctionKey, now: GatedWaits, was: GatedWaits, bad: Sequence[str]) -> tuple[Place, str, str] | None:
    """(place, gate now, gate before) when the weakest gate is one of `bad` and weaker than before."""
    before, after = weakest(was), weakest(now)
    if after not in bad or GATE_STRENGTH[after] >= GATE_STRENGTH[before]:
        return None
    line = min(reason.line for reason, gate in now if gate == after)
    return Place(file_of(root), line, name_of(root)), after, before


def _scene(found: Starts | Takes, gate: str) -> Scene:
    file, name = file_of(found.root), name_of(found.root)
    if isinstance(found, Starts):
        return Scene.of("shrinker_io", gate=gate, gfp=KERNEL.masks["nofs"], shrinker=name, file=file)
    names = {"lock": short(found.lock), "shrinker": name, "function": found.place.function, "file": file}
    how, gate = ("none", "none") if gate == "work" else ("lock", gate)
    return Scene.of("shrinker_lock", how=how, gate=gate, gfp=found.gfp, holder=found.holder, **names)
