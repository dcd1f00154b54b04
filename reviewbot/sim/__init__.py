"""The simulator: models of what kernel tasks take and wait for, and the shortest schedule into a deadlock."""

from reviewbot.sim.model import *  # noqa: F403
