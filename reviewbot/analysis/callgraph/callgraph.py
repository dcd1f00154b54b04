"""Who calls whom: direct calls, and functions that travel in operations tables, requests, work items and arguments.

A function's address that is put somewhere (a slot `struct.field`, the i-th argument of a function) flows on through
assignments and calls until it is called. The flow does not tell instances apart: every function that was ever put into
a slot can be what a call through that slot reaches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from reviewbot.analysis.callgraph.components import components
from reviewbot.analysis.callgraph.own_device import OwnDevice
from reviewbot.analysis.callgraph.pointer_flow import (
    RUNS,
    ContractRun,
    EntryPoint,
    FlowConstraints,
    Handed,
    HandlerBinding,
    Placed,
    Started,
    argument,
    carries_function,
    runs,
    through,
)
from reviewbot.analysis.callgraph.wiring import Wiring
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.names import Names
from reviewbot.csource.ir import Call
from reviewbot.function_key import FunctionKey, file_of, is_function, key_of, name_of
from reviewbot.kernel import KERNEL

V = TypeVar("V")


def _shared(find: Callable[[CallGraph], V]) -> cached_property[V]:
    """What is the same in two graphs that are the same but for lines: found once for both."""
    return cached_property(
        lambda callgraph: find(callgraph) if callgraph.same is None else getattr(callgraph.same, find.__name__)
    )


class CallGraph:
    """The call graph over the functions of `names`, and where they are entered from.

    `points_to` is what each function does with functions, by key (`path:` for a file's scope): what it lacks is made, for
    every function of the files `whole` and for what these reach. A header's function that nothing reaches is left out.
    """

    def __init__(
        self, names: Names, whole: Iterable[str], points_to: Mapping[FunctionKey, FlowConstraints] | None = None
    ) -> None:
        self.names = names
        self.whole = frozenset(whole)
        self.points_to = dict(points_to or {})
        self._bodies: dict[FunctionKey, Body] = {}
        self._apart: dict[FunctionKey, FlowConstraints] = {}
        """What functions that are not linked do with functions, as far as somebody has asked."""
        self.same: CallGraph | None = None
        """The graph that it was made from, where both are the same but for lines."""
        self._order: Callable[[], list[list[FunctionKey]]] | None = None
        self._own: dict[FunctionKey, frozenset[str]] = {}
        self.types: dict[FunctionKey, frozenset[str]] = {}
        """Function -> types of its variables, as far as somebody has asked."""

    @classmethod
    def of(
        cls, names: Names, whole: Iterable[str], points_to: Mapping[FunctionKey, FlowConstraints] | None = None
    ) -> CallGraph:
        """The graph over the functions that the files `whole` reach."""
        callgraph = cls(names, whole, points_to)
        callgraph._wire()
        return callgraph

    @classmethod
    def known(
        cls,
        names: Names,
        whole: Iterable[str],
        points_to: Mapping[FunctionKey, FlowConstraints],
        order: Callable[[], list[list[FunctionKey]]],
        types: Mapping[FunctionKey, frozenset[str]],
    ) -> CallGraph:
        """A graph that was made before, of which it is known what each function does and in what order they come."""
        callgraph = cls(names, whole, points_to)
        callgraph._order, callgraph.types = order, dict(types)
        return callgraph

    @classmethod
    def after(
        cls,
        before: CallGraph,
        names: Names,
        whole: Iterable[str],
        dirty: Collection[FunctionKey],
        moved: Mapping[FunctionKey, int],
    ) -> CallGraph:
        """The graph of a program that differs from the one before in some functions."""
        callgraph = cls(
            names,
            whole,
            {
                key: points_to.shifted(moved[key]) if key in moved else points_to
                for key, points_to in before.points_to.items()
                if key not in dirty and (key in names.functions or not is_function(key))
            },
        )
        callgraph.types = {key: types for key, types in before.types.items() if key not in dirty}
        if callgraph._shaped_like(before, dirty):
            callgraph.same = before
        else:
            callgraph._wire()
        return callgraph

    def _shaped_like(self, before: CallGraph, dirty: Collection[FunctionKey]) -> bool:
        """Whether the functions are those of another program, and do the same with functions; links them if so."""
        functions = [key for key in dirty if is_function(key)]
        new = any(key not in before.points_to and self.names.file.get(key) in self.whole for key in functions)
        gone = any(key in before.points_to and key not in self.names.functions for key in functions)
        if new or gone or self.whole != before.whole:
            return False
        again = [key for key in before.points_to if key not in self.points_to]
        self.points_to = {key: self.points_to.get(key) or self.wire(key) for key in before.points_to}
        return all(self.points_to[key].shape == before.points_to[key].shape for key in again)

    def body(self, key: FunctionKey) -> Body:
        """The function, with its names resolved."""
        found = self._bodies.get(key)
        if found is None:
            found = self._bodies[key] = Body(self.names, key)
        return found

    def _wire(self) -> None:
        todo = [key for key, path in self.names.file.items() if path in self.whole]
        todo += [key_of(path) for path in sorted(self.whole)]
        seen = set(todo)
        while todo:
            key = todo.pop()
            points_to = self.points_to.get(key)
            if points_to is None:
                points_to = self.points_to[key] = self.wire(key)
            for other in points_to.functions:
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
                    if (file := key_of(self.names.file[other])) not in seen:
                        seen.add(file)
                        todo.append(file)
        files = [key for key in self.points_to if not is_function(key)]
        self.points_to = {
            key: self.points_to[key] for key in (*self.names.file, *files) if key in seen or not is_function(key)
        }

    def wire(self, key: FunctionKey) -> FlowConstraints:
        """What one function, or the scope of a file (`path:`), does with functions."""
        wiring = Wiring(self.names, key)
        if not is_function(key):
            wiring.file(file_of(key))
        elif not self.names.functions[key].unreadable:
            wiring.function(self.body(key))
        return wiring.done()

    def wiring(self, key: FunctionKey) -> FlowConstraints:
        """What a function does with functions, also one that nothing reaches; nothing for one that is not there."""
        found = self.points_to.get(key) or self._apart.get(key)
        if found is None:
            found = self._apart[key] = self.wire(key) if key in self.names.file else FlowConstraints()
        return found

    # --- where function pointers are

    @_shared
    def targets(self) -> dict[str, set[FunctionKey]]:
        """The points-to sets: node (`struct.field`, or `key#i` for an argument) -> keys of the functions that it can
        hold."""
        found: dict[str, set[FunctionKey]] = {}
        flows: dict[str, set[str]] = {}
        handed: dict[str, list[Handed]] = {}
        todo: deque[tuple[str, FunctionKey]] = deque()

        def put(node: str, handler: FunctionKey) -> None:
            reached = found.setdefault(node, set())
            if handler not in reached:
                reached.add(handler)
                todo.append((node, handler))

        for points_to in self.points_to.values():
            for source, onward in points_to.flows:
                flows.setdefault(source, set()).add(onward)
            for one in points_to.handed:
                handed.setdefault(one.node, []).append(one)
        for points_to in self.points_to.values():
            for node, handler in points_to.puts:
                put(node, handler)
        while todo:
            node, handler = todo.popleft()
            for onward in flows.get(node, ()):
                put(onward, handler)
            for one in handed.get(node, ()):
                into = argument(handler, one.position)
                if one.known:
                    put(into, FunctionKey(one.what))
                elif carries_function(self.names, handler, one.position):
                    flows.setdefault(one.what, set()).add(into)
                    for known in tuple(found.get(one.what, ())):
                        put(into, known)
        return found

    @_shared
    def roots(self) -> dict[FunctionKey, set[EntryPoint]]:
        """Function -> where it is entered from."""
        found: dict[FunctionKey, set[EntryPoint]] = {}
        for node, handlers in self.targets.items():
            if (slot := KERNEL.slots.get(node)) is not None:
                for handler in handlers:
                    found.setdefault(handler, set()).add(EntryPoint(slot.context, "", node))
        for points_to in self.points_to.values():
            for handler, root in points_to.roots:
                found.setdefault(handler, set()).add(root)
            for bound in points_to.bound:
                found.setdefault(bound.handler, set()).add(EntryPoint(KERNEL.runners[bound.runner], bound.work))
            for started in points_to.started:
                name = name_of(started.handler)
                found.setdefault(started.handler, set()).add(EntryPoint("thread", name))
        for entries in found.values():  # a table with more held than others: not entered as these are
            special = {root.slot.partition("/")[2] for root in entries} - {""}
            entries -= {root for root in entries if root.slot in special and not root.runner}
        for name, context in KERNEL.entered.items():
            if (key := self.names.shared_function(name)) is not None:
                found.setdefault(key, set()).add(EntryPoint(context, "", name))
        return found

    @cached_property
    def bound(self) -> list[HandlerBinding]:
        """Every work item, timer or callback that gets a handler."""
        return [bound for points_to in self.points_to.values() for bound in points_to.bound]

    @cached_property
    def started(self) -> list[Started]:
        """Every thread that is started."""
        return [started for points_to in self.points_to.values() for started in points_to.started]

    @cached_property
    def placed_in(self) -> dict[FunctionKey, tuple[Placed, ...]]:
        """Function (`path:` for a file's scope) -> functions that it puts into slots."""
        return {key: points_to.placed for key, points_to in self.points_to.items() if points_to.placed}

    def functions(self) -> Iterator[FunctionKey]:
        """Keys of all functions of the program, in the order of its files."""
        return (key for key in self.points_to if is_function(key))

    def has_context(self, key: FunctionKey, call: Call) -> bool:
        """Whether a call of a function goes through a slot that has a context of its own, and of which not all functions are
        at hand."""
        node = self.through(key, call)
        return isinstance(node, str) and node in KERNEL.slots and not self._closed(node)

    def _closed(self, slot: str) -> bool:
        """Whether all functions of a slot are of this code, which declares the table itself, and none is that of a device
        below."""
        declared = self.names.declaring(slot.partition(".")[0])
        own = bool(declared) and not any(path.startswith("include/") for path in declared)
        return own and slot not in KERNEL.stacked

    @_shared
    def queued(self) -> dict[str, set[str]]:
        """Work item -> workqueues it is queued on."""
        found: dict[str, set[str]] = {}
        for points_to in self.points_to.values():
            for work, queue in points_to.queued:
                found.setdefault(work, set()).add(queue)
        return found

    @cached_property
    def queues(self) -> frozenset[str]:
        """Workqueues that something is queued on."""
        return frozenset(queue for queues in self.queued.values() for queue in queues)

    # --- calls

    @_shared
    def callees(self) -> dict[FunctionKey, tuple[FunctionKey, ...]]:
        """Function -> functions that it can call."""
        return {key: self.called(key) for key in self.points_to if is_function(key)}

    def called(self, key: FunctionKey) -> tuple[FunctionKey, ...]:
        """Functions that one function can call."""
        points_to = self.wiring(key)
        if not points_to.nodes and not points_to.runs:
            return points_to.direct
        found = dict.fromkeys(points_to.direct)
        for node in points_to.nodes:
            found.update(dict.fromkeys(sorted(self.targets.get(node, ()))))
        for run in points_to.runs:
            found.update(dict.fromkeys(self.about(run)))
        return tuple(found)

    @_shared
    def callers(self) -> dict[FunctionKey, set[FunctionKey]]:
        """Function -> functions that can call it."""
        found: dict[FunctionKey, set[FunctionKey]] = {}
        for key, callees in self.callees.items():
            for callee in callees:
                found.setdefault(callee, set()).add(key)
        return found

    def names_it(self, caller: FunctionKey, callee: FunctionKey) -> bool:
        """Whether the caller calls the callee by name."""
        return callee in self.wiring(caller).direct

    def through(self, key: FunctionKey, call: Call) -> str | None:
        """For a call through a pointer: the node that the pointer comes from; else None."""
        return through(self.body(key), call)

    def reached(self, key: FunctionKey, call: Call) -> tuple[FunctionKey, ...]:
        """Keys of the functions that the call can reach, as far as their bodies are at hand."""
        body = self.body(key)
        if call.callee and call.callee not in body.locals:
            if call.callee in RUNS:
                return tuple(dict.fromkeys(key for run in runs(body, call) for key in self.about(run)))
            direct = self.names.function(call.callee, body.file)
            return (direct,) if direct is not None else ()
        node = through(body, call)
        return tuple(sorted(self.targets.get(node, ()))) if node is not None else ()

    def about(self, run: ContractRun) -> tuple[FunctionKey, ...]:
        """Functions that are run by contract: those that have a variable which points to the struct, or that get the
        driver's structure from the device which is one of their arguments."""
        handlers = sorted(self.targets.get(run.slot, ()))
        if not run.own:
            return tuple(h for h in handlers if run.owner in self._types(h))
        structs = self.belongs.get(run.owner, frozenset())
        if not structs and "#" not in run.owner:
            struct, _, member = run.owner.partition(".")
            structs = frozenset({struct} if not member or run.owner in self.kept else ())
        return tuple(h for h in handlers if structs & self._handed(h)) if structs else ()

    @_shared
    def belongs(self) -> dict[str, frozenset[str]]:
        """Arguments (`key#i`) that are devices -> the structures of drivers that belong to them."""
        found: dict[str, set[str]] = {}
        for points_to in self.points_to.values():
            for node, struct in points_to.belongs:
                found.setdefault(node, set()).add(struct)
        return {node: frozenset(structs) for node, structs in found.items()}

    def held_over(self, key: FunctionKey, slot: str) -> tuple[tuple[str, str, str], ...]:
        """Identity, mode and class of the locks with which a function is entered through a slot: the driver's own where
        its code gives the kernel one to hold; none where its file asks for that."""
        held = KERNEL.holds.get(slot, ())
        if held and (words := KERNEL.unheld.get(slot)):
            text = self.names.library.texts.get(file_of(key))
            if text is None or text.may_have(words):
                return ()
        if not any(lock in self.given_locks for lock, _, _ in held):
            return held
        folder = file_of(key).rpartition("/")[0]
        own = [(lock, self.given_locks.get(lock, {}).get(folder, set())) for lock, _, _ in held]
        return tuple(
            (min(locks) if len(locks) == 1 else lock, mode, klass)
            for (lock, locks), (_, mode, klass) in zip(own, held, strict=True)
        )

    @_shared
    def given_locks(self) -> dict[str, dict[str, set[str]]]:
        """Member (`struct.member`) -> folder -> the locks that its code gives the kernel to hold."""
        found: dict[str, dict[str, set[str]]] = {}
        for key, points_to in self.points_to.items():
            for member, lock in points_to.locks:
                found.setdefault(member, {}).setdefault(file_of(key).rpartition("/")[0], set()).add(lock)
        return found

    @_shared
    def begun(self) -> dict[FunctionKey, set[FunctionKey]]:
        """Function of a table -> those that are called before it by contract, and may return with locks held."""
        found: dict[FunctionKey, set[FunctionKey]] = {}
        for points_to in self.points_to.values():
            for handler, first in points_to.begun:
                found.setdefault(handler, set()).add(first)
        return found

    @_shared
    def kept(self) -> frozenset[str]:
        """Members (`struct.member`) with the device that the structure belongs to."""
        return frozenset(member for points_to in self.points_to.values() for member in points_to.kept)

    def _handed(self, key: FunctionKey) -> frozenset[str]:
        found = self._own.get(key)
        if found is None:
            self._own[key] = frozenset()  # should it call itself
            own = OwnDevice(self.body(key))
            found = frozenset(own.handed())
            for name in own.handed_on if not found else ():
                if (callee := self.names.function(name, self.names.file[key])) is not None:
                    found |= self._handed(callee)
            self._own[key] = found
        return found

    def _types(self, key: FunctionKey) -> frozenset[str]:
        found = self.types.get(key)
        if found is None:
            found = self.types[key] = frozenset(t.name for t in self.body(key).locals.values())
        return found

    @_shared
    def order(self) -> list[list[FunctionKey]]:
        """Strongly connected components of the call graph, callees first."""
        return self._order() if self._order is not None else list(components(self.callees_of, self.callees))

    def callees_of(self, key: FunctionKey) -> tuple[FunctionKey, ...]:
        """Functions that one function can call; none for one that is not at hand."""
        found = self.callees.get(key)
        return found if found is not None else self.called(key)

    def group(self, key: FunctionKey) -> tuple[FunctionKey, ...]:
        """Keys of the functions in the same strongly connected component of the call graph, the function itself
        included."""
        return self.cycles.get(key, (key,))

    @_shared
    def cycles(self) -> dict[FunctionKey, tuple[FunctionKey, ...]]:
        """Function -> the functions that call one another in a cycle with it; a function of no cycle is left out."""
        return {key: tuple(group) for group in self.order if len(group) > 1 for key in group}

    @_shared
    def rank(self) -> dict[FunctionKey, int]:
        """Function -> a number that is higher than that of all that it calls, and the same within a cycle."""
        return {key: number for number, group in enumerate(self.order) for key in group}
