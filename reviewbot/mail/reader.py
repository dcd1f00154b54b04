"""The child process that fetches and reads mails (`reviewbot.mail.child`), as its parent sees it.

It has limits on time, memory and size, and a throw-away profile: no state or configuration of the user's b4 or git, and
no `.b4-config` of a tree, is ever read. Whatever a mail or a server does to it becomes one line here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from reviewbot.mail.protocol import KINDS, Answer, Incomplete, MailLimits, Outage, Request
from reviewbot.text import clean
from reviewbot.types import ReviewError, Series, Unreviewed

_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class MailReader:
    """A child process that fetches and reads mails; one is good for many series, and is replaced when a mail ends it.

    Use it as a context manager. It is not for several threads at once.
    """

    def __init__(self, limits: MailLimits | None = None) -> None:
        self.limits = limits or MailLimits()
        self._process: subprocess.Popen[bytes] | None = None
        self._profile: tempfile.TemporaryDirectory[str] | None = None
        self._late = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def thread(self, asked: str, inbox: str) -> bytes:
        """The thread of a message as an mbox. Raises UnknownMessage, Outage, or Unreviewed where it is too large."""
        late = f"{inbox.partition('://')[2]} did not answer within {self.limits.seconds:g} s: try again later"
        return self._ask(Request(asked=asked, inbox=inbox), "", Outage(late)).mbox

    def search(self, query: str, inbox: str) -> bytes:
        """The threads that a public-inbox query finds, as an mbox; empty for none. Raises Outage, or Unreviewed."""
        late = f"{inbox.partition('://')[2]} did not answer within {self.limits.seconds:g} s: try again later"
        return self._ask(Request(query=query, inbox=inbox), "", Outage(late)).mbox

    def series(
        self,
        raws: Sequence[bytes],
        *,
        source: str,
        asked: str = "",
        revision: int | None = None,
        partial: bool = False,
    ) -> Series:
        """The series in raw mails (or mboxes, or diffs), such as a thread from an archive; `asked` is the id of one of
        its patches, its cover letter or a reply to them, empty for the newest version there is. Raises as `fetch`,
        and Incomplete where patches are missing and it was not asked for what there is (`partial`)."""
        source = clean(source)
        request = Request(raws=tuple(raws), asked=asked, revision=revision, partial=partial, source=source)
        series = self._ask(request, source, self._late_for(source)).series
        assert series is not None
        return series

    def all(self, raws: Sequence[bytes], *, source: str, every: bool = False) -> list[Series | ReviewError]:
        """Each series in raw mails, or the error in its place; `every`: each version of each. Raises as `fetch`."""
        source = clean(source)
        request = Request(raws=tuple(raws), all=True, every=every, source=source)
        answers = self._ask(request, source, self._late_for(source)).all
        return [answer.series or _failure(answer) for answer in answers]

    def _late_for(self, source: str) -> Unreviewed:
        return Unreviewed(f"{source} takes longer than {self.limits.seconds:g} s to read, and is left alone")

    def close(self) -> None:
        """End the child and remove its profile."""
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.kill()  # it has nothing to put away, and would take its time to take its modules down
            self._process.wait()
            with suppress(OSError):
                self._process.stdin.close()
            self._process.stdout.close()
            self._process = None
        if self._profile is not None:
            self._profile.cleanup()
            self._profile = None

    def _ask(self, request: Request, source: str, late: Unreviewed) -> Answer:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        self._late = False
        timer = threading.Timer(self.limits.seconds, self._give_up, (process,))
        timer.daemon = True
        timer.start()
        line = b""
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(msgspec.json.encode(request) + b"\n")
                process.stdin.flush()
                line = process.stdout.readline()
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            raise self._ended(process, source or "the answer", late)
        answer = msgspec.json.decode(line, type=Answer)
        if answer.failure:
            raise _failure(answer)
        return answer

    def _give_up(self, process: subprocess.Popen[bytes]) -> None:
        self._late = True
        process.kill()

    def _ended(self, process: subprocess.Popen[bytes], source: str, late: Unreviewed) -> Exception:
        """Why there is no answer, once the child is gone."""
        code, told = process.wait(), self._complaint()
        self.close()
        if self._late:
            return late
        if code == -signal.SIGXCPU:
            return Unreviewed(
                f"{source} takes more than {self.limits.cpu} s of processor time to read, and is left alone"
            )
        if code < 0:
            return Unreviewed(f"{source} made the mail reader crash ({signal.strsignal(-code)}), and is left alone")
        return RuntimeError(f"the mail reader ended ({code}): {told}")

    def _complaint(self) -> str:
        assert self._profile is not None
        lines = Path(self._profile.name, "stderr").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._profile = tempfile.TemporaryDirectory(prefix="reviewbot-")
            home = self._profile.name
            with open(Path(home, "stderr"), "wb") as stderr:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "reviewbot.mail.start", msgspec.json.encode(self.limits).decode()],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    cwd=home,
                    env=_environment(home),
                )
        return self._process


def _failure(answer: Answer) -> ReviewError:
    error = KINDS[answer.failure](clean(answer.text))
    if isinstance(error, Incomplete):
        error.query = answer.query
    return error


def _environment(home: str) -> dict[str, str]:
    """What the child sees of the world: how to reach the network, and a profile with nothing in it."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.lower() in _PROXIES}
    return kept | {
        "HOME": home,
        "TMPDIR": home,
        **{f"XDG_{name}_HOME": f"{home}/{name.lower()}" for name in ("CACHE", "CONFIG", "DATA", "STATE")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": home,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # its HOME is not the one that pip --user installed to
        "PYTHONSAFEPATH": "1",
    }
