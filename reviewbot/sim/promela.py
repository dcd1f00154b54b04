"""The automaton in Promela, so that SPIN (https://spinroot.com) can be asked the same question.

One process for each task, one label for each place, one atomic statement for each edge; places at home are end states.
SPIN then looks for invalid end states, which are the states where nothing moves and somebody is away from home. It does
not see a knot beside an endless task.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewbot.sim.automaton import Automaton, AutomatonEdge, CellChange, Class, Cond, Guard


def promela(automaton: Automaton) -> str:
    """The automaton as a Promela program; cells are the elements of the byte array `s`, in the order of the state."""
    return "\n".join(_lines(automaton)) + "\n"


def _lines(automaton: Automaton) -> Iterator[str]:
    for number, cell in enumerate(automaton.cells):
        yield f"/* s[{number}]: {str(cell).replace('*', '_')} */"
    yield f"byte s[{max(1, len(automaton.cells))}];"
    for number, c in enumerate(automaton.classes):
        yield f"proctype {_name(number, c)}() {{"
        yield f"  goto {_label(c, c.entry)};"
        for place, edges in enumerate(c.edges):
            yield f"{_label(c, place)}:"
            yield from _place(c, edges)
        yield "fin: skip"
        yield "}"
    yield "init { atomic {"
    yield from (f"  s[{i}] = {cell.init};" for i, cell in enumerate(automaton.cells) if cell.init)
    yield from (f"  run {_name(number, c)}();" for number, c in enumerate(automaton.classes) for _ in range(c.n))
    yield "} }"


def _place(c: Class, edges: tuple[AutomatonEdge, ...]) -> Iterator[str]:
    if not edges:
        yield "  goto fin;"
        return
    yield "  if"
    for edge in edges:
        statements = [_guard(edge.guard) + " ->", *(f"{_change(change)};" for change in edge.changes)]
        yield f"  :: atomic {{ {' '.join(statements)} goto {_label(c, edge.target)} }}"
    yield "  fi;"


def _name(number: int, c: Class) -> str:
    return f"P{number}_{re.sub(r'[^A-Za-z0-9]', '_', c.name)}"


def _label(c: Class, place: int) -> str:
    return f"end_{place}" if place in c.home else f"at_{place}"


def _guard(guard: Guard) -> str:
    return " || ".join(_conjunction(conjunction) for conjunction in guard) or "false"


def _conjunction(conjunction: tuple[Cond, ...]) -> str:
    return f"({' && '.join(f's[{c.cell}] {c.op} {_value(c)}' for c in conjunction) or 'true'})"


def _value(item: Cond | CellChange) -> str:
    return f"s[{item.value}]" if item.other else str(item.value)


def _change(change: CellChange) -> str:
    cell, value = f"s[{change.cell}]", _value(change)
    match change.op:
        case "=":
            return f"{cell} = {value}"
        case "+":
            return f"{cell} = {cell} {'-' if change.value < 0 else '+'} {value.lstrip('-')}"
        case "drop":
            return f"{cell} = ({cell} > {value} -> {cell} - {value} : 0)"
