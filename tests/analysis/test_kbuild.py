"""Modules, as the Makefiles make them."""

from __future__ import annotations

import pytest

from reviewbot.analysis.code.kbuild import composites, module
from reviewbot.gittree.source import MemorySource

MAKEFILE = b"""# a driver
obj-$(CONFIG_BELL) += bell.o lone.o
bell-y := main.o \\
\t  ring.o # the loud part
bell-$(CONFIG_BELL_PM) += pm.o
bell-objs += $(addprefix hw/, tower.o spire.o)
ccflags-y += -DX=main.o
"""


@pytest.mark.parametrize("part", ["main", "ring", "pm", "hw/tower", "hw/spire"])
def test_the_parts_of_a_composite(part: str) -> None:
    assert composites(MAKEFILE)[part] == "bell"


def test_what_is_an_object_by_itself_is_part_of_nothing() -> None:
    assert "lone" not in composites(MAKEFILE)
    assert "bell" not in composites(MAKEFILE)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("drivers/bell/main.c", "drivers/bell/bell"),
        ("drivers/bell/hw/tower.c", "drivers/bell/bell"),
        ("drivers/bell/lone.c", "drivers/bell/lone.c"),
        ("drivers/other/main.c", "drivers/other/main.c"),
        ("top.c", "top.c"),
    ],
)
def test_the_module_of_a_file(path: str, expected: str) -> None:
    source = MemorySource({"drivers/bell/Makefile": MAKEFILE, "drivers/Makefile": b"obj-y += bell/\n"})
    assert module(path, source) == expected
