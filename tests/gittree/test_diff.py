"""Unified diffs as text: lines that look like headers, quoted names, broken hunks, and anything at all."""

from __future__ import annotations

import difflib

from hypothesis import given
from hypothesis import strategies as st

from reviewbot.gittree.diff import preimages, sections

LINE = st.sampled_from(
    ["", "a", "\tb", "-- x", "++ x", "@@ -1 +1 @@", "diff --git a/x b/x", "--- a/x", "\\ No", "a\rb", "c\x0c"]
)


@given(st.lists(LINE, max_size=12), st.lists(LINE, max_size=12))
def test_hunks_have_both_sides(old: list[str], new: list[str]) -> None:
    lines = difflib.unified_diff(old, new, "a/x.c", "b/x.c", lineterm="", n=99)
    found = sections("\n".join([*lines, "-- ", "2.39"]).encode())
    if old == new:
        assert found == ()
        return
    (part,) = found
    assert (part.old, part.new) == ("x.c", "x.c")
    (hunk,) = part.hunks
    assert hunk.whole
    assert [line.decode() for line in hunk.side(b"-")] == old
    assert [line.decode() for line in hunk.side(b"+")] == new
    lines_ = hunk.numbered().lines
    assert [x.text for x in lines_ if x.sign != "+"] == old
    assert [x.before for x in lines_ if x.sign != "+"] == list(range(1, len(old) + 1))
    assert [x.after for x in lines_ if x.sign != "-"] == list(range(1, len(new) + 1))


HEADERS = [b"diff --git ", b"--- a/x\n+++ b/x\n", b"@@ -1,2 +1,2 @@", b"rename from ", b"index 123456..abcdef"]
MORE = [
    b"new file mode ",
    b"GIT binary patch\n",
    b'"a/x\\',
    b"a/x b/x",
    b"+x\n",
    b"-x\n",
    b" x\n",
    b"\\ No\n",
    b"\n",
    b"\xff",
]
FRAGMENT = st.sampled_from([*HEADERS, *MORE])


@given(st.lists(FRAGMENT, max_size=20).map(b"".join) | st.binary(max_size=200))
def test_anything_is_read(text: bytes) -> None:
    for part in sections(text):
        for hunk in part.hunks:
            assert len(hunk.numbered().lines) <= len(hunk.lines)
    preimages([text])


def test_names() -> None:
    text = b"""mail text
--- linux.orig/drivers/x.c\t2020-01-01
+++ linux/drivers/x.c\t2020-01-02
@@ -1 +1 @@
-a
+b
diff --git a/a b.c b/a b.c
old mode 100644
new mode 100755
diff --git "a/na\\303\\257ve\\t.c" "b/na\\303\\257ve\\t.c"
index 1234567..89abcde 100644
--- "a/na\\303\\257ve\\t.c"
+++ "b/na\\303\\257ve\\t.c"
@@ -1 +1 @@ int f(void)
-a
\\ No newline at end of file
+b
diff --git a/old.c b/new.c
similarity index 90%
rename from old.c
rename to new.c
index 2222222..3333333 100644
--- a/old.c
+++ b/new.c
@@ -3,0 +4 @@
+x
diff --git a/gone.c b/gone.c
deleted file mode 100644
index 4444444..0000000
diff --git a/made.c b/made.c
new file mode 100755
index 0000000..e69de29
"""
    parts = sections(text)
    assert [(p.old, p.new) for p in parts] == [
        ("drivers/x.c", "drivers/x.c"),
        ("a b.c", "a b.c"),
        ("naïve\t.c", "naïve\t.c"),
        ("old.c", "new.c"),
        ("gone.c", ""),
        ("", "made.c"),
    ]
    assert [p.bare for p in parts] == [True] + [False] * 5
    assert parts[2].hunks[0].section == b"int f(void)"
    assert parts[2].hunks[0].side(b"-") == [b"a"]
    assert [(x.sign, x.before, x.after) for x in parts[3].hunks[0].numbered().lines] == [("+", 0, 4)]


def test_what_a_series_starts_from() -> None:
    first = b"""diff --git a/x.c b/x.c
index aaaaaaa..bbbbbbb 100644
--- a/x.c
+++ b/x.c
@@ -1 +1 @@
-a
+b
diff --git a/new.c b/new.c
new file mode 100644
index 0000000..ccccccc
--- /dev/null
+++ b/new.c
@@ -0,0 +1 @@
+n
"""
    second = first.replace(b"aaaaaaa..bbbbbbb", b"bbbbbbb..ddddddd").replace(b"new.c", b"y.c")
    assert preimages([first, second]) == {"x.c": "aaaaaaa", "new.c": "", "y.c": ""}
    assert preimages([first.replace(b"\nindex", b"\nno index")]) == {"new.c": ""}


def test_numbers_beyond_all_files_are_no_hunk() -> None:
    (part,) = sections(b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -" + b"9" * 5000 + b" +1 @@\n+x\n")
    assert part.hunks == ()


def test_broken_hunks() -> None:
    head = b"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n"
    for body, whole in ((b" a\n-b\n+c\n", True), (b" a\n-b\n", False), (b" a\nwrapped\n-b\n+c\n", False), (b"", False)):
        (part,) = sections(head + body)
        assert part.hunks[0].whole is whole
