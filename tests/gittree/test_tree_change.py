"""What a change says of the files, and what can be read before and after it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from gitwork import (
    FILES,
    HEADER,
    NEW,
    TARGET,
    Work,
    at_once,
    bare,
    edited,
    executable,
    gone,
    in_steps,
    linked,
    moved,
    replaced,
    run,
    series,
    written,
)

from reviewbot.gittree.tree import Tree
from reviewbot.types import Change, ReviewError, Unreviewed


def test_change_of_a_series(work: Work, tree: Tree, tmp_path: Path) -> None:
    work.reset()
    mbox = in_steps(
        at_once(replaced(TARGET, "int r = 3;", "int r = 33;"), written("drivers/md/dm-new.c", NEW)),
        at_once(replaced(TARGET, "int r = 33;", "int r = 3;"), replaced(TARGET, "int r = 9;", "int r = 99;\n\tr++;")),
        at_once(moved(HEADER, "include/demo.h"), gone("docs/notes/one.txt")),
    )(work)
    change = tree.apply(series(mbox, tmp_path), work.start)
    assert [sorted(f.path for f in patch) for patch in change.patches] == [
        [TARGET, "drivers/md/dm-new.c"],
        [TARGET],
        ["docs/notes/one.txt", "include/demo.h"],
    ]
    files = {f.path: f for f in change.files}
    assert set(files) == {TARGET, "drivers/md/dm-new.c", "docs/notes/one.txt", "include/demo.h"}
    # what the second patch takes back is not in the change as a whole
    line = 3 + 10 * 8 + 2
    assert files[TARGET].removed() == {line}
    assert files[TARGET].added() == {line, line + 1}
    assert [h.section for h in files[TARGET].hunks] == ["static int demo_step_8(struct demo *d)"]
    assert (files["include/demo.h"].old_path, files["include/demo.h"].hunks) == (HEADER, ())
    assert (files["drivers/md/dm-new.c"].old_path, files["drivers/md/dm-new.c"].before) == ("", "")
    assert files["docs/notes/one.txt"].after == ""
    before, after = tree.sources(change)
    assert before.read("docs/notes/one.txt") == b"one\n"
    assert after.read("docs/notes/one.txt") is None
    assert after.read(HEADER) is None
    assert after.read_many(["include/demo.h", "drivers/md/dm-new.c", "none.c"]) == {
        "include/demo.h": FILES[HEADER].encode(),
        "drivers/md/dm-new.c": NEW.encode(),
    }
    assert set(before.ls("")) == {*FILES, "arch/arm/dts/board.dts"}
    fresh = {"include/demo.h", "drivers/md/dm-new.c"}
    assert set(after.ls("")) == (set(before.ls("")) | fresh) - {HEADER, "docs/notes/one.txt"}
    assert set(after.ls("include")) == {"include/demo.h"}
    assert after.ls("docs") == before.ls("no/such") == {}


def test_sources_have_regular_files_only(work: Work, tree: Tree, tmp_path: Path) -> None:
    work.reset()
    mbox = in_steps(at_once(linked("drivers/md/link.c", "dm-demo.c"), gone(HEADER), linked(HEADER, "x")))(work)
    change = tree.apply(series(mbox, tmp_path), work.start)
    assert [(f.path, bool(f.before), bool(f.after), len(f.hunks)) for f in change.files] == [(HEADER, True, False, 1)]
    assert sorted(change.flags) == [HEADER, "drivers/md/link.c"]
    before, after = tree.sources(change)
    assert [before.read(path) for path in ("include/dt", "include/dt/board.dts", "drivers")] == [None] * 3
    assert [after.blob(path) for path in ("drivers/md/link.c", HEADER, "drivers")] == [None] * 3
    assert before.read("drivers/md/empty.h") == b""
    assert before.read("Makefile") == b"VERSION = 6\n"


def test_flags(work: Work, tree: Tree, tmp_path: Path) -> None:
    work.reset()
    names = (".gitattributes", "docs/.gitattributes", ".gitmodules", ".b4-config", "scripts/x.pl")
    mbox = in_steps(
        *(written(name, "x\n") for name in names),
        at_once(written("run.sh", "x\n"), executable("run.sh")),
        gone("scripts/x.pl"),
        written("plain.c", NEW),
    )(work)
    assert tree.apply(series(mbox, tmp_path), work.start).flags == (*names, "run.sh")


def test_change_survives_json(work: Work, tree: Tree, tmp_path: Path) -> None:
    work.reset()
    mbox = in_steps(edited, written("a.c", b"caf\xe9\n"))(work)
    change = tree.apply(series(mbox, tmp_path), work.start)
    again = msgspec.json.decode(msgspec.json.encode(change), type=Change)
    assert again == change
    assert tree.sources(again)[1].read("a.c") == b"caf\xe9\n"


def test_patches_that_come_first_belong_to_the_base(work: Work, tree: Tree, tmp_path: Path) -> None:
    work.reset()
    edited(work)
    prior = run(work.path, "diff", work.start)
    work.edit(TARGET, "int r = 60;", "int r = 600;")
    work.commit()
    mbox = work.mbox(since="HEAD~1")
    with pytest.raises(Unreviewed, match="context not found"):
        tree.apply(series(mbox, tmp_path), work.start)
    for first in ([prior], [bare(prior)]):
        change = tree.apply(series(mbox, tmp_path), work.start, first=first)
        before, after = tree.sources(change)
        assert b"int r = 60;" in (before.read(TARGET) or b"")
        assert b"int r = 600;" in (after.read(TARGET) or b"")
        assert before.read("Makefile") == b"VERSION = 6\n"
        assert len(change.patches) == 1
    with pytest.raises(Unreviewed, match=r"of what has to be applied first.*context not found"):
        tree.apply(series(mbox, tmp_path), work.start, first=[prior.replace(b"int r = 6;", b"int r = 7;")])
    with pytest.raises(ReviewError, match="is not in"):
        tree.sources(Change(base="1" * 40, how="given", files=()))
