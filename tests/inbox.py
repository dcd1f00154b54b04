"""For the tests of the watcher: a public-inbox made of our own mails, and reviewers that need no kernel tree."""

from __future__ import annotations

import os
import subprocess
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from reviewbot.key import message_id, series_key
from reviewbot.review import Options
from reviewbot.types import Decision, Finding, KnotEdge, Outcome, Place, Reply, Review, Series, Step, Trace, Verdict

START = 1_700_000_000.0
ANN = "Ann Author <ann@dev.example>"

_GIT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(where: Path, *arguments: str, data: bytes = b"") -> str:
    """Run git in a repository."""
    done = subprocess.run(["git", "-C", str(where), *arguments], input=data, env=_GIT, capture_output=True, check=True)
    return done.stdout.decode().strip()


class Inbox:
    """An inbox folder as public-inbox has it: `git/0.git`, a commit a mail, its content as `m`."""

    def __init__(self, path: Path, epoch: int = 0) -> None:
        self.path = path
        self.use(epoch)

    def use(self, epoch: int) -> None:
        """Go on in another epoch."""
        self.epoch = self.path / "git" / f"{epoch}.git"
        if not self.epoch.exists():
            self.epoch.mkdir(parents=True)
            git(self.epoch, "init", "-q", "--bare", "-b", "master")
            git(self.epoch, "config", "uploadpack.allowFilter", "true")

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    def deliver(self, *mails: bytes, at: float = START) -> None:
        """The list takes mails, one second after another."""
        out = []
        there = subprocess.run(
            ["git", "-C", str(self.epoch), "rev-parse", "-q", "--verify", "master"], capture_output=True, check=False
        )
        for number, mail in enumerate(mails):
            out.append(b"commit refs/heads/master\ncommitter list <l@list.example> %d +0000\n" % int(at + number))
            out.append(b"data 1\nx\n")
            if number == 0 and there.returncode == 0:
                out.append(b"from refs/heads/master^0\n")
            out.append(b"M 100644 inline m\ndata %d\n" % len(mail) + mail + b"\n")
        git(self.epoch, "fast-import", "--quiet", data=b"".join(out))

    def mails(self) -> list[tuple[bytes, float]]:
        """What the epoch holds, oldest first."""
        found = []
        for line in git(self.epoch, "log", "--reverse", "--format=%H %ct", "master").splitlines():
            commit, when = line.split()
            data = subprocess.run(
                ["git", "-C", str(self.epoch), "cat-file", "blob", f"{commit}:m"], capture_output=True, check=True
            ).stdout
            found.append((data, float(when)))
        return found

    def purge(self, text: bytes) -> None:
        """Rewrite the epoch without the mails that hold `text`, as public-inbox-purge does."""
        kept = [(m, w) for m, w in self.mails() if text not in m]
        git(self.epoch, "update-ref", "-d", "refs/heads/master")
        for mail, when in kept:
            self.deliver(mail, at=when)


def diff(*bad: str, path: str = "drivers/md/dm-x.c") -> str:
    """A diff whose added lines say what `finder` is to find."""
    lines = "".join(f"+bad {name}\n" for name in bad) or "+good\n"
    count = max(1, len(bad))
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,{1 + count} @@\n line\n{lines}"


def mail(
    id_: str,
    subject: str,
    body: str,
    *,
    author: str = ANN,
    parent: str = "",
    refs: tuple[str, ...] = (),
    headers: tuple[tuple[str, str], ...] = (),
    at: float = START,
) -> bytes:
    """A raw mail."""
    message = EmailMessage()
    message["From"] = author
    message["To"] = "dm-devel@list.example"
    message["Subject"] = subject
    message["Date"] = formatdate(at)
    message["Message-ID"] = f"<{id_}>"
    if parent:
        message["In-Reply-To"] = f"<{parent}>"
        message["References"] = " ".join(f"<{r}>" for r in (*refs, parent))
    for name, value in headers:
        message[name] = value
    message.set_content(body, cte="8bit")
    return message.as_bytes()


def patch(
    id_: str,
    title: str = "dm x: change",
    *bad: str,
    prefix: str = "PATCH",
    path: str = "drivers/md/dm-x.c",
    **more: object,
) -> bytes:
    """A patch mail; `bad` are the objects that `finder` objects to."""
    text = f"Why.\n\nSigned-off-by: Ann Author <ann@dev.example>\n---\n 1 file changed\n\n{diff(*bad, path=path)}-- \n2.47\n"
    return mail(id_, f"[{prefix}] {title}", text, **more)  # type: ignore[arg-type]


def posted(name: str, of: int = 2, version: int = 1, *bad: str, author: str = ANN, parent: str = "") -> list[bytes]:
    """A series: cover letter and patches, threaded; the last patch is bad."""
    tag = "PATCH" if version == 1 else f"PATCH v{version}"
    cover = f"{name}-v{version}-0@dev.example"
    out = [mail(cover, f"[{tag} 0/{of}] dm {name}: all of it", "Hello.\n", author=author, parent=parent)]
    refs = (parent,) if parent else ()
    for n in range(1, of + 1):
        what = bad if n == of else ()
        out.append(
            patch(
                f"{name}-v{version}-{n}@dev.example", f"dm {name}: part {n}", *what,
                prefix=f"{tag} {n}/{of}", author=author, parent=cover, refs=refs,
            )
        )  # fmt: skip
    return out


# --- reviewers, named by `inbox:NAME` --------------------------------------------------------------------------------


def finder(series: Series, options: Options) -> Review:
    """Objects to each `bad NAME` line of a series, with a draft for each patch that has one; notes who asked."""
    if "REVIEW_LOG" in os.environ:
        with open(os.environ["REVIEW_LOG"], "a") as log:
            log.write(f"{os.getppid()}:{series.lead.message_id}\n")
    verdicts, drafted = [], []
    for one in series.patches:
        names = [line.split()[1] for line in one.diff.decode().splitlines() if line.startswith("+bad ")]
        mine = tuple(_confirmed(name, one.number) for name in names)
        verdicts += mine
        if mine:
            headers = (
                ("From", options.sender.email if options.sender else "m@maint.example"),
                ("To", one.mail.author.email),
                ("Subject", f"Re: {one.mail.subject}"),
                ("Message-ID", message_id(series_key(series), one.number, "maint.example")),
                ("In-Reply-To", f"<{one.mail.message_id}>"),
                ("Date", "Tue, 14 Nov 2023 22:13:20 +0000"),
            )
            drafted.append(Reply(headers=headers, body="This deadlocks.\n", verdicts=mine))
    decision = Decision.NACK if verdicts else Decision.ACK
    return Review(series=series, decision=decision, verdicts=tuple(verdicts), replies=tuple(drafted))


def _confirmed(name: str, number: int) -> Verdict:
    at = Place("drivers/md/dm-x.c", 2, "x_map")
    finding = Finding(rule="bad-lock", at=at, message=f"takes {name} twice", object=name, patch=number)
    trace = Trace(steps=(Step("task", "waits"),), knot=(KnotEdge("task", name, "itself"),))
    return Verdict(finding=finding, outcome=Outcome.CONFIRMED, trace=trace)


def crasher(series: Series, options: Options) -> Review:
    """Dies on the series."""
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def sleeper(series: Series, options: Options) -> Review:
    """Never ends."""
    import time

    time.sleep(3600)
    raise AssertionError


def eater(series: Series, options: Options) -> Review:
    """Wants more memory than there is."""
    return Review(series=series, decision=Decision.ACK, notes=("x" * (1 << 34),))


HELD: list[bytes] = []


def starver(series: Series, options: Options) -> Review:
    """Fails for lack of memory, and says something else."""
    try:
        while True:
            HELD.append(b"x" * (1 << 20))
    except MemoryError:
        raise RuntimeError("can't start new thread") from None


def raiser(series: Series, options: Options) -> Review:
    """Has a fault."""
    raise ZeroDivisionError("a fault of the rules")
