"""What an audit found, each deadlock once: the same one is seen from each of its ends."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from reviewbot.audit.file import AuditedFile
from reviewbot.report.reply import replay_id
from reviewbot.report.schedule import KIND
from reviewbot.types import Outcome, Value, Verdict


class AuditFinding(Value, frozen=True):
    """One deadlock that a tree has."""

    id: str
    """Eight hex digits, for `reviewbot explain`."""
    verdict: Verdict
    also: tuple[Verdict, ...] = ()
    """The same resources by other ways, or from another end."""


def findings(files: Iterable[AuditedFile], commit: str) -> list[AuditFinding]:
    """The findings of some files, confirmed ones first, the surest first; those about the same resources are one."""
    alike: dict[tuple[object, ...], list[Verdict]] = {}
    for verdict in sorted((v for file in files for v in file.verdicts), key=_rank):
        alike.setdefault(_about(verdict), []).append(verdict)
    return [AuditFinding(replay_id(commit, first.finding), first, tuple(rest)) for first, *rest in alike.values()]


def _rank(verdict: Verdict) -> tuple[object, ...]:
    at = verdict.finding.at
    return verdict.outcome is not Outcome.CONFIRMED, -verdict.score.value, at.file, at.line, verdict.finding.message


def _about(verdict: Verdict) -> tuple[object, ...]:
    """What makes two findings one: the rule, the folder, and who waits for what; where that is not known the place. Of two
    things that are waited for it does not matter who does."""
    finding, trace = verdict.finding, verdict.trace
    folder = posixpath.dirname(finding.at.file)
    if trace is None:
        return finding.rule, folder, finding.object, finding.at.function
    waits = frozenset(edge.waits_for for edge in trace.knot)
    tasks = frozenset(KIND.sub("", edge.task) for edge in trace.knot)
    return (finding.rule, folder, waits) if len(waits) > 1 else (finding.rule, folder, waits, tasks)
