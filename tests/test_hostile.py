"""Hostile patches end in bounded time, and only the monster in them is not read: whole checks in processes of their own.

The cases are those of `benchmarks/hostile.py`, which has more of them and measures. No clock is looked at: a check that
takes more processor time or memory than it may is killed by the kernel.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hostile
import pytest

from reviewbot.csource.lower import lower
from reviewbot.limits import MAX_EXPRESSION_DEPTH, MAX_FUNCTION_STEPS, MAX_LOCKS_OF_FUNCTION, MAX_STATEMENT_NESTING

BESIDE = (
    "string-unterminated",
    "locks-nested",
    "locks-if-else",
    "gotos",
    "structs-nested",
    "ifdefs",
    "ring",
    "garbage",
)
"""Cases with a monster beside a deadlock that has to be found all the same, at their full size."""


@pytest.mark.parametrize("name", [*BESIDE, "from-lines-in-body"])
def test_a_monster_is_bounded_and_the_rest_is_reviewed(name: str, tmp_path: Path) -> None:
    ran = hostile.run(name, hostile.size_of(name), tmp_path)
    assert ran.code == 1, (ran.code, ran.out[:500], ran.error[:500])  # nack; killed by a signal it is negative
    assert ran.found, ran.out[:500]
    assert ran.megabytes < hostile.MEGABYTES


def test_a_mail_of_from_lines_is_one_clear_line(tmp_path: Path) -> None:
    ran = hostile.run("from-lines", hostile.size_of("from-lines"), tmp_path)
    assert ran.code == 4
    assert "holds no patch" in ran.line
    assert (ran.out + ran.error).count("\n") == 1


def test_a_shell_with_limits_of_its_own_can_check(tmp_path: Path) -> None:
    tree = hostile.repository(tmp_path)
    before, after = hostile.driver("asm", 1)
    (tmp_path / "patch.eml").write_text(hostile.MAIL + hostile.LETTER + hostile.diff(before, after))
    check = f"{sys.executable} -c 'from reviewbot.cli import main; main()' check patch.eml --tree {tree}"
    command = ["sh", "-c", f"ulimit -t 300; ulimit -v 1000000; exec {check} --from 'A <a@example.org>'"]
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(hostile.ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr


def unread(code: str) -> list[str]:
    """Functions of a driver with `code` in it that are not read."""
    return [f.name for f in lower((hostile.HEAD + code + hostile.TAIL).encode()).functions if f.unreadable]


def locks(count: int) -> str:
    return hostile.function(hostile.each(count, "\tmutex_lock(&d->l%);"))


@pytest.mark.parametrize(
    ("just", "more"),
    [
        (locks(MAX_LOCKS_OF_FUNCTION), locks(MAX_LOCKS_OF_FUNCTION + 1)),
        (
            hostile.function("\tf(d);\n" * (MAX_FUNCTION_STEPS - 20)),
            hostile.function("\tf(d);\n" * (MAX_FUNCTION_STEPS + 1)),
        ),
        (
            hostile.function("{" * (MAX_STATEMENT_NESTING - 2) + "f(d);" + "}" * (MAX_STATEMENT_NESTING - 2)),
            hostile.function("{" * (MAX_STATEMENT_NESTING + 1) + "f(d);" + "}" * (MAX_STATEMENT_NESTING + 1)),
        ),
        (
            hostile.function(
                "\ti = " + "f(" * (MAX_EXPRESSION_DEPTH - 2) + "a" + ")" * (MAX_EXPRESSION_DEPTH - 2) + ";"
            ),
            hostile.function(
                "\ti = " + "f(" * (MAX_EXPRESSION_DEPTH + 1) + "a" + ")" * (MAX_EXPRESSION_DEPTH + 1) + ";"
            ),
        ),
    ],
    ids=["locks", "steps", "statements", "expressions"],
)
def test_a_function_beyond_a_limit_is_not_read_and_only_it(just: str, more: str) -> None:
    assert unread(just) == []
    assert unread(more) == ["depot_monster"]


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_literal_that_nothing_ends_is_an_error_in_its_function_only(quote: str) -> None:
    assert unread(hostile.function(f"\ti = {quote}abc;")) == ["depot_monster"]


def test_a_chain_of_else_if_is_as_long_as_it_likes() -> None:
    chain = hostile.each(2 * MAX_STATEMENT_NESTING, "\tif (a == %)\n\t\ti = %;\n\telse") + ";"
    assert unread(hostile.function(chain)) == []


def test_structs_in_structs_are_read_as_deep_as_a_limit() -> None:
    unit = lower((hostile.nested(5_000) + "struct after {\n\tint x;\n};\n").encode())
    names = {struct.name for struct in unit.structs}
    assert {"n0", "n10", "after"} <= names
    assert len(names) < 100


@pytest.mark.parametrize("name", [n for n in hostile.CODE if n not in ("line-of-words",)])
def test_every_kind_of_monster_is_read_without_an_exception(name: str) -> None:
    before, after = hostile.driver(name, max(20, hostile.size_of(name) // 50))
    read = {f.name for f in lower(after.encode()).functions if not f.unreadable}
    assert {"depot_reset", "depot_message", "depot_fill"} <= read
    assert lower(before.encode()).errors == 0
