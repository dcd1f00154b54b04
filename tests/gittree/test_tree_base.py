"""Where a series is applied."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gitwork import TARGET, Work, patch_on, run, series, state, text

from reviewbot.gittree import base as base_search
from reviewbot.gittree.tree import Tree
from reviewbot.types import ReviewError, Unreviewed


def test_base_in_the_order_that_is_promised(history: Work, tmp_path: Path) -> None:
    old = state(history, 5)
    mbox = patch_on(history, old)
    head = text(history.path, "rev-parse", "main")
    with Tree.open(history.path) as tree:
        given = tree.apply(series(mbox, tmp_path), "v11")
        assert (given.base, given.how) == (state(history, 11), "given")
        said = tree.apply(series(mbox, tmp_path, base_commit=state(history, 7)))
        assert (said.base, said.how) == (state(history, 7), "base-commit")
        unknown = tree.apply(series(mbox, tmp_path, base_commit="1" * 40))
        blobs = tree.apply(series(mbox, tmp_path))
        assert blobs == unknown
        assert blobs.how == "blobs"
        assert text(history.path, "rev-parse", f"{blobs.base}:{TARGET}") == text(
            history.path, "rev-parse", f"{old}:{TARGET}"
        )
        without = re.sub(rb"^index .*\n", b"", mbox, flags=re.MULTILINE)
        assert tree.apply(series(without, tmp_path)).how == "branch"
        assert tree.apply(series(without, tmp_path)).base == head
        assert tree.apply(series(without, tmp_path), branch="v11").base == state(history, 11)
        for wrong in ("nowhere", "HEAD:Makefile", "--all", "", "a-tree", "x\0y"):
            with pytest.raises(ReviewError, match="there is no commit"):
                tree.resolve(wrong)
        with pytest.raises(ReviewError, match="there is no commit `nowhere`"):
            tree.apply(series(mbox, tmp_path), "nowhere")


def test_a_tag_or_branch_is_found_by_its_files(history: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_search, "MAX_COMMITS", 0)
    mbox = patch_on(history, "v11")
    with Tree.open(history.path) as tree:
        change = tree.apply(series(mbox, tmp_path))
        assert (change.base, change.how) == (state(history, 11), "blobs")
        # a file that the patch creates is there already: not what it starts from
        history.reset(state(history, 11))
        history.write("drivers/md/dm-new.c", "other\n")
        run(history.path, "branch", "-f", "nearer", history.commit())
        run(history.path, "checkout", "-q", "main")
        assert tree.apply(series(mbox, tmp_path)).base == change.base


def test_the_search_in_history_is_bounded(history: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mbox = patch_on(history, state(history, 20))
    monkeypatch.setattr(base_search, "MAX_COMMITS", 10)
    with Tree.open(history.path) as tree:
        assert tree.apply(series(mbox, tmp_path)).how == "branch"
        monkeypatch.setattr(base_search, "MAX_COMMITS", 25)
        assert tree.apply(series(mbox, tmp_path)).how == "blobs"


def test_the_next_commit_is_tried_where_one_does_not_fit(history: Work, tmp_path: Path) -> None:
    mbox = patch_on(history, state(history, 29))
    run(history.path, "checkout", "-q", "main")
    history.edit(TARGET, "int r = 1;", "int r = 111;")
    history.commit()
    history.reset(history.start)
    history.write(TARGET, "nothing alike\n")
    wrong = history.commit()
    run(history.path, "checkout", "-q", "main")
    without = re.sub(rb"^index .*\n", b"", mbox, flags=re.MULTILINE)
    with Tree.open(history.path) as tree:
        assert tree.apply(series(without, tmp_path, base_commit=wrong)).how == "branch"
        with pytest.raises(Unreviewed, match=rf"does not apply to {wrong[:12]} \(base-commit\)"):
            tree.apply(series(without, tmp_path, base_commit=wrong), branch=wrong)
