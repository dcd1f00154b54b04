"""What could not be settled: shown with its score and reason, or hidden, and then it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import checking
import msgspec
import pytest

from reviewbot import cli, review
from reviewbot.bench.backtest import Scored, surest
from reviewbot.bench.demo import examine_case
from reviewbot.bench.tables import curve
from reviewbot.report.output import line, summary
from reviewbot.report.page import page
from reviewbot.report.reply import draft
from reviewbot.score import COMMENT_ABOVE, Doubt
from reviewbot.types import Decision, Finding, Outcome, Place, Review, Series, Stage, Verdict
from reviewbot.watch import config, reasons, work
from reviewbot.watch.config import TreeRule
from reviewbot.watch.result import WorkResult
from reviewbot.watch.store import SeriesRow, SeriesState

Capture = pytest.CaptureFixture[str]
CASE = "left-undone/ends-only-good-bios"
LIB = "drivers/md/dm-quill.c"
QUILL = """\
struct quill {
	struct mutex lock;
	struct mutex ink;
	refcount_t count;
};

static void quill_dry(struct quill *q)
{
	mutex_lock(&q->ink);
	mutex_lock(&q->lock);
	mutex_unlock(&q->lock);
	mutex_unlock(&q->ink);
}

static int quill_message(struct dm_target *ti, unsigned argc, char **argv, char *result, unsigned maxlen)
{
	struct quill *q = ti->private;

	quill_dry(q);
	return 0;
}

static void quill_dtr(struct dm_target *ti)
{
	struct quill *q = ti->private;

	mutex_lock(&q->lock);
	PUT
	mutex_unlock(&q->lock);
}

static struct target_type quill_target = {
	.name = "quill",
	.dtr = quill_dtr,
	.message = quill_message,
};
"""
TAKES = "mutex_lock(&q->ink);\n\tmutex_unlock(&q->ink);"
LAST = "if (refcount_dec_and_test(&q->count)) {\n\tmutex_lock(&q->ink);\n\tmutex_unlock(&q->ink);\n\t}"


class Checked:
    """A small tree with a patch, and what `check --json` says of it."""

    def __init__(self, folder: Path, capsys: Capture, tree: Path, patch: str) -> None:
        self.tree, self.capsys = tree, capsys
        self.patch = folder / "a.patch"
        self.patch.write_text(patch)

    def __call__(self, *more: str) -> tuple[int, dict[str, object]]:
        code = cli.run(["check", str(self.patch), "--tree", str(self.tree), "--json", *more])
        return code, json.loads(self.capsys.readouterr().out)


@pytest.fixture
def undone(tmp_path: Path, capsys: Capture) -> Checked:
    of = checking.case(CASE)
    return Checked(tmp_path, capsys, checking.case_repository(tmp_path / "tree", of), of.patch)


def test_a_comment_has_its_score_and_reason(undone: Checked) -> None:
    code, said = undone()
    assert (code, said["verdict"], said["comments_hidden"]) == (3, "comment", 0)
    (finding,) = said["findings"]  # type: ignore[misc]
    assert COMMENT_ABOVE < finding["score"] == Doubt.DIFFERENCE.leaves
    assert finding["doubts"] == [
        {"doubt": "difference", "says": Doubt.DIFFERENCE.says, "leaves": Doubt.DIFFERENCE.leaves}
    ]


def test_a_hidden_comment_is_an_ack(undone: Checked) -> None:
    code, said = undone("--comments", "none")
    assert (code, said["verdict"], said["findings"], said["comments_hidden"]) == (0, "ack", [], 1)
    assert undone("--comments", "all")[0] == 3


def test_the_configuration_says_which_are_shown(
    undone: Checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    monkeypatch.setenv("REVIEWBOT_CONFIG", str(file))
    for above, code in ((1, 0), (0.01, 3)):
        file.write_text(f"comment_above = {above}\n")
        assert undone()[0] == code
        assert work._options(TreeRule(path="/x"), config.load()).comment_above == above
    assert undone("--comments", "none")[0] == 0


def test_the_text_says_how_many_are_hidden(undone: Checked, capsys: Capture) -> None:
    for more, told in ((("--comments", "none"), True), ((), False)):
        cli.run(["check", str(undone.patch), "--tree", str(undone.tree), *more])
        assert ("1 comment hidden" in capsys.readouterr().out) is told


def test_why_names_the_score_of_what_is_hidden(undone: Checked) -> None:
    _, said = undone("--comments", "none", "--why", "*")
    (lead,) = (one for one in said["leads"] if one["stage"] == Stage.SCORE)  # type: ignore[attr-defined]
    assert Doubt.DIFFERENCE.says in lead["reason"]
    assert lead["rule"] == "left-undone"
    _, said = undone("--why", "*")
    assert any(f"(score {Doubt.DIFFERENCE.leaves:.2f}: " in one["reason"] for one in said["leads"])  # type: ignore[attr-defined]


def test_the_mail_claims_nothing_of_the_place_that_is_in_doubt() -> None:
    found = examine_case(checking.case(CASE))
    assert found.replies == ()
    hidden = msgspec.structs.replace(found, decision=Decision.ACK, verdicts=(), hidden=found.verdicts)
    (reply,) = draft(hidden, None)
    assert "but for rack_sort()" in " ".join(reply.body.split())
    assert reply.verdicts == ()
    (plain,) = draft(msgspec.structs.replace(hidden, hidden=()), None)
    assert "but for" not in plain.body


def test_the_maintainer_sees_score_and_reason_wherever_he_looks() -> None:
    found = examine_case(checking.case(CASE))
    (verdict,) = found.verdicts
    score = f"score {Doubt.DIFFERENCE.leaves:.2f}"
    assert score in line(verdict)
    assert any(score in told for told in summary(found))
    assert score in page([found])
    result = msgspec.json.encode(WorkResult(Decision.COMMENT, verdicts=found.verdicts)).decode()
    names = dict.fromkeys(("key", "list", "lead", "author", "subject", "title", "root", "change_id", "lineage"), "x")
    count = dict.fromkeys(("version", "expected", "present"), 1)
    done = {"previous": "", "arrived": 0.0, "first_seen": 0.0, "state": SeriesState.DONE}
    row = SeriesRow(**names, **count, **done, decision="comment", result=result)  # type: ignore[arg-type]
    listed = reasons.line(row)
    assert score in listed
    assert verdict.reason in listed


def test_what_the_replay_bears_out_with_a_doubt_is_a_comment(tmp_path: Path, capsys: Capture) -> None:
    old = QUILL.replace("PUT", "")
    tree = checking.repository(tmp_path / "tree", {LIB: old})
    for put, verdict, doubts in ((TAKES, "nack", []), (LAST, "comment", ["last-reference"])):
        patch = checking.mail(checking.diff(old, QUILL.replace("PUT", put), LIB))
        _, said = Checked(tmp_path, capsys, tree, patch)("--comments", "all")
        assert said["verdict"] == verdict
        told = [f for f in said["findings"] if f["rule"] == "lock-order"]  # type: ignore[attr-defined]
        assert [one["doubt"] for one in told[0]["doubts"]] == doubts
        assert told[0]["trace"]


def verdict(doubts: tuple[Doubt, ...], outcome: Outcome = Outcome.INCONCLUSIVE, gives: bool = False) -> Verdict:
    return Verdict(Finding("r", Place("a.c", 1, "f"), "m", gives=gives), outcome, doubts=doubts)


def test_only_what_could_not_be_settled_is_hidden() -> None:
    doubt = verdict((Doubt.OPAQUE,))
    others = verdict((Doubt.OPAQUE,), gives=True), verdict((), Outcome.REFUTED), verdict((), Outcome.CONFIRMED)
    assert review.shown((doubt, *others), COMMENT_ABOVE) == (others, (doubt,))
    assert review.shown((doubt, *others), 0.0) == ((doubt, *others), ())
    assert review.shown((doubt, *others), 1.0) == (others, (doubt,))


def test_the_curve_counts_at_each_score() -> None:
    def scored(label: str, score: float) -> Scored:
        return Scored(id="x", label=label, cls="c", verdict="nack" if score == 1 else "ack", seconds=0.1, score=score)

    found = curve([scored("deadlock", 1.0), scored("deadlock", 0.5), scored("clean", 0.5), scored("fix", 0.0)])
    assert [(at.above, at.found, at.disturbed) for at in found] == [(1.0, 0, 0), (0.5, 1, 0), (0.0, 2, 1)]
    assert (found[0].deadlocks, found[0].innocent) == (2, 2)


def test_a_review_without_findings_has_no_score() -> None:
    assert surest(Review(Series(patches=()), Decision.ACK)) == 0.0
