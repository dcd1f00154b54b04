"""Lost signals: writes to what a sleep tests that are not followed by the wake-up any more since a change."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator
from functools import cached_property
from itertools import islice, pairwise
from typing import NamedTuple

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import PLUS, ZERO, parts
from reviewbot.analysis.code.identity import known, member
from reviewbot.analysis.events.kinds import Fact, Queue, Site, Wait, Wake, Write
from reviewbot.analysis.producers.predicates import reads, senses
from reviewbot.analysis.program.program import Component, Program
from reviewbot.analysis.questions.io_dependence import handlers
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.csource.ir import Assign, Call, Expr
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.detect.waitfor import unread
from reviewbot.function_key import FunctionKey, key_of, name_of
from reviewbot.kernel import schema
from reviewbot.limits import MAX_ANNOUNCEMENTS, MAX_ANNOUNCER_STATES, MAX_CALLS_ABOVE_WAKE
from reviewbot.replay.slicing.frames import Frame
from reviewbot.replay.slicing.lock_calls import LockState
from reviewbot.replay.slicing.reader import CallAct, FunctionReader, Seen
from reviewbot.replay.slicing.slicer import Extractor, SlicedOp, TaskAutomaton, TooLarge, Unreadable
from reviewbot.types import Cut, Place, Value

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


class Missed(Value, frozen=True):
    """A lost signal: a function can return after the write without the wake-up that followed on every path before."""

    told: Announcement
    way: tuple[FunctionKey, ...]
    """The function, and the callee that writes where it does not itself; by key."""
    at: Place
    waker: Place
    """Where the function woke before, or a callee of its."""
    was: tuple[FunctionKey, ...] = ()
    """The way before the change."""
    sleeper: Place | None = None
    """Who sleeps; None where a hardware queue has to be run, or a work item queued."""
    call: str = ""

    @property
    def function(self) -> str:
        """Name of the function."""
        return name_of(self.way[0])


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
            if _op(w) == told.op and _may_be(w.object, told.tested)
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
            for fact in _below(self.program, handler)
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
                if isinstance(fact, Write) and _op(fact) == self.told.op:
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
            if "_test" in call.callee or call.callee.startswith(
                "test_"
            ):  # only the last one, or the first, has to tell
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


def missed(before: Program, after: Program, names: Iterable[tuple[str, str]]) -> Iterator[Missed | Cut | Dropped]:
    """The changes of what sleeps test that functions `names` announced on every way, and do not any more; between them,
    what was not looked at or came to nothing.
    """
    keys = [k for file, name in names if (k := key_of(file, name)) in after.names.functions]
    keys = [k for k in keys if k in before.names.functions and not after.function(k).macro]
    keys = [k for k in keys if not unread(after, k) - unread(before, k)]
    gained = {w for k in keys for w in _wakes(after, k) - _wakes(before, k)}
    for key in keys:
        pairs = [*islice(_announces(before, key), MAX_ANNOUNCEMENTS + 1)]
        if len(pairs) > MAX_ANNOUNCEMENTS:
            yield Cut("changes that a function announces", MAX_ANNOUNCEMENTS, key)
        for told, by, waker in pairs[:MAX_ANNOUNCEMENTS]:
            was = (key,) if by == key else (key, by)
            way = _way(after, told, was)
            lead = LeadPlace(waker, f"wakes {told.wake} after it changes {told.tested}")
            if told.wake in gained or not way:
                yield Dropped(
                    lead, "another function wakes it now" if told.wake in gained else "it is not changed there any more"
                )
                continue
            callers = [c for c in after.callers(key) if c in after.names.functions and after.body(c).function.blocks]
            lost = _lost(before, after, told, was, way)
            yield from _cuts(before, told, was)
            yield from _cuts(after, told, way)
            if not lost or (callers and not any(_lost(before, after, told, (c, *was), (c, *way)) for c in callers)):
                yield Dropped(
                    lead, "its callers make up for it" if lost else "it still does so, or did not on every way before"
                )
                continue
            handed = told.wake == RUN or bool(handlers(after, told.wake))
            sleeper = None if handed else index(after).sleeper(told, way)
            if not (handed or sleeper):
                yield Dropped(lead, "nobody is seen to sleep on it")
            elif _asks(after, key, told, sleeper):
                yield Dropped(lead, "it asks first if anybody sleeps")
            else:
                yield Missed(
                    told=told,
                    way=way,
                    was=was,
                    at=lost[0],
                    waker=waker,
                    sleeper=sleeper.at if sleeper else None,
                    call=sleeper.call if sleeper else "",
                )


def _asks(program: Program, key: FunctionKey, told: Announcement, sleeper: Wait | None) -> bool:
    """Whether a function, or one through which it wakes, asks first if anybody sleeps: looks at the wait queue, or at
    what the sleeper sets itself."""
    by = () if sleeper is None else program.own_facts(sleeper.key)
    own = {fact.object for fact in by if isinstance(fact, Write)}
    for body in map(program.body, _through(program, key, index(program).waking(told.wake))):
        conditions = [edge.when for block in body.function.blocks for edge in block.edges if edge.when is not None]
        if any(body.identity(part) == told.wake for when in conditions for part in parts(when)):
            return True
        if body.key == key and any(own & set(reads(body, when)) for when in conditions):
            return True
    return False


def _through(program: Program, key: FunctionKey, among: Collection[FunctionKey]) -> set[FunctionKey]:
    """A function, and those of `among` that it calls, down to NEAR calls below it."""
    found, edge = {key}, {key}
    for _ in range(MAX_CALLS_ABOVE_WAKE):
        edge = {callee for caller in edge for callee in program.callees(caller) if callee in among} - found
        found |= edge
    return found


def _way(program: Program, told: Announcement, was: tuple[FunctionKey, ...]) -> tuple[FunctionKey, ...]:
    """The way on which a function writes that did so on another one: by the same callee, or itself now instead of by
    that; empty for none."""
    key, by = was[0], was[-1]
    if by in (key, *program.callees(key)):
        return was
    own = (fact for fact in program.own_facts(key) if isinstance(fact, Write))
    return (key,) if any(fact.object == told.tested and _op(fact) == told.op for fact in own) else ()


def _lost(
    before: Program,
    after: Program,
    told: Announcement,
    old: tuple[FunctionKey, ...],
    new: tuple[FunctionKey, ...],
) -> tuple[Place, ...]:
    """The writes from which the wake-up always followed, and does not any more; old, new: the ways of both sides."""
    if old[0] not in before.names.functions or not before.body(old[0]).function.blocks:
        return ()
    was = silence(before, told, old)
    if not isinstance(was, Silence) or was.silent == was.writes:
        return ()  # no write was always told
    now = silence(after, told, new)
    if not isinstance(now, Silence):
        return ()
    if len(was.writes) != len(now.writes):  # they came or went: only where every one was told before
        return () if was.silent else now.silent
    return tuple(b for a, b in zip(was.writes, now.writes, strict=True) if b in now.silent and a not in was.silent)


def _cuts(program: Program, told: Announcement, way: tuple[FunctionKey, ...]) -> list[Cut]:
    """What cut the search for the writes that are not announced, as far as it was made."""
    cut = index(program).silences.get((told, way))
    return [cut] if isinstance(cut, Cut) else []


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


def _wakes(program: Program, key: FunctionKey) -> set[str]:
    return {wake for effect in program.does(key) if (wake := _wake(effect))}


def _wake(effect: Effect) -> str:
    """The same of an effect; empty where it is none."""
    if effect.kind == "wake" and effect.detail in WAKES:
        return RUN if effect.detail == RUN else effect.object
    return effect.detail if effect.kind == "queue" and known(effect.detail) else ""


def _announces(program: Program, key: FunctionKey) -> Iterator[tuple[Announcement, FunctionKey, Place]]:
    """What a function writes and wakes for; itself, or the callee that writes; and where it wakes."""
    seen = set()
    for effect, reason in program.does(key).items():
        wake = _wake(effect)
        if wake != RUN and not known(wake):
            continue
        at = Place(program.names.file[key], reason.line, program.function(key).name)
        tested = index(program).tested(wake)
        for by in (key, *program.callees(key)):
            for fact in program.own_facts(by) if by == key else _below(program, by):
                if isinstance(fact, Write) and known(fact.object):
                    told = Announcement(fact.object, _op(fact), wake)
                    wanted = fact.op == "put" if wake == RUN else fact.object in tested
                    if wanted and (told, by) not in seen:
                        seen.add((told, by))
                        yield told, by, at


def _below(program: Program, key: FunctionKey) -> Iterator[Fact]:
    for k in (key, *program.callees(key)):
        yield from program.own_facts(k)


def _op(write: Write) -> str:
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
