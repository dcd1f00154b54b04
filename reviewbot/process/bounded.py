"""A child process that is asked one thing and may use so much time and memory for it; nothing of it stays behind.

The child leads a process group and has a folder for its temporary files. However it ends, the parent ends the whole
group and removes that folder; where the parent is killed, the child ends with it. Of a child that uses up what it may, the
parent says so in one line.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from reviewbot.process import stopping
from reviewbot.types import Value

STACK = 8 << 20
"""Bytes that a new thread asks for."""


class Bounds(Value, frozen=True):
    """What one review may use."""

    seconds: float = 600
    """By the clock."""
    megabytes: int = 4096
    """Of memory, each of its processes."""


class Failed(Exception):
    """The child came to no end: it has a fault."""


class Exceeded(Failed):
    """The child used up its time or its memory, or crashed: there is no answer, and why."""


def fault(error: Exception) -> str:
    """A fault of ours in one line; one of a child is told as the child told it."""
    what = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
    return f"a fault of reviewbot itself: {what} (REVIEWBOT_DEBUG=1 shows where)"


@contextmanager
def scratch() -> Iterator[str]:
    """A folder that all temporary files of the body (and of its children) go to; removed with all that is in it."""
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    folder = ""
    try:
        try:
            folder = tempfile.mkdtemp(prefix="reviewbot-")
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)  # one that came meanwhile is delivered here
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        yield folder
    finally:
        held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        tempfile.tempdir = before
        os.environ.pop("TMPDIR", None)
        if variable is not None:
            os.environ["TMPDIR"] = variable
        shutil.rmtree(folder, ignore_errors=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


class Child:
    """`python -m MODULE`, started at once, so that it is ready when it is asked. Use it as a context manager.

    The module begins with `begin`. The thread that makes a Child closes it: the process ends with that thread.
    """

    def __init__(self, module: str, *arguments: str, shown: bool = False) -> None:
        """shown: what it writes to standard error is for the user."""
        self._folder = tempfile.mkdtemp(prefix="reviewbot-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(os.getpid()), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if shown else subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the parent's, which then ends us
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": self._folder},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def ask(self, question: bytes, bounds: Bounds) -> bytes:
        """The answer to the one question it is for. Raises Exceeded, or Failed with the last line that it said."""
        try:
            out, said = self._process.communicate(question, timeout=bounds.seconds)
        except subprocess.TimeoutExpired as error:
            raise Exceeded(f"not reviewed within {bounds.seconds:g} s") from error
        finally:
            self.close()
        code = self._process.returncode
        last = ((said or b"").decode("utf-8", "replace").strip().splitlines()[-1:] or [""])[0][:200]
        if code < 0:
            raise Exceeded(f"the reviewer ended early ({signal.strsignal(-code)}) {last}".strip())
        if code:
            raise Failed(f"the reviewer ended early (exit code {code}) {last}".strip())
        return out

    def close(self) -> None:
        """End the child and all of its own, and remove their temporary files."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def begin() -> None:
    """What the module of a Child does first: from now on the process ends with its parent."""
    stopping.with_parent(int(sys.argv[1]))


def confine(bounds: Bounds) -> None:
    """Bound this process, and those that it starts, for good."""
    lower_limit(resource.RLIMIT_DATA, bounds.megabytes << 20)  # not RLIMIT_AS: git maps whole packs
    lower_limit(resource.RLIMIT_CPU, int(bounds.seconds) + 60)
    lower_limit(resource.RLIMIT_CORE, 0)


def lower_limit(what: int, most: int) -> None:
    """Bound a resource for good; where a bound is lower already (`ulimit -v`) that one stays."""
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def is_short_of_memory(bounds: Bounds) -> bool:
    """Whether this process has used up its memory, as far as can be told: not all that then fails says so."""
    with suppress(OSError), open("/proc/self/statm") as file:
        data, most = int(file.read().split()[5]) * resource.getpagesize(), bounds.megabytes << 20
        return data > most - max(most // 10, STACK * 2)
    return False
