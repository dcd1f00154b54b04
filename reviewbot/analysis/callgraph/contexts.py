"""In which contexts a function runs, each with the call chain that gets there.

A context comes from an operations table, a work item, a thread, a timer or a callback, and goes on through calls, not
through what is queued. A call through a slot that has a context of its own stands for that context: nothing goes on.
Nor does it into what serves everybody (an allocation, the release of a page), for there the arguments decide.

Through any other pointer it goes on as far as one run can take that way. Who hands a function down to code that calls it
(`walk(&ops)`, `run(fn)`) is above that call on the stack, or the code runs by itself; somebody else who hands down
something else is not. Where nobody hands it down, it was registered: then it goes on unless many were.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from reviewbot.analysis.callgraph.callback_stack import Handing
from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.callgraph.components import below
from reviewbot.analysis.callgraph.feasible import Feasible
from reviewbot.analysis.callgraph.pointer_flow import EntryPoint
from reviewbot.analysis.events.kinds import Context, Fact
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_CALLERS_OF_CONSTANT, MAX_CALLS_OF_CONSTANT, MAX_CONTEXT_CHAIN
from reviewbot.types import Place

INTERRUPTS = frozenset({"hardirq", "softirq"})
UNKNOWN = "unknown"
"""The context of a function that nobody at hand is seen to call: any."""


_OPEN = EntryPoint(UNKNOWN)


class ExecutionContext(NamedTuple):
    """One context that a function runs in: its name in kernel/contexts.toml, the work item or thread (empty for
    others), the slot it came through, and the chain of keys from its root to the function."""

    context: str
    runner: str
    slot: str
    chain: tuple[FunctionKey, ...]


class _State:
    """Where the search is: a function, the file that the rest of the chain has to stay in (empty: any), and who cannot
    be on it. Equal ones are the same object."""

    __slots__ = ("above", "inside", "key", "others", "roots")

    def __init__(
        self, key: FunctionKey, inside: str, others: frozenset[FunctionKey], roots: Iterable[EntryPoint]
    ) -> None:
        self.key, self.inside, self.others = key, inside, others
        self.roots = tuple(((root.context, root.runner), root) for root in sorted(roots))
        self.above: tuple[tuple[_State, tuple[FunctionKey, ...]], ...] | None = None
        """Who hands its context on: the state, and the functions from there down to here; None until it is asked."""


class ExecutionContexts:
    """Contexts of the functions of a program, found when asked for; `kept` are contexts that are known already."""

    def __init__(self, callgraph: CallGraph, kept: Mapping[FunctionKey, tuple[ExecutionContext, ...]]) -> None:
        self.callgraph = callgraph
        self._kept, self._lost = kept, frozenset[FunctionKey]()
        self._found: dict[FunctionKey, tuple[ExecutionContext, ...]] = {}
        self._had: Mapping[FunctionKey, tuple[ExecutionContext, ...]] = {}
        """Contexts of the program before, as far as they were asked for."""
        self._dirty = frozenset[FunctionKey]()
        """Functions that are not what they were where `_had` and `_kept` are from."""
        self._handing = Handing(callgraph)
        self._rooted = {key for key, roots in callgraph.roots.items() if any(r.context not in ("init",) for r in roots)}
        self._feasible = Feasible(callgraph)
        self._roots: dict[FunctionKey, frozenset[EntryPoint]] = {}
        self._states: dict[tuple[FunctionKey, str, frozenset[FunctionKey]], _State] = {}

    @classmethod
    def after(
        cls, callgraph: CallGraph, before: ExecutionContexts, dirty: Collection[FunctionKey]
    ) -> ExecutionContexts:
        """The contexts of a program that differs from the one before in some functions: they are searched again for
        what these, and the functions that are entered otherwise, can have on the stack above them."""
        contexts = cls(callgraph, before._kept)
        contexts._had, contexts._dirty = before._found, before._dirty.union(dirty)
        changed: set[FunctionKey] = set()
        for key in dirty:
            both = key in callgraph.callees and key in before.callgraph.callees
            changed |= contexts._feasible.changed(before._feasible, key) if both else {key}
        if callgraph.roots is not before.callgraph.roots:
            were, are = before.callgraph.roots, callgraph.roots
            changed |= {key for key in were.keys() | are.keys() if were.get(key) != are.get(key)}
        lost = below(changed, before.callgraph.callees_of) | below(changed, callgraph.callees_of)
        contexts._lost = before._lost | lost
        contexts._found = {key: found for key, found in before._found.items() if key not in lost}
        return contexts

    def of(self, key: FunctionKey) -> tuple[ExecutionContext, ...]:
        """The contexts of a function, the shortest chain for each (context, runner)."""
        found = self._found.get(key)
        if found is None:
            kept = self._kept.get(key) if key not in self._lost else None
            found = self._found[key] = kept if kept is not None else tuple(self._search(key))
        return found

    def all(self) -> Mapping[FunctionKey, tuple[ExecutionContext, ...]]:
        """The contexts of all functions, by key."""
        return {key: self.of(key) for key in self.callgraph.callees}

    def roots(self, key: FunctionKey) -> frozenset[EntryPoint]:
        """Every root above a function in the call graph, whether one run can take that chain or not: use it to show
        that a function does not run in a context. One that nobody is seen to call has the root UNKNOWN."""
        found = self._roots.get(key)
        if found is None:
            above = below([key], self._handed_by)
            known = [self.callgraph.roots.get(k) or ({_OPEN} if self._open(k) else ()) for k in above]
            found = self._roots[key] = frozenset(root for roots in known for root in roots)
        return found

    def _open(self, key: FunctionKey) -> bool:
        """Whether nobody at hand is seen to call a function: then somebody else does."""
        return key in self.callgraph.callees and not self.callgraph.callers.get(key)

    def _handed_by(self, key: FunctionKey) -> Collection[FunctionKey]:
        """Who may hand its context on to a function; of one that is entered by itself those that call it by name."""
        callers = self.callgraph.callers.get(key, ())
        return [c for c in callers if self.callgraph.names_it(c, key)] if key in self._rooted else callers

    def _search(self, key: FunctionKey) -> Iterator[ExecutionContext]:
        start = self._state(key)
        came: dict[_State, tuple[tuple[FunctionKey, ...], _State]] = {}
        """State -> the functions from it to the next state (which is the last of them but for the start), that state."""
        length = {start: 1}
        todo = [start]
        had = frozenset(self._had.get(key) or self._kept.get(key, ()))
        seen: set[tuple[str, str]] = set()
        for at in todo:
            chain = self._chain(at, key, came)
            for what, root in at.roots:
                if what not in seen:
                    entered = ExecutionContext(root.context, root.runner, root.slot, chain)
                    if (entered in had and self._dirty.isdisjoint(chain)) or self._can(root, chain):
                        seen.add(what)
                        yield entered
            if at.above is None:
                at.above = tuple(self._above(at))
            here = length[at]
            for state, way in at.above:
                near = state not in length and here + len(way) <= MAX_CONTEXT_CHAIN
                if near and self._feasible.goes((*way, *chain)):  # else another way may come by the same functions
                    length[state], came[state] = here + len(way), (way, at)
                    todo.append(state)

    def _state(self, key: FunctionKey, inside: str = "", others: frozenset[FunctionKey] = frozenset()) -> _State:
        found = self._states.get((key, inside, others))
        if found is None:
            roots = self.callgraph.roots.get(key, ())
            found = self._states[key, inside, others] = _State(key, inside, others, roots)
        return found

    @staticmethod
    def _chain(
        at: _State, key: FunctionKey, came: dict[_State, tuple[tuple[FunctionKey, ...], _State]]
    ) -> tuple[FunctionKey, ...]:
        chain: list[FunctionKey] = []
        while at in came:
            way, at = came[at]
            chain += way
        return (*chain, key)

    def _above(self, at: _State) -> Iterator[tuple[_State, tuple[FunctionKey, ...]]]:
        """Who hands its context on to a function: the state, and the functions from there down to (not with) `at`."""
        callgraph = self.callgraph
        if name_of(at.key) in KERNEL.services:
            return
        for caller in sorted(callgraph.callers.get(at.key, ())):
            if (at.inside and callgraph.names.file[caller] != at.inside) or caller in at.others:
                continue
            if callgraph.names_it(caller, at.key):
                yield self._state(caller, at.inside, at.others), (caller,)
            elif at.key not in self._rooted:
                for way in self._handing.ways(caller, at.key):
                    if at.others.isdisjoint(way.chain):
                        yield self._state(way.chain[0], way.inside or at.inside, at.others | way.others), way.chain

    def _can(self, root: EntryPoint, chain: tuple[FunctionKey, ...]) -> bool:
        """Whether a context can get to the end of a chain."""
        return not (root.context in INTERRUPTS and self._feasible.sleeps(chain)) and self._feasible.goes(chain)

    def goes(self, chain: tuple[FunctionKey, ...], lines: Collection[int] = ()) -> bool:
        """Whether one run can go down a chain of calls (keys, outermost first), to one of some lines of the last function
        if any are given: no constant that is handed down rules a call out, and a pointer does not stand for what somebody else
        hands down."""
        if not all(key in self.callgraph.callees for key in chain):
            return True
        steps = ((chain[: n + 1], callee) for n, callee in enumerate(chain[1:]))
        through = (step for step in steps if not self.callgraph.names_it(step[0][-1], step[1]))
        return self._feasible.goes(chain, lines) and all(self._handed(above, callee) for above, callee in through)

    def constants(self, chain: tuple[FunctionKey, ...]) -> tuple[frozenset[str], ...]:
        """The parameters of each function of a chain of calls that the function before it gives a constant."""
        return self._feasible.handed(chain)

    def called(self, chain: tuple[FunctionKey, ...], lines: Collection[int], deep: int = MAX_CALLS_OF_CONSTANT) -> bool:
        """Whether the constants of some callers let a run go down a chain of calls (keys, outermost first), to one of some
        lines of the last function."""
        above = [key for key in sorted(self.callgraph.callers.get(chain[0], ())) if key not in chain]
        if not deep or not 0 < len(above) <= MAX_CALLERS_OF_CONSTANT:
            return True
        return any(
            self._feasible.goes((key, *chain), lines) and self.called((key, *chain), lines, deep - 1) for key in above
        )

    def _handed(self, above: tuple[FunctionKey, ...], handler: FunctionKey) -> bool:
        """Whether a stack can be above a call through a pointer (its last function makes it) that runs a handler."""
        if self._handing.fits_object(above, handler):
            return True
        for way in self._handing.ways(above[-1], handler):
            first = way.chain[0]
            if first not in above and first not in self._handing.reaching(above[0]):
                continue  # who hands it down is nowhere on this stack
            further = above[: above.index(first)] if first in above else ()
            files = {self.callgraph.names.file[key] for key in further} if way.inside else set()
            if way.others.isdisjoint(further) and files <= {way.inside}:
                return True
        return False

    def facts(self, key: FunctionKey) -> Iterator[Fact]:
        """Context facts of one function."""
        names = self.callgraph.names
        function = names.functions[key]
        for e in self.of(key):
            yield Context(
                function=function.name,
                at=Place(names.file[key], function.line, function.name),
                context=e.context,
                runner=e.runner,
                chain=tuple(name_of(k) for k in e.chain),
            )
