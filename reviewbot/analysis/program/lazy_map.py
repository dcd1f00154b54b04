"""A table whose values are decoded when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TypeVar

K = TypeVar("K", bound=str)
V = TypeVar("V")


class LazyMap(MutableMapping[K, V]):
    """A mapping, name -> value, that decodes a value when it is first read.

    `items` holds values, or their encoded bytes (as memoryview), which `decode` turns into a value once.
    """

    def __init__(self, items: Mapping[K, V | memoryview], decode: Callable[[memoryview], V]) -> None:
        self._items, self._decode = dict(items), decode

    def __getitem__(self, name: K) -> V:
        found = self._items[name]
        if isinstance(found, memoryview):
            found = self._items[name] = self._decode(found)
        return found

    def __setitem__(self, name: K, value: V) -> None:
        self._items[name] = value

    def __delitem__(self, name: K) -> None:
        del self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __copy__(self) -> LazyMap[K, V]:
        return LazyMap(self._items, self._decode)
