"""The child process that reads each mail for the watcher, and the watcher's side of it.

Started as `python -m reviewbot.watch.child LIMITS`: it can write no file, has bounds on memory and time, and the
watcher takes no more from it than `Head`s. A mail that ends it costs that mail, not the walk: another child goes on.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Self

import msgspec

from reviewbot.mail.protocol import MailLimits
from reviewbot.watch.mail import Head

_SIZE = struct.Struct(">I")
LARGEST = 1 << 20
"""Bytes of an answer; a `Head` is far smaller."""


def main() -> None:
    """Read mails from stdin and answer each with its Head on stdout, both with their size before them."""
    from reviewbot.mail import child
    from reviewbot.watch.mail import head

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limits = msgspec.json.decode(sys.argv[1], type=MailLimits)
    child.confine(limits)
    while size := sys.stdin.buffer.read(_SIZE.size):
        child.allow(limits.cpu)
        raw = sys.stdin.buffer.read(_SIZE.unpack(size)[0])
        answer = msgspec.json.encode(head(raw, child.post(raw, limits)))
        answers.write(_SIZE.pack(len(answer)) + answer)
        answers.flush()


class UnreadableMail(Exception):
    """A mail that ended the child, and how."""


class HeadReader:
    """Reads mails through a child process that is replaced whenever a mail ends it. Use it as a context manager."""

    def __init__(self, limits: MailLimits | None = None) -> None:
        self.limits = limits or MailLimits()
        self._process: subprocess.Popen[bytes] | None = None
        self._home: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def read(self, raw: bytes) -> Head:
        """What to keep of a mail. Raises Unreadable when it ends the child, or takes longer than the limit."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            answer = _exchange(process.stdin.fileno(), process.stdout.fileno(), raw, self.limits.seconds)
            return msgspec.json.decode(answer, type=Head)
        except TimeoutError as error:
            self.close()
            raise UnreadableMail(f"takes longer than {self.limits.seconds:g} s to read") from error
        except (EOFError, OSError, msgspec.MsgspecError) as error:
            code = self.close()
            how = signal.strsignal(-code) if code < 0 else f"exit code {code}"
            raise UnreadableMail(f"ends the mail reader ({how})") from error

    def close(self) -> int:
        """End the child; returns its exit code."""
        code = 0
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            try:
                code = self._process.wait(0.5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                code = self._process.wait()
            self._process = None
        if self._home is not None:
            self._home.cleanup()
            self._home = None
        return code

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._home = tempfile.TemporaryDirectory(prefix="reviewbot-")
            path = {"PATH": os.environ.get("PATH", os.defpath), "HOME": self._home.name, "PYTHONSAFEPATH": "1"}
            path["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "reviewbot.watch.child", msgspec.json.encode(self.limits).decode()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd=self._home.name,
                env=path,
                start_new_session=True,  # Ctrl-C is the watcher's, which then closes us
            )
            assert self._process.stdin is not None
            os.set_blocking(self._process.stdin.fileno(), False)
        return self._process


def _exchange(to: int, back: int, raw: bytes, seconds: float) -> bytes:
    """Send a mail, get its answer. Raises TimeoutError, EOFError or OSError; the child is then of no more use."""
    out = memoryview(_SIZE.pack(len(raw)) + raw)
    got = bytearray()
    until = time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        readable, writable, _ = select.select([back], [to] if out else [], [], max(0.0, left))
        if not readable and not writable:
            raise TimeoutError
        if writable:
            out = out[os.write(to, out[: 1 << 16]) :]
        if readable:
            piece = os.read(back, 1 << 16)
            if not piece:
                raise EOFError
            got += piece
            if len(got) >= _SIZE.size:
                size = _SIZE.unpack_from(got)[0]
                if size > LARGEST:
                    raise EOFError
                if len(got) >= _SIZE.size + size:
                    return bytes(got[_SIZE.size :])


if __name__ == "__main__":
    main()
