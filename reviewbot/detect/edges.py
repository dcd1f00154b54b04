"""The edges of the wait-for graph: what is waited for with a lock held, and who takes part in a circle of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from reviewbot.analysis.code.identity import Scope, known, owner, scope
from reviewbot.analysis.events.kinds import Held, Site, Wait
from reviewbot.analysis.producers.view import Made
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect, own
from reviewbot.analysis.summaries.entry_lockset import EntryLockset
from reviewbot.detect.resources import InsideRun, resources
from reviewbot.function_key import FunctionKey, key_of, name_of
from reviewbot.kernel import KERNEL, schema
from reviewbot.limits import MAX_CALLS_KEPT_BELOW_EDGE, MAX_TARGETS_OF_POINTER
from reviewbot.score import Doubt
from reviewbot.types import Place, Value

REAL = frozenset(
    {
        *("mutex", "rwsem", "spin", "rwspin", "bit", "raw", "sem"),
        *("page", "device", "queue", "superblock", "tree", "transaction", "srcu", "ww"),
    }
)
"""Classes of locks that others wait for."""
UNTIMED = frozenset({"event", "completion", "bit", "freeze", "dispatch", "sleep"})
"""Classes of waits that only somebody else ends."""


class Actor(Value, frozen=True):
    """One role of a wait cycle: a task, by the chain of functions (keys) from the root of its context to the one that
    matters."""

    chain: tuple[FunctionKey, ...]
    context: str = ""
    at: Place | None = None
    """Where it waits, or gives what others wait for."""
    down: tuple[FunctionKey, ...] = ()
    """The functions below, to the one with the call that waits for a lock, by key."""
    flushed: str = ""
    """The work item, timer or thread that it is the handler of, where somebody waits for it to end."""

    @property
    def root(self) -> FunctionKey:
        """Key of the outermost function."""
        return self.chain[0]

    @property
    def function(self) -> str:
        """Name of the function that matters."""
        return name_of(self.chain[-1])


class Circle(Value, frozen=True):
    """A wait cycle: `holder` holds `lock` and waits for `object`; those who could end that wait (`providers`) need the
    lock first."""

    kind: str
    """What is waited for: lock, event, completion, bit, work, workqueue, timer, thread, freeze, dispatch, self."""
    lock: str
    klass: str
    mode: str
    object: str
    """What the holder waits for."""
    detail: str
    """Mode of a lock, class of a wait, kind of a flush."""
    wait_class: str
    """Class of the lock that is waited for, where it is one."""
    holder: Actor
    providers: tuple[Actor, ...]
    others: tuple[Actor, ...] = ()
    """Who may be the provider as well, where one is enough."""
    writer: Actor | None = None
    """Who asks for the lock for write, where holder and providers only read."""
    also: tuple[tuple[str, str], ...] = ()
    """Other locks that matter, with their classes."""
    reads: tuple[str, ...] = ()
    """What the sleep tests."""
    ends: Place | None = None
    """The line that waits, at the end of the calls from the holder's place."""
    doubts: tuple[Doubt, ...] = ()
    """Why it may be none after all."""
    levels: tuple[tuple[str, str], ...] = ()
    """Locks with the level at which the holder takes them, where that is told: at another one it is another instance."""
    spared: tuple[Place, ...] = ()
    """Calls of either side that wait for another instance, though they read like the one that is meant."""
    taken_by: str = ""
    """Name of the function that takes the lock, where that is told."""
    one: bool = False
    """Whether its lock is one instance, by whatever names its tasks take it."""

    @property
    def actors(self) -> tuple[Actor, ...]:
        """All roles: the holder, the providers, the writer if there is one."""
        return (self.holder, *self.providers, *((self.writer,) if self.writer else ()))

    @property
    def locks(self) -> tuple[tuple[str, str], ...]:
        """All locks of the circle with their classes."""
        own_ = [(self.lock, self.klass)]
        if self.wait_class:
            own_.append((self.object, self.wait_class))
        return tuple(dict.fromkeys((*own_, *self.also)))


class WayIn(NamedTuple):
    """One way into a function: the functions from the outermost caller that matters to it, and all that is held there
    at the place of an edge."""

    chain: tuple[FunctionKey, ...]
    held: tuple[Held, ...]


class Edge(NamedTuple):
    """A hold-and-wait edge: a lock, or what else a task has, that is held at a place that waits, there or in a callee."""

    lock: Held
    effect: Effect
    key: FunctionKey
    place: Place
    down: tuple[Place, ...]
    """The calls below, to the line that waits."""
    chain: tuple[FunctionKey, ...]
    """Functions from the outermost caller that matters to this one."""
    held: tuple[Held, ...]
    """All that is held there."""
    reads: tuple[str, ...] = ()
    others: tuple[WayIn, ...] = ()
    """The other ways in with that lock."""

    @property
    def pair(self) -> tuple[str, str, str, str]:
        """(lock held, its mode, kind of wait, what is waited for): two edges with the same pair are the same
        dependency."""
        return self.lock.lock, self.lock.mode, self.effect.kind, self.effect.object

    @property
    def name(self) -> str:
        """Name of the function."""
        return name_of(self.key)

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions that it goes through."""
        below = (place.key for place in self.down)
        return tuple(dict.fromkeys(name_of(key) for key in (*self.chain, self.key, *below)))

    def says(self) -> str:
        """What is held, and what is waited for, where."""
        effect = self.effect
        what = f"takes {effect.object}" if effect.kind == "lock" else f"waits for {effect.object} ({effect.detail})"
        at = self.down[-1] if self.down else self.place
        return f"{self.place}: {self.name}() {what} with {self.lock.lock} held, in {name_of(at.key)}()"

    def actor(self, context: str) -> Actor:
        """The task of this edge as a role. context: that of the chain's root."""
        below = tuple(place.key for place in self.down)
        return Actor(chain=self.chain, context=context, at=self.place, down=below)


def edges(
    program: Program,
    key: FunctionKey,
    wanted: Callable[[Effect], bool] | None = None,
    classes: frozenset[str] = REAL,
    lock: str = "",
) -> Iterator[Edge]:
    """The hold-and-wait edges of one function: each lock held, by it or on one way into it, at each place that waits; so
    for the run that it is inside of, where it waits for something else than a lock.

    wanted: which effects count as waiting (default: `waits`). classes: of the locks that count. lock: the identity of
    the only lock (or run) that counts; empty for all.
    """
    if program.function(key).unreadable or program.function(key).macro:
        return
    function = _Waiting(program, key, wanted or waits, classes, lock)
    yield from function.itself()
    yield from function.in_callees()


class _Waiting:
    """The waits of one function, with what is held there."""

    def __init__(
        self, program: Program, key: FunctionKey, wanted: Callable[[Effect], bool], classes: frozenset[str], lock: str
    ) -> None:
        self._program, self._key, self._wanted, self._classes, self._lock = program, key, wanted, classes, lock
        self._inside = _inside(program, key, lock) if classes is REAL else ()
        self._ways = tuple(sorted(program.entry(key), key=lambda way: (len(way.held), len(way.chain))))
        self._found: dict[tuple[object, ...], list[tuple[Held, list[WayIn]]]] = {}

    def _under(
        self, here: tuple[Held, ...], gone: frozenset[str], dropped: frozenset[str] = frozenset()
    ) -> list[tuple[Held, list[WayIn]]]:
        """Each lock that counts at a place, with the ways in that have it; see `_under`."""
        key = (here, gone, dropped)
        if key not in self._found:
            self._found[key] = _under(self._program, self._ways, here, gone, dropped, self._classes, self._lock)
        return self._found[key]

    def itself(self) -> Iterator[Edge]:
        """The edges to what the function waits for itself."""
        for fact in self._program.own_facts(self._key):
            if isinstance(fact, Site):
                reads = fact.reads if isinstance(fact, Wait) else ()
                here, gone = _held(fact.held, fact.maybe), frozenset(fact.dropped)
                for effect in filter(self._wanted, own([fact])):
                    found = self._under(here, gone) if _means(effect) else []
                    yield from self._edges(effect, fact.at, here, found, (), reads)

    def in_callees(self) -> Iterator[Edge]:
        """The edges to what its callees wait for."""
        program, view = self._program, self._program.view(self._key)
        outside = any(way.held for way in self._ways)
        for made in view.made:
            here = _held(made.at.held, made.at.maybe)
            if not outside and not here and not self._inside:
                continue  # nothing is held there
            if made.cut and not any(isinstance(e, schema.Contract) and e.runs for e in made.effects):
                continue
            gone = frozenset(made.at.dropped)
            if not self._under(here, gone) and not self._inside:
                continue
            for target in self._targets(made):
                program.does(target)
                for effect, inner, reason in program.effects.call(view, made, target):
                    if not self._wanted(effect):
                        continue
                    found = self._under(here, gone, reason.dropped) if _means(effect) else []
                    if found or _within(self._program, self._inside, effect):
                        given = program.effects.given(view, made, target)
                        down = program.effects.chain(target, inner, given, MAX_CALLS_KEPT_BELOW_EDGE)
                        reads = _tested(program, down, effect)
                        yield from self._edges(effect, view.place(made.call.line), here, found, down, reads)

    def _targets(self, made: Made) -> tuple[FunctionKey, ...]:
        """The functions that a call goes to; none where it may be any of many."""
        program = self._program
        targets = program.callgraph.reached(self._key, made.call)
        shared = len(targets) > MAX_TARGETS_OF_POINTER or program.has_context(self._key, made.call)
        if shared and self._lock:  # asked for who can be in the way: one of them is enough
            targets = tuple(t for t in targets if any(self._wanted(effect) for effect in program.does(t)))
            shared = len(targets) > MAX_TARGETS_OF_POINTER
        return () if shared else targets

    def _edges(
        self,
        effect: Effect,
        at: Place,
        here: tuple[Held, ...],
        found: Iterable[tuple[Held, list[WayIn]]],
        down: tuple[Place, ...],
        reads: tuple[str, ...],
    ) -> Iterator[Edge]:
        """One wait, with each lock, and each run, that is held over it."""
        for held, (first, *others) in found:
            yield Edge(held, effect, self._key, at, down, *first, reads, tuple(others))
        for one, meant in _within(self._program, self._inside, effect):
            yield Edge(one.held, meant, self._key, at, down, one.chain, (*here, one.held), reads)


def _inside(program: Program, key: FunctionKey, lock: str) -> tuple[InsideRun, ...]:
    """What a function is run inside of, where it waits for something else than a lock."""
    asked = (effect.kind in ("flush", "wait") or effect.object in KERNEL.removals for effect in program.does(key))
    if not any(asked):
        return ()
    return tuple(one for one in resources(program).inside(key) if not lock or one.held.lock == lock)


def _within(program: Program, inside: tuple[InsideRun, ...], effect: Effect) -> list[tuple[InsideRun, Effect]]:
    """The runs in which an effect counts, with the effect: what a root was handed is what it is run for. A lock counts where
    whoever waits for the run's end is known to hold it."""
    if effect.kind == "lock":
        return [(one, effect) for one in inside if resources(program).removal(one.held, effect) is not None]
    if effect.object == "$0":
        return [(one, effect._replace(object=one.of)) for one in inside if len(one.chain) == 1]
    return [(one, effect) for one in inside] if _means(effect) else []


def _held(surely: tuple[Held, ...], maybe: tuple[Held, ...]) -> tuple[Held, ...]:
    """What is held: on every path, or until somebody gives it back, whatever became of the search that took it."""
    return (*surely, *(h for h in maybe if h.klass in KERNEL.latches))


def _means(effect: Effect) -> bool:
    """True when the object that is waited for is identified, or the effect has none."""
    return effect.kind not in ("lock", "wait", "flush") or not effect.object or known(effect.object)


def _under(
    program: Program,
    ways: Iterable[EntryLockset],
    here: tuple[Held, ...],
    gone: frozenset[str],
    dropped: frozenset[str],
    classes: frozenset[str],
    only: str,
) -> list[tuple[Held, list[WayIn]]]:
    """Each lock that counts at a place, with the ways in that have it, the nearest first.

    gone: locks of the callers that the function gave back before. dropped: locks that are given back below.
    """
    found: dict[tuple[str, str], tuple[Held, list[WayIn]]] = {}
    mine = {h.lock for h in here}
    for way in ways:
        above = (w for w in way.held if w.lock not in mine and not _among(program, w.lock, gone))
        held = tuple(h for h in (*here, *above) if not _among(program, h.lock, dropped))
        for lock in held:
            if only and lock.lock != only:
                continue
            if lock.klass.split("/")[0] not in classes or not known(lock.lock) or scope(lock.lock) is Scope.STACK:
                continue
            found.setdefault((lock.lock, lock.mode), (lock, []))[1].append(WayIn(way.chain, held))
    return list(found.values())


def _among(program: Program, lock: str, those: frozenset[str]) -> bool:
    """Whether a lock is one of some, by its own name or as the field of a struct that another one holds."""
    return lock in those or any(_embedded(program, lock, one) or _embedded(program, one, lock) for one in those)


def _embedded(program: Program, inner: str, outer: str) -> bool:
    """Whether a field of a struct is told by the longer path through a struct that contains it: `vio.lock` of `port.vio.lock`,
    where `vio` is the struct itself and not a pointer to one."""
    struct, fields = owner(inner), outer.removeprefix(owner(outer)).split(".")[1:]
    if not struct or not owner(outer) or not outer.endswith(inner.removeprefix(struct)):
        return False
    at = owner(outer)
    while len(fields) > 1:
        type_ = program.names.member(at, fields.pop(0), "")
        at = type_.name if not type_.pointers else ""
        if at == struct and f"{struct}.{'.'.join(fields)}" == inner:
            return True
    return False


def waits(effect: Effect) -> bool:
    """True for an effect that ends only when another task acts: taking a lock, a flush, a wait of a class in
    UNTIMED."""
    if effect.kind in ("lock", "flush"):
        return bool(effect.object)
    return bool(effect.object) and effect.kind == "wait" and effect.detail in UNTIMED


def _tested(program: Program, down: tuple[Place, ...], effect: Effect) -> tuple[str, ...]:
    """What the sleep at the end of a chain of calls tests."""
    if effect.kind != "wait" or not down:
        return ()
    last = down[-1]
    for fact in program.own_facts(last.key):
        if isinstance(fact, Wait) and fact.at.line == last.line:
            return fact.reads
    return ()


def changed(program: Program, names: Iterable[tuple[str, str]]) -> tuple[FunctionKey, ...]:
    """Keys (`file:name`) of those functions, given as (file, name), that the program has; each once, in order."""
    return tuple(dict.fromkeys(k for file, name in names if (k := key_of(file, name)) in program.names.functions))
