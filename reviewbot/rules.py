"""Finds the rules: the modules of `heuristics`, and those that other packages offer under `reviewbot.heuristics`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType

from reviewbot.rule import Rule
from reviewbot.types import ReviewError


@cache
def load() -> tuple[Rule, ...]:
    """All rules, by id. Raises ReviewError when two have the same id."""
    import heuristics

    modules = [importlib.import_module(f"heuristics.{m.name}") for m in pkgutil.iter_modules(heuristics.__path__)]
    modules += [point.load() for point in entry_points(group="reviewbot.heuristics")]
    found: dict[str, Rule] = {}
    for rule in (rule for module in modules for rule in _rules(module)):
        if rule.id in found:
            raise ReviewError(f"two rules are called {rule.id}: rename the one in {type(rule).__module__}")
        found[rule.id] = rule
    return tuple(found[name] for name in sorted(found))


def _rules(module: ModuleType) -> list[Rule]:
    return [
        kind()
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Rule) and not inspect.isabstract(kind) and kind.__module__ == module.__name__
    ]
