"""Circles in a graph of who waits for whom: where the waiting ends up, and the shortest ways round."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from typing import TypeAlias, TypeVar

N = TypeVar("N", bound=Hashable)
Graph: TypeAlias = Mapping[N, tuple[N, ...]]
"""For each node those that it waits for."""


def bottoms(graph: Graph[N]) -> list[list[N]]:
    """The strongly connected parts that lead nowhere else (there the waiting ends up)."""
    reach = {node: _reach(graph, node) for node in graph}
    done: set[N] = set()
    parts = []
    for node in graph:
        if node not in done:
            part = [other for other in graph if other == node or (other in reach[node] and node in reach[other])]
            done.update(part)
            if all(other in part for other in reach[node]):
                parts.append(part)
    return parts


def _reach(graph: Graph[N], node: N) -> set[N]:
    seen: set[N] = set()
    todo = [node]
    while todo:
        for after in graph[todo.pop()]:
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return seen


def circles(part: list[N], graph: Graph[N]) -> list[tuple[N, ...]]:
    """For each node the shortest circle through it, if there is one; each circle once. Who waits for nobody is one."""
    found: dict[frozenset[N], tuple[N, ...]] = {}
    for node in part:
        if circle := _shortest_circle(node, graph):
            found.setdefault(frozenset(circle), circle)
    return list(found.values())


def _shortest_circle(node: N, graph: Graph[N]) -> tuple[N, ...]:
    before: dict[N, N] = {}
    todo = deque([node])
    while todo:
        at = todo.popleft()
        for after in graph[at]:
            if after == node:
                way = [at]
                while way[-1] != node:
                    way.append(before[way[-1]])
                return tuple(reversed(way))
            if after not in before:
                before[after] = at
                todo.append(after)
    return () if graph[node] else (node,)
