"""Hostile mail: whatever it is, the watcher gets a Head or a reason, soon, and nothing else happens."""

from __future__ import annotations

import gzip
import os
import random
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inbox import mail, patch

from reviewbot.mail.message import read
from reviewbot.mail.protocol import MailLimits
from reviewbot.watch.child import HeadReader, UnreadableMail
from reviewbot.watch.mail import agrees, head, program, title
from reviewbot.watch.store import Kind

HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "zeros": lambda: b"\0" * 100_000,
    "no headers": lambda: b"\n\ntext",
    "headers without end": lambda: b"From: x\n" * 200_000,
    "one long line": lambda: b"Subject: " + b"x" * 1_500_000 + b"\n\n",
    "many recipients": lambda: b"From: a@b.example\nTo: " + b"x@y.example, " * 100_000 + b"\nMessage-ID: <a@b>\n\nx",
    "nested comments": lambda: b"From: " + b"(" * 100_000 + b"\nMessage-ID: <a@b>\n\nx",
    "nested parts": lambda: b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(5000)
    ),
    "many parts": lambda: b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\nt\n" * 200_000,
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?=0D=0A?= " * 30_000 + b"\nMessage-ID: <a@b>\n\nx",
    "encoded line breaks": lambda: b"From: =?utf-8?q?x=0D=0ABcc=3A_y=40z?= <a@b.example>\nMessage-ID: <a@b>\n\nx",
    "a huge number": lambda: b"Subject: [PATCH v" + b"9" * 5000 + b" " + b"9" * 5000 + b"/2] x\nMessage-ID: <a@b>\n\nx",
    "a date from beyond": lambda: b"Date: Mon, 99 Foo 99999999999 99:99:99 +99999999\nMessage-ID: <a@b>\n\nx",
    "a charset of its own": lambda: (
        b'Content-Type: text/plain; charset="' + b"x" * 10_000 + b'"\nMessage-ID: <a@b>\n\n\xff'
    ),
    "a bomb": lambda: (
        b"Content-Type: application/gzip\nContent-Transfer-Encoding: base64\nMessage-ID: <a@b>\n\n"
        + gzip.compress(b"\0" * 30_000_000)
    ),
    "references": lambda: b"References: " + b"<x@y> " * 100_000 + b"\nMessage-ID: <a@b>\n\nx",
    "quadratic": lambda: b"Subject: " + b"[" * 100_000 + b"\nMessage-ID: <a@b>\n\nx",
    "diff of nothing": lambda: patch("a@b.example") + b"@@ -1,999999999 +1,999999999 @@\n" * 20_000,
    "too large": lambda: b"Subject: x\nMessage-ID: <large@b>\n\n" + b"x" * (3 << 20),
}


@pytest.fixture(scope="module")
def heads() -> Iterator[HeadReader]:
    with HeadReader(MailLimits(seconds=600, memory=512 << 20)) as opened:
        yield opened


def is_sane(found: object) -> bool:
    """A Head that cannot hurt whoever shows it."""
    from reviewbot.watch.mail import Head

    assert isinstance(found, Head)
    texts = [getattr(found, f) for f in Head.__struct_fields__ if isinstance(getattr(found, f), str)]
    return all(len(t) <= 4096 and not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", t) for t in texts)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_mail_is_read_or_refused_soon(heads: HeadReader, name: str) -> None:
    """Soon: within the processor time that the child may take for a mail."""
    refused = ""
    try:
        assert is_sane(heads.read(HOSTILE[name]()))
    except UnreadableMail as error:
        refused = str(error)
    assert str(signal.strsignal(signal.SIGXCPU)) not in refused
    assert heads.read(patch("next@dev.example")).kind == Kind.PATCH


def test_escapes_and_turned_text_are_shown_not_obeyed(heads: HeadReader) -> None:
    found = heads.read(mail("a@b.example", "[PATCH] \x1b[31mred\u202eder", "x\n").replace(b"\x1b", b"\x1b"))
    assert is_sane(found)


def test_a_child_that_is_killed_costs_one_mail(heads: HeadReader) -> None:
    heads.read(patch("a@b.example"))
    assert heads._process is not None
    os.kill(heads._process.pid, signal.SIGKILL)
    with pytest.raises(UnreadableMail, match="Killed"):
        heads.read(patch("b@b.example"))
    assert heads.read(patch("c@b.example")).id == "c@b.example"


def test_a_child_that_hangs_is_given_up() -> None:
    with HeadReader() as slow:
        for size in (10, 1_000_000):
            slow.limits = MailLimits(seconds=600)
            slow.read(patch("a@b.example"))
            assert slow._process is not None
            os.kill(slow._process.pid, signal.SIGSTOP)
            slow.limits = MailLimits(seconds=1)
            with pytest.raises(UnreadableMail, match="longer than 1 s"):
                slow.read(b"x" * size)


def test_the_child_can_write_nothing_and_knows_nothing_of_us(heads: HeadReader) -> None:
    heads.read(patch("a@b.example"))
    assert heads._process is not None
    process = Path(f"/proc/{heads._process.pid}")
    limits = (process / "limits").read_text()
    assert re.search(r"Max file size +0 +0", limits)
    assert re.search(r"Max core file size +0", limits)
    names = {v.partition(b"=")[0] for v in (process / "environ").read_bytes().split(b"\0") if v}
    assert names == {b"PATH", b"HOME", b"PYTHONPATH", b"PYTHONSAFEPATH"}
    assert os.readlink(process / "cwd") != os.getcwd()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from([b"From", b"To", b"Subject", b"Message-ID", b"References", b"In-Reply-To", b"Date",
                             b"Content-Type", b"Content-Transfer-Encoding", b"List-Id", b"Auto-Submitted"]),
            st.one_of(st.binary(max_size=80), st.text(max_size=40).map(str.encode),
                      st.sampled_from([b"[PATCH v2 1/3] x", b"<a@b>", b"multipart/mixed; boundary=x", b"base64",
                                       b"=?utf-8?q?=0D=0A?=", b"text/plain; charset=utf-7"])),
        ),
        max_size=8,
    ),
    body=st.one_of(st.binary(max_size=200), st.sampled_from([b"--x\n\n--x--", b"diff --git a/x b/x\n"])),
)  # fmt: skip
def test_any_headers_are_read_or_refused(heads: HeadReader, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
    raw = b"".join(n + b": " + v + b"\n" for n, v in fields) + b"\n" + body
    with suppress(UnreadableMail):
        assert is_sane(heads.read(raw))


def mutated(raw: bytes, chance: random.Random) -> bytes:
    """A mail with some of it changed: bytes, lines, blocks; or cut, doubled, turned over."""
    data = bytearray(raw)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((1, 2, 10, 100, 1000)))
        match chance.randrange(7):
            case 0:
                data[at:to] = chance.randbytes(to - at)
            case 1:
                del data[at:to]
            case 2:
                data[at:at] = data[at:to] * chance.choice((1, 2, 50))
            case 3:
                data[at:at] = chance.choice(
                    (b"\n", b"\r\n", b"\0", b"\xff\xfe", b"\n\n", b"=?utf-8?q?", b"\x1b[2J", b"((((")
                )
            case 4:
                lines = data.split(b"\n")
                chance.shuffle(lines)
                data = bytearray(b"\n".join(lines)) if len(lines) < 200 else data
            case 5:
                data[:] = data[:at]
            case 6:
                head_, _, body = bytes(data).partition(b"\n\n")
                data = bytearray(head_ + b"\n" + head_ + b"\n\n" + body)
    return bytes(data)


def test_mutated_real_mails(shared: Path, tmp_path: Path) -> None:
    """Some mails of a real list, mutated. REVIEWBOT_MUTATIONS asks for more of them, REVIEWBOT_SEED for others."""
    from reviewbot.mail.epochs import Mirror

    bundle = shared / "lore/dm-devel-epoch-0.bundle"
    if not bundle.exists():
        pytest.skip("no archive of dm-devel")
    repo = tmp_path / "0.git"
    subprocess.run(["git", "clone", "-q", "--mirror", str(bundle), str(repo)], check=True)
    chance = random.Random(int(os.environ.get("REVIEWBOT_SEED", "6")))
    count = int(os.environ.get("REVIEWBOT_MUTATIONS", "300"))
    mirror = Mirror(repo)
    commits = mirror.commits()
    refused = 0
    with HeadReader(MailLimits(seconds=600, memory=512 << 20)) as heads:
        for _ in range(count):
            found = mirror.mail_in(chance.choice(commits).id, 2 << 20)
            assert found
            try:
                assert is_sane(heads.read(mutated(found[1], chance)))
            except UnreadableMail:
                refused += 1
    mirror.close()
    assert refused <= count // 100


# --- what is kept of a mail ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "bare"),
    [
        ("Re: [dm-devel] [PATCH v2 1/3] dm X: Fix  it", "dm x: fix it"),
        ("[RFC PATCH] aw: x", "x"),
        ("Fwd: AW: [x] y", "y"),
        ("no [brackets] first", "no [brackets] first"),
    ],
)
def test_titles(subject: str, bare: str) -> None:
    assert title(subject) == bare


@pytest.mark.parametrize(
    ("author", "is_program"),
    [
        ("lkp@intel.com", True),
        ("syzbot+abc@syzkaller.example", True),
        ("patchwork-bot+netdevbpf@kernel.example", True),
        ("tip-bot2@x.example", True),
        ("noreply@x.example", True),
        ("no-reply@x.example", True),
        ("kernelci.org.bot@x.example", True),
        ("talbot@x.example", False),
        ("robotics@x.example", False),
        ("abbott.l@x.example", False),
        ("bob.otto@x.example", False),
    ],
)
def test_programs_are_known_by_their_address(author: str, is_program: bool) -> None:
    assert bool(program(b"", author)) is is_program


@pytest.mark.parametrize(
    ("said", "yes"),
    [
        ("Good catch, I will fix it in v2.", True),
        ("You are right.", True),
        ("> You are right.\n\nNo, see above.", False),
        ("I agree, but this is not possible: the lock is another one.", False),
        ("Let\u2019s agree to disagree.", False),
        ("It is never taken twice.", False),
        ("Thanks for spotting this!", True),
        ("This is a false positive. I'll send v2 for another reason.", False),
        ("", False),
        ("-- \nwill fix", False),
    ],
)
def test_agreement_is_said_plainly_or_not_at_all(said: str, yes: bool) -> None:
    assert agrees(said) is yes


def test_a_reply_with_a_diff_is_a_reply() -> None:
    raw = patch("a@b.example").replace(b"Subject: [PATCH]", b"Subject: Re: [PATCH]")
    assert head(raw, read(raw)).kind == "reply"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("no such\nthing"), "cannot be read: no such thing"),
        (LookupError(), "cannot be read: the mail parser gives up on it"),
    ],
)
def test_why_a_mail_cannot_be_read_is_said_in_words(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reviewbot.mail import child

    def fails(raw: bytes) -> None:
        raise error

    monkeypatch.setattr("reviewbot.mail.message.read", fails)
    assert child.post(patch("a@b.example"), MailLimits()).fault == says
