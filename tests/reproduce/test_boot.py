"""One boot of a real kernel: a patch of the shared folder hangs it, and without the patch it comes to its end.

It builds a small User Mode Linux, which takes some minutes, and runs where it is asked for (REVIEWBOT_BOOT=1), as `.ci/run` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.reproduce import told
from reviewbot.reproduce.drivers import find
from reviewbot.reproduce.reproduction import Suspect, missing, reproduce, seated


def test_a_deadlock_happens_with_the_patch_and_not_without_it(shared: Path, kernel_tree: Callable[..., Path]) -> None:
    if not os.environ.get("REVIEWBOT_BOOT"):
        pytest.skip("builds a kernel: set REVIEWBOT_BOOT=1 for that")
    driver = find("snapshot-throttle")
    if lacking := missing(driver):
        pytest.skip(f"not installed: {lacking}")
    patch = shared / "seeds/patches/snapshot-cow-throttling.eml"
    series = fetch.parse(patch.read_bytes(), patch.name)
    said: list[str] = []
    with Tree.open(kernel_tree("6.12")) as tree:
        found = reproduce(tree, Suspect(series), driver, runs=1, said=said.append)
    assert found.shown, (said, told.text(found))
    assert all(task for _, task in seated(found.seen, driver)), told.text(found)
    assert any("building the base" in line for line in said)
