"""What b4 0.16 itself makes of our answers and files."""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from reviewbot import cli
from reviewbot.drafts import b4 as drafts_b4
from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.report.reply import draft
from reviewbot.types import (
    Address,
    Decision,
    Finding,
    KnotEdge,
    Outcome,
    Place,
    Review,
    ReviewError,
    Side,
    Step,
    Trace,
    Verdict,
    Words,
)

BASE = "static int x_map(struct dm_target *ti)\n{\n\tmutex_lock(&x_lock);\n\tx_submit(ti);\n\treturn 0;\n}\n"
ONE = BASE.replace("\treturn 0;\n", "\tmutex_unlock(&x_lock);\n\treturn 0;\n")
TWO = ONE.replace("\tx_submit(ti);\n", "\tx_submit(ti);\n\tmutex_lock(&x_lock);\n\tx_wait(ti);\n")
FILE = "drivers/md/dm-x.c"


def git(repo: Path, *arguments: str) -> str:
    return subprocess.check_output(["git", "-C", str(repo), *arguments], text=True).strip()


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a small tree of ours, and its two patches as mails in `mails`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Mia Maintainer\n\temail = mia@maint.example\n")
    made = tmp_path / "repo"
    (made / "drivers/md").mkdir(parents=True)
    git(made, "init", "-q", "-b", "master")
    for text, subject in ((BASE, "base"), (ONE, "dm x: unlock"), (TWO, "dm x: lock around the wait")):
        (made / FILE).write_text(text)
        git(made, "add", ".")
        git(made, "commit", "-q", "-m", f"{subject}\n\nWhy.\n\nSigned-off-by: Mia Maintainer <mia@maint.example>")
    options = ["--thread", "--cover-letter", "--cover-from-description=none", "-o", str(tmp_path / "mails")]
    git(made, "format-patch", *options, "HEAD~2")
    git(made, "reset", "-q", "--hard", "HEAD~2")
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def b4(repo: Path) -> Any:
    """The real b4, told to stay off the network."""
    import b4 as real

    config = {
        "b4.midmask": "http://127.0.0.1:1/%s",
        "b4.linkmask": "http://127.0.0.1:1/%s",
        "attestation-policy": "off",
    }
    real.setup_config(argparse.Namespace(config={**config, "b4.attestation-policy": "off"}))
    real.MAIN_CONFIG.update({"attestation-policy": "off"})
    return real


def mails(repo: Path) -> list[EmailMessage]:
    import email
    import email.policy

    found = []
    for path in sorted((repo.parent / "mails").iterdir()):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.EmailPolicy(utf8=True))
        assert isinstance(message, EmailMessage)
        found.append(message)
    return found


@pytest.fixture
def branch(repo: Path, b4: Any) -> str:
    """The review branch that b4 makes of the mails."""
    import b4.review

    box = b4.LoreMailbox()
    for message in mails(repo):
        box.add_message(message)
    series = box.get_series(1, codereview_trailers=False)
    packed = io.BytesIO()
    b4.save_git_am_mbox(series.get_am_ready(noaddtrailers=True), packed)
    base = git(repo, "rev-parse", "HEAD")
    b4.git_fetch_am_into_repo(str(repo), ambytes=packed.getvalue(), at_base=base)
    b4.review.create_review_branch(str(repo), "b4/review/x-1", base, series, "link", "http://127.0.0.1:1/%s")
    return "b4/review/x-1"


def review_of(repo: Path) -> Review:
    """A review of the two patches, with the second to blame for its lock."""
    mbox = b"".join(b"From git@z Thu Jan  1 00:00:00 1970\n" + m.as_bytes() + b"\n" for m in mails(repo))
    series = fetch.parse(mbox, "mails")
    with Tree.open(repo) as tree:
        change = tree.apply(series)
    finding = Finding(
        rule="lock-twice",
        at=Place(FILE, 5, "x_map"),
        message="x_map takes x_lock twice",
        object="x_lock",
        patch=2,
        words=Words(claim="This deadlocks: x_map() takes x_lock while it holds it."),
    )
    trace = Trace(steps=(Step("task", "takes x_lock"),), knot=(KnotEdge("task", "x_lock", "itself"),))
    confirmed = Verdict(finding=finding, outcome=Outcome.CONFIRMED, trace=trace)
    guess = Finding(rule="lost-wake", at=Place(FILE, 6, "x_map"), message="nobody wakes x_wait", patch=2)
    open_ = Verdict(finding=guess, outcome=Outcome.INCONCLUSIVE, reason="a limit was hit")
    result = Review(
        series=series, decision=Decision.NACK, change=change, verdicts=(confirmed, open_), checked=("locks",)
    )
    me = Address("Mia Maintainer", "mia@maint.example")
    return Review(**{f: getattr(result, f) for f in Review.__struct_fields__} | {"replies": draft(result, me)})


def test_b4_shows_the_comment_at_the_line_it_is_about(repo: Path, b4: Any, branch: str) -> None:
    import b4.review

    tip = git(repo, "rev-parse", branch)
    files = drafts_b4.write_review(repo / ".git", tip, review_of(repo))
    assert [f.name for f in files] == ["0002.txt", "identity.txt", "series.txt"]
    assert all(f.stat().st_mode & 0o077 == 0 for f in files)
    cover, tracking = b4.review.load_tracking(str(repo), branch)
    shas = git(repo, "rev-list", "--reverse", f"{tracking['series']['base-commit']}..{tip}~1").split()
    assert b4.review._integrate_agent_reviews(str(repo), cover, tracking, shas, tracking["patches"], branch=branch)
    (said,) = tracking["patches"][1]["reviews"]["reviewbot@reviewbot.invalid"]["comments"]
    assert (said["path"], said["line"]) == (f"b/{FILE}", 5)
    assert "This deadlocks: x_map() takes x_lock while it holds it." in " ".join(said["text"].split())
    assert "Drafted by" not in said["text"]
    note = tracking["series"]["reviews"]["reviewbot@reviewbot.invalid"]["note"]
    assert note.startswith("nack")
    assert "nobody wakes x_wait" in note
    assert "reviews" not in tracking["patches"][0]


def test_b4_runs_the_check_for_each_patch_and_the_cover(repo: Path, b4: Any, branch: str, tmp_path: Path) -> None:
    from b4.review import checks

    _, tracking = b4.review.load_tracking(str(repo), branch)
    record = tmp_path / "tracking.json"
    record.write_text(json.dumps(tracking))
    command = shlex.join([sys.executable, "-c", "from reviewbot.cli import main; main(['b4-check'])"])
    messages = [(str(m["message-id"]).strip("<>"), m) for m in mails(repo)]
    extra = {"B4_TRACKING_FILE": str(record), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = checks.run_perpatch_checks(messages[1:], [command], str(repo), extra_env=extra)
    assert [[r["tool"] for r in results] for results in found.values()] == [["reviewbot"], ["reviewbot"]]
    assert all(r["status"] in ("pass", "warn", "fail") for results in found.values() for r in results)
    assert not any("not reviewed" in r["summary"] for results in found.values() for r in results), found
    (whole,) = checks.run_series_checks(messages[0], [command], str(repo), extra_env=extra)
    assert whole["tool"] == "reviewbot"


def test_the_command_writes_the_files_of_the_current_branch(
    repo: Path, b4: Any, branch: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["b4-review", "x-1"]) == 0
    tip = git(repo, "rev-parse", branch)
    folder = repo / ".git/b4-review" / tip
    assert (folder / "identity.txt").read_text() == f"{drafts_b4.IDENTITY}\n"
    assert str(folder) in capsys.readouterr().out


def test_a_branch_that_b4_did_not_make_is_one_line(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["b4-review"]) == 2
    assert "no review branch" in capsys.readouterr().err


def test_what_is_no_mail_is_answered_as_not_reviewed(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stdin:
        buffer = io.BytesIO(b"\x00garbage")

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert cli.run(["b4-check"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said["status"] == "warn"
    assert said["summary"].startswith("not reviewed: ")


@pytest.mark.parametrize("options", [[], ["--lines"]])
@pytest.mark.parametrize("raw", [b"", b"\n \n"])
def test_nothing_to_check_is_no_result(
    raw: bytes, options: list[str], repo: Path, b4: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from b4.review import checks

    command = [sys.executable, "-c", f"from reviewbot.cli import main; main(['b4-check', *{options!r}])"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    done = subprocess.run(command, input=raw, capture_output=True, check=True, cwd=repo)
    assert (done.stdout, done.stderr) == (b"" if options else b"[]\n", b"")
    monkeypatch.setattr(b4.LoreMessage, "get_msg_as_bytes", lambda *_, **__: raw)
    assert options or checks._run_external_cmd(command, EmailMessage(), str(repo)) == []


def test_lines_for_b4s_own_text_protocol() -> None:
    from reviewbot.drafts.b4 import B4Check, lines, unreviewed

    told = json.dumps([{"status": s, "description": f"a.c:{n}: x"} for n, s in enumerate(("fail", "warn", "pass"))])
    assert lines([B4Check("reviewbot", "fail", "can deadlock", details=told)]) == [
        "ERROR: a.c:0: x",
        "WARNING: a.c:1: x",
    ]
    assert lines([B4Check("reviewbot", "pass", "no deadlock found")]) == []
    assert lines([unreviewed("why")]) == ["WARNING: not reviewed: why"]


@pytest.mark.parametrize("cover", ["commit", "tip-commit"])
def test_b4_prep_runs_the_check_on_what_was_not_sent_yet(
    cover: str, repo: Path, b4: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = git(repo, "rev-parse", "HEAD")
    if cover == "commit":
        git(repo, "commit", "-q", "--allow-empty", "-m", "cover: all of it")
    for path in sorted((tmp_path / "mails").iterdir())[1:]:
        git(repo, "am", "-q", str(path))
    if cover == "tip-commit":
        git(repo, "commit", "-q", "--allow-empty", "-m", "cover: all of it")
    from reviewbot.commands import b4 as command

    seen: list[tuple[int, str]] = []

    def reviewed(series: Any, tree: Path, given: str, inbox: str) -> Review:
        seen.append((len(series.patches), git(repo, "rev-parse", f"{given}^{{tree}}")))
        return Review(series=series, decision=Decision.ACK)

    monkeypatch.setattr(command, "_kept", reviewed)
    for message in mails(repo)[1:]:

        class Stdin:
            buffer = io.BytesIO(b4.LoreMessage.get_msg_as_bytes(message))

        monkeypatch.setattr(sys, "stdin", Stdin)
        assert cli.run(["b4-check", "--lines"]) == 0
    assert seen == [(2, git(repo, "rev-parse", f"{base}^{{tree}}"))] * 2


@pytest.mark.parametrize(
    ("outcomes", "number", "status"),
    [
        ([(Outcome.CONFIRMED, 2)], 2, "fail"),
        ([(Outcome.CONFIRMED, 2)], 1, "pass"),
        ([(Outcome.CONFIRMED, 2)], 0, "fail"),
        ([(Outcome.INCONCLUSIVE, 1)], 1, "warn"),
        ([(Outcome.PRE_EXISTING, 1)], 1, "pass"),
        ([], 1, "pass"),
    ],
)
def test_a_patch_fails_for_what_was_replayed_and_for_nothing_else(
    repo: Path, outcomes: list[tuple[Outcome, int]], number: int, status: str
) -> None:
    series = review_of(repo).series
    verdicts = tuple(
        Verdict(finding=Finding(rule="r", at=Place(FILE, 1), message="m", patch=n), outcome=o) for o, n in outcomes
    )
    (check,) = drafts_b4.checks(Review(series=series, decision=Decision.ACK, verdicts=verdicts), number)
    assert check.status == status


def test_comments_never_look_like_quotes(repo: Path) -> None:
    good = review_of(repo)
    sly = Finding(rule="r", at=Place(FILE, 4, "x_map"), message="> diff --git a/x b/x", patch=1, side=Side.BEFORE)
    verdict = Verdict(finding=sly, outcome=Outcome.CONFIRMED)
    text = drafts_b4.patch_texts(
        Review(series=good.series, decision=Decision.NACK, change=good.change, verdicts=(verdict,))
    )[1]
    assert "\n > diff --git a/x b/x" in f"\n{text}"


@pytest.mark.parametrize(
    "record", [None, [], {}, {"series": {}}, {"series": {"first-patch-commit": "HEAD; rm"}}, {"series": 3}]
)
def test_a_record_that_is_not_b4s_is_one_line(record: object) -> None:
    with pytest.raises(ReviewError) as caught:
        drafts_b4.branch("0" * 40, record)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("message", ["", "subject", f"x\n{drafts_b4.MARK}\nno json"])
def test_a_commit_without_record_is_one_line(message: str) -> None:
    with pytest.raises(ReviewError, match="no review branch"):
        drafts_b4.tracking_in(message)
