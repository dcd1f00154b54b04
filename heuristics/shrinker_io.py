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
    KERNEL,
    Candidate,
    Diff,
    Effect,
    FunctionKey,
    Gate,
    Place,
    Provenance,
    Remedy,
    Rule,
    Scene,
    Value,
    Version,
    Words,
    file_of,
    holders,
    name_of,
    short,
)

SLOTS = KERNEL.words["shrinks"]
GATES = dict.fromkeys((*KERNEL.words["gfp_fs"], *KERNEL.words["gfp_fs_test"]), "FS")
GATES |= dict.fromkeys(KERNEL.words["gfp_io"], "IO")
STRENGTH = {"none": 0, "IO": 1, "FS": 2, "work": 3}
IO_WAITS = ("io", "bit", "event", "completion")


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
        program = diff.after.program
        touched = [e for key in diff.touched for e in program.entered(key) if e.slot in SLOTS]
        for root in dict.fromkeys(e.chain[0] for e in touched):
            if io := _weaker(diff, root, _io(diff.after, root), _io(diff.before, root), ("none", "IO")):
                yield from self._starts(diff, *io[:2], Starts(root, io[2]))
                continue
            for lock in sorted({e.object for e, _ in _effects(diff.after, root) if e.kind == "lock"}):
                now, was = _locks(diff.after, root, lock), _locks(diff.before, root, lock)
                weaker = _weaker(diff, root, now, was, ("none", "IO", "FS"))
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
            after=[at, *_below(diff.after, found.root, ("io", "submit", "wait"))],
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
            after=[at, *_below(diff.after, found.root, ("lock",), found.lock)],
            before=[at],
            object=f"{found.root} {found.lock}",
            facts=[f for f in diff.after.facts.of(name) if f.at.line == at.line],
            related=[found.place],
        )

    def scenes(self, candidate: Candidate[Starts | Takes], side: Version) -> Iterable[Scene]:
        found = candidate.about
        gated = _io(side, found.root) if isinstance(found, Starts) else _locks(side, found.root, found.lock)
        yield _scene(found, min((g for _, g in gated), key=STRENGTH.__getitem__, default="work"))

    def remedies(self, candidate: Candidate[Starts | Takes], side: Version) -> Iterable[Remedy]:
        found = candidate.about
        if isinstance(found, Starts):
            work = "the work item" if found.was == "work" else "a work item"
            yield Remedy(text=f"Leave it to {work}, or test __GFP_FS.", scene=_scene(found, "FS"))
        else:
            yield Remedy(text="Use a trylock there.", scene=_scene(found, "work"))


Gated = list[tuple[Provenance, str]]


def _below(side: Version, root: FunctionKey, kinds: Sequence[str], what: str = "") -> list[Place]:
    """The lines at which the shrinker comes to such effects, deepest first."""
    found = [e for e, _ in _effects(side, root) if e.kind in kinds and what in ("", e.object)]
    return [place for effect in found for place in reversed(side.program.effects.chain(root, effect))]


def _effects(side: Version, root: FunctionKey) -> list[tuple[Effect, Provenance]]:
    return list(side.program.does(root).items()) if root in side.program.names.functions else []


def _io(side: Version, root: FunctionKey) -> Gated:
    least = _counted(side, root)
    return [
        (reason, _gate(reason.gates, least))
        for effect, reason in _effects(side, root)
        if effect.kind in ("io", "submit") or (effect.kind == "wait" and effect.detail in IO_WAITS)
    ]


def _locks(side: Version, root: FunctionKey, lock: str) -> Gated:
    least = _counted(side, root)
    return [(r, _gate(r.gates, least)) for e, r in _effects(side, root) if (e.kind, e.object) == ("lock", lock)]


def _counted(side: Version, root: FunctionKey) -> str:
    """The gfp flag without which ->count_objects() says that there is nothing to free: ->scan_objects() is not called."""
    beside = side.program.functions(side.program.names.file[root]) if root in side.program.names.functions else ()
    slots = {key: {e.slot for e in side.program.entered(key) if e.chain == (key,)} for key in beside}
    if SLOTS[0] not in slots.get(root, ()):
        return "none"
    counts = [key for key, found in slots.items() if SLOTS[1] in found]
    tested = (f.condition for key in counts for f in side.program.own_facts(key) if isinstance(f, Gate) and f.taken)
    return _gate(tested, "none")


def _gate(gates: Iterable[str], least: str) -> str:
    """The gfp flag without which the shrinker does not come there."""
    flags = {kind for gate in gates for flag, kind in GATES.items() if flag in gate and not gate.startswith("!(")}
    return max({*flags, least}, key=STRENGTH.__getitem__)


def _weaker(diff: Diff, root: FunctionKey, now: Gated, was: Gated, bad: Sequence[str]) -> tuple[Place, str, str] | None:
    """(place, gate now, gate before) when the weakest gate is one of `bad` and weaker than before."""
    before = min((g for _, g in was), key=STRENGTH.__getitem__, default="work")
    found = min(now, key=lambda x: (STRENGTH[x[1]], x[0].line), default=None)
    if found is None or found[1] not in bad or STRENGTH[found[1]] >= STRENGTH[before]:
        return None
    return Place(file_of(root), found[0].line, name_of(root)), found[1], before


def _scene(found: Starts | Takes, gate: str) -> Scene:
    file, name = file_of(found.root), name_of(found.root)
    if isinstance(found, Starts):
        return Scene.of("shrinker_io", gate=gate, gfp=KERNEL.masks["nofs"], shrinker=name, file=file)
    names = {"lock": short(found.lock), "shrinker": name, "function": found.place.function, "file": file}
    how, gate = ("none", "none") if gate == "work" else ("lock", gate)
    return Scene.of("shrinker_lock", how=how, gate=gate, gfp=found.gfp, holder=found.holder, **names)
