"""The statements of a patch say when they run, on the side that is looked at."""

from __future__ import annotations

from reviewbot.gittree.source import MemorySource
from reviewbot.reproduce.console import read
from reviewbot.reproduce.trace import MarkedLine, marks
from reviewbot.types import Change, FileChange, Hunk, Line, Side

AFTER = b"int f(int a)\n{\n\tif (a)\n\t\treturn 1;\n\treturn 0;\n}\n"
BEFORE = b"int f(int a)\n{\n\tg(a);\n\treturn 0;\n}\n"
HUNK = Hunk((Line("-", "\tg(a);", 3, 0), Line("+", "\tif (a)", 0, 3), Line("+", "\t\treturn 1;", 0, 4)))
HEADER = FileChange("a.h", "a.h", "1", "2", (Hunk((Line("+", "static int x;", 0, 1),)),))
CHANGE = Change("b", "given", (FileChange("a.c", "a.c", "1", "2", (HUNK,)), HEADER))


def test_what_a_patch_adds_is_marked_and_nothing_else() -> None:
    files = {"a.c": AFTER, "a.h": b"static int x;\n", "gone.c": None}
    made, lines = marks(CHANGE, Side.AFTER, MemorySource({"a.c": AFTER}), files)
    assert lines == (MarkedLine("a.c", 3, "if (a)"), MarkedLine("a.c", 4, "return 1;"))
    assert made["a.h"] == files["a.h"]
    assert made["gone.c"] is None
    rows = (made["a.c"] or b"").decode().split("\n")
    assert rows[2] == '\tprintk_once(KERN_INFO "reviewbot: reached a.c:3\\n"); if (a)'
    assert rows[3] == '\t\t{ printk_once(KERN_INFO "reviewbot: reached a.c:4\\n"); return 1; }'
    assert rows[4] == "\treturn 0;"


def test_of_a_fix_what_it_takes_away_is_marked() -> None:
    made, lines = marks(CHANGE, Side.BEFORE, MemorySource({"a.c": BEFORE}), {})
    assert lines == (MarkedLine("a.c", 3, "g(a);"),)
    assert b"reached a.c:3" in (made["a.c"] or b"")


def test_what_they_say_is_read_from_the_console() -> None:
    log = read(b"[ 1.0] reviewbot: reached a.c:3\n[ 1.0] reviewbot: reached b.c:1\n[ 2.0] reviewbot: reached a.c:3\n")
    assert log.reached == ("a.c:3", "b.c:1")


def test_what_a_probe_says_is_counted() -> None:
    line = b"[ 1.0] reviewbot: noticed a bio for the same device\n"
    log = read(line * 3 + b"[ 2.0] reviewbot: noticed a bio for another device\n")
    assert log.noticed == (("a bio for the same device", 3), ("a bio for another device", 1))
