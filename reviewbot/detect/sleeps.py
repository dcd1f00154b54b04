"""Sleeping where nobody may: what a change brings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, pairwise

from reviewbot.analysis.callgraph.contexts import ExecutionContext
from reviewbot.analysis.callgraph.pointer_flow import EntryPoint, visited
from reviewbot.analysis.code.expr import WORD, show, test
from reviewbot.analysis.code.identity import known
from reviewbot.analysis.events.kinds import Lock, Site, Unlock
from reviewbot.analysis.locks.plan import BH_OFF, IRQ_OFF
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect, own
from reviewbot.detect.edges import REAL
from reviewbot.detect.interrupts import Names
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.detect.sure import by_state, doubtful, named, on_request, one_face, one_run, way_in
from reviewbot.detect.waitfor import Edge, changed, edges, lock_class, providers
from reviewbot.function_key import FunctionKey, file_of, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import (
    MAX_CALLS_FROM_INTERRUPT,
    MAX_CALLS_TO_LOCK,
    MAX_DOUBTFUL_CYCLES,
    MAX_WAYS_DOWN,
)
from reviewbot.score import Doubt, Score
from reviewbot.types import Place, Value

SECTIONS = frozenset({"rcu", "preempt", "irq"})
"""Classes of what nobody spins for: a grace period waits for its end."""
OFF_IN = {"irq": IRQ_OFF, "bh": BH_OFF}
"""Section -> what is kept away inside of it."""
ALWAYS = frozenset({"reschedule", "sleep timeout", "full"})
"""Details of sleeps that wait for no state of an object."""
ATOMIC = frozenset(filter(KERNEL.atomic, REAL | SECTIONS))
"""Classes of locks, and of sections, in which nobody may sleep."""


class Atomic(Value, frozen=True):
    """A place that may sleep with a spinlock held."""

    key: FunctionKey
    lock: str
    klass: str
    kind: str
    object: str
    at: Place
    ends: Place
    call: str
    """What sleeps, as it is called."""
    other: str
    """Name of another function that takes the lock."""
    down: tuple[FunctionKey, ...] = ()
    """The functions below, to the one that sleeps, by key."""
    chain: tuple[FunctionKey, ...] = ()
    """Functions from the outermost caller that matters to this one, by key."""
    detail: str = ""
    """What its effect says, where only that counts: under a lock that may be a mutex."""
    doubts: tuple[Doubt, ...] = ()
    """Why it may not sleep there after all."""

    @property
    def function(self) -> str:
        """Name of the function."""
        return name_of(self.key)

    def holds(self, program: Program) -> bool:
        """Whether a side sleeps there."""
        if self.key not in program.names.functions:
            return False
        if self.klass == "interrupt":
            return any(effect.kind == self.kind for effect, _ in _asleep(program, self.key))
        found = (e for e in _under(program, self.key) if (e.lock.lock, e.effect.kind) == (self.lock, self.kind))
        return any(self.doubts or _judged(program, e) == () for e in found)


def sleeping(before: Program, after: Program, names: Names) -> Iterator[Atomic | Dropped]:
    """The places that sleep with a spinlock held, or in a section, since a change; between them what came to nothing.

    What a new function does is old where any function of its file did it. Of the doubtful ones the surest come last.
    """
    names = tuple(names)
    there = {(e.name, e.lock.lock, e.effect.kind) for k in _with_visited(before, names) for e in _under(before, k)}
    had: dict[str, frozenset[tuple[str, str]]] = {}
    unsure: list[Atomic] = []
    for key in _with_visited(after, names):
        old = frozenset[tuple[str, str]]()
        if key not in before.names.functions:
            old = had[file_of(key)] = had.get(file_of(key)) or _of_file(before, file_of(key))
        for edge in _under(after, key):
            what = edge.lock.lock, edge.effect.kind
            if (edge.name, *what) in there or what in old:
                continue
            if key not in before.names.functions and len(edge.chain) > 1:
                yield Dropped(edge, "a new function, and its caller is asked")
                continue
            edge = edge if one_run(after, edge) else way_in(after, edge) or edge
            doubts = _judged(after, edge)
            if isinstance(doubts, str):
                yield Dropped(edge, doubts)
            elif doubts:
                unsure.append(_found(after, edge, doubts))
            else:
                there.add((edge.name, *what))
                yield _found(after, edge)
    unsure = [one for one in unsure if (one.function, one.lock, one.kind) not in there]
    unsure.sort(key=lambda one: -Score(one.doubts).value)
    first = {(one.function, one.lock, one.kind): one for one in reversed(unsure)}
    yield from list(first.values())[::-1][:MAX_DOUBTFUL_CYCLES]


def _found(program: Program, edge: Edge, doubts: tuple[Doubt, ...] = ()) -> Atomic:
    takers = [k for k in providers(program).takers.get(edge.lock.lock, ()) if k != edge.key] or [edge.key]
    ends = edge.down[-1] if edge.down else edge.place
    return Atomic(
        key=edge.key,
        lock=edge.lock.lock,
        klass=edge.lock.klass,
        kind=edge.effect.kind,
        object=edge.effect.object,
        at=edge.place,
        ends=ends,
        call=_call(program, ends),
        other=name_of(takers[0]),
        down=tuple(place.key for place in edge.down),
        chain=edge.chain,
        detail="" if KERNEL.atomic(edge.lock.klass) else edge.effect.detail,
        doubts=doubts,
    )


def _with_visited(program: Program, names: Names) -> tuple[FunctionKey, ...]:
    """Functions, and those that they have an iterator call back with something held: what that is, they choose."""
    keys = changed(program, names)
    calls = (
        (program.body(key), call) for key in keys for call in program.body(key).calls if call.callee in KERNEL.holds
    )
    back = (visited(program.names, body, call) for body, call in calls)
    return tuple(dict.fromkeys((*keys, *(key for key in back if key is not None))))


def _of_file(program: Program, file: str) -> frozenset[tuple[str, str]]:
    """Locks with the kinds of sleeps under them, of a whole file."""
    return frozenset((e.lock.lock, e.effect.kind) for k in program.functions(file) for e in _under(program, k))


def interrupting(before: Program, after: Program, names: Names) -> Iterator[Atomic | Dropped]:
    """The places that sleep, since a change, in a function that interrupts, softirqs and ends of bios run; between them what
    came to nothing.

    Where tasks run it as well, it must not have slept at all before: else it knows when it may.
    """
    names = tuple(names)
    for key in changed(after, names):
        only, also = _interrupt(after, key), _interrupted(after, key)
        if not only and not also:
            continue
        slept = {effect.kind for effect, _ in _asleep(before, key)} if key in before.names.functions else set[str]()
        above = also or (key,)
        new = key not in before.names.functions
        awake = not only and (bool(slept) or new or _may_sleep(before, key))
        for effect, down in _asleep(after, key):
            kind, down = effect.kind, _taken(after, above, effect, down) or down
            at, ends = down[0], down[-1]
            lead = LeadPlace(at, f"may sleep in {only or _which(after, key)}, in {ends.function}()")
            if kind in slept:
                continue
            if new and len(also) != 1:
                yield Dropped(lead, "a new function, and its caller is asked")
            elif awake:
                yield Dropped(lead, "tasks run it as well, and it slept before")
            elif not only and any(on_request(after, one) for one in down):
                yield Dropped(lead, "a flag of the caller decides whether it comes there")
            elif not _goes(after, above, down):
                yield Dropped(lead, Doubt.RUN.says)
            else:
                slept.add(kind)
                call = _call(after, ends)
                yield Atomic(key, only or _which(after, key), "interrupt", kind, "", at, ends, call, "", (), above)


def _interrupt(program: Program, key: FunctionKey) -> str:
    """What a function runs in, where that is nothing but interrupts: an interrupt, a softirq; else empty."""
    found = {_runs_in(r) for r in program.entered(key)}
    only = {"hardirq", "softirq"}
    if not found or not found <= only or not {_runs_in(r) for r in program.roots(key)} <= only:
        return ""
    return "an interrupt" if "hardirq" in found else "a softirq"


def _interrupted(program: Program, key: FunctionKey) -> tuple[FunctionKey, ...]:
    """The few calls by name, none of them under a condition on the context, from an interrupt down to a function."""
    for context in program.entered(key):
        calls = list(pairwise(context.chain))
        near = len(calls) <= MAX_CALLS_FROM_INTERRUPT and _runs_in(context) in ("hardirq", "softirq")
        if near and named(program, context.chain) and all(_plainly(program, *call) for call in calls):
            return context.chain
    return ()


def _which(program: Program, key: FunctionKey) -> str:
    found = {_runs_in(context) for context in program.entered(key)}
    return "an interrupt" if "hardirq" in found else "a softirq"


def _plainly(program: Program, caller: FunctionKey, callee: FunctionKey) -> bool:
    """Whether a function calls another one under no condition on the context or of its caller's choice."""
    view = program.view(caller)
    calls = [made for made in view.made if callee in view.callgraph.reached(caller, made.call)]
    return any(
        not view.dominance.gates(made.block) and not on_request(program, view.place(made.call.line)) for made in calls
    )


def _may_sleep(program: Program, key: FunctionKey) -> bool:
    """Whether a function sleeps anywhere below, under whatever condition."""
    return any(sleeps(program, effect) for effect in program.does(key))


def _runs_in(root: ExecutionContext | EntryPoint) -> str:
    return root.context if root.slot not in KERNEL.words["bio_end"] else "hardirq"


def _asleep(program: Program, key: FunctionKey) -> Iterator[tuple[Effect, tuple[Place, ...]]]:
    """What sleeps in a function or not far below, and the lines down to it."""
    for effect, reason in program.does(key).items():
        if sleeps(program, effect) and not reason.gates:
            down = program.effects.chain(key, effect)
            if _plain(program, key, down):
                yield effect, down


def _plain(program: Program, key: FunctionKey, down: tuple[Place, ...]) -> bool:
    """Whether few calls by name lead down to what sleeps, and who may sleep is not asked there."""
    near = down and len(down) <= MAX_CALLS_TO_LOCK + 1 and named(program, (key, *(at.key for at in down[1:])))
    return bool(near) and not _stands_off(program, down[-1], "")


def _taken(
    program: Program, above: tuple[FunctionKey, ...], effect: Effect, down: tuple[Place, ...]
) -> tuple[Place, ...]:
    """The way down to what sleeps that one run can take which came by these calls: this one, or the first of some others."""
    others = islice(program.effects.ways(above[-1], effect), MAX_WAYS_DOWN)
    ways = chain([down], (way for way in others if _plain(program, above[-1], way)))
    return next((way for way in ways if _goes(program, above, way)), ())


def _goes(program: Program, above: tuple[FunctionKey, ...], down: tuple[Place, ...]) -> bool:
    """Whether one run can come by these calls, the last of which is of the function that a way down begins in, and go down."""
    return program.contexts.goes((*above, *(at.key for at in down[1:])), (down[-1].line,))


def _under(program: Program, key: FunctionKey) -> Iterator[Edge]:
    """What may sleep in a function, however far below, under something that does not allow it."""
    yield from edges(program, key, lambda effect: sleeps(program, effect), ATOMIC)
    for lock, classes in program.locksets.faces.items():
        if any(map(KERNEL.atomic, classes.split("/"))) and not KERNEL.atomic(classes):
            for edge in edges(program, key, lambda effect: sleeps(program, effect), REAL, lock):
                if _serves_both(program, edge):
                    yield edge


def _serves_both(program: Program, edge: Edge) -> bool:
    """Whether what sleeps under a lock that is a mutex or a spinlock, as its object says, does so in either case: the choice
    is this file's own, nothing asks for it, and the sleep does not wait for a state that only one of them can have."""
    if edge.down or edge.effect.detail not in ALWAYS:
        return False
    lock, file = edge.lock.lock, file_of(edge.key)
    choosing = [k for k, faces in program.locksets.choices.items() if any(_one(program, f, lock) for f, _ in faces)]
    if not choosing or any(file_of(k) != file for k in choosing):
        return False
    flags = {word for k in choosing for _, word in _conditions(program, k)}
    asked = (word for line, word in _conditions(program, edge.key) if line == edge.place.line)
    return flags.isdisjoint(asked)


def _one(program: Program, face: str, lock: str) -> bool:
    return program.locksets.alternatives.get(face, face) == lock


def _conditions(program: Program, key: FunctionKey) -> Iterator[tuple[int, str]]:
    """The line of each call of a function, with the last word of what is asked before it: `no_sleep` of `c->no_sleep`."""
    if key in program.names.functions:
        view = program.view(key)
        for made in view.made:
            for when, _ in view.dominance.conditions(made.block):
                yield from ((made.call.line, word) for word in WORD.findall(show(test(when).value))[-1:])


def _judged(program: Program, edge: Edge) -> tuple[Doubt, ...] | str:
    """What is in doubt about a sleep under something that does not allow it, or why it is none."""
    if _on_condition(program, edge):
        return "it stands under a condition on who may sleep"
    if edge.lock.klass in SECTIONS and not _inside(program, edge):
        return "the section may have ended"
    doubts = list(doubtful(program, edge))
    if Doubt.RUN in doubts:
        return Doubt.RUN.says
    if len(edge.down) > MAX_CALLS_TO_LOCK:
        doubts.append(Doubt.DEPTH)
    if by_state(program, edge):
        doubts.append(Doubt.STATE)
    if _asked_for(program, edge):
        doubts.append(Doubt.ASKED)
    if not named(program, (edge.key, *(at.key for at in edge.down))):
        doubts.append(Doubt.POINTER)
    if any(_drops_what_it_was_handed(program, k) for k in edge.chain):
        doubts.append(Doubt.GIVEN_BACK)
    if _only_tried(program, edge):
        doubts.append(Doubt.UNSEEN)
    return tuple(doubts)


def _only_tried(program: Program, edge: Edge) -> bool:
    """Whether all code takes a lock only where it is free: then nobody spins for it."""
    lock, found = edge.lock.lock, providers(program)
    if not program.names.own(lock) or found.takers.get(lock) or found.passers.get(lock):
        return False
    return any(
        isinstance(f, Lock) and f.lock == lock and f.how == "try" for k in edge.chain for f in program.own_facts(k)
    )


def _inside(program: Program, edge: Edge) -> bool:
    """Whether interrupts or softirqs are still off: spin_unlock_irq() turns on what local_irq_disable() had turned off."""
    if (off := OFF_IN.get(edge.lock.lock)) is None:
        return True
    sites = [m.at for m in program.view(edge.key).made if m.call.line == edge.place.line]
    above = {name for way in program.entry(edge.key) if way.chain == edge.chain for name in way.off}
    return any(off in at.off or (off in above and off not in at.on) for at in sites)


def _asked_for(program: Program, edge: Edge) -> bool:
    """Whether a function below the one that takes the lock goes on only where its caller asks for it by a flag."""
    lock, places = edge.lock.lock, (edge.place, *edge.down)
    chain = (*edge.chain, *(at.key for at in edge.down))
    told = program.contexts.constants(chain)[len(edge.chain) - 1 :]
    return any(
        on_request(program, at, constants)
        for at, constants in zip(places, told, strict=True)
        if not any(isinstance(f, Lock) and f.lock == lock for f in program.own_facts(at.key))
    )


def _drops_what_it_was_handed(program: Program, key: FunctionKey) -> bool:
    """Whether a function gives back a lock that it knows as a parameter only: which one that is, its caller decides."""
    return any(isinstance(f, Unlock) and not known(f.lock) for f in program.own_facts(key))


def sleeps(program: Program, effect: Effect) -> bool:
    """Whether an effect may sleep, whoever is awake."""
    match effect.kind:
        case "lock":
            klass = lock_class(program, effect.object)
            return bool(klass) and all(KERNEL.sleeping(k) for k in klass.split("/"))
        case "wait":
            return effect.detail.split(" ")[0] in (
                "event",
                "completion",
                "io",
                "bit",
                "freeze",
                "dispatch",
                "rcu",
                "sleep",
                "reschedule",
            )
        case "memory":
            return effect.detail in ("full", "nofs", "noio")
        case "flush":
            return effect.detail in ("work", "workqueue", "thread", "irq")
        case "io":
            return True
    return False


def _on_condition(program: Program, edge: Edge) -> bool:
    """Whether the sleep stands under a condition on who may sleep."""
    return _stands_off(program, edge.down[-1] if edge.down else edge.place, edge.lock.lock)


def _stands_off(program: Program, last: Place, lock: str) -> bool:
    key = last.key
    if one_face(program, last):
        return True
    for fact in program.own_facts(key):
        if isinstance(fact, Site) and fact.at.line == last.line and fact.gates:
            return True
    taken = {f.lock for f in program.own_facts(key) if isinstance(f, Lock)}
    return lock not in taken and on_request(program, last)


def _call(program: Program, at: Place) -> str:
    """The call at a line that sleeps, by its name."""
    key = at.key
    if key in program.names.functions:
        for fact in program.own_facts(key):
            if isinstance(fact, Site) and fact.at.line == at.line and any(sleeps(program, e) for e in own([fact])):
                return f"{fact.call}()"
    return f"{at.function}()"


__all__ = ["SECTIONS", "Atomic", "interrupting", "sleeping", "sleeps"]
