"""Which files have a line that names something, and which are read for what a change calls, or is called by."""

from __future__ import annotations

import difflib
import sqlite3
from pathlib import Path

import pytest

from reviewbot.analysis.program.neighbours import Reach, called, harmless
from reviewbot.analysis.program.tree_lines import EXPORT, calling_through, exporting
from reviewbot.gittree.source import GitSource, MemorySource, TreeEntry
from reviewbot.gittree.tree import Tree
from reviewbot.mail.fetch import parse
from reviewbot.process import cache
from reviewbot.types import Change, Source

FILES = {
    "drivers/bell/core.c": b"void bell_ring(void)\n{\n}\nEXPORT_SYMBOL_GPL(bell_ring);\n",
    "net/gong/gong.c": b'void gong(void)\n{\n}\nEXPORT_SYMBOL_NS_GPL(gong, "GONG");\n',
    "Documentation/bell.c": b"EXPORT_SYMBOL(told);\n",
    "include/linux/bell.h": b"EXPORT_SYMBOL(inlined);\n",
}


def test_the_file_that_exports_a_name() -> None:
    found = exporting(MemorySource(FILES), ["bell_ring", "gong", "told", "inlined", "nobody"])
    assert found == {"bell_ring": "drivers/bell/core.c", "gong": "net/gong/gong.c"}


def test_the_files_that_call_through_a_member() -> None:
    calls = b"void ring(struct bell *b)\n{\n\tb->ops->strike(b);\n\tb->gong.swing(b);\n}\n"
    files = {"drivers/bell/a.c": calls, "net/b.c": calls, "net/c.c": b"int strike(void);\n", "net/d.h": calls}
    found = calling_through(MemorySource(files), ["strike", "swing", "ops"])
    assert found == {"strike": ["drivers/bell/a.c", "net/b.c"], "swing": ["drivers/bell/a.c", "net/b.c"]}


class Looked:
    """A tree of git with one folder, that counts how often its lines are looked through."""

    def __init__(self) -> None:
        self.looked = 0

    def blob(self, id_: str) -> bytes:
        return FILES["net/gong/gong.c"]

    def tree(self, id_: str) -> dict[str, TreeEntry]:
        inside = {"top": TreeEntry(mode="40000", id="net"), "net": TreeEntry(mode="40000", id="gong")}
        return {"net": inside["top"]} if id_ == "root" else {"gong": inside["net"]} if id_ == "net" else {}

    def listing(self, id_: str) -> dict[str, str]:
        return {}

    def grep(self, id_: str, pattern: str) -> dict[str, tuple[str, ...]]:
        self.looked += 1
        return {"gong/gong.c": ("EXPORT_SYMBOL(gong);",)}


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    return tmp_path


def test_a_folder_is_looked_through_once(own_cache: Path) -> None:
    objects = Looked()
    for _ in range(2):
        assert exporting(GitSource(objects, "root"), ["gong"]) == {"gong": "net/gong/gong.c"}
    assert objects.looked == 1


def test_a_broken_cache_stops_nothing(own_cache: Path) -> None:
    (own_cache / "exports").mkdir()
    (own_cache / "exports" / EXPORT.version).write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(own_cache / "exports" / EXPORT.version).execute("select * from named")
    assert exporting(GitSource(Looked(), "root"), ["gong"]) == {"gong": "net/gong/gong.c"}


CORE = b"""
static void claim(struct pool *p)
{
\tspin_lock(&p->lock);
\tspin_unlock(&p->lock);
}
bool take_back(struct job *j)
{
\tclaim(j->pool);
\treturn true;
}
EXPORT_SYMBOL(take_back);
bool take_back_and_wait(struct job *j)
{
\ttake_back(j);
\twait_for_completion(&j->done);
\treturn true;
}
EXPORT_SYMBOL(take_back_and_wait);
"""


def test_what_nobody_waits_for_is_harmless() -> None:
    source = MemorySource({"kernel/job.c": CORE, "drivers/bell/core.c": FILES["drivers/bell/core.c"]})
    names = ("take_back", "take_back_and_wait", "bell_ring", "nobody")
    assert harmless(names, source) == {"take_back"}  # of drivers that are not read nothing is known


DRIVER = "int n;\nvoid ring(struct job *j)\n{\n\t%s;\n}\n"
HEAD = "From: A <a@example.org>\nSubject: [PATCH] bell\n\n---\n"


@pytest.mark.parametrize(
    ("was", "now", "read"),
    [
        ("take_back(j)", "take_back_and_wait(j)", ("kernel/job.c",)),
        ("take_back_and_wait(j)", "take_back(j)", ("kernel/job.c",)),
        ("take_back_and_wait(j)", "return take_back_and_wait(j)", ()),
        ("n = 0", "take_back_and_wait(j)", ()),
        ("n = 0", "nobody(j)", ()),
    ],
    ids=["waits now", "waited", "did and does", "for the first time", "is not there"],
)
def test_what_everybody_calls_is_read_where_it_stands_for_what_it_calls(
    was: str, now: str, read: tuple[str, ...]
) -> None:
    assert _called({"kernel/job.c": CORE}, "drivers/bell/a.c", DRIVER % was, DRIVER % now) == read


HELPER = b"""
int give(struct job *j, gfp_t gfp)
{
\treturn 0;
}
EXPORT_SYMBOL(give);
"""
ASKS = "static int ask(struct job *j, gfp_t gfp)\n{\n\treturn give(j, gfp);\n}\nint ring(struct job *j)\n{\n\treturn %s;\n}\n"


@pytest.mark.parametrize(
    ("now", "read"), [("ask(j, GFP_KERNEL)", ("drivers/giver/give.c",)), ("ask(j, 0)", ())], ids=["a mask", "no mask"]
)
def test_what_a_mask_is_handed_down_to_is_read(now: str, read: tuple[str, ...]) -> None:
    path = "drivers/bell/a.c"
    assert _called({"drivers/giver/give.c": HELPER}, path, ASKS % "ask(j, GFP_ATOMIC)", ASKS % now) == read


@pytest.mark.parametrize("linked", [True, False], ids=["one module", "two modules"])
def test_what_another_folder_of_the_module_defines_is_read(linked: bool) -> None:
    path, beside = "drivers/bell/tower/a.c", "drivers/bell/lib/rope.c"
    parts = b"bell-y := tower/a.o lib/rope.o\n" if linked else b"obj-y += tower/ lib/\n"
    rope = b"void rope_hold(struct job *j);\nvoid rope_hold(struct job *j)\n{\n\tmutex_lock(&j->lock);\n}\n"
    files = {"drivers/bell/Makefile": parts, beside: rope}
    assert _called(files, path, DRIVER % "n = 0", DRIVER % "rope_hold(j)") == ((beside,) if linked else ())


def _called(files: dict[str, bytes], path: str, old: str, new: str) -> tuple[str, ...]:
    return called(*_changed(files, path, old, new))


def _changed(files: dict[str, bytes], path: str, old: str, new: str) -> tuple[Change, Source, Source]:
    diff = "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}"))
    with Tree.from_files({**files, path: old.encode()}) as tree:
        change = tree.apply(parse(f"{HEAD}diff --git a/{path} b/{path}\n{diff}".encode(), "patch"))
        before, after = tree.sources(change)
        return (
            change,
            MemorySource({p: before.read(p) or b"" for p in before.ls("")}),
            MemorySource({p: after.read(p) or b"" for p in after.ls("")}),
        )


BELLS = b"""struct bell;
struct bell_ops {
\tvoid (*strike)(struct bell *);
};
struct bell {
\tconst struct bell_ops *ops;
};
"""
RINGS = b"#include <linux/bell.h>\nvoid ring%d(struct bell *b)\n{\n\tb->ops->strike(b);\n}\n"
TOWER = """#include <linux/bell.h>

int n;

static void count(void)
{
\tn += %d;
}

static void tower_strike(struct bell *b)
{
\tcount();
}

static const struct bell_ops tower_ops = {
\t.strike = tower_strike,
};
"""


@pytest.mark.parametrize(
    ("others", "read"),
    [
        ({"drivers/bell/core.c": RINGS % 1}, ["drivers/bell/core.c"]),
        ({"drivers/bell/core.c": b"#include <linux/gong.h>\n" + RINGS[24:] % 1}, []),
        ({f"drivers/bell/core{n}.c": RINGS % n for n in range(4)}, [f"drivers/bell/core{n}.c" for n in range(4)]),
        ({f"drivers/bell/core{n}.c": RINGS % n for n in range(5)}, []),
        ({f"drivers/bell/core{n}.c": RINGS % n for n in range(7)}, []),
        ({"drivers/ding/tower/core.c": RINGS % 1}, []),
        ({"drivers/belfry/a.c": RINGS % 1, "drivers/belfry/b.c": b"struct bell_ops b = {\n\t.strike = c,\n};\n"}, []),
        (
            {"drivers/ding/core.c": RINGS % 1, "drivers/ding/b.c": b"struct bell_ops b = { .strike = c };\n"},
            ["drivers/ding/core.c"],
        ),
    ],
    ids=[
        "who calls it",
        "of another table",
        "a few",
        "more than a few",
        "everybody",
        "is at hand anyway",
        "another user of the table",
        "a folder around it",
    ],
)
def test_who_calls_what_changes_through_a_table_is_read(others: dict[str, bytes], read: list[str]) -> None:
    path = "drivers/ding/tower/tower.c"
    change, before, after = _changed({"include/linux/bell.h": BELLS, **others}, path, TOWER % 1, TOWER % 2)
    assert [*Reach(change, before, after, [path]).files] == read
