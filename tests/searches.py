"""What a search finds, without what came to nothing on the way and without what is in doubt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from reviewbot.detect.leads import Dropped
from reviewbot.types import Cut

Found = TypeVar("Found")


def sure(search: Iterable[Found | Dropped | Cut]) -> list[Found]:
    """The findings without a doubt."""
    found = [one for one in search if not isinstance(one, Dropped | Cut)]
    return [one for one in found if not getattr(one, "doubts", ())]


def reasons(search: Iterable[object]) -> set[str]:
    """Why leads came to nothing."""
    return {one.reason for one in search if isinstance(one, Dropped)}
