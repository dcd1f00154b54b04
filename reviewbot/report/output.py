"""A review as the world sees it: the stable JSON of `check --json`, and the lines that a terminal shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reviewbot.key import identity
from reviewbot.report.gaps import gaps
from reviewbot.report.reply import replay_id
from reviewbot.text import clean
from reviewbot.types import ChangedEvent, DeadEnd, Decision, Outcome, Prerequisite, Review, Stage, Trace, Verdict

SCHEMA = 1
STAGES = ("fetch", "apply", "facts", "rules", "simulate", "reply", "total")


def as_json(review: Review) -> dict[str, Any]:
    """The JSON of `check --json`: schema 1, to which keys are only ever added."""
    lead = review.series.lead
    timing = dict(review.timing)
    return {
        "schema": SCHEMA,
        "series": {
            "message_id": lead.message_id,
            "subject": clean(lead.subject),
            "version": review.series.version,
            "author": clean(f"{lead.author.name} <{lead.author.email}>" if lead.author.email else lead.author.name),
            "patches": len(review.series.patches),
            "missing": list(review.series.missing),
            "chosen": review.series.chosen or None,
            "prerequisites": [_prerequisite(p) for p in review.prerequisites],
        },
        "base": {"commit": review.change.commit, "how": review.change.how} if review.change else None,
        "verdict": str(review.decision),
        "reason": review.reason or None,
        "findings": [_finding(review, v) for v in review.verdicts],
        "comments_hidden": len(review.hidden),
        "unread": [{"file": one.file, "function": one.function} for one in review.unread],
        "checked": list(review.checked),
        "notes": list(review.notes),
        "events": [_event(event) for event in review.events],
        "leads": [_lead(lead) for lead in review.leads],
        "timing": {stage: round(timing.get(stage, 0.0), 4) for stage in STAGES},
    }


def _lead(lead: DeadEnd) -> dict[str, Any]:
    return {
        "stage": lead.stage.value,
        "says": lead.says,
        "reason": lead.reason,
        "functions": list(lead.functions),
        "rule": lead.rule or None,
    }


def _prerequisite(one: Prerequisite) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "id": one.id,
        "version": one.version or None,
        "state": one.state or None,
        "reason": clean(one.why) or None,
    }


def _finding(review: Review, verdict: Verdict) -> dict[str, Any]:
    name = replay_id(identity(review.series), verdict.finding)
    return finding_json(verdict, name, review.series.at(verdict.finding.patch).number)


def finding_json(verdict: Verdict, name: str, patch: int = 0) -> dict[str, Any]:
    """One finding. name: what `reviewbot explain` calls it. patch: the number of the patch that brings it; 0 for none."""
    finding, trace = verdict.finding, verdict.trace
    return {
        "id": name,
        "rule": finding.rule,
        "outcome": str(verdict.outcome),
        "score": round(verdict.score.value, 3),
        "doubts": [
            {"doubt": part.doubt, "says": part.doubt.says, "leaves": part.leaves} for part in verdict.score.parts
        ],
        "patch": patch or None,
        "file": finding.at.file,
        "line": finding.at.line,
        "side": finding.side.value,
        "function": finding.at.function,
        "message": finding.message,
        "facts": list(finding.facts),
        "trace": steps_json(trace),
        "knot": [
            {"task": w.task, "waits_for": w.waits_for, "held_by": w.held_by, "told": w.told, "since": w.since}
            for w in (trace.knot if trace else ())
        ],
        "other_side": steps_json(verdict.other),
        "states": verdict.states,
        "remedy": verdict.remedy or None,
        "model": verdict.model or None,
        "reason": verdict.reason or None,
    }


def steps_json(trace: Trace | None) -> list[dict[str, Any]]:
    """The steps of a schedule; none where there is no schedule."""
    return [
        {
            "task": s.task,
            "step": s.step,
            "file": s.file,
            "line": s.line,
            "holds": list(s.holds),
            "waits": s.waits or None,
        }
        for s in (trace.steps if trace else ())
    ]


def _event(event: ChangedEvent) -> dict[str, Any]:
    at = event.at
    place = {"file": at.file, "line": at.line, "function": at.function}
    return {**place, "side": event.side.value, "kind": event.kind, "says": event.says}


def summary(review: Review) -> list[str]:
    """A line for the verdict, one per finding, one per note: for a person at a terminal, before the draft."""
    lead = review.series.lead
    lines = [f"{review.decision.value}: {clean(lead.subject) or review.series.source}"]
    if review.change:
        lines.append(f"  base {review.change.commit[:12]} ({review.change.how})")
    if review.series.chosen:
        lines.append(f"  reviewed: {clean(review.series.chosen)}")
    lines += [f"  {_told(one)}" for one in review.prerequisites]
    if review.reason:
        lines.append(f"  {review.reason}")
    elif review.decision is not Decision.UNREVIEWED:
        lines += [f"  not seen: {gap}" for gap in gaps(review.series, review.prerequisites, review.unread)]
    lines += [f"  {line(v)}" for v in review.verdicts]
    if review.hidden:
        best = max(verdict.score.value for verdict in review.hidden)
        count = f"{len(review.hidden)} comment{'s' if len(review.hidden) > 1 else ''}"
        lines.append(f"  {count} hidden, with a score of {best:.2f} at most: --comments all shows them")
    lines += [f"  note: {clean(note)}" for note in review.notes]
    return lines


def leads(found: Sequence[DeadEnd], function: str) -> list[str]:
    """What came to nothing in a function, by stage and reason, the most frequent reason first: for `check --why`."""
    where = "any function" if function == "*" else f"{clean(function)}()"
    if not found:
        return [f"Nothing that changed in {where} is where a search begins, or all that was found there is said above."]
    lines = [f"What came to nothing in {where}:"]
    for stage in Stage:
        reasons: dict[str, list[DeadEnd]] = {}
        for lead in found:
            if lead.stage is stage:
                reasons.setdefault(lead.reason, []).append(lead)
        for reason, those in sorted(reasons.items(), key=lambda item: -len(item[1])):
            lines.append(f"  {stage.value}: {clean(reason)}")
            lines += [f"    {clean(lead.says)}{f' [{lead.rule}]' if lead.rule else ''}" for lead in those]
    return lines


def _told(one: Prerequisite) -> str:
    state = {"applied": "applied first", "": "not looked for"}.get(one.state, one.state)
    return clean(f"prerequisite {one} {state}{f': {one.why}' if one.why else ''}")


def line(verdict: Verdict) -> str:
    """One verdict in one line: outcome, place, message, rule, and why where the simulator did not confirm it, with the
    score of what could not be settled."""
    finding = verdict.finding
    score = (
        f", score {verdict.score.value:.2f}" if verdict.outcome is Outcome.INCONCLUSIVE and not finding.gives else ""
    )
    why = "" if verdict.outcome is Outcome.CONFIRMED or not verdict.reason else f" - {verdict.reason}"
    return f"{verdict.outcome.value}: {finding.at}: {finding.message} [{finding.rule}{score}]{why}"
