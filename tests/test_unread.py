"""What a change touches and could not be read is named, and is no ground for an ack; ordinary code is not called so."""

from __future__ import annotations

import subprocess
import sys

import pytest
from checking import FILE, ROOT

from reviewbot import review
from reviewbot.csource import definitions
from reviewbot.gittree.tree import Tree
from reviewbot.types import Decision, Unread

HEAD = "#include <linux/mutex.h>\n\nstatic int first(struct mill *m)\n{\n"
TAIL = "\n\treturn 0;\n}\n\nstatic void last(struct mill *m)\n{\n\tm->turns++;\n}\n"
BASE = f"{HEAD}\tm->turns = 1;{TAIL}"


def examined(after: str, before: str = BASE, path: str = FILE) -> tuple[Decision, list[Unread]]:
    """The decision over a change of one file, and what was not read of it."""
    with Tree.from_files({path: before.encode()}) as tree:
        change = tree.replace({path: after.encode()})
        found = review.examine(change, *tree.sources(change))
    return found.decision, list(found.unread)


def body(text: str) -> str:
    """The file with other code in its first function."""
    return f"{HEAD}\t{text}{TAIL}"


@pytest.mark.parametrize(
    "text",
    [
        "mutex_lock(&m->lock) @@ $ is gone;",
        "if (m->turns) {\n\tmutex_lock(&m->lock);",
        "mutex_lock(&m->lock); }",
        "mutex_lock(&m->lock);\n#endif",
        "#ifdef CONFIG_MILL\n\tmutex_lock(&m->lock);",
        "mutex_lock(&m->lock);\n#else\n\tm->turns = 2;",
        "#ifdef CONFIG_MILL\n\tif (m->turns) {\n#else\n\tif (m->stops) {\n\t\tmutex_lock(&m->lock);\n#endif\n\t}",
        "mutex_lock(&m->lock); /* and then",
        'mutex_lock(&m->lock); mill_say("and then);',
    ],
)
def test_a_changed_function_that_is_torn_is_named_and_no_ack(text: str) -> None:
    decision, unread = examined(body(text))
    assert decision is Decision.COMMENT
    assert Unread(file=FILE, function="first") in unread
    assert {one.file for one in unread} == {FILE}


@pytest.mark.parametrize(("call", "named"), [("strlen(m->name)", []), ("mill_stop(m)", ["size"])])
def test_a_stub_of_another_configuration_that_calls_nothing_of_interest(call: str, named: list[str]) -> None:
    whole = "#ifdef CONFIG_MILL\nstatic int size(struct mill *m)\n{\n\tm->turns = 1;\n\treturn m->turns;\n}\n#else\n"
    stub = f"static int size(struct mill *m)\n{{\n\treturn {call};\n}}\n#endif\n"
    _, unread = examined(BASE + whole + stub.replace("return ", "return 1 + "), BASE + whole + stub)
    assert [one.function for one in unread] == named


def test_what_became_readable_was_not_read_before() -> None:
    decision, unread = examined(BASE, body("mutex_lock(&m->lock) @@ $ is gone;"))
    assert (decision, unread) == (Decision.COMMENT, [Unread(file=FILE, function="first")])


def test_a_nul_is_named_wherever_it_stands() -> None:
    early = body("m->turns = 2;\0")
    assert examined(early) == (Decision.COMMENT, [Unread(file=FILE)])  # git takes the whole file for binary
    long = "".join(f"static int turn_{n}(void)\n{{\n\treturn {n};\n}}\n\n" for n in range(400))
    decision, unread = examined(long + body("m->turns = 2; /* \0 */"), long + BASE)
    assert (decision, unread) == (Decision.COMMENT, [Unread(file=FILE, function="first")])


def test_a_function_that_the_parser_lost() -> None:
    odd = 'MILL_TURNS("a", m)\n{\n\tm->turns = 1;\n\tgo();\n}\n\n'
    decision, unread = examined(odd.replace("m->turns = 1;", "mutex_lock(&m->lock);") + BASE, odd + BASE)
    assert decision is Decision.COMMENT
    assert unread == [Unread(file=FILE, function="MILL_TURNS")]


def test_a_conditional_that_nothing_closes() -> None:
    decision, unread = examined(BASE.replace("static void last", "#ifdef CONFIG_MILL\nstatic void last"))
    assert (decision, unread) == (Decision.COMMENT, [Unread(file=FILE)])


def test_a_version_that_was_left_out_for_a_longer_one() -> None:
    both = (
        "#ifdef CONFIG_MILL\nstatic void turn(struct mill *m)\n{\n\tm->a = 1;\n\tm->b = 2;\n\tmill_go(m);\n}\n"
        "#else\nstatic void turn(struct mill *m)\n{\n\t%s\n}\n#endif\n"
    )
    assert examined(both % "mutex_lock(&m->lock);", both % "") == (
        Decision.COMMENT,
        [Unread(file=FILE, function="turn")],
    )
    assert examined(both % "m->a = 3;", both % "") == (Decision.ACK, [])


@pytest.mark.parametrize(
    "after",
    [
        body("m->turns = 2;"),
        body("if (m->turns)\n\t\tm->turns = 2;\n#ifdef CONFIG_MILL\n\tm->stops = 1;\n#else\n\tm->stops = 2;\n#endif"),
        BASE + "\nMILL_TABLE(a, b)\nMILL_WORD another_word @@\n",
        BASE + "\n#define TURN(m) do { \\\n\tif ((m)->turns { \\\n} while (0)\n",
        BASE + "\n#if 0\nstatic void never(void)\n{\n\tif (\n}\n#endif\n",
        BASE
        + "\nstruct mill_other {\n\tint a;\n};\n\nstatic const struct mill_other others[] = {\n\t{ .a = 1 },\n};\n",
        BASE + "\nSYSCALL_DEFINE1(mill, int, turns)\n{\n\treturn turns;\n}\n",
        BASE
        + "\nstatic int __init one(void) { return 0; }\nint __must_check\ntwo(int a,\n    int b)\n\t__must_hold(&x)\n{\n}\n",
        BASE.replace("m->turns++;", "m->turns--;"),
    ],
)
def test_ordinary_code_and_odd_lines_outside_of_functions_are_acked(after: str) -> None:
    assert examined(after) == (Decision.ACK, [])


def test_an_unread_function_that_the_change_leaves_alone_does_not_count() -> None:
    torn = body("mutex_lock(&m->lock) @@ $ is gone;")
    assert examined(torn.replace("m->turns++;", "m->turns--;"), torn) == (Decision.ACK, [])


HOSTILE = """
import resource
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
from reviewbot.csource import definitions
from reviewbot.csource.ir import Function, TranslationUnit, Type
from reviewbot.detect.unread import Functions, Lines, _was_read
for text in (
    b"x" + b")" * 500_000,
    b"struct a " + b"__b()" * 90 + b"X {\\n" * 2000,
    b"int f(void)\\n{\\n}\\n" * 100_000,
    b"#ifdef A\\n" * 100_000 + b"x\\n" * 200_000,
    b"a(b\\n" * 200_000 + b"{\\n",
    (b"a" + b" )" * 240 + b"\\n") * 5000,
):
    definitions.written(text)
    definitions.unmatched(text)
made = [Function(f"f{n}", 3 * n + 1, 3 * n + 3, Type("int"), (), (), ()) for n in range(50_000)]
functions, changed = Functions(TranslationUnit(functions=tuple(made))), Lines(range(1, 150_001))
for one in definitions.written(b"".join(b"int f%d(void)\\n{\\n}\\n" % n for n in range(50_000))):
    assert changed.within(one.line, one.end) and _was_read(one, functions)
"""


def test_hostile_text_is_looked_through_in_bounded_time() -> None:
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")


def test_functions_by_their_layout() -> None:
    text = b"int a(void)\n{\n}\n\nstruct b {\n};\n\nstatic c(\n\tint x)\n{\n\tif (x)\n\t\tgo();\n\nint d(void) {\n}\n"
    found = [(one.name, one.line, one.end, *one.calls) for one in definitions.written(text)]
    assert found == [("a", 1, 3), ("c", 8, 13, "go"), ("d", 14, 15)]
    assert definitions.unmatched(b"#if A\n#else\n#endif\n#endif\n#ifdef B\n#elif C\n") == [4, 5]


def test_a_function_behind_one_that_swallows_it() -> None:
    """An unbalanced bracket takes the functions after it along; what the patch changes is read by itself."""
    broken = BASE.replace(
        "static void last", "static void odd(void)\n{\n\tgo(" + "(" * 100 + ";\n}\n\nstatic void last"
    )
    changed = broken.replace("static void last(struct mill *m)\n{\n", "static void last(struct mill *m)\n{\n\tgo();\n")
    assert changed != broken
    assert examined(changed, broken) == (Decision.ACK, [])


def test_outermost_conditionals_by_their_lines() -> None:
    from reviewbot.csource.definitions import conditionals

    assert conditionals(b"a\n#if A\n#ifdef B\nb\n#endif\n#else\nc\n#endif\nd\n") == [(2, 8)]
    assert conditionals(b"#endif\n#if A\nb\n#endif\n#if C\nd") == [(2, 4), (5, 6)]
    assert conditionals(b"") == []
