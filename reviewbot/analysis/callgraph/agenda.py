"""In which order functions are looked at again after a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.function_key import FunctionKey, is_function


class Agenda:
    """Functions to look at again, by their cycles of calls, callees first; more may come up on the way."""

    def __init__(self, callgraph: CallGraph, keys: Iterable[FunctionKey]) -> None:
        self._callgraph = callgraph
        self._members: dict[tuple[FunctionKey, ...], set[FunctionKey]] = {}
        self._queue: list[tuple[int, tuple[FunctionKey, ...]]] = []
        self.add(keys)

    def add(self, keys: Iterable[FunctionKey]) -> None:
        """Put functions on it; those that are not at hand are left out."""
        for key in keys:
            if key in self._callgraph.points_to and is_function(key):
                group = self._callgraph.group(key)
                if group not in self._members:
                    self._members[group] = set()
                    heappush(self._queue, (self._callgraph.rank[key], group))
                self._members[group].add(key)

    def __iter__(self) -> Iterator[tuple[tuple[FunctionKey, ...], list[FunctionKey]]]:
        """A cycle (or one function), with those of it that were put here."""
        while self._queue:
            _, group = heappop(self._queue)
            yield group, sorted(self._members.pop(group))
