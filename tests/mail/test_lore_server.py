"""Fetching from a real public-inbox on loopback: Debian's package, with an inbox made for the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import lore_mails as m
import pytest

from reviewbot.mail import fetch
from reviewbot.types import Prerequisite, ReviewError

CHANGE = "20261102-served-0a1b2c"
MAILS = [
    m.patch("PATCH", "dm example: alone", id="single/1+$x@dev.example"),
    m.reply("r1@rev.example", ["single/1+$x@dev.example"]),
    *m.series("v1", 3),
    m.reply("r2@rev.example", ["v1-0@dev.example", "v1-2@dev.example"], "Nacked-by: Rita Reviewer <rita@rev.example>"),
    *m.series("v2", 3, 2, above=["v1-0@dev.example"]),
    m.patch(
        "PATCH 2/3",
        "dm example: rather",
        id="z2@x.example",
        above=["v1-0@dev.example", "v1-2@dev.example"],
        author=m.ZED,
    ),
    m.patch("PATCH v9", "dm example: mine", id="z9@x.example", above=["v1-0@dev.example"], author=m.ZED),
    m.mail("A question", "Why?\n", id="question@dev.example"),
    m.patch("PATCH", "dm prior: one", id="prior@dev.example", body=m.patch_body(tail=f"\nchange-id: {CHANGE}\n")),
    *m.series("short", 2)[:2],
    *(m.patch(f"PATCH {n}/2", f"dm example: loose {n}", id=f"loose-{n}@dev.example", author=m.MIK) for n in (1, 2)),
    m.patch("PATCH", id="name@bad.example", author="=?utf-8?q?Evil=0D=0ABcc=3A_v=40x=2Eexample?= <evil@bad.example>"),
]


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an inbox that holds MAILS."""
    for program in ("public-inbox-init", "public-inbox-mda", "public-inbox-httpd"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian package public-inbox)")
    home = tmp_path_factory.mktemp("public-inbox")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/dm"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PI_CONFIG": str(home / "config"),
        "PI_DIR": str(home),
        "PI_EMERGENCY": str(home / "emergency"),
        "ORIGINAL_RECIPIENT": m.LIST,
    }
    run = lambda *words, **more: subprocess.run(words, check=True, capture_output=True, env=env, **more)  # noqa: E731
    run("public-inbox-init", "-V2", "-L", "full", "dm", str(home / "dm"), url, m.LIST)
    run("git", "config", "-f", env["PI_CONFIG"], "publicinbox.dm.listid", m.LIST.replace("@", "."))
    run("git", "config", "-f", env["PI_CONFIG"], "publicinboxmda.spamcheck", "none")
    for one in MAILS:
        run("public-inbox-mda", "--no-precheck", input=one)
    logs = [f"--stdout={home}/out.log", f"--stderr={home}/err.log"]
    server = subprocess.Popen(["public-inbox-httpd", "-l", f"127.0.0.1:{port}", "-W0", *logs], env=env, cwd=home)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{url}/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_one_patch_with_a_reply(inbox: str) -> None:
    series = fetch.fetch("single/1+$x@dev.example", inbox=inbox)
    assert series.patches[0].diff.rstrip() == (m.DIFF + "-- \n2.43.0").encode()
    assert [x.message_id for x in series.thread] == ["r1@rev.example"]
    assert series.source == f"<single/1+$x@dev.example> from {inbox.removeprefix('http://')}"
    assert fetch.fetch("r1@rev.example", inbox=inbox + "/").lead == series.lead


def test_a_series_with_cover_and_a_stranger_in_its_thread(inbox: str) -> None:
    series = fetch.fetch("<v1-2@dev.example>", inbox=inbox)
    assert series.lead.message_id == "v1-0@dev.example"
    assert [p.mail.message_id for p in series.patches] == [f"v1-{n}@dev.example" for n in (1, 2, 3)]
    assert [p.mail.author.email for p in series.patches] == ["ann@dev.example"] * 3
    assert [x.message_id for x in series.thread] == ["r2@rev.example"]
    assert all(b"Nacked-by" not in p.raw for p in series.patches)


def test_versions_in_one_thread(inbox: str) -> None:
    series = fetch.fetch("v2-1@dev.example", inbox=inbox)
    assert (series.version, series.lead.message_id) == (2, "v2-0@dev.example")
    assert fetch.fetch("v1-1@dev.example", inbox=inbox, revision=2).patches == series.patches
    with pytest.raises(ReviewError, match="it has v1, v2"):
        fetch.fetch("v1-1@dev.example", inbox=inbox, revision=9)


def test_patches_that_were_posted_without_references(inbox: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(100):  # the search index lags behind the mails
        series = fetch.fetch("loose-2@dev.example", inbox=inbox)
        if not series.missing:
            break
        time.sleep(0.2)
    assert [p.mail.message_id for p in series.patches] == ["loose-1@dev.example", "loose-2@dev.example"]
    monkeypatch.setattr(fetch.MailReader, "search", lambda *_: pytest.fail("searched again"))
    assert fetch.fetch("loose-2@dev.example", inbox=inbox) == series


def test_three_kinds_of_failure(inbox: str) -> None:
    shown = inbox.removeprefix("http://")
    with pytest.raises(fetch.UnknownMessage, match=rf"^<no@such.example> is not known at {shown}: check the id"):
        fetch.fetch("no@such.example", inbox=inbox)
    with pytest.raises(fetch.NoPatch, match=r"^<question@dev.example> from .* is no patch \(`A question`\)"):
        fetch.fetch("question@dev.example", inbox=inbox)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{closed.getsockname()[1]}/dm"
        with pytest.raises(fetch.Outage, match=r"cannot be reached \(connection refused\): try again later"):
            fetch.fetch("v1-1@dev.example", inbox=down)


def test_prerequisites_are_found_by_each_of_their_names(inbox: str) -> None:
    git = ["git", "patch-id", "--stable"]
    patch_id = subprocess.run(git, input=m.DIFF.encode(), check=True, capture_output=True).stdout.decode().split()[0]
    with fetch.Finder("", inbox=inbox) as find:
        for kind, id_ in (("message-id", "prior@dev.example"), ("change-id", CHANGE), ("patch-id", patch_id)):
            for _ in range(100):  # the search index lags behind the mails
                found = find(Prerequisite(kind, id_))
                if found:
                    break
                time.sleep(0.2)
            assert "prior@dev.example" in {p.mail.message_id for s in found for p in s.patches}, kind
        assert find(Prerequisite("change-id", "20261102-none-0a1b2c")) == []
        with pytest.raises(fetch.UnknownMessage):
            find(Prerequisite("message-id", "none@dev.example"))


def test_a_series_of_which_the_archive_has_a_part(inbox: str) -> None:
    found = fetch.fetch("short-1@dev.example", inbox=inbox)
    assert ([p.number for p in found.patches], found.expected, found.missing) == ([1], 2, (2,))


def test_a_server_that_says_nothing_is_given_up(inbox: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/dm"
        with pytest.raises(fetch.Outage, match="no answer in time"):
            fetch.fetch("v1-1@dev.example", inbox=url, limits=fetch.MailLimits(connect=0.3))
        with pytest.raises(fetch.Outage, match=r"did not answer within 0.8 s"):
            fetch.fetch("v1-1@dev.example", inbox=url, limits=fetch.MailLimits(connect=30, seconds=0.8))


def test_neither_a_url_nor_a_tree_chooses_the_server(
    inbox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    evil = "[b4]\n\tmidmask = http://127.0.0.1:9/%s\n\tlinkmask = http://127.0.0.1:9/%s\n"
    (tmp_path / ".b4-config").write_text(evil)
    (tmp_path / ".gitconfig").write_text(evil + "[http]\n\tproxy = http://127.0.0.1:9\n")
    with open(tmp_path / ".git/config", "a") as config:
        config.write(evil)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    series = fetch.fetch("http://127.0.0.1:9/evil/v1-1@dev.example/T/", inbox=inbox)
    assert series.lead.message_id == "v1-0@dev.example"


def test_a_hidden_line_break_in_from(inbox: str) -> None:
    assert fetch.fetch("name@bad.example", inbox=inbox).lead.author.name == "Evil<U+000D><U+000A>Bcc: v@x.example"


def test_a_thread_is_fetched_once_in_ten_minutes(inbox: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = fetch.fetch("v1-1@dev.example", inbox=inbox)
    monkeypatch.setattr(fetch.MailReader, "thread", lambda *_: pytest.fail("fetched again"))
    assert fetch.fetch("v1-1@dev.example", inbox=inbox) == first
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    [entry] = (tmp_path / "cache/reviewbot/threads").iterdir()
    assert entry.stat().st_mode & 0o077 == 0
    os.utime(entry, (time.time() - 601,) * 2)
    entry.write_bytes(b"")
    os.utime(entry, (time.time() - 601,) * 2)
    assert fetch.fetch("v1-1@dev.example", inbox=inbox) == first
    assert fetch.fetch("v2-1@dev.example", inbox=inbox).version == 2


def test_fetching_leaves_nothing_but_the_cache(inbox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    for folder in ("home", "tmp", "work"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    fetch.fetch("v1-1@dev.example", inbox=inbox)
    with pytest.raises(fetch.UnknownMessage):
        fetch.fetch("no@such.example", inbox=inbox)
    left = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()]
    assert [p.rpartition("/")[0] for p in left] == ["cache/reviewbot/threads"]
