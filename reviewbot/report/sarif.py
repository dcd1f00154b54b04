"""Reviews as SARIF 2.1.0, which GitHub, GitLab and editors show at the line."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from reviewbot import rules
from reviewbot.key import finding_key
from reviewbot.report import schedule
from reviewbot.report.files import put
from reviewbot.report.places import shown_at
from reviewbot.report.terse import text, title, verb, why
from reviewbot.rule import Rule
from reviewbot.text import clean, clean_lines
from reviewbot.types import Change, Decision, Place, Review, Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVEL = {"nack": "error", "comment": "warning"}
"""Word of a verdict -> level of a result; what a series repairs is no result."""


def log(reviews: Sequence[Review]) -> dict[str, Any]:
    """The SARIF log of one run over some series: a result for each deadlock and suspicion, at a line of the end state.

    A series that was not reviewed is a notification of the run, which then counts as failed; so is a note.
    """
    known = {rule.id: rule for rule in rules.load()}
    found = [(review.change, v) for review in reviews for v in review.verdicts if verb(v) in LEVEL]
    ids = sorted({*known, *(v.finding.rule for _, v in found)})
    driver = {
        "name": "reviewbot",
        "version": version("reviewbot"),
        "rules": [_rule(name, known.get(name)) for name in ids],
    }
    seen: Counter[str] = Counter()
    run = {
        "tool": {"driver": driver},
        "invocations": [
            {
                "executionSuccessful": all(r.decision is not Decision.UNREVIEWED for r in reviews),
                "toolExecutionNotifications": [note for review in reviews for note in _notifications(review)],
            }
        ],
        "results": [_result(verdict, change, ids, seen) for change, verdict in found],
        "columnKind": "utf16CodeUnits",
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def write(reviews: Sequence[Review], path: Path) -> None:
    """Write the log: the file appears whole, or is what it was before. ReviewError when it cannot be written."""
    data = msgspec.json.format(msgspec.json.encode(log(reviews))) + b"\n"
    put(path, data)


def _rule(name: str, rule: Rule[Any] | None) -> dict[str, Any]:
    """What a forge shows of a rule beside its results: the head of its module."""
    doc = (inspect.getdoc(inspect.getmodule(type(rule))) if rule else None) or name
    about = {
        "id": name,
        "shortDescription": {"text": doc.split("\n")[0]},
        "fullDescription": {"text": doc.split("\n")[0]},
        "help": {"text": doc, "markdown": f"```text\n{doc}\n```"},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["deadlock", "correctness"], "precision": "high"},
    }
    if rule:
        about["fullDescription"] = {"text": f"The guarantee that is watched over: {rule.guarantee}."}
    return about


def _result(verdict: Verdict, change: Change | None, ids: Sequence[str], seen: Counter[str]) -> dict[str, Any]:
    finding = verdict.finding
    key = finding_key(finding)
    seen[key] += 1
    result = {
        "ruleId": finding.rule,
        "ruleIndex": ids.index(finding.rule),
        "level": LEVEL[verb(verdict)],
        "message": {"text": _message(verdict)},
        "locations": [_location(shown_at(finding, change))],
        "partialFingerprints": {"primaryLocationLineHash": f"{key}:{seen[key]}"},  # the one that GitHub compares
    }
    if finding.related:
        result["relatedLocations"] = [_location(at) | {"message": {"text": str(at)}} for at in finding.related]
    return result


def _message(verdict: Verdict) -> str:
    """What was found in one sentence, for the list; below it how it gets stuck, and what would be safe."""
    said = text(verdict)
    parts = [f"{said[:1].upper()}{said[1:]}."]
    if verb(verdict) == "nack":
        if verdict.finding.words:
            parts.append(f"This can deadlock. {clean(verdict.finding.words.claim)}")
        if verdict.trace:
            parts += [schedule.numbered(verdict.trace), schedule.knot(verdict.trace)]
        parts.append(clean(verdict.remedy))
    return clean_lines("\n\n".join(part for part in parts if part))


def _location(at: Place) -> dict[str, Any]:
    physical = {
        "artifactLocation": {"uri": quote(at.file), "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": max(at.line, 1)},
    }
    function = {"logicalLocations": [{"name": at.function, "kind": "function"}]} if at.function else {}
    return {"physicalLocation": physical, **function}


def _notifications(review: Review) -> Iterator[dict[str, Any]]:
    if review.decision is Decision.UNREVIEWED:
        yield {"level": "error", "message": {"text": f"{title(review)}: not reviewed: {why(review)}"}}
    elif review.reason:
        yield {"level": "note", "message": {"text": f"{title(review)}: {clean(review.reason)}"}}
    for note in review.notes:
        yield {"level": "note", "message": {"text": f"{title(review)}: {clean(note)}"}}
