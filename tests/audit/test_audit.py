"""`reviewbot audit` and `reviewbot index` on small trees: what is found without a patch, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reviewbot import cli
from reviewbot.audit.file import as_new, audited, auditing
from reviewbot.audit.findings import findings
from reviewbot.audit.run import c_files, folders, indexed
from reviewbot.gittree.source import MemorySource
from reviewbot.gittree.tree import Tree
from reviewbot.types import Outcome, ReviewError
from tests.checking import repository

HEADER = """#include <linux/mutex.h>
struct lamp {
\tstruct mutex bulb;
\tstruct mutex shade;
\tspinlock_t glow;
};
void lamp_dim(struct lamp *l);
"""
ONE = """#include "lamp.h"

void lamp_light(struct lamp *l)
{
\tmutex_lock(&l->bulb);
\tmutex_lock(&l->shade);
\tmutex_unlock(&l->shade);
\tmutex_unlock(&l->bulb);
}
"""
OTHER = """#include "lamp.h"

void lamp_dim(struct lamp *l)
{
\tmutex_lock(&l->shade);
\tmutex_lock(&l->bulb);
\tmutex_unlock(&l->bulb);
\tmutex_unlock(&l->shade);
}
"""
ATOMIC = """#include "lamp.h"

void lamp_blink(struct lamp *l)
{
\tspin_lock(&l->glow);
\tmsleep(5);
\tspin_unlock(&l->glow);
}
"""
FINE = """#include "lamp.h"

void lamp_off(struct lamp *l)
{
\tmutex_lock(&l->bulb);
\tmutex_unlock(&l->bulb);
}
"""
FILES = {
    "drivers/lamp/lamp.h": HEADER,
    "drivers/lamp/one.c": ONE,
    "drivers/lamp/other.c": OTHER,
    "drivers/lamp/atomic.c": ATOMIC,
    "drivers/lamp/fine.c": FINE,
    "lib/fine.c": FINE.replace('"lamp.h"', '"../drivers/lamp/lamp.h"'),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two deadlocks."""
    return repository(tmp_path_factory.mktemp("lamps"), FILES)


def _source() -> MemorySource:
    return MemorySource({path: text.encode() for path, text in FILES.items()})


def test_both_ends_of_a_deadlock_are_one_finding() -> None:
    files = [audited(path, _source()) for path in ("drivers/lamp/one.c", "drivers/lamp/other.c")]
    assert [[v.finding.rule for v in file.verdicts] for file in files] == [["lock-order"], ["lock-order"]]
    (found,) = findings(files, "0" * 40)
    assert found.verdict.outcome is Outcome.CONFIRMED
    assert found.verdict.finding.at.file == "drivers/lamp/one.c"
    assert [other.finding.at.file for other in found.also] == ["drivers/lamp/other.c"]


def test_a_file_without_deadlock_has_no_finding() -> None:
    assert audited("drivers/lamp/fine.c", _source()).verdicts == ()


def test_only_rules_that_need_no_other_side_are_asked() -> None:
    assert {"lock-order", "recursive-lock", "sleep-in-atomic"} <= set(auditing())
    assert {"gfp-weakened", "waits-unseen", "left-undone"}.isdisjoint(auditing())
    assert audited("drivers/lamp/atomic.c", _source(), ("lock-order",)).verdicts == ()


def test_the_change_of_a_file_has_all_its_lines() -> None:
    change = as_new("drivers/lamp/fine.c", _source())
    assert [sorted(file.added()) for file in change.files] == [list(range(1, FINE.count("\n") + 2))]
    assert as_new("drivers/lamp/none.c", _source()).files == ()


def test_files_and_folders_are_named_as_the_tree_has_them() -> None:
    source = _source()
    assert c_files(source, ["lib/fine.c", "drivers/", "lib"]) == [
        "lib/fine.c",
        *(f"drivers/lamp/{name}.c" for name in ("atomic", "fine", "one", "other")),
    ]
    assert [len(group) for group in folders(c_files(source, ["lib", "drivers"]))] == [4, 1]
    for name in ("drivers/lamp/lamp.h", "nowhere"):
        with pytest.raises(ReviewError, match=name):
            c_files(source, [name])


def test_the_command_tells_schedules_and_keeps_them(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["audit", "drivers", str(tree / "lib/fine.c"), "--tree", str(tree), "--workers", "1"]) == 1
    out = capsys.readouterr().out
    assert "1. confirmed: drivers/lamp/atomic.c:6: lamp_blink() calls msleep() with l->glow held" in out
    assert "2. confirmed: drivers/lamp/one.c:6: lamp_light() takes l->shade under l->bulb" in out
    assert "   also confirmed: drivers/lamp/other.c:6: lamp_dim() takes l->bulb under l->shade" in out
    assert "lamp_light() to release l->bulb - deadlock." in " ".join(out.split())
    assert out.endswith("5 files: 2 deadlocks, 0 comments, 0 too doubtful to be shown\n")
    name = out.partition("reviewbot explain ")[2][:8]
    assert cli.run(["explain", name, "--no-replay"]) == 0
    told = capsys.readouterr().out
    assert "drivers/lamp/atomic.c:6 in lamp_blink(): msleep(5);" in told


def test_terse_is_a_line_a_finding(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["audit", "drivers", "--tree", str(tree), "--workers", "1", "--terse", "--most", "1"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("drivers/lamp/atomic.c:6: deadlock: lamp_blink() calls msleep()")
    assert line.endswith("[sleep-in-atomic]")


def test_json_has_the_findings_of_check(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["audit", "drivers/lamp/one.c", "lib", "--tree", str(tree), "--workers", "2", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == 1
    assert told["base"] == {"commit": Tree.open(tree).resolve("HEAD")}
    (finding,) = told["findings"]
    assert (finding["rule"], finding["file"], finding["line"], finding["patch"]) == (
        "lock-order",
        "drivers/lamp/one.c",
        6,
        None,
    )
    assert finding["trace"]
    assert finding["knot"]
    assert not finding["also"]
    assert [file["file"] for file in told["files"]] == ["drivers/lamp/one.c", "lib/fine.c"]


def test_nothing_found_is_zero(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["audit", "lib", "--tree", str(tree), "--workers", "1"]) == 0
    assert capsys.readouterr().out == "1 file: 0 deadlocks, 0 comments, 0 too doubtful to be shown\n"


def test_a_file_that_cannot_be_audited_is_told_and_is_a_fault(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no such bulb")

    monkeypatch.setattr("reviewbot.review.examine", fails)
    assert cli.run(["audit", "lib", "--tree", str(tree), "--workers", "1"]) == 5
    assert "not audited: lib/fine.c: RuntimeError" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["drivers", "--rule", "gfp-weakened"], "no rule gfp-weakened that can audit"),
        (["nowhere"], "nowhere is no C file of the tree"),
        (["drivers", "--terse", "--json"], "choose one of them"),
        (["drivers", "--base", "no-such"], "no-such"),
    ],
)
def test_wrong_use_is_one_line(tree: Path, args: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["audit", *args, "--tree", str(tree)]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_the_index_says_what_it_holds(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["index", "drivers", "lib", "--tree", str(tree), "--workers", "1"]) == 0
    assert capsys.readouterr().out == (
        "5 files in 2 folders, 5 functions; the largest cycle of calls has 1 of them (drivers/lamp); "
        "of 0 not all effects are known\n"
    )
    each = {one.folder: one for one in indexed(["lib/fine.c"], tree, "HEAD", 1)}
    assert (each["lib"].files, each["lib"].functions, each["lib"].fault) == (1, 1, "")
