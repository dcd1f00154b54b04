"""Scoring: an index of our own cases, from the command line to the tables, and files of one tree put on another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checking
import msgspec
import pytest
from checking import CODE, FILE, diff, innocent, mail

from reviewbot import cli, precision
from reviewbot.bench import backtest, journal, tables
from reviewbot.bench.backtest import Labelled, Scored, Spoken
from reviewbot.types import Finding, Outcome, Place, ReviewError, Trace, Verdict

Capture = pytest.CaptureFixture[str]
CASES = {
    "lost": ("wq-mem-reclaim/lost-flag", "deadlock"),
    "beside": ("wq-mem-reclaim/queue-beside-the-io-path", "clean"),
    "restored": ("wq-mem-reclaim/restored-flag", "fix"),
}


class Bench:
    """A folder with an index, patches, and a repository for each tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = folder / "index.jsonl"
        self.rows: list[dict[str, Any]] = []
        self.trees: dict[str, Path] = {}

    def add(self, id_: str, label: str, patch: str, tree: str, **more: Any) -> None:
        (self.folder / f"{id_}.patch").write_text(patch)
        self.rows.append({"id": id_, "label": label, "class": "rescuer", "patch": f"{id_}.patch", "tree": tree, **more})
        self.index.write_text("".join(json.dumps(row) + "\n" for row in self.rows))

    def argv(self, *more: str) -> list[str]:
        bound = [word for name, path in self.trees.items() for word in ("--tree", f"{name}={path}")]
        return ["backtest", str(self.index), *bound, "--workers", "1", *more]


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trees")
    made = {name: checking.case_repository(folder / name, checking.case(case)) for name, (case, _) in CASES.items()}
    return made | {"mill": checking.repository(folder / "mill", {FILE: CODE})}


@pytest.fixture
def bench(tmp_path: Path, trees: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path)
    made.trees = trees
    for name, (case, label) in CASES.items():
        made.add(name, label, checking.case(case).patch, name, why=f"why {name}")
    monkeypatch.setenv("COLUMNS", "160")
    return made


def test_right_answers(bench: Bench, capsys: Capture) -> None:
    assert cli.run(bench.argv("--json", str(bench.folder / "out.json"))) == 0
    out = capsys.readouterr().out
    assert "NACKed, and should not be" not in out
    assert "deadlocks that passed" not in out
    assert "3 cases, 1 NACKs; seconds a case: median " in out
    found = json.loads((bench.folder / "out.json").read_bytes())
    assert found.keys() == {
        *("schema", "cases", "classes", "rules"),
        *("sets", "subsystems", "trees", "kinds", "apart", "funnel", "curve"),
    }
    assert [case["id"] for case in found["cases"]] == ["beside", "lost", "restored"]
    for case in found["cases"]:
        assert {"id", "label", "class", "verdict", "rules", "seconds"} <= case.keys()
        assert case["seconds"] > 0
    verdicts = {case["id"]: (case["verdict"], case["rules"]) for case in found["cases"]}
    assert verdicts["lost"] == ("nack", ["wq-mem-reclaim"])
    assert verdicts["beside"] == ("ack", [])
    assert verdicts["restored"] == ("ack", [])
    [row] = [row for row in found["rules"] if row["name"] == "wq-mem-reclaim"]
    assert (row["found"], row["wrong"], row["fixes"], row["precision"]) == (1, 0, 1, 1.0)
    assert [row["name"] for row in found["classes"]] == ["deadlock: rescuer", "clean: rescuer", "fix: rescuer"]


def test_wrong_answers_are_listed(bench: Bench, capsys: Capture) -> None:
    """The same answers under labels that they do not fit."""
    for row in bench.rows:
        row["label"] = {"lost": "clean", "beside": "deadlock", "restored": "fix"}[row["id"]]
    gone = diff("x\n", "y\n", "drivers/md/gone.c")
    bench.add("gone", "deadlock", mail(gone), "mill")
    bench.add("empty", "clean", "", "mill")
    assert cli.run(bench.argv()) == 1
    out = capsys.readouterr().out
    nacked, _, rest = out.partition("NACKed, and should not be:")[2].partition("deadlocks that passed:")
    passed, _, unreviewed = rest.partition("faults and unreviewed:")
    assert "  lost [rescuer] nack" in nacked
    assert "confirmed: drivers/md/dm-sieve.c:83: " in nacked
    assert [line.split()[0] for line in passed.splitlines() if line.startswith("  ") and "[rescuer]" in line] == [
        "beside",
        "gone",
    ]
    assert "  gone [rescuer] unreviewed does not apply to" in unreviewed
    assert "  empty [rescuer] unreviewed empty" in unreviewed


def test_only_some(bench: Bench, capsys: Capture) -> None:
    assert cli.run(bench.argv("--only", "^restored|beside")) == 0
    assert "2 cases, 0 NACKs" in capsys.readouterr().out
    assert cli.run(bench.argv("--only", "no such case")) == 0
    assert "0 cases, 0 NACKs" in capsys.readouterr().out


def test_a_patch_that_is_applied_first(bench: Bench, capsys: Capture) -> None:
    later = CODE.replace("return 3;", "return 3 + 0;")
    (bench.folder / "first.patch").write_text(innocent(3))
    change = mail(diff(later, later.replace("return 3 + 0;", "return 3 + 1;")))
    bench.add("later", "clean", change, "mill", base_patch="first.patch")
    bench.add("alone", "clean", change, "mill")
    bench.add("lost-first", "clean", change, "mill", base_patch="gone.patch")
    cases = {case.id: case for case in backtest.read_index(bench.index)}
    with backtest.opener(bench.trees) as opened:
        said = {name: backtest.score(cases[name], bench.folder, opened) for name in ("later", "alone", "lost-first")}
    assert {name: scored.verdict for name, scored in said.items()} == {
        "later": "ack",
        "alone": "unreviewed",
        "lost-first": "unreviewed",
    }
    assert "gone.patch" in said["lost-first"].reason


def test_two_processes_say_what_one_says(bench: Bench) -> None:
    cases = backtest.read_index(bench.index)
    runs = [[*backtest.run(cases, bench.folder, bench.trees, workers)] for workers in (1, 2)]
    one, two = ({r.id: msgspec.structs.replace(r, seconds=0.0, megabytes=0) for r in run} for run in runs)
    assert one == two


def test_a_crash_is_counted_and_does_not_end_it(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from reviewbot import review

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no more")

    monkeypatch.setattr(review, "examine", fails)
    assert cli.run(bench.argv()) == 0
    out = capsys.readouterr().out
    assert "faults and unreviewed:" in out
    assert out.count("fault ZeroDivisionError: no more") >= 3


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["{index}"], "no repository for tree beside: name it with --tree beside=PATH"),
        (["{folder}/none.jsonl"], "cannot read the index"),
        (["{folder}/bad.jsonl"], "bad.jsonl:2 is no labelled case: "),
        (["{folder}/binary.jsonl"], "binary.jsonl:1 is no labelled case: "),
        (["{folder}"], "cannot read the index"),
        (["{index}", "--json", "{folder}/none/out.json"], "there is no folder"),
        (["{index}", "--json", "{folder}"], "it is a folder"),
        (["{index}", "--totals", "--json", "{folder}"], "it is a folder"),
        (["{index}", "--json", "{index}/out.json"], "there is no folder"),
        (["{index}", "--compare", "{folder}/binary.jsonl"], "is not what `backtest --json` writes"),
        (["--flood", "{folder}", "{folder}", "--record", "seen"], "--record and --flood: of merged changes"),
        (["{index}", "--totals", "--compare", "x"], "--compare and --totals: which case turned"),
        (["{index}", "--flood", "{folder}", "{folder}"], "an INDEX and --flood"),
        (["{index}", "--compare", "{folder}/none.json"], "cannot read the older results"),
    ],
)
def test_wrong_use(argv: list[str], says: str, bench: Bench, capsys: Capture) -> None:
    good = json.dumps(bench.rows[0])
    (bench.folder / "bad.jsonl").write_text(f'{good}\n{{"id": "x"}}\n')
    (bench.folder / "binary.jsonl").write_bytes(b'{"id": "\xff\xfe"}\n')
    code = cli.run(["backtest", *(word.format(index=bench.index, folder=bench.folder) for word in argv)])
    err = capsys.readouterr().err
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_record(bench: Bench, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "file", lambda: bench.folder / "precision.json")
    precision.load.cache_clear()
    try:
        assert cli.run(bench.argv("--record", "seen")) == 0
        assert f"recorded in {bench.folder}/precision.json" in capsys.readouterr().out
        recorded = json.loads((bench.folder / "precision.json").read_bytes())
        assert recorded["seen"]["wq-mem-reclaim"] == {"right": 1, "wrong": 0}

        precision.record([tables.Row("wq-mem-reclaim", 10, 1, 9)], "blind")  # wrong far too often: it may only comment
        cli.run(bench.argv("--json", str(bench.folder / "out.json")))
        cases = {case["id"]: case for case in json.loads((bench.folder / "out.json").read_bytes())["cases"]}
        assert cases["lost"]["verdict"] == "comment"
        assert cases["lost"]["rules"] == ["wq-mem-reclaim"]  # and is measured all the same
        cli.run(bench.argv("--record", "seen"))
        recorded = json.loads((bench.folder / "precision.json").read_bytes())
        assert recorded["seen"]["wq-mem-reclaim"] == {"right": 1, "wrong": 0}
    finally:
        precision.load.cache_clear()


# --- several sets, and a run that goes on ----------------------------------------------------------------------------


def test_several_sets(bench: Bench, tmp_path: Path, capsys: Capture) -> None:
    """Two indexes with cases of one name are two sets; one patch is found beside each of them."""
    (tmp_path / "more").mkdir()
    second = Bench(tmp_path / "more")
    second.add("lost", "clean", checking.case(CASES["lost"][0]).patch, "lost", files=["drivers/md/dm-sieve.c"])
    out = tmp_path / "out.json"
    assert cli.run([*bench.argv("--json", str(out)), f"other={second.index}"]) == 1
    found = json.loads(out.read_bytes())
    assert {(c["set"], c["id"]): c["verdict"] for c in found["cases"] if c["id"] == "lost"} == {
        (tmp_path.name, "lost"): "nack",
        ("other", "lost"): "nack",
    }
    assert {row["name"]: (row["cases"], row["wrong"]) for row in found["sets"]} == {
        tmp_path.name: (3, 0),
        "other": (1, 1),
    }
    assert [row["name"] for row in found["subsystems"]] == ["md", "core"]
    assert "  other lost [rescuer] nack" in capsys.readouterr().out
    assert cli.run([*bench.argv(), str(bench.index)]) == 2
    assert f"two sets are called {tmp_path.name}: name them, as in first=" in capsys.readouterr().err
    assert cli.run([*bench.argv("--totals"), f"other={second.index}"]) == 2
    assert "take one INDEX" in capsys.readouterr().err


def test_what_turned(bench: Bench, capsys: Capture) -> None:
    out, old = bench.folder / "out.json", bench.folder / "old.json"
    old.write_text('{"cases": [{"id": "lost", "label": "deadlock", "verdict": "ack"}]}')
    assert cli.run(bench.argv("--only", "lost", "--compare", str(old), "--json", str(out))) == 0
    assert "deadlocks that are NACKed now: 1" in capsys.readouterr().out
    [turned] = json.loads(out.read_bytes())["compared"]["turned"]
    assert (turned["id"], turned["was"], turned["now"], turned["way"]) == ("lost", "ack", "nack", "found")


def test_a_run_that_was_stopped_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Of three cases the second one ends everything; the same command does the two that are left, and no other one."""
    out, scored_ = bench.folder / "out.json", list[str]()
    partial = journal.at(out)
    score = backtest.score

    def counting(case: Labelled, *rest: Any) -> Scored:
        if len(scored_) == 1 and not partial.with_suffix(".stopped").exists():
            partial.with_suffix(".stopped").touch()
            raise KeyboardInterrupt
        scored_.append(case.id)
        return score(case, *rest)

    monkeypatch.setattr(backtest, "score", counting)
    assert cli.run(bench.argv("--json", str(out))) not in (0, 1)
    assert (len(scored_), out.exists(), partial.exists()) == (1, False, True)
    with partial.open("a") as file:
        file.write('{"id": "torn", "lab')  # as a kill leaves it
    capsys.readouterr()
    assert cli.run(bench.argv("--json", str(out))) == 0
    assert f"goes on after 1 of 3 results in {partial}" in capsys.readouterr().err
    assert sorted(scored_) == ["beside", "lost", "restored"]
    assert [case["id"] for case in json.loads(out.read_bytes())["cases"]] == ["beside", "lost", "restored"]
    assert not partial.exists()


@pytest.mark.parametrize("change", ["code", "cases", "patch", "arguments"])
def test_a_run_of_something_else_starts_anew(
    change: str, bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out = bench.folder / "out.json"
    cases = backtest.read_sets({bench.folder.name: bench.index})
    run = journal.identity([c.key for c in cases], [bench.index, *backtest.patches(cases)], bench.trees)
    left = journal.Journal(journal.at(out), run)
    assert [*left.keep([scored("beside", "clean", "fault")])]
    more = []
    if change == "code":
        monkeypatch.setattr(journal, "_code", lambda: "other")
    elif change == "cases":
        bench.add("again", "clean", checking.case(CASES["beside"][0]).patch, "beside")
    elif change == "patch":
        with (bench.folder / "lost.patch").open("a") as file:
            file.write("\n")
    else:
        more = ["--only", "beside|lost"]
    assert cli.run(bench.argv("--json", str(out), *more)) == 0
    assert "goes on" not in capsys.readouterr().err
    assert "fault" not in {case["verdict"] for case in json.loads(out.read_bytes())["cases"]}


def test_memory_of_the_process_stands_beside_each_case(bench: Bench, capsys: Capture) -> None:
    out = bench.folder / "out.json"
    assert cli.run(bench.argv("--json", str(out), "--only", "beside")) == 0
    [case] = json.loads(out.read_bytes())["cases"]
    assert 20 < case["megabytes"] < 100_000
    assert f"memory of a process: {case['megabytes']} MB at most" in capsys.readouterr().out


# --- a flood ---------------------------------------------------------------------------------------------------------


def test_files_of_a_later_tree(trees: dict[str, Path], tmp_path: Path, capsys: Capture) -> None:
    case = checking.case("wq-mem-reclaim/lost-flag")
    [(path, text)] = case.files
    new = checking.repository(
        tmp_path / "new", {path: text.replace("WQ_MEM_RECLAIM | WQ_HIGHPRI", "WQ_HIGHPRI"), "drivers/md/new.c": CODE}
    )
    assert backtest.flood_paths(trees["lost"], new, ["drivers/md"]) == [path]
    assert backtest.flood_paths(trees["lost"], trees["lost"], ["drivers/md"]) == []
    argv = ["backtest", "--flood", str(trees["lost"]), str(new), "--path", "drivers/md", "--workers", "1"]
    assert cli.run([*argv, "--json", str(tmp_path / "out.json")]) == 0
    [found] = json.loads((tmp_path / "out.json").read_bytes())["cases"]
    assert (found["id"], found["label"], found["verdict"]) == (path, "merged", "nack")
    assert "1 cases, 1 NACKs" in capsys.readouterr().out


def test_a_flood_goes_on_after_a_fault(trees: dict[str, Path], tmp_path: Path) -> None:
    scored = backtest.flood_one("drivers/md/gone.c", trees["lost"], tmp_path / "nowhere")
    assert (scored.verdict, scored.label) == ("fault", "merged")
    assert scored.reason.startswith("ReviewError: ")


def test_no_rule_crashes_on_a_real_file(kernel_tree: Callable[..., Path]) -> None:
    """It calls inline functions of headers which come into the program with what the change reaches."""
    examined = backtest.flooded("drivers/nvme/host/tcp.c", kernel_tree("6.12"), kernel_tree("7.3"))
    assert examined.faults == ()
    assert examined.failed == ()


# --- tables ----------------------------------------------------------------------------------------------------------


def scored(id_: str, label: str, verdict: str, *said: tuple[str, Outcome, bool], cls: str = "a") -> Scored:
    spoken = tuple(Spoken(rule, outcome.value, "a.c:1", "it hangs", proven=proven) for rule, outcome, proven in said)
    return Scored(id_, label, cls, verdict, 1.0, spoken)


C, F, R, I = Outcome.CONFIRMED, Outcome.FIXED, Outcome.REFUTED, Outcome.INCONCLUSIVE  # noqa: E741
RESULTS = [
    scored("1", "deadlock", "nack", ("x", C, True), ("y", R, False)),
    scored("2", "deadlock", "ack", ("x", R, False)),
    scored("3", "deadlock", "comment", ("y", I, True), cls="b"),
    scored("4", "clean", "nack", ("x", C, True)),
    scored("5", "clean", "unreviewed"),
    scored("6", "fix", "ack", ("y", F, False)),
    scored("7", "fix", "ack"),
    scored("8", "merged", "nack", ("y", C, True), cls="flood"),
]


def test_by_class() -> None:
    rows = {row.name: (row.cases, row.found, row.wrong, row.fixes) for row in tables.by_class(RESULTS)}
    assert rows == {
        "deadlock: a": (2, 1, 0, 0),
        "deadlock: b": (1, 0, 0, 0),
        "clean: a": (2, 0, 1, 0),
        "fix: a": (2, 0, 0, 1),
        "merged: flood": (1, 0, 1, 0),
    }
    assert [row.name for row in tables.by_class(RESULTS)][:2] == ["deadlock: a", "deadlock: b"]


def test_by_rule() -> None:
    rows = {row.name: row for row in tables.by_rule(RESULTS)}
    assert {name: (r.cases, r.found, r.wrong, r.fixes) for name, r in rows.items()} == {
        "x": (3, 1, 1, 0),
        "y": (4, 1, 1, 1),
    }
    assert rows["x"].precision == 0.5
    assert tables.Row("z", 3, 0, 0).precision is None


@pytest.mark.parametrize(
    ("label", "right"),
    [("deadlock", {"nack"}), ("clean", {"ack", "comment", "unreviewed"}), ("fix", {"ack", "comment", "unreviewed"})],
)
def test_right(label: str, right: set[str]) -> None:
    for verdict in ("ack", "nack", "comment", "unreviewed", "fault"):
        assert scored("1", label, verdict).right is (verdict in right)


@pytest.mark.parametrize(
    ("make", "proven"),
    [
        (lambda f, t: Verdict(f, C, t), True),
        (lambda f, t: Verdict(f, I, t), True),
        (lambda f, t: Verdict(f, I), False),
        (lambda f, t: Verdict(f, F, t), False),
        (lambda f, t: Verdict(f, Outcome.PRE_EXISTING, t), False),
        (lambda f, t: Verdict(f, R), False),
    ],
)
def test_what_counts_as_a_nack_of_a_rule(make: Callable[[Finding, Trace], Verdict], proven: bool) -> None:
    finding = Finding("x", Place("a.c", 3), "it hangs")
    kept = backtest.spoken(make(finding, Trace((), ())))
    assert (kept.proven, kept.rule, kept.at) == (proven, "x", "a.c:3")


def test_an_index_line(tmp_path: Path) -> None:
    line = '{"id": "a/b", "patch": "x.patch", "tree": "6.12", "label": "fix", "class": "c", "kind": "more"}\n'
    (tmp_path / "i.jsonl").write_text(line)
    assert backtest.read_index(tmp_path / "i.jsonl") == [Labelled("a/b", "x.patch", "6.12", "fix", "c", kind="more")]
    with pytest.raises(ReviewError, match="cannot read the index"):
        backtest.read_index(tmp_path)
