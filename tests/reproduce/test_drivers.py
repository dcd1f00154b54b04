"""Every driver is whole, and a finding gets the drivers that play its schedule."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files

import pytest

from reviewbot import rules
from reviewbot.models.scene import scenes
from reviewbot.reproduce.drivers import ScenarioDriver, drivers, find, playing, running
from reviewbot.reproduce.kernel import config
from reviewbot.reproduce.recipes import recipes
from reviewbot.types import Finding, Outcome, Place, ReviewError, Verdict

FOLDER = files("reviewbot.reproduce")
GUEST = list((FOLDER / "guest").iterdir())
TOOLS = (
    "dmsetup",
    "veritysetup",
    "mdadm",
    "blkdiscard",
    "losetup",
    "xfs_io",
    "setfattr",
    "btrfs",
    "blkzone",
    "f2fs_io",
)
TOOLS += ("mkfs.ext4", "mkfs.btrfs", "mkfs.f2fs", "make-bcache", "xfs_growfs", "xfs_quota", "e4defrag", "btrfstune")


@pytest.mark.parametrize("driver", drivers().values(), ids=lambda d: d.name)
def test_a_driver_names_what_there_is(driver: ScenarioDriver) -> None:
    assert driver.scenes or driver.rules
    assert set(driver.scenes) <= set(scenes())
    assert set(driver.rules) <= {"*", *(rule.id for rule in rules.load())}
    assert set(driver.recipes) <= {name for name, recipe in recipes().items() if not recipe.probe}
    assert set(driver.probes) <= {name for name, recipe in recipes().items() if recipe.probe}
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
        script = driver.script().decode()
        script += "".join(entry.read_text() for entry in GUEST if f". /lib/driver/{entry.name}\n" in script)
        said = {word for word in TOOLS if re.search(rf"^\s*{re.escape(word)} ", script, re.MULTILINE)}
        assert said - has <= set(driver.tools), driver.name


def verdict(rule: str, file: str, model: str = "") -> Verdict:
    return Verdict(Finding(rule, Place(file, 1), "it waits"), Outcome.CONFIRMED, model=model)


def names(found: list[ScenarioDriver]) -> list[str]:
    return [driver.name for driver in found]


def test_a_finding_with_a_scene_gets_the_drivers_of_the_scene_in_its_file() -> None:
    pool = verdict("shared-reserve", "drivers/md/dm-verity-target.c", "shared_pool owner=shared 'above=the disk'")
    assert names(playing(pool)) == ["verity-clients", "verity-pool"]
    elsewhere = verdict("shared-reserve", "drivers/md/dm-crypt.c", "shared_pool owner=shared")
    assert names(playing(elsewhere)) == ["locks-dm"]
    assert playing(verdict("shared-reserve", "drivers/gpu/drm/x.c", "shared_pool owner=shared")) == []
    locked = verdict("shrinker-io", "drivers/md/dm-bufio.c", "shrinker_lock how=lock lock=c->lock")
    assert names(playing(locked)) == ["shrinker-lock"]


def test_a_finding_about_the_code_alone_gets_those_of_its_rule() -> None:
    assert names(playing(verdict("wait-under-lock", "drivers/md/dm-snap.c"))) == ["snapshot-throttle"]
    assert names(playing(verdict("lock-order", "block/blk-mq.c"))) == ["locks-block"]
    assert names(playing(verdict("shrinker-io", "drivers/md/dm-bufio.c"))) == ["locks-dm"]


@pytest.mark.parametrize(
    ("file", "driver"),
    [
        ("drivers/md/dm-thin.c", "locks-dm"),
        ("drivers/md/persistent-data/dm-btree.c", "locks-dm"),
        ("drivers/md/raid5.c", "locks-md"),
        ("drivers/md/bcache/btree.c", "locks-bcache"),
        ("drivers/block/loop.c", "locks-block"),
        ("drivers/scsi/scsi_scan.c", "locks-block"),
        ("fs/jbd2/commit.c", "locks-ext4"),
        ("mm/vmscan.c", "locks-ext4"),
        ("fs/xfs/libxfs/xfs_alloc.c", "locks-xfs"),
        ("fs/btrfs/ioctl.c", "locks-btrfs"),
        ("fs/f2fs/data.c", "locks-f2fs"),
    ],
)
def test_each_kind_of_code_has_a_life_of_its_own(file: str, driver: str) -> None:
    assert names(running([file])) == [driver]
    assert names(playing(verdict("lock-order", file))) == [driver]


def test_all_lives_are_led_on_one_kernel() -> None:
    """A base is built once for all of them, and all have what the kernel has for each."""
    assert len({driver.config for driver in drivers().values() if driver.watched}) == 1
    assert len({driver.config for driver in drivers().values() if not driver.watched}) == 1


def test_code_that_no_guest_has_is_not_run() -> None:
    assert running(["drivers/gpu/drm/x.c", "include/linux/x.h"]) == []
    assert names(running(["fs/xfs/xfs_buf.c", "fs/btrfs/ioctl.c"])) == ["locks-btrfs", "locks-xfs"]


def test_a_name_that_is_none_is_answered_with_those_that_are() -> None:
    with pytest.raises(ReviewError, match=r"no driver `nothing`: there are .*verity-pool"):
        find("nothing")
