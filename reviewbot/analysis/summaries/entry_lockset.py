"""Which locks callers hold when they call a function: one alternative for each way in that holds something else.

Ways in are direct calls, callbacks that a callee was handed as an argument, and operations tables whose callers are
known to hold a lock (kernel/contexts.toml). A call through any other slot says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from reviewbot.analysis.callgraph.callgraph import CallGraph, components
from reviewbot.analysis.callgraph.pointer_flow import is_slot
from reviewbot.analysis.code.identity import known
from reviewbot.analysis.events.kinds import Held
from reviewbot.analysis.locks.lockset import Locksets
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL, lock_words
from reviewbot.limits import MAX_ENTRY_CHAIN, MAX_ENTRY_LOCKSETS


class EntryLockset(NamedTuple):
    """One entry lockset of a function: what is held when it is entered, and the call string: keys from the outermost
    function that matters to its caller."""

    held: tuple[Held, ...]
    chain: tuple[FunctionKey, ...]

    def locks(self) -> frozenset[str]:
        """Identities of the locks held."""
        return frozenset(h.lock for h in self.held)


class EntryLocksets:
    """The entry locksets of the functions of a program; each is computed when first asked for."""

    def __init__(self, callgraph: CallGraph, locksets: Locksets) -> None:
        self._callgraph, self._locksets = callgraph, locksets
        self._found: dict[FunctionKey, tuple[EntryLockset, ...]] = {}
        self._sites: dict[FunctionKey, list[tuple[FunctionKey, tuple[Held, ...], frozenset[str]]]] = {}

    def of(self, key: FunctionKey) -> tuple[EntryLockset, ...]:
        """The entry locksets of a function, the shortest chain first; none for an unknown key.

        One that holds nothing stands for callers that are not at hand.
        """
        if key not in self._callgraph.names.file:
            return ()
        if key not in self._found:
            for component in components(self._open, [key]):
                self._settle(component)
        return self._found[key]

    def _settle(self, component: list[FunctionKey]) -> None:
        """The ways into functions that call one another: each time round they are a call longer, so that in the end they
        do not depend on where it began."""
        self._found.update(dict.fromkeys(component, ()))
        inside, todo = frozenset(component), frozenset(component)
        for _ in range(MAX_ENTRY_CHAIN + 2):
            changed = set()
            for member in component:
                if member in todo and (ways := self._choose(member)) != self._found[member]:
                    self._found[member] = ways
                    changed.add(member)
            todo = frozenset(c for key in changed for c in self._callgraph.callees_of(key) if c in inside)
            if not todo:
                break
        for member in component:
            self._found[member] = self._found[member] or (EntryLockset((), (member,)),)

    def _open(self, key: FunctionKey) -> list[FunctionKey]:
        """Callers that have to be looked at first."""
        return sorted(c for c in self._callgraph.callers.get(key, ()) if c not in self._found)

    def _choose(self, key: FunctionKey) -> tuple[EntryLockset, ...]:
        ways: dict[tuple[Held, ...], tuple[FunctionKey, ...]] = {}
        for held, above in self._ways(key):
            before = ways.get(held)
            if before is None or (len(above), above) < (len(before), before):
                ways[held] = above
        chosen = sorted(ways.items(), key=lambda way: (len(way[1]), way[1])) if len(ways) > 1 else ways.items()
        return tuple(EntryLockset(held, (*above, key)) for held, above in islice(chosen, MAX_ENTRY_LOCKSETS))

    def _ways(self, key: FunctionKey) -> Iterator[tuple[tuple[Held, ...], tuple[FunctionKey, ...]]]:
        """What is held on each way in, and the functions above."""
        callgraph = self._callgraph
        function = callgraph.names.functions[key]
        outside = True
        for root in sorted(callgraph.roots.get(key, ())):
            slot = KERNEL.slots.get(root.slot)
            holds = tuple(Held(*lock_words(lock)) for lock in slot.holds) if slot is not None else ()
            yield holds, ()
            outside = False
        for caller, held, dropped in self.calls_of(key):
            outside = False
            own = tuple(sorted(h for h in held if known(h.lock))) if held else ()
            calls = callgraph.names_it(caller, key) or any(map(is_slot, callgraph.wiring(caller).nodes))
            for entry in self._found[caller]:
                above = entry.chain
                if key in above or len(above) > MAX_ENTRY_CHAIN or not (calls or self._hand(above, key)):
                    continue
                if not entry.held:
                    yield own, above
                    continue
                gone = dropped.union(h.lock for h in held) if held else dropped
                more = [h for h in entry.held if h.lock not in gone and known(h.lock)]
                yield tuple(sorted((*own, *more))) if more else own, above
        if outside or (not function.static and not callgraph.callers.get(key)):
            yield (), ()

    def _hand(self, chain: tuple[FunctionKey, ...], key: FunctionKey) -> bool:
        """Whether somebody on a chain of calls hands a function down to its end, which calls what it is handed."""
        callgraph = self._callgraph
        return len(chain) < 2 or any(put == key for above in chain for _, put in callgraph.wiring(above).puts)

    def surely(self, key: FunctionKey) -> frozenset[str]:
        """Identities of the locks that are held in every entry lockset."""
        ways = [entry.locks() for entry in self.of(key)]
        return frozenset.intersection(*ways) if ways else frozenset()

    def calls_of(self, key: FunctionKey) -> list[tuple[FunctionKey, tuple[Held, ...], frozenset[str]]]:
        """Calls that name a function: caller, what it holds, what it has dropped of its own caller's locks."""
        found = self._sites.get(key)
        if found is None:
            found = self._sites[key] = list(self._calls_of(key))
        return found

    def _calls_of(self, key: FunctionKey) -> Iterator[tuple[FunctionKey, tuple[Held, ...], frozenset[str]]]:
        callgraph = self._callgraph
        for caller in sorted(callgraph.callers.get(key, ())):
            record, points_to = self._locksets.record(caller), callgraph.wiring(caller)
            arguments = [node for node in points_to.nodes if not is_slot(node)] if points_to.nodes else []
            handed = [node for node in arguments if key in callgraph.targets.get(node, ())] if arguments else []
            if not record.at:
                for _ in range(points_to.direct.count(key) + len(handed)):
                    yield caller, (), frozenset()
                continue
            for name, held, dropped in record.under:
                if name == key or name in handed:
                    yield caller, held, frozenset(dropped)
