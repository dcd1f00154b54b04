"""Finds the rules: the modules of `heuristics`, and those that other packages offer under `reviewbot.heuristics`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, NamedTuple

from reviewbot.rule import Rule
from reviewbot.types import ReviewError


class Loaded(NamedTuple):
    """The rules by id, and a line for each module that could not be loaded."""

    rules: tuple[Rule[Any], ...]
    broken: tuple[str, ...]


def load() -> tuple[Rule[Any], ...]:
    """All rules that can be loaded, by id. Raises ReviewError when two have the same id."""
    return find().rules


@cache
def find() -> Loaded:
    """All rules, by id, and what is wrong with the modules that bring none: one such module must not stop the others.

    Raises ReviewError when two rules have the same id.
    """
    found: dict[str, Rule[Any]] = {}
    broken: list[str] = []
    for name, module in _modules():
        try:
            rules = _rules(module())
        except Exception as error:  # code of others runs here: anything can go wrong
            broken.append(f"rules of {name} are left out: {type(error).__name__}: {' '.join(str(error).split())}")
            continue
        for rule in rules:
            if rule.id in found:
                raise ReviewError(f"two rules are called {rule.id}: rename the one in {type(rule).__module__}")
            found[rule.id] = rule
    return Loaded(tuple(found[name] for name in sorted(found)), tuple(broken))


def _modules() -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    """Name of each module of rules, and what imports it."""
    import heuristics

    for info in pkgutil.iter_modules(heuristics.__path__):
        name = f"heuristics.{info.name}"
        yield name, partial(importlib.import_module, name)
    for point in entry_points(group="reviewbot.heuristics"):
        yield f"{point.name} ({point.value})", point.load


def _rules(module: ModuleType) -> list[Rule[Any]]:
    return [
        kind()
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Rule) and not inspect.isabstract(kind) and kind.__module__ == module.__name__
    ]
