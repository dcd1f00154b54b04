"""Totals: the right counts, and nothing of any case on either stream, in the JSON or through what goes wrong."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import checking
import pytest
from checking import CODE, innocent

from reviewbot import cli, precision, review
from reviewbot.bench import backtest, totals, totals_table
from reviewbot.bench.backtest import Labelled
from reviewbot.bench.totals import Ruled, Totals, TotalsGroup
from reviewbot.faults import fault
from reviewbot.types import Fault

SECRET = "s3cr3t"
"""Stands in all that an index, a path, a patch or an exception says of a case."""


class Index:
    """An index of two cases that are not the same, and of as many more as a test wants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / SECRET
        self.folder.mkdir()
        lost = checking.case("wq-mem-reclaim/lost-flag")
        self.tree = checking.case_repository(self.folder / "lost", lost)
        self.mill = checking.repository(self.folder / "mill", {checking.FILE: CODE})
        self.rows: list[dict[str, Any]] = []
        self.lost = lost.patch.replace("Subject: ", f"Subject: {SECRET} ")
        self.add("lost", "deadlock", self.lost, "lost", files=["drivers/md/dm-sieve.c"])
        self.add("kept", "clean", innocent(3), "mill", files=["net/core/sock.c"])

    def add(self, name: str, label: str, patch: str, tree: str, **more: object) -> None:
        (self.folder / f"{name}.patch").write_text(patch)
        row = {"id": f"{SECRET}/{name}", "patch": f"{name}.patch", "tree": tree, "label": label, "class": "rescuer"}
        self.rows.append(row | {"why": SECRET} | more)
        self.file.write_text("".join(json.dumps(row) + "\n" for row in self.rows))

    @property
    def file(self) -> Path:
        return self.folder / "index.jsonl"

    @property
    def out(self) -> Path:
        return self.folder / "out.json"

    def argv(self, *more: str, workers: int = 1) -> list[str]:
        trees = ["--tree", f"lost={self.tree}", "--tree", f"mill={self.mill}"]
        return ["backtest", "--totals", str(self.file), *trees, "--workers", str(workers), *more]

    def run(self, *more: str, workers: int = 1) -> int:
        return cli.run(self.argv("--json", str(self.out), *more, workers=workers))

    def found(self) -> dict[str, Any]:
        value = json.loads(self.out.read_bytes())
        assert isinstance(value, dict)
        return value


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    monkeypatch.setenv("COLUMNS", "160")
    return Index(tmp_path)


@pytest.fixture
def quiet(index: Index, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """After the test: nothing of a case was said anywhere, by this process or by another."""
    yield
    out, err = capfd.readouterr()
    written = index.out.read_text() if index.out.exists() else ""
    words = [SECRET, "dm-sieve", "dm-mill", "sieve", "drivers/md", "lost", "kept", "index.jsonl", ".patch"]
    for text in (out.replace(str(index.out), ""), err, written):
        assert [word for word in words if word in text] == []


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("workers", [1, 2])
def test_counts_by_label_class_rule_and_place(index: Index, workers: int) -> None:
    index.add("wrong", "clean", index.lost, "lost", files=["fs/x.c", "net/y.c"])
    index.add("low", "clean", index.lost, "lost", files=["net/y.c"], confidence="low")
    index.add("leaks", "deadlock", index.lost, "lost", files=["mm/z.c"], comment_leak=True)
    index.add("leaks-clean", "clean", innocent(4), "mill", files=["mm/z.c"], comment_leak=True)
    index.add("bad", "fix", "no patch", "mill", **{"class": f"{SECRET} 1"})
    index.add("strange", SECRET, innocent(5), "mill", files=["mm/z.c"])
    assert index.run(workers=workers) == 1
    found = index.found()
    assert found["cases"] == 8
    assert 0 < found["longest"] <= found["seconds"]
    sections = {s["where"]: s for s in found["sections"]}
    assert (sections["core"]["recall"]["count"], sections["core"]["recall"]["of"]) == (1, 1)
    assert (sections["rest"]["recall"]["of"], sections["rest"]["recall"]["share"]) == (0, None)
    assert {w: (s["wrong_nacks"]["count"], s["wrong_nacks"]["of"]) for w, s in sections.items()} == {
        "all": (1, 4),
        "core": (1, 2),
        "rest": (0, 2),
    }
    assert sections["all"]["unreviewed"] == 1
    rows = {(r["where"], r["label"], r["class"]): r for r in found["classes"]}
    assert rows.keys() == {
        ("core", "deadlock", "rescuer"),
        ("core", "clean", "rescuer"),
        ("rest", "clean", "rescuer"),
        ("rest", "fix", "other"),
        ("core", "other", "rescuer"),
    }
    assert (rows["core", "clean", "rescuer"]["nack"], rows["core", "clean", "rescuer"]["ack"]) == (1, 1)
    assert [(a["why"], a["where"], a["label"], a["nack"]) for a in found["apart"]] == [
        ("a comment tells", "core", "deadlock", 1),
        ("low confidence", "rest", "clean", 1),
    ]
    assert found["rules"] == [{"where": "core", "rule": "wq-mem-reclaim", "right": 1, "wrong": 1, "fix": 0}]
    assert found["faults"] == []
    stages = {(r["where"], r["stage"]): (r["deadlock"], r["clean"], r["fix"]) for r in found["stages"]}
    assert stages["core", "nack"] == (1, 1, 0)
    assert {stage: n for stage, n in found["funnel"][0].items() if n} == {"class": "rescuer", "nack": 1}
    assert len(found["funnel"]) == 1


def crash(*_: object, **__: object) -> None:
    """Fails as loudly as can be: on the streams, in a log, in a child, in the exception and its cause."""
    print(SECRET)
    print(SECRET, file=sys.stderr)
    os.write(1, SECRET.encode())
    os.write(2, SECRET.encode())
    logging.getLogger(SECRET).error(SECRET)
    subprocess.run([sys.executable, "-c", f"print('{SECRET}'); raise ValueError('{SECRET}')"], check=False)
    try:
        {}[SECRET]
    except KeyError as error:
        raise ZeroDivisionError(SECRET) from error


@pytest.mark.usefixtures("quiet")
def test_a_crash_is_a_fault_with_its_type_and_our_line(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "examine", crash)
    assert index.run() == 0
    [found] = index.found()["faults"]
    assert (found["rule"], found["type"], found["count"]) == (None, "ZeroDivisionError", 2)
    file, _, line = found["at"].partition(":")
    assert file == "reviewbot/review.py"  # not the test's: that is no code of ours
    assert "examine(" in (checking.ROOT / file).read_text().splitlines()[int(line) - 1]
    assert [s["faults"] for s in index.found()["sections"]] == [2, 1, 1]


@pytest.mark.usefixtures("quiet")
def test_a_rule_that_crashes_is_named_and_the_others_count(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    from heuristics.lock_order import LockOrder

    monkeypatch.setattr(LockOrder, "candidates", crash)
    assert index.run() == 0
    [found] = index.found()["faults"]
    assert (found["rule"], found["type"], found["count"]) == ("lock-order", "ZeroDivisionError", 2)
    assert found["at"].startswith("reviewbot/review.py:")
    verdicts = {r["label"]: (r["nack"], r["comment"], r["fault"]) for r in index.found()["labels"]}
    assert verdicts == {"deadlock": (1, 0, 0), "clean": (0, 1, 0)}


def ends(cases: list[Labelled], *_: object) -> Iterator[Totals]:
    """Ends its process at one of the cases."""
    for case in cases:
        if "lost" in case.id:
            os.write(2, SECRET.encode())
            os._exit(3)
        yield totals.counted(totals.group(case), lambda: review.Examined((), (), (), (), ()))


@pytest.mark.usefixtures("quiet")
def test_a_process_that_ends_takes_no_other_case_with_it(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "_score_all", ends)
    assert index.run(workers=2) == 0
    [found] = index.found()["faults"]
    assert (found["rule"], found["type"], found["at"], found["count"]) == (None, "WorkerEnded", None, 1)
    assert {r["label"]: (r["ack"], r["fault"]) for r in index.found()["labels"]} == {
        "deadlock": (0, 1),
        "clean": (1, 0),
    }


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("workers", [1, 2])
def test_what_ends_all_of_it_is_one_line_without_a_message(
    index: Index, workers: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REVIEWBOT_DEBUG", "1")
    monkeypatch.setattr(backtest, "chunks", crash)
    assert index.run(workers=workers) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("reviewbot: the cases could not be scored: ZeroDivisionError at reviewbot/bench/totals.py:")
    assert err.count("\n") == 1
    assert not index.out.exists()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f'{{"id": "{SECRET}"}}', "line 3 of the index is no labelled case"),
        (SECRET, "line 3 of the index is no labelled case"),
        (
            f'{{"id": "{SECRET}", "patch": "x", "tree": "{SECRET}", "label": "fix"}}',
            "1 cases are of a tree that no --tree names",
        ),
    ],
)
def test_an_index_that_is_wrong(index: Index, line: str, says: str, capfd: pytest.CaptureFixture[str]) -> None:
    with index.file.open("a") as file:
        file.write(line + "\n")
    assert index.run() == 2
    assert capfd.readouterr().err == f"reviewbot: {says}\n"


def test_wrong_use(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    assert index.run("--only", "lost") == 2
    assert "--only and --totals: " in capsys.readouterr().err
    assert cli.run(["backtest", "--totals"]) == 2
    assert "name an index of labelled cases" in capsys.readouterr().err
    assert cli.run(["backtest", "--totals", str(index.folder / "none.jsonl")]) == 2
    assert "cannot read the index" in capsys.readouterr().err


@pytest.mark.usefixtures("quiet")
def test_a_flood_by_totals(index: Index, tmp_path: Path) -> None:
    case = checking.case("wq-mem-reclaim/lost-flag")
    [(path, text)] = case.files
    new = checking.repository(tmp_path / "new", {path: text.replace("WQ_MEM_RECLAIM | WQ_HIGHPRI", "WQ_HIGHPRI")})
    argv = ["backtest", "--totals", "--flood", str(index.tree), str(new), "--workers", "1", "--json", str(index.out)]
    assert cli.run(argv) == 0
    [row] = index.found()["classes"]
    assert (row["where"], row["label"], row["class"], row["nack"]) == ("core", "merged", "flood", 1)
    assert index.found()["rules"] == []  # of a merged change nobody knows whether a NACK is right


def test_the_tables(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    assert index.run() == 0
    out = capsys.readouterr().out
    assert "core: NACKed deadlocks 1 of 1 = 100% (21% to 100%); NACKed or commented 1 of 1" in out
    assert "wrong NACKs 0 of 1 = 0% (0% to 79%)" in out
    assert all(title in out for title in ("by label", "by class", "by rule"))
    assert "counted apart" not in out


def test_totals_for_the_record(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "file", lambda: index.folder / "precision.json")
    precision.load.cache_clear()
    try:
        assert index.run("--record", "blind") == 0
        assert json.loads(precision.file().read_bytes()) == {"blind": {"wq-mem-reclaim": {"right": 1, "wrong": 0}}}
    finally:
        precision.load.cache_clear()


def test_a_fix_that_is_recognised_counts_once() -> None:
    found, fix = Totals(), TotalsGroup(True, "fix", "rescuer")
    found.verdicts[fix, "ack"], found.fixes[fix], found.seconds[fix] = 2, 1, 0.5
    value = totals_table.as_json(found)
    assert value["apart"] == []
    [row] = value["labels"]
    assert (row["cases"], row["ack"], row["fixes"], row["seconds"]) == (2, 2, 1, 0.5)


def test_figures_of_a_rule_are_those_of_both_places() -> None:
    found = Totals()
    found.rules.update({Ruled(True, "a", "right"): 2, Ruled(False, "a", "right"): 1, Ruled(False, "a", "wrong"): 3})
    found.rules.update({Ruled(True, "b", "fix"): 1})
    assert totals_table.by_rule(found) == [("a", 3, 3), ("b", 0, 0)]


@pytest.mark.parametrize(
    ("files", "core"),
    [
        (("block/a.c",), True),
        (("net/a.c", "drivers/nvme/host/a.c"), True),
        (("drivers/ufs/core/a.c",), True),
        (("io_uring/a.c",), True),
        (("lib/sbitmap.c",), True),
        (("lib/a.c", "drivers/mmc/block/a.c"), False),
        (("arch/x86/mm/a.c",), False),
        ((), False),
    ],
)
def test_what_is_core(files: tuple[str, ...], core: bool) -> None:
    case = Labelled(id="x", patch="x", tree="x", label="clean", cls="lock-order", files=files)
    assert totals.group(case) == TotalsGroup(core, "clean", "lock-order")


def test_a_fault_is_the_innermost_line_of_ours() -> None:
    with pytest.raises(ValueError, match="seven") as raised:
        int("seven")
    assert fault(raised.value) == Fault("ValueError")
    with pytest.raises(TypeError) as raised_here:
        precision.interval("x", "y")  # type: ignore[arg-type]
    assert fault(raised_here.value, "a-rule").at.startswith("reviewbot/precision.py:")
    assert fault(raised_here.value, "a-rule").rule == "a-rule"


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0), (17, 100, 0.109, 0.255), (1, 2, 0.095, 0.905)],
)
def test_intervals(count: int, of: int, low: float, high: float) -> None:
    """As tables of Wilson's interval have them."""
    found = precision.interval(count, of)
    assert found == pytest.approx((low, high), abs=0.0006)


def test_no_interval_without_a_case() -> None:
    assert precision.interval(0, 0) is None
