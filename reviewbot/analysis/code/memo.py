"""Memo tables of results per function, which take over those of the program before when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from reviewbot.function_key import FunctionKey

Given = tuple[tuple[str, int], ...]
"""Parameters with known signs, sorted by name: what a call with constants says."""
V = TypeVar("V")
Before = Callable[[FunctionKey], Mapping[Given, V]]
"""What is known of a function (key) already, by the constants that it is called with."""


def unknown(_: FunctionKey) -> Mapping[Given, V]:
    """The `before` of a program without one before it: no results for any function."""
    return {}


class MemoTable(Generic[V]):
    """Memo table: function key and constant arguments -> result.

    `before` gives the results of an earlier program; it is called once for each function, when that is first asked for.
    """

    def __init__(self, before: Before[V] = unknown) -> None:
        self._before = before
        self._own: dict[FunctionKey, dict[Given, V]] = {}

    def of(self, key: FunctionKey) -> dict[Given, V]:
        """All results of a function, by constant arguments. The dictionary is the table's own: changes to it last."""
        found = self._own.get(key)
        if found is None:
            found = self._own[key] = dict(self._before(key))
        return found

    def get(self, key: FunctionKey, given: Given = ()) -> V | None:
        """The result for a function called with these constants; None where there is none yet."""
        return self.of(key).get(given)

    def put(self, key: FunctionKey, given: Given, value: V) -> V:
        """Store a result, and return it."""
        self.of(key)[given] = value
        return value

    def forget(self, key: FunctionKey, given: Given | None = None) -> None:
        """Drop the results of a function; with `given` only the one for these constants."""
        if given is None:
            self._own[key] = {}
        else:
            self.of(key).pop(given, None)
