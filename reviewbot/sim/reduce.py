"""What a search may leave out without missing a deadlock: the order of tasks, and states between releases.

Two reductions, and no others:

- Tasks of one class are anonymous, so their places may be sorted (the search does that).
- A release that always succeeds and that nothing tests is done together with the step before it. Such a step moves to
  the left of whatever others do in between (Lipton, "Reduction", CACM 18(12), 1975): it has one way on without a
  condition, and each of its cells is only ever added to and subtracted from, and compared in the direction that the
  release cannot make false. Setting a pending bit is no such step, since whoever finds it set does something else.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from reviewbot.sim.automaton import ALWAYS, Automaton, AutomatonEdge, CellChange, Class, Guard


class Move(msgspec.Struct, frozen=True, gc=False):
    """One edge, and the releases that are done together with it."""

    guard: Guard
    changes: tuple[CellChange, ...]
    target: int
    edges: tuple[AutomatonEdge, ...]
    marks: tuple[str, ...]
    """Marks that it reaches."""


Moves = tuple[tuple[tuple[Move, ...], ...], ...]
"""Moves by class and place."""


class Sense(NamedTuple):
    """How a cell is used: whether adding to it, and whether subtracting from it, can ever make a condition false."""

    rises: bool
    falls: bool


def plain(automaton: Automaton) -> Moves:
    """Every edge a move of its own."""
    return tuple(tuple(tuple(_move((e,)) for e in edges) for edges in c.edges) for c in automaton.classes)


def fused(automaton: Automaton) -> Moves:
    """Edges together with the releases that follow them."""
    senses = _senses(automaton)
    return tuple(_fused(automaton, c, senses) for c in automaton.classes)


def _fused(automaton: Automaton, c: Class, senses: list[Sense]) -> tuple[tuple[Move, ...], ...]:
    """The moves of a class; places that no move leads to any more have none."""
    free = _free(c, senses)
    moves: list[tuple[Move, ...]] = [()] * len(c.edges)
    todo, seen = [c.entry], {c.entry}
    while todo:
        place = todo.pop()
        moves[place] = tuple(_move(_chain(edge, c, free)) for edge in c.edges[place])
        fresh = {move.target for move in moves[place]} - seen
        seen |= fresh
        todo += fresh
    return tuple(moves)


def _move(edges: tuple[AutomatonEdge, ...]) -> Move:
    changes = tuple(change for edge in edges for change in edge.changes)
    marks = tuple(mark for edge in edges for mark in edge.marks)
    return Move(edges[0].guard, changes, edges[-1].target, edges, marks)


def _chain(edge: AutomatonEdge, c: Class, free: dict[int, AutomatonEdge]) -> tuple[AutomatonEdge, ...]:
    chain, seen = [edge], {edge.target}
    while (after := free.get(chain[-1].target)) is not None:
        chain.append(after)
        if after.target in seen:  # releases in a loop
            break
        seen.add(after.target)
    return tuple(chain)


def _free(c: Class, senses: list[Sense]) -> dict[int, AutomatonEdge]:
    """The places whose only way on is a release that always succeeds and that nothing tests."""
    return {
        place: edges[0]
        for place, edges in enumerate(c.edges)
        if place not in c.home and len(edges) == 1 and edges[0].guard == ALWAYS and _released(edges[0], senses)
    }


def _released(edge: AutomatonEdge, senses: list[Sense]) -> bool:
    return all(
        ch.op == "+" and not ch.other and (senses[ch.cell].rises if ch.value > 0 else senses[ch.cell].falls)
        for ch in edge.changes
    )


def _senses(automaton: Automaton) -> list[Sense]:
    """For each cell, from every guard and every change of the automaton."""
    rises, falls = [True] * len(automaton.cells), [True] * len(automaton.cells)
    for edge in (e for c in automaton.classes for edges in c.edges for e in edges):
        for cond in (cond for conjunction in edge.guard for cond in conjunction):
            if cond.op != ">=" or cond.other:
                rises[cond.cell] = False
            if cond.op != "<" or cond.other:
                falls[cond.cell] = False
            if cond.other:
                rises[cond.value] = falls[cond.value] = False
        for change in edge.changes:
            if change.op != "+" or change.other:
                rises[change.cell] = falls[change.cell] = False
            if change.other:
                rises[change.value] = falls[change.value] = False
    return [Sense(*pair) for pair in zip(rises, falls, strict=True)]
