"""Modules of libraries that are loaded when something of them is first used, whoever imports them before."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType


def later(name: str) -> None:
    """Have a module loaded at its first use; nothing where it is loaded already.

    What others import of that name until then asks for the real one whenever something of it is used. Not for a package of
    which a part is imported first (`from name.part import ...`): that part would be loaded twice. (`LazyLoader` of
    importlib loads when the module is imported a second time: before Python 3.12 that looks at its spec.)
    """
    if name in sys.modules:
        return
    stands_for = ModuleType(name)

    def used(attribute: str) -> object:
        if sys.modules.get(name) is stands_for:
            del sys.modules[name]
        return getattr(import_module(name), attribute)

    stands_for.__dict__["__getattr__"] = used
    sys.modules[name] = stands_for
