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

from reviewbot.rule import Diff, Exit, Finding, Mask, Remedy, Rule, Scene, Version, Words, known, lives, passes, short

RANK = {"nowait": 0, "atomic": 0, "noio": 1, "nofs": 2, "full": 3}
GFP = {"full": "GFP_KERNEL", "nofs": "GFP_NOFS"}
WHAT = {
    "mapping": "the page cache of {name}",
    "socket": "the socket",
    "cipher": "the cipher in {name}",
    "callers": "what runs between {name}() and its counterpart",
}


CALL = {"mapping": "filemap_alloc_folio", "socket": "alloc_skb"}


class GfpMask(Rule):
    """See the head of the file."""

    id = "gfp-mask"
    guarantee = "allocation that does not recurse"
    checked = "masks of mappings, sockets and ciphers"
    needs = (Mask,)

    def check(self, diff: Diff) -> Iterator[Finding]:
        for fact in diff.removed[Mask]:
            after = _masks(diff.after, fact.at.file, fact.function, fact.of, fact.object)
            klass = max((f.klass for f in after), key=RANK.__getitem__, default="full")
            life = lives(diff.after.world, fact.at.file)
            gone = fact.function in {
                diff.after.world.function(k).name for k in diff.after.world.functions(fact.at.file)
            }
            if RANK[klass] > RANK[fact.klass] and life and gone and (fact.of == "mapping" or life == "IO"):
                yield from self._found(diff, fact, after, klass, life)
        for exit in diff.removed[Exit]:
            scopes = [h.lock for h in exit.takes if h.klass == "scope" and h.lock in ("noio", "nofs")]
            still = [e for e in diff.after.facts.of(exit.function)[Exit] if any(h.lock in scopes for h in e.takes)]
            life = lives(diff.after.world, exit.at.file)
            if scopes and exit.agreed and not still and life and diff.before.scopes(f"{exit.at.file}:{exit.function}"):
                yield from self._left(diff, exit, scopes[0], life)

    def _found(self, diff: Diff, fact: Mask, after: list[Mask], klass: str, life: str) -> Iterator[Finding]:
        needs = "FS" if fact.klass == "nofs" else life
        what = WHAT[fact.of].format(name=short(fact.object) if known(fact.object) else fact.object)
        yield from self.finding(
            diff,
            f"{what} may allocate with {GFP.get(klass, 'GFP_NOIO')}",
            _words(what, klass, fact.klass, needs),
            after=[f.at for f in after],
            before=[fact.at],
            object=fact.object,
            facts=[fact, *after],
            of=fact.of, name=fact.object, function=fact.function, file=fact.at.file, needs=needs, what=what, was=fact.klass,
            user=passes(diff.after.world, fact.at.file),
        )  # fmt: skip

    def _left(self, diff: Diff, exit: Exit, scope: str, life: str) -> Iterator[Finding]:
        needs = "FS" if scope == "nofs" else "IO"
        what = WHAT["callers"].format(name=exit.function)
        yield from self.finding(
            diff,
            f"{exit.function}() returns without memalloc_{scope}_save() in effect",
            _words(what, "full", scope, needs),
            before=[f.at for f in diff.before.scopes(f"{exit.at.file}:{exit.function}") if f.lock == scope],
            object=exit.function,
            facts=[exit],
            of="callers", name=exit.function, function=exit.function, file=exit.at.file, needs=needs, what=what, was=scope,
            user=passes(diff.after.world, exit.at.file),
        )  # fmt: skip

    def scenes(self, finding: Finding, side: Version) -> Iterable[Scene]:
        get, klass = finding.get, "full"
        own = side.facts.of(get("function"))
        if get("of") == "callers":
            held = {h.lock for e in own[Exit] for h in e.takes if e.agreed}
            klass = next((s for s in ("noio", "nofs") if s in held), "full")
        else:
            set_ = _masks(side, get("file"), get("function"), get("of"), get("name"))
            klass = max((f.klass for f in set_), key=RANK.__getitem__, default="full")
        yield _scene(finding, klass)

    def remedies(self, finding: Finding, side: Version) -> Iterable[Remedy]:
        text = {
            "cipher": "Leave CRYPTO_ALG_ALLOCATES_MEMORY in the mask, so that such ciphers are not chosen.",
            "callers": f"Keep memalloc_{finding.get('was')}_save() there.",
        }.get(finding.get("of"), f"Keep the mask within {GFP.get(finding.get('was'), 'GFP_NOIO')}.")
        yield Remedy(text=text, scene=_scene(finding, finding.get("was")))


def _masks(side: Version, file: str, function: str, of: str, object: str) -> list[Mask]:
    """What a function sets an object's mask to, by itself or else through a function that it calls."""
    own: list[Mask] = [f for f in side.facts.of(function)[Mask] if (f.of, f.object) == (of, object)]
    callees = side.world.callees(key) if (key := f"{file}:{function}") in side.world.names.functions else ()
    below = [f for k in callees for f in side.world.own_facts(k) if isinstance(f, Mask)]
    return own or [f for f in below if (f.of, f.object) == (of, object)]


def _scene(finding: Finding, klass: str) -> Scene:
    given = {"gfp": GFP.get(klass, "GFP_NOIO"), "needs": finding.get("needs"), "file": finding.get("file")}
    if finding.get("needs") == "FS":
        inside = (
            f"what {finding.get('name')}() hands out" if finding.get("of") == "callers" else "the filesystem's lock"
        )
        return Scene.of(
            "alloc_under_lock", lock=inside, call="kmalloc", function="a user of it", taker="writepages", **given
        )
    call = CALL.get(finding.get("of"), "kmalloc")
    return Scene.of("alloc_on_io_path", call=call, function=finding.get("user") or "the driver", **given)


def _words(what: str, klass: str, was: str, needs: str) -> Words:
    waits = "waits for I/O" if needs == "IO" else "calls filesystems and their shrinkers"
    who = "I/O waits for that allocation" if needs == "IO" else "writeback needs what is held over that allocation"
    return Words(
        claim=f"{what[0].upper()}{what[1:]} may allocate with {GFP.get(klass, 'GFP_NOIO')}: reclaim then {waits}, and {who}.",
        setting="For example, while memory is short:",
        contrast=f"Within {GFP.get(was, 'GFP_NOIO')} reclaim does not wait for that.",
    )
