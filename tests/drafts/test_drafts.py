"""Drafts are mails that other programs read right, and lie where they were put once, for their owner alone."""

from __future__ import annotations

import email
import email.policy
import errno
import mailbox
import os
import re
import stat
import subprocess
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.drafts import deliver
from reviewbot.key import draft_name, finding_key, is_ours, key_of, message_id, series_key
from reviewbot.types import Address, Finding, Mail, Patch, Place, Reply, ReviewError, Series
from reviewbot.watch.box import sending_lacks

KEY = key_of("ann@dev.example", "lead@dev.example", 2)
HEADERS = (
    ("From", "Mia Maintainer <mia@maint.example>"),
    ("To", "Ann Author <ann@dev.example>"),
    ("Cc", "dm-devel@lists.example"),
    ("Subject", "Re: [PATCH v2 1/2] dm foo: one pool for all"),
    ("Message-ID", message_id(KEY, 1, "maint.example")),
    ("In-Reply-To", "<one@dev.example>"),
    ("References", "<lead@dev.example> <one@dev.example>"),
)
BODY = "> +\tpool = shared;\n\nThis deadlocks.\n\n-- \nDrafted by a program.\n"


def reply(body: str = BODY, **changes: str) -> Reply:
    named = {k.replace("_", "-").lower(): v for k, v in changes.items()}
    headers = tuple((n, named.pop(n.lower(), v)) for n, v in HEADERS)
    return Reply(headers=headers + tuple(named.items()), body=body)


def parsed(data: bytes) -> EmailMessage:
    return cast(EmailMessage, email.message_from_bytes(data, policy=email.policy.default))


TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn", "Co")), max_size=300)


@given(subject=TEXT.map(lambda s: " ".join(s.split())))
def test_every_subject_comes_back_and_no_line_is_too_long(subject: str) -> None:
    data = deliver.as_bytes(reply(subject=subject))
    head, _, _ = data.partition(b"\n\n")
    message = parsed(data)
    assert head.isascii()
    assert "".join(message["subject"].split()) == "".join(subject.split())
    assert all(len(line) <= 998 for line in data.split(b"\n"))
    assert message["in-reply-to"] == "<one@dev.example>"


@given(name=st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn", "Co")), min_size=1, max_size=60))
def test_a_name_of_any_letters_adds_no_recipient(name: str) -> None:
    from email.utils import formataddr

    message = parsed(deliver.as_bytes(reply(to=formataddr((name, "ann@dev.example"), charset="utf-8"))))
    assert [a.addr_spec for a in message["to"].addresses] == ["ann@dev.example"]


@given(text=st.text(max_size=400))
def test_every_body_comes_back(text: str) -> None:
    body = deliver.wrapped(text.replace("\r", "").replace("\x00", "").encode("utf-8", "replace").decode())
    got = parsed(deliver.as_bytes(Reply(headers=HEADERS, body=body))).get_content()
    assert got == deliver.wrapped(body)


@pytest.mark.parametrize("bad", ["a\nBcc: x@x.example", "a\rb", "a\x00b", "a\x1b[31m", "a\u2028b", "a\x85b"])
@pytest.mark.parametrize("name", ["Subject", "To", "References"])
def test_a_value_of_more_than_one_line_is_refused(name: str, bad: str) -> None:
    with pytest.raises(ValueError, match="not one line"):
        deliver.as_bytes(Reply(headers=((name, bad),), body="x\n"))


def test_a_name_that_is_no_header_name_is_refused() -> None:
    with pytest.raises(ValueError, match="header name"):
        deliver.as_bytes(Reply(headers=(("X Y: z", "v"),), body="x\n"))


def test_long_ids_stay_whole() -> None:
    long = f"<{'a' * 180}@{'h' * 60}.example>"
    data = deliver.as_bytes(reply(in_reply_to=long, references=f"<x@y.example> {long} <z@y.example>"))
    assert data.count(long.encode()) == 2
    assert b"=?" not in data.partition(b"\n\n")[0]


def test_letters_beyond_ascii_are_cut_between_words_only() -> None:
    data = deliver.as_bytes(reply(subject="Re: " + "żółć — " * 40))
    words = re.findall(rb"=\?utf-8\?[bq]\?[^?]*\?=", data.partition(b"\n\n")[0])
    assert len(words) > 3
    for word in words:
        assert len(word) <= 75
        assert "�" not in str(email.header.make_header(email.header.decode_header(word.decode())))


def test_own_text_is_wrapped_and_quotes_are_not() -> None:
    quote = "> " + "x " * 80
    body = f"{quote.rstrip()}\n\n{'word ' * 40}\n1. {'step ' * 40}\n/a/{'path' * 30}\n"
    lines = deliver.wrapped(body).split("\n")
    assert lines[0] == quote.rstrip()
    own = [x for x in lines[1:] if not x.startswith("/")]
    assert max(map(len, own)) <= deliver.WIDTH
    assert f"/a/{'path' * 30}" in lines
    assert any(x.startswith("   step") for x in lines)


def test_a_quote_longer_than_mail_allows_goes_quoted_printable() -> None:
    body = "> +" + "é" * 600 + "\n\nText.\n"
    data = deliver.as_bytes(reply(body))
    assert b"quoted-printable" in data
    assert parsed(data).get_content() == body


def test_the_mail_is_plain_and_never_flowed() -> None:
    message = parsed(deliver.as_bytes(reply("Naïve.\n")))
    assert message["content-type"] == 'text/plain; charset="utf-8"'
    assert message["content-transfer-encoding"] == "8bit"
    assert message["date"]


def test_a_date_that_is_given_is_the_only_one() -> None:
    data = deliver.as_bytes(reply(date="Mon, 1 Jan 2024 00:00:00 +0000"), "Tue, 2 Jan 2024 00:00:00 +0000")
    assert parsed(data).get_all("date") == ["Tue, 02 Jan 2024 00:00:00 +0000"]


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_key_depends_on_author_lead_and_version() -> None:
    keys = {key_of(a, m, v) for a in ("a@x", "b@x") for m in ("m@x", "n@x") for v in (1, 2)}
    assert len(keys) == 8
    assert key_of("Ann@Dev.example", "m@x", 1) == key_of("ann@dev.example", "m@x", 1)


def test_a_draft_is_named_by_its_own_id_and_never_by_a_path_in_a_foreign_one() -> None:
    assert draft_name(message_id(KEY, 3)) == f"{KEY}-3"
    assert is_ours(message_id(KEY, 0, "maint.example"))
    assert not is_ours("<x@dev.example>")
    assert re.fullmatch("[0-9a-f]{24}", draft_name("<../../etc/passwd@x>"))


def test_a_finding_is_the_same_wherever_its_lines_moved() -> None:
    one = Finding(rule="r", at=Place("f.c", 10, "fn"), message="m", object="pool")
    two = Finding(rule="r", at=Place("f.c", 99, "fn"), message="other words", object="pool")
    other = Finding(rule="r", at=Place("f.c", 10, "fn"), message="m", object="lock")
    assert finding_key(one) == finding_key(two) != finding_key(other)


# --- places ----------------------------------------------------------------------------------------------------------


def test_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert deliver.deliver(reply(), "-") == "-"
    assert b"Subject: Re: [PATCH v2 1/2]" in capfdbinary.readouterr().out


def test_a_file_is_for_its_owner_and_whole(tmp_path: Path) -> None:
    place = Path(deliver.deliver(reply(), str(tmp_path / "new" / "x.eml")))
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert parsed(place.read_bytes())["to"] == "Ann Author <ann@dev.example>"
    assert [p.name for p in place.parent.iterdir()] == ["x.eml"]


def test_two_drafts_for_one_file_get_two(tmp_path: Path) -> None:
    other = reply(message_id=message_id(KEY, 2))
    places = [deliver.deliver(r, str(tmp_path / "x.eml")) for r in (reply(), other, reply(), other)]
    assert [Path(p).name for p in places] == ["x.eml", "x-2.eml", "x.eml", "x-2.eml"]


def test_a_maildir_holds_a_draft_once(tmp_path: Path) -> None:
    box = tmp_path / "Drafts"
    first = deliver.deliver(reply(), str(box))
    assert deliver.deliver(reply("Other words.\n"), str(box)) == first
    messages = mailbox.Maildir(box)
    (key,) = messages.keys()
    assert messages[key].get_flags() == "DS"
    assert stat.S_IMODE(Path(first).stat().st_mode) == 0o600


def test_a_draft_whose_flags_changed_is_still_that_draft(tmp_path: Path) -> None:
    first = Path(deliver.deliver(reply(), str(tmp_path / "Drafts")))
    marked = first.rename(first.with_name(first.name.replace(":2,DS", ":2,DFS")))
    assert deliver.deliver(reply(), str(tmp_path / "Drafts")) == str(marked)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ReviewError, match="no Maildir"):
        deliver.deliver(reply(), str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["notes"]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReviewError, match="No space left"):
        deliver.deliver(reply(), str(tmp_path / "x.eml"))
    assert list(tmp_path.iterdir()) == []


def test_mutt_recalls_the_draft_and_sends_it_with_its_ids(tmp_path: Path) -> None:
    if subprocess.run(["sh", "-c", "command -v mutt"], capture_output=True, check=False).returncode:
        pytest.skip("no mutt")
    deliver.deliver(reply(), str(tmp_path / "Drafts"))
    sent = tmp_path / "sent"
    sendmail = tmp_path / "sendmail"
    sendmail.write_text(f'#!/bin/sh\ncat > "{sent}"\n')
    sendmail.chmod(0o700)
    settings = [
        f"set postponed={tmp_path}/Drafts folder={tmp_path} sendmail={sendmail} editor=true copy=no",
        "set from=mia@maint.example use_from=yes mbox_type=Maildir recall=yes abort_unmodified=no sendmail_wait=0",
    ]
    rc = tmp_path / "muttrc"
    rc.write_text("\n".join(settings) + "\n")
    keys = "push '<recall-message><send-message><quit>y'"
    environment = {**os.environ, "HOME": str(tmp_path), "TERM": "xterm"}
    command = f'mutt -n -F {rc} -f {tmp_path}/Drafts -e "{keys}"'
    subprocess.run(["script", "-qec", command, "/dev/null"], env=environment, stdin=subprocess.DEVNULL,
                   capture_output=True, timeout=60, check=False)  # fmt: skip
    message = parsed(sent.read_bytes())
    assert message["message-id"] == message_id(KEY, 1, "maint.example")
    assert message["in-reply-to"] == "<one@dev.example>"
    assert not mailbox.Maildir(tmp_path / "Drafts").keys()


def test_git_send_email_keeps_ids_and_recipients(tmp_path: Path) -> None:
    if lacks := sending_lacks():
        pytest.skip(lacks)
    place = deliver.deliver(reply("Signed-off-by: Zed <zed@dev.example>\n\nText.\n"), str(tmp_path / "x.eml"))
    sendmail = tmp_path / "sendmail"
    sendmail.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/to\ncat > {tmp_path}/sent\n')
    sendmail.chmod(0o700)
    command = deliver.send_command(Path(place))
    command[2:2] = [f"--sendmail-cmd={sendmail}", "--confirm=never"]
    environment = {**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "Mia Maintainer", f"GIT_{who}_EMAIL": "mia@maint.example"}
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True, timeout=60)
    message = parsed((tmp_path / "sent").read_bytes())
    assert message["message-id"] == message_id(KEY, 1, "maint.example")
    assert message["references"].split() == ["<lead@dev.example>", "<one@dev.example>"]
    assert "zed@" not in (tmp_path / "to").read_text()
    assert "ann@dev.example" in (tmp_path / "to").read_text()


def test_ids_without_a_message_id_are_of_the_content() -> None:
    def bare(diff: bytes, subject: str = "") -> Series:
        mail = Mail(message_id="", subject=subject, author=Address("", ""), date="")
        return Series(patches=(Patch(mail=mail, diff=diff),))

    keys = [series_key(bare(b"a")), series_key(bare(b"b")), series_key(bare(b"a", "[PATCH] a"))]
    assert len(set(keys)) == 3
    assert keys[0] == series_key(bare(b"a"))
    named = Series(patches=(Patch(mail=Mail("a@x", "s", Address("", "a@x"), ""), diff=b"a"),))
    assert series_key(named) == key_of("a@x", "a@x", 1)
