"""Every driver is whole, and a finding gets the drivers that play its schedule."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files

import pytest

from reviewbot import rules
from reviewbot.models.scene import scenes
from reviewbot.reproduce.drivers import ScenarioDriver, drivers, find, playing
from reviewbot.reproduce.kernel import config
from reviewbot.reproduce.recipes import recipes
from reviewbot.types import Finding, Outcome, Place, ReviewError, Verdict

FOLDER = files("reviewbot.reproduce")
GUEST = list((FOLDER / "guest").iterdir())


@pytest.mark.parametrize("driver", drivers().values(), ids=lambda d: d.name)
def test_a_driver_names_what_there_is(driver: ScenarioDriver) -> None:
    assert driver.scenes or driver.rules
    assert set(driver.scenes) <= set(scenes())
    assert set(driver.rules) <= {rule.id for rule in rules.load()}
    assert set(driver.recipes) <= set(recipes())
    assert config(driver.config)
    assert driver.limit > 0
    assert driver.again > 0


@pytest.mark.parametrize("driver", drivers().values(), ids=lambda d: d.name)
def test_a_driver_that_plays_a_schedule_says_who_sits_where_and_what_is_artificial(driver: ScenarioDriver) -> None:
    if not driver.watched:
        assert driver.seats
        assert driver.conditions


@pytest.mark.parametrize("driver", drivers().values(), ids=lambda d: d.name)
def test_a_script_is_one_that_a_shell_can_read(driver: ScenarioDriver) -> None:
    for name in ("setup", "start"):
        assert re.search(rf"^{name}\(\) \{{", driver.script().decode(), re.MULTILINE), name
    done = subprocess.run(["sh", "-n"], input=driver.script(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("entry", GUEST, ids=lambda e: e.name)
def test_the_guest_runs_only_what_a_shell_can_read(entry: object) -> None:
    done = subprocess.run(["sh", "-n", str(entry)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_script_has_its_description() -> None:
    names = {entry.name for entry in (FOLDER / "drivers").iterdir()}
    assert {name for name in names if name.endswith(".sh")} == {f"{name}.sh" for name in drivers()}


def test_what_a_driver_runs_is_named() -> None:
    """A program that a script calls and busybox lacks is among its tools."""
    busybox = shutil.which("busybox")
    if not busybox:
        pytest.skip("busybox is not installed, which says what it has")
    has = set(subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split())
    for driver in drivers().values():
        said = set(
            re.findall(
                r"^\s*(dmsetup|veritysetup|mkfs\.\w+|mdadm|losetup|blkdiscard)\b", driver.script().decode(), re.M
            )
        )
        assert said - has <= set(driver.tools), driver.name


def verdict(rule: str, file: str, model: str = "") -> Verdict:
    return Verdict(Finding(rule, Place(file, 1), "it waits"), Outcome.CONFIRMED, model=model)


def names(found: list[ScenarioDriver]) -> list[str]:
    return [driver.name for driver in found]


def test_a_finding_with_a_scene_gets_the_drivers_of_the_scene_in_its_file() -> None:
    pool = verdict("shared-reserve", "drivers/md/dm-verity-target.c", "shared_pool owner=shared 'above=the disk'")
    assert names(playing(pool)) == ["verity-clients", "verity-pool"]
    elsewhere = verdict("shared-reserve", "drivers/md/dm-crypt.c", "shared_pool owner=shared")
    assert playing(elsewhere) == []


def test_a_finding_about_the_code_alone_gets_those_of_its_rule() -> None:
    assert names(playing(verdict("wait-under-lock", "drivers/md/dm-snap.c"))) == ["snapshot-throttle"]
    assert names(playing(verdict("lock-order", "block/blk-mq.c"))) == ["locks"]
    assert playing(verdict("shrinker-io", "drivers/md/dm-bufio.c")) == []


def test_a_name_that_is_none_is_answered_with_those_that_are() -> None:
    with pytest.raises(ReviewError, match=r"no driver `nothing`: there are .*verity-pool"):
        find("nothing")
