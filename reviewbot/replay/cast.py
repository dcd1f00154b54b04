"""A circle -> the model of one side: each of its tasks with the program that its code has there.

One instance of everything is assumed: the lock that a waker wants is the one that the sleeper holds. A provider that
gets through is taken to bring what is waited for, so the only way to get stuck is that none of them gets through.
"""

from __future__ import annotations

from reviewbot.analysis.events.kinds import Held
from reviewbot.analysis.program.program import Component, Program
from reviewbot.detect.idle_wakes import idle
from reviewbot.detect.resources import InsideRun, resources
from reviewbot.detect.waitfor import Actor, Circle, providers
from reviewbot.function_key import FunctionKey, file_of, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_CALLS_TO_PROVIDERS_LOCK, MAX_REPLAYED_PLACES
from reviewbot.replay.slicing.slicer import Extractor, SlicedOp, TaskAutomaton, TooLarge, Unreadable
from reviewbot.replay.steps import FLUSHED, CycleSteps, renamed
from reviewbot.sim import (
    Model,
    Named,
    Node,
    Run,
    RwSem,
    Seq,
    Srcu,
    Task,
    begin_run,
    complete_all,
    down_write,
    queue_work_once,
    synchronize_srcu,
    up_write,
    wait_for_run,
)
from reviewbot.types import Cut, Place

HeldLocks = tuple[tuple[str, str], ...]
"""Locks and the modes in which they are held."""
LEAN = ("lock", "self", "kept", "twice", "removal")
"""Kinds of circles in which other ways than those of the circle do not matter."""


class Programs(Component):
    """Cache of a program: the automata of the tasks of circles that were sliced so far."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.of: dict[tuple[Circle, Actor, bool], tuple[TaskAutomaton, HeldLocks, Cut | None] | Unreadable] = {}
        """Each with the locks held where it begins, and what cut it."""


class NotThere(Unreadable):
    """A side has none of the tasks of a circle."""


class Cast:
    """Makes the model of a circle for one side. Raises Unreadable where the code of a task cannot be sliced."""

    def __init__(self, circle: Circle, program: Program, unlocked: bool = False) -> None:
        self.circle, self.program = circle, program
        self.steps = CycleSteps(circle, program, unlocked)
        self.locks = self.steps.locks
        self.extractor = self._reads(lean=circle.kind in LEAN)
        self.cuts: dict[Cut, None] = {}
        """What was left out of the model, once it is made."""

    def _reads(self, lean: bool) -> Extractor:
        """What reads the programs; `lean`: where locks are only passed, on the ways alone that the circle takes."""
        circle = self.circle
        chains = [actor.chain + actor.down for actor in circle.actors]
        if lean and circle.kind not in LEAN:
            chains += [self._wanting(actor) for actor in circle.providers]
        awaited = "" if circle.object in dict(circle.locks) and circle.kind in ("lock", "self") else circle.object
        waits = {w for w in (awaited, *(a.flushed for a in circle.providers)) if w}  # a lock is asked for by taking it
        runs = [Held(lock, "x", klass) for lock, klass in circle.locks if klass in KERNEL.resources]
        asks = {what: run for held in runs for what, run in resources(self.program).askers(held).items()}
        early = idle(self.program, circle.object, circle.reads)
        spoils, levels = circle.kind == "twice", dict(circle.levels)
        return Extractor(
            self.program,
            self.locks,
            waits,
            chains,
            lean,
            asks,
            spoils=spoils,
            idle=early,
            levels=levels,
            runs=[run.lock for run in runs],
            spared=circle.spared,
            returns=circle.detail in KERNEL.ending,
            one=[circle.lock] if circle.one else (),
        )

    def _wanting(self, actor: Actor) -> tuple[FunctionKey, ...]:
        """The fewest calls by name from a provider to who takes the lock, from the end of its chain if they can; else the
        calls by which its effect summary says that it does."""
        takers = set(providers(self.program).takers.get(self.circle.lock, ()))
        for start in reversed(actor.chain):
            ways: dict[FunctionKey, tuple[FunctionKey, ...]] = {start: (start,)}
            seen = {start}
            for _ in range(MAX_CALLS_TO_PROVIDERS_LOCK):
                for end, way in ways.items():
                    if end in takers:
                        return way
                ways = {
                    callee: (*way, callee)
                    for end, way in ways.items()
                    for callee in self.program.callees(end)
                    if callee not in seen and self.program.callgraph.names_it(end, callee)
                }
                seen |= set(ways)
        effects = (e for e in self.program.does(actor.root) if e.kind == "lock" and e.object == self.circle.lock)
        calls = next((self.program.effects.chain(actor.root, effect) for effect in effects), ())
        return tuple(dict.fromkeys(at.key for at in calls))

    def model(self) -> Model:
        """The model of this side. Where the whole slice is too large, callees off the chains of the cycle are left out
        (`lean`)."""
        try:
            return self._model()
        except TooLarge as error:
            self.cuts[error.cut] = None
            if self.extractor.lean:
                raise
        self.extractor = self._reads(lean=True)
        return self._model()

    def _model(self) -> Model:
        circle, flushed = self.circle, self.circle.kind in FLUSHED
        roots = {a.root: a for a in reversed(circle.actors) if a.root in self.program.names.functions}
        provides = {a.root for a in circle.providers} - {circle.holder.root}
        if flushed:
            self.steps.handlers = [self._named(a, ends=False) for root, a in roots.items() if root in provides]
            tasks = [self._task(a, ends=False) for root, a in roots.items() if root not in provides]
            tasks += self._queueing()
        else:
            tasks = [self._task(a, ends=root in provides) for root, a in roots.items()]
        tasks += self._writing()
        tasks += self._removing()
        tasks.sort(key=lambda t: t.name != self._name(circle.holder))
        if not tasks:
            raise NotThere("none of the functions is there")
        marks = (*(t.name for t in tasks), *(h.title for h in self.steps.handlers))
        if circle.kind == "self" and self._inside(circle.holder):
            marks = (f"{self._name(circle.holder)} runs",)  # whether it ends is what is asked
        return Model(f"{self.circle.kind} under {self.circle.lock}", tuple(tasks), reachable=marks)

    def _writing(self) -> list[Task]:
        """Somebody who asks for write, where anybody may at any time, or for the end of a grace period; or who asks at all,
        for a lock that its holder only tries to take."""
        circle = self.circle
        alone = circle.kind in ("kept", "twice") and circle.writer is None
        read = alone and circle.mode == "r"
        found = [
            lock
            for name, lock in self.locks.items()
            if (read or name in KERNEL.changed) and name in (circle.lock, circle.object) and isinstance(lock, RwSem)
        ]
        asks: list[Node] = [Seq((down_write(lock), up_write(lock).says(""))) for lock in found]
        if alone and not found and providers(self.program).takers.get(circle.lock) and self._only_tries():
            call = SlicedOp("take", circle.lock, circle.mode, "", Place("", 0))
            asks = [Seq((self.steps.take(call), self.steps.give(call).says("")))]
        if read and isinstance(section := self.locks[circle.lock], Srcu):  # RCU: anybody waits for its grace periods
            asks = [renamed(synchronize_srcu(section), "synchronize_rcu()")]
        names = ("another thread", "a third thread")
        return [Task(name, Named(name, node)) for name, node in zip(names, asks, strict=False)]

    def _removing(self) -> list[Task]:
        """The core of the kernel that removes a file with a lock held."""
        circle = self.circle
        run = self.locks[circle.lock]
        if circle.kind != "removal" or not isinstance(run, Run):
            return []
        removal = KERNEL.removals[circle.object]
        call = SlicedOp("take", circle.object, "x", "", Place("", 0))
        waits = wait_for_run(run, f"{removal.waits}()")
        steps = Seq((self.steps.take(call), waits, self.steps.give(call)))
        return [Task(f"{removal.by}()", Named(f"{removal.by}()", steps))]

    def _only_tries(self) -> bool:
        """Whether the holder never waits for the lock of the circle."""
        automaton, _ = self._automaton(self.circle.holder)
        return all(op.kind not in ("take", "pass") or op.object != self.circle.lock for op in automaton.ops())

    def _queueing(self) -> list[Task]:
        """Whoever queues the work."""
        names = ["somebody", "somebody else", *(f"somebody #{n}" for n in range(3, len(self.steps.handlers) + 1))]
        return [
            Task(name, Named("queues", queue_work_once(self.steps.queue, handler).says(f"queues {handler.title}")))
            for name, handler in zip(names, self.steps.handlers, strict=False)
        ]

    def _task(self, actor: Actor, ends: bool) -> Task:
        alone = not {a.root for a in self.circle.actors} - {actor.root}
        twice = alone and self.circle.kind not in ("self", "removal") and self.circle.writer is None
        twice = twice and not isinstance(self.locks[self.circle.lock], Srcu)  # no reader is in another one's way
        return Task(self._name(actor), self._named(actor, ends), 2 if twice else 1)

    def _named(self, actor: Actor, ends: bool) -> Named:
        lock = self.locks[self.circle.lock]
        if self.circle.kind in ("kept", "self") and actor == self.circle.writer and isinstance(lock, RwSem):
            asks = down_write(lock)  # that it asks is all that matters: not what it holds by then
            return Named(self._name(actor), Seq((asks.at(actor.at) if actor.at else asks, up_write(lock).says(""))))
        automaton, holds = self._automaton(actor)
        body = self.steps.node(automaton)
        for name, mode in holds:
            call = SlicedOp("take", name, mode, "", Place("", 0))
            has = self.locks[name]
            entered = self.steps.take(call).says(f"has {has} held")
            if isinstance(has, Run):
                entered = begin_run(has, f"{self._name(actor)} runs")
            body = Seq((entered, body, self.steps.give(call).says("")))
        if ends and self.circle.kind != "lock":
            body = Seq((body, complete_all(self.steps.done).says("")))
        return Named(self._name(actor), body)

    def _automaton(self, actor: Actor) -> tuple[TaskAutomaton, HeldLocks]:
        """As `_extracted`, once for each circle of a program: what would be safe is asked of the same programs."""
        known = self.program.component(Programs).of
        name = self.circle, actor, self.extractor.lean
        if name not in known:
            try:
                known[name] = self._extracted(actor)
            except Unreadable as error:
                known[name] = type(error)(*error.args)  # without its traceback, which knows the program
        found = known[name]
        if isinstance(found, Unreadable):
            raise type(found)(*found.args)
        automaton, holds, cut = found
        if cut is not None:
            self.cuts[cut] = None
        return automaton, holds

    def _extracted(self, actor: Actor) -> tuple[TaskAutomaton, HeldLocks, Cut | None]:
        """The program from the root of the actor's chain, or from where it is called back with a lock held; from further
        down, with what is held there, if too large."""
        cut = None
        keep = self.circle.kind == "kept" and actor == self.circle.holder
        first = max((n for n in range(1, len(actor.chain)) if self._called_back(actor.chain[: n + 1])), default=0)
        for number, key in enumerate(actor.chain):
            last = number + 1 == len(actor.chain)
            if number < first:
                continue
            if self.extractor.exhausted:
                if not last:
                    continue
                self.extractor.refill()
            inside = self._inside(actor)
            holds = (*self._holds(actor.chain[: number + 1]), *((one.held.lock, "x") for one in inside))
            handed = next((one.of for one in inside if not number), "")
            try:
                automaton = self.extractor.automaton(key, holds, keep, handed)
                if len(automaton.places) > MAX_REPLAYED_PLACES:
                    cut_here = Cut("places of the program of a task", MAX_REPLAYED_PLACES, key)
                    raise TooLarge(f"{name_of(key)}() is too large to be searched", cut_here)
                return automaton, holds, cut
            except TooLarge as error:
                if last:
                    raise
                cut = cut or error.cut
        raise Unreadable("nobody is there")

    def _called_back(self, chain: tuple[FunctionKey, ...]) -> bool:
        """Whether the last function of a chain is entered with a lock of the circle that no function above it has: who calls
        it back holds that, and its body is not read."""
        caller, callee = chain[-2:]
        if not {caller, callee} <= self.program.names.functions.keys():
            return False
        mine = {h.lock for made in self.program.view(caller).made for h in (*made.at.held, *made.at.maybe)}
        above = mine | {lock for lock, _ in self._holds(chain[:-1])}
        return any(lock not in above for lock, _ in self._holds(chain))

    def _inside(self, actor: Actor) -> list[InsideRun]:
        """The run of the circle that an actor is inside of, if it is."""
        circle = self.circle
        run = circle.lock if actor == circle.holder else circle.object if actor in circle.providers else ""
        if not isinstance(self.locks.get(run), Run) or actor.root not in self.program.names.functions:
            return []
        return [one for one in resources(self.program).inside(actor.root) if one.held.lock == run][:1]

    def _holds(self, chain: tuple[FunctionKey, ...]) -> HeldLocks:
        """Locks of the circle, with modes, that are held where a chain of calls has come to its end."""
        if chain[-1] not in self.program.names.functions:
            return ()
        ways = self.program.entry(chain[-1])
        way = next((w for w in ways if w.chain == chain), None)
        held = {h.lock: h.mode for h in (way.held if way else ())}
        if way is None and ways:
            every = set.intersection(*(set(w.locks()) for w in ways))
            held = {h.lock: h.mode for h in ways[0].held if h.lock in every}
        if self.circle.kind in ("kept", "twice") and self.circle.ends is not None and len(chain) == 1:
            held.pop(self.circle.lock, None)  # it takes it itself: what callers hold is another one
        return tuple(sorted((lock, mode) for lock, mode in held.items() if lock in self.locks))

    def _name(self, actor: Actor) -> str:
        """The function that the task runs, with its file where another file's function of that name runs, too."""
        file, function = file_of(actor.root), name_of(actor.root)
        others = {file_of(a.root) for a in self.circle.actors if name_of(a.root) == function}
        others.discard(file)
        base = file.rpartition("/")[2]
        if not others:
            return f"{function}()"
        return f"{function}() of {file if base in {o.rpartition('/')[2] for o in others} else base}"
