"""`reviewbot explain`: stored findings, replayed with the lines of source that their steps stand for."""

from __future__ import annotations

from pathlib import Path

import checking
import msgspec
import pytest

from reviewbot.bench.demo import examine_case
from reviewbot.cli import run
from reviewbot.gittree.source import MemorySource
from reviewbot.gittree.tree import Tree
from reviewbot.models.scene import build
from reviewbot.report.explain import StoredRun, code, load, runs, told
from reviewbot.review import runs_folder
from reviewbot.sim.check import check
from reviewbot.types import (
    Address,
    Finding,
    KnotEdge,
    Mail,
    Outcome,
    Patch,
    Place,
    ReviewError,
    Series,
    Step,
    Trace,
    Verdict,
)

MODEL = "lock_order reversed=yes lock='&f->lock' function=foo_map other_function=foo_end_io file=drivers/md/dm-foo.c"
CODE = b"""\
static void foo_end_io(struct bio *bio)
{
\tmutex_lock(&f->other_lock);
\tmutex_lock(&f->lock);
}

static int foo_map(struct dm_target *ti, struct bio *bio)
{
\tstruct foo *f = ti->private;

\tmutex_lock(&f->lock);
\tmutex_lock(&f->other_lock);
\treturn 0;
}
"""


def kept(
    name: str = "5c1f0a2e", model: str = MODEL, tree: str = "", base: str = "", series: Series | None = None
) -> StoredRun:
    trace = check(build(MODEL)).trace
    finding = Finding("lock-order", Place("drivers/md/dm-foo.c", 12, "foo_map"), "takes &f->lock in the other order")
    verdict = Verdict(finding, Outcome.CONFIRMED, trace, states=9, model=model)
    stored = StoredRun(name, verdict, tree, base, series)
    runs_folder().mkdir(parents=True, exist_ok=True)
    (runs_folder() / f"{name}.json").write_bytes(msgspec.json.encode(stored))
    return stored


def test_what_is_kept_is_read(tmp_path: Path) -> None:
    stored = kept()
    assert load(runs_folder(), "5c1f0a2e") == stored
    assert stored in runs(runs_folder())


def test_a_step_that_knows_its_function_finds_the_call() -> None:
    source = MemorySource({"drivers/md/dm-foo.c": CODE})
    place = {"file": "drivers/md/dm-foo.c", "function": "foo_map"}
    steps = (
        Step("a", "blocks in mutex_lock(&f->lock)", **place),
        Step("a", "does something", **place),
        Step("a", "takes the last element of f->other_lock", line=7, **place),
        Step("a", "calls mutex_lock_nested(x)", file="drivers/md/dm-foo.c", function="gone"),
        Step("a", "is told its line", "drivers/md/dm-foo.c", 12),
        Step("a", "is elsewhere", "drivers/md/gone.c", 3),
        Step("a", "has no place"),
    )
    assert [(t.line, t.source) for t in told(steps, source)] == [
        (11, "mutex_lock(&f->lock);"),
        (7, "static int foo_map(struct dm_target *ti, struct bio *bio)"),
        (12, "mutex_lock(&f->other_lock);"),
        (0, ""),
        (12, "mutex_lock(&f->other_lock);"),
        (3, ""),
        (0, ""),
    ]
    assert [t.line for t in told(steps, None)] == [0, 0, 7, 0, 12, 3, 0]


def test_a_call_by_a_longer_name_is_found() -> None:
    source = MemorySource({"x.c": b"void f(void)\n{\n\twait_for_completion_io(&x);\n}\n"})
    (item,) = told((Step("a", "blocks in wait_for_completion(x)", "x.c", 0, "f"),), source)
    assert item.line == 3


def test_a_step_of_one_verb_is_shown_the_call_that_does_it() -> None:
    code = b"void f(void)\n{\n\tINIT_WORK(&x->work, my_work);\n\tqueue_work(wq, &x->work);\n\tqueue_work(wq, &y);\n}\n"
    source = MemorySource({"x.c": code})
    steps = [Step("a", words, "x.c", 1, "f") for words in ("queues my_work() on wq", "inits my_work()", "sorts")]
    assert [item.line for item in told(steps, source)] == [4, 3, 1]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    import git

    made = git.Repo.init(tmp_path / "linux")
    path = tmp_path / "linux/drivers/md/dm-foo.c"
    path.parent.mkdir(parents=True)
    path.write_bytes(CODE)
    made.git.add(".")
    made.git.execute(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "dm foo: add"])
    return tmp_path / "linux"


def test_the_schedule_is_shown_and_replayed(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(tree=str(repository))
    assert run(["explain", "5c1f0a2e"]) == 0
    out = capsys.readouterr().out
    assert "confirmed: drivers/md/dm-foo.c:12: takes &f->lock in the other order [lock-order]" in out
    assert "drivers/md/dm-foo.c:11 in foo_map(): mutex_lock(&f->lock);" in out
    assert "foo_end_io" in out
    assert "- deadlock." in out
    assert "\nreviewbot simulate lock_order reversed=yes" in out
    assert "the same schedule" in out
    assert "not the same" not in out


PATCH = b"""\
diff --git a/drivers/md/dm-foo.c b/drivers/md/dm-foo.c
--- a/drivers/md/dm-foo.c
+++ b/drivers/md/dm-foo.c
@@ -8,5 +8,6 @@
 {
 \tstruct foo *f = ti->private;
\x20
+\tf->mapped++;
 \tmutex_lock(&f->lock);
 \tmutex_lock(&f->other_lock);
"""


def test_lines_are_those_of_the_patched_code(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mail = Mail("a@example.org", "[PATCH] dm foo: count", Address("A", "a@example.org"), "")
    kept(tree=str(repository), series=Series((Patch(mail, PATCH),)))
    assert run(["explain", "5c1f0a2e"]) == 0
    assert "drivers/md/dm-foo.c:12 in foo_map(): mutex_lock(&f->lock);" in capsys.readouterr().out


def test_a_tree_that_is_gone_costs_only_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    kept(tree="/nowhere/linux", base="0" * 40)
    assert run(["explain", "5c1f0a2e", "--no-replay"]) == 0
    captured = capsys.readouterr()
    assert "takes &f->lock" in captured.out
    assert "no source lines" in captured.err


def test_a_tree_that_was_asked_for_has_to_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    kept()
    assert run(["explain", "5c1f0a2e", "--tree", "/nowhere/linux"]) == 2
    assert "/nowhere/linux" in capsys.readouterr().err


def test_a_model_that_says_something_else_by_now(capsys: pytest.CaptureFixture[str]) -> None:
    kept(model="lock_order")
    assert run(["explain", "5c1f0a2e"]) == 1
    assert "not the same schedule" in capsys.readouterr().out


def test_a_schedule_from_the_patched_code_is_only_shown(capsys: pytest.CaptureFixture[str]) -> None:
    kept(model="")
    assert run(["explain", "5c1f0a2e"]) == 0
    assert "made from the patched code" in capsys.readouterr().out


def test_without_id_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    kept("00000001")
    kept("00000002")
    (runs_folder() / "00000003.json").write_text("{")
    assert run(["explain"]) == 0
    out = capsys.readouterr().out
    assert "00000001  confirmed  takes &f->lock in the other order" in out
    assert "00000002" in out
    assert "00000003" not in out


@pytest.mark.parametrize("name", ["5c1f0a2", "../../etc", "5C1F0A2E", "5c1f0a2e.json", "12345678\n"])
def test_an_id_is_eight_hex_digits(name: str) -> None:
    with pytest.raises(ReviewError, match="eight hex digits"):
        load(runs_folder(), name)


def test_an_unknown_or_damaged_one_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="run `reviewbot check` on the mail again"):
        load(tmp_path, "ffffffff")
    (tmp_path / "ffffffff.json").write_text('{"id": 1}')
    with pytest.raises(ReviewError, match="cannot be read"):
        load(tmp_path, "ffffffff")


def test_a_finding_is_kept_without_what_its_rule_knows_and_one_of_old_is_still_read(tmp_path: Path) -> None:
    verdict = Verdict(Finding("rule", Place("x.c", 1, "f"), "message"), Outcome.CONFIRMED)
    kept = msgspec.to_builtins(StoredRun("5c1f0a2e", verdict))
    assert kept["verdict"]["finding"].keys() == {"rule", "at", "message"}
    kept["verdict"]["finding"]["detail"] = [["circle", '{"kind":"lock"}']]  # what a version before kept with it
    (tmp_path / "5c1f0a2e.json").write_bytes(msgspec.json.encode(kept))
    assert load(tmp_path, "5c1f0a2e").verdict == verdict


def test_nothing_of_a_terminal_gets_through(capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding("rule", Place("x.c", 1, "f"), "message")
    trace = Trace((Step("a\x1b[2J", "does\x1b]0;x\x07 this"),), (KnotEdge("a", "b\x1b[0m", "c"),))
    verdict = Verdict(finding, Outcome.CONFIRMED, trace)
    runs_folder().mkdir(parents=True, exist_ok=True)
    (runs_folder() / "5c1f0a2e.json").write_bytes(msgspec.json.encode(StoredRun("5c1f0a2e", verdict)))
    assert run(["explain", "5c1f0a2e"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_real_source_lines(kernel_tree: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(kernel_tree)
    with Tree.open(kernel_tree("6.12", small=True)) as tree:
        trace = check(build("verity_pools recheck_pool=shared")).trace
        assert trace is not None
        lines = {t.source for t in told(trace.steps, tree.at("HEAD"))}
    assert "page = mempool_alloc(&v->recheck_pool, GFP_NOIO);" in lines


LONG = "static void long_one(void)\n{\n" + "\tturn();\n" * 80 + "\tmutex_lock(&x);\n}\n"


def test_the_code_of_a_schedule_is_its_functions_and_of_long_ones_the_lines_around() -> None:
    source = MemorySource({"drivers/md/dm-foo.c": CODE, "long.c": LONG.encode()})
    steps = (
        Step("a", "blocks in mutex_lock(&f->lock)", "drivers/md/dm-foo.c", 0, "foo_map"),
        Step("b", "blocks in mutex_lock(&x)", "long.c", 0, "long_one"),
        Step("c", "is elsewhere", "gone.c", 3),
        Step("d", "has no place"),
    )
    found = code(steps, source)
    assert found.lines == (11, 83, 0, 0)
    assert [(e.file, e.first, len(e.lines)) for e in found.excerpts] == [
        ("drivers/md/dm-foo.c", 7, 8),
        ("long.c", 77, 9),
    ]
    assert found.excerpts[0].lines[4] == "\tmutex_lock(&f->lock);"


def test_a_review_has_the_code_of_its_schedules_and_the_events_that_changed() -> None:
    result = examine_case(checking.case("flush-under-lock/flush-moved-under-lock"))
    assert [bool(one) for one in result.code] == [v.trace is not None for v in result.verdicts]
    shown = result.code[0]
    assert shown is not None
    verdict = result.verdicts[0]
    assert verdict.trace is not None
    text = {(e.file, e.first + n): line for e in shown.excerpts for n, line in enumerate(e.lines)}
    steps = zip(verdict.trace.steps, shown.lines, strict=True)
    lines = {text[step.file, line].strip() for step, line in steps if line}
    assert "mutex_lock(&d->lock);" in lines
    assert "flush_work(&d->sort_work);" in lines
    assert {(event.side.value, event.kind) for event in result.events} >= {("before", "Flush"), ("after", "Flush")}
    assert verdict.other is not None
    assert verdict.other.steps
