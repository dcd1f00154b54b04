"""Circles through the run of a work item, a timer, a thread: who is inside waits for something that waits for its end.

A handler that flushes or cancels itself, or the queue that it runs on; two items that wait for each other; an item that
waits for the next one of an ordered queue; one that waits for what a task brings only after it has waited for the item.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, takewhile

import msgspec

from reviewbot.analysis.code.expr import bare, parts, show
from reviewbot.analysis.code.identity import owner
from reviewbot.analysis.events.kinds import Wake
from reviewbot.analysis.producers.view import Made, View
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.csource.ir import AddressOf, Assign, Call, CallEvent, Const, Expr, Field, Name
from reviewbot.detect.edges import Actor, Circle, Edge
from reviewbot.detect.leads import Dropped
from reviewbot.detect.paths import HANDED, OWN, Given, InstancePaths, first, part
from reviewbot.detect.providers import providers
from reviewbot.detect.resources import InsideRun, resources
from reviewbot.detect.sure import doubtful, named
from reviewbot.function_key import NO_FUNCTION, FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.kernel.schema import FlushGroup, Group, ThreadGroup, WaitGroup, WakeGroup, WriteGroup
from reviewbot.limits import MAX_CALLS_TO_WAIT, MAX_PROVIDERS
from reviewbot.score import Doubt
from reviewbot.types import Cut, Place

Way = tuple[Place, ...]
"""The calls from a function down to a line."""


def closed(program: Program, edge: Edge) -> Circle | Cut | Dropped:
    """The circle that an edge closes which begins with a run, unless somebody can end the wait without that run's end, or it is
    too doubtful: then the edge is dropped, with the reason. A cut where too many would have to be asked."""
    kind, effect = KERNEL.resources[edge.lock.klass], edge.effect
    doubts = _doubts(program, edge)
    if Doubt.RUN in doubts:
        return Dropped(edge, Doubt.RUN.says)
    if effect.kind == "lock":
        return _removed(program, edge, doubts)
    one = next((o for o in resources(program).inside(edge.key) if o.held == edge.lock), None)
    way = (edge.place, *edge.down)
    if one is None or (kind.ordered and effect.object == one.of) or knows(program, one.chain, way, kind.aware):
        return Dropped(edge, "the code asks whether it is the run itself, or the kernel does")
    root = HandlerRun(program, one, edge.chain)
    if not root.meets(effect, edge.chain, way):
        return Dropped(edge, "it may be that of another instance")
    if resources(program).asks(effect, edge.lock):
        if resources(program).waits(effect, edge.lock, way[-1]):
            return _circle(program, edge, "self", (), doubts)
        return Dropped(edge, "it does not wait for the run's end")
    if effect.kind == "flush":
        return _through_another_run(program, edge, root, doubts)
    return _through_tasks(program, edge, root, doubts)


def alone(program: Program, edge: Edge) -> Circle:
    """The circle of a run that waits for its own end, where that it comes there is known."""
    deep = (Doubt.DEPTH,) if len(edge.down) > MAX_CALLS_TO_WAIT else ()
    return _circle(program, edge, "self", (), deep)


def _doubts(program: Program, edge: Edge) -> tuple[Doubt, ...]:
    """Why a run may not come to the wait of an edge, or is another one."""
    deep = (Doubt.DEPTH,) if len(edge.down) > MAX_CALLS_TO_WAIT else ()
    found = (*deep, *doubtful(program, edge))
    return found if named(program, edge.chain) else (*found, Doubt.POINTER)


def _through_another_run(program: Program, edge: Edge, root: HandlerRun, doubts: tuple[Doubt, ...]) -> Circle | Dropped:
    """The circle of a run that waits for another one, which waits for it."""
    actors = providers(program).of(edge)
    others = [other for a in actors if a.root != edge.chain[0] and (other := root.waited_for(a))]
    if not others:
        return Dropped(edge, "no handler that is waited for waits for this run")
    return _circle(program, edge, "lock", (others[0],), doubts, tuple(others[1:]))


def _through_tasks(program: Program, edge: Edge, root: HandlerRun, doubts: tuple[Doubt, ...]) -> Circle | Cut | Dropped:
    """The circle of a run that waits for what tasks bring, each of which first waits for the run's end."""
    effect, actors = edge.effect, providers(program).of(edge)
    ends = effect.detail in KERNEL.resources[edge.lock.klass].waits
    if not ends or not actors or not all(root.needed(a, edge) for a in actors):
        return Dropped(edge, "somebody can end the wait without this run, or nobody is seen to end it")
    if lent(program, effect.object):
        doubts = (*doubts, Doubt.OTHER_PROVIDER)
    if len(actors) > MAX_PROVIDERS:
        return Cut("providers of what a function waits for", MAX_PROVIDERS, edge.chain[-1])
    return _circle(program, edge, effect.detail, actors, doubts)


def _removed(program: Program, edge: Edge, doubts: tuple[Doubt, ...]) -> Circle | Dropped:
    """The circle of who is in a file and takes the lock with which the file is removed."""
    keys = (*edge.chain, *(at.key for at in edge.down))
    if asks(program, keys, KERNEL.resources[edge.lock.klass].aware):
        return Dropped(edge, "the code asks whether it is the run itself, or the kernel does")
    if any(edge.effect.object == held.lock for held in edge.held):
        return Dropped(edge, "it has the lock already")
    found = _circle(program, edge, "removal", (), doubts)
    return msgspec.structs.replace(found, wait_class=KERNEL.removals[edge.effect.object].klass)


def _circle(
    program: Program,
    edge: Edge,
    kind: str,
    actors: tuple[Actor, ...],
    doubts: tuple[Doubt, ...],
    others: tuple[Actor, ...] = (),
) -> Circle:
    return Circle(
        kind=kind,
        lock=edge.lock.lock,
        klass=edge.lock.klass,
        mode=edge.lock.mode,
        object=edge.effect.object,
        detail=edge.effect.detail,
        wait_class=edge.lock.klass if kind == "lock" else "",
        holder=edge.actor(providers(program).context(edge.chain[0])),
        providers=actors,
        others=others,
        reads=edge.reads,
        ends=edge.down[-1] if edge.down else edge.place,
        doubts=doubts,
    )


class HandlerRun:
    """One run, and what those outside of it mean by the same objects."""

    def __init__(self, program: Program, one: InsideRun, chain: tuple[FunctionKey, ...]) -> None:
        self.program, self.held, self.of = program, one.held, one.of
        self.given, self.struct = self._entered(chain[0], one.of)
        self.paths = InstancePaths(program, self.struct)

    def _entered(self, root: FunctionKey, of: str) -> tuple[Given, str]:
        """What the root is handed, and the structure that this is part of."""
        if (started := resources(self.program).threads.get(root, {}).get(of)) is None:
            return first({0: HANDED}), owner(of)
        view = self.program.view(started.key)
        for made, effect in view.having(ThreadGroup):
            kept = view.results.get(made.call)
            if made.call.line == started.line and isinstance(kept, Field) and effect.data < len(made.call.args):
                data = made.call.args[effect.data]
                if show(bare(data)) == show(kept.base) and view.body.type(data).name == owner(of):
                    return first({0: OWN}), owner(of)
        return (), owner(of)

    def meets(self, effect: Effect, chain: Sequence[FunctionKey], way: Way) -> bool:
        """Whether the run comes to an effect on an object of its own, and not on that of another instance."""
        if KERNEL.resources[self.held.klass].slots:
            return self._own(chain, way)
        if self._shared(effect.object):
            return True
        wanted = {part(effect.object, self.struct)} - {""}
        if effect.object == self.of:
            wanted.add(HANDED)
        return bool(wanted & self._met(self.paths, effect, chain, self.given, way))

    def _own(self, chain: Sequence[FunctionKey], way: Way) -> bool:
        """Whether the object whose attribute a line removes is the one that the root was handed: each has such a file."""
        body = self.program.body(way[-1].key)
        ways = self.paths.down([(at.key, at.line) for at in way], self.paths.along(chain, self.given))
        calls = [call for call in body.calls if call.line == way[-1].line and any(_arguments(call, _REMOVED))]
        owners = {self.paths.of(body, arg, one) for call in calls for arg in call.args[:2] for one in ways}
        members = (device.partition(".")[2] for device in resources(self.program).devices(chain[0]))
        return bool(owners & {HANDED, f"{HANDED}.kobj", *(f"{HANDED}.{member}" for member in members)})

    def _shared(self, object_: str) -> bool:
        """Whether there is only one: of what is waited for, or of the queue that its items stand in."""
        if part(object_, "").startswith("="):
            return True
        return KERNEL.resources[self.held.klass].ordered and part(self.held.lock, "").startswith("=")

    def _met(
        self, paths: InstancePaths, effect: Effect, chain: Sequence[FunctionKey], given: Given, way: Way
    ) -> set[str]:
        """The paths of what is waited for (or woken) at the end of a way."""
        ways = paths.down([(at.key, at.line) for at in way], paths.along(chain, given))
        body = self.program.body(way[-1].key)
        args = [arg for call in body.calls if call.line == way[-1].line for arg in _arguments(call, effect)]
        return {paths.of(body, arg, one) for arg in args for one in ways} - {""}

    def waited_for(self, actor: Actor) -> Actor | None:
        """A handler that is waited for, where it waits for this run, and both mean each other's item; with the calls to
        there."""
        own, wanted = resources(self.program), actor.flushed
        queued = self.program.callgraph.queued
        if own.apart(self.of, wanted) or not (queued.get(self.of) and queued.get(wanted)):
            return None  # they never run at once, or one that nobody here has run
        inside = [o for o in own.inside(actor.root) if o.of == wanted and o.held.klass == self.held.klass]
        for asked in own.asked(actor.root, self.held) if inside else ():
            way = self.program.effects.chain(actor.root, asked)
            other = HandlerRun(self.program, inside[0], (actor.root,))
            aware = KERNEL.resources[self.held.klass].aware
            if not way or not own.waits(asked, self.held, way[-1]) or knows(self.program, (actor.root,), way, aware):
                continue
            if other.meets(asked, (actor.root,), way):
                return msgspec.structs.replace(actor, at=way[0], down=tuple(at.key for at in way[1:]))
        return None

    def needed(self, actor: Actor, edge: Edge) -> bool:
        """Whether a task that brings what is waited for asks for this run first (the replay says whether it does on each
        way), and both are of one instance."""
        if actor.root == edge.chain[0]:
            return False
        for asked in resources(self.program).asked(actor.root, self.held):
            way = self.program.effects.chain(actor.root, asked)
            if way and not self._first(actor, way, edge.effect) and self._alike(actor, asked, way, edge.effect):
                return True
        return False

    def _first(self, actor: Actor, way: Way, waited: Effect) -> bool:
        """Whether a task that comes to a place has brought what is waited for before."""
        together = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1].key, zip(actor.chain, way, strict=False)))
        if not together:
            return False
        at, view = way[together - 1], self.program.view(way[together - 1].key)
        asks = [
            made for made in view.made if made.call.line == at.line and _comes(view, made, way, together, FlushGroup)
        ]
        return any(
            one.number < made.number and one.block in (made.block, *view.dominance.above(made.block))
            for one in view.made
            if _comes(view, one, actor.chain, together, WakeGroup) and self._brings(view, one, waited, actor, together)
            for made in asks
        )

    def _brings(self, view: View, made: Made, waited: Effect, actor: Actor, together: int) -> bool:
        """Whether a call wakes what is waited for, or leads to who does."""
        if together < len(actor.chain):
            return True
        args = _arguments(made.call, Effect("wake", waited.object))
        return any(view.body.identity(arg) == waited.object for arg in args)

    def _alike(self, actor: Actor, asked: Effect, way: Way, waited: Effect) -> bool:
        """Whether what a task asks for and what it brings belong to one instance."""
        if all(part(object_, "").startswith("=") for object_ in (asked.object, waited.object)):
            return True
        n = len(self.program.function(actor.root).parameters)
        given = tuple(f"${i}" for i in range(n))
        paths = InstancePaths(self.program, "")
        tails = [f".{object_.partition('.')[2]}" for object_ in (asked.object, waited.object)]
        asks = self._met(paths, asked, (actor.root,), given, way)
        brings: set[str] = set()
        last = self.program.body(actor.chain[-1])
        for wake in self.program.own_facts(actor.chain[-1]):
            if isinstance(wake, Wake) and wake.object == waited.object:
                ways = paths.along(actor.chain, given)
                calls = [call for call in last.calls if call.line == wake.at.line]
                brings |= {
                    paths.of(last, arg, one)
                    for call in calls
                    for arg in _arguments(call, Effect("wake", waited.object))
                    for one in ways
                }
        return any(
            path.removesuffix(tails[0]) == other.removesuffix(tails[1])
            for path in asks
            for other in brings - {""}
            if path.endswith(tails[0]) and other.endswith(tails[1])
        )


def _comes(view: View, made: Made, way: Sequence[FunctionKey | Place], number: int, kind: type[Group]) -> bool:
    """Whether a call leads to the next function of a way, or has the effect at the end of it."""
    if number == len(way):
        return any(isinstance(effect, kind) for effect in made.effects)
    after = way[number]
    key = after.key if isinstance(after, Place) else after
    return key in view.callgraph.reached(view.key, made.call)


_REMOVED = Effect("flush", "", "attribute")
_GROUPS = {"flush": FlushGroup, "wait": WaitGroup, "wake": WakeGroup}


def _arguments(call: Call, effect: Effect) -> Iterator[Expr]:
    """The argument of a call that an effect of it is about."""
    for group in KERNEL.effects.get(call.callee, ()):
        if isinstance(group, _GROUPS[effect.kind]):
            position: int | None = group.argument
            if position is not None and position < len(call.args):
                yield call.args[position]


def lent(program: Program, object_: str) -> bool:
    """Whether the address of what is waited for goes elsewhere than to those who wait for it and wake it."""
    for key in program.functions():
        body = program.body(key)
        for event in body.events():
            match event:
                case CallEvent(call) if call.callee in KERNEL.effects or call.callee in KERNEL.inert:
                    continue
                case CallEvent(call):
                    given: Sequence[Expr] = call.args
                case Assign(_, right):
                    given = (right,)
                case _:
                    continue
            if any(isinstance(bare(e), AddressOf) and body.identity(e) == object_ for e in given):
                return True
    return False


def knows(program: Program, chain: Sequence[FunctionKey], way: Way, aware: Sequence[str]) -> bool:
    """Whether code on the way asks what it runs in, or tests what the run has noted before: what it does then is its own
    decision."""
    keys = dict.fromkeys((*chain, *(at.key for at in way)))
    if asks(program, keys, aware):
        return True
    noted = {object_ for key in keys for object_ in _noted(program, key)}
    return any(
        isinstance(p, Field) and program.body(key).identity(p) in noted
        for key, when in _conditions(program, chain, way)
        for p in parts(when)
    )


def asks(program: Program, keys: Iterable[FunctionKey], aware: Sequence[str]) -> bool:
    """Whether one of some functions asks what it runs in."""
    names = frozenset(aware)
    for key in keys:
        body = program.body(key)
        whens = [edge.when for block in body.function.blocks for edge in block.edges if edge.when is not None]
        if any(_named(part) in names for when in whens for part in parts(when)):
            return True
        if any(call.callee in names for call in body.calls):
            return True
    return False


def _noted(program: Program, key: FunctionKey) -> Iterator[str]:
    """What a function sets to a constant, or sets a bit of."""
    view = program.view(key)
    for event in view.body.events():
        if isinstance(event, Assign) and isinstance(event.left, Field):
            value = bare(event.right)
            if isinstance(value, Const) or (isinstance(value, Name) and value.name not in view.body.locals):
                yield view.body.identity(event.left)
    for made, write in view.having(WriteGroup):
        if write.op in ("=", "|") and write.argument < len(made.call.args):
            yield view.body.identity(made.call.args[write.argument])


def _named(expr: Expr) -> str:
    return expr.callee if isinstance(expr, Call) else expr.name if isinstance(expr, Name) else ""


def _conditions(program: Program, chain: Sequence[FunctionKey], way: Way) -> Iterator[tuple[FunctionKey, Expr]]:
    """What is asked before the calls of a chain and of a way, each with the function that asks."""
    steps = [(caller, 0, callee) for caller, callee in pairwise(chain)]
    steps += [(at.key, at.line, NO_FUNCTION) for at in way]
    for caller, line, callee in steps:
        view = program.view(caller)
        for made in view.made:
            if made.call.line == line if line else callee in view.callgraph.reached(caller, made.call):
                for when, _ in view.dominance.conditions(made.block):
                    yield caller, when
