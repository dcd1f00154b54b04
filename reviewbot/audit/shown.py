"""An audit as the world sees it: text for a person, lines for editors, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reviewbot.audit.file import AuditedFile
from reviewbot.audit.findings import AuditFinding
from reviewbot.report.output import finding_json, line
from reviewbot.report.reply import fill
from reviewbot.report.schedule import knot, schedule
from reviewbot.text import clean, clean_lines
from reviewbot.types import Outcome

SCHEMA = 1
MOST_UNREAD = 5
"""Functions that could not be read, as many as are named."""


def text(found: Sequence[AuditFinding]) -> Iterator[str]:
    """The lines for a person: each finding with its schedule, who waits for whom, and the other ways to it."""
    for number, one in enumerate(found, 1):
        verdict = one.verdict
        yield f"{number}. {clean(line(verdict))}"
        if verdict.trace is not None and verdict.outcome is Outcome.CONFIRMED:
            words = verdict.finding.words
            parts = [fill(words.claim), schedule(verdict.trace), fill(knot(verdict.trace))] if words else []
            for part in parts:
                yield ""
                yield from (f"   {row}".rstrip() for row in clean_lines(part).split("\n"))
            yield ""
        yield from (f"   also {clean(line(other))}" for other in one.also)
        if verdict.trace is not None:
            yield f"   reviewbot explain {one.id}"
        yield ""


def terse(found: Sequence[AuditFinding]) -> Iterator[str]:
    """A line for each finding, as compilers say it."""
    for one in found:
        finding = one.verdict.finding
        word = "deadlock" if one.verdict.outcome is Outcome.CONFIRMED else "comment"
        why = "" if word == "deadlock" or not one.verdict.reason else f" ({clean(one.verdict.reason)})"
        yield f"{clean(str(finding.at))}: {word}: {clean(finding.message)}{why} [{finding.rule}]"


def as_json(found: Sequence[AuditFinding], files: Sequence[AuditedFile], commit: str) -> dict[str, Any]:
    """The JSON of `audit --json`: schema 1, to which keys are only ever added; findings as in that of `check --json`."""
    return {
        "schema": SCHEMA,
        "base": {"commit": commit},
        "findings": [
            {
                **finding_json(one.verdict, one.id),
                "also": [finding_json(other, one.id) for other in one.also],
            }
            for one in found
        ],
        "comments_hidden": sum(file.hidden for file in files),
        "files": [
            {
                "file": file.path,
                "unread": list(file.unread),
                "notes": list(file.notes),
                "fault": file.fault or None,
                "seconds": file.seconds,
            }
            for file in files
        ],
    }


def summary(found: Sequence[AuditFinding], files: Sequence[AuditedFile]) -> Iterator[str]:
    """The last lines: how much was looked at, what was found, what was not looked at."""
    confirmed = sum(one.verdict.outcome is Outcome.CONFIRMED for one in found)
    hidden = sum(file.hidden for file in files)
    yield (
        f"{_counted(len(files), 'file')}: {_counted(confirmed, 'deadlock')}, "
        f"{_counted(len(found) - confirmed, 'comment')}, {hidden} too doubtful to be shown"
    )
    unread = [f"{name}() in {file.path}" if name else file.path for file in files for name in file.unread]
    if unread:
        more = f" and {len(unread) - MOST_UNREAD} more" if len(unread) > MOST_UNREAD else ""
        yield f"not read: {clean(', '.join(unread[:MOST_UNREAD]))}{more}"
    cut = [file for file in files if file.notes]
    if cut:
        yield f"not all looked at, because limits cut a search or a rule failed: {_counted(len(cut), 'file')}, in --json"
    for file in files:
        if file.fault:
            yield f"not audited: {file.path}: {clean(file.fault)}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
