"""Both kernels are booted with one driver, and a kernel that was booted for another series is not booted again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reviewbot.reproduce import reproduction
from reviewbot.reproduce.boot import Boot
from reviewbot.reproduce.console import ConsoleLog, SleepingTask
from reviewbot.reproduce.drivers import ScenarioDriver
from reviewbot.reproduce.reproduction import Kernels, SideRuns, Suspect, reproduce
from reviewbot.reproduce.trace import MarkedLine
from reviewbot.types import Address, Mail, Patch, ReviewError, Series, Side

SERIES = Series((Patch(Mail("1@x", "one", Address("A", "a@x"), ""), b""),))
TASK = SleepingTask("dd", 7, ("schedule", "wait"))
HUNG = Boot("hung", ConsoleLog(left=1, scans=((TASK,), (TASK,))), 1.0)
FINISHED = Boot("finished", ConsoleLog(started=True, finished=True), 1.0)
DRIVER = ScenarioDriver(name="x", title="x", config=(), conditions=())


class Lab:
    """Kernels that are files with a word in them: `good` comes to its end, another hangs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.booted = folder, list[str]()
        self.after, self.before = "bad", "good"
        self.marked: ReviewError | None = None

    @contextmanager
    def kernels(self, *_: object) -> Iterator[Kernels]:
        images = {}
        for side, word in ((Side.BEFORE, self.before), (Side.AFTER, self.after)):
            images[side] = self.folder / side.value
            images[side].write_text(word)

        def marked() -> tuple[Path, tuple[MarkedLine, ...]]:
            if self.marked:
                raise self.marked
            return images[Side.AFTER], ()

        yield Kernels(images, (), marked)

    def boot(self, image: Path, *_: object) -> Boot:
        self.booted.append(image.read_text())
        return FINISHED if image.read_text() == "good" else HUNG


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = Lab(tmp_path)

    @contextmanager
    def guest(driver: ScenarioDriver) -> Iterator[Path]:
        yield tmp_path

    monkeypatch.setattr(reproduction, "missing", lambda driver: "")
    monkeypatch.setattr(reproduction, "kernels", made.kernels)
    monkeypatch.setattr(reproduction, "guest", guest)
    monkeypatch.setattr(reproduction, "boot", made.boot)
    return made


def test_each_side_is_booted_as_often(lab: Lab) -> None:
    found = reproduce(None, Suspect(SERIES), DRIVER, runs=2)  # type: ignore[arg-type]  # the kernels are there
    assert lab.booted == ["good", "bad", "good", "bad"]
    assert (found.guilty.hung, found.control.hung, found.shown) == (2, 0, True)


def test_what_was_seen_stands_where_no_kernel_can_be_built_that_says_more(lab: Lab) -> None:
    """Code that runs before there is a kernel cannot print."""
    lab.after, lab.marked = "good", ReviewError("no printk there")
    said: list[str] = []
    found = reproduce(None, Suspect(SERIES), DRIVER, runs=1, said=said.append)  # type: ignore[arg-type]  # see above
    assert found.guilty.count("finished") == 1
    assert found.marks == ()
    assert said[-1] == "which lines run is not known: no printk there"


def test_the_same_control_is_booted_once_for_several_series(lab: Lab) -> None:
    controls: dict[str, SideRuns] = {}
    reproduce(None, Suspect(SERIES), DRIVER, runs=2, controls=controls)  # type: ignore[arg-type]  # see above
    lab.booted.clear()
    found = reproduce(None, Suspect(SERIES), DRIVER, runs=2, controls=controls)  # type: ignore[arg-type]  # see above
    assert lab.booted == ["bad", "bad"]
    assert (found.control.side, len(found.control.boots), found.shown) == (Side.BEFORE, 2, True)


def test_another_control_another_driver_and_another_number_of_runs_are_booted(lab: Lab) -> None:
    controls: dict[str, SideRuns] = {}
    other = ScenarioDriver(name="y", title="y", config=(), conditions=())
    for before, driver, runs in (("good", DRIVER, 1), ("good", other, 1), ("good", DRIVER, 2), ("worse", DRIVER, 1)):
        lab.before, lab.booted = before, []
        reproduce(None, Suspect(SERIES), driver, runs=runs, controls=controls)  # type: ignore[arg-type]  # see above
        assert lab.booted.count(before) == runs
