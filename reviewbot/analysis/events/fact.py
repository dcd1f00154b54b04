"""What all facts have in common: the function and line that they stand at, what is held there, what makes two the same."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from reviewbot.analysis.code.identity import short
from reviewbot.function_key import FunctionKey, key_of
from reviewbot.types import Place


class Held(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """A lock (or memalloc scope, plug, reference) that is held. mode: as in kernel/api.toml, `*` where paths differ."""

    lock: str
    mode: str
    klass: str
    count: int = 1
    """More than one: several instances of the same class."""

    def __str__(self) -> str:
        mode = f":{self.mode}" if self.mode in "rw*" else ""
        return f"{short(self.lock)}{mode}" + (f" x{self.count}" if self.count > 1 else "")


class Fact(msgspec.Struct, frozen=True, omit_defaults=True, tag=True, tag_field="fact", gc=False):
    """Base of all facts. `function` is the function that the code stands in, `at` its line."""

    function: str
    at: Place

    payload: ClassVar[frozenset[str]] = frozenset()
    """Names of fields that are no part of the identity, besides `at`."""

    @property
    def key(self) -> FunctionKey:
        """The key of the function that it stands in."""
        return key_of(self.at.file, self.function)

    @property
    def identity(self) -> tuple[object, ...]:
        """What two facts are compared by: the kind and the fields that stay the same when lines move and locals are
        renamed."""
        return (type(self).__name__, *(getattr(self, name) for name in _identity_fields(type(self))))

    def __str__(self) -> str:
        return f"{self.at}: {self.function}: {self.says()}"

    def says(self) -> str:
        """The fact as a phrase for people, without its function and line."""
        raise NotImplementedError


_FIELDS: dict[type, tuple[str, ...]] = {}


def _identity_fields(kind: type[Fact]) -> tuple[str, ...]:
    found = _FIELDS.get(kind)
    if found is None:
        found = tuple(n for n in kind.__struct_fields__ if n != "at" and n not in kind.payload)
        _FIELDS[kind] = found
    return found


class Site(Fact, frozen=True, gc=False):
    """Base of what happens at one call: the locks held there on every path, and in which conditions it stands.

    held: on every path, conditions correlated. maybe: on some path only. coarse: on some path when conditions are
    taken one by one (only what `held` and `maybe` do not have): a difference between two trees wants both.
    dropped: locks of the caller that are given up before this point. gates: conditions that hold here.
    """

    call: str = ""
    held: tuple[Held, ...] = ()
    maybe: tuple[Held, ...] = ()
    coarse: tuple[Held, ...] = ()
    dropped: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()

    payload: ClassVar[frozenset[str]] = frozenset({"coarse", "gates"})

    def locks(self) -> str:
        """What is held, as text with a leading space; empty when nothing is."""
        text = f" holding {', '.join(map(str, self.held))}" if self.held else ""
        if self.maybe:
            text += f" maybe holding {', '.join(map(str, self.maybe))}"
        if self.dropped:
            text += f" without {', '.join(map(short, self.dropped))}"
        return text

    def holds(self, lock: str) -> bool:
        """Whether the lock is held on every path."""
        return any(h.lock == lock for h in self.held)
