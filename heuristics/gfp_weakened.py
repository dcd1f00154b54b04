"""Memory is asked for with a mask that lets reclaim wait for what waits for the asker.

Why it hangs
    Direct reclaim with __GFP_IO waits for writeback, with __GFP_FS it calls filesystems and shrinkers as well. When the
    task that allocates is the one that I/O waits for, or holds a lock (or a frozen queue) that I/O, writeback or a
    shrinker has to pass, reclaim waits for its own caller. GFP_NOIO, GFP_NOFS and the memalloc scopes keep it out.
Reported when
    a call (or what it calls) may reclaim further than before, as its mask or its caller's changed or a scope went, and
    the function runs for I/O or writeback, or it or a caller holds what these take; or a new call does so on the I/O path;
    or a lock that these take is held over a call since the patch.
Not reported
    Constructors, ioctls and init code without such locks; calls that a scope of the callers covers; a lock that only
    readers share; masks with __GFP_NOLOCKDEP, by which the author says that reclaim does no harm there.
Known gaps
    Locks that other directories hold, a filesystem's own kind of lock; masks out of tables.
"""

from collections.abc import Iterable, Iterator, Sequence

from reviewbot.rule import (
    KERNEL,
    Allocation,
    AllocationSite,
    Candidate,
    Dependence,
    Diff,
    FunctionKey,
    Remedy,
    Rule,
    Scene,
    Side,
    Take,
    Value,
    Version,
    Words,
    as_far,
    asks,
    called,
    file_of,
    name_of,
    near_io,
    newly_locked,
    nth,
    passes,
    short,
    spoken_call,
    uncalled,
    way,
    weaker,
    which,
    worker,
)

NOIO = KERNEL.masks["noio"]


class Weakened(Value, frozen=True):
    """A call that may reclaim further than before: which one, and why reclaim has to wait for it."""

    key: FunctionKey
    call: str
    which: str
    why: Dependence
    needs: str
    was: str
    scope: str
    device: str
    user: str
    worker: str
    under: str = ""
    """The lock that is held there since the patch, where that is what makes the difference."""


class GfpWeakened(Rule[Weakened]):
    """See the head of the file."""

    id = "gfp-weakened"
    guarantee = "allocation that does not recurse"
    checked = "allocation flags and scopes"
    needs = (Allocation, Take)

    def check(self, diff: Diff) -> Iterator[Candidate[Weakened]]:
        for key in diff.touched:
            before = asks(diff.before.program, key) if key in diff.before.program.names.functions else ()
            after = tuple(ask for ask in asks(diff.after.program, key) if KERNEL.word("gfp_nolockdep") not in ask.gfp)
            found = [*weaker(before, after), *((None, ask) for ask in _new(diff, key, after))]
            for was, ask in sorted(found, key=lambda pair: (pair[1].guessed, -pair[1].rank)):
                needs = "FS" if was and was.klass == "nofs" else "IO"
                more, held = (was.klass if was else "noio", ask.klass), (*ask.held, *ask.maybe)
                reason = way(diff.after.program, key, held, "FS" if ask.klass == "full" else "IO", more)
                lock = reason.held.lock if reason and reason.held else ""
                if reason and (was or near_io(reason)) and not as_far(before, ask, lock):
                    yield from self._found(diff, key, was, ask, reason, needs if reason.needs == "IO" else "FS")
                    break
            else:
                for ask, reason in newly_locked(diff.after.program, key, before, after):
                    yield from self._found(diff, key, None, ask, reason, reason.needs)
                    break

    def _found(
        self, diff: Diff, key: FunctionKey, was: AllocationSite | None, ask: AllocationSite, why: Dependence, needs: str
    ) -> Iterator[Candidate[Weakened]]:
        function, entered = ask.at.function, why.entered
        lost = sorted(set(was.scopes if was else ()) - set(ask.scopes))
        what = f"outside of {KERNEL.scopes[lost[0]]}()" if lost else f"with {_gfp(ask)}"
        lock = short(why.held.lock) if why.held else ""
        under = {"runs": "on the path of I/O", "lock": f"with {lock} held", "stopped": "while I/O is kept out"}
        named = called(diff.after.program, file_of(key))
        root = key if why.kind == "runs" or not entered else entered.chain[-1]
        found = Weakened(
            key, ask.call, which(asks(diff.after.program, key), ask), why, needs, was.klass if was else "",
            lost[0] if lost else "", named, passes(diff.after.program, file_of(key)), worker(diff.after.program, root, named),
            why.held.lock if was is None and why.held else "",
        )  # fmt: skip
        yield from self.candidate(
            diff,
            found,
            f"{function}() calls {spoken_call(ask.call)} {what} {under[why.kind]}",
            _words(diff, was, ask, why, needs, lost),
            after=[ask.at],
            before=[*(f.at for f in diff.before.scopes(key) if f.lock in lost), *([was.at] if was else [])],
            object=f"{key} {lock}",
            facts=[f for f in diff.after.facts.of(function) if f.at == ask.at],
            related=why.places(diff.after.program),
        )

    def scenes(self, candidate: Candidate[Weakened], side: Version) -> Iterable[Scene]:
        found = candidate.about
        ask = nth(asks(side.program, found.key), found.call, found.which)
        raw, scopes = (ask.raw, ask.scopes) if ask else ("noio", ())
        if ask and found.under and found.under not in {h.lock for h in (*ask.held, *ask.maybe)}:
            raw = "noio"  # reclaim may do what it likes where it is not held
        yield _scene(found, "noio" if "memalloc" in scopes else raw, scopes)

    def remedies(self, candidate: Candidate[Weakened], side: Version) -> Iterable[Remedy]:
        found = candidate.about
        kept, function = found.was or "noio", name_of(found.key)
        mask = f"{'Keep' if found.was else 'Use'} {KERNEL.masks.get(kept, NOIO)} in {function}()."
        text = f"Keep {KERNEL.scopes[found.scope]}() in {function}()." if found.scope else mask
        yield Remedy(text=text, scene=_scene(found, kept, ()))


def _new(diff: Diff, key: FunctionKey, after: Iterable[AllocationSite]) -> Iterator[AllocationSite]:
    """Calls that the patch adds and that may wait for I/O."""
    fresh = (ask for ask in uncalled(diff.before.program, key, after) if diff.changed(ask.at, Side.AFTER))
    return (ask for ask in fresh if not ask.guessed and not ask.target and ask.klass in ("nofs", "full"))


def _gfp(ask: AllocationSite) -> str:
    return ask.gfp or KERNEL.masks.get(ask.klass, NOIO)


def _scene(found: Weakened, raw: str, scopes: Iterable[str]) -> Scene:
    scope = next((s for s in ("noio", "nofs") if s in scopes), "none")
    call = spoken_call(found.call).removesuffix("()")
    given = {"gfp": KERNEL.masks.get(raw, NOIO), "scope": scope, "call": call, "function": name_of(found.key)}
    given |= {"file": file_of(found.key), "device": found.device or "the device"}
    held, entered, kind = found.why.held, found.why.entered, found.why.kind
    where = "worker" if entered and entered.context in ("completion", "work", "thread") else "map"
    if kind == "runs" or held is None:
        return Scene.of("alloc_on_io_path", needs=found.needs, where=where, worker=found.worker, **given)
    lock = short(held.lock)
    if kind == "stopped":
        kept_out = next((g for g in KERNEL.api.lock if (g.field, g.mode) == (held.lock, "w")), None)
        given |= {"stop": kept_out.acquire[0]} if kept_out else {}
        given |= {"entry": found.user} if found.user and "request_queue" not in lock else {}
        return Scene.of("alloc_while_stopped", queue=lock, **given)
    given |= {"lock": lock, "taker": name_of(entered.chain[-1]) if entered else "", "worker": found.worker}
    given |= {"kind": "rwsem" if held.klass == "rwsem" else "mutex", "needs": found.needs, "where": where}
    given |= {"held_for": "read" if held.mode == "r" else "write"}
    return Scene.of("alloc_under_lock", reclaims=bool(entered and entered.context == "reclaim"), **given)


def _words(
    diff: Diff, was: AllocationSite | None, ask: AllocationSite, why: Dependence, needs: str, lost: Sequence[str]
) -> Words:
    function, who = ask.at.function, "I/O" if why.needs == "IO" else "writeback or reclaim"
    waits, verb = ("wait for I/O", "waits") if needs == "IO" else ("call filesystems and their shrinkers", "wait")
    name = diff.after.program.function
    root, taker = (name(why.entered.chain[i]).name for i in (0, -1)) if why.entered else ("", "")
    lock = short(why.held.lock) if why.held else ""
    mask = _gfp(ask) if not lost else f"{_gfp(ask)} outside of {KERNEL.scopes[lost[0]]}()"
    does = f"calls {spoken_call(ask.call)}{', which may allocate' if ask.guessed or ask.target else ''}"
    called_by = f"It is called by {root}(), and {who} waits for that"
    who_waits = f"{who[0].upper()}{who[1:]} waits for it to return" if root == function else called_by
    within = "" if root == taker else f" in {taker}()"
    counts = "which reclaim calls" if why.entered and why.entered.context == "reclaim" else f"which {who} waits for"
    reason, end = {
        "runs": (f"{who_waits}.", f", which in turn {verb} for {root}()"),
        "lock": (f"{lock} is held there, and {root}(), {counts}, takes it{within}.", f", which {verb} for {lock}"),
        "stopped": (f"{lock} is frozen there, so no I/O gets through.", " to the same device"),
    }[why.kind]  # fmt: skip
    kept = KERNEL.scopes[lost[0]] + "()" if lost else KERNEL.masks.get(was.klass, NOIO) if was else NOIO
    return Words(
        claim=f"{function}() {does} with {mask}. {reason} When memory is short the allocation may {waits}{end}.",
        setting="For example, when memory is short:",
        contrast=f"With {kept} this could not happen.",
    )
