"""What was found out about functions: taken over from before, function by function, when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

Given = tuple[tuple[str, int], ...]
"""Parameters with known signs, sorted by name: what a call with constants says."""
V = TypeVar("V")
Before = Callable[[str], Mapping[Given, V]]
"""What is known of a function (key) already, by the constants that it is called with."""


def unknown(_: str) -> Mapping[Given, V]:
    """Nothing is known of any function."""
    return {}


class Inherited(Generic[V]):
    """Function and constants -> what was found out. `before` is asked once for each function."""

    def __init__(self, before: Before[V] = unknown) -> None:
        self._before = before
        self._own: dict[str, dict[Given, V]] = {}

    def of(self, key: str) -> dict[Given, V]:
        """All of a function, by constants; what is put in or taken out here is so for good."""
        found = self._own.get(key)
        if found is None:
            found = self._own[key] = dict(self._before(key))
        return found

    def get(self, key: str, given: Given = ()) -> V | None:
        """What is known of a function when it is called with these constants."""
        return self.of(key).get(given)

    def put(self, key: str, given: Given, value: V) -> V:
        """Say what it is; returns it."""
        self.of(key)[given] = value
        return value

    def forget(self, key: str, given: Given | None = None) -> None:
        """Let go of a function, or of what it is with some constants."""
        if given is None:
            self._own[key] = {}
        else:
            self.of(key).pop(given, None)
