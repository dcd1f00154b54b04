"""The index of a tree, and the files that a change reaches beyond its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reviewbot.analysis.program import tree_index
from reviewbot.analysis.program.neighbours import beyond
from reviewbot.analysis.program.tree_index import TreeIndex
from reviewbot.gittree.source import MemorySource
from reviewbot.gittree.tree import Tree
from reviewbot.kernel import KERNEL
from reviewbot.mail.fetch import parse
from reviewbot.rule import Diff

FILES = {
    "mm/pump.c": b"""
struct workqueue_struct *pump_wq;

static int pump_init(void)
{
\tpump_wq = alloc_workqueue("pump", WQ_MEM_RECLAIM, 0);
\treturn pump_register(1);
}
""",
    "fs/push.c": b"""
static const struct push_ops ops = {
\t.push = push_it,
};

void push_it(struct pump *p)
{
\tqueue_work(pump_wq, &p->work);
}
""",
    "lib/register.c": b"""
static DEFINE_MUTEX(register_lock);

int pump_register(int n)
{
\tmutex_lock(&register_lock);
\tmutex_unlock(&register_lock);
\treturn n;
}
""",
    "fs/far.c": b"void far(void)\n{\n\tpush_it(0);\n}\n",
}
PATCH = b"""From: A <a@example.org>
Subject: [PATCH] pump: no reclaim

---
diff --git a/mm/pump.c b/mm/pump.c
--- a/mm/pump.c
+++ b/mm/pump.c
@@ -5,3 +5,3 @@
 {
-\tpump_wq = alloc_workqueue("pump", WQ_MEM_RECLAIM, 0);
+\tpump_wq = alloc_workqueue("pump", 0, 0);
 \treturn pump_register(1);
"""


@pytest.fixture
def tree() -> Iterator[Tree]:
    with Tree.from_files(FILES) as made:
        yield made


def test_names_are_looked_up() -> None:
    with TreeIndex.of(MemorySource(FILES)) as index:
        assert index.defining("push_it") == ("fs/push.c",)
        assert index.defining("pump_init") == ()  # nobody else can call it
        assert index.calling("push_it") == ("fs/far.c",)
        assert index.filling("push") == ("fs/push.c",)
        assert index.having("pump_wq") == ("mm/pump.c",)
        assert index.using("pump_wq") == ("fs/push.c",)
        assert index.calling("nobody") == ()


def test_a_change_reaches_those_that_use_what_it_changes_and_what_it_calls(tree: Tree) -> None:
    change = tree.apply(parse(PATCH, "patch"))
    assert beyond(change, *tree.sources(change)) == ("fs/push.c", "lib/register.c")


def test_the_worlds_of_a_change_have_the_files_that_it_reaches(tree: Tree) -> None:
    change = tree.apply(parse(PATCH, "patch"))
    diff = Diff.of(change, *tree.sources(change))
    for side in (diff.before, diff.after):
        assert set(side.program.functions("fs/push.c")) == {"fs/push.c:push_it"}
        assert not [*side.program.functions("fs/far.c")]


def test_a_name_of_wide_use_is_not_followed() -> None:
    users = {f"fs/user{n}.c": FILES["fs/push.c"] for n in range(20)}
    with Tree.from_files({**FILES, **users}) as tree:
        change = tree.apply(parse(PATCH, "patch"))
        assert "fs/push.c" not in beyond(change, *tree.sources(change))


def test_an_index_is_made_once_and_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_index, "SMALL", 1)
    told: list[tuple[int, int]] = []
    for extra, new in (({}, [(4, 4)]), ({}, []), ({"fs/new.c": b"void fresh(void)\n{\n}\n"}, [(1, 1)])):
        told.clear()
        with (
            Tree.from_files({**FILES, **extra}) as tree,
            TreeIndex.of(tree.at("HEAD"), lambda done, of: told.append((done, of))) as index,
        ):
            assert index.using("pump_wq") == ("fs/push.c",)
            assert index.defining("fresh") == tuple(extra)
        assert told == new


def test_a_damaged_index_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_index, "SMALL", 1)
    with Tree.from_files(FILES) as tree:
        with TreeIndex.of(tree.at("HEAD")):
            pass
        tree_index._place().write_bytes(b"SQLite format 3\0" + b"x" * 5000)
        for _ in range(2):
            with TreeIndex.of(tree.at("HEAD")) as index:
                assert index.having("pump_wq") == ("mm/pump.c",)


def test_the_folders_are_those_of_the_kernel(kernel_tree: Callable[..., Path]) -> None:
    with Tree.open(kernel_tree("6.12")) as tree:
        source = tree.at("HEAD")
        assert all(source.folder(folder) for folder in KERNEL.indexed)
