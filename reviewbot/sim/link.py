"""The last step of compiling: symbols become numbers, and what nothing can observe is left out.

- `wake` updates become updates of the sleepers' cells, which are all known only now.
- A condition that is always true or never, since nothing ever changes its cell, goes, with what it shuts for good.
- A cell that no condition reads, directly or through another cell, makes no difference between states: it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from operator import eq, ge, gt, le, lt, ne

from reviewbot.sim.automaton import CellChange, Cond, Guard
from reviewbot.sim.program import TRUE, Act, All, Any, Cell, Cmp, ModelError, Resource, Test, Update
from reviewbot.sim.waits import WaitQueue

Conjunctions = tuple[tuple[Cmp, ...], ...]
Way = tuple[Conjunctions, tuple[Update, ...]]

COMPARE = {"==": eq, "!=": ne, "<": lt, ">=": ge, ">": gt, "<=": le}


class Linker:
    """Numbers the cells of all acts of a model; `ways` then turns each act into guards and changes."""

    def __init__(self, acts: Iterable[Act]) -> None:
        acts = list(acts)
        sites = _sites(acts)
        plain = {id(act): _woken(act, sites) for act in acts}
        changing = {update.cell for ways in plain.values() for _, do in ways for update in do}
        self._ways: dict[int, list[Way]] = {
            key: [(_live(test, changing), do) for test, do in ways] for key, ways in plain.items()
        }
        self.cells = tuple(_observed([way for ways in self._ways.values() for way in ways]))
        self._numbers = {cell: i for i, cell in enumerate(self.cells)}
        self._cache: dict[int, tuple[tuple[Guard, tuple[CellChange, ...]], ...]] = {}

    def number(self, cell: Cell) -> int | None:
        """The number of a cell; None for one that makes no difference."""
        return self._numbers.get(cell)

    def ways(self, act: Act) -> tuple[tuple[Guard, tuple[CellChange, ...]], ...]:
        """Guard and changes of an act; several where a wake-up may pick one of several exclusive sleepers."""
        if id(act) not in self._cache:
            self._cache[id(act)] = tuple(
                (tuple(tuple(map(self._cond, conjunction)) for conjunction in guard), tuple(self._changes(do)))
                for guard, do in self._ways[id(act)]
            )
        return self._cache[id(act)]

    def _cond(self, test: Cmp) -> Cond:
        cell = self._numbers[test.cell]
        if isinstance(test.value, Cell):
            match test.op:
                case ">":
                    return Cond(self._numbers[test.value], "<", cell, other=True)
                case "<=":
                    return Cond(self._numbers[test.value], ">=", cell, other=True)
                case op:
                    return Cond(cell, op, self._numbers[test.value], other=True)
        match test.op, test.value:
            case ">", value:
                return Cond(cell, ">=", value + 1)
            case "<=", value:
                return Cond(cell, "<", value + 1)
            case "!=", 0:
                return Cond(cell, ">=", 1)
            case "==", 0:
                return Cond(cell, "<", 1)
            case "==" | "!=" | "<" | ">=" as op, value:
                return Cond(cell, op, value)
        raise ModelError(f"no such comparison: {test}")

    def _changes(self, do: tuple[Update, ...]) -> Iterator[CellChange]:
        for update in do:
            if update.cell in self._numbers and update.op != "wake":
                other = isinstance(update.value, Cell)
                value = self._numbers[update.value] if isinstance(update.value, Cell) else update.value
                yield CellChange(self._numbers[update.cell], update.op, value, other)


def _sites(acts: list[Act]) -> dict[Resource, list[Cell]]:
    """For each wait queue, the cells that count its sleepers, one for each site."""
    sites: dict[Resource, list[Cell]] = {}
    for act in acts:
        for update in act.do:
            if update.cell.role == "asleep" and update.op == "+" and update.value == 1:
                known = sites.setdefault(update.cell.owner, [])
                if update.cell not in known:
                    known.append(update.cell)
    return sites


def _woken(act: Act, sites: dict[Resource, list[Cell]]) -> list[tuple[Test, tuple[Update, ...]]]:
    """An act with its wake-ups spelt out; one way for each exclusive sleeper that may be picked."""
    wake = next((u for u in act.do if u.op == "wake"), None)
    if wake is None:
        return [(act.when, act.do)]
    queue = wake.cell.owner
    assert isinstance(queue, WaitQueue)
    cells = sites.get(queue, [])
    picky = [c for c in cells if wake.value and str(c.of).endswith("exclusive")]
    do: list[Update] = [u for u in act.do if u.op != "wake"]
    for asleep in cells:
        if asleep not in picky:
            do += [queue.woken(asleep.of).add(asleep), asleep.set(0)]
    if not picky:
        return [(act.when, tuple(do))]
    ways = [(act.when & (c > 0), (*do, queue.woken(c.of).add(), c.sub())) for c in picky]
    return [*ways, (act.when & All(tuple(c.is_(0) for c in picky)), tuple(do))]


def _conjunctions(test: Test) -> Conjunctions:
    """Disjunctive normal form."""
    match test:
        case Cmp():
            return ((test,),)
        case All(tests):
            return tuple(tuple(c for part in parts for c in part) for parts in product(*map(_conjunctions, tests)))
        case Any(tests):
            return tuple(part for t in tests for part in _conjunctions(t))
    raise ModelError(f"not a condition: {test!r}")


def _live(test: Test, changing: set[Cell]) -> Conjunctions:
    """The conjunctions of a test that can hold, without conditions that are true for good."""
    if test is TRUE:
        return ((),)
    live = []
    for part in _conjunctions(test):
        known = {condition: _known(condition, changing) for condition in part}
        if False not in known.values():
            live.append(tuple(condition for condition in part if known[condition] is None))
    return tuple(live)


def _known(test: Cmp, changing: set[Cell]) -> bool | None:
    """Whether a condition holds for good, or never; None where that depends on the state."""
    if test.cell in changing or (isinstance(test.value, Cell) and test.value in changing):
        return None
    value = test.value.init if isinstance(test.value, Cell) else test.value
    return bool(COMPARE[test.op](test.cell.init, value))


def _observed(ways: list[Way]) -> list[Cell]:
    """The cells that conditions read, and those that reach them through `cell += other cell`, in order."""
    found: dict[Cell, None] = {}
    for guard, _ in ways:
        for conjunction in guard:
            for test in conjunction:
                found[test.cell] = None
                if isinstance(test.value, Cell):
                    found[test.value] = None
    reads = [(u.cell, u.value) for _, do in ways for u in do if isinstance(u.value, Cell)]
    grown = True
    while grown:
        before = len(found)
        found.update({value: None for cell, value in reads if cell in found})
        grown = len(found) > before
    return list(found)
