"""Modules, as the Makefiles make them."""

from __future__ import annotations

import pytest

from reviewbot.analysis.code.family import scope
from reviewbot.analysis.code.kbuild import composites, linked, module
from reviewbot.gittree.source import MemorySource
from reviewbot.limits import MAX_FILES_OF_MODULE

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


def test_the_files_of_a_module_that_a_folder_above_makes() -> None:
    source = MemorySource({"drivers/bell/Makefile": MAKEFILE})
    parts = tuple(f"drivers/bell/{part}.c" for part in ("hw/spire", "hw/tower", "main", "pm", "ring"))
    assert linked("drivers/bell/hw/tower.c", source) == parts
    assert linked("drivers/bell/main.c", source) == ()
    assert linked("drivers/bell/hw/lone.c", source) == ()


@pytest.mark.parametrize(("extra", "expected"), [(0, True), (1, False)])
def test_most_files_of_a_module(extra: int, expected: bool) -> None:
    names = [f"hw/part{n}" for n in range(MAX_FILES_OF_MODULE + extra - 1)]
    makefile = "bell-y := top.o " + " ".join(f"{name}.o" for name in names)
    files = {"drivers/bell/Makefile": makefile.encode(), "drivers/bell/top.c": b"int top;"}
    source = MemorySource({**files, **{f"drivers/bell/{name}.c": b"int part;" for name in names}})
    assert ("drivers/bell/top.c" in scope(["drivers/bell/hw/part0.c"], source)) is expected
