"""What a world makes of itself when it is asked: kept by the world, and no more than known to where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

if TYPE_CHECKING:
    from reviewbot.facts.world import World


class Part:
    """A part of a world. It goes when the world goes: there is no cycle that only a collection of garbage finds."""

    def __init__(self, world: World) -> None:
        self._world = ref(world)

    @property
    def world(self) -> World:
        """The world that it is of."""
        world = self._world()
        assert world is not None
        return world
