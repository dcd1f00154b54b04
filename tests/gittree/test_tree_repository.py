"""Repositories of all kinds, none of which notices; trees without one; commits as mails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gitwork import PROBE, TARGET, Work, bare, edited, in_steps, patch_on, run, series, state, text

from reviewbot.gittree.tree import Tree
from reviewbot.types import Address, ReviewError


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """All files with size and time of change; git renews the time of an object that it would write again elsewhere."""
    found = {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in sorted(folder.rglob("*"))}
    return {p: (size, 0 if "/objects/" in p and os.path.isfile(p) else time) for p, (size, time) in found.items()}


def test_the_users_repository_does_not_notice(history: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mbox = patch_on(history, state(history, 5))
    ran = tmp_path / "ran"
    script = f"#!/bin/sh\necho $0 >> {ran}\n"
    hooks = (
        "applypatch-msg pre-applypatch post-applypatch pre-commit post-checkout post-index-change reference-transaction"
    )
    for hook in hooks.split():
        path = history.path / ".git/hooks" / hook
        path.write_text(script)
        path.chmod(0o755)
    tool = tmp_path / "tool"
    tool.write_text(script)
    tool.chmod(0o755)
    for key in ("core.fsmonitor", "diff.external", "diff.x.textconv", "merge.x.driver", "core.pager", "core.editor"):
        run(history.path, "config", key, str(tool))
    (history.path / ".git/info/attributes").write_text("* diff=x merge=x\n")
    posted = series(mbox, tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    before = snapshot(history.path)
    with Tree.open(history.path) as tree:
        change = tree.apply(posted, first=[PROBE])
        tree.sources(change)[1].ls("")
        tree.apply(posted)
        tree.range_mbox("HEAD~3..HEAD")
        assert list((tmp_path / "tmp").iterdir())
    assert not ran.exists()
    assert snapshot(history.path) == before
    assert not list((tmp_path / "tmp").iterdir())


def test_called_from_a_git_hook_or_alias(
    work: Work, origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.reset()
    mbox = in_steps(edited)(work)
    before = snapshot(origin / ".git")
    for name, value in {
        "GIT_DIR": str(origin / ".git"),
        "GIT_COMMON_DIR": str(origin / ".git"),
        "GIT_WORK_TREE": str(origin),
        "GIT_INDEX_FILE": str(origin / ".git/index"),
        "GIT_OBJECT_DIRECTORY": str(origin / ".git/objects"),
        "GIT_CONFIG_PARAMETERS": "'core.bare'='nonsense'",
        "GIT_EXTERNAL_DIFF": "false",
    }.items():
        monkeypatch.setenv(name, value)
    with Tree.open(work.path) as tree:
        change = tree.apply(series(mbox, tmp_path), work.start, first=[PROBE])
        assert [f.path for f in change.files] == [TARGET]
        assert tree.sources(change)[0].read("probe.c") == b"int probe;\n"
    assert snapshot(origin / ".git") == before


def test_work_trees_bare_repositories_and_folders(work: Work, tmp_path: Path) -> None:
    work.reset()
    mbox = in_steps(edited)(work)
    work.reset()
    odd = tmp_path / 'odd "name\\\n#x'
    run(work.path, "clone", "-q", "--bare", str(work.path), str(odd))
    run(work.path, "worktree", "add", "-q", "-f", "--detach", str(tmp_path / "linked"), work.start)
    run(work.path, "clone", "-q", "--depth=1", work.path.as_uri(), str(tmp_path / "shallow"))
    run(work.path, "clone", "-q", "--shared", str(work.path), str(tmp_path / "borrowing"))
    places = [work.path / "drivers/md", odd, tmp_path / "linked/drivers", tmp_path / "shallow", tmp_path / "borrowing"]
    for place in (*places, work.path / ".git"):
        with Tree.open(place) as tree:
            assert tree.resolve("HEAD") == work.start
            assert tree.at("HEAD").read("Makefile") == b"VERSION = 6\n"
            change = tree.apply(series(mbox, tmp_path))
            assert b"int r = 60;" in (tree.sources(change)[1].read(TARGET) or b"")
    run(work.path, "worktree", "remove", "--force", str(tmp_path / "linked"))


def test_a_machine_without_git(tmp_path: Path) -> None:
    code = "from reviewbot.types import ReviewError\ntry:\n import reviewbot.gittree.tree\nexcept ReviewError as e:\n print(e)"
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.stdout.startswith("cannot find the program git")


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for place in (tmp_path / "plain", tmp_path / "no such"):
        with pytest.raises(ReviewError, match="is not in a git repository"):
            Tree.open(place)
    run(tmp_path, "init", "-q", "--object-format=sha256", "long")
    with pytest.raises(ReviewError, match="has sha256 object ids"):
        Tree.open(tmp_path / "long")
    run(tmp_path, "init", "-q", "empty")
    with Tree.open(tmp_path / "empty") as tree, pytest.raises(ReviewError, match="there is no commit `HEAD`"):
        tree.apply(bare(PROBE))


def test_a_partial_clone_says_so_and_fetches_nothing(work: Work, tmp_path: Path) -> None:
    work.reset()
    mbox = in_steps(edited)(work)
    run(work.path, "config", "uploadpack.allowFilter", "true")
    run(work.path, "clone", "-q", "--filter=blob:none", "--no-checkout", work.path.as_uri(), str(tmp_path / "partial"))
    with Tree.open(tmp_path / "partial") as tree, pytest.raises(ReviewError, match=r"object .* is not in .*partial"):
        tree.apply(series(mbox, tmp_path), work.start)


def test_identity(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    with Tree.open(work.path) as tree:
        assert tree.identity() is None
        run(work.path, "config", "user.name", "Zoë Maintainer")
        run(work.path, "config", "user.email", "zoe@dev.example")
        assert tree.identity() == Address("Zoë Maintainer", "zoe@dev.example")
    run(work.path, "config", "--remove-section", "user")


def test_files_without_a_repository() -> None:
    files = {f"drivers/md/f{n}.c": f"int f{n};\n".encode() for n in range(150)} | {"a b/ü.h": b"", 'q"\\.c': b"no end"}
    with Tree.from_files(files) as tree:
        change = tree.apply(bare(b"--- a/drivers/md/f7.c\n+++ b/drivers/md/f7.c\n@@ -1 +1 @@\n-int f7;\n+long f7;\n"))
        before, after = tree.sources(change)
        assert change.how == "branch"
        assert before.read_many(files) == files
        assert after.read("drivers/md/f7.c") == b"long f7;\n"
        assert set(before.ls("")) == set(files)
        assert tree.identity() is None


def test_a_range_of_the_tree_as_mails(history: Work, tmp_path: Path) -> None:
    with Tree.open(history.path) as tree:
        mbox = tree.range_mbox("v11..main")
        assert mbox.count(b"\nSubject: [PATCH ") == 36
        assert f"\nbase-commit: {state(history, 11)}\n".encode() in mbox
        assert history.am(mbox, "v11") == text(history.path, "rev-parse", "main^{tree}")
        run(history.path, "checkout", "-q", "main")
        assert tree.range_mbox("v11..") == mbox
        change = tree.apply(series(tree.range_mbox("HEAD~2..HEAD"), tmp_path))
        assert change.how == "blobs"
        for wrong, reason in {
            "HEAD..HEAD": "there is no commit in HEAD..HEAD",
            "HEAD": "is no range",
            "v11...HEAD": "is no range",
            "..HEAD": "is no range",
            "x..HEAD": "there is no commit `x`",
            "--output=x..HEAD": "there is no commit `--output=x`",
        }.items():
            with pytest.raises(ReviewError, match=reason):
                tree.range_mbox(wrong)


def test_git_that_takes_too_long(work: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = tmp_path / "bin/git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    with Tree.open(work.path) as tree:
        monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
        monkeypatch.setattr("reviewbot.gittree.scratch.MAX_GIT_SECONDS", 0.2)
        with pytest.raises(ReviewError, match=r"git rev-parse took longer than 0\.2 s"):
            tree.resolve("HEAD")
