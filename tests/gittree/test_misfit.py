"""Why a diff does not fit: one line for each way, whatever the text; git's agreement is tested in test_tree.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.gittree.misfit import misfit, unsafe
from reviewbot.gittree.source import MemorySource

SOURCE = MemorySource({"x.c": b"int a;\nint b;\nint c;\nint b;\n", "y.c": b"y\n"})


def diff(hunk: str, path: str = "x.c", head: str = "@@ -1,3 +1,3 @@") -> bytes:
    return f"--- a/{path}\n+++ b/{path}\n{head}\n{hunk}".encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "there is no diff in it"),
        (b"hello\n", "there is no diff in it"),
        (
            diff(" int a;\n-int x;\n+int y;\n int c;\n"),
            "x.c, hunk at line 1: context not found, the file has no line `int x;`",
        ),
        (diff(" int b;\n-int a;\n+int y;\n int c;\n"), "context not found, the file has its lines but not one after"),
        (diff(" int a;\n-int  b;\n+int y;\n int c;\n"), "x.c, hunk at line 1: it differs from the file in white space"),
        (diff(" int a;\n-int z;\n+int b;\n int c;\n"), "x.c, hunk at line 1: already applied"),
        (diff(" int a;\n-int z;\n+int b;\n"), "x.c, hunk at line 1: the hunk is cut short"),
        (diff("-int b;\n", head="@@ -2 +1,0 @@"), "x.c, hunk at line 2: the hunk has no line of context"),
        (diff(" a\n", "no.c", "@@ -1 +1 @@"), "no.c: no such file"),
        (diff(" a\n", "../x.c", "@@ -1 +1 @@"), "../x.c: a path outside of the tree"),
        (diff(" a\n", "l/x.c", "@@ -1 +1 @@"), "l/x.c: its folder is a symbolic link or a file"),
        (diff(" int a;\n", "x.c", "@@ -1 +1 @@"), "x.c: git refuses it"),
        (b"--- /dev/null\n+++ b/y.c\n@@ -0,0 +1 @@\n+y\n", "y.c: already applied: the new file is there, with this"),
        (b"--- /dev/null\n+++ b/y.c\n@@ -0,0 +1 @@\n+z\n", "y.c: the new file exists already"),
        (
            b"diff --git a/y.c b/y.c\nindex 12345..67890\nGIT binary patch\n",
            "y.c: a binary change without full blob ids",
        ),
        (b"diff --git a/y.c b/y.c\nBinary files a/y.c and b/y.c differ\n", "y.c: a binary change without the data"),
        (b"diff --git a/q b/z\nrename from q\nrename to z\n", "z: no such file: q"),
        (b"diff --git a/q b/y.c\nrename from q\nrename to y.c\n", "y.c: already applied: there is no q to rename"),
    ],
)
def test_reasons(text: bytes, reason: str) -> None:
    assert misfit(text, SOURCE, {"l"}).startswith(reason) or reason in misfit(text, SOURCE, {"l"})


def test_one_hunk_of_two_is_there_already() -> None:
    text = diff(" int a;\n-int z;\n+int b;\n int c;\n") + b"@@ -9 +9 @@\n-int q;\n+int r;\n"
    assert misfit(text, SOURCE) == "x.c, hunk at line 1: this hunk is already applied"


def test_a_diff_of_hunks_without_end_is_answered() -> None:
    text = b"--- a/x.c\n+++ b/x.c\n" + b"@@ -1 +1 @@\n int a;\n" * 100_000
    assert misfit(text, SOURCE) == "x.c: git refuses it"


@given(st.text() | st.sampled_from(["--- a/x\n+++ b/x\n@@ -1 +1 @@\n", "diff --git a/x.c b/x.c\n"]).flatmap(
    lambda head: st.text().map(lambda rest: head + rest)
))  # fmt: skip
def test_it_is_always_one_line(text: str) -> None:
    reason = misfit(text.encode("utf-8", "replace"), SOURCE)
    assert reason
    assert "\n" not in reason
    assert "\x1b" not in reason


@pytest.mark.parametrize(
    "path", ["/x", "../x", "a/../x", "a//x", "a/", ".git", "a/.git/x", "a/.GIT/x", "a/.git. /x", "a\nb", "caf\ufffd"]
)
def test_unsafe_paths(path: str) -> None:
    assert unsafe(path)


@pytest.mark.parametrize("path", ["x", "a/b.c", ".gitignore", "a/.github/x", "a b", "a..b/c"])
def test_safe_paths(path: str) -> None:
    assert unsafe(path) == ""
