"""The automaton as a Python function that expands states.

A state is one big-endian number whose bytes are the cells and places. What a move does is then one addition of a number
that is known beforehand, and its guard reads single bytes. A cell that leaves 0..127 sets the highest bit of its byte
(it carries or borrows), which is looked for once in each state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from reviewbot.limits import MAX_CACHED_ROWS, MAX_CELL
from reviewbot.sim.automaton import Automaton, CellChange, Class, Cond, Guard
from reviewbot.sim.reduce import Move
from reviewbot.sim.space import Space


def generate(space: Space, index: dict[int, int]) -> Callable[[int, int], None]:
    """A function that expands the states of these numbers: batch(begin, end).

    Errors: the function raises ValueError or OverflowError where a cell leaves its range.
    """
    names: dict[str, Any] = {"space": space, "index": index}
    for number, (c, moves) in enumerate(zip(space.automaton.classes, space.moves, strict=True)):
        for place, ways in enumerate(moves if space.ordered and c.n > 1 else ()):
            for move in ways:
                names[f"sort{number}_{place}_{move.target}"] = Sorted(space.automaton, c, place, move.target)
    exec(compile("\n".join(source(space)), "<automaton>", "exec"), names)
    batch: Callable[[int, int], None] = names["batch"]
    return batch


class Sorted(dict[bytes, int]):
    """What to add to a state when a task of a class goes from one place to another and the class is sorted again.

    By the places of the class's tasks.
    """

    def __init__(self, automaton: Automaton, c: Class, place: int, target: int) -> None:
        super().__init__()
        self.width, self.unit = c.width, 1 << 8 * (len(automaton.initial) - c.end)
        self.left, self.gone_to = (at.to_bytes(c.width, "big") for at in (place, target))

    def __missing__(self, row: bytes) -> int:
        if len(self) >= MAX_CACHED_ROWS:
            self.clear()
        places = [row[i : i + self.width] for i in range(0, len(row), self.width)]
        places.remove(self.left)
        places.append(self.gone_to)
        after = b"".join(sorted(places))
        self[row] = change = (int.from_bytes(after, "big") - int.from_bytes(row, "big")) * self.unit
        return change


def source(space: Space) -> Iterator[str]:
    """The lines of the function, and of one function for each place that it calls for the tasks there."""
    automaton = space.automaton
    size = len(automaton.initial)
    yield "order, targets, mark = space.order, space.targets, space.marks.add"
    yield "target, start = targets.append, space.starts.append"
    for number, (c, moves) in enumerate(zip(automaton.classes, space.moves, strict=True)):
        for task in range(_kinds(c, space.ordered)):
            for place, ways in enumerate(moves):
                if any(move.guard for move in ways):
                    yield f"def f{number}_{task}_{place}(s, k):"
                    for move in ways:
                        yield from _move(space, number, task, place, move)
            functions = (
                f"f{number}_{task}_{place}" if any(move.guard for move in ways) else "None"
                for place, ways in enumerate(moves)
            )
            yield f"F{number}_{task} = ({', '.join(functions)},)"
    yield "def batch(begin, end):"
    yield "    for k in order[begin:end]:"
    yield f"        v = k // {space.factor}" if space.factor > 1 else "        v = k"
    yield f"        s = v.to_bytes({size}, 'big')"
    yield f"        if v & {automaton.too_high}: raise ValueError"
    for number, c in enumerate(automaton.classes):
        yield from _tasks(number, c, space.ordered)
    yield "        start(len(targets))"


def _kinds(c: Class, ordered: bool) -> int:
    """How many functions there are for each place: one for each task whose move is another addition."""
    return 1 if ordered else c.n


def _tasks(number: int, c: Class, ordered: bool) -> Iterator[str]:
    for task in range(c.n):
        at = c.offset + task * c.width
        place = f"s[{at}]" if c.width == 1 else f"s[{at}] << 8 | s[{at + 1}]"
        indent = "        "
        if ordered and task:  # the task before it is in the same place and has done the same
            same = f"s[{at}] != s[{at - 1}]" if c.width == 1 else f"s[{at}:{at + 2}] != s[{at - 2}:{at}]"
            yield f"{indent}if {same}:"
            indent += "    "
        yield f"{indent}f = F{number}_{min(task, _kinds(c, ordered) - 1)}[{place}]"
        yield f"{indent}if f: f(s, k)"


def _move(space: Space, number: int, task: int, place: int, move: Move) -> Iterator[str]:
    c, size = space.automaton.classes[number], len(space.automaton.initial)
    if not move.guard:
        return
    guard = _guard(move.guard)
    indent = "    "
    if guard:
        yield f"    if {guard}:"
        indent += "    "
    terms, constant = added(move.changes, size)
    changed = [f"({' + '.join(terms)}) * {space.factor}"] if terms and space.factor > 1 else terms
    if space.ordered and c.n > 1:
        changed.append(f"sort{number}_{place}_{move.target}[s[{c.offset}:{c.end}]]")
    else:
        constant += (move.target - place) << 8 * (size - c.offset - (task + 1) * c.width)
    if leaves_range(move.changes):
        yield f"{indent}raise ValueError"
    for reached in move.marks:
        if reached not in space.marks:
            yield f"{indent}mark({reached!r})"
    yield f"{indent}target(index[{' + '.join(['k', *changed, *([str(constant * space.factor)] if constant else [])])}])"


def leaves_range(changes: tuple[CellChange, ...]) -> bool:
    """Whether a change is there only to end the search: no cell can take it."""
    return any(change.op == "+" and abs(change.value) > MAX_CELL and not change.other for change in changes)


def added(changes: tuple[CellChange, ...], size: int) -> tuple[list[str], int]:
    """What the changes add to a state: expressions, and a number that is known beforehand."""
    now: dict[int, tuple[tuple[str, ...], int]] = {}  # cell -> its value: expressions of the state before, and a number
    for change in changes:
        value: tuple[tuple[str, ...], int] = ((), change.value)
        if change.other:
            value = now.get(change.value, ((f"s[{change.value}]",), 0))
        before = now.get(change.cell, ((f"s[{change.cell}]",), 0))
        match change.op:
            case "=":
                now[change.cell] = value
            case "+":
                now[change.cell] = (*before[0], *value[0]), before[1] + value[1]
            case "drop":
                now[change.cell] = (f"max(0, {_sum(*before)} - {_sum(*value)})",), 0
    terms, constant = [], 0
    for cell, (parts, number) in now.items():
        unit, old = 8 * (size - cell - 1), f"s[{cell}]"
        constant += number << unit
        new = list(parts)
        if old in new:
            new.remove(old)
        else:
            new.append(f"-{old}")
        terms += [f"({part} << {unit})" for part in new]
    return terms, constant


def _sum(parts: tuple[str, ...], number: int) -> str:
    return " + ".join([*parts, *([str(number)] if number or not parts else [])])


def _guard(guard: Guard) -> str:
    parts = [" and ".join(map(_cond, conjunction)) for conjunction in guard]
    if "" in parts:
        return ""
    return " or ".join(parts) if parts else "False"


def _cond(cond: Cond) -> str:
    if cond == (cond.cell, ">=", 1, False):
        return f"s[{cond.cell}]"
    if cond == (cond.cell, "<", 1, False):
        return f"not s[{cond.cell}]"
    return f"s[{cond.cell}] {cond.op} {f's[{cond.value}]' if cond.other else cond.value}"
