"""Mirrors of epochs: from real git repositories, from servers that answer badly, and after kills."""

from __future__ import annotations

import gzip
import json
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from inbox import START, Inbox, git, mail
from servers import answering, public_inbox

from reviewbot.limits import MAX_EPOCH_PIECE_BYTES
from reviewbot.mail import epochs
from reviewbot.mail.epochs import Mirror, Unreachable


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    made = Inbox(tmp_path / "inbox")
    made.deliver(*(mail(f"m{n}@x.example", f"mail {n}", f"text {n}\n") for n in range(5)))
    return made


def mirrored(inbox: Inbox, path: Path, since: float | None = None) -> Mirror:
    mirror = Mirror(path)
    mirror.fetch(f"file://{inbox.epoch}", since)
    return mirror


def test_a_mirror_has_the_mails_in_order(inbox: Inbox, tmp_path: Path) -> None:
    mirror = mirrored(inbox, tmp_path / "m")
    commits = mirror.commits()
    assert [c.arrived for c in commits] == [START + n for n in range(5)]
    found = [mirror.mail_in(c.id, 1 << 20) for c in commits]
    assert [f[1].split(b"\n\n")[1] for f in found if f] == [b"text %d\n" % n for n in range(5)]
    assert found[2]
    assert mirror.mail(found[2][0], 1 << 20) == found[2][1]
    mirror.close()


def test_only_what_came_after_is_listed(inbox: Inbox, tmp_path: Path) -> None:
    mirror = mirrored(inbox, tmp_path / "m")
    last = mirror.commits()[-1].id
    assert mirror.commits(last) == []
    inbox.deliver(mail("new@x.example", "new", "new\n"), at=START + 9)
    mirror.fetch(f"file://{inbox.epoch}")
    assert [c.arrived for c in mirror.commits(last)] == [START + 9]
    mirror.close()


def test_a_first_fetch_brings_no_more_than_asked(inbox: Inbox, tmp_path: Path) -> None:
    mirror = mirrored(inbox, tmp_path / "m", since=START + 3)
    assert [c.arrived for c in mirror.commits()] == [START + 3, START + 4]
    assert mirror.is_cut()
    late = mirrored(inbox, tmp_path / "l", since=START + 1e6)
    assert len(late.commits()) == 1
    mirror.close()
    late.close()


def test_a_rewritten_epoch_is_listed_whole(inbox: Inbox, tmp_path: Path) -> None:
    mirror = mirrored(inbox, tmp_path / "m")
    last = mirror.commits()[-1].id
    inbox.purge(b"<m1@x.example>")
    mirror.fetch(f"file://{inbox.epoch}")
    assert len(mirror.commits(last)) == 4
    mirror.close()


def test_a_commit_that_takes_a_mail_out_holds_none(inbox: Inbox, tmp_path: Path) -> None:
    data = b"commit refs/heads/master\ncommitter l <l@x> 1700000100 +0000\ndata 1\nx\nfrom refs/heads/master^0\n"
    git(inbox.epoch, "fast-import", "--quiet", data=data + b"D m\nM 100644 inline d\ndata 4\ngone\n")
    mirror = mirrored(inbox, tmp_path / "m")
    assert mirror.mail_in(mirror.commits()[-1].id, 100) is None
    mirror.close()


def test_a_large_mail_is_cut_and_the_next_one_is_whole(inbox: Inbox, tmp_path: Path) -> None:
    inbox.deliver(mail("big@x.example", "big", "x" * 500_000), mail("next@x.example", "next", "n\n"), at=START + 9)
    mirror = mirrored(inbox, tmp_path / "m")
    big, after = (mirror.mail_in(c.id, 1000) for c in mirror.commits()[-2:])
    assert big
    assert after
    assert len(big[1]) == 1001
    assert after[1].endswith(b"\nn\n")
    mirror.close()


def test_of_many_mails_none_is_read_beyond_what_is_asked_for(inbox: Inbox, tmp_path: Path) -> None:
    whole = mail("whole@x.example", "whole", "whole\n")
    inbox.deliver(whole, whole + b"x", mail("big@x.example", "big", "x" * 30_000_000), whole, at=START + 9)
    mirror = mirrored(inbox, tmp_path / "m")
    ids = [commit.id for commit in mirror.commits()[-4:]]
    tracemalloc.start()
    try:
        found = [raw or b"" for raw in mirror.mails(ids, len(whole))]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [len(raw) - len(whole) for raw in found] == [0, 1, 1, 0]
    assert found[0] == found[3] == whole
    assert most < 3 * MAX_EPOCH_PIECE_BYTES
    mirror.close()


@pytest.mark.parametrize("name", ["0" * 40, "HEAD", "../../etc/passwd", "--help", ""])
def test_a_mail_that_is_not_there_is_one_line(inbox: Inbox, tmp_path: Path, name: str) -> None:
    mirror = mirrored(inbox, tmp_path / "m")
    with pytest.raises(Unreachable, match="does not hold"):
        mirror.mail(name, 100)
    mirror.close()


def test_what_a_killed_git_left_behind_is_swept_away(inbox: Inbox, tmp_path: Path) -> None:
    mirror = mirrored(inbox, tmp_path / "m")
    left = [tmp_path / "m" / name for name in ("shallow.lock", "refs/heads/master.lock", "objects/pack/tmp_pack_x")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    inbox.deliver(mail("new@x.example", "new", "new\n"), at=START + 9)
    mirror.fetch(f"file://{inbox.epoch}")
    assert len(mirror.commits()) == 6
    assert not any(path.exists() for path in left)
    mirror.close()


def test_a_git_that_is_at_work_is_waited_for(inbox: Inbox, tmp_path: Path) -> None:
    mirror = mirrored(inbox, tmp_path / "m")
    lock = tmp_path / "m" / "shallow.lock"
    lock.touch()
    worker = subprocess.Popen(["sleep", "1"], cwd=tmp_path / "m")
    mirror.fetch(f"file://{inbox.epoch}")
    assert worker.poll() is not None
    mirror.close()


def test_no_hook_and_no_configuration_of_the_user_has_a_say(
    inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "reference-transaction").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "reference-transaction").chmod(0o700)
    (tmp_path / "gitconfig").write_text(
        f'[core]\n\thooksPath = {hooks}\n[url "file:///nowhere"]\n\tinsteadOf = file:\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    mirror = mirrored(inbox, tmp_path / "m")
    assert len(mirror.commits()) == 5
    assert not (tmp_path / "ran").exists()
    mirror.close()


@pytest.mark.parametrize("url", ["ext::sh -c touch% /tmp/x", "ssh://127.0.0.1/x", "--upload-pack=touch /tmp/x"])
def test_only_plain_transports_are_spoken(tmp_path: Path, url: str) -> None:
    mirror = Mirror(tmp_path / "m")
    with pytest.raises(Unreachable):
        mirror.fetch(url)
    mirror.close()


# --- manifests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["in#box", "in?box", "in box"])
def test_the_path_of_an_inbox_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    made = Inbox(tmp_path / name)
    made.deliver(mail("a@x.example", "a", "a\n"))
    (epoch,) = epochs.epochs(made.url)
    mirror = Mirror(tmp_path / "m")
    mirror.fetch(epoch.url)
    assert len(mirror.commits()) == 1
    mirror.close()


def test_the_epochs_of_a_folder(inbox: Inbox) -> None:
    inbox.use(1)
    inbox.deliver(mail("x@x.example", "x", "x\n"))
    assert [e.name for e in epochs.epochs(inbox.url)] == ["0", "1"]
    (only,) = epochs.epochs(f"file://{inbox.path}/git/1.git")
    assert only.fingerprint == git(inbox.epoch, "rev-parse", "master")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"<html>wait", 200, "no manifest"),
        (b"[]", 200, "not an object"),
        (gzip.compress(b"{}", mtime=0), 200, "lists no epochs"),
        (b"\x1f\x8bgarbage", 200, "no manifest"),
        (gzip.compress(b" " * (65 << 20), mtime=0), 200, "unpacks to more than"),
        (b" " * (9 << 20), 200, "more than 8 MB"),
        (b"", 503, "503"),
        (b'{"/other/git/0.git": {}, "/dm/git/../../x.git": {}, "/dm/git/0.git": 3}', 200, "lists no epochs"),
    ],
)
def test_an_answer_that_is_no_manifest_is_one_line(body: bytes, status: int, said: str) -> None:
    with answering(body, status) as url, pytest.raises(Unreachable, match=said) as caught:
        epochs.epochs(url)
    assert "\n" not in str(caught.value)


def test_a_manifest_names_epochs_of_this_inbox_only() -> None:
    listed = {"/dm/git/1.git": {"fingerprint": "b"}, "/dm/git/0.git": {"fingerprint": "a"}, "/x/git/0.git": {}}
    with answering(gzip.compress(json.dumps(listed).encode())) as url:
        found = epochs.epochs(url)
        assert [(e.name, e.fingerprint) for e in found] == [("0", "a"), ("1", "b")]
        assert found[0].url == f"{url}/git/0.git"


def test_nobody_there_is_one_line() -> None:
    with pytest.raises(Unreachable, match="refused"):
        epochs.epochs("http://127.0.0.1:1/dm")


def test_a_real_server_serves_what_we_expect(inbox: Inbox, tmp_path: Path) -> None:
    with public_inbox(tmp_path, inbox.epoch) as url:
        (epoch,) = epochs.epochs(url)
        assert epoch.fingerprint == epochs.fingerprint(git(inbox.epoch, "rev-parse", "master"))
        mirror = Mirror(tmp_path / "m")
        mirror.fetch(epoch.url, since=START + 3)
        assert len(mirror.commits()) == 2
        mirror.close()
