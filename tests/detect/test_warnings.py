"""Comments that warn of a deadlock and are gone."""

from __future__ import annotations

import pytest

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.warnings import gone
from reviewbot.types import Change, FileChange, Hunk, Line

FILE = "drivers/md/small.c"
CODE = "int run(int a)\n{{\n{0}\treturn a;\n}}\n"


def found(taken: list[str], written: list[str], body: str = "") -> list[str]:
    """What is quoted where a patch takes some lines of a function away and writes others."""
    before = CODE.format("".join(f"{line}\n" for line in taken) + body)
    after = CODE.format("".join(f"{line}\n" for line in written) + body)
    old, new = (Program.of_units({FILE: lower(text.encode())}) for text in (before, after))
    lines = [Line("-", line, 3 + n, 0) for n, line in enumerate(taken)]
    lines += [Line("+", line, 0, 3 + n) for n, line in enumerate(written)]
    change = Change(base="", how="given", files=(FileChange(FILE, FILE, "1", "2", (Hunk(tuple(lines)),)),))
    return [one.text for one in gone(change, old, new)]


WARNING = ["\t/*", "\t * With the lock held this would deadlock.", "\t */"]


def test_a_warning_that_goes_with_its_code() -> None:
    assert found([*WARNING, "\ta++;"], ["\ta--;"]) == ["With the lock held this would deadlock."]


def test_a_warning_that_goes_alone() -> None:
    assert found(WARNING, []) == []


def test_a_warning_that_is_moved_or_reworded() -> None:
    assert found([*WARNING, "\ta++;"], ["\t/* This would deadlock with the lock held. */", "\ta--;"]) == []


@pytest.mark.parametrize(
    "comment",
    [
        "/* Avoid an AB-BA of the two. */",
        "/* We cannot sleep here. */",
        "// lockdep does not like it",
        "/* else it waits forever */",
        "/* must not block: the caller has the lock */",
    ],
)
def test_words_that_warn(comment: str) -> None:
    assert len(found([f"\t{comment}", "\ta++;"], ["\ta--;"])) == 1


def test_the_comment_behind_code_is_looked_at_and_not_the_code() -> None:
    assert found(['\tpr_warn("possible deadlock"); /* tell */', "\ta++;"], ["\ta--;"]) == []
    assert found(["\tunlock(a); /* else it would deadlock */"], ["\ta--;"]) == ["else it would deadlock"]


@pytest.mark.parametrize("comment", ["/* counts */", "/* Do not count twice. */", "/* Blocks of a file. */"])
def test_words_that_do_not(comment: str) -> None:
    assert found([f"\t{comment}", "\ta++;"], ["\ta--;"]) == []


def test_a_long_comment_is_cut_around_what_warns() -> None:
    text = found([f"\t/* {'so ' * 100}it would deadlock {'and ' * 100}*/", "\ta++;"], [])[0]
    assert text.startswith("... ")
    assert text.endswith(" ...")
    assert "would deadlock" in text
