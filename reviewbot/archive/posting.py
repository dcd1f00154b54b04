"""One thread of an archive -> a row for each posting in it: on which tree it was reviewed, and what was said.

A posting goes with a tree in one of two ways: it applies, or the tree has it already and it is taken back first. A series
that goes with none as a whole is taken apart: each of its patches is a row by itself.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import msgspec

from reviewbot.archive.threads import PostedThread, raw_mails
from reviewbot.bench.backtest import NOBODY, Spoken, spoken
from reviewbot.faults import fault
from reviewbot.gittree.diff import sections
from reviewbot.gittree.fit import Fit
from reviewbot.text import clean
from reviewbot.types import Decision, Mail, Patch, Review, ReviewError, Series, Value

if TYPE_CHECKING:
    from reviewbot.gittree.tree import Tree
    from reviewbot.mail.fetch import MailReader

SECONDS = 120.0
"""Of processor time for one posting: what takes longer is no patch but a rewrite, and thousands wait behind it."""
ELSEWHERE = "goes with none of the trees"
NO_C = "changes no C code"


class ArchiveRow(Value, frozen=True):
    """What became of one posting: a series, or (`number` above 0) one patch of a series that goes with no tree whole."""

    thread: str
    id: str
    """Message-id of the cover letter or first patch, or of the patch."""
    subject: str
    author: str
    posted: float
    """Seconds since 1970, by the mail's own date."""
    version: int = 1
    patches: int = 1
    number: int = 0
    subsystem: str = ""
    tree: str = ""
    fit: str = ""
    """`applies` or `merged`; empty where it goes with no tree."""
    verdict: str = ""
    """nack, comment, ack, unreviewed or fault; empty where it goes with no tree."""
    reason: str = ""
    findings: tuple[Spoken, ...] = ()
    """The most important one first; those of a NACK are confirmed."""
    seconds: float = 0.0
    """Of processor time, trying the trees included."""

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that a simulated deadlock stands behind."""
        return tuple(dict.fromkeys(s.rule for s in self.findings if s.proven))


class ThreadDone(Value, frozen=True):
    """A thread that was looked at, with its rows."""

    thread: str
    rows: tuple[ArchiveRow, ...] = ()


class ReviewTimeout(BaseException):
    """A review took more processor time than it may; no handler of exceptions on the way keeps it."""


def done(part: Sequence[PostedThread], trees: Mapping[str, Path]) -> Iterator[ThreadDone]:
    """Review all that was posted in some threads; a thread never fails, it has a row that says what went wrong."""
    from reviewbot.gittree.tree import Tree
    from reviewbot.mail.fetch import MailReader

    with MailReader() as reader, ExitStack() as held:
        opened = {name: held.enter_context(Tree.open(path)) for name, path in trees.items()}
        for thread in part:
            found = tuple(rows(thread, reader, opened))
            yield ThreadDone(thread.id, found)
            if any(row.reason == _late() for row in found):  # git may have been stopped in the middle of an answer
                held.close()
                opened = {name: held.enter_context(Tree.open(path)) for name, path in trees.items()}


def rows(thread: PostedThread, reader: MailReader, trees: Mapping[str, Tree]) -> Iterator[ArchiveRow]:
    """A row for each posting of a thread."""
    try:
        found = reader.all(raw_mails(thread), source=thread.id, every=True)
    except ReviewError as error:
        found = [error]
    arrived = {mail.id: mail.arrived for mail in thread.mails}
    for one in found:
        if isinstance(one, ReviewError):
            yield lost(thread, one, Decision.UNREVIEWED.value)
            continue
        try:
            tried = [*_tried(one, trees)]
        except ReviewError as error:
            yield lost(thread, error)
            continue
        for row in tried:
            latest = arrived.get(row.id, thread.mails[0].arrived)
            at = min(row.posted, latest) if row.posted > 0 else latest  # no mail is written after it came
            yield msgspec.structs.replace(row, thread=thread.id, posted=at)


def lost(thread: PostedThread, error: BaseException, verdict: str = "fault") -> ArchiveRow:
    """The row of a thread that could not be read, or that ended its process."""
    said = str(error) if isinstance(error, ReviewError) else f"{type(error).__name__}: {error}"
    first = thread.mails[0]
    return ArchiveRow(thread.id, thread.id, "", "", first.arrived, verdict=verdict, reason=clean(said)[:300])


def subsystem(paths: Sequence[str]) -> str:
    """What a change is counted by: the first two folders of the first C file that it changes."""
    code = [path for path in paths if path.endswith((".c", ".h"))] or [*paths]
    return "/".join(code[0].split("/")[:-1][:2]) if code else ""


def _tried(series: Series, trees: Mapping[str, Tree]) -> Iterator[ArchiveRow]:
    """The row of a series, or of each of its patches where the series goes with no tree."""
    whole = _row(series, trees)
    alone = [_row(one, trees, patch.number) for patch, one in _alone(series)] if whole.reason == ELSEWHERE else []
    yield from alone if any(row.fit for row in alone) else [whole]


def _alone(series: Series) -> Iterator[tuple[Patch, Series]]:
    """The patches of a series of several, each as a series by itself."""
    for patch in series.patches if len(series.patches) > 1 else ():
        yield patch, msgspec.structs.replace(series, patches=(patch,), cover=None)


def _row(series: Series, trees: Mapping[str, Tree], number: int = 0) -> ArchiveRow:
    start = time.process_time()
    parts = [part for patch in series.patches for part in sections(patch.diff)]
    paths = [path for part in parts for path in dict.fromkeys((part.new, part.old)) if path]
    lead: Mail = series.lead
    row = ArchiveRow(
        thread="",
        id=lead.message_id,
        subject=lead.subject[:300],
        author=lead.author.email,
        posted=_when(lead.date),
        version=series.version,
        patches=len(series.patches),
        number=number,
        subsystem=clean(subsystem(paths)),
        reason=ELSEWHERE,
    )
    if not any(path.endswith((".c", ".h")) for path in paths):
        return msgspec.structs.replace(row, verdict=Decision.UNREVIEWED.value, reason=NO_C)
    for name, tree in trees.items():
        for fit in tree.fits([patch.diff for patch in series.patches]):
            said = _said(series, tree, fit)
            if said is not None:
                spent = round(time.process_time() - start, 3)
                return msgspec.structs.replace(row, tree=name, fit=fit.value, seconds=spent, **said)
    return msgspec.structs.replace(row, seconds=round(time.process_time() - start, 3))


def _when(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def _said(series: Series, tree: Tree, fit: Fit) -> dict[str, object] | None:
    """Verdict, reason and findings of a series on a tree; None where git refuses it."""
    from reviewbot.review import Options, review

    options = Options(base="HEAD", merged=fit is Fit.MERGED, sender=NOBODY)
    # what it lacks, or says of another base, is no question here: it is reviewed where it fits
    bare = msgspec.structs.replace(series, missing=(), prerequisites=(), base_commit="")
    try:
        with at_most(SECONDS):
            result: Review = review(bare, options, opened=tree)
    except ReviewTimeout:
        return {"verdict": Decision.UNREVIEWED.value, "reason": _late()}
    except ReviewError as error:
        return {"verdict": Decision.UNREVIEWED.value, "reason": str(error)}
    except Exception as error:
        crash = fault(error)
        return {"verdict": "fault", "reason": f"{crash.type} at {crash.at}"}
    if result.change is None:
        return None
    findings = tuple(spoken(verdict) for verdict in result.verdicts)
    return {"verdict": result.decision.value, "reason": result.reason, "findings": findings}


def _late() -> str:
    return f"not reviewed within {SECONDS:g} s of processor time"


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises ReviewTimeout in the body after so much processor time; only a main thread can be stopped so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise ReviewTimeout
