"""What a function does in all, through its calls: waits, locks, memory, reserves, I/O, work it queues.

An effect is symbolic where a caller decides (`$1` for what the second argument points to, a gfp mask handed down), and
is bound at each call; memalloc scopes around the call weaken its memory. Every effect keeps the call it came through,
so that the chain down to the line that has it can be told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from reviewbot.analysis.callgraph.agenda import Agenda
from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.callgraph.components import components
from reviewbot.analysis.code import gfp
from reviewbot.analysis.code import identity as objects
from reviewbot.analysis.code.memo import Before, Given, MemoTable, unknown
from reviewbot.analysis.events.kinds import (
    Allocation,
    Fact,
    Finish,
    Flush,
    Held,
    Lock,
    Queue,
    Site,
    Submit,
    Take,
    Wait,
    Wake,
)
from reviewbot.analysis.locks.lockset import Locksets
from reviewbot.analysis.producers.allocations import scopes
from reviewbot.analysis.producers.view import Made, View
from reviewbot.analysis.summaries.arguments import Arguments, details
from reviewbot.analysis.summaries.event_table import EventTable
from reviewbot.function_key import NO_FUNCTION, FunctionKey, name_of
from reviewbot.kernel import BACKOFF, KERNEL
from reviewbot.kernel.schema import Contract
from reviewbot.limits import MAX_CALLS_TO_WAIT, MAX_EFFECTS_OF_FUNCTION, MAX_POINTER_TARGETS, MAX_ROUNDS_OF_CYCLE
from reviewbot.types import Cut, Place


class Effect(NamedTuple):
    """One thing that a function does.

    kind and detail: lock (mode), wait (class), flush (of), memory (gfp class, or a symbolic mask), pool (gfp class or
    mask), submit, io (submits and waits), queue (object: workqueue; the work item), wake (class), finish (of).
    """

    kind: str
    object: str = ""
    detail: str = ""


class Provenance(NamedTuple):
    """The provenance of an effect: the line in this function, and the key of the callee that it comes through (empty
    for a fact of its own)."""

    line: int
    callee: FunctionKey = NO_FUNCTION
    inner: Effect | None = None
    """The effect in the callee's own terms."""
    dropped: frozenset[str] = frozenset()
    """Locks of the caller that are given up before."""
    gates: tuple[str, ...] = ()
    given: Given = ()


def own(facts: Iterable[Fact]) -> dict[Effect, Provenance]:
    """The effects of a function without its callees, from its facts."""
    found: dict[Effect, Provenance] = {}
    for fact in facts:
        if not isinstance(fact, Site):
            continue
        for effect in _of(fact):
            dropped = frozenset(fact.dropped)
            before = found.get(effect)
            if before is None or dropped < before.dropped:
                found[effect] = Provenance(fact.at.line, dropped=dropped, gates=fact.gates)
            else:
                found[effect] = before._replace(
                    dropped=before.dropped & dropped, gates=before.gates if before.gates == fact.gates else ()
                )
    return found


def _of(fact: Site) -> list[Effect]:
    match fact:
        case Lock() if fact.how == BACKOFF:
            return [Effect("wait", "", "reschedule")]
        case Lock() if fact.how not in ("try", "downgrade") and not fact.call.endswith("trylock"):
            return [Effect("lock", fact.lock, fact.mode)] if contended(fact.klass, fact.mode) else []
        case Wait() if fact.klass == "reschedule":
            return [Effect("wait", "", "reschedule")]
        case Wait() if not fact.announce:
            return [Effect("wait", fact.object, f"{fact.klass}{' timeout' if fact.timeout else ''}")]
        case Flush():
            return [Effect("flush", fact.object, fact.of)]
        case Allocation():
            return _memory(fact.gfp, fact.held)
        case Take():
            return [Effect("pool", fact.pool, d.detail) for d in _memory(fact.gfp, fact.held)] + _memory(
                fact.gfp, fact.held
            )
        case Submit():
            return [Effect("io" if fact.waits else "submit")]
        case Queue():
            return [Effect("queue", fact.workqueue, fact.work)]
        case Wake():
            return [Effect("wake", fact.object, fact.klass)]
        case Finish():
            return [Effect("finish", "", fact.of)]
    return []


def contended(klass: str, mode: str) -> bool:
    """Whether who asks for a lock of this class in a mode may wait for others (not so for RCU, scopes, references)."""
    classes = [KERNEL.classes[c] for c in klass.split("/") if c in KERNEL.classes]
    return len(classes) == len(klass.split("/")) and all(c.lock or (c.readers and mode == "w") for c in classes)


def _memory(masks: tuple[str, ...], held: Iterable[Held]) -> list[Effect]:
    inside = [h.lock for h in held if h.klass == "scope"]
    out = []
    for mask in masks:
        klass = gfp.kind(mask)
        if klass:
            out.append(Effect("memory", "", gfp.scoped(klass, inside)))
        elif not mask.startswith(objects.UNKNOWN):
            out.append(Effect("memory", "", gfp.within(mask, inside)))
    return out


class _Below(NamedTuple):
    """A call whose callee has an effect: the line, and what it is there."""

    line: int
    target: FunctionKey
    effect: Effect
    given: Given


class EffectSummaries:
    """Effects of all functions of a program, found when asked for, callees first."""

    def __init__(
        self,
        callgraph: CallGraph,
        locksets: Locksets,
        events: EventTable,
        kept: Before[dict[Effect, Provenance]] = unknown,
        unsettled: Iterable[FunctionKey] = (),
    ) -> None:
        """`kept` are effects that are known already, `unsettled` the functions among these that ROUNDS has cut."""
        self._callgraph, self._locksets, self._events = callgraph, locksets, events
        self._found = MemoTable(kept)
        self.unsettled = set(unsettled)
        """Functions of cycles of calls in which something was still being added in the last round."""
        self._given_to: dict[FunctionKey, list[Given]] = {}
        """Function -> the constants that it was found to be called with, while cycles are looked at."""
        self._calls: dict[tuple[FunctionKey, Effect, Given], tuple[_Below, ...]] = {}
        self._near: dict[tuple[FunctionKey, Effect, Given, int], bool] = {}

    @classmethod
    def after(
        cls,
        callgraph: CallGraph,
        locksets: Locksets,
        events: EventTable,
        before: EffectSummaries,
        moved: Mapping[FunctionKey, int],
    ) -> EffectSummaries:
        """The effects of a program that differs from the one before: those that still hold, and what changes above."""
        had = before._found

        def kept(key: FunctionKey) -> dict[Given, dict[Effect, Provenance]]:
            lines = moved.get(key, 0)
            return {g: _shifted(found, lines) for g, found in had.of(key).items()} if key in callgraph.points_to else {}

        effects = cls(callgraph, locksets, events, kept, before.unsettled)
        agenda = Agenda(callgraph, events.remade)
        for group, members in agenda:
            known = [(key, given) for key in members for given in had.of(key)]
            cycle = len(group) > 1 and all(had.get(key) is not None for key in members)
            if cycle and all(effects._rests(before, *k) for k in known):
                continue
            for key in group:
                effects._found.forget(key)
            if all(had.get(key) is None for key in group):
                continue
            effects._settle(group[0])  # with what is new below it
            for key in group:
                were = had.get(key)
                if were is None or not _alike(effects.of(key), were):
                    agenda.add(c for c in callgraph.callers.get(key, ()) if c not in group)
        return effects

    def _rests(self, before: EffectSummaries, key: FunctionKey, given: Given) -> bool:
        """Whether a function of a cycle adds to it what it did before, each call of it: then the cycle is as it was.

        The lines are those of now.
        """
        if key not in before._callgraph.points_to:
            return False
        was, now = list(before._does(key, given)), list(self._does(key, given))
        if [(e, r._replace(line=0)) for e, r in was] != [(e, r._replace(line=0)) for e, r in now]:
            return False
        self._found.put(key, given, self._sum(key, given))
        return True

    def parts(self, key: FunctionKey) -> list[tuple[Given, list[tuple[Effect, Provenance]]]]:
        """Everything that was found of a function, by the constants that it is called with."""
        return [(given, list(found.items())) for given, found in self._found.of(key).items()]

    def all(self) -> Mapping[FunctionKey, Mapping[Effect, Provenance]]:
        """Effects of all functions, by key."""
        for component in self._callgraph.order:
            self._component(component)
        return {key: self.of(key) for key in self._callgraph.functions()}

    def of(self, key: FunctionKey, given: Given = ()) -> Mapping[Effect, Provenance]:
        """Effects of a function, as called with these constants; none for one that is not there."""
        found = self._found.get(key, given)
        if found is None:
            if key not in self._callgraph.names.file:
                return {}
            if given:
                self._given_to.setdefault(key, []).append(given)
                self._found.put(key, given, self._found.get(key) or {})  # should it call itself
                found = self._found.put(key, given, self._sum(key, given))
            else:
                self._settle(key)
                found = self._found.of(key)[()]
        return found

    def cut(self, key: FunctionKey) -> Cut | None:
        """The limit that cut the search for the effects of a function, as far as these were asked for."""
        if len(self._found.get(key) or ()) > MAX_EFFECTS_OF_FUNCTION:
            return Cut("effects of a function", MAX_EFFECTS_OF_FUNCTION, key)
        return Cut("rounds through a cycle of calls", MAX_ROUNDS_OF_CYCLE, key) if key in self.unsettled else None

    def _settle(self, key: FunctionKey) -> None:
        """Find the effects of a function and all below it, each cycle of calls until nothing is added."""
        for component in components(self._open, [key]):
            self._component(component)

    def _open(self, key: FunctionKey) -> list[FunctionKey]:
        """Callees that have to be looked at first."""
        return [c for c in self._callgraph.callees_of(key) if self._found.get(c) is None]

    def _component(self, component: list[FunctionKey]) -> None:
        """The effects of functions that call one another: who calls one that has changed is looked at again."""
        if all(self._found.get(member) is not None for member in component):
            return
        order = self._ordered(component)
        self.unsettled.difference_update(order)
        for member in order:
            self._found.of(member).setdefault((), {})
        inside, todo = frozenset(component), set(component)
        for _ in range(MAX_ROUNDS_OF_CYCLE):
            size = sum(len(self.of(m)) for m in order)
            for member in order:
                if member in todo:
                    todo.discard(member)
                    before = self.of(member)
                    now = self._found.put(member, (), self._sum(member, ()))
                    if len(component) > 1 and not _alike(before, now):
                        todo |= self._upset(member, inside)
            if not todo or sum(len(self.of(m)) for m in order) == size:
                break
        else:
            self.unsettled.update(order)

    def _ordered(self, component: list[FunctionKey]) -> list[FunctionKey]:
        """The functions of a cycle in an order that rests on nothing but who calls whom."""
        if len(component) == 1:
            return component
        inside = frozenset(component)
        return next(components(lambda key: [c for c in self._callgraph.callees_of(key) if c in inside], [min(inside)]))

    def _upset(self, changed: FunctionKey, inside: frozenset[FunctionKey]) -> set[FunctionKey]:
        """Who rests on the effects of a function, within a cycle: its callers, and theirs where they call with
        constants; what these make of a function is forgotten."""
        found: set[FunctionKey] = set()
        level = [changed]
        while level:
            for caller in self._callgraph.callers.get(level.pop(), ()):
                if caller in inside and caller not in found:
                    found.add(caller)
                    if given := self._given_to.pop(caller, None):
                        level.append(caller)
                        for constants in given:
                            self._found.forget(caller, constants)
        return found

    def _sum(self, key: FunctionKey, given: Given) -> dict[Effect, Provenance]:
        found: dict[Effect, Provenance] = {}
        settled: dict[Effect, Provenance] = {}  # nothing is given up before them: no other place says more
        for effect, reason in self._does(key, given, settled):
            if effect not in found or reason.dropped < found[effect].dropped:
                found[effect] = reason
            if not reason.dropped:
                settled[effect] = reason
            if len(found) > MAX_EFFECTS_OF_FUNCTION:
                break
        return found

    def _does(
        self, key: FunctionKey, given: Given, but: Collection[Effect] = ()
    ) -> Iterator[tuple[Effect, Provenance]]:
        """The effects of a function: its own, then those of each call."""
        view = self._events.view(key, given)
        facts: Iterable[Fact] = self._events.of(key, given)
        if missed := view.missed:
            elsewhere = {(m.call.line, m.call.callee) for m in view.made if m.number in missed}
            facts = [f for f in facts if not (isinstance(f, Site) and (f.at.line, f.call) in elsewhere)]
        yield from own(facts).items()
        for made, targets in self._followed(view):
            here, gone = view.dominance.gates(made.block), frozenset(made.at.dropped)
            for target in targets:
                constants = self.given(view, made, target)
                for effect, inner, reason in self.call(view, made, target, but):
                    if effect not in but:
                        dropped = reason.dropped | gone if gone else reason.dropped
                        yield (
                            effect,
                            Provenance(made.call.line, target, inner, dropped, here or reason.gates, constants),
                        )

    def _followed(self, view: View) -> Iterator[tuple[Made, tuple[FunctionKey, ...]]]:
        """The calls of a function whose bodies say what they do, each with the functions that it can run."""
        for made in view.made:
            if made.number in view.missed:
                continue
            if made.cut and not any(isinstance(e, Contract) and e.runs for e in made.effects):
                continue
            targets = view.callgraph.reached(view.key, made.call)
            if 0 < len(targets) <= MAX_POINTER_TARGETS and not self._callgraph.has_context(view.key, made.call):
                yield made, targets

    def given(self, view: View, made: Made, target: FunctionKey) -> Given:
        """Constants of a call that may decide which locks its target gives up, or which of its calls it makes."""
        if not made.call.callee:
            return ()
        known = dict(view.given)
        decided = view.locksets.decided(view.body, made.call, target, known)
        if not view.locksets.record(target).moves:
            return decided
        return tuple(
            sorted({**dict(view.locksets.given(view.body, made.call, target, known)), **dict(decided)}.items())
        )

    def call(
        self, view: View, made: Made, target: FunctionKey, but: Collection[Effect] = ()
    ) -> list[tuple[Effect, Effect, Provenance]]:
        """Effects of one call, bound to the caller: (effect, effect in the callee's terms, the callee's reason).

        but: effects that are not asked for.
        """
        given = self.given(view, made, target)
        inner = self.of(target, given) if given else self._found.get(target)
        if not inner:
            return []
        args = Arguments(view.body, made)
        inside = scopes(made.at)
        out = []
        for effect, reason in inner.items():
            kind, what, detail = effect
            if kind in ("memory", "pool"):
                for mask in details(detail, args.masks if "$" in detail else (), inside):
                    bound = what and args.bind(what)
                    if bound != objects.UNKNOWN:
                        out.append((Effect(kind, bound, mask), effect, reason))
                continue
            same = "$" not in what and "@" not in what and "$" not in detail
            if same and effect in but:
                continue
            bound = what if same else args.bind(what)
            if bound.startswith(objects.UNKNOWN) and kind in ("lock", "wake", "queue", "flush"):
                continue
            if reason.dropped and (dropped := frozenset(map(args.bind, reason.dropped))) != reason.dropped:
                reason = reason._replace(dropped=dropped)
            detail = args.bind(detail) if "$" in detail else detail
            out.append((effect if same else Effect(kind, bound, detail), effect, reason))
        return out

    def chain(self, key: FunctionKey, effect: Effect, given: Given = (), most: int = 40) -> tuple[Place, ...]:
        """The calls from a function down to the line that has the effect, the first `most` of them."""
        out: list[Place] = []
        names = self._callgraph.names
        while len(out) < most:
            reason = self.of(key, given).get(effect)
            if reason is None:
                break
            out.append(Place(names.file[key], reason.line, name_of(key)))
            if not reason.callee or reason.inner is None:
                break
            key, effect, given = reason.callee, reason.inner, reason.given
        return tuple(out)

    def ways(
        self, key: FunctionKey, effect: Effect, given: Given = (), line: int = 0, above: tuple[FunctionKey, ...] = ()
    ) -> Iterator[tuple[Place, ...]]:
        """The ways from a function down to the lines that have an effect, of which `chain` is one; through no function twice.

        line: the only one of this function that counts, if it is one. above: the functions that were come through.
        """
        calls = MAX_CALLS_TO_WAIT - len(above)
        if key in above or calls < 0:
            return
        path = self._callgraph.names.file[key]
        yield from ((Place(path, at, name_of(key)),) for at in self._lines(key, effect, given) if line in (0, at))
        for at, target, inner, constants in self._below(key, effect, given):
            if line in (0, at) and self._leads(target, inner, constants, calls - 1):
                for below in self.ways(target, inner, constants, above=(*above, key)):
                    yield Place(path, at, name_of(key)), *below

    def _lines(self, key: FunctionKey, effect: Effect, given: Given) -> Iterator[int]:
        """The lines of a function that have an effect themselves."""
        for fact in self._events.of(key, given):
            if isinstance(fact, Site) and effect in own([fact]):
                yield fact.at.line

    def _below(self, key: FunctionKey, effect: Effect, given: Given) -> tuple[_Below, ...]:
        """The calls of a function whose callees have an effect."""
        found = self._calls.get((key, effect, given))
        if found is None:
            found = self._calls[key, effect, given] = tuple(self._callees(key, effect, given))
        return found

    def _callees(self, key: FunctionKey, effect: Effect, given: Given) -> Iterator[_Below]:
        view = self._events.view(key, given)
        for made in view.made:
            if made.number in view.missed:
                continue
            targets = view.callgraph.reached(key, made.call)
            if len(targets) > MAX_POINTER_TARGETS or self._callgraph.has_context(key, made.call):
                continue
            for target in targets:
                for inner in self._inner(view, made, target, effect):
                    yield _Below(made.call.line, target, inner, self.given(view, made, target))

    def _leads(self, key: FunctionKey, effect: Effect, given: Given, calls: int) -> bool:
        """Whether a line that has an effect is at most so many calls below, through whatever functions.

        Without it all ways would be gone down that lead too far, and of these there are as many as there are branches to
        the power of calls.
        """
        if calls < 0:
            return False
        state = (key, effect, given, calls)
        found = self._near.get(state)
        if found is None:
            found = self._near[state] = any(True for _ in self._lines(key, effect, given)) or any(
                self._leads(b.target, b.effect, b.given, calls - 1) for b in self._below(key, effect, given)
            )
        return found

    def _inner(self, view: View, made: Made, target: FunctionKey, effect: Effect) -> list[Effect]:
        """What a callee does that is this effect in the caller's words."""
        found = self.of(target, self.given(view, made, target))
        if effect in found:
            return [effect]
        if not any(e.kind == effect.kind and ("$" in e.object or "@" in e.object) for e in found):
            return []
        return [inner for bound, inner, _ in self.call(view, made, target) if bound == effect]


def _shifted(found: dict[Effect, Provenance], lines: int) -> dict[Effect, Provenance]:
    return {e: r._replace(line=r.line + lines) for e, r in found.items()} if lines else found


def _alike(one: Mapping[Effect, Provenance], two: Mapping[Effect, Provenance]) -> bool:
    """Whether callers see the same effects, in the same order."""
    return len(one) == len(two) and all(
        e == f and r.dropped == s.dropped and r.gates == s.gates
        for (e, r), (f, s) in zip(one.items(), two.items(), strict=True)
    )
