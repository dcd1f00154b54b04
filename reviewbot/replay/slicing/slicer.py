"""C -> effect programs: what a function does to the locks and sleeps of a circle, read off its flow graph.

The flow graph is walked from the root of a task, calls inlined where they touch something of the circle and left out
elsewhere, so that what remains is a small automaton. A callee is read once for what is held and known where it is
called, made small, and put in its callers' place. Branches agree with each other as in `facts.flow`: a value that was
tested stays what it is until it is assigned. Ways that cannot be are cut backwards: who gives back what it does not
hold, who returns with a lock. Where nothing is left, or too much, `Unreadable` says so: then nothing may be concluded.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType

from reviewbot.analysis.code import identity as objects
from reviewbot.analysis.code.expr import ANY, PLUS, ZERO
from reviewbot.analysis.locks.flow import VOID, assign, forget_addressed, onward, returned
from reviewbot.analysis.locks.levels import apart
from reviewbot.analysis.locks.plan import Values
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import Assign, Call, CallEvent, Return
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_INLINED_CALLS, MAX_SLICER_STATES, MAX_VALUE_SETS
from reviewbot.replay.slicing.automaton import RawAutomaton, SlicedOp, TaskAutomaton, alive, reduced
from reviewbot.replay.slicing.frames import BranchChoice, CalleeRead, End, Frame, FrameSite, Inside
from reviewbot.replay.slicing.lock_calls import Held, HeldToken, LockState, lasting, locked
from reviewbot.replay.slicing.reader import CallAct, FunctionReader, Seen, Target, bound
from reviewbot.replay.slicing.reader import reader as made_ready
from reviewbot.types import Cut, Place


class Unreadable(Exception):
    """The program could not be extracted: cut off, unbalanced or too large; the message says which."""


class TooLarge(Unreadable):
    """The program is larger than what can be searched: `cut` is the limit that says so."""

    def __init__(self, text: str, cut: Cut) -> None:
        super().__init__(text, cut)
        self.cut = cut

    def __str__(self) -> str:
        return str(self.args[0])


NOTHING_ASKED: Mapping[str, tuple[str, bool]] = MappingProxyType({})
NO_LEVELS: Mapping[str, str] = MappingProxyType({})


class Extractor:
    """Slices automata off one program, for one set of resources.

    locks: the locks (and runs) that are followed. waits: events, completions and flushed objects. asks: flushed object ->
    run that is asked for by that, and whether by one that only cancels, too. chain: functions that are followed whether
    they touch a resource or not. lean: the chains say who waits for a lock; of other callees only those count that leave
    one held, or drop one. spoils: who gives back what it does not hold does so, and spoils it; else that is taken for a
    way that cannot be. idle: where those who are woken find nothing changed, and sleep on. levels: lock -> the level at which
    the instance that is followed is taken; what is taken at another one is not it. runs: those of the locks that are runs: who
    asks whether it is one of them is one where it has it. spared: calls that are left out. returns: what is waited for are
    functions that return, and of the waits only those of such a class are meant; else none of them is. one: those of the locks
    that are one instance, by whatever names they are taken.
    """

    most = MAX_SLICER_STATES
    """States that are looked at."""

    def __init__(
        self,
        program: Program,
        locks: Iterable[str],
        waits: Iterable[str],
        chains: Iterable[tuple[FunctionKey, ...]],
        lean: bool = False,
        asks: Mapping[str, tuple[str, bool]] = NOTHING_ASKED,
        spoils: bool = False,
        idle: frozenset[Place] = frozenset(),
        levels: Mapping[str, str] = NO_LEVELS,
        runs: Iterable[str] = (),
        spared: Iterable[Place] = (),
        returns: bool = False,
        one: Iterable[str] = (),
    ) -> None:
        self.program = program
        self.locks, self.waits, self.asks = frozenset(locks), frozenset(waits), dict(asks)
        self.lean, self.spoils, self.idle, self.levels, self.runs = lean, spoils, idle, levels, frozenset(runs)
        self.spared, self.returns, self.one = frozenset(spared), returns, frozenset(one)
        self.steps = {step for chain in chains for step in pairwise(chain)}
        self._keep = False
        self._left = self.most
        self._known: dict[tuple[FunctionKey, Held, Values, bool], list[CalleeRead]] = {}
        self._numbers: dict[Hashable, int] = {}
        self._automata: list[TaskAutomaton] = []
        self._open: list[FunctionKey] = []
        self._used: list[set[int]] = [set()]
        """Arguments that made a difference so far, for each open function."""
        self._touched: dict[tuple[FunctionKey, tuple[str, ...], bool], tuple[bool, set[int]]] = {}
        self._sites: dict[Hashable, dict[int, FrameSite]] = {}
        """Calls by what a function is called with, and by the call."""
        self._here: dict[int, FrameSite] = {}
        """Those of the open function."""

    def automaton(
        self, root: FunctionKey, holds: tuple[tuple[str, str], ...] = (), keep: bool = False, handed: str = ""
    ) -> TaskAutomaton:
        """The program of a task that runs a function, entered with some locks (and modes) held.

        `keep`: a return that leaves something held counts as well. handed: what the first argument points to, if known.
        Raises Unreadable.
        """
        if root not in self.program.names.functions or self.program.function(root).unreadable:
            raise Unreadable(f"{name_of(root)}() is not at hand")
        function = self.program.function(root)
        n = len(function.parameters)
        ids = tuple(handed if handed and not i else f"${i}" for i in range(n))
        inside = tuple(HeldToken(lock, mode, "", False) for lock, mode in holds)
        self._keep = keep
        graph, start = self._graph(Frame(root, ids, ("",) * n, ids, inside, frozenset()))
        end = graph.number(End((), ANY))
        for ways in filter(None, graph.ways):
            ways[:] = [
                (op, end if graph.ways[after] is None else after)
                for op, after in ways
                if graph.ways[after] is not None or self._settled(graph.states[after], inside)
            ]
        living = alive(graph)
        if start not in living:
            raise Unreadable(f"no way through {function.name}() gives back what it takes")
        return reduced(graph, start, living)

    @property
    def exhausted(self) -> bool:
        """True when the bound on states is used up: nothing more is read."""
        return self._left < 0

    def refill(self) -> None:
        """Reset the bound on states, for another try with a smaller slice."""
        self._left = self.most

    def _settled(self, after: Hashable, inside: Held) -> bool:
        """Whether a task may end there: with what it was called with, and nothing more."""
        if not isinstance(after, End) or self._keep:
            return True
        return {t for t in after.held if not t.other} == set(inside)

    # --- one function

    def _called(self, frame: Frame) -> CalleeRead | None:
        """A callee, read once for all arguments that make no difference to it; None where it is being read already: no
        second round."""
        known = self._known.setdefault((frame.key, frame.held, frame.given, self._keep), [])
        for read in known:
            if read.about == frame.about(read.used):
                return read
        if frame.key in self._open or len(self._open) >= MAX_INLINED_CALLS:
            return None
        self._used.append(set())
        try:
            graph, start = self._graph(frame)
        finally:
            used = tuple(sorted(self._used.pop()))
        living = alive(graph)
        number = self._number(reduced(graph, start, living)) if start in living else None
        known.append(CalleeRead(used, frame.about(used), number))
        return known[-1]

    def _number(self, automaton: TaskAutomaton) -> int:
        """Equal programs have one number."""
        name = automaton.start, frozenset(automaton.places.items()), frozenset(automaton.ends.items())
        number = self._numbers.setdefault(name, len(self._automata))
        if number == len(self._automata):
            self._automata.append(automaton)
        return number

    def _graph(self, frame: Frame) -> tuple[RawAutomaton, int]:
        reader = made_ready(self.program, frame.key)
        graph = RawAutomaton()
        crowd: dict[int, set[Values]] = {}
        start = graph.number(LockState(0, 0, frame.held, frame.given))
        todo = [start]
        self._open.append(frame.key)
        around = self._here
        self._here = self._sites.setdefault((frame.key, frame.ids, frame.types, frame.bases, self._keep), {})
        try:
            while todo:
                number = todo.pop()
                state = graph.states[number]
                self._left -= 1
                if self._left < 0:
                    cut = Cut("states of the program of a task", self.most, frame.key)
                    raise TooLarge(f"{reader.body.name}() has too many ways", cut)
                if isinstance(state, LockState):
                    found = self._ways(frame, reader, state)
                elif isinstance(state, Inside):
                    found = self._inside(state)
                else:
                    assert isinstance(state, BranchChoice)
                    found = iter([(None, s) for s in state.states])
                ways: list[tuple[SlicedOp | None, int]] = []
                for op, after in found:
                    if isinstance(after, LockState) and after.event == 0:
                        after = _forget(after, reader, crowd)
                    new = len(graph.states)
                    to = graph.number(after)
                    ways.append((op, to))
                    if to == new and not isinstance(after, End):
                        todo.append(to)
                graph.ways[number] = ways
        finally:
            self._open.pop()
            self._here = around
        return graph, start

    def _ways(
        self, frame: Frame, reader: FunctionReader, state: LockState
    ) -> Iterator[tuple[SlicedOp | None, Hashable]]:
        """The ways on from a place; what only changes what is known is gone through at once."""
        plan = reader.plan
        block = plan.blocks[state.block]
        for number in range(state.event, len(block.events)):
            event = block.events[number]
            if isinstance(event, CallEvent):
                ways = list(self._call(frame, state._replace(event=number + 1), event, reader))
            elif isinstance(event, Assign):
                _, values = assign(plan, event, ((), state.values), reader.keys)
                ways = [(self._assigned(frame, reader, event), state._replace(event=number + 1, values=values))]
            elif isinstance(event, Return):
                yield None, End(state.held, returned(event.value, dict(state.values)), plan.body.function.macro)
                return
            else:
                return
            match ways:
                case [(None, LockState() as after)]:
                    state = after
                case _:
                    yield from ways
                    return
        if not block.edges:
            yield None, End(state.held, returned(plan.body.function.value, dict(state.values)))
        told = self._told(frame, reader, state)
        known = frozenset(v for v in state.values if v[0] not in dict(told)) | told if told else state.values
        for to, (_, values) in onward(plan, block, ((), known)):
            yield None, LockState(to, 0, state.held, values - told)

    def _told(self, frame: Frame, reader: FunctionReader, state: LockState) -> Values:
        """What the conditions at the end of a block say that ask whether the task is a run of the circle."""
        found = set[tuple[str, int]]()
        for key, object_ in reader.self_tests.get(state.block, ()):
            run = self._bind(object_, frame)
            if run in self.runs:
                found.add((key, PLUS if any(token.lock == run for token in state.held) else ZERO))
        return frozenset(found)

    def _assigned(self, frame: Frame, reader: FunctionReader, event: Assign) -> SlicedOp | None:
        """The step that an assignment is; here none is one."""
        return None

    def _inside(self, state: Inside) -> Iterator[tuple[SlicedOp | None, Hashable]]:
        """The steps of a callee's program."""
        for op, places in self._automata[state.automaton].places[state.place].steps:
            first, *rest = (self._at(state, place) for place in sorted(places))
            yield op, BranchChoice((first, *rest)) if rest else first

    def _at(self, state: Inside, place: int) -> Inside | LockState | End:
        """Where a place of a callee's program is: inside of it, or behind the call where the callee has returned."""
        end = self._automata[state.automaton].ends.get(place)
        if not isinstance(end, End):
            return state._replace(place=place)
        if end.escapes:
            return End(end.held, end.signs)
        values = state.after.values
        if end.signs not in (ANY, VOID):
            values |= {(state.text, end.signs & ANY)}
        return state.after._replace(held=end.held, values=values)

    # --- calls

    def _call(
        self, frame: Frame, after: LockState, event: CallEvent, reader: FunctionReader
    ) -> Iterator[tuple[SlicedOp | None, Hashable]]:
        call = event.call
        if call.callee in KERNEL.noreturn:
            return
        _, values = forget_addressed(reader.plan, call, ((), after.values))
        site = self._here.get(id(event))
        if site is None:
            site = self._here[id(event)] = self._read(frame, reader, event)
        after = after._replace(values=frozenset(v for v in values if v[0] != site.text))
        if site.place in self.spared:
            yield None, after
            return
        if site.acts is not None:
            yield from self._primitive(frame, after, site.acts, call, site.place, site.text)
            return
        self._used[-1] |= site.asked
        skips = site.skips
        for target in site.targets:
            read = self._called(self._enter(after, site, target))
            if read is None:
                skips = (
                    skips or not call.callee
                )  # a layer that calls the one below by the pointer it is called by itself
                continue
            self._used[-1].update(*(site.of[i] for i in read.used if i < len(site.of)))
            if read.automaton is not None:
                inside = Inside(
                    read.automaton, 0, after._replace(held=(), values=lasting(after.values, self._keep)), site.text
                )
                for start in sorted(self._automata[read.automaton].start):
                    yield None, self._at(inside, start)
        if skips:
            yield None, after

    def _read(self, frame: Frame, reader: FunctionReader, event: CallEvent) -> FrameSite:
        seen = reader.seen(event)
        if seen.visit is not None and (frame.key, seen.visit) in self.steps:
            n = len(self.program.function(seen.visit).parameters)
            unknown = (objects.UNKNOWN,) * n  # what it is given is the iterator's
            target = Target(seen.visit, frozenset(), (), made_ready(self.program, seen.visit).live[0])
            return FrameSite(seen.text, seen.place, None, unknown, ("",) * n, unknown, (target,), True)
        if seen.acts is not None and (not (seen.acts and seen.reached) or self._concerned(frame, seen.acts)):
            return FrameSite(seen.text, seen.place, seen.acts)
        self._used.append(set())
        targets = tuple(reader.target(event.call, t) for t in seen.reached if self._follows(frame, seen, t))
        return FrameSite(
            seen.text,
            seen.place,
            None,
            self._ids(frame, seen),
            seen.types,
            tuple(bound(base, frame.bases) for base in seen.bases),
            targets,
            len(targets) < len(seen.reached) or not seen.reached,
            frozenset(self._used.pop()),
            tuple(map(frozenset.__or__, map(objects.positions, seen.ids), map(objects.positions, seen.bases))),
        )

    def _concerned(self, frame: Frame, acts: tuple[CallAct, ...]) -> bool:
        """Whether a call of the kernel does something to what is followed by itself, whatever else its body does."""
        return any(self._bind(act.object, frame) in (*self.locks, *self.waits, *self.asks) for act in acts)

    def _follows(self, frame: Frame, seen: Seen, target: FunctionKey) -> bool:
        if (frame.key, target) in self.steps:
            return True
        if seen.apart or self.program.function(target).unreadable:
            return False
        ids = self._ids(frame, seen)
        name = target, ids, self._keep
        if name not in self._touched:
            asked = set[int]()
            self._touched[name] = self._touches(target, ids, seen.types, asked), asked
        found, asked = self._touched[name]
        for position in asked:
            if position < len(seen.ids):
                self._used[-1] |= objects.positions(seen.ids[position])
        return found

    def _touches(self, target: FunctionKey, ids: tuple[str, ...], types: tuple[str, ...], asked: set[int]) -> bool:
        """Whether a callee does something to what is followed; its arguments that decide that are put into `asked`."""
        record = self.program.locksets.record(target)

        def what(identity: str) -> str:
            asked.update(objects.positions(identity))
            return objects.bind(identity, ids, types)

        if any(what(t.lock) in self.locks for left in record.left for t in (*left.takes, *left.drops)):
            return True
        for effect in self.program.does(target):
            if not effect.object:
                continue
            if effect.kind == "lock" and (not self.lean or (record.moves and not self._keep)):
                if what(effect.object) in self.locks:
                    return True
            elif effect.kind in ("wait", "wake", "flush"):
                object_ = what(effect.object)
                if object_ in self.waits and not (self.lean and object_ in self.asks):
                    return True
                if effect.kind == "flush" and object_ in self.asks and not self.lean:
                    return True
        return False

    def _bind(self, identity: str, frame: Frame) -> str:
        """An object of a function's, as its caller calls it."""
        self._used[-1] |= objects.positions(identity)
        return objects.bind(identity, frame.ids, frame.types)

    def _ids(self, frame: Frame, seen: Seen) -> tuple[str, ...]:
        return tuple(objects.bind(identity, frame.ids, frame.types) for identity in seen.ids)

    def _enter(self, after: LockState, site: FrameSite, target: Target) -> Frame:
        known, given = dict(after.values), dict(target.given)
        for parameter, text in target.texts:
            signs = known.get(text)
            if signs is not None:
                given[parameter] = signs
        kept = frozenset((k, v) for k, v in given.items() if k in target.followed)
        return Frame(target.key, site.ids, site.types, site.bases, after.held, kept)

    def _primitive(
        self, frame: Frame, after: LockState, acts: tuple[CallAct, ...], call: Call, place: Place, text: str
    ) -> Iterator[tuple[SlicedOp | None, Hashable]]:
        """What the kernel's own call does, one act after the other; only one of a call's acts can branch."""
        for act in acts:
            what = self._bind(act.object, frame)
            if act.kind == "lock" and what in self.locks:
                self._used[-1] |= objects.positions(act.base) | objects.positions(act.level)
                base = "" if what in self.one else bound(act.base, frame.bases)
                elsewhere = apart(what, self.levels.get(what, ""), bound(act.level, frame.bases))
                ways = list(locked(after, act, what, base, place, text, self._keep, elsewhere))
                if not ways and self.spoils and act.does == "release":
                    ways = [(SlicedOp("spoil", what, act.mode, call.callee, place), after)]
                yield from ways
                return
            if act.kind == "flush" and what in self.asks:
                run, cancels = self.asks[what]
                asks = cancels or act.mode != "cancel"
                yield SlicedOp("pass", run, what, call.callee, place) if asks else None, after
                return
            if act.kind == "wake" and place in self.idle:
                continue
            if act.kind in ("wait", "wake") and self.returns != (act.kind == "wait" and act.mode in KERNEL.ending):
                continue
            if act.kind in ("wait", "wake", "flush") and what in self.waits:
                yield SlicedOp(act.kind, what, act.mode, call.callee, place), after
                return
        yield None, after


def _forget(state: LockState, reader: FunctionReader, crowd: dict[int, set[Values]]) -> LockState:
    """Only what may still be tested is known; nothing where a block sees too many sets of values."""
    values = frozenset(v for v in state.values if v[0] in reader.live[state.block])
    here = crowd.setdefault(state.block, set())
    if values not in here and len(here) >= MAX_VALUE_SETS:
        values = frozenset()
    here.add(values)
    return state._replace(values=values)


__all__ = ["Extractor", "SlicedOp", "TaskAutomaton", "TooLarge", "Unreadable"]
