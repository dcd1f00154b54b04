"""One review in a process of its own: what a series does to the reviewer, it does not do to the watcher.

Started as `python -m reviewbot.watch_review`, a Job on stdin, a Done on stdout, both JSON. The watcher ends it, and all
that it started, when it takes too long.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from reviewbot.review import Options, remember
from reviewbot.types import Decision, Reply, Review, ReviewError, Series, Unreviewed, Value
from reviewbot.watch_manners import without_old_arguments

REVIEWER = "reviewbot.review:review"


class Job(Value, frozen=True):
    """A series to review."""

    series: Series
    options: Options
    reviewer: str = REVIEWER
    """`module:function` that takes a Series and Options and returns a Review."""
    silenced: tuple[tuple[str, str], ...] = ()
    """(finding key, why it is not said again)."""
    raw: bytes = b""
    """The lead mail as it came, for its attestation; empty for none."""
    megabytes: int = 4096
    seconds: float = 1800


class Done(Value, frozen=True):
    """What became of a job: a review, or an `error`; `ours` says that the series is not to blame for it."""

    review: Review | None = None
    notes: tuple[str, ...] = ()
    attestation: str = ""
    error: str = ""
    ours: bool = False


class Failed(Exception):
    """A review that came to no end: the series is tried again, and set aside after some tries."""


def run(job: Job) -> Done:
    """Review in a child process. Raises Failed when it crashes, takes too long or too much memory, and ReviewError when
    it could not begin (no such tree)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reviewbot.watch_review"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        out, said = process.communicate(msgspec.json.encode(job), timeout=job.seconds)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"not reviewed within {job.seconds:g} s") from error
    finally:
        _end(process)
    if process.returncode:
        code = process.returncode
        how = signal.strsignal(-code) if code < 0 else f"exit code {code}"
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        raise Failed(f"the reviewer ended early ({how}) {last[0][:200]}".strip())
    try:
        done = msgspec.json.decode(out, type=Done)
    except msgspec.MsgspecError as error:
        raise Failed(f"the reviewer answered something else than a review: {error}") from error
    if done.error and done.ours:
        raise ReviewError(done.error)
    if done.error:
        raise Failed(done.error)
    return done


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the child and all of its own; it leads their process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def main() -> None:
    """Do the job on stdin."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no part of the answer
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    most = job.megabytes << 20
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))  # not RLIMIT_AS: git maps whole packs
    resource.setrlimit(resource.RLIMIT_CPU, (int(job.seconds) + 60,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer.write(msgspec.json.encode(do(job)))
    answer.close()


def do(job: Job) -> Done:
    """Review, take out what was answered before, and draft again what is left. Never raises."""
    try:
        result = _reviewer(job.reviewer)(job.series, job.options)
        remember(result, job.options)
        told = without_old_arguments(result, dict(job.silenced))
        if told.notes:
            result = msgspec.structs.replace(told.review, replies=_drafted(told.review, job.options))
        return Done(review=result, notes=told.notes, attestation=_attested(job.raw))
    except Unreviewed as error:
        return Done(error=str(error))
    except ReviewError as error:
        return Done(error=str(error), ours=True)
    except MemoryError:
        return Done(error=f"the review needs more than {job.megabytes} MB")
    except Exception as error:  # whatever a rule or a library does: one line, and the next series
        return Done(error=f"{type(error).__name__}: {error}"[:500])


def _reviewer(name: str) -> Callable[[Series, Options], Review]:
    module, _, function = name.partition(":")
    found: Callable[[Series, Options], Review] = getattr(importlib.import_module(module), function)
    return found


def _drafted(review: Review, options: Options) -> tuple[Reply, ...]:
    if review.decision is not Decision.NACK:
        return ()
    from reviewbot.reply import draft
    from reviewbot.tree import Tree

    sender = options.sender
    if sender is None:
        with Tree.open(Path(options.tree)) as tree:
            sender = tree.identity()
    return draft(review, sender)


def _attested(raw: bytes) -> str:
    if not raw:
        return ""
    from reviewbot.watch_attest import attest

    return attest(raw)


if __name__ == "__main__":
    main()
