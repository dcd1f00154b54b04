"""A finding and a driver -> both kernels built, booted some times each, and what was seen.

The guilty side is the one that the simulator got stuck on: with the patch, or without it for a patch that ends a
deadlock. Both kernels are the same base with what each side changes of it, and both run the same script.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from reviewbot.reproduce import kernel, recipes, rootfs, sandbox
from reviewbot.reproduce.boot import Boot, boot, guest
from reviewbot.reproduce.console import SleepingTask
from reviewbot.reproduce.drivers import ScenarioDriver, Seat
from reviewbot.reproduce.splats import Splat
from reviewbot.reproduce.trace import MarkedLine, marks
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

    @property
    def told(self) -> str:
        """How many ended how, in words."""
        whys = sorted({one.why for one in self.boots if one.ending == "failed" and one.why})
        parts = [f"{self.hung} of {len(self.boots)} runs hung"]
        if self.count("complained"):
            parts.append(f"lockdep complained in {self.count('complained')}")
        if self.count("failed"):
            parts.append(f"{self.count('failed')} came to nothing ({'; '.join(whys) or 'no reason given'})")
        return ", ".join(parts)


class Reproduction(Value, frozen=True):
    """What two kernels did under one driver."""

    driver: ScenarioDriver
    guilty: SideRuns
    control: SideRuns
    recipes: tuple[str, ...] = ()
    """Why both kernels were edited, a phrase each."""
    marks: tuple[MarkedLine, ...] = ()
    """Lines of the patch that would have said when they run; looked at where nothing happened."""
    reached: tuple[str, ...] = ()
    """Those that did."""
    noticed: tuple[tuple[str, int], ...] = ()
    """What the probes of the driver said in that boot, and how often."""

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

    images: dict[Side, Path]
    recipes: tuple[str, ...]
    marked: Callable[[], tuple[Path, tuple[MarkedLine, ...]]]
    """Makes the guilty one once more, with marks."""


def missing(driver: ScenarioDriver) -> str:
    """What is not installed here that this needs, in words; empty where there is all."""
    lacking = [*kernel.needed(), *rootfs.needed(driver.tools)]
    return ", ".join(filter(None, [", ".join(lacking), sandbox.needed()]))


def guilty_side(verdict: Verdict) -> Side:
    """The side that should hang."""
    return Side.BEFORE if verdict.outcome is Outcome.FIXED else Side.AFTER


class Suspect(Value, frozen=True):
    """A series on a base, and the side of it that should hang."""

    series: Series
    base: str = ""
    """The commit to apply it to; where none is named it is found, as for a review."""
    guilty: Side = Side.AFTER
    first: tuple[bytes, ...] = ()
    """Patches that belong to the base."""

    @property
    def innocent(self) -> Side:
        """The other side."""
        return Side.BEFORE if self.guilty is Side.AFTER else Side.AFTER


def reproduce(
    tree: Tree,
    suspect: Suspect,
    driver: ScenarioDriver,
    runs: int = RUNS,
    jobs: int = 2,
    said: Callable[[str], None] = lambda text: None,
    controls: dict[str, SideRuns] | None = None,
) -> Reproduction:
    """Build both sides of a series and boot each of them `runs` times with a driver.

    In: how many compilers may run at a time, where to say what is done, and the boots of kernels that other series were
    compared with: the same kernel is not booted again for the same driver. Raises ReviewError for a side that does not
    build, and for what is not installed.
    """
    lacking = missing(driver)
    if lacking:
        raise ReviewError(f"{driver.name} cannot be run here without {lacking}: install it")
    with kernels(tree, suspect, driver, jobs, said) as built, guest(driver) as root:

        def booted(side: Side, number: int) -> Boot:
            one = boot(built.images[side], root, driver, number)
            ended = f"{one.ending}{_because(one)}, {one.seconds} s"
            said(f"{driver.name}, run {number} of {runs} {label(side)}: {ended}")
            return one

        known = {} if controls is None else controls
        control = f"{driver.name} {runs} {sha256(built.images[suspect.innocent].read_bytes()).hexdigest()}"
        sides = [suspect.guilty] if control in known else [suspect.innocent, suspect.guilty]
        done: dict[Side, list[Boot]] = {side: [] for side in sides}
        for number in range(1, runs + 1):
            for side in sides:
                done[side].append(booted(side, number))
        if control not in known:
            known[control] = SideRuns(suspect.innocent, tuple(done[suspect.innocent]))
        guilty = SideRuns(suspect.guilty, tuple(done[suspect.guilty]))
        innocent = msgspec.structs.replace(known[control], side=suspect.innocent)
        found = Reproduction(driver, guilty, innocent, built.recipes)
        if guilty.count("finished") < runs:
            return found
        said("nothing happened: once more, to see which lines of the patch run")
        try:
            image, lines = built.marked()
        except ReviewError as error:  # not all code of a kernel can print
            said(f"which lines run is not known: {error}")
            return found
        log = boot(image, root, driver, 1).log
        return msgspec.structs.replace(found, marks=lines, reached=log.reached, noticed=log.noticed)


@contextmanager
def kernels(
    tree: Tree, suspect: Suspect, driver: ScenarioDriver, jobs: int, said: Callable[[str], None]
) -> Iterator[Kernels]:
    """Both kernels of a series, as files that are there for the body. Raises ReviewError."""
    change = tree.apply(suspect.series, suspect.base or None, first=suspect.first)
    ground = tree.at(change.commit)
    built = kernel.build_base(ground, change.commit, driver.config, jobs, said)
    lacking = set(driver.recipes) - set(built.recipes)
    if lacking:
        raise ReviewError(
            f"{driver.name} needs the recipe {lacking.pop()}, which does not fit this tree: choose another"
        )
    with tempfile.TemporaryDirectory(prefix="reviewbot-") as folder:
        Path(folder).chmod(0o755)  # inside of the sandbox it is another user's
        sources = dict(zip((Side.BEFORE, Side.AFTER), tree.sources(change), strict=True))
        changed = {side: kernel.with_recipes(own, kernel.difference(ground, own)) for side, own in sources.items()}

        def made(name: str, files: Mapping[str, bytes | None]) -> Path:
            image = Path(folder, name)
            image.write_bytes(kernel.build(built, files, jobs))
            image.chmod(0o755)
            return image

        def with_marks() -> tuple[Path, tuple[MarkedLine, ...]]:
            side = suspect.guilty
            files, lines = marks(change, side, sources[side], changed[side])
            return made("marked", recipes.probed(sources[side], files, driver.probes)), lines

        images = {}
        for side, files in changed.items():
            said(f"building the kernel {label(side)} ({len(files)} changed files)")
            images[side] = made(side.value, files)
        yield Kernels(images, recipes.reasons(built.recipes, driver.recipes), with_marks)


def seated(stuck: tuple[SleepingTask, ...], driver: ScenarioDriver) -> list[tuple[Seat, SleepingTask | None]]:
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
