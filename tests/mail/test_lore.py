"""From what a user gives to a Series, through the child process; and what hostile mail can do to that: one line."""

from __future__ import annotations

import gzip
import mailbox
import os
import shutil
import subprocess
from pathlib import Path

import lore_mails as m
import pytest
from hypothesis import HealthCheck, given, settings

from reviewbot.limits import MAX_MAILS
from reviewbot.mail import fetch
from reviewbot.types import ReviewError, Series, Unreviewed

SINGLE = m.patch("PATCH", id="one@dev.example")


@pytest.fixture(scope="module")
def reader() -> fetch.MailReader:
    """It gives up by the processor time that a mail takes, not by the clock: the machine may be busy."""
    with fetch.MailReader(fetch.MailLimits(seconds=600)) as child:
        yield child  # type: ignore[misc]


def failure(kind: type[ReviewError], raw: bytes, limits: fetch.MailLimits | None = None) -> str:
    """The one line that comes of it."""
    with pytest.raises(kind) as caught:
        fetch.fetch("-", stdin=raw, limits=limits)
    assert str(caught.value).isprintable()
    return str(caught.value)


def outcome(reader: fetch.MailReader, raw: bytes) -> Series | str:
    """The series in a mail, or the line that it ends in."""
    try:
        return reader.series([raw], source="x.eml")
    except ReviewError as error:
        return str(error)


# --- what can be given -----------------------------------------------------------------------------------------------


def test_a_mail_an_mbox_a_diff_and_standard_input(tmp_path: Path) -> None:
    one = tmp_path / "one.eml"
    one.write_bytes(SINGLE)
    series = fetch.fetch(str(one))
    assert (series.source, series.expected, series.cover, series.version) == (str(one), 1, None, 1)
    assert series.lead.message_id == "one@dev.example"
    assert series.patches[0].diff.startswith(b"diff --git a/drivers/md/dm-example.c")
    assert fetch.fetch("-", stdin=SINGLE).patches == series.patches
    box = tmp_path / "three.mbox"
    box.write_bytes(m.mbox(m.series("s", 3)))
    assert [p.number for p in fetch.fetch(str(box)).patches] == [1, 2, 3]
    box.write_bytes(gzip.compress(box.read_bytes()))
    assert len(fetch.fetch(str(box)).patches) == 3
    bare = tmp_path / "x.diff"
    bare.write_text(m.DIFF)
    series = fetch.fetch(str(bare))
    assert series.lead.author.email == ""
    assert series.patches[0].diff == m.DIFF.encode()


def test_one_patch_of_several_may_be_all_that_is_meant(reader: fetch.MailReader) -> None:
    second = m.series("s", 3)[2]
    assert fetch.parse(second, "x", reader=reader).missing == (1, 3)
    assert fetch.parse(second, "x", reader=reader, alone=True).missing == ()


def test_a_maildir_and_a_folder_of_patch_files(tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "box")
    for one in reversed(m.series("s", 3)):
        box.add(one)
    assert [p.mail.message_id for p in fetch.fetch(str(tmp_path / "box")).patches] == [
        f"s-{n}@dev.example" for n in (1, 2, 3)
    ]
    folder = tmp_path / "outgoing"
    folder.mkdir()
    for number, author in enumerate((m.ANN, m.ZED), 1):
        text = b"From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\n"
        (folder / f"000{number}-x.patch").write_bytes(text + m.patch(f"PATCH {number}/2", author=author))
    (folder / "README").write_text("not a patch")
    assert [p.mail.author.name for p in fetch.fetch(str(folder)).patches] == ["Ann Author", "Zed Stranger"]


def test_what_git_format_patch_and_git_diff_write(tmp_path: Path) -> None:
    def git(*words: str, author: str = "Ann Author") -> bytes:
        who = ["-c", f"user.name={author}", "-c", "user.email=a@dev.example", "-c", "core.autocrlf=false"]
        return subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True).stdout

    git("init", "-q")
    for number, author in enumerate(("Ann Author", "Zoë Müller", "Ann Author")):
        (tmp_path / "a.c").write_text("".join(f"line {n}\n" for n in range(number, 40)))
        git("add", "a.c")
        git("commit", "-qm", f"dm: change {number}\n\nFrom here on it is text.", author=author)
    series = fetch.parse(git("format-patch", "--stdout", "HEAD~2.."), "HEAD~2..HEAD")
    assert [p.mail.subject for p in series.patches] == ["[PATCH 1/2] dm: change 1", "[PATCH 2/2] dm: change 2"]
    assert [p.mail.author.name for p in series.patches] == ["Zoë Müller", "Ann Author"]
    assert series.source == "HEAD~2..HEAD"
    assert len(fetch.parse(git("format-patch", "-N", "--stdout", "HEAD~2.."), "x").patches) == 2
    assert len(fetch.parse(git("format-patch", "-k", "--stdout", "HEAD~2.."), "x").patches) == 2
    diff = git("diff", "HEAD~2", "HEAD")
    assert fetch.parse(diff, "x").patches[0].diff == diff
    assert fetch.parse(git("show", "HEAD"), "x").patches[0].diff == git("diff", "HEAD~", "HEAD")


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("a$b/c+d@dev.example", "a$b/c+d@dev.example"),
        (" <one@dev.example>\n", "one@dev.example"),
        ("https://lore.kernel.org/all/one@dev.example/", "one@dev.example"),
        ("https://lore.kernel.org/dm-devel/a%2Fb%40dev.example/T/#u", "a/b@dev.example"),
        ("http://patch.msgid.link/one@dev.example", "one@dev.example"),
        ("https://user@evil.example/r/one@dev.example/raw?x=y@z", "one@dev.example"),
    ],
)
def test_a_message_id_is_all_that_a_url_gives(text: str, id: str) -> None:
    assert fetch.message_id(text) == id


NONSENSE = [
    *("nothing", "no/such/file.eml", "\0", "<>", "a b@c", "a@b\nc", "\x1b[2J@x", "ü@example.org", "x" * 5000),
    *("https://lore.kernel.org/all/", "https://user@evil.example/", "http://["),
    "a@" + "b" * 5000,
]


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
def test_what_cannot_be_meant_is_wrong_use(text: str) -> None:
    with pytest.raises(ReviewError, match=r"is no file and no message-id|has no message-id in it") as caught:
        fetch.fetch(text)
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()


def test_wrong_inboxes_and_empty_sources(tmp_path: Path) -> None:
    for inbox in ("file:///etc", "lore.kernel.org", "https://x@y/all", "https://x/?q=1", "https://x/\nHost: y", ""):
        with pytest.raises(ReviewError, match="no public-inbox"):
            fetch.fetch("one@dev.example", inbox=inbox)
    (tmp_path / "empty").write_bytes(b"")
    for source in (str(tmp_path), str(tmp_path / "empty")):
        with pytest.raises(ReviewError, match="is empty"):
            fetch.fetch(source)
    with pytest.raises(ReviewError, match="standard input is empty"):
        fetch.fetch("-", stdin=b"\n")


def test_one_child_reads_many_threads(reader: fetch.MailReader) -> None:
    one = m.series("s", 2)
    series = reader.series(
        [*one, m.reply("r@rev.example", ["s-0@dev.example"])], source="list", asked="s-1@dev.example"
    )
    assert [x.message_id for x in series.thread] == ["r@rev.example"]
    with pytest.raises(fetch.Incomplete, match=r"list is incomplete: patch 1 of 2 missing"):
        reader.series([one[0], one[2]], source="list", asked="s-0@dev.example")
    assert reader.series([SINGLE], source="list").expected == 1


# --- what mail can do ------------------------------------------------------------------------------------------------

HOSTILE = {
    "quadratic From": m.mail("x", "y", author="", id="bad@x.example", headers="From: x\n" * 20_000 + "X: y"),
    "header flood": m.mail(
        "x", "y", id="bad@x.example", headers="\n".join(f"X-{n}: {'y' * 10}" for n in range(90_000))
    ),
    "one long header": m.mail("x", "y", id="bad@x.example", headers=f"X: {'y ' * 900_000}"),
    "deep multiparts": m.nested(2000).encode(),
    "not so deep multiparts": m.nested(300).encode() + b"line\n" * 300_000,
    "many parts": m.mail("x", "--b\n\n\n" * 100_000, id="bad@x.example", type="multipart/mixed; boundary=b"),
    "slow parameters": m.mail("x", "y", id="bad@x.example", type="text/plain; " + '";' * 400_000),
    "comments in comments": m.mail("x", "y", id="bad@x.example", author="(" * 500_000),
    "encoded words": m.mail("=?a?q?" * 100_000, "y", id="bad@x.example", author="=?a?q?" * 100_000 + " <a@b.example>"),
    "many references": m.mail("x", "y", id="bad@x.example", headers="References: " + "<a@b> " * 200_000),
    "numbers": m.patch(f"PATCH v{'9' * 900} 9999/9999", id="bad@x.example"),
    "nothing": b"",
    "noise": bytes(range(256)) * 50,
    "NUL": m.patch("PATCH \0 2/3", id="bad@x.example", above=["s-0@dev.example"]).replace(b"Ann", b"\0"),
    "20 MB": m.patch("PATCH", id="bad@x.example", body="x" * (20 << 20)),
    "broken base64": m.mail("[PATCH] x", "!" * 300_000, id="bad@x.example", encoding="base64"),
    "uuencode": m.mail("[PATCH] x", "begin 644 x\n" + "M" * 90_000, id="bad@x.example", encoding="x-uuencode"),
    "yes": b"From: y\n" * 200_000,
}


@pytest.mark.parametrize("bad", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_mail_spoils_no_thread(bad: bytes, reader: fetch.MailReader) -> None:
    good = m.series("s", 2)
    series = reader.series([good[0], bad, *good[1:]], source="list", asked="s-1@dev.example")
    assert [p.number for p in series.patches] == [1, 2]


@pytest.mark.parametrize("bad", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_mail_alone_is_one_line(bad: bytes, reader: fetch.MailReader) -> None:
    got = outcome(reader, bad)
    if isinstance(got, str):
        assert got.startswith("x.eml ")
        assert got.isprintable()
    else:
        assert got.patches[0].mail.subject.isprintable()


def test_large_mail_is_named_by_its_size(tmp_path: Path) -> None:
    big = m.patch("PATCH 2/2", id="s-2@dev.example", above=["s-0@dev.example"], body="x" * (20 << 20))
    assert failure(Unreviewed, big) == "standard input is 20 MB large (at most 2 MB are read)"
    good = m.series("s", 2)
    text = failure(Unreviewed, m.mbox([*good[:2], big]))
    assert text == "standard input: patch 2 is 20 MB large (at most 2 MB are read)"
    assert failure(Unreviewed, m.DIFF.encode() * 7_500).endswith("3 MB large (at most 2 MB are read)")
    assert "larger than 1 MB" in failure(Unreviewed, big, fetch.MailLimits(series=1 << 20))
    (tmp_path / "big.eml").write_bytes(big)
    with pytest.raises(Unreviewed, match="larger than 1 MB"):
        fetch.fetch(str(tmp_path / "big.eml"), limits=fetch.MailLimits(series=1 << 20))


def test_a_packed_file_that_unpacks_to_a_large_one(tmp_path: Path) -> None:
    (tmp_path / "t.mbox.gz").write_bytes(gzip.compress(b"\n" * (100 << 20)))
    with pytest.raises(Unreviewed, match=r"t\.mbox\.gz unpacks to more than 64 MB"):
        fetch.fetch(str(tmp_path / "t.mbox.gz"))
    assert "packed, and damaged" in failure(Unreviewed, m.packed([SINGLE])[:-5])


def test_hidden_line_breaks_and_escapes_are_shown() -> None:
    raw = m.patch(
        "PATCH",
        "dm: \x1b]0;owned\x07\x1b[31mred \u202eback\u2066 =?utf-8?q?=0ABcc=3A_v=40x=2Eexample?=",
        id="one@dev.example",
        author="=?utf-8?q?Evil=0D=0ABcc=3A_v=40x=2Eexample?= <evil@bad.example>",
        body=m.patch_body(
            "\x1b[2Jgone \u202etext", m.DIFF.replace("GFP_NOIO", "GFP_NOIO /* \u202e } \u2066if (x)\u2069 */")
        ),
    )
    series = fetch.parse(raw, "x")
    mail = series.lead
    assert mail.author.name == "Evil<U+000D><U+000A>Bcc: v@x.example"
    assert mail.author.email == "evil@bad.example"
    assert mail.subject.startswith(
        "[PATCH] dm: <U+001B>]0;owned<U+0007><U+001B>[31mred <U+202E>back<U+2066> <U+000A>Bcc:"
    )
    assert mail.body.startswith("<U+001B>[2Jgone <U+202E>text\n")
    assert "\u202e } \u2066if (x)\u2069".encode() in series.patches[0].diff
    assert mail.cc[-1].email == "mike@maint.example"


def test_messages_show_no_escapes(tmp_path: Path) -> None:
    assert failure(fetch.NoPatch, m.mail("\x1b[31mred", "no patch", id="one@dev.example")).count("<U+001B>") == 1
    path = tmp_path / "a\x1b[2Jb\nc.eml"
    path.write_bytes(b"no patch")
    with pytest.raises(fetch.NoPatch) as caught:
        fetch.fetch(str(path))
    assert str(caught.value).isprintable()


def test_no_patch_is_unreviewed() -> None:
    assert "holds no patch" in failure(fetch.NoPatch, m.mail("Hello", "World\n", id="one@dev.example"))
    assert "holds no patch" in failure(fetch.NoPatch, b"just words\n")
    assert fetch.NoPatch("").exit_code == 4


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(m.wrecked())
def test_wrecked_mails_are_a_series_or_one_line(reader: fetch.MailReader, raw: bytes) -> None:
    got = outcome(reader, raw)
    if isinstance(got, str):
        assert got.isprintable()
        assert "Error" not in got.replace("(ValueError)", "")
    else:
        assert got.patches[0].diff


# --- what the child may do -------------------------------------------------------------------------------------------


def test_a_child_that_takes_too_long_is_ended() -> None:
    heavy = HOSTILE["slow parameters"]
    assert "takes longer than 0.5 s to read" in failure(Unreviewed, heavy, fetch.MailLimits(seconds=0.5, mail_cpu=30))
    text = failure(Unreviewed, heavy, fetch.MailLimits(cpu=1, mail_cpu=30))
    assert "takes more than 1 s of processor time" in text


def test_memory_is_bounded() -> None:
    raw = m.mbox(m.mail("x", b"\xff" * (1 << 20), id=f"{n}@x.example") for n in range(50))
    text = failure(Unreviewed, raw, fetch.MailLimits(memory=200 << 20))
    assert "of memory" in text or "crash" in text


def test_a_child_that_dies_is_one_line_and_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with fetch.MailReader() as reader:
        assert reader.series([SINGLE], source="x").expected == 1
        process = reader._process
        assert process is not None
        process.kill()
        with pytest.raises(Unreviewed, match=r"^x made the mail reader crash \(Killed\)"):
            reader.series([SINGLE], source="x")
        assert reader.series([SINGLE], source="x").expected == 1
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with (
        fetch.MailReader() as reader,
        pytest.raises(RuntimeError, match=r"the mail reader ended \(1\): it said nothing"),
    ):
        reader.series([SINGLE], source="x")


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    with fetch.MailReader() as reader:
        reader.series([SINGLE], source="x")
        process = reader._process
        assert process is not None
        assert [p.name for p in (tmp_path / "tmp").iterdir()] == [Path(os.readlink(f"/proc/{process.pid}/cwd")).name]
        assert [p.name for p in (tmp_path / "tmp").rglob("*") if p.is_file()] == ["stderr"]
    assert process.returncode is not None
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_child_cannot_write_a_file_and_sees_no_profile() -> None:
    from reviewbot.mail.reader import _environment

    os.environ["GIT_DIR"] = "/somewhere"
    try:
        environment = _environment("/nowhere")
    finally:
        del os.environ["GIT_DIR"]
    assert environment["HOME"] == "/nowhere"
    assert "GIT_DIR" not in environment
    assert {k for k, v in environment.items() if k.startswith("XDG_") and v.startswith("/nowhere/")} >= {
        "XDG_CONFIG_HOME"
    }
    with fetch.MailReader() as reader:
        reader.series([SINGLE], source="x")
        assert reader._process is not None
        limits = Path(f"/proc/{reader._process.pid}/limits").read_text()
    assert any(line.split()[:5] == ["Max", "file", "size", "0", "0"] for line in limits.splitlines())
    assert any(line.split()[:3] == ["Max", "address", "space"] and str(1 << 30) in line for line in limits.splitlines())


def test_a_file_of_too_many_mails_is_one_line(tmp_path: Path) -> None:
    one = b"From mboxrd@z Thu Jan  1 00:00:00 1970\nSubject: x\n\nx\n\n"
    (tmp_path / "many.mbox").write_bytes(one * (MAX_MAILS + 1))
    with pytest.raises(Unreviewed, match=f"many.mbox holds more than {MAX_MAILS} mails: give one series"):
        fetch.fetch_all(str(tmp_path / "many.mbox"))
