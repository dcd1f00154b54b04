"""What the maintainer does with drafts, and that nothing sent or dropped comes back."""

from __future__ import annotations

import mailbox
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from inbox import finder
from servers import dovecot

from reviewbot import cli
from reviewbot.drafts import deliver, imap
from reviewbot.mail import fetch
from reviewbot.review import Options
from reviewbot.types import ReviewError
from reviewbot.watch.box import Box
from reviewbot.watch.config import Config, Drafts
from reviewbot.watch.ledger import DraftRow, DraftState, Judged, Ledger
from reviewbot.watch.store import Store


def make(path: Path, **more: object) -> Box:
    config = Config(state=str(path / "state"), drafts=Drafts(**more))  # type: ignore[arg-type]
    return Box(Ledger(Store.open(config.database_url())), config)


def enter(box: Box, name: str = "a", not_before: float = 0.0) -> DraftRow:
    """A draft as the watcher enters it."""
    from inbox import patch

    series = fetch.parse(patch(f"{name}@dev.example", f"dm {name}: fix", "lock"), "mail")
    (reply,) = finder(series, Options()).replies
    message_id = deliver.mail_id(reply)
    row = DraftRow(
        name=deliver.draft_name(message_id),
        series=name,
        lineage=name,
        message_id=message_id,
        subject=reply.header("subject"),
        state=DraftState.PENDING,
        made=1.0,
        verdicts=msgspec.json.encode(reply.verdicts).decode(),
        not_before=not_before,
    )
    box.ledger.add(row, deliver.as_bytes(reply))
    box.settle()
    return row


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = make(tmp_path)
    yield made
    made.ledger.store.close()


def never(command: Sequence[str]) -> int:
    raise AssertionError(f"started {command}")


def files(box: Box) -> list[str]:
    return sorted(p.name for p in box.folder.glob("*.eml"))


def test_a_draft_is_a_file_for_its_owner(box: Box) -> None:
    row = enter(box)
    assert files(box) == [f"{row.name}.eml"]
    assert box.path(row.name).stat().st_mode & 0o077 == 0
    assert box.folder.stat().st_mode & 0o077 == 0
    assert box.read(row) == box.ledger.mail(row.name)


@pytest.mark.parametrize("end", ["drop", "sent", "false_positive"])
def test_what_is_done_with_never_comes_back(box: Box, end: str) -> None:
    row = enter(box)
    match end:
        case "drop":
            box.drop(row, "no")
        case "sent":
            box.sent(row)
        case "false_positive":
            box.false_positive(row, "me", "the lock is another one")
    assert files(box) == []
    assert not box.ledger.add(row, b"again")
    box.settle()
    assert files(box) == []
    with pytest.raises(ReviewError, match=r"is (dropped|sent)"):
        box.release(box.ledger.find(row.name), never, anyway=True)


def test_a_file_that_was_removed_by_hand_is_a_drop(box: Box) -> None:
    row = enter(box)
    box.path(row.name).unlink()
    box.settle()
    assert files(box) == []
    assert box.ledger.find(row.name).state is DraftState.DROPPED


def test_nothing_is_sent_unless_that_is_configured(box: Box) -> None:
    row = enter(box)
    command = box.release(row, never)
    assert command[:2] == ["git", "send-email"]
    assert command[-1] == str(box.path(row.name))
    assert box.path(row.name).exists()
    assert box.ledger.find(row.name).state is DraftState.RELEASING


def test_a_release_sends_one_draft_once(tmp_path: Path) -> None:
    box = make(tmp_path, send=True)
    one, other = enter(box, "a"), enter(box, "b")
    started: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> int:
        started.append(command)
        return 0

    box.release(one, run)
    assert [c[-1] for c in started] == [str(box.path(one.name))]
    assert files(box) == [f"{other.name}.eml"]
    with pytest.raises(ReviewError, match="is sent"):
        box.release(box.ledger.find(one.name), run)
    assert len(started) == 1


def test_a_release_that_fails_leaves_the_draft(tmp_path: Path) -> None:
    box = make(tmp_path, send=True)
    row = enter(box)
    with pytest.raises(ReviewError, match="was not sent: git send-email ended with 7"):
        box.release(row, lambda _: 7)
    assert box.ledger.find(row.name).state is DraftState.PENDING
    assert files(box) == [f"{row.name}.eml"]


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ((), "there is no git send-email (Debian's git-email)"),
        (("git-send-email",), "Debian's libmailtools-perl"),
        (("git-send-email", "perl"), ""),
    ],
)
def test_what_sending_lacks_is_named_with_its_package(
    there: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_, git_core = tmp_path / "bin", tmp_path / "git-core"
    programs = {"git": f"echo {git_core}", "perl": f"exit {0 if 'perl' in there else 2}"}
    programs |= {name: "exit 2" for name in there if name not in programs}
    for folder in (bin_, git_core):
        folder.mkdir()
    for name, text in programs.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin_ / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_))
    box = make(tmp_path, send=True)
    row = enter(box)
    with pytest.raises(ReviewError) as caught:
        box.release(row, lambda _: 2)
    assert "was not sent: git send-email ended with 2" in str(caught.value)
    assert says in str(caught.value)
    assert says in box.ledger.find(row.name).why


def test_a_release_that_was_cut_off_is_not_done_again_by_itself(tmp_path: Path) -> None:
    box = make(tmp_path, send=True)
    row = enter(box)

    def cut_off(_: Sequence[str]) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        box.release(row, cut_off)
    again = box.ledger.find(row.name)
    with pytest.raises(ReviewError, match="is releasing"):
        box.release(again, never)
    box.release(again, lambda _: 0, anyway=True)
    assert box.ledger.find(row.name).state is DraftState.SENT


def test_two_releases_at_once_send_once(tmp_path: Path) -> None:
    box = make(tmp_path, send=True)
    row = enter(box)
    box.ledger.change(row.name, state=DraftState.RELEASING)
    with pytest.raises(ReviewError, match="another process"):
        box.release(row, never)


def test_an_embargo_holds(tmp_path: Path) -> None:
    box = make(tmp_path)
    row = enter(box, not_before=time.time() + 7200)
    with pytest.raises(ReviewError, match=r"under embargo for 2\.0 more hours"):
        box.release(row, never)
    box.release(row, never, anyway=True)


def test_a_superseded_draft_is_not_released_by_the_way(box: Box) -> None:
    row = enter(box)
    box.ledger.supersede([row.series], "v2")
    with pytest.raises(ReviewError, match=r"is superseded \(there is v2\)"):
        box.release(box.ledger.find(row.name), never)


def test_an_edited_draft_is_what_is_released(box: Box) -> None:
    row = enter(box)

    def editor(command: Sequence[str]) -> int:
        path = Path(command[-1])
        path.write_bytes(path.read_bytes().replace(b"This deadlocks.", b"This hangs."))
        return 0

    box.edit(row, editor, ["ed"])
    assert b"This hangs." in box.read(row)
    assert files(box) == [f"{row.name}.eml"]
    assert box.path(row.name).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"Message-ID:", b"X-Message-ID:", "Message-ID has to stay"),
        (b"In-Reply-To: <a@", b"In-Reply-To: <b@", "In-Reply-To has to stay"),
        (b"To: ann@dev.example\n", b"", "no recipient is left"),
    ],
)
def test_an_edit_that_breaks_the_mail_is_refused_and_kept(box: Box, old: bytes, new: bytes, said: str) -> None:
    row = enter(box)
    before = box.read(row)
    assert old in before

    def editor(command: Sequence[str]) -> int:
        Path(command[-1]).write_bytes(before.replace(old, new, 1))
        return 0

    with pytest.raises(ReviewError, match=said) as caught:
        box.edit(row, editor, ["ed"])
    assert box.read(row) == before
    assert Path(str(caught.value).rpartition(" ")[2]).exists()


def test_a_false_positive_is_remembered_until_it_is_upheld(box: Box) -> None:
    row = enter(box)
    assert box.false_positive(row, "maintainer", "another lock") == 1
    (why,) = box.ledger.silenced(row.lineage).values()
    assert why == "false positive by maintainer (another lock)"
    assert box.ledger.tally()[0].wrong == 1
    box.stands(row, "maintainer")
    assert box.ledger.silenced(row.lineage) == {}
    assert [j.kind for j in box.ledger.judgements(row.lineage)] == [Judged.FALSE_POSITIVE, Judged.STANDS]
    assert box.ledger.tally()[0].right == 1


def test_a_name_may_be_cut_short_while_it_is_clear(box: Box) -> None:
    one, two = enter(box, "a"), enter(box, "b")
    assert box.ledger.find(one.name[:10]).name == one.name
    with pytest.raises(ReviewError, match="no draft begins with"):
        box.ledger.find("zz")
    with pytest.raises(ReviewError):
        box.ledger.find("")
    assert box.ledger.find(two.name).name == two.name


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_copy_lies_in_the_maildir_once_and_goes_with_the_draft(tmp_path: Path) -> None:
    box = make(tmp_path, deliver=str(tmp_path / "Drafts"))
    row = enter(box)
    box.settle()
    assert len(mailbox.Maildir(tmp_path / "Drafts")) == 1
    box.drop(row, "")
    assert len(mailbox.Maildir(tmp_path / "Drafts")) == 0


def test_a_copy_that_was_taken_away_is_not_put_back(tmp_path: Path) -> None:
    box = make(tmp_path, deliver=str(tmp_path / "Drafts"))
    row = enter(box)
    mailbox.Maildir(tmp_path / "Drafts").clear()
    box.settle()
    box.ledger.change(row.name, delivery="begun")  # as after a kill between delivery and its note
    box.settle()
    assert len(mailbox.Maildir(tmp_path / "Drafts")) == 0
    assert files(box) == [f"{row.name}.eml"]


def test_a_place_that_is_no_maildir_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/mine").write_text("x")
    box = make(tmp_path, deliver=str(tmp_path / "notes"))
    with pytest.raises(ReviewError, match="no Maildir"):
        enter(box)
    assert len(files(box)) == 1


def test_a_copy_lies_in_the_imap_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(imap.PASSWORD, "secret")
    with dovecot(tmp_path) as port:
        url = f"imap://ann@127.0.0.1:{port}/Drafts"
        box = make(tmp_path, deliver=url)
        row = enter(box)
        box.settle()
        imap.append(url, box.read(row), row.message_id)
        client = imap.connect(imap.parse(url))
        client.select_folder("Drafts")
        found = client.fetch(client.search(), ["FLAGS", "RFC822"])
        client.logout()
        monkeypatch.setenv(imap.PASSWORD, "wrong")
        with pytest.raises(ReviewError, match="no login"):
            imap.append(url, b"", "<x@x>")
    (message,) = found.values()
    assert {b"\\Draft", b"\\Seen"} <= set(message[b"FLAGS"])
    assert message[b"RFC822"].replace(b"\r\n", b"\n") == box.read(row)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("imaps://ann:secret@h.example/x", "no password in an address"),
        ("imaps:///x", "no host"),
        ("imap://ann@h.example:99999/x", "not an IMAP address"),
    ],
)
def test_an_imap_address_that_is_none_is_one_line(url: str, said: str) -> None:
    with pytest.raises(ReviewError, match=said):
        imap.parse(url)


def test_no_password_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(imap.PASSWORD, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ReviewError, match="no password for"):
        imap._login(imap.parse("imaps://ann@h.example/x"))


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    box = make(tmp_path)
    row = enter(box)
    config = tmp_path / "config.toml"
    config.write_text(f'state = "{tmp_path}/state"\n')
    run = ["drafts", "--config", str(config)]
    assert cli.run(run) == 0
    assert capsys.readouterr().out == f"{row.name}  pending  Re: [PATCH] dm a: fix\n"
    assert cli.run([*run, "show", row.name[:8]]) == 0
    shown = capsys.readouterr().out
    assert "finding: confirmed: drivers/md/dm-x.c:2: takes lock twice [bad-lock]" in shown
    assert "This deadlocks." in shown
    monkeypatch.setenv("EDITOR", "true")
    monkeypatch.delenv("VISUAL", raising=False)
    assert cli.run([*run, "edit", row.name]) == 0
    assert cli.run([*run, "release", row.name]) == 0
    assert "git send-email" in capsys.readouterr().out
    assert cli.run([*run, "sent", row.name]) == 0
    assert cli.run([*run, "list", "--all"]) == 0
    assert "sent (released)" in capsys.readouterr().out
    assert cli.run([*run, "drop", row.name]) == 2
    assert cli.run([*run, "false-positive", row.name, "--why", "no"]) == 0
    assert cli.run([*run, "stands", row.name]) == 0
    assert cli.run([*run, "record"]) == 0
    assert "bad-lock" in capsys.readouterr().out
    assert os.listdir(box.folder) == [".id"]
