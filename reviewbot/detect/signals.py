"""Signals of one side: who changes what a sleep tests, who sleeps and who wakes, and after which changes a function can
return without the wake-up."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import PLUS, ZERO
from reviewbot.analysis.code.identity import known, member
from reviewbot.analysis.events.kinds import Fact, Queue, Site, Wait, Wake, Write
from reviewbot.analysis.producers.predicates import reads, senses
from reviewbot.analysis.program.program import Component, Program
from reviewbot.analysis.questions.io_dependence import handlers
from reviewbot.csource.ir import Assign, Call, Expr
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import schema
from reviewbot.limits import MAX_ANNOUNCER_STATES, MAX_CALLS_ABOVE_WAKE
from reviewbot.replay.slicing.frames import Frame
from reviewbot.replay.slicing.lock_calls import LockState
from reviewbot.replay.slicing.reader import CallAct, FunctionReader, Seen
from reviewbot.replay.slicing.slicer import Extractor, SlicedOp, TaskAutomaton, TooLarge, Unreadable
from reviewbot.types import Cut, Place

RUN = "run"
"""Every hardware queue: which one is run is not told apart."""
WAKES = ("event", "bit", RUN)
"""Classes of wake-ups that are followed."""
ENDS = ("-", "&~")
"""Changes of what a sleep on a wait queue tests that can end it: most wait for a counter to fall or a flag to go."""
SETS = {"|": True, "=1": True, "&~": False, "=0": False}
"""Changes after which what is tested is surely true, or surely not."""
FALSE = ("0", "false", "NULL")


class Announcement(NamedTuple):
    """A signal obligation: after `tested` is changed by `op` (`=0`, `=1`: set to a constant), `wake` has to be
    woken."""

    tested: str
    op: str
    wake: str


class AnnouncementIndex(Component):
    """Who writes, wakes and sleeps in a program."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.silences: dict[tuple[Announcement, tuple[FunctionKey, ...]], Silence | Cut | None] = {}
        """What `silence` found."""
        self._found: dict[object, frozenset[FunctionKey]] = {}
        self._sleeps: dict[str, tuple[tuple[Wait, tuple[str, ...]], ...]] = {}

    @cached_property
    def _written(self) -> dict[str, list[tuple[FunctionKey, Write]]]:
        found: dict[str, list[tuple[FunctionKey, Write]]] = {}
        for key, write in self.program.all(Write):
            found.setdefault(member(write.object), []).append((key, write))
        return found

    @cached_property
    def _woken(self) -> dict[str, list[tuple[FunctionKey, str]]]:
        found: dict[str, list[tuple[FunctionKey, str]]] = {}
        for key, fact in (*self.program.all(Wake), *self.program.all(Queue)):
            for wake in _woken(fact):
                found.setdefault(member(wake), []).append((key, wake))
        return found

    @cached_property
    def _sleeping(self) -> dict[str, list[tuple[FunctionKey, Wait]]]:
        found: dict[str, list[tuple[FunctionKey, Wait]]] = {}
        for key, fact in self.program.all(Wait):
            if not fact.timeout and not fact.announce:
                found.setdefault(fact.object, []).append((key, fact))
        return found

    def writing(self, told: Announcement) -> frozenset[FunctionKey]:
        """Functions that may make the change, and those above them."""
        keys = (
            k
            for k, w in self._written.get(member(told.tested), ())
            if change_of(w) == told.op and _may_be(w.object, told.tested)
        )
        return self._above((told.tested, told.op), keys)

    def waking(self, wake: str) -> frozenset[FunctionKey]:
        """Functions that may wake, and those above them."""
        return self._above(wake, (k for k, w in self._woken.get(member(wake), ()) if _may_be(w, wake)))

    def _above(self, name: object, keys: Iterable[FunctionKey]) -> frozenset[FunctionKey]:
        if name not in self._found:
            found = set(keys)
            edge = set(found)
            for _ in range(MAX_CALLS_ABOVE_WAKE):
                edge = {caller for key in edge for caller in self.program.callers(key)} - found
                found |= edge
            self._found[name] = frozenset(found)
        return self._found[name]

    def sleeps(self, wake: str) -> tuple[tuple[Wait, tuple[str, ...]], ...]:
        """The sleeps on a wait queue that nothing but a wake-up ends, with what they test, also in what they call."""
        if wake not in self._sleeps:
            self._sleeps[wake] = tuple(
                (fact, (*fact.reads, *_inside(self.program, key, fact))) for key, fact in self._sleeping.get(wake, ())
            )
        return self._sleeps[wake]

    def tested(self, wake: str) -> set[str]:
        """What is looked at after a wake-up: by the sleeps on a wait queue, or by the handlers of a work item."""
        sleeps = {r for _, tested in self.sleeps(wake) for r in tested}
        return sleeps | {
            fact.object
            for handler in handlers(self.program, wake)
            for fact in facts_near(self.program, handler)
            if isinstance(fact, Write) and fact.op == "take" and known(fact.object)
        }

    def sleeper(self, told: Announcement, way: tuple[FunctionKey, ...]) -> Wait | None:
        """Somebody who sleeps until the change, and does not make it himself."""
        own = {name_of(key) for key in way}
        sleeps = (fact for fact, tested in self.sleeps(told.wake) if told.tested in tested)
        return next((fact for fact in sleeps if fact.function not in own and self._ends(told, fact)), None)

    def _ends(self, told: Announcement, fact: Wait) -> bool:
        """Whether a change can end a sleep: by what the condition says, else by what most sleeps wait for; any where
        nothing else wakes."""
        condition = _condition(self.program, fact.key, fact)
        wanted = senses(condition[0], condition[1]).get(told.tested) if condition else None
        if wanted is not None and told.op in SETS:
            return SETS[told.op] == wanted
        return told.op in ENDS or not self.waking(told.wake)


def index(program: Program) -> AnnouncementIndex:
    """The index of a program, made once."""
    return program.component(AnnouncementIndex)


class Announcing(Extractor):
    """Programs of writes to one object and the wake-ups for it, nothing else."""

    most = MAX_ANNOUNCER_STATES

    def __init__(self, program: Program, told: Announcement, route: tuple[FunctionKey, ...]) -> None:
        super().__init__(program, (), {told.wake}, ())
        self.told, self.route = told, dict(pairwise((*route, route[-1])))
        self.index = index(program)
        self._written: dict[str, dict[tuple[int, str], list[Write]]] = {}

    def _follows(self, frame: Frame, seen: Seen, target: FunctionKey) -> bool:
        if seen.apart or self.program.function(target).unreadable:
            return False
        writes = target in self.index.writing(self.told)
        if writes and target != self.route.get(frame.key, target):
            return False
        return writes or target in self.index.waking(self.told.wake)

    def _writes(self, key: FunctionKey, line: int, call: str) -> list[Write]:
        if key not in self._written:
            found = self._written[key] = {}
            for fact in self.program.own_facts(key):
                if isinstance(fact, Write) and change_of(fact) == self.told.op:
                    found.setdefault((fact.at.line, fact.call), []).append(fact)
        return self._written[key].get((line, call), [])

    def _assigned(self, frame: Frame, reader: FunctionReader, event: Assign) -> SlicedOp | None:
        if not self._hits(frame, event.line, ""):
            return None
        place = Place(reader.body.file, event.line, reader.body.name)
        return SlicedOp("write", self.told.tested, self.told.op, "", place)

    def _hits(self, frame: Frame, line: int, call: str) -> bool:
        found = self._writes(frame.key, line, call)
        return any(self._bind(w.object, frame) == self.told.tested for w in found)

    def _primitive(
        self, frame: Frame, after: LockState, acts: tuple[CallAct, ...], call: Call, place: Place, text: str
    ) -> Iterator[tuple[SlicedOp | None, Hashable]]:
        here = [f for f in self.program.own_facts(frame.key) if isinstance(f, Site) and f.at.line == call.line]
        found = [w for f in here if f.call == call.callee for w in _woken(f)]
        wakes = [w for w in found if self._bind(w, frame) == self.told.wake]
        writes = self._hits(frame, call.line, call.callee)
        if writes and not wakes:
            op = SlicedOp("write", self.told.tested, self.told.op, call.callee, place)
            asks = "_test" in call.callee or call.callee.startswith("test_")
            if asks:  # only the last one, or the first, has to tell
                yield op, after._replace(values=after.values | {(text, PLUS)})
                yield None, after._replace(values=after.values | {(text, ZERO)})
            else:
                yield op, after
        elif wakes and not writes:
            yield SlicedOp("wake", self.told.wake, "", call.callee, place), after
        else:
            yield None, after


def _woken(fact: Fact) -> tuple[str, ...]:
    """What a fact wakes: a wait queue, hardware queues, a work item."""
    match fact:
        case Wake() if fact.klass in WAKES:
            return (RUN if fact.klass == RUN else fact.object,)
        case Queue():
            return (fact.work,)
    return ()


def _may_be(identity: str, what: str) -> bool:
    return identity == what or (not known(identity) and member(identity) == member(what))


class Silence(NamedTuple):
    """writes: the places where a function writes what is tested, in the order of the text; silent: those of them after
    which it can return without the wake-up."""

    writes: tuple[Place, ...]
    silent: tuple[Place, ...]


def silence(program: Program, told: Announcement, way: tuple[FunctionKey, ...]) -> Silence | Cut | None:
    """The writes of a function, and which can stay without a wake-up; None where it never writes or is not readable, what
    cut the search where it is too large.

    way: the function, and the callees through which it writes, down to the one of which every write counts.
    """
    silences = index(program).silences
    if (told, way) not in silences:
        silences[told, way] = _silence(program, told, way)
    return silences[told, way]


def _silence(program: Program, told: Announcement, way: tuple[FunctionKey, ...]) -> Silence | Cut | None:
    try:
        automaton = Announcing(program, told, way).automaton(way[0])
    except TooLarge as error:
        return error.cut
    except Unreadable:
        return None
    writes = [(op, after) for ways in automaton.places.values() for op, after in ways.steps if op.kind == "write"]
    if not writes:
        return None
    untold = _untold(automaton)
    silent = {op.place for op, after in writes if after & untold}
    return Silence(tuple(sorted({op.place for op, _ in writes})), tuple(sorted(silent)))


def _untold(automaton: TaskAutomaton) -> set[int]:
    """The places from which the end can be reached without a wake-up."""
    found = {number for number, ways in automaton.places.items() if not ways.steps}
    size = -1
    while size != len(found):
        size = len(found)
        for number, ways in automaton.places.items():
            if any(op.kind != "wake" and after & found for op, after in ways.steps):
                found.add(number)
    return found


def facts_near(program: Program, key: FunctionKey) -> Iterator[Fact]:
    """The facts of a function and of those that it calls."""
    for k in (key, *program.callees(key)):
        yield from program.own_facts(k)


def change_of(write: Write) -> str:
    """How a write changes its object; `=0` and `=1` for a constant."""
    return f"={int(write.value not in FALSE)}" if write.op == "=" and write.value else write.op


def _inside(program: Program, key: FunctionKey, fact: Wait) -> tuple[str, ...]:
    found = _condition(program, key, fact)
    return reads(*found, program.callgraph) if found else ()


def _condition(program: Program, key: FunctionKey, fact: Wait) -> tuple[Body, Expr] | None:
    """What a call that sleeps is told to wait for."""
    view = program.view(key)
    for made, effect in view.having(schema.WaitGroup):
        condition = view.arg(made.call, effect.condition)
        if made.call.line == fact.at.line and condition is not None:
            return view.body, condition
    return None
