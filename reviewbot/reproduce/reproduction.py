"""A finding and a driver -> both kernels built, booted some times each, and what was seen.

The guilty side is the one that the simulator got stuck on: with the patch, or without it for a patch that ends a
deadlock. Both kernels are the same base with what each side changes of it, and both run the same script.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reviewbot.reproduce import kernel, recipes, rootfs, sandbox
from reviewbot.reproduce.boot import Boot, boot, guest
from reviewbot.reproduce.console import SleepingTask
from reviewbot.reproduce.drivers import Driver, Seat
from reviewbot.reproduce.splats import Splat
from reviewbot.types import Outcome, ReviewError, Series, Side, Value, Verdict

if TYPE_CHECKING:
    from reviewbot.gittree.tree import Tree

RUNS = 5
"""Boots of each side."""


class SideRuns(Value, frozen=True):
    """The boots of one side."""

    side: Side
    boots: tuple[Boot, ...]

    def count(self, ending: str) -> int:
        """How many of them ended so."""
        return sum(one.ending == ending for one in self.boots)

    @property
    def hung(self) -> int:
        """How many of them hung."""
        return self.count("hung")


class Reproduction(Value, frozen=True):
    """What two kernels did under one driver."""

    driver: Driver
    guilty: SideRuns
    control: SideRuns
    recipes: tuple[str, ...] = ()
    """Why both kernels were edited, a phrase each."""

    @property
    def shown(self) -> bool:
        """The guilty kernel hung or had lockdep complain, and the control never did and came to its end."""
        guilty = self.guilty.hung + self.guilty.count("complained")
        return guilty > 0 and self.control.count("finished") == len(self.control.boots)

    @property
    def seen(self) -> tuple[SleepingTask, ...]:
        """Who slept for good in the first boot that hung."""
        return next((b.log.stuck for b in (*self.guilty.boots, *self.control.boots) if b.ending == "hung"), ())

    @property
    def splats(self) -> tuple[Splat, ...]:
        """What lockdep said of the guilty kernel in the first boot where it said anything."""
        return next((b.log.splats for b in self.guilty.boots if b.log.splats), ())


class Kernels(Value, frozen=True):
    """The two kernels, as files."""

    guilty: Path
    control: Path
    recipes: tuple[str, ...]


def missing(driver: Driver) -> str:
    """What is not installed here that this needs, in words; empty where there is all."""
    lacking = [*kernel.needed(), *rootfs.needed(driver.tools)]
    return ", ".join(filter(None, [", ".join(lacking), sandbox.needed()]))


def guilty_side(verdict: Verdict) -> Side:
    """The side that should hang."""
    return Side.BEFORE if verdict.outcome is Outcome.FIXED else Side.AFTER


def reproduce(
    tree: Tree,
    series: Series,
    base: str,
    guilty: Side,
    driver: Driver,
    runs: int = RUNS,
    jobs: int = 2,
    said: Callable[[str], None] = lambda text: None,
    first: tuple[bytes, ...] = (),
) -> Reproduction:
    """Build both sides of a series and boot each of them `runs` times with a driver.

    In: the commit that the series is applied to, which side should hang, where to say what is done; `first` are patches
    that belong to the base. Raises ReviewError for a side that does not build, and for what is not installed.
    """
    lacking = missing(driver)
    if lacking:
        raise ReviewError(f"{driver.name} cannot be run here without {lacking}: install it")
    with kernels(tree, series, base, guilty, driver, jobs, said, first) as built, guest(driver) as root:
        done: dict[Side, list[Boot]] = {Side.BEFORE: [], Side.AFTER: []}
        innocent = Side.BEFORE if guilty is Side.AFTER else Side.AFTER
        for number in range(1, runs + 1):
            for side, image in ((innocent, built.control), (guilty, built.guilty)):
                one = boot(image, root, driver, number)
                done[side].append(one)
                said(
                    f"{driver.name}, run {number} of {runs} {label(side)}: {one.ending}{_because(one)}, {one.seconds} s"
                )
    return Reproduction(
        driver, SideRuns(guilty, tuple(done[guilty])), SideRuns(innocent, tuple(done[innocent])), built.recipes
    )


@contextmanager
def kernels(
    tree: Tree,
    series: Series,
    base: str,
    guilty: Side,
    driver: Driver,
    jobs: int,
    said: Callable[[str], None],
    first: tuple[bytes, ...] = (),
) -> Iterator[Kernels]:
    """Both kernels of a series, as files that are there for the body. Raises ReviewError."""
    change = tree.apply(series, base, first=first)
    ground = tree.at(change.commit)
    built = kernel.build_base(ground, change.commit, driver.config, jobs, said)
    lacking = set(driver.recipes) - set(built.recipes)
    if lacking:
        raise ReviewError(
            f"{driver.name} needs the recipe {lacking.pop()}, which does not fit this tree: choose another"
        )
    with tempfile.TemporaryDirectory(prefix="reviewbot-") as folder:
        images = {}
        for side, source in zip((Side.BEFORE, Side.AFTER), tree.sources(change), strict=True):
            changed = kernel.with_recipes(source, kernel.difference(ground, source))
            said(f"building the kernel {label(side)} ({len(changed)} changed files)")
            images[side] = Path(folder, side.value)
            images[side].write_bytes(kernel.build(built, changed, jobs))
            images[side].chmod(0o755)
        Path(folder).chmod(0o755)
        innocent = Side.BEFORE if guilty is Side.AFTER else Side.AFTER
        yield Kernels(images[guilty], images[innocent], recipes.reasons(built.recipes))


def seated(stuck: tuple[SleepingTask, ...], driver: Driver) -> list[tuple[Seat, SleepingTask | None]]:
    """Each seat of a driver with a task that sat there, or None; nobody sits on two."""
    left = list(stuck)
    found: list[tuple[Seat, SleepingTask | None]] = []
    for seat in driver.seats:
        task = next((t for t in left if seat.holds(t.stack)), None)
        if task is not None:
            left.remove(task)
        found.append((seat, task))
    return found


def label(side: Side) -> str:
    """A side in words."""
    return "with the patch" if side is Side.AFTER else "without it"


def _because(one: Boot) -> str:
    return f" ({one.why})" if one.ending == "failed" else ""
