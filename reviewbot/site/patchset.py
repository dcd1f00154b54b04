"""A series as JSON: our own file of it, and the answer that b4 expects from the server that `b4.sashiko-url` names.

What b4 0.16 reads of that answer is in its `review/checks.py` and `review/_review.py`: the status of the patchset, its
patches by message-id, and for each a review with a status, inline comments and, as JSON in a string, findings.
"""

from __future__ import annotations

from typing import Any

import msgspec

from reviewbot.report.output import steps_json
from reviewbot.site.entry import SeriesEntry
from reviewbot.text import clean, clean_lines
from reviewbot.types import Decision, Outcome, Verdict
from reviewbot.watch.store import Kind, SeriesState

SCHEMA = 1
STATUS = {
    SeriesState.WAITING: "Incomplete",
    SeriesState.READY: "Pending",
    SeriesState.WORKING: "In Review",
    SeriesState.SET_ASIDE: "Failed",
}
"""Of a patchset whose review is not done; those that are done or skipped are `Reviewed`."""
SEVERITY = {Outcome.CONFIRMED: "high", Outcome.INCONCLUSIVE: "medium", Outcome.PRE_EXISTING: "low"}


def series_json(entry: SeriesEntry) -> dict[str, Any]:
    """The JSON file of a series: schema 1, to which keys are only ever added."""
    outline, result = entry.outline, entry.result
    return {
        "schema": SCHEMA,
        "key": outline.key,
        "list": outline.list,
        "message_id": outline.lead,
        "subject": clean(outline.subject),
        "author": clean(outline.author),
        "version": outline.version,
        "patches": outline.expected,
        "arrived": outline.arrived,
        "state": str(outline.state),
        "verdict": outline.decision or None,
        "reason": clean(outline.reason) or None,
        "base": result.base or None if result else None,
        "versions": [
            {"key": one.key, "version": one.version, "verdict": one.decision or None, "since": since or None}
            for one, since in entry.versions
        ],
        "findings": [_finding(v) for v in (result.verdicts if result else ())],
        "drafts": [{"name": draft.name, "state": str(draft.state)} for draft, _ in entry.drafts],
        "patchset": patchset(entry),
    }


def patchset(entry: SeriesEntry) -> dict[str, Any]:
    """The answer to `/api/patchset?id=MESSAGE-ID`."""
    patches = [one for one in entry.posted if one.kind is Kind.PATCH]
    return {
        "id": entry.outline.key,
        "message_id": entry.outline.lead,
        "subject": clean(entry.outline.subject),
        "author": clean(entry.outline.author),
        "status": STATUS.get(entry.outline.state, "Reviewed"),
        "patches": [{"id": one.number, "message_id": one.id, "part_index": one.number} for one in patches],
        "reviews": [_review(entry, one.number, one.id) for one in patches],
    }


def _review(entry: SeriesEntry, number: int, message_id: str) -> dict[str, Any]:
    verdicts = [v for v in (entry.result.verdicts if entry.result else ()) if v.finding.patch == number]
    reviewed = entry.verdict in (Decision.ACK, Decision.NACK, Decision.COMMENT)
    replies = [r for _, r in entry.drafts if r.header("in-reply-to").strip("<>") == message_id and r.verdicts]
    findings = [_sashiko(v) for v in verdicts if v.outcome in SEVERITY and not v.finding.gives]
    return {
        "id": number,
        "patch_id": number,
        "status": "Reviewed" if reviewed else "Skipped",
        "result": entry.verdict if reviewed else entry.why or entry.verdict,
        "inline_review": clean_lines("\n".join(reply.body for reply in replies)),
        "output": msgspec.json.encode({"findings": findings}).decode(),
    }


def _sashiko(verdict: Verdict) -> dict[str, Any]:
    at = verdict.finding.at
    return {
        "problem": clean(verdict.finding.message),
        "severity": SEVERITY[verdict.outcome],
        "severity_explanation": clean(verdict.reason) or f"{verdict.outcome} by replay",
        "preexisting": verdict.outcome is Outcome.PRE_EXISTING,
        "locations": [{"file": at.file, "line": at.line}],
    }


def _finding(verdict: Verdict) -> dict[str, Any]:
    finding = verdict.finding
    return {
        "rule": finding.rule,
        "outcome": str(verdict.outcome),
        "patch": finding.patch,
        "file": finding.at.file,
        "line": finding.at.line,
        "function": finding.at.function,
        "message": clean(finding.message),
        "score": verdict.score.value,
        "reason": clean(verdict.reason) or None,
        "remedy": verdict.remedy or None,
        "trace": steps_json(verdict.trace),
        "other_side": steps_json(verdict.other),
    }
