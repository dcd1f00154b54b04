"""A whole archive: which postings are found, what each goes with, the table that is kept, and what is counted of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import checking
import inbox
import msgspec
import pytest
from checking import CODE, FILE, diff

from reviewbot import cli
from reviewbot.archive import posting, run, shown, summary, table, threads
from reviewbot.archive.posting import ArchiveRow, ThreadDone
from reviewbot.archive.threads import PostedThread
from reviewbot.bench.backtest import Spoken
from reviewbot.mail.epochs import Mirror
from reviewbot.mail.protocol import MailLimits
from reviewbot.types import ReviewError, Unreviewed

LOST = checking.case("wq-mem-reclaim/lost-flag")
LOST_DIFF = LOST.patch[LOST.patch.index("diff --git") :]
TURNED = CODE.replace("return 3;", "return 30;")
NOWHERE = "static int gone;\n"
Capture = pytest.CaptureFixture[str]


def posted(id_: str, subject: str, patch: str, at: float = 0, parent: str = "") -> bytes:
    text = f"It turns.\n\n---\n{patch}-- \n2.47\n"
    return inbox.mail(f"{id_}@dev.example", subject, text, at=inbox.START + at, parent=parent)


MAILS = (
    posted("lost", "[PATCH] dm sieve: drop a flag", LOST_DIFF),
    inbox.mail("why@dev.example", "Re: [PATCH] dm sieve: drop a flag", "Why?\n", parent="lost@dev.example"),
    posted("turn", "[PATCH] dm mill: turn", diff(CODE, TURNED), 40 * 86400),
    inbox.mail("both-0@dev.example", "[PATCH 0/2] dm mill: both", "Two.\n"),
    posted("both-1", "[PATCH 1/2] dm mill: turn", diff(CODE, TURNED), parent="both-0@dev.example"),
    posted(
        "both-2", "[PATCH 2/2] dm mill: more", diff(TURNED, TURNED.replace("return 4", "return 40")),
        parent="both-0@dev.example",
    ),
    posted("half-1", "[PATCH 1/3] dm gone: go", diff(NOWHERE, NOWHERE * 2, "drivers/md/dm-gone.c")),
    posted("half-2", "[PATCH 2/3] dm mill: stay", checking.innocent(5), parent="half-1@dev.example"),
    posted("text", "[PATCH] dm: say it", diff("a\n", "b\n", "Documentation/dm.rst")),
    posted("gone", "[PATCH] dm gone: go", diff(NOWHERE, "", "drivers/md/dm-gone.c")),
    inbox.mail("talk@dev.example", "[ANNOUNCE] talk", "No patch.\n"),
)  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> inbox.Inbox:
    made = inbox.Inbox(tmp_path_factory.mktemp("inbox"))
    made.deliver(*MAILS, at=inbox.START + 90 * 86400)
    return made


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tree before the patches, and one that has the flag dropped already."""
    folder = tmp_path_factory.mktemp("trees")
    old = checking.repository(folder / "old", dict(LOST.files) | {FILE: CODE})
    return {"old": old, "new": checking.patched(folder / "new", old, LOST_DIFF)}


def found(archive: inbox.Inbox) -> list[PostedThread]:
    with threads.opened(archive.path) as epochs:
        return threads.posted_threads(epochs)


def rows(done: Iterator[ThreadDone]) -> dict[str, ArchiveRow]:
    """The rows by the names of their mails, without their times."""
    every = [msgspec.structs.replace(row, seconds=0.0) for one in done for row in one.rows]
    return {row.id.partition("@")[0]: row for row in every}


def test_threads_hold_what_was_posted_and_nothing_else(archive: inbox.Inbox) -> None:
    names = [[mail.id.partition("@")[0] for mail in thread.mails] for thread in found(archive)]
    assert names == [["lost"], ["turn"], ["both-0", "both-1", "both-2"], ["half-1", "half-2"], ["text"], ["gone"]]
    assert found(archive)[0].folder == "drivers/md"
    assert [raw.count(b"It turns.") for raw in threads.raw_mails(found(archive)[3])] == [1, 1]


def test_numbered_patches_without_threading_are_one_thread(tmp_path: Path) -> None:
    made = inbox.Inbox(tmp_path)
    made.deliver(*(posted(f"p{n}", f"[PATCH {n}/2] dm: x", checking.innocent(n)) for n in (1, 2)))
    made.deliver(posted("late", "[PATCH 1/2] dm: x", checking.innocent()), at=inbox.START + 2 * threads.NEAR)
    assert [len(thread.mails) for thread in found(made)] == [2, 1]


def test_a_bundle_is_an_archive_too(archive: inbox.Inbox, tmp_path: Path) -> None:
    bundle = tmp_path / "epoch.bundle"
    inbox.git(archive.epoch, "bundle", "create", "-q", str(bundle), "master")
    with threads.opened(bundle) as epochs:
        assert [t.id for t in threads.posted_threads(epochs)] == [t.id for t in found(archive)]
    with pytest.raises(ReviewError, match="there is no archive"), threads.opened(tmp_path / "none"):
        pass


def test_many_mails_are_read_in_one_go(archive: inbox.Inbox) -> None:
    mirror = Mirror(archive.epoch)
    ids = [commit.id for commit in mirror.commits()]
    assert [*mirror.mails([*ids, "0" * 40], 1 << 20)] == [*(mail for mail, _ in archive.mails()), None]
    assert [*mirror.mails(ids[:1], 9)] == [MAILS[0][:10]]


@pytest.mark.parametrize("spare", [0, -1])
def test_a_thread_is_read_as_long_as_it_is_no_larger_than_a_series_may_be(
    archive: inbox.Inbox, monkeypatch: pytest.MonkeyPatch, spare: int
) -> None:
    thread = found(archive)[2]
    size = sum(map(len, threads.raw_mails(thread)))
    monkeypatch.setattr(threads, "MailLimits", lambda: MailLimits(series=size + spare))
    if not spare:
        assert len(threads.raw_mails(thread)) == 3
        return
    with pytest.raises(Unreviewed, match=r"both-0@dev.example has more than \d+ MB of mail"):
        threads.raw_mails(thread)


def test_each_posting_is_reviewed_where_it_fits(archive: inbox.Inbox, trees: dict[str, Path]) -> None:
    got = rows(run.replayed(found(archive), trees, 1))
    assert {name: (row.tree, row.fit, row.verdict, row.number) for name, row in got.items()} == {
        "lost": ("old", "applies", "nack", 0),
        "turn": ("old", "applies", "ack", 0),
        "both-0": ("old", "applies", "ack", 0),
        "half-1": ("", "", "", 1),
        "half-2": ("old", "applies", "ack", 2),
        "text": ("", "", "unreviewed", 0),
        "gone": ("", "", "", 0),
    }
    assert got["lost"].rules == ("wq-mem-reclaim",)
    assert (got["text"].reason, got["gone"].reason) == (posting.NO_C, posting.ELSEWHERE)
    assert {row.subsystem for name, row in got.items() if name != "text"} == {"drivers/md"}
    assert got["text"].subsystem == "Documentation"
    assert got["turn"].posted - got["lost"].posted == 40 * 86400


def test_what_a_tree_has_already_is_taken_back_first(archive: inbox.Inbox, trees: dict[str, Path]) -> None:
    lost = [thread for thread in found(archive) if thread.id == "lost@dev.example"]
    got = rows(run.replayed(lost, {"new": trees["new"]}, 1))["lost"]
    assert (got.fit, got.verdict, got.rules) == ("merged", "nack", ("wq-mem-reclaim",))


def test_a_review_without_end_is_given_up(
    archive: inbox.Inbox, trees: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: object, **__: object) -> None:
        while True:
            try:
                while True:
                    pass
            except Exception:
                pass

    monkeypatch.setattr("reviewbot.review.review", endless)
    monkeypatch.setattr(posting, "SECONDS", 0.05)
    got = rows(run.replayed(found(archive)[1:2], trees, 1))["turn"]
    assert (got.verdict, got.reason) == ("unreviewed", "not reviewed within 0.05 s of processor time")


def argv(archive: inbox.Inbox, trees: dict[str, Path], out: Path, *more: str) -> list[str]:
    bound = [word for name, path in trees.items() for word in ("--tree", f"{name}={path}")]
    return ["replay", str(archive.path), *bound, "--out", str(out), "--workers", "1", *more]


def fields(file: Path) -> list[dict[str, object]]:
    return [msgspec.structs.asdict(row) | {"seconds": 0} for row in table.read(file)]


def test_a_run_that_was_cut_off_goes_on(
    archive: inbox.Inbox, trees: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert cli.run(argv(archive, trees, whole)) == 0
    assert "6 threads: 7 postings, 4 apply" in capsys.readouterr().out
    assert not whole.with_name("whole.jsonl.journal").exists()
    replayed = run.replayed
    asked: list[int] = []

    def cut(todo: list[PostedThread], *rest: object) -> Iterator[ThreadDone]:
        asked.append(len(todo))
        for number, one in enumerate(replayed(todo, *rest)):  # type: ignore[arg-type]
            if number == 2 and len(asked) == 1:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(run, "replayed", cut)
    assert cli.run(argv(archive, trees, out)) == 130
    journal = out.with_name("out.jsonl.journal")
    assert len(table.read(journal)) == 2
    with journal.open("ab") as torn:
        torn.write(b'{"thread":"both-0@dev.ex')
    assert cli.run(argv(archive, trees, out)) == 0
    assert asked == [6, 4]
    assert fields(out) == fields(whole)
    assert not journal.exists()


def test_a_journal_of_another_run_is_not_taken(
    archive: inbox.Inbox, trees: dict[str, Path], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out.jsonl"
    table.ArchiveJournal(out, "other").close()
    assert cli.run(argv(archive, trees, out)) == 2
    assert "is of a run over other mails or trees, or by another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "said"),
    [("a.csv", "kept as .parquet or .jsonl"), ("none/a.jsonl", "there is no folder"), ("a.jsonl", "it is a folder")],
)
def test_where_nothing_can_be_written_nothing_is_begun(
    archive: inbox.Inbox, trees: dict[str, Path], tmp_path: Path, out: str, said: str, capsys: Capture
) -> None:
    (tmp_path / "a.jsonl").mkdir()
    assert cli.run(argv(archive, trees, tmp_path / out)) == 2
    assert said in capsys.readouterr().err


ROWS = [
    ArchiveRow("a", "a@x", "[PATCH] a", "ann@x", 1_700_000_000.0, subsystem="drivers/md", tree="6.1", fit="applies",
               verdict="nack", findings=(Spoken("gfp", "confirmed", "a.c:1", "sleeps", proven=True),), seconds=2.0),
    ArchiveRow("b", "b@x", "[PATCH] <b>", "ann@x", 1_700_000_000.0, subsystem="block", tree="6.1", fit="merged",
               verdict="nack", findings=(Spoken("gfp", "confirmed", "b.c:1", "sleeps", proven=True),
                                         Spoken("wait", "inconclusive", "b.c:2", "waits")), seconds=1.0),
    ArchiveRow("c", "c@x", "[PATCH] c", "ann@x", 1_703_000_000.0, subsystem="block", tree="6.1", fit="applies",
               verdict="ack", findings=(Spoken("wait", "fixed", "b.c:2", "waits"),), seconds=0.5),
    ArchiveRow("d", "d@x", "[PATCH] d", "ann@x", 1_703_000_000.0, subsystem="block", reason=posting.ELSEWHERE),
]  # fmt: skip


def test_what_a_maintainer_asks_is_counted() -> None:
    made = summary.summed(ROWS)
    assert [(m.name, m.posted, m.fit, m.nack) for m in made.months] == [("2023-11", 2, 2, 2), ("2023-12", 2, 1, 0)]
    assert [(s.name, s.posted, s.nack) for s in made.subsystems] == [("block", 3, 1), ("drivers/md", 1, 1)]
    assert [(r.name, r.nacks, r.merged_nacks, r.comments, r.fixes) for r in made.rules] == [
        ("gfp", 2, 1, 0, 0),
        ("wait", 0, 0, 1, 1),
    ]
    assert (made.merged_nacks, made.busiest.name) == (1, "2023-11")
    asked = dict(shown.asked(made))
    assert asked["go with a tree, and are what follows"] == "3: 2 on 6.1, 1 merged in 6.1"
    assert asked["drafts that say no"] == "2 of 3 = 66.7% (20.8% to 93.9%), 1.0 a month"
    # of the four that were posted in two months one goes with no tree
    whole = asked["a month, if all of them went with a tree as on the day they were posted"]
    assert whole == "1.3 drafts that say no and 0.0 undecided"


def test_what_is_undecided_because_it_could_not_be_read_is_counted_with_the_rules() -> None:
    unread = ArchiveRow("e", "e@x", "[PATCH] e", "ann@x", 1_703_000_000.0, tree="6.1", fit="applies", verdict="comment",
                        reason="f() in a.c could not be read")  # fmt: skip
    told = msgspec.structs.replace(unread, findings=(Spoken("wait", "inconclusive", "b.c:2", "waits"),))
    made = summary.summed([unread, told])
    assert {rule.name: rule.comments for rule in made.rules} == {summary.UNREAD: 1, "wait": 1}
    assert sum(rule.comments for rule in made.rules) == made.whole.comment


def test_subsystems_beyond_the_first_are_added_up() -> None:
    counts = [summary.Counts(f"s{n}", 2, ack=1) for n in range(shown.MOST + 3)]
    last = shown.few(counts)[-1]
    assert (last.name, last.posted, last.ack, len(shown.few(counts))) == ("3 others", 6, 3, shown.MOST + 1)


def test_the_report_is_tables_json_and_a_page(tmp_path: Path, capsys: Capture) -> None:
    file, page = tmp_path / "rows.jsonl", tmp_path / "page.html"
    table.write(file, ROWS)
    assert cli.run(["report", str(file), "--html", str(page)]) == 0
    text = capsys.readouterr().out
    assert "drafts that say no: 2 of 3" in text
    assert "b.c:1: sleeps [gfp]" in text
    html = page.read_text()
    assert html.count("<svg") == 3
    assert "[PATCH] &lt;b&gt;" in html
    assert "2023-11, merged in 6.1: ann@x" in html
    assert not re.search(r"(?:src|href)=[\"']?http", html)
    assert cli.run(["report", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"][0] == {"name": "gfp", "nacks": 2, "merged_nacks": 1}


def row_with(**fields: object) -> str:
    row = {"thread": "a", "id": "a", "subject": "s", "author": "a", "posted": 0, **fields}
    return json.dumps(row)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.jsonl", "{"),
        ("x.jsonl", '{"a": 1}\n'),
        ("x.jsonl", row_with(posted=1e300)),
        ("x.jsonl", row_with(findings=[{"rule": "r", "outcome": "maybe", "at": "a", "message": "m"}])),
        ("x.jsonl.journal", "something else\n"),
        ("x.jsonl.journal", ""),
        ("x.parquet", "PAR1"),
    ],
)
def test_a_file_without_rows_is_an_error(name: str, text: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / name).write_text(text)
    assert cli.run(["report", str(tmp_path / name)]) == 2
    assert "has no rows" in capsys.readouterr().err


def test_of_a_journal_the_torn_line_is_left_out(tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    with table.ArchiveJournal(out, "0" * 64) as journal:
        journal.add(ThreadDone("a", (ROWS[0],)))
    with journal.path.open("ab") as torn:
        torn.write(b'{"thread":"b","ro')
    assert table.read(journal.path) == ROWS[:1]


@pytest.mark.parametrize("columns", [{"x": [1]}, {"posted": ["a"]}, {"posted": [None], "thread": ["a"]}])
def test_a_table_of_other_columns_has_no_rows(
    columns: dict[str, list[object]], tmp_path: Path, capsys: Capture
) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    file = tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table(columns), file)
    assert cli.run(["report", str(file)]) == 2
    assert "has no rows" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["folder", "none/page.html", "rows.jsonl/page.html"])
def test_a_page_that_cannot_be_written_is_one_line(target: str, tmp_path: Path, capsys: Capture) -> None:
    table.write(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "folder").mkdir()
    assert cli.run(["report", str(tmp_path / "rows.jsonl"), "--html", str(tmp_path / target)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"cannot write {tmp_path / target}" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "rows.jsonl"]


@pytest.mark.parametrize("more", [["--json"], []])
def test_a_full_place_is_one_line(more: list[str], tmp_path: Path) -> None:
    table.write(tmp_path / "rows.jsonl", ROWS)
    argv = [sys.executable, "-m", "reviewbot", "report", str(tmp_path / "rows.jsonl"), *more]
    path = os.pathsep.join(filter(None, sys.path))
    with open("/dev/full", "wb") as full:
        made = subprocess.run(
            argv, stdout=full, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}, check=False
        )
    assert (made.returncode, made.stderr.count(b"\n")) == (2, 1)
    assert b"No space left on device: make room" in made.stderr


def test_parquet_keeps_what_json_keeps(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table.write(tmp_path / "rows.parquet", ROWS)
    assert table.read(tmp_path / "rows.parquet") == ROWS
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(ReviewError, match="has no rows"):
        table.read(tmp_path / "bad.parquet")


@pytest.mark.parametrize(
    ("package", "argv", "said"),
    [
        ("pyarrow", ["--out", "x.parquet"], "needs pyarrow: install reviewbot[scale]"),
        ("distributed", ["--out", "x.jsonl", "--scheduler", "tcp://127.0.0.1:1"], "install reviewbot[scale]"),
    ],
)
def test_without_the_extra_it_is_said_what_to_install(
    package: str, argv: list[str], said: str, archive: inbox.Inbox, trees: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: Capture,
) -> None:  # fmt: skip
    import importlib.util

    real: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == package else real(name, *more))
    monkeypatch.chdir(tmp_path)
    assert cli.run(["replay", str(archive.path), "--tree", f"old={trees['old']}", *argv]) == 2
    assert said in capsys.readouterr().err


def test_a_cluster_that_loses_a_worker_says_the_same(archive: inbox.Inbox, trees: dict[str, Path]) -> None:
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed (extra scale)")
    alone = [
        PostedThread(f"{n}", thread.mails, f"folder {n}") for n, thread in enumerate(found(archive))
    ]  # a part for each
    here = {one.thread: rows(iter([one])) for one in run.replayed(alone, trees, 1)}
    with (
        distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = client.run(os.getpid)
        there: dict[str, dict[str, ArchiveRow]] = {}
        for one in run.on_cluster(alone, trees, cluster.scheduler_address):
            there[one.thread] = rows(iter([one]))
            if len(there) == 1:
                os.kill(next(iter(workers.values())), signal.SIGKILL)
    assert there == here


def test_a_scheduler_that_is_not_there_is_one_line(archive: inbox.Inbox, trees: dict[str, Path]) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is not installed (extra scale)")
    with pytest.raises(ReviewError, match="no Dask scheduler answers at bad"):
        next(run.on_cluster(found(archive), trees, "bad"))
