"""What is set up for later allocations no longer keeps them from recursing.

Why it hangs
    The page cache of a backing file, a socket that carries I/O, a cipher that I/O is encrypted with: each allocates
    while I/O waits for it. The mask is set once, far away from these allocations. So it is with a memalloc scope that a
    function leaves open for its callers. Without it reclaim waits for the I/O that waits for the allocation.
Reported when
    a mask that is set for a mapping or a socket gets wider, or is not set any more; a cipher of a driver on the I/O path
    may be one that allocates (CRYPTO_ALG_ALLOCATES_MEMORY is not excluded any more); a function does not return any
    more within the scope that its callers relied on.
Not reported
    Masks in code that neither I/O nor writeback ever enters.
Known gaps
    Which lock is held over the later allocation is not looked for.
"""

from collections.abc import Iterable, Iterator

from reviewbot.rule import (
    KERNEL,
    RANK,
    Candidate,
    Diff,
    Exit,
    Mask,
    Remedy,
    Rule,
    Scene,
    Value,
    Version,
    Words,
    called,
    drained,
    key_of,
    known,
    lives,
    passes,
    serves,
    short,
)

NOIO = KERNEL.masks["noio"]
WHAT = {
    "mapping": "the page cache of {name}",
    "socket": "the socket",
    "cipher": "the cipher in {name}",
}

CALL = {group.of: group.asks for group in KERNEL.api.mask}


class Widened(Value, frozen=True):
    """A mask that got wider: of what, where it is set, and who needs the narrow one for what."""

    of: str
    name: str
    function: str
    file: str
    needs: str
    was: str
    user: str
    device: str
    counter: str = ""
    waiter: str = ""


class GfpMask(Rule[Widened]):
    """See the head of the file."""

    id = "gfp-mask"
    guarantee = "allocation that does not recurse"
    checked = "masks of mappings, sockets and ciphers"
    needs = (Mask,)

    def check(self, diff: Diff) -> Iterator[Candidate[Widened]]:
        for fact in diff.removed[Mask]:
            after = _masks(diff.after, fact.at.file, fact.function, fact.of, fact.object)
            klass = max((f.klass for f in after), key=RANK.__getitem__, default="full")
            life = lives(diff.after.program, fact.at.file)
            gone = fact.function in {
                diff.after.program.function(k).name for k in diff.after.program.functions(fact.at.file)
            }
            if RANK[klass] > RANK[fact.klass] and life and gone and (fact.of == "mapping" or life == "IO"):
                yield from self._found(diff, fact, after, klass, life)
        for exit in diff.removed[Exit]:
            scopes = [h.lock for h in exit.takes if h.klass == "scope" and h.lock in ("noio", "nofs")]
            still = diff.after.program.may_leave(exit.key) & set(scopes)
            life = lives(diff.after.program, exit.at.file)
            if scopes and not still and life and diff.before.scopes(exit.key):
                yield from self._left(diff, exit, scopes[0], life)

    def _found(self, diff: Diff, fact: Mask, after: list[Mask], klass: str, life: str) -> Iterator[Candidate[Widened]]:
        needs = "FS" if fact.klass == "nofs" else life
        what = WHAT[fact.of].format(name=short(fact.object) if known(fact.object) else fact.object)
        user, device = _user(diff.after, fact, needs), called(diff.after.program, fact.at.file)
        yield from self.candidate(
            diff,
            Widened(fact.of, fact.object, fact.function, fact.at.file, needs, fact.klass, user, device),
            f"{what} may allocate with {KERNEL.masks.get(klass, NOIO)}",
            _words(what, klass, fact.klass, needs, user, device),
            after=[f.at for f in after],
            before=[fact.at],
            object=fact.object,
            facts=[fact, *after],
        )

    def _left(self, diff: Diff, exit: Exit, scope: str, life: str) -> Iterator[Candidate[Widened]]:
        key, needs = exit.key, "FS" if scope == "nofs" else "IO"
        what = f"what is done after {exit.function}()"
        user, device = passes(diff.after.program, exit.at.file, needs), called(diff.after.program, exit.at.file)
        counter, waiter = drained(diff.after.program, key) or ("", "")
        counter, counted = short(counter) if counter else "", ""
        if counter:
            counted = f"{exit.function}() raises {counter}, and {waiter}() waits until that is 0 again."
        name, file = exit.function, exit.at.file
        yield from self.candidate(
            diff,
            Widened("callers", name, name, file, needs, scope, user, device, counter, waiter),
            f"{exit.function}() returns without memalloc_{scope}_save() in effect",
            _words(what, "full", scope, needs, waiter or user, device, counted),
            before=[f.at for f in diff.before.scopes(key) if f.lock == scope],
            object=exit.function,
            facts=[exit],
        )

    def scenes(self, candidate: Candidate[Widened], side: Version) -> Iterable[Scene]:
        found = candidate.about
        own = side.facts.of(found.function)
        if found.of == "callers":
            held = {h.lock for e in own[Exit] for h in e.takes}
            klass = next((s for s in ("noio", "nofs") if s in held), "full")
        else:
            set_ = _masks(side, found.file, found.function, found.of, found.name)
            klass = max((f.klass for f in set_), key=RANK.__getitem__, default="full")
        yield _scene(found, klass)

    def remedies(self, candidate: Candidate[Widened], side: Version) -> Iterable[Remedy]:
        found = candidate.about
        text = {
            "cipher": "Keep CRYPTO_ALG_ALLOCATES_MEMORY in the mask, so that such ciphers are not chosen.",
            "callers": f"Keep memalloc_{found.was}_save() in {found.function}().",
        }.get(found.of, f"Keep the mask at {KERNEL.masks.get(found.was, NOIO)}.")
        yield Remedy(text=text, scene=_scene(found, found.was))


def _masks(side: Version, file: str, function: str, of: str, object: str) -> list[Mask]:
    """What a function sets an object's mask to, by itself or else through a function that it calls."""
    own: list[Mask] = [f for f in side.facts.of(function)[Mask] if (f.of, f.object) == (of, object)]
    callees = side.program.callees(key) if (key := key_of(file, function)) in side.program.names.functions else ()
    below = [f for k in callees for f in side.program.own_facts(k) if isinstance(f, Mask)]
    return own or [f for f in below if (f.of, f.object) == (of, object)]


def _user(side: Version, fact: Mask, needs: str) -> str:
    """A function that works with the object while I/O waits for it."""
    file, program = fact.at.file, side.program
    if fact.of == "mapping":
        return passes(program, file, needs)
    setter = key_of(file, fact.function)
    near = [setter, *(k for k in program.functions(file) if known(fact.object) and side.reads(k, fact.object))]
    found = [k for k in near if k in program.names.functions and serves(program, k)]
    return program.function(found[0]).name if found else passes(program, file, needs)


def _scene(found: Widened, klass: str) -> Scene:
    given = {"gfp": KERNEL.masks.get(klass, NOIO), "needs": found.needs, "file": found.file}
    given |= {"device": found.device} if found.device else {}
    if found.counter:
        return Scene.of(
            "alloc_while_counted", counter=found.counter, function=found.function, waiter=found.waiter, **given
        )
    where = {"where": "map"} if found.needs == "FS" else {}
    call = CALL.get(found.of, "kmalloc")
    return Scene.of("alloc_on_io_path", call=call, function=found.user or found.function, **where, **given)


def _words(what: str, klass: str, was: str, needs: str, user: str, device: str, counted: str = "") -> Words:
    waits, promise = ("wait for I/O", "wait for I/O")
    if needs == "FS":
        waits, promise = f"call {device or 'the filesystem'} again", "call filesystems"
    turn = f", which in turn waits for {user}()" if user and counted else ""
    who = f", and {user}() needs it for I/O" if user and not counted else ""
    return Words(
        claim=f"{what[0].upper()}{what[1:]} may allocate with {KERNEL.masks.get(klass, NOIO)}{who}. {counted}"
        f"{' ' if counted else ''}When memory is short the allocation may {waits}{turn}.",
        setting="For example, when memory is short:",
        contrast=f"With {KERNEL.masks.get(was, NOIO)} reclaim does not {promise}, so this could not happen.",
    )
