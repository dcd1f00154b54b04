"""Cases of the corpus: sections, marks and where they stand, goldens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.bench import case as cases
from reviewbot.bench.case import Mark
from reviewbot.types import Finding, Outcome, Place, ReviewError, Side, Verdict

CASE = f"""\
A flush moves under the lock.

Origin:   made by hand
Rule:     flush-under-lock
Verdict:  confirmed

-- a.c --
int a;
int b;
-- dir/b.h --
int h;
-- base patch --
--- a/a.c
+++ b/a.c
@@ -1,2 +1,2 @@
-int a;
+int c;
 int b;
-- patch --
From: A Developer <dev@example.org>
Subject: [PATCH] a

---
 a.c | 2 +-
#~ ok other-rule
diff --git a/a.c b/a.c
--- a/a.c
+++ b/a.c
@@ -10,4 +10,5 @@ int f(void)
 one
-two
#~ flush-under-lock "while holding &f->lock"
+2
+3
#~ todo flush-under-lock "it.s \\(known\\)"
#~ fact acquire mutex f.lock (mutex_lock) "x"
 four
#~ flush-under-lock
-five
@@ -30 +31,2 @@
+thirty
#~ a-rule2 ""
--- a/dir/b.h
+++ b/dir/b.h
@@ -1 +1 @@
-int h;
#~ flush-under-lock "h"
+int i;
--{" "}
2.43.0
-- @trace --
1. x
-- @reply --
On a day, somebody wrote:
> -two

--{" "}
A signature.
"""


def test_sections() -> None:
    case = cases.parse(CASE, "flush/moved")
    assert (case.name, case.title) == ("flush/moved", "A flush moves under the lock.")
    assert (case.header("Rule"), case.header("Verdict"), case.header("Nothing")) == (
        "flush-under-lock",
        "confirmed",
        "",
    )
    assert case.files == (("a.c", "int a;\nint b;\n"), ("dir/b.h", "int h;\n"))
    assert case.base_patch.startswith("--- a/a.c\n")
    assert case.patch.startswith("From: A Developer <dev@example.org>\nSubject: [PATCH] a\n")
    assert "#~" not in case.patch
    assert case.patch.endswith("-- \n2.43.0\n")
    goldens = dict(case.goldens)
    assert goldens.keys() == {"trace", "reply"}
    assert goldens["trace"].rstrip() == "1. x"
    assert "A signature." in goldens["reply"]


def test_marks_stand_on_the_line_above_them() -> None:
    rule = "flush-under-lock"
    assert cases.parse(CASE, "x").marks == (
        Mark("ok", "other-rule", "", "", 0, ""),
        Mark("finding", rule, "while holding &f->lock", "a.c", 11, "-"),
        Mark("todo", rule, r"it.s \(known\)", "a.c", 12, "+"),
        Mark("fact", 'acquire mutex f.lock (mutex_lock) "x"', "", "a.c", 12, "+"),
        Mark("finding", rule, "", "a.c", 13, " "),
        Mark("finding", "a-rule2", "", "a.c", 31, "+"),
        Mark("finding", rule, "h", "dir/b.h", 1, "-"),
    )


@pytest.mark.parametrize(
    "line", ['#~ a b "c"', "#~", "#~ok", '#~ rule "open', "#~ ok a b", '#~  two "blanks"', '#~ "x"']
)
def test_what_is_no_mark(line: str) -> None:
    with pytest.raises(ReviewError) as caught:
        cases.parse(f"t\n-- patch --\n{line}\n", "x/y")
    assert str(caught.value).startswith(f"case x/y: `{line}` is no mark: write ")


def test_a_case_without_a_patch() -> None:
    with pytest.raises(ReviewError, match=r"^case x has no section `-- patch --`: see corpus/README\.md$"):
        cases.parse("title\n\n-- a.c --\nint a;\n", "x")


def test_goldens_are_replaced_and_nothing_else() -> None:
    new = cases.with_goldens(CASE, {"reply": "other\n\n"})
    head = CASE[: CASE.index("-- @trace --")]
    assert new == head + "-- @reply --\nother\n"
    assert cases.with_goldens(new, {"reply": "other"}) == new
    without = head.rstrip("\n")
    assert cases.with_goldens(without, {"reply": "x"}) == without + "\n-- @reply --\nx\n"


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=40)
PLAIN = WORDS.filter(lambda x: not cases.SECTION.match(x) and not x.startswith("#~"))
NAMES = st.from_regex(r"\A[a-z]{1,8}(/[a-z]{1,8}){0,2}\.[ch]\Z")
TEXTS = st.lists(PLAIN, max_size=6).map("\n".join)


@given(
    st.dictionaries(NAMES, TEXTS, max_size=3),
    TEXTS,
    st.dictionaries(st.from_regex(r"\A[a-z]{1,6}\Z"), TEXTS, max_size=2),
)
def test_any_text_comes_back(files: dict[str, str], patch: str, goldens: dict[str, str]) -> None:
    text = "A title.\n\nRule:  x\n\n"
    text += "".join(f"-- {path} --\n{body}\n" for path, body in files.items()) + f"-- patch --\n{patch}\n"
    text = cases.with_goldens(text, goldens)
    case = cases.parse(text, "x")
    assert dict(case.files) == {path: body.rstrip("\n") + "\n" for path, body in files.items()}
    assert case.patch.rstrip("\n") == patch.rstrip("\n")
    assert {name: body.rstrip() for name, body in case.goldens} == {n: b.rstrip() for n, b in goldens.items()}
    assert case.header("Rule") == "x"


SIGNS = st.lists(st.tuples(st.sampled_from(" +-"), st.booleans()), min_size=1, max_size=20)


@given(st.integers(1, 500), st.integers(1, 500), SIGNS)
def test_line_numbers_of_marks(before: int, after: int, rows: list[tuple[str, bool]]) -> None:
    lines, wanted, old, new = [], [], before, after
    for sign, marked in rows:
        lines.append(f"{sign}text")
        if marked:
            lines.append('#~ rule "x"')
            wanted.append((sign, old if sign == "-" else new))
        old += sign != "+"
        new += sign != "-"
    patch = "\n".join(["--- a/a.c", "+++ b/a.c", f"@@ -{before},9 +{after},9 @@", *lines])
    case = cases.parse(f"t\n-- patch --\n{patch}", "x")
    assert [(m.sign, m.line) for m in case.marks] == wanted
    assert case.patch == "\n".join(
        ["--- a/a.c", "+++ b/a.c", f"@@ -{before},9 +{after},9 @@", *(f"{s}text" for s, _ in rows), ""]
    )


@given(st.text(max_size=300))
def test_nonsense_is_a_case_or_one_line(text: str) -> None:
    said = ""
    try:
        cases.parse("t\n-- patch --\n" + text, "x")
    except ReviewError as error:
        said = str(error)
    assert said == "" or "is no mark" in said


def test_loading_a_folder(tmp_path: Path) -> None:
    for name in ("b/two", "a/one"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.case").write_text(CASE)
    (tmp_path / "README.md").write_text("no case")
    assert [case.name for case in cases.load(tmp_path)] == ["a/one", "b/two"]
    assert cases.folder().name in ("corpus", "_corpus")
    assert len(cases.load()) >= 5


USING = "t\n\nUses:  fs/a.c b.c\nUses:  c.c\n\n-- d.c --\nint d;\n-- patch --\n\n"


def test_files_of_several_cases(tmp_path: Path) -> None:
    for path in ("fs/a.c", "b.c", "c.c"):
        (tmp_path / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / path).write_text(f"in {path};\n")
    (tmp_path / "one.case").write_text(USING)
    [case] = cases.load(tmp_path)
    assert case == cases.parse(USING, "one", tmp_path)
    wanted = {path: f"in {path};\n" for path in ("fs/a.c", "b.c", "c.c")} | {"d.c": "int d;\n"}
    assert dict(case.files) == wanted


def test_a_file_that_is_used_and_not_there_or_there_twice(tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match=r"^case one uses fs/a\.c, which is not in .*/files: put it there$"):
        cases.parse(USING, "one", tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files/d.c").write_text("int d;\n")
    with pytest.raises(ReviewError, match=r"^case one both has and uses d\.c: drop the section or the `Uses:`$"):
        cases.parse(USING.replace("fs/a.c b.c", "d.c").replace("Uses:  c.c\n", ""), "one", tmp_path)


def test_every_file_of_several_cases_is_used_and_no_case_repeats_one() -> None:
    files = cases.folder() / cases.FILES
    here = {p.relative_to(files).as_posix(): p.read_text() for p in files.rglob("*") if p.is_file()}
    every = cases.load()
    used = {path for case in every for key, value in case.headers if key == "Uses" for path in value.split()}
    assert used == here.keys()
    own = [file for case in every for file in case.files if file[0] not in case.header("Uses").split()]
    twice = {path for path, text in own if own.count((path, text)) > 1 or here.get(path) == text}
    assert not twice, "put these into corpus/files, and a `Uses:` into the cases that have them"


ONE = f"""\
A flush moves under the lock.

Verdict:  confirmed

-- a.c --
int a;
-- patch --
From: A Developer <dev@example.org>
Subject: [PATCH] a

---
--- a/a.c
+++ b/a.c
@@ -14,2 +14,3 @@ int f(void)
 one
+two
#~ flush-under-lock "while holding &f->lock"
+three
--{" "}
2.43.0
"""
PLACED = {"rule": "flush-under-lock", "file": "a.c", "line": 15, "side": Side.AFTER}
SAID = "f() flushes while holding &f->lock"


def told(message: str = SAID, outcome: Outcome = Outcome.CONFIRMED, reason: str = "", **other: object) -> Verdict:
    """A verdict on the marked line of ONE, or as far from it as `other` says."""
    place = PLACED | other
    at = Place(str(place["file"]), int(str(place["line"])), "f")
    side = Side(place["side"])
    return Verdict(Finding(str(place["rule"]), at, message, side=side), outcome, reason=reason)


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (told(line=16), "flush-under-lock: reported at :16, mark at :15 of a.c"),
        (told(file="b.c"), "flush-under-lock: reported at b.c:15, mark at a.c:15"),
        (told(side=Side.BEFORE), "flush-under-lock: reported at the `-` line a.c:15, mark at the `+` line"),
        (
            told("f() flushes a queue"),
            'flush-under-lock: reported at a.c:15 with "f() flushes a queue", mark wants "while holding &f->lock"',
        ),
        (
            told(outcome=Outcome.INCONCLUSIVE, reason="too many states"),
            "flush-under-lock: inconclusive at a.c:15 (too many states), mark at a.c:15",
        ),
        (told(outcome=Outcome.FIXED), "the review is fixed, the case says `Verdict: confirmed`"),
    ],
    ids=["line", "file", "side", "words", "outcome", "verdict"],
)
def test_a_fault_has_both_places(verdict: Verdict, line: str) -> None:
    assert cases.faults(cases.parse(ONE, "x"), [verdict]) == (line,)


def test_what_is_not_said_and_what_has_no_mark() -> None:
    case = cases.parse(ONE, "x")
    assert cases.faults(case, [told()]) == ()
    assert cases.faults(case, []) == ("flush-under-lock: not reported, mark at a.c:15",)
    stray = told(rule="lock-order")
    assert cases.faults(case, [told(), stray]) == (f'lock-order: reported at a.c:15 ("{SAID}"), no mark there',)
    assert cases.faults(case, [stray, told(line=10), told(line=16)]) == (
        "flush-under-lock: reported at :16, mark at :15 of a.c",
        f'lock-order: reported at a.c:15 ("{SAID}"), no mark there',
        f'flush-under-lock: reported at a.c:10 ("{SAID}"), no mark there',
    )


def test_marks_that_forbid() -> None:
    forbidden = cases.parse(ONE.replace("#~ flush-under-lock", "#~ ok lock-order\n#~ flush-under-lock"), "x")
    assert cases.faults(forbidden, [told(), told(rule="lock-order")])[1:] == (
        "lock-order: reported at a.c:15, and `ok lock-order` says that it must not be",
    )
    known = cases.parse(ONE.replace("#~ flush", "#~ todo flush").replace("Verdict:  confirmed", "Verdict:  none"), "x")
    assert cases.faults(known, []) == ()
    assert "where the mark is a `todo`: make it a real one" in cases.faults(known, [told()])[-1]


def test_a_regex_that_is_none() -> None:
    with pytest.raises(ReviewError, match=r"case x: the regex of `#~ flush-under-lock \"\*lock\"` is none: nothing to"):
        cases.parse(ONE.replace("while holding &f->lock", "*lock"), "x")
