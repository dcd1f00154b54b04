"""Which locks callers hold when they call a function: one alternative for each way in that holds something else.

Ways in are direct calls, callbacks that a callee was handed as an argument, and operations tables whose callers are
known to hold a lock (kernel/contexts.toml). A call through any other slot says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from reviewbot.facts.kinds import Held
from reviewbot.facts.link import components
from reviewbot.facts.objects import known
from reviewbot.facts.part import Part
from reviewbot.facts.wiring import is_slot
from reviewbot.kernel import KERNEL, lock_words

if TYPE_CHECKING:
    from reviewbot.facts.world import World

MOST = 6
"""Most alternatives of one function; beyond, the ones with the longest chains are left out."""
DEEP = 12
"""Longest chain of calls that is followed."""


class Entry(NamedTuple):
    """One way into a function: the locks held there, and the keys of the functions from the outermost one down."""

    held: tuple[Held, ...]
    chain: tuple[str, ...]

    def locks(self) -> frozenset[str]:
        """Identities of the locks held."""
        return frozenset(h.lock for h in self.held)


class Entries(Part):
    """Ways into the functions of a world, found when asked for."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._found: dict[str, tuple[Entry, ...]] = {}

    def of(self, key: str) -> tuple[Entry, ...]:
        """The ways into a function, shortest chain first; one with nothing held stands for callers not at hand."""
        if key not in self._found:
            for component in components(self._open, [key]):
                for member in component:
                    if member not in self._found:
                        self._found[member] = self._choose(member)
        return self._found[key]

    def _open(self, key: str) -> list[str]:
        """Callers that have to be looked at first."""
        return sorted(c for c in self.world.links.callers.get(key, ()) if c not in self._found)

    def _choose(self, key: str) -> tuple[Entry, ...]:
        ways: dict[tuple[Held, ...], Entry] = {}
        for entry in self._ways(key):
            before = ways.get(entry.held)
            if before is None or (len(entry.chain), entry.chain) < (len(before.chain), before.chain):
                ways[entry.held] = entry
        ways = ways or {(): Entry((), (key,))}
        return tuple(sorted(ways.values(), key=lambda e: (len(e.chain), e.chain))[:MOST])

    def _ways(self, key: str) -> Iterator[Entry]:
        links = self.world.links
        outside = True
        for root in sorted(links.roots.get(key, ())):
            slot = KERNEL.slots.get(root.slot)
            holds = tuple(Held(*lock_words(lock)) for lock in slot.holds) if slot is not None else ()
            yield Entry(holds, (key,))
            outside = False
        for caller, held, dropped in self.world.calls_of(key):
            outside = False
            for entry in self._found.get(caller) or (Entry((), (caller,)),):
                if key in entry.chain or len(entry.chain) > DEEP or not self._hand(entry.chain, key):
                    continue
                kept = [h for h in entry.held if h.lock not in dropped]
                names = {h.lock for h in held}
                both = (*held, *(h for h in kept if h.lock not in names))
                yield Entry(tuple(sorted(h for h in both if known(h.lock))), (*entry.chain, key))
        function = self.world.function(key)
        if outside or (not function.static and not links.callers.get(key)):
            yield Entry((), (key,))

    def _hand(self, chain: tuple[str, ...], key: str) -> bool:
        """Whether somebody on a chain of calls hands a function down to its end, where that calls what it is handed."""
        links = self.world.links
        if len(chain) < 2 or links.names_it(chain[-1], key) or any(map(is_slot, links.wired[chain[-1]].nodes)):
            return True
        return any(put == key for above in chain for _, put in links.wired[above].puts)

    def surely(self, key: str) -> frozenset[str]:
        """Locks that every way in holds."""
        ways = [entry.locks() for entry in self.of(key)]
        return frozenset.intersection(*ways) if ways else frozenset()


def call_sites(world: World, key: str) -> Iterator[tuple[str, tuple[Held, ...], frozenset[str]]]:
    """Calls that name a function: caller, what it holds there, what it has dropped of its own caller's locks."""
    links = world.links
    for caller in sorted(links.callers.get(key, ())):
        record = world.locking.record(caller)
        wired = links.wired[caller]
        under = record.under if record.at else tuple((name, (), ()) for name in (*wired.direct, *wired.nodes))
        for name, held, dropped in under:
            handed = name not in links.wired and not is_slot(name) and key in links.targets.get(name, ())
            if name == key or handed:
                yield caller, held, frozenset(dropped)
