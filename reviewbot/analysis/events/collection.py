"""Facts in a set that is looked up by kind and by function, and compared with another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TypeVar

from reviewbot.analysis.events.kinds import Fact

F = TypeVar("F", bound=Fact)


class Facts:
    """A multiset of facts. `facts[Lock]` gives those of a kind; `after - before` those of `after` that `before` has
    not, compared by `identity`, so that a moved line is no difference."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self._facts = tuple(facts)

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __bool__(self) -> bool:
        return bool(self._facts)

    @cached_property
    def _by_kind(self) -> dict[type[Fact], list[Fact]]:
        found: dict[type[Fact], list[Fact]] = {}
        for fact in self._facts:
            found.setdefault(type(fact), []).append(fact)
        return found

    @cached_property
    def _by_function(self) -> dict[str, list[Fact]]:
        found: dict[str, list[Fact]] = {}
        for fact in self._facts:
            found.setdefault(fact.function, []).append(fact)
        return found

    @cached_property
    def _identities(self) -> list[tuple[object, ...]]:
        return [fact.identity for fact in self._facts]

    def __getitem__(self, kind: type[F]) -> tuple[F, ...]:
        """The facts of one kind, in the order of the text."""
        return tuple(self._by_kind.get(kind, ()))  # type: ignore[arg-type]

    def of(self, function: str) -> Facts:
        """The facts of one function, by name."""
        return Facts(self._by_function.get(function, ()))

    def __sub__(self, other: Facts) -> Facts:
        """The facts that are here and not in the other set; one that is here twice and there once stays once.

        Of equal facts the last ones stay: a call that was added below an equal one is the new one.
        """
        there = Counter(other._identities)
        left = []
        for fact, identity in zip(self._facts, self._identities, strict=True):
            if there[identity] > 0:
                there[identity] -= 1
            else:
                left.append(fact)
        return Facts(left)
