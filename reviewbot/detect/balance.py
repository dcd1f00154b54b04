"""What the paths through one function do to one lock: what their returns leave of it, and where it is given back twice.

One lock at a time, so that few paths differ. `reviewbot.analysis.locks.flow` walks all locks at once, for what callers see;
here a path also remembers what it gave back itself, and whether it went past a conditional release, `if (x) unlock()`:
such a path may be one that no run takes, and its leak is a doubtful one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from reviewbot.analysis.code.dominance import Dominance, backwards
from reviewbot.analysis.code.identity import UNKNOWN, bind
from reviewbot.analysis.locks.flow import assign, forget_addressed, onward, returned
from reviewbot.analysis.locks.lockset_summary import NAMES
from reviewbot.analysis.locks.plan import LockDelta, LockToken, PreparedCfg, Values
from reviewbot.analysis.program.program import Component, Program
from reviewbot.csource.ir import Assign, Block, CallEvent, Jump, Name, Return
from reviewbot.detect.sure import HOLDS
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_CALLS_OF_RELEASE, MAX_PATHS_OF_BLOCK


class Balance(NamedTuple):
    """What a function does to a lock. Results are words for the sign of what is returned, each with a line: that of a
    return, or of the second release."""

    kept: dict[str, int]
    """Results with which it is left held on a way without doubts."""
    maybe: frozenset[str]
    """Those with which it is left held on any way."""
    given: frozenset[str]
    """Those before which it is taken and given back on some way."""
    twice: int
    """Line of a release of what the function itself took and gave back before; 0 where there is none."""
    cut: bool
    """There were too many paths: nothing is said."""


class _State(NamedTuple):
    """A lock on a path: instances that are held, and given back; whether a conditional release was gone past."""

    held: tuple[str, ...] = ()
    spent: frozenset[str] = frozenset()
    past: bool = False
    gave: bool = False


class _Arm(NamedTuple):
    """What is done between a test and the block where its ways meet again: gives and takes the lock, number of calls."""

    gives: bool
    takes: bool
    calls: int


Path = tuple[_State, Values]


class Balances(Component):
    """The balances of a program that were asked for so far."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.of: dict[tuple[FunctionKey, str], Balance] = {}


def balance(program: Program, key: FunctionKey, lock: str) -> Balance:
    """What a function does to a lock, by its identity in the function's words."""
    known = program.component(Balances).of
    if (key, lock) not in known:
        known[key, lock] = _Walk(program, key, lock).balance()
    return known[key, lock]


def locks(program: Program, key: FunctionKey) -> dict[str, LockToken]:
    """The locks that a function takes or gives back, itself or by a call, each with a token that says of which kind."""
    plan = program.locksets.plan(key)
    moved = (t for changes in plan.changes.values() for c in changes for t in (*c.takes, *c.drops))
    return {token.lock: token for token in moved}


class _Walk:
    """Walks the paths of a function with an eye on one lock."""

    def __init__(self, program: Program, key: FunctionKey, lock: str) -> None:
        self.program, self.key, self.lock = program, key, lock
        self.plan: PreparedCfg = program.locksets.plan(key)
        self.moves = {
            index: tuple(LockDelta(c.signs, self._of(c.drops), self._of(c.takes)) for c in changes)
            for index, changes in self.plan.changes.items()
        }
        calls = program.body(key).calls
        self.unknown = {index for index in range(len(calls)) if index not in self.plan.changes and self._may(index)}
        self.optional = self._optional()
        self.surely = self._surely()
        self.kept: dict[str, int] = {}
        self.maybe: set[str] = set()
        self.given: set[str] = set()
        self.twice = 0

    def _of(self, tokens: tuple[LockToken, ...]) -> tuple[LockToken, ...]:
        return tuple(token for token in tokens if token.lock == self.lock)

    def _may(self, index: int) -> bool:
        """Whether a call whose effect on locks is not known may take or give back this one."""
        program, body = self.program, self.program.body(self.key)
        call = body.calls[index]
        if reached := program.callgraph.reached(self.key, call):
            ids, types, _ = program.locksets.arguments(body, call)
            left = (way for target in reached for way in program.locksets.record(target).left)
            moved = {bind(token.lock, ids, types) for way in left for token in (*way.takes, *way.drops)}
            return self.lock in moved or any(lock.startswith(UNKNOWN) for lock in moved)
        through = not call.callee or call.callee in body.locals
        return through or (call.callee not in KERNEL.effects and bool(HOLDS.search(call.callee)))

    def _optional(self) -> dict[int, frozenset[int]]:
        """Blocks that end in a test of whether to release -> the blocks that come next where that is not done. An arm that
        does much besides is no such test: it is the rest of the function."""
        found: dict[int, frozenset[int]] = {}
        for number, arms in self._arms.items():
            if any(arm.gives and not arm.takes and arm.calls <= MAX_CALLS_OF_RELEASE for arm in arms.values()):
                found[number] = frozenset(to for to, arm in arms.items() if not arm.gives)
        return found

    @cached_property
    def _asked_to_take(self) -> frozenset[str]:
        """Values that decide whether the lock is taken, where the ways go on together afterwards."""
        return frozenset(
            self.plan.test(edge.when).key
            for number, arms in self._arms.items()
            if any(arm.takes for arm in arms.values()) and not all(arm.takes for arm in arms.values())
            for edge in self.plan.blocks[number].edges
            if edge.when is not None
        )

    @cached_property
    def _arms(self) -> dict[int, dict[int, _Arm]]:
        """Blocks with several ways on that meet again -> what is done on each until then, by its first block."""
        blocks = self.plan.blocks
        after = Dominance(backwards(blocks))
        found: dict[int, dict[int, _Arm]] = {}
        for number, block in enumerate(blocks):
            joined = next(after.above(number + 1), 0) - 1
            if len({edge.to for edge in block.edges}) > 1 and joined >= 0:  # else each arm has an end of its own
                found[number] = {edge.to: self._arm(edge.to, joined) for edge in block.edges}
        return found

    def _arm(self, start: int, end: int) -> _Arm:
        seen, todo, gives, takes, number = {end}, [start], False, False, 0
        while todo:
            at = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            for event in self.plan.blocks[at].events:
                if isinstance(event, CallEvent):
                    number += 1
                    for change in self.moves.get(self.plan.number[id(event)], ()):
                        gives, takes = gives or bool(change.drops), takes or bool(change.takes)
            todo += [edge.to for edge in self.plan.blocks[at].edges]
        return _Arm(gives, takes, number)

    def _surely(self) -> frozenset[int]:
        """Blocks from which every way gives the lock back before it takes it."""
        blocks = self.plan.blocks
        first = [self._first(block) for block in blocks]
        sure = {number for number, moved in enumerate(first) if moved != "take"}
        changed = True
        while changed:
            lost = {
                n for n in sure if not first[n] and not (blocks[n].edges and sure >= {e.to for e in blocks[n].edges})
            }
            sure -= lost
            changed = bool(lost)
        return frozenset(sure)

    def _first(self, block: Block) -> str:
        """What a block does to the lock first: give or take; empty for neither."""
        for event in block.events:
            if isinstance(event, CallEvent):
                for change in self.moves.get(self.plan.number[id(event)], ()):
                    if change.drops or change.takes:
                        return "give" if change.drops else "take"
        return ""

    def balance(self) -> Balance:
        """Walk all paths."""
        plan = self.plan
        keys = plan.followed(True, {}, deciding=True)
        live = plan.live(keys)
        seen: list[set[Path]] = [set() for _ in plan.blocks]
        todo: list[tuple[int, Path]] = [(0, (_State(), frozenset()))] if plan.blocks else []
        cut = False
        while todo:
            number, (state, values) = todo.pop()
            values = frozenset(v for v in values if v[0] in live[number])
            here = seen[number]
            if len(here) >= MAX_PATHS_OF_BLOCK:
                values = frozenset()
                cut = cut or len(here) >= 2 * MAX_PATHS_OF_BLOCK
            if cut or (state, values) in here:
                continue
            here.add((state, values))
            block = plan.blocks[number]
            for after in self._through(block, (state, values), keys):
                todo += self._onward(number, block, after)
        return Balance(self.kept, frozenset(self.maybe), frozenset(self.given), self.twice, cut)

    def _onward(self, number: int, block: Block, path: Path) -> Iterator[tuple[int, Path]]:
        state, values = path
        ways = [(to, after[1]) for to, after in onward(self.plan, block, ((), values))]
        free = len(ways) > 1  # else what is known decides
        doubtful = free and bool(state.spent) and not state.held and self._elsewhere(block)
        for to, known in ways:
            past = doubtful or (free and bool(state.held) and to in self.optional.get(number, ()))
            yield to, (state._replace(past=True) if past else state, known)

    def _elsewhere(self, block: Block) -> bool:
        """Whether it depends on something in memory, which may say what was given back, if the lock is given back."""
        keys = {self.plan.test(edge.when).key for edge in block.edges if edge.when is not None}
        return not keys <= self.plan.body.locals.keys() and not self.surely >= {edge.to for edge in block.edges}

    def _through(self, block: Block, start: Path, keys: frozenset[str]) -> list[Path]:
        """The paths at the end of a block; none when it does not end."""
        paths = [start]
        for event in block.events:
            match event:
                case CallEvent(call) if call.callee in KERNEL.noreturn:
                    return []
                case CallEvent():
                    paths = self._called(event, paths, keys)
                case Assign():
                    paths = self._assigned(event, paths, keys)
                case Jump():
                    return []
                case _:
                    self._ends(paths, event)
                    return []
        if not block.edges:
            function = self.plan.body.function
            self._ends(paths, Return(function.value, function.end))
        return paths

    def _called(self, event: CallEvent, paths: list[Path], keys: frozenset[str]) -> list[Path]:
        """The paths behind a call: what it may set is forgotten, and the lock moves as the call moves it."""
        plan = self.plan
        index, types = plan.number[id(event)], plan.body.locals
        handed = frozenset(n for n in plan.handed(event.call) if n in types and types[n].pointers)
        paths = [self._renamed(forgotten, handed) for forgotten in self._forget(event, paths)]
        if index in self.unknown:
            return [(state._replace(spent=frozenset()), values) for state, values in paths]
        if (moves := self.moves.get(index)) is not None:
            return [p for path in paths for p in self._call(event, moves, path, keys)]
        return paths

    def _assigned(self, event: Assign, paths: list[Path], keys: frozenset[str]) -> list[Path]:
        """The paths behind an assignment: another instance has the name, and values are known anew."""
        plan, left = self.plan, event.left
        names = frozenset({left.name}) if isinstance(left, Name) and left.name not in plan.body.statics else frozenset()
        field = "" if isinstance(left, Name) else plan.store(event).left
        paths = [self._renamed(path, names, field) for path in paths]
        if not keys:
            return paths
        return [(state, assign(plan, event, ((), values), keys)[1]) for state, values in paths]

    def _forget(self, event: CallEvent, paths: list[Path]) -> Iterator[Path]:
        for state, values in paths:
            yield state, forget_addressed(self.plan, event.call, ((), values))[1]

    def _call(self, event: CallEvent, moves: tuple[LockDelta, ...], path: Path, keys: frozenset[str]) -> Iterator[Path]:
        key = self.plan.text(event.call)
        state, values = path
        values = frozenset(v for v in values if v[0] != key)
        for change in moves:
            now, known = state, values
            for token in change.drops:
                now = self._release(now, token, event.call.line)
            for token in change.takes:
                known = self._lasting(values)
                held = tuple(sorted((*now.held, token.base)))[:2]
                now = now._replace(held=held, spent=now.spent - {token.base}, past=bool(now.held) and now.past)
            yield now, known | {(key, change.signs)} if len(moves) > 1 and key in keys else known

    def _lasting(self, values: Values) -> Values:
        """What is still known after the lock was waited for: what stands in memory may have changed, and is tested again
        for that reason, but for what says whether the lock was to be taken."""
        known = self.plan.body.locals.keys() | self._asked_to_take
        return frozenset(v for v in values if v[0] in known)

    def _release(self, state: _State, token: LockToken, line: int) -> _State:
        if not state.held:
            if token.base in state.spent and not state.past:
                self.twice = self.twice or line
            return state
        base = token.base if token.base in state.held else state.held[-1]
        held = list(state.held)
        held.remove(base)
        spent = state.spent | {base} if base == token.base and "(" not in base else state.spent
        return _State(tuple(held), spent, bool(held) and state.past, True)

    def _renamed(self, path: Path, names: frozenset[str], field: str = "") -> Path:
        """A path after some variables were set, or a field: what is named by them is another instance."""
        state, values = path
        if not (names or field) or not (state.held or state.spent):
            return path

        def other(base: str) -> bool:
            if field:
                return field in base
            given = {f"${self.plan.body.parameters[n]}" for n in names if n in self.plan.body.parameters}
            return bool(self.plan.words(base) & names) or any(base.startswith(name) for name in given)

        held = tuple(sorted("?" if other(base) else base for base in state.held))
        return state._replace(held=held, spent=frozenset(b for b in state.spent if not other(b))), values

    def _ends(self, paths: list[Path], event: Return) -> None:
        for state, values in paths:
            signs = returned(event.value, dict(values))
            results = {name for sign, name in NAMES.items() if signs & sign}
            if state.held:
                self.maybe |= results
                if not state.past:
                    self.kept.update({result: event.line for result in results if result not in self.kept})
            elif state.gave:
                self.given |= results
