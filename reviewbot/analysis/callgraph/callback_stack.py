"""Who can be above a call through a pointer, when that call runs a given function.

The flow of function pointers (see `link`) does not tell instances apart: it says what a call can reach, in any run. Here
it is asked which functions are on the stack then. Three cases:

- Somebody on the stack handed the function down (its address, or a table that has it): he is above the call.
- The code that calls it serves several, and those who use this function call into that code: they are above it, or the
  code runs by itself (a thread or a completion of its own file).
- Nobody who knows the function calls into that code: it was registered, and anybody can be above it.

Of a stack that is given it is asked besides whether it can be that of an object's own operation (`fits_object`): there
whoever has the object can be above the call, but nobody whose file gives its objects another function.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.callgraph.pointer_flow import as_function
from reviewbot.analysis.code.expr import bare, parts
from reviewbot.csource.ir import AddressOf, Assign, CallEvent, Expr, Function, Name
from reviewbot.function_key import FunctionKey, file_of, is_function
from reviewbot.limits import MAX_CALLS_TO_CALLBACK, MAX_TOLD_CALLBACKS


class CallWay(NamedTuple):
    """The stack above a call through a pointer, as far as it is known.

    chain: keys, the outermost first, the caller last. inside: the file to which all functions further out have to
    belong (empty for any). others: keys that cannot be further out, because they hand down another function.
    """

    chain: tuple[FunctionKey, ...]
    inside: str = ""
    others: frozenset[FunctionKey] = frozenset()


class Handing:
    """Resolves callbacks: which functions can be on the stack above a call through a pointer. Results are kept per
    (caller, handler)."""

    def __init__(self, callgraph: CallGraph) -> None:
        self.callgraph = callgraph
        self._ways: dict[tuple[FunctionKey, FunctionKey], tuple[CallWay, ...]] = {}
        self._up: dict[FunctionKey, dict[FunctionKey, tuple[FunctionKey, ...]]] = {}
        self._kinds_of: dict[str, frozenset[str]] = {}
        self._down: dict[str, frozenset[FunctionKey]] = {}
        self._putters: dict[FunctionKey, list[FunctionKey]] | None = None
        self._tables: dict[str, dict[FunctionKey, set[str]]] = {}
        self._users: dict[str, dict[str, set[FunctionKey]]] = {}

    def ways(self, caller: FunctionKey, handler: FunctionKey) -> tuple[CallWay, ...]:
        """The possible stacks when `caller` runs `handler` through a pointer (both keys)."""
        found = self._ways.get((caller, handler))
        if found is None:
            found = self._ways[caller, handler] = tuple(self._find(caller, handler))
        return found

    def _find(self, caller: FunctionKey, handler: FunctionKey) -> Iterator[CallWay]:
        callgraph = self.callgraph
        nodes = [n for n in callgraph.wiring(caller).nodes if handler in callgraph.targets.get(n, ())]
        if not nodes:  # by contract: the slot of the object's own kind
            yield CallWay((caller,))
            return
        mine = frozenset(n.partition(".")[0] for n in nodes)
        up, putters = self.reaching(caller), self._handing(handler)
        above = [key for key in up if key in putters and not self._another(up[key], handler, mine)]
        if not above:
            files = {file_of(p) for p in (*putters, handler)}
            near = (key for key in up if callgraph.names.file[key] in files)
            above = [key for key in near if not self._another(up[key], handler, mine)]
        if above:
            nearest = set(above)
            for key in above:
                if nearest.isdisjoint(up[key][1:]):
                    yield CallWay(up[key])
            yield self._by_itself(caller, nodes)
        elif min(len(callgraph.targets[n]) for n in nodes) <= MAX_TOLD_CALLBACKS:
            yield CallWay((caller,))
        else:
            yield self._by_itself(caller, nodes)

    def fits_object(self, above: tuple[FunctionKey, ...], handler: FunctionKey) -> bool:
        """Whether the last function of a stack (keys, outermost first) can run a handler as the operation of an object: it
        stands in tables at file scope only, and no function above is of a file that fills the slot with another one."""
        callgraph = self.callgraph
        putters = self._who_puts()
        mine = putters.get(handler, ())
        if not mine or any(map(is_function, mine)):
            return False
        nodes = [n for n in callgraph.wiring(above[-1]).nodes if handler in callgraph.targets.get(n, ())]
        handlers = {h for n in nodes for h in callgraph.targets[n]}
        others = {file_of(key) for h in handlers for key in putters.get(h, ())} - {file_of(key) for key in mine}
        return bool(nodes) and others.isdisjoint(callgraph.names.file[key] for key in above)

    def _by_itself(self, caller: FunctionKey, nodes: list[str]) -> CallWay:
        """The way of code that calls what somebody left with it before."""
        others: set[FunctionKey] = set()
        for node in nodes:
            if node not in self._down:
                self._down[node] = frozenset().union(*map(self._handing, self.callgraph.targets[node]))
            others |= self._down[node]
        return CallWay((caller,), self.callgraph.names.file[caller], frozenset(others) - {caller})

    def reaching(self, key: FunctionKey) -> dict[FunctionKey, tuple[FunctionKey, ...]]:
        """Functions that reach one by few calls of names, the nearest first -> the shortest chain, ends included."""
        found = self._up.get(key)
        if found is None:
            found = self._up[key] = {key: (key,)}
            todo = deque([key])
            while todo:
                at = todo.popleft()
                if len(found[at]) <= MAX_CALLS_TO_CALLBACK:
                    for caller in sorted(self.callgraph.callers.get(at, ())):
                        if caller not in found and self.callgraph.names_it(caller, at):
                            found[caller] = (caller, *found[at])
                            todo.append(caller)
        return found

    def _another(self, way: tuple[FunctionKey, ...], handler: FunctionKey, structs: frozenset[str]) -> bool:
        """Whether a way leads through a file that has a table of its own, of the same kind, to hand down."""
        file = self.callgraph.names.file
        between = {file[key] for key in way[1:]} - {file[way[0]], file[way[-1]], file[handler]}
        return any(not structs.isdisjoint(self._kinds(path)) for path in between)

    def _kinds(self, path: str) -> frozenset[str]:
        """Structs that a file has tables of."""
        found = self._kinds_of.get(path)
        if found is None:
            declared = self.callgraph.names.library.declared[path]
            found = self._kinds_of[path] = frozenset(slot.type for slot in declared.slots)
        return found

    # --- who hands a function down

    def _who_puts(self) -> dict[FunctionKey, list[FunctionKey]]:
        """Function -> the functions, and the file scopes, that put it somewhere."""
        if self._putters is None:
            self._putters = {}
            for key, points_to in self.callgraph.points_to.items():
                for _, put in points_to.puts:
                    self._putters.setdefault(put, []).append(key)
        return self._putters

    def _handing(self, handler: FunctionKey) -> frozenset[FunctionKey]:
        """Functions that put a function somewhere, or hand on a table that has it."""
        found: set[FunctionKey] = set()
        for key in self._who_puts().get(handler, ()):
            if is_function(key):
                found.add(key)
                continue
            path = file_of(key)
            for table in self._filled(path).get(handler, ()):
                found |= self._using(path).get(table, set())
        return frozenset(found)

    def _filled(self, path: str) -> dict[FunctionKey, set[str]]:
        """Function -> the tables of a file that have it."""
        found = self._tables.get(path)
        if found is None:
            found = self._tables[path] = {}
            names = self.callgraph.names
            for slot in names.library.declared[path].slots:
                handler = as_function(names, slot.value, path)
                if handler is not None:
                    found.setdefault(handler, set()).add(slot.variable)
        return found

    def _using(self, path: str) -> dict[str, set[FunctionKey]]:
        """Table of a file -> functions of the file that hand it to a call, or put it into a variable of their own."""
        found = self._users.get(path)
        if found is None:
            found = self._users[path] = {}
            tables = {t for tables in self._filled(path).values() for t in tables}
            for name, function in self.callgraph.names.library.functions(path).items():
                key = self.callgraph.names.own_function(name, path)
                if key in self.callgraph.points_to:
                    for table in _handed_on(function, tables):
                        found.setdefault(table, set()).add(key)
        return found


def _handed_on(function: Function, tables: set[str]) -> Iterator[str]:
    for block in function.blocks:
        for event in block.events:
            if isinstance(event, CallEvent):
                for value in event.call.args:
                    if (table := _table(value, tables)) is not None:
                        yield table
            elif isinstance(event, Assign):
                table = _table(event.right, tables)
                if table is not None and _own(function, event.left):
                    yield table


def _table(value: Expr, tables: set[str]) -> str | None:
    """The table whose address a value is."""
    plain = bare(value)
    if isinstance(plain, AddressOf) and isinstance(plain.base, Name) and plain.base.name in tables:
        return plain.base.name
    return None


def _own(function: Function, left: Expr) -> bool:
    """Whether it is a variable on the function's own stack, or a part of one."""
    *_, root = parts(left)
    types = {v.name: v.type for v in (*function.parameters, *function.locals)}
    if not isinstance(root, Name) or root.name not in types:
        return False
    return root is left or not types[root.name].pointers
