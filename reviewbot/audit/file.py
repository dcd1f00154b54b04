"""One file of a tree, asked what its code can do as it is: it is reviewed as if it were all new, beside nothing.

Then every edge of the graph of waits is a new one, and what a rule says of a patch it says of the file. Only rules that
can tell a deadlock without another side to compare with are asked (`Rule.audits`).
"""

from __future__ import annotations

from time import perf_counter

from reviewbot import review, rules
from reviewbot.faults import fault
from reviewbot.gittree.source import MemorySource
from reviewbot.posted import Change, FileChange, Hunk, Line
from reviewbot.score import COMMENT_ABOVE
from reviewbot.types import Outcome, Source, Value, Verdict

AGAINST = (Outcome.CONFIRMED, Outcome.INCONCLUSIVE)
"""Outcomes that say something of a file."""


class AuditedFile(Value, frozen=True):
    """What was found in one file."""

    path: str
    verdicts: tuple[Verdict, ...] = ()
    """What is confirmed, and what could not be settled and scores high enough."""
    hidden: int = 0
    """How many that could not be settled score lower."""
    unread: tuple[str, ...] = ()
    """Functions that could not be read."""
    notes: tuple[str, ...] = ()
    """What was cut, and which rules failed."""
    seconds: float = 0.0
    fault: str = ""
    """Why the file could not be audited at all."""


def audited(path: str, source: Source, only: tuple[str, ...] = (), above: float = COMMENT_ABOVE) -> AuditedFile:
    """Audit one file of a tree. only: ids of the rules to ask; empty for all that can audit. above: the score above which
    something that could not be settled is told. Never raises for what is in the file."""
    start = perf_counter()
    change = as_new(path, source)
    try:
        found = review.examine(change, MemorySource({}), source, only or auditing(), above=above)
    except MemoryError:
        raise
    except Exception as error:
        crash = fault(error)
        return AuditedFile(path, fault=f"{crash.type} at {crash.at or 'a line not ours'}: {error}")
    return AuditedFile(
        path=path,
        verdicts=tuple(v for v in found.verdicts if v.outcome in AGAINST),
        hidden=len(found.hidden),
        unread=tuple(one.function for one in found.unread),
        notes=found.notes,
        seconds=round(perf_counter() - start, 3),
    )


def auditing() -> tuple[str, ...]:
    """The ids of the rules that can say something of code that nobody changes, in the order of the alphabet."""
    return tuple(rule.id for rule in rules.find().rules if rule.audits)


def as_new(path: str, source: Source) -> Change:
    """The change that brings a file of a source as it is; one without files where the source has no such file."""
    text = source.read(path)
    if text is None:
        return Change(base="", how="given", files=())
    lines = text.decode("utf-8", "replace").split("\n")
    rows = tuple(Line(sign="+", text=line, before=0, after=number) for number, line in enumerate(lines, 1))
    file = FileChange(path=path, after=source.blob(path) or "", hunks=(Hunk(lines=rows),))
    return Change(base="", how="given", files=(file,), patches=((file,),))
