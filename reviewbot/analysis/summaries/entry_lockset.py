"""Which locks callers hold when they call a function: one alternative for each way in that holds something else.

Ways in are direct calls, callbacks that a callee was handed as an argument, and operations tables: those whose callers are
known to hold a lock (kernel/contexts.toml), and those that are called at hand. A slot that many functions were put into
says nothing. With the locks goes what the callers keep away: interrupts, softirqs, the scheduler.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.callgraph.components import components
from reviewbot.analysis.callgraph.pointer_flow import is_slot
from reviewbot.analysis.code.identity import known
from reviewbot.analysis.events.kinds import Held
from reviewbot.analysis.locks.lockset import Locksets
from reviewbot.analysis.locks.lockset_summary import Under, off_with
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_ENTRY_CHAIN, MAX_ENTRY_LOCKSETS


class EntryLockset(NamedTuple):
    """One entry lockset of a function: what is held when it is entered, and the call string: keys from the outermost
    function that matters to its caller."""

    held: tuple[Held, ...]
    chain: tuple[FunctionKey, ...]
    off: tuple[str, ...] = ()
    """What is kept away on all ways with these locks: see `plan.MASK`."""

    def locks(self) -> frozenset[str]:
        """Identities of the locks held."""
        return frozenset(h.lock for h in self.held)


class EntryLocksets:
    """The entry locksets of the functions of a program; each is computed when first asked for."""

    def __init__(self, callgraph: CallGraph, locksets: Locksets) -> None:
        self._callgraph, self._locksets = callgraph, locksets
        self._found: dict[FunctionKey, tuple[EntryLockset, ...]] = {}
        self._sites: dict[FunctionKey, list[tuple[FunctionKey, Under]]] = {}

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
        """Callers that have to be looked at first, and who may hand the function down to them."""
        callgraph = self._callgraph
        callers = callgraph.callers.get(key, set())
        handing = (callgraph.callers.get(c, set()) for c in callers if not callgraph.names_it(c, key))
        return sorted(c for c in callers.union(*handing) if c not in self._found)

    def _choose(self, key: FunctionKey) -> tuple[EntryLockset, ...]:
        ways: dict[tuple[Held, ...], tuple[tuple[FunctionKey, ...], tuple[str, ...]]] = {}
        for held, above, off in self._ways(key):
            before, kept = ways.get(held, ((), off))
            if held not in ways or (len(above), above) < (len(before), before):
                before = above
            ways[held] = before, kept if kept == off else tuple(name for name in kept if name in off)
        chosen = sorted(ways.items(), key=lambda way: (len(way[1][0]), way[1])) if len(ways) > 1 else ways.items()
        return tuple(
            EntryLockset(held, (*above, key), off) for held, (above, off) in islice(chosen, MAX_ENTRY_LOCKSETS)
        )

    def _ways(self, key: FunctionKey) -> Iterator[tuple[tuple[Held, ...], tuple[FunctionKey, ...], tuple[str, ...]]]:
        """What is held on each way in, the functions above, and what is kept away."""
        callgraph = self._callgraph
        function = callgraph.names.functions[key]
        outside = True
        for root in sorted(callgraph.roots.get(key, ())):
            holds = tuple(Held(*lock) for lock in callgraph.held_over(key, root.slot))
            for left in self._left_by_first(key) if root.slot in KERNEL.begun else [()]:
                held = tuple(sorted((*holds, *left)))
                yield held, (), off_with(held)
            outside = False
        for caller, site in self._called_from(key):
            outside = False
            for entry in self._above(caller, key):
                if key not in entry.chain and len(entry.chain) <= MAX_ENTRY_CHAIN:
                    held, off = self._on(entry, site)
                    yield held, entry.chain, off
        if outside or (not function.static and not callgraph.callers.get(key)):
            yield (), (), ()

    def _left_by_first(self, key: FunctionKey) -> list[tuple[Held, ...]]:
        """What the functions of its tables that are called before it leave held, on all their ways: `->start` of a
        seq_file takes what `->show` runs under, and `->stop` gives back."""
        firsts = sorted(self._callgraph.begun.get(key, ()))
        ways = [self._locksets.record(first).left for first in firsts]
        return [
            tuple(
                Held(token.lock, token.mode, token.klass)
                for token in left[0].takes
                if known(token.lock) and all(e.agreed and token in e.takes for e in left)
            )
            for left in ways
            if left
        ] or [()]

    def _above(self, caller: FunctionKey, key: FunctionKey) -> Iterator[EntryLockset]:
        """The ways into a caller on which it calls a function: those of whoever hands the function down to it, where it
        calls an argument."""
        callgraph = self._callgraph
        if callgraph.names_it(caller, key) or any(map(is_slot, callgraph.wiring(caller).nodes)):
            yield from self._found[caller]
            return
        handing = [(one, site) for one, site in self._called_from(caller) if self._hands((one,), key)]
        for one, site in handing:
            for entry in self._found.get(one, ()):
                if caller not in entry.chain:
                    held, off = self._on(entry, site)
                    yield EntryLockset(held, (*entry.chain, caller), off)
        if not handing:
            yield from (e for e in self._found[caller] if len(e.chain) < 2 or self._hands(e.chain, key))

    def _hands(self, chain: tuple[FunctionKey, ...], key: FunctionKey) -> bool:
        """Whether somebody on a chain of calls hands a function down to its end, which calls what it is handed."""
        return any(put == key for above in chain for _, put in self._callgraph.wiring(above).puts)

    @staticmethod
    def _on(entry: EntryLockset, site: Under) -> tuple[tuple[Held, ...], tuple[str, ...]]:
        """What is held, and kept away, at a call of a function that was entered so."""
        own = tuple(sorted(h for h in site.held if known(h.lock))) if site.held else ()
        off = tuple(sorted({*site.off, *(name for name in entry.off if name not in site.on)}))
        if not entry.held:
            return own, off
        gone = {*site.dropped, *(h.lock for h in site.held)}
        more = [h for h in entry.held if h.lock not in gone and known(h.lock)]
        return tuple(sorted((*own, *more))) if more else own, off

    def surely(self, key: FunctionKey) -> frozenset[str]:
        """Identities of the locks that are held in every entry lockset."""
        ways = [entry.locks() for entry in self.of(key)]
        return frozenset.intersection(*ways) if ways else frozenset()

    def calls_of(self, key: FunctionKey) -> list[tuple[FunctionKey, tuple[Held, ...], frozenset[str]]]:
        """Calls that name a function: caller, what it holds, what it has dropped of its own caller's locks."""
        return [(caller, site.held, frozenset(site.dropped)) for caller, site in self._called_from(key)]

    def _called_from(self, key: FunctionKey) -> list[tuple[FunctionKey, Under]]:
        found = self._sites.get(key)
        if found is None:
            found = self._sites[key] = list(self._calls_of(key))
        return found

    def _calls_of(self, key: FunctionKey) -> Iterator[tuple[FunctionKey, Under]]:
        callgraph = self._callgraph
        for caller in sorted(callgraph.callers.get(key, ())):
            record, points_to = self._locksets.record(caller), callgraph.wiring(caller)
            through = [node for node in points_to.nodes if key in callgraph.targets.get(node, ())]
            through = [node for node in through if not is_slot(node) or node not in KERNEL.slots]
            through += [run.node for run in points_to.runs if key in callgraph.about(run)]
            if not record.at and not record.under:
                for name in (*[key] * points_to.direct.count(key), *through):
                    yield caller, Under(name, (), ())
                continue
            for site in record.under:
                if site.callee == key or site.callee in through:
                    yield caller, site
