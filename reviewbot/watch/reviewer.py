"""One review in a process of its own: what a series does to the reviewer, it does not do to the watcher.

Started as `python -m reviewbot.watch.reviewer PARENT`, a Job on stdin, a Done on stdout, both JSON, by the watcher and by
`check`; `bounded` says what it may use.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from reviewbot.process import stopping
from reviewbot.process.bounded import Bounds, Child, Exceeded, Failed, begin, confine, is_short_of_memory
from reviewbot.review import Options, remember
from reviewbot.types import Decision, Reply, Review, ReviewError, Series, Unreviewed, Value
from reviewbot.watch.manners import without_old_arguments

REVIEWER = "reviewbot.review:review"
AHEAD = "--ahead"
"""Argument of a child that has the time to import what a review needs before it is asked."""


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
    progress: bool = False
    """Show on standard error how far the index of a new tree is."""


class Ended(StrEnum):
    """How a job ended that has no review."""

    REFUSED = "refused"
    """It cannot be done at all now; the series is not to blame for it."""
    UNREVIEWED = "unreviewed"
    """This series cannot be reviewed, or not with what it may use."""
    FAULT = "fault"


class Done(Value, frozen=True):
    """What became of a job: a review, or an `error` and of what kind it is."""

    review: Review | None = None
    notes: tuple[str, ...] = ()
    attestation: str = ""
    error: str = ""
    ended: Ended = Ended.FAULT


def run(job: Job) -> Done:
    """Review in a child process. Raises Failed when it crashes, takes too long or too much memory, and ReviewError when
    it could not begin (no such tree)."""
    with Child(__name__) as child:
        return _answer(child, job)


def _answer(child: Child, job: Job) -> Done:
    out = child.ask(msgspec.json.encode(job), Bounds(job.seconds, job.megabytes))
    try:
        done = msgspec.json.decode(out, type=Done)
    except msgspec.MsgspecError as error:
        raise Failed(f"the reviewer answered something else than a review: {error}") from error
    if done.error and done.ended is Ended.REFUSED:
        raise ReviewError(done.error)
    if done.error:
        raise (Failed if done.ended is Ended.FAULT else Exceeded)(done.error)
    return done


class Reviewer:
    """Reviews series for `check`, each in a child process that is started before it is needed.

    Use it as a context manager. progress: show on standard error how far the index of a new tree is.
    """

    def __init__(self, bounds: Bounds, progress: bool = False) -> None:
        self.bounds = bounds
        self.progress = progress
        self._shown = progress or bool(os.environ.get("REVIEWBOT_DEBUG"))
        self._child: Child | None = Child(__name__, AHEAD, shown=self._shown)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._child is not None:
            self._child.close()

    def review(self, series: Series, options: Options, fetched: float = 0.0) -> Review:
        """What `review.review` says of a series; `fetched` is the seconds that fetching took.

        A review that uses up its bounds, or crashes, is *unreviewed*, with the reason. Raises ReviewError as that does,
        and Failed for a fault of ours.
        """
        child, self._child = self._child or Child(__name__, AHEAD, shown=self._shown), None
        try:
            bounds = self.bounds
            job = Job(
                series, options, REVIEWER, megabytes=bounds.megabytes, seconds=bounds.seconds, progress=self.progress
            )
            result = _answer(child, job).review
        except Exceeded as error:
            return Review(series=series, decision=Decision.UNREVIEWED, reason=f"{error}{_remedy(str(error))}")
        finally:
            child.close()
        assert result is not None
        timing = dict(result.timing)
        timing |= {"fetch": fetched, "total": timing.get("total", 0.0) + fetched}
        return msgspec.structs.replace(result, timing=tuple(timing.items()))


def _remedy(reason: str) -> str:
    options = {"not reviewed within": "--time-limit", "needs more than": "--memory-limit"}
    return next((f"; {option} allows more" for words, option in options.items() if words in reason), "")


def main() -> None:
    """Do the job on stdin."""
    begin()
    gc.set_threshold(5_000_000, 20, 100)  # as the command line has it
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no part of the answer
    if AHEAD in sys.argv:
        _import()
    asked = sys.stdin.buffer.read()
    if asked:
        job = msgspec.json.decode(asked, type=Job)
        confine(Bounds(job.seconds, job.megabytes))
        answer.write(msgspec.json.encode(do(job)))
        answer.flush()
    stopping.leave(0)


def _import() -> None:
    """What every review needs, while the series is still being fetched."""
    with suppress(Exception):  # told by the one who needs it
        from reviewbot import rules
        from reviewbot.gittree import tree  # noqa: F401
        from reviewbot.models import scene
        from reviewbot.replay import judge  # noqa: F401
        from reviewbot.report.reply import environment

        rules.load()
        scene.scenes()
        environment()


def do(job: Job) -> Done:
    """Review, take out what was answered before, and draft again what is left. Never raises."""
    try:
        more = {"progress": _show} if job.progress else {}
        result = _reviewer(job.reviewer)(job.series, job.options, **more)
        remember(result, job.options)
        told = without_old_arguments(result, dict(job.silenced))
        if told.notes:
            result = msgspec.structs.replace(told.review, replies=_drafted(told.review, job.options))
        return Done(review=result, notes=told.notes, attestation=_attested(job.raw))
    except Unreviewed as error:
        return Done(error=str(error), ended=Ended.UNREVIEWED)
    except ReviewError as error:
        return Done(error=str(error), ended=Ended.REFUSED)
    except Exception as error:  # whatever a rule or a library does: one line, and the next series
        if isinstance(error, MemoryError) or is_short_of_memory(Bounds(job.seconds, job.megabytes)):
            return Done(error=f"the review needs more than {job.megabytes} MB", ended=Ended.UNREVIEWED)
        if os.environ.get("REVIEWBOT_DEBUG"):
            traceback.print_exc()
        return Done(error=f"{type(error).__name__}: {error}"[:500])


def _show(done: int, of: int) -> None:
    """A line while the tree is looked through for the first time; gone when that is done."""
    line = f"indexing the tree, once: {done} of {of} files"
    print("\r" + (line if done < of else " " * len(line) + "\r"), end="", file=sys.stderr, flush=True)


def _reviewer(name: str) -> Callable[..., Review]:
    module, _, function = name.partition(":")
    found: Callable[..., Review] = getattr(importlib.import_module(module), function)
    return found


def _drafted(review: Review, options: Options) -> tuple[Reply, ...]:
    if review.decision is not Decision.NACK:
        return ()
    from reviewbot.gittree.tree import Tree
    from reviewbot.report.reply import draft

    sender = options.sender
    if sender is None:
        with Tree.open(Path(options.tree)) as tree:
            sender = tree.identity()
    return draft(review, sender)


def _attested(raw: bytes) -> str:
    if not raw:
        return ""
    from reviewbot.watch.attest import attest

    return attest(raw)


if __name__ == "__main__":
    main()
