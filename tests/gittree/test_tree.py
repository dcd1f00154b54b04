"""Applying: what `git am` makes of a patch, Tree makes of it too, and what it refuses is refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from gitwork import (
    BYTES,
    FILES,
    HEADER,
    NEW,
    TARGET,
    Work,
    at_once,
    bare,
    damaged,
    edited,
    encoded,
    executable,
    folder_for_file,
    gone,
    in_steps,
    later,
    linked,
    made_by_hand,
    moved,
    replaced,
    run,
    series,
    shifted,
    swapped,
    text,
    traditional,
    tree_id,
    verify,
    written,
)

from reviewbot.gittree.fit import Fit
from reviewbot.gittree.tree import Tree
from reviewbot.types import Series, Unreviewed

SAME = {
    "plain": in_steps(edited),
    "offset": shifted,
    "first line": in_steps(replaced(TARGET, "#include", "/* top */\n#include")),
    "last line": in_steps(written(TARGET, FILES[TARGET] + "int demo_last;\n")),
    "many hunks": in_steps(written(TARGET, FILES[TARGET].replace("int r =", "long r ="))),
    "rename": in_steps(moved(TARGET, "drivers/md/dm-other.c")),
    "rename and edit": in_steps(
        at_once(moved(TARGET, "lib/dm-other.c"), replaced("lib/dm-other.c", "int r = 6", "int r = 66"))
    ),
    "rename then edit": in_steps(
        moved(TARGET, "drivers/md/dm-other.c"), replaced("drivers/md/dm-other.c", "r = 6", "r = 66")
    ),
    "swap": in_steps(swapped, options=("-B",)),
    "copy": in_steps(
        written("drivers/md/dm-copy.c", FILES[TARGET] + "/* copy */\n"),
        options=("-C", "--find-copies-harder"),
    ),
    "new file": in_steps(written("drivers/md/new/a.c", NEW)),
    "new then edit": in_steps(written("drivers/md/new/a.c", NEW), written("drivers/md/new/a.c", NEW + NEW)),
    "new then deleted": in_steps(written("drivers/md/a.c", NEW), gone("drivers/md/a.c")),
    "delete": in_steps(gone(HEADER)),
    "delete then new": in_steps(gone(HEADER), written(HEADER, NEW)),
    "mode": in_steps(executable(HEADER)),
    "empty new": in_steps(written("drivers/md/nothing.c", "")),
    "empty filled": in_steps(written("drivers/md/empty.h", NEW)),
    "no newline at the end": in_steps(written("a.c", "int a;"), written("a.c", "int a;\nint b;"), written("a.c", NEW)),
    "mail in CR LF": lambda w: in_steps(edited)(w).replace(b"\n", b"\r\n"),
    "binary": in_steps(written("logo.bin", BYTES), written("logo.bin", BYTES[::-1]), options=("--binary",)),
    "link": in_steps(linked("drivers/md/link.c", "dm-demo.c")),
    "file to link": in_steps(at_once(gone(HEADER), linked(HEADER, "dm-demo.c"))),
    "file to folder": in_steps(folder_for_file),
    "UTF-8 path": in_steps(written("drivers/md/naïve.c", NEW), written("drivers/md/naïve.c", NEW + NEW)),
    "blank in path": in_steps(written("docs/a b.txt", NEW), written("docs/a b.txt", NEW + NEW)),
    "quote in path": in_steps(written('docs/a"b\\c.txt', NEW), written('docs/a"b\\c.txt', NEW + NEW)),
    "Latin-1 content": in_steps(written("a.c", b"/* caf\xe9 */\n"), written("a.c", b"/* caf\xe9s */\n")),
    "form feed": in_steps(written("a.c", "a\x0cb\x0bc\n"), written("a.c", "a\x0cb\x0bd\n")),
    "odd line ends": in_steps(written("a.c", "a\u2028b\x85\n"), written("a.c", "a\u2028b\x85c\n")),
    "lone CR": in_steps(written("a.c", "a\rb\n"), written("a.c", "a\rc\n")),
    "quoted-printable": encoded,
    "no git header": traditional,
    "looks like a header": in_steps(
        written("a.c", "-- a/x\n++ b/x\n"), written("a.c", "@@ -1 +1 @@\ndiff --git a b\n")
    ),
    ".gitmodules": made_by_hand((".gitmodules", "100644", '[submodule "x"]')),
    ".b4-config": made_by_hand((".b4-config", "100644", "[b4]")),
    ".gitattributes": made_by_hand((".gitattributes", "100644", "* filter=x -diff merge=union")),
    "script": in_steps(at_once(written("tool.sh", "#!/bin/sh\n"), executable("tool.sh"))),
}

REFUSED = {
    "fuzz": (
        damaged(rb"^ \t?mutex_lock.*$", b" something else"),
        r"dm-demo\.c, hunk at line 5\d: context not found.*so",
    ),
    "white space": (damaged(rb"^ \tmutex_lock", b"     mutex_lock"), r"hunk at line 5\d: it differs .* white space"),
    "wrapped line": (damaged(rb"^ (\t?mutex_lock.*)(&d.*)$", rb" \1\n\2"), r"hunk at line 5\d: .*cut short or mangled"),
    "cut off": (lambda w: in_steps(edited)(w).partition(b" \tr += d->count_6")[0], r"hunk at line 5\d: .*cut short"),
    "no context": (in_steps(edited, options=("-U0",)), r"hunk at line 55: the hunk has no line of context"),
    "no prefix": (in_steps(edited, options=("--no-prefix",)), r"no such file.*no a/ and b/"),
    "binary without data": (in_steps(written("a.bin", BYTES), options=("--no-binary",)), r"a\.bin: a binary change"),
    "file missing": (later, r"drivers/md/a\.c: no such file"),
    "outside": (made_by_hand(("../../etc/x", "100644", "x")), r"a path outside"),
    "absolute": (made_by_hand(("/tmp/reviewbot-was-here", "100644", "x")), r"an absolute path"),
    ".git": (made_by_hand((".git/hooks/post-checkout", "100755", "x")), r"a path inside \.git"),
    ".GIT": (made_by_hand(("docs/.GIT/config", "100644", "x")), r"a path inside \.git"),
    "through a new link": (
        made_by_hand(("docs/l", "120000", "/tmp"), ("docs/l/reviewbot-was-here", "100644", "x")),
        r"docs/l/reviewbot-was-here: its folder is a symbolic link",
    ),
    "through a link of the tree": (
        made_by_hand(("include/dt/x.dts", "100644", "x")),
        r"include/dt/x\.dts: its folder is a symbolic link",
    ),
    "below a file": (
        made_by_hand(("Makefile/x", "100644", "x")),
        r"Makefile/x: its folder is a symbolic link or a file",
    ),
    "where a folder is": (made_by_hand(("drivers/md", "100644", "x")), r"drivers/md: there is a folder"),
    "new file exists": (made_by_hand(("Makefile", "100644", "x")), r"Makefile: the new file exists already"),
}


@pytest.mark.parametrize("name", SAME)
def test_same_tree_as_git_am(name: str, work: Work, tree: Tree, tmp_path: Path) -> None:
    work.reset()
    mbox = SAME[name](work)
    expected = work.am(mbox)
    assert expected, "git am has to take it for this comparison"
    posted = series(mbox, tmp_path)
    change = tree.apply(posted, work.start)
    assert change.base == work.start
    assert change.how == "given"
    assert tree_id(tree, posted, work.start) == expected
    verify(tree, change)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_like_git_am(name: str, work: Work, tree: Tree, tmp_path: Path) -> None:
    work.reset()
    make, reason = REFUSED[name]
    mbox = make(work)
    assert not work.am(mbox)
    with pytest.raises(Unreviewed, match=reason) as raised:
        tree.apply(series(mbox, tmp_path), work.start)
    message = str(raised.value)
    assert message.startswith(f"does not apply to {work.start[:12]} (given): ")
    assert "\n" not in message
    assert "error:" not in message
    assert not Path("/tmp/reviewbot-was-here").exists()


def test_a_new_file_in_cr_lf_keeps_it(work: Work, tree: Tree, tmp_path: Path) -> None:
    work.reset()
    mbox = in_steps(written("docs/dos.txt", "a\r\nb\r\n"), written("docs/dos.txt", "a\r\nc\r\n"))(work)
    expected = text(work.path, "rev-parse", "HEAD^{tree}")
    assert work.am(mbox, "", "--keep-cr") == expected
    assert tree_id(tree, series(mbox, tmp_path), work.start) == expected


def test_a_mail_whose_encoding_kept_cr_lf(work: Work, tree: Tree) -> None:
    work.reset()
    edited(work)
    diff = run(work.path, "diff", work.start).replace(b"\n", b"\r\n")
    assert tree_id(tree, bare(diff), work.start) == text(work.path, "rev-parse", "HEAD^{tree}")


def drift(work: Work, place: str) -> tuple[bytes, str]:
    """A patch, and a commit on which a line near (or at) the patched one reads differently."""
    work.reset()
    edited(work)
    mbox = work.mbox()
    work.reset()
    work.edit(TARGET, place, place.replace("6", "66"))
    return mbox, work.commit("dm demo: drift")


def test_drift_is_merged_like_git_am_3(work: Work, tree: Tree, tmp_path: Path) -> None:
    mbox, target = drift(work, "mutex_lock(&d->lock_6);")
    assert not work.am(mbox, target)
    expected = work.am(mbox, target, "-3")
    assert expected
    change = tree.apply(series(mbox, tmp_path), target)
    assert change.how == "given (3way)"
    assert tree_id(tree, series(mbox, tmp_path), target) == expected
    verify(tree, change)


def test_a_conflict_is_refused(work: Work, tree: Tree, tmp_path: Path) -> None:
    mbox, target = drift(work, "int r = 6;")
    assert not work.am(mbox, target, "-3")
    with pytest.raises(Unreviewed, match=r"dm-demo\.c, hunk at line 52: context not found, .* `int r = 6;`"):
        tree.apply(series(mbox, tmp_path), target)
    assert tree.apply(series(mbox, tmp_path), work.start).how == "given"


def test_hostile_attributes_do_not_choose_how_to_merge(work: Work, tree: Tree, tmp_path: Path) -> None:
    mbox, target = drift(work, "int r = 6;")
    work.reset(target)
    work.write(".gitattributes", "* merge=union -diff\n")
    attributes = work.commit()
    with pytest.raises(Unreviewed, match="context not found"):
        tree.apply(series(mbox, tmp_path), attributes)
    first = bare(run(work.path, "diff", "-a", target, attributes))
    with pytest.raises(Unreviewed, match=r"patch 2 of 2.*context not found"):
        tree.apply(Series((*first.patches, *series(mbox, tmp_path).patches)), target)
    change = tree.apply(
        Series((*first.patches, *bare(run(work.path, "diff", "-a", work.start, target)).patches)), work.start
    )
    assert [(f.path, f.binary, len(f.hunks)) for f in change.files] == [
        (".gitattributes", False, 1),
        (TARGET, False, 1),
    ]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (in_steps(edited), r"hunk at line 52: already applied"),
        (in_steps(written("a.c", NEW)), r"a\.c: already applied"),
        (in_steps(gone(HEADER)), r"already applied: the file to be deleted"),
        (in_steps(moved(HEADER, "x.h")), r"already applied: there is no .*dm-demo\.h to rename"),
    ],
)
def test_what_is_applied_already(
    make: Callable[[Work], bytes], reason: str, work: Work, tree: Tree, tmp_path: Path
) -> None:
    work.reset()
    mbox = make(work)
    target = text(work.path, "rev-parse", "HEAD")
    with pytest.raises(Unreviewed, match=reason):
        tree.apply(series(mbox, tmp_path), target)


def test_the_patch_that_fails_is_named(work: Work, tree: Tree, tmp_path: Path) -> None:
    work.reset()
    mbox = in_steps(replaced(TARGET, "int r = 2;", "int r = 22;"), replaced(HEADER, "void", "int"))(work)
    mbox = mbox.replace(b" int demo_init", b" int demo_begin")
    with pytest.raises(
        Unreviewed, match=r"\(given\): patch 2 of 2: drivers/md/dm-demo\.h, hunk at line 1: context not"
    ):
        tree.apply(series(mbox, tmp_path), work.start)


def test_text_of_strangers_is_safe_to_show(tree: Tree, work: Work) -> None:
    hostile = b"--- a/x\x1b[2J\n+++ b/x\x1b[2J\n@@ -1 +1 @@\n-a\n+b\n"
    with pytest.raises(Unreviewed, match=r"x<U\+001B>\[2J: no such file"):
        tree.apply(bare(hostile), work.start)
    hostile = f"--- a/{TARGET}\n+++ b/{TARGET}\n@@ -1 +1 @@\n-\u202egnirts\n+b\n".encode()
    with pytest.raises(Unreviewed, match=r"no line `<U\+202E>gnirts`"):
        tree.apply(bare(hostile), work.start)


def test_real_patches_on_the_real_tree(shared: Path, kernel_tree: Callable[..., Path]) -> None:
    mails = sorted((shared / "seeds/patches").glob("*.eml"))
    assert mails
    with Tree.open(kernel_tree("6.12", small=True)) as tree:
        for mail in mails:
            change = tree.apply(bare(mail.read_bytes()))
            assert change.how == "blobs"
            assert change.files
            verify(tree, change)


def test_labelled_patches_on_their_trees(shared: Path, kernel_tree: Callable[..., Path]) -> None:
    """Every tenth of the labelled patches, with what has to be applied before it."""
    folder = shared / "corpus"
    cases = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()][::10]
    assert cases
    with Tree.open(kernel_tree("6.12")) as new, Tree.open(kernel_tree("6.1")) as old:
        for case in cases:
            tree = {"6.12": new, "6.1": old}[case["tree"]]
            first = [(folder / case["base_patch"]).read_bytes()] if "base_patch" in case else []
            change = tree.apply(bare((folder / case["patch"]).read_bytes()), first=first)
            assert set(case["files"]) <= {path for f in change.files for path in (f.path, f.old_path)}
            verify(tree, change)


@pytest.mark.parametrize("name", sorted(set(SAME) - {"file to folder"}))  # git takes no folder back for a file
def test_what_git_takes_is_never_ruled_out_by_the_text_of_the_files(name: str, work: Work, tmp_path: Path) -> None:
    work.reset()
    mbox = SAME[name](work)
    assert work.am(mbox)
    end = text(work.path, "rev-parse", "HEAD")
    posted = series(mbox, tmp_path)
    diffs = [patch.diff for patch in posted.patches]
    with Tree.open(work.path) as tree:
        assert Fit.APPLIES in tree.fits(diffs, work.start)
        if name == "copy":  # git does not take one back
            assert Fit.MERGED not in tree.fits(diffs, end)
            return
        assert Fit.MERGED in tree.fits(diffs, end)
        change = tree.apply(posted, end, merged=True)
        assert change.onto == end
        assert {f.path: f.after for f in change.files} == {
            f.path: f.after for f in tree.apply(posted, work.start).files
        }
        verify(tree, change)


def test_a_patch_that_meets_other_lines_is_ruled_out_without_git(work: Work, tmp_path: Path) -> None:
    work.reset()
    posted = series(damaged(rb"^ \t?mutex_lock.*$", b" something else")(work), tmp_path)
    with Tree.open(work.path) as tree:
        assert tree.fits([posted.patches[0].diff], work.start) == []


def test_a_series_that_is_not_in_the_base_cannot_be_taken_back(work: Work, tmp_path: Path) -> None:
    work.reset()
    posted = series(in_steps(edited)(work), tmp_path)
    with Tree.open(work.path) as tree, pytest.raises(Unreviewed, match="it is not in there"):
        tree.apply(posted, work.start, merged=True)
