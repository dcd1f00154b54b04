"""The drafts folder: each draft of the ledger as a file, and what a maintainer can do with one.

The ledger says what is; the files follow it, also after a run was cut off between the two. A draft that was sent or
dropped leaves the folder and never comes back. Sending is `release`, of one draft, by git send-email, and nothing else.
"""

from __future__ import annotations

import email
import email.policy
import shutil
import subprocess
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from reviewbot.drafts import deliver
from reviewbot.types import ReviewError
from reviewbot.watch.config import Config
from reviewbot.watch.ledger import OPEN, DraftRow, DraftState, Judged, Ledger
from reviewbot.watch.schema import draft

Run = Callable[[Sequence[str]], int]
"""Starts a command in the maintainer's terminal; returns its exit code."""


class Box:
    """The drafts of a ledger as files. `config` says where, and where copies go."""

    def __init__(self, ledger: Ledger, config: Config) -> None:
        self.ledger = ledger
        self.config = config
        self.folder = config.folder() / "drafts"
        self.appeared = 0
        """Drafts that appeared in the folder since this Box was made."""

    def path(self, name: str) -> Path:
        """The file of a draft."""
        return self.folder / f"{name}.eml"

    def id(self) -> str:
        """Tells this folder from those of other machines on the same database."""
        file = self.folder / ".id"
        if not file.exists():
            deliver.write(file, uuid.uuid4().hex.encode())
        return file.read_text()

    def read(self, row: DraftRow) -> bytes:
        """The mail of a draft as it is now: its file, which may have been edited, else the ledger's."""
        try:
            return self.path(row.name).read_bytes()
        except FileNotFoundError:
            return self.ledger.mail(row.name)
        except OSError as error:
            raise ReviewError(f"cannot read {self.path(row.name)}: {error.strerror}") from error

    def settle(self) -> None:
        """Bring folder and copies to what the ledger says. ReviewError where they cannot be written (full disk)."""
        try:
            with self.ledger.store.transaction():
                for row in self.ledger.unplaced():
                    if not self.path(row.name).exists():
                        deliver.write(self.path(row.name), self.ledger.mail(row.name))
                    self.ledger.change(row.name, placed=self.id())
                    self.appeared += 1
            for row in self.ledger.drafts(draft.c.placed == self.id(), draft.c.state.not_in(OPEN)):
                self._remove(row)
            for row in self.ledger.drafts(draft.c.placed == self.id(), draft.c.state == DraftState.PENDING):
                if not self.path(row.name).exists():
                    self.ledger.change(row.name, state=DraftState.DROPPED, why="its file was removed")
                elif self.config.drafts.deliver and row.delivery != "done":
                    self._copy(row)
        except OSError as error:
            raise ReviewError(f"cannot write drafts to {self.folder}: {error.strerror or error}") from error

    def _remove(self, row: DraftRow) -> None:
        self.path(row.name).unlink(missing_ok=True)
        copy = self._maildir(row)
        there = copy.there() if copy else None
        if there:
            there.unlink(missing_ok=True)
        self.ledger.change(row.name, placed="")

    def _maildir(self, row: DraftRow) -> deliver.MaildirCopy | None:
        dest = self.config.drafts.deliver
        if not dest or "://" in dest:
            return None
        return deliver.MaildirCopy(Path(dest).expanduser(), row.message_id)

    def _copy(self, row: DraftRow) -> None:
        """Deliver the copy once. Where a run was cut off at it, nothing is delivered that may have been there before.

        The maintainer may have sent or deleted the copy since; the draft itself is in the folder in any case.
        """
        copy = self._maildir(row)
        if row.delivery == "begun":
            if copy and copy.is_staged():
                copy.place()
        elif copy:
            if not copy.there():
                copy.stage(self.read(row))
                if self.ledger.change(row.name, draft.c.delivery == "", delivery="begun"):
                    copy.place()
        else:
            from reviewbot.drafts.imap import append

            if not self.ledger.change(row.name, draft.c.delivery == "", delivery="begun"):
                return
            try:
                append(self.config.drafts.deliver, self.read(row), row.message_id)
            except ReviewError:
                self.ledger.change(row.name, delivery="")
                raise
        self.ledger.change(row.name, delivery="done")

    # --- what a maintainer does --------------------------------------------------------------------------------------

    def edit(self, row: DraftRow, run: Run, editor: Sequence[str]) -> Path:
        """Let the maintainer change a draft. ReviewError when what he leaves is no longer that mail: its ids stay."""
        self._open(row, DraftState.PENDING)
        work = self.folder / f".{row.name}.edit.eml"
        deliver.write(work, self.read(row))
        if run([*editor, str(work)]):
            raise ReviewError(f"the editor failed; the draft is unchanged, your text is in {work}")
        before, after = _parsed(self.read(row)), _parsed(work.read_bytes())
        for name in ("Message-ID", "In-Reply-To"):
            if str(before.get(name, "")) != str(after.get(name, "")):
                raise ReviewError(f"{name} has to stay as it was; the draft is unchanged, your text is in {work}")
        if not after.get("To"):
            raise ReviewError(f"no recipient is left; the draft is unchanged, your text is in {work}")
        deliver.write(self.path(row.name), work.read_bytes())
        work.unlink(missing_ok=True)
        return self.path(row.name)

    def release(self, row: DraftRow, run: Run, anyway: bool = False) -> list[str]:
        """Send one draft, if the configuration allows sending; else only say that it is about to be sent by hand.

        Returns the command. ReviewError when the draft is not to be released now: `anyway` overrides an embargo, a
        newer version and an earlier release that was not seen to end, but nothing sent or dropped.
        """
        states = (DraftState.PENDING, DraftState.RELEASING, DraftState.SUPERSEDED) if anyway else (DraftState.PENDING,)
        self._open(row, *states)
        left = row.not_before - self.ledger.store.now()
        if left > 0 and not anyway:
            raise ReviewError(f"{row.name} is under embargo for {left / 3600:.1f} more hours; --anyway overrides that")
        if not self.path(row.name).exists():
            deliver.write(self.path(row.name), self.ledger.mail(row.name))
        command = deliver.send_command(self.path(row.name))
        if not self.ledger.change(
            row.name, draft.c.state == row.state, state=DraftState.RELEASING, why="release begun"
        ):
            raise ReviewError(f"{row.name} is being released by another process")
        if not self.config.drafts.send:
            return command
        code = run(command)
        if code:
            lacks = sending_lacks()
            why = f"git send-email ended with {code}{f': {lacks}' if lacks else ''}"
            self.ledger.change(row.name, state=DraftState.PENDING, why=why)
            raise ReviewError(f"{row.name} was not sent: {why}")
        self.sent(row)
        return command

    def sent(self, row: DraftRow) -> None:
        """The draft was sent, here or by hand."""
        self.ledger.change(row.name, state=DraftState.SENT, why="released")
        self.settle()

    def drop(self, row: DraftRow, why: str) -> None:
        """The draft is not wanted."""
        self._open(row, *OPEN)
        self.ledger.change(row.name, state=DraftState.DROPPED, why=why)
        self.settle()

    def false_positive(self, row: DraftRow, by: str, why: str) -> int:
        """The findings of a draft are wrong: not raised again on later versions, counted in their rules' precision."""
        with self.ledger.store.transaction():
            count = self.ledger.judge(row, Judged.FALSE_POSITIVE, by=by, said_in=why or row.name)
            if row.state in OPEN:
                self.ledger.change(row.name, state=DraftState.DROPPED, why="false positive")
        self.settle()
        return count

    def stands(self, row: DraftRow, by: str) -> int:
        """The findings of a draft hold, whatever was answered: later versions raise them again."""
        return self.ledger.judge(row, Judged.STANDS, by=by, said_in=row.name)

    def _open(self, row: DraftRow, *states: DraftState) -> None:
        if row.state not in states:
            why = f" ({row.why})" if row.why else ""
            over = "; --anyway overrides that" if row.state in OPEN else ""
            raise ReviewError(f"{row.name} is {row.state}{why}{over}")


def _parsed(data: bytes) -> email.message.Message:
    return email.message_from_bytes(data, policy=email.policy.compat32)


def sending_lacks() -> str:
    """What git send-email is seen to lack on this machine, and the package that has it; empty for nothing."""
    try:
        asked = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=False).stdout.strip()
        if not (Path(asked) / "git-send-email").exists() and not shutil.which("git-send-email"):
            return "there is no git send-email (Debian's git-email)"
        if subprocess.run(["perl", "-MMail::Address", "-e1"], capture_output=True, check=False).returncode:
            return "Perl's Mail::Address is not there (Debian's libmailtools-perl, which git-email only recommends)"
    except OSError as error:
        return f"there is no {error.filename}"
    return ""


def in_terminal(command: Sequence[str]) -> int:
    """Run a command in the maintainer's terminal."""
    try:
        return subprocess.run(command, check=False).returncode
    except OSError as error:
        raise ReviewError(f"cannot start {command[0]}: {error.strerror}") from error
