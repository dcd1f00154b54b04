"""I/O dependence: why I/O, writeback or reclaim cannot go on before a function does. It runs for them, or it holds what
they take."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from reviewbot.analysis.callgraph.contexts import ExecutionContext
from reviewbot.analysis.code import gfp
from reviewbot.analysis.code.expr import bare, parts
from reviewbot.analysis.code.identity import Scope, known, owner, scope
from reviewbot.analysis.events.kinds import Allocation, Held, Lock, Submit, Take, Wait, Write
from reviewbot.analysis.producers.view import View
from reviewbot.analysis.questions.allocation_sites import AllocationSite, resolved
from reviewbot.csource.ir import Const, Name, OpExpr
from reviewbot.function_key import NO_FUNCTION, FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_CALLS_FROM_BIO, MAX_LONGER_CONTEXT_CHAIN, MAX_THREAD_TO_IO
from reviewbot.types import Place

if TYPE_CHECKING:
    from reviewbot.analysis.program.program import Program

_RANK = {context: rank for rank, context in enumerate(KERNEL.needs)}


class Dependence(NamedTuple):
    """One reason why I/O or writeback depends on a function.

    kind: `runs` (it runs for I/O itself, in `entered`), `lock` (it holds `held`, which `taker` takes in the context
    `entered`), `stopped` (it has frozen the queue `held`; `entered` may be missing). needs: whether block I/O waits, or
    the filesystem too.
    """

    kind: Literal["runs", "lock", "stopped"]
    needs: Literal["IO", "FS"]
    entered: ExecutionContext | None
    held: Held | None = None
    taker: FunctionKey = NO_FUNCTION
    """Key of the function that takes the lock."""
    some: bool = False
    """Whether the lock is held on some of the ways in only."""

    def places(self, program: Program) -> list[Place]:
        """The functions on the way in, the outermost one first."""
        names = program.names.functions
        chain = self.entered.chain if self.entered else ()
        return [Place(program.names.file[key], names[key].line, names[key].name) for key in chain]


def serves(program: Program, key: FunctionKey) -> ExecutionContext | None:
    """The context in which a function runs for I/O or writeback: theirs, or a work item or thread that I/O waits for."""
    plainest = sorted(program.entered(key), key=lambda e: (_RANK.get(e.context, len(_RANK)), len(e.chain)))
    return next((e for e in plainest if _matters(program, e)), None)


def _matters(program: Program, entered: ExecutionContext) -> bool:
    if entered.context == "work":
        return entered.runner in program.awaited
    if entered.slot in KERNEL.slots and KERNEL.slots[entered.slot].awaited:
        return True
    if entered.context == "thread":
        return not entered.slot and len(entered.chain) <= MAX_THREAD_TO_IO and _ends(program, entered.chain[0])
    return entered.context in KERNEL.needs


def _needs(entered: ExecutionContext) -> Literal["IO", "FS"]:
    return "IO" if KERNEL.needs.get(entered.context) == "IO" else "FS"


def _ends(program: Program, key: FunctionKey) -> bool:
    """Whether a thread ends bios or requests close by: somebody waits for these."""
    ends = [e for e in program.does(key) if e.kind == "finish" and e.detail in ("bio", "request")]
    return any(len(program.effects.chain(key, e)) < MAX_THREAD_TO_IO for e in ends)


def way(
    program: Program, key: FunctionKey, held: Iterable[Held] = (), needs: str = "IO", more: tuple[str, str] = ("", "")
) -> Dependence | None:
    """The plainest reason why a place of a function must not wait for I/O or filesystems; None without one.

    held: the locks there, those of the callers are added. needs: `IO` wants a reason on the block layer's side, `FS` is
    content with writeback and reclaim, and prefers them. more: gfp classes (before, now) of an allocation there: a way
    in whose scopes leave no more than there was before is no reason.
    """
    found = [*_runs(program, key, more), *_blocks(program, key, tuple(held), more)]
    fit = [w for w in found if needs == "FS" or w.needs == "IO"]
    return min(fit, key=lambda w: _plainness(w, needs), default=None)


def _covered(scopes: Iterable[str], more: tuple[str, str]) -> bool:
    was, now = more
    return bool(now) and gfp.RANK[gfp.scoped(now, scopes)] <= gfp.RANK.get(was, gfp.RANK["noio"])


def _around(program: Program, chain: tuple[FunctionKey, ...]) -> set[str]:
    """The memalloc scopes that all calls of a chain are within."""
    found: set[str] = set()
    for caller, callee in pairwise(chain):
        held = [{h.lock for h in at if h.klass == "scope"} for who, at, _ in program.calls_of(callee) if who == caller]
        found |= set.intersection(*held) if held else set()
    return found


def _plainness(found: Dependence, needs: str) -> tuple[bool, int, int, int]:
    kind = ("stopped", "runs", "lock").index(found.kind)
    if found.entered is None:
        return False, 0, kind, 0
    length = len(found.entered.chain) + MAX_LONGER_CONTEXT_CHAIN * (kind > 1) + MAX_LONGER_CONTEXT_CHAIN * found.some
    return found.needs != needs, length, kind, _RANK[found.entered.context]


def _runs(program: Program, key: FunctionKey, more: tuple[str, str]) -> Iterator[Dependence]:
    """The function itself runs for I/O or writeback; reclaim is none: it does not start again within itself."""
    for entered in program.entered(key):
        if entered.context == "reclaim" or not _matters(program, entered):
            continue
        if not _covered(_around(program, entered.chain), more):
            yield Dependence("runs", _needs(entered), entered)


def _blocks(program: Program, key: FunctionKey, held: tuple[Held, ...], more: tuple[str, str]) -> Iterator[Dependence]:
    """It holds, or its callers do, what I/O, writeback or reclaim takes, or a queue that is frozen."""
    locks: dict[Held, None] = {}
    always = {h.lock for h in held} | program.surely_held(key)
    for entry in program.entry(key):
        if not _covered([h.lock for h in (*entry.held, *held) if h.klass == "scope"], more):
            locks.update(dict.fromkeys((*held, *entry.held)))
    for lock in locks:
        if lock.klass == "queue" and lock.mode == "w":
            yield Dependence("stopped", "IO", None, lock)
        for taker, mode in program.taken.get(lock.lock, ()) if _slept_for(lock) else ():
            if (mode == "r" and lock.mode == "r") or _by_flag(program, taker, lock.lock):
                continue  # readers do not keep readers out
            for entered in program.entered(taker):
                if _matters(program, entered) and _reached(program, entered, lock.lock, more):
                    yield Dependence("lock", _needs(entered), entered, lock, taker, lock.lock not in always)


def _slept_for(lock: Held) -> bool:
    """Whether I/O or reclaim can sleep for a lock that a task holds: one that is known, and no page or queue.

    Who writes pages out has no process's memory map, and is let into every filesystem.
    """
    if not KERNEL.sleeping(lock.klass) or lock.klass in ("page", "queue") or not known(lock.lock):
        return False
    return scope(lock.lock) is not Scope.STACK and lock.lock not in KERNEL.written


def _reached(program: Program, entered: ExecutionContext, lock: str, more: tuple[str, str]) -> bool:
    """Whether an allocation that may do more than before gets to wait for who takes a lock in a context, as it did not
    before.

    Reclaim enters filesystems by their shrinkers, evictions and releases of pages, and writes no file out itself. Who
    evicts an object has its last reference, so that nobody else holds a lock of that. What only I/O needs was waited for
    as long as I/O was allowed.
    """
    was, _ = more
    if not was:
        return True
    if _needs(entered) == "IO":
        return gfp.RANK[was] <= gfp.RANK["noio"]
    if entered.context != "reclaim":
        return not entered.slot  # what writers wait for in the end, as those do whom reclaim enters
    last = KERNEL.slots[entered.slot].evicts if entered.slot in KERNEL.slots else ""
    return not last or not program.names.part(owner(lock), last)


def _by_flag(program: Program, key: FunctionKey, lock: str) -> bool:
    """Whether a function takes a lock only where a flag of its caller asks for it: who sets that is not told."""
    view = program.view(key)
    lines = {f.at.line for f in program.own_facts(key) if isinstance(f, Lock) and f.lock == lock}
    blocks = [made.block for made in view.made if made.call.line in lines]
    tested = [[part for w, yes in view.dominance.conditions(b) if yes for part in parts(w)] for b in blocks]
    flagged = [any(isinstance(p, OpExpr) and p.op == "&" and _handed(view, p) for p in found) for found in tested]
    return bool(flagged) and all(flagged)


def _handed(view: View, masked: OpExpr) -> bool:
    return any(isinstance(arg, Name) and arg.name in view.body.parameters for arg in map(bare, masked.args))


def above(program: Program, key: FunctionKey) -> Iterator[Held]:
    """The locks that some caller holds when a function is entered: those of all its entry locksets."""
    for entry in program.entry(key):
        yield from entry.held


def lives(program: Program, path: str) -> Literal["", "IO", "FS"]:
    """What passes through the code of a file's directory: block I/O (`IO`), the writing of a filesystem (`FS`), nothing.

    A driver says so in the file itself; a filesystem, somewhere in its directory.
    """
    folder = posixpath.dirname(path)
    found: Literal["", "IO", "FS"] = ""
    for placed in (placed for places in program.callgraph.placed_in.values() for placed in places):
        slot = KERNEL.slots.get(placed.slot)
        if slot is None or posixpath.dirname(placed.file) != folder:
            continue
        if slot.context == "io_path" and placed.file == path:
            return "IO"
        if slot.context in ("writeback", "reclaim"):
            found = "FS"
    return found


def stacks(program: Program, path: str) -> bool:
    """Whether drivers in a file's directory can stand on each other: one of them passes bios on to devices below."""
    folder = posixpath.dirname(path)
    return any(
        placed.slot in KERNEL.stacked and posixpath.dirname(placed.file) == folder
        for places in program.callgraph.placed_in.values()
        for placed in places
    )


def _for_io(wait: Wait) -> bool:
    return not wait.timeout and not wait.announce and (wait.io or wait.klass in ("io", "bit"))


def holders(program: Program, lock: str, path: str) -> tuple[str, Place, str] | None:
    """Where, in a file or its folder, a task waits with a lock held: (`allocates` or `waits for I/O`, the place, the
    gfp mask of that); None when nowhere is found.

    The file itself comes first, then the allocation whose mask allows least: even that one calls a shrinker that does
    not look at its mask.
    """
    found = []
    folder = posixpath.dirname(path)
    near = (p for p in program.names.units if posixpath.dirname(p) == folder)
    for key in (key for p in near for key in program.functions(p)):
        other = program.names.file[key] != path
        inside = lock in {h.lock for h in above(program, key)}
        for fact in program.own_facts(key):
            if not isinstance(fact, Allocation | Take | Wait | Submit):
                continue
            if lock not in fact.dropped and (inside or fact.holds(lock)):
                found += [(other, *wait) for wait in _waits(program, key, fact)]
    return min(found)[3:] if found else None


def _waits(
    program: Program, key: FunctionKey, fact: Allocation | Take | Wait | Submit
) -> list[tuple[int, int, str, Place, str]]:
    """How a task waits at a fact: two numbers that are low for what says most, then as `holders` has it."""
    if isinstance(fact, Allocation | Take):
        within = [h.lock for h in fact.held if h.klass == "scope"]
        kinds = {gfp.scoped(k, within) for mask in fact.gfp for k in resolved(program, key, mask)}
        handed = 2 * any("$" in mask for mask in fact.gfp)  # which caller hands it in is not told
        told = sorted(k for k in kinds if k in KERNEL.masks)
        return [(handed, gfp.RANK[k], "allocates", fact.at, KERNEL.masks[k]) for k in told]
    if fact.waits if isinstance(fact, Submit) else _for_io(fact):
        return [(1, 0, "waits for I/O", fact.at, KERNEL.masks["noio"])]
    return []


def stacked(slot: str) -> bool:
    """Whether a bio comes to a driver through the slot while its submitter's other bios wait on current->bio_list."""
    return slot in KERNEL.stacked


def handlers(program: Program, work: str) -> tuple[FunctionKey, ...]:
    """Keys of the functions that a work item runs."""
    return tuple(sorted({bound.handler for bound in program.callgraph.bound if bound.work == work}))


def passes(program: Program, path: str, needs: str = "IO") -> str:
    """Name of the function by which block I/O comes into a file (or, with `FS`, by which the filesystem of its folder
    writes pages out); empty without one."""
    context = "io_path" if needs == "IO" else "writeback"
    for places in program.callgraph.placed_in.values():
        for placed in places:
            slot = KERNEL.slots.get(placed.slot)
            near = placed.file == path or (needs == "FS" and posixpath.dirname(placed.file) == posixpath.dirname(path))
            if slot is not None and slot.context == context and near:
                return program.function(placed.handler).name
    return ""


def drained(program: Program, key: FunctionKey) -> tuple[str, str] | None:
    """(counter, name of the function that waits) for a counter that a function raises and that somebody in its folder
    waits to see low again; None without one."""
    raised = {f.object for f in program.own_facts(key) if isinstance(f, Write) and f.op == "+" and known(f.object)}
    folder = posixpath.dirname(program.names.file[key])
    for sleeper in sorted(program.sleepers) if raised else ():
        near = posixpath.dirname(program.names.file[sleeper]) == folder
        for fact in program.own_facts(sleeper) if near else ():
            if isinstance(fact, Wait) and not fact.timeout and (counters := raised & set(fact.reads)):
                return min(counters), program.function(sleeper).name
    return None


def called(program: Program, path: str) -> str:
    """The name that people use for what a file drives: `dm-verity`, `raid1`, `xfs`; empty where the code does not
    say."""
    folder = posixpath.dirname(path)
    for named in KERNEL.called:
        near = [p for p in program.names.units if posixpath.dirname(p) == folder] if named.folder else [path]
        slots = [slot for p in near if p in program.names.units for slot in program.names.units[p].slots]
        found = {
            s.value.text.strip('"') for s in slots if f"{s.type}.{s.field}" == named.slot and isinstance(s.value, Const)
        }
        own = found & {posixpath.basename(folder)} or found  # tests bring types of their own
        if len(own) == 1:
            return named.form.replace("{}", own.pop())
    return ""


def near_io(reason: Dependence) -> bool:
    """Whether a bio or request comes to a function in few steps: what judging a call that is new asks for."""
    entered = reason.entered
    near = entered is not None and entered.context == "io_path" and len(entered.chain) <= MAX_CALLS_FROM_BIO
    return reason.kind == "runs" and near


def newly_locked(
    program: Program, key: FunctionKey, before: Sequence[AllocationSite], after: Sequence[AllocationSite]
) -> Iterator[tuple[AllocationSite, Dependence]]:
    """Calls of a function that ask for as much memory as they did, now with a lock held that I/O, writeback or reclaim takes,
    with that reason. before, after: the calls on both sides; program: that of the side after."""
    for ask in after:
        old = [was for was in before if was.call == ask.call]
        if ask.guessed or ask.target or ask.klass not in ("nofs", "full") or not old:
            continue
        had = {h.lock for was in old for h in (*was.held, *was.maybe)} | program.surely_held(key)
        new = tuple(h for h in ask.held if h.lock not in had and KERNEL.sleeping(h.klass))
        reason = way(program, key, new, "FS" if ask.klass == "full" else "IO", ("noio", ask.klass)) if new else None
        if reason and reason.kind == "lock" and reason.held in new:
            yield ask, reason
