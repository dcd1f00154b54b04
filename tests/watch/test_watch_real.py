"""From the archive to the sent mail and back, with the real rules and simulator, git send-email and a tree of ours."""

from __future__ import annotations

import email
import os
from pathlib import Path

import pytest
from inbox import Inbox, git, mail

from reviewbot import cli
from reviewbot.bench import case
from reviewbot.report.reply import replay_id
from reviewbot.watch.box import sending_lacks
from reviewbot.watch.ledger import DraftState, Ledger
from reviewbot.watch.schema import series
from reviewbot.watch.store import Store

CASE = Path(__file__).parents[2] / "corpus/wq-mem-reclaim/lost-flag.case"


def as_posted(text: str, id_: str, tag: str) -> bytes:
    """The patch mail of a case with an id and a tag of its own."""
    message = email.message_from_string(text)
    for name in ("Message-ID", "Subject", "To"):
        subject = str(message.get("Subject", ""))
        del message[name]
        if name == "Subject":
            message["Subject"] = f"[{tag}] {subject.partition('] ')[2] or subject}"
    message["Message-ID"] = f"<{id_}>"
    message["To"] = "dm-devel@list.example"
    return message.as_bytes()


def test_from_the_archive_to_the_sent_mail_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if lacks := sending_lacks():
        pytest.skip(lacks)
    found = case.parse(CASE.read_text(), "lost-flag")
    tree = tmp_path / "linux"
    for path, text in found.files:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    git(tree, "init", "-q", "-b", "master")
    git(tree, "add", ".")
    git(tree, "-c", "user.name=T", "-c", "user.email=t@x.example", "commit", "-q", "-m", "base")
    sendmail = tmp_path / "sendmail"
    sendmail.write_text(f'#!/bin/sh\ncat > "{tmp_path}/sent"\n')
    sendmail.chmod(0o700)
    (tmp_path / "gitconfig").write_text(
        f'[user]\n\tname = Mia\n\temail = mia@maint.example\n[sendemail]\n\tsendmailCmd = "{sendmail}"\n\tconfirm = never\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("HOME", str(tmp_path))
    inbox = Inbox(tmp_path / "inbox")
    config = tmp_path / "config.toml"
    config.write_text(
        f'state = "{tmp_path}/state"\n'
        f'[[list]]\nname = "dm"\nurl = "{inbox.url}"\nreview = true\nlook_back_days = 100000\n'
        f'[[tree]]\npath = "{tree}"\nfiles = ["drivers/md/*"]\n'
        '[drafts]\nmaintainer = "Mia Maintainer <mia@maint.example>"\nsend = true\n'
    )
    inbox.deliver(as_posted(found.patch, "v1@dev.example", "PATCH"))
    assert cli.run(["watch", "--config", str(config)]) == 0
    assert "1 reviewed (1 nack), 1 new draft" in capsys.readouterr().out
    with Store.open(f"sqlite:///{tmp_path}/state/state.sqlite") as store:
        (row,) = Ledger(store).drafts()
        assert cli.run(["drafts", "--config", str(config), "show", row.name]) == 0
        shown = capsys.readouterr().out
        assert "deadlock" in shown
        assert "signatures, shown only: DKIM: no signature" in shown
        assert cli.run(["explain", replay_id("v1@dev.example", row.findings()[0].finding)]) in (0, 2)
        capsys.readouterr()
        assert cli.run(["drafts", "--config", str(config), "release", row.name, "--yes"]) == 0
        sent = (tmp_path / "sent").read_bytes()
        message = email.message_from_bytes(sent)
        assert message["In-Reply-To"] == "<v1@dev.example>"
        assert message["Message-ID"] == row.message_id
        assert Ledger(store).find(row.name).state is DraftState.SENT
        author = str(email.message_from_string(found.patch)["From"])
        no = mail("no@dev.example", "Re: x", "That queue is never waited for.\n", author=author,
                  parent=row.message_id.strip("<>"))  # fmt: skip
        inbox.deliver(sent, no, as_posted(found.patch, "v2@dev.example", "PATCH v2"))
        assert cli.run(["watch", "--config", str(config)]) == 0
        assert "(1 comment)" in capsys.readouterr().out
        (second,) = store.series(series.c.version == 2)
        assert "not raised again, refuted by" in second.result
        assert [p for p in os.listdir(tmp_path / "state/drafts") if p.endswith(".eml")] == []
