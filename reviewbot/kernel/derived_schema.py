"""The shape of kernel/derived.toml: what has been found out of the bodies of real trees."""

from __future__ import annotations

import msgspec


class Derived(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of derived.toml."""

    sleepers: str = ""
    """Functions that sleep whatever their caller asks for, and that headers under include/ declare; separated by
    space."""
