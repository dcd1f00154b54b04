"""A series is reviewed on the tree that its files belong to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inbox import patch

from reviewbot.mail import fetch
from reviewbot.watch.config import TreeRule
from reviewbot.watch.tree import MaintainersSection, choose, covers, sections, touched

MAINTAINERS = """Words at the top.

BLOCK TARGETS
M:\tMia Maintainer <mia@maint.example>
T:\tgit git://git.example.org/linux-dm.git for-next
F:\tdrivers/md/Makefile
F:\tdrivers/md/dm*
F:\tinclude/linux/dm/
X:\tdrivers/md/dm-other/

A FILESYSTEM
T:\tgit https://git.example.org/fs
N:\tmyfs
F:\tfs/*/super.c

NO TREE
F:\tlib/
"""


@pytest.mark.parametrize(
    ("path", "titles"),
    [
        ("drivers/md/dm-x.c", ["BLOCK TARGETS"]),
        ("drivers/md/dm-other/y.c", []),
        ("drivers/md/raid1.c", []),
        ("include/linux/dm/a/b.h", ["BLOCK TARGETS"]),
        ("fs/any/super.c", ["A FILESYSTEM"]),
        ("fs/any/deep/super.c", []),
        ("lib/myfs.c", ["A FILESYSTEM"]),
        ("lib/x.c", []),
    ],
)
def test_sections_cover_files_as_maintainers_says(path: str, titles: list[str]) -> None:
    assert [s.title for s in sections(MAINTAINERS) if covers(s, path)] == titles


def test_the_first_tree_that_fits_is_taken() -> None:
    rules = (
        TreeRule(path="md", files=("drivers/md/raid*",)),
        TreeRule(path="dm", maintained_at=("git://git.example.org/linux-dm.git",)),
        TreeRule(path="fs", maintained_at=("https://git.example.org/fs.git",)),
    )

    def chosen(*paths: str) -> str:
        rule = choose(rules, paths, lambda _: MAINTAINERS)
        return rule.path if rule else ""

    assert chosen("drivers/md/raid1.c") == "md"
    assert chosen("drivers/md/dm-x.c") == "dm"
    assert chosen("Documentation/x.rst", "fs/a/super.c") == "fs"
    assert chosen("lib/x.c") == ""
    assert choose((*rules, TreeRule(path="rest")), ("lib/x.c",), lambda _: MAINTAINERS) is not None


@given(st.text(max_size=60), st.text(alphabet="abc/*?[](){}+\\.|^$", max_size=40))
def test_no_pattern_of_a_tree_is_a_trap(path: str, pattern: str) -> None:
    covers(MaintainersSection("x", (), (pattern,), (), (pattern,)), path)


def test_the_paths_of_a_series() -> None:
    series = fetch.parse(patch("a@dev.example", "dm x: fix", "lock"), "mail")
    assert touched(series) == ("drivers/md/dm-x.c",)
