"""Results of a backtest as tables: by set, class, rule, subsystem, tree and kind of label; what turned against an older run.

NACKs and comments are counted apart. A case whose label is doubtful, or whose diff says itself what is wrong, is in no
table but the one of those that count apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from reviewbot.bench.backtest import REST, SUBSYSTEMS, Scored
from reviewbot.precision import Share
from reviewbot.types import Outcome, ReviewError, Value

SCHEMA = 1
INNOCENT = ("clean", "fix")


class Row(Value, frozen=True):
    """Counts of some cases: `found` are NACKs of deadlocks, `wrong` NACKs of all others."""

    name: str
    cases: int
    found: int
    wrong: int
    fixes: int = 0
    """Fix cases whose deadlock was recognised."""
    deadlocks: int = 0
    commented: int = 0
    """Deadlocks that got a comment and no NACK."""
    innocent: int = 0
    """Clean and fix cases."""
    worried: int = 0
    """Of these, those that got a comment."""
    unreviewed: int = 0
    """With those that failed."""

    @property
    def precision(self) -> float | None:
        """Right NACKs of all NACKs; None without any."""
        return self.right_nacks.value

    @property
    def right_nacks(self) -> Share:
        """Right NACKs of all NACKs."""
        return Share(self.found, self.found + self.wrong)

    @property
    def recall(self) -> Share:
        """NACKed deadlocks."""
        return Share(self.found, self.deadlocks)

    @property
    def recall_with_comments(self) -> Share:
        """Deadlocks that were NACKed or commented."""
        return Share(self.found + self.commented, self.deadlocks)

    @property
    def wrong_nacks(self) -> Share:
        """NACKed clean and fix cases."""
        return Share(self.wrong, self.innocent)

    @property
    def comments_on_innocent(self) -> Share:
        """Clean and fix cases with a comment."""
        return Share(self.worried, self.innocent)

    def as_json(self) -> dict[str, Any]:
        """Counts and shares, these with their intervals."""
        shares = ("recall", "recall_with_comments", "wrong_nacks", "comments_on_innocent", "right_nacks")
        return {
            **msgspec.to_builtins(self),
            "precision": self.precision,
            **{name: getattr(self, name).as_json() for name in shares},
        }


def row(name: str, results: Iterable[Scored]) -> Row:
    """The counts of some results."""
    results = tuple(results)
    verdicts = Counter((r.label, r.verdict) for r in results)
    nacks = sum(r.verdict == "nack" for r in results)
    return Row(
        name=name,
        cases=len(results),
        found=verdicts["deadlock", "nack"],
        wrong=nacks - verdicts["deadlock", "nack"],
        fixes=sum(r.label == "fix" and any(s.outcome == Outcome.FIXED for s in r.spoken) for r in results),
        deadlocks=sum(r.label == "deadlock" for r in results),
        commented=verdicts["deadlock", "comment"],
        innocent=sum(r.label in INNOCENT for r in results),
        worried=sum(verdicts[label, "comment"] for label in INNOCENT),
        unreviewed=sum(r.verdict in ("unreviewed", "fault") for r in results),
    )


def by(results: Iterable[Scored], name: Callable[[Scored], str]) -> list[Row]:
    """A row for each name that results have."""
    groups: dict[str, list[Scored]] = defaultdict(list)
    for result in results:
        groups[name(result)].append(result)
    return [row(name, group) for name, group in sorted(groups.items())]


def by_class(results: Iterable[Scored]) -> list[Row]:
    """A row per class of deadlock (recall), then one per kind of innocent case (wrong NACKs)."""
    return sorted(by(results, lambda r: f"{r.label}: {r.cls}"), key=lambda row: not row.name.startswith("deadlock: "))


def by_subsystem(results: Iterable[Scored]) -> list[Row]:
    """A row for each subsystem of the core, in its order, for the core, and for the rest."""
    results = tuple(results)
    rows = {row.name: row for row in by(results, lambda r: r.subsystem)}
    core = row("core", (r for r in results if r.subsystem != REST))
    return [row for row in (*map(rows.get, SUBSYSTEMS), core, rows.get(REST)) if row is not None and row.cases]


def by_rule(results: Iterable[Scored]) -> list[Row]:
    """A row per rule that NACKed or recognised a fix."""
    cases: dict[str, int] = defaultdict(int)
    found: dict[str, int] = defaultdict(int)
    wrong: dict[str, int] = defaultdict(int)
    fixes: dict[str, int] = defaultdict(int)
    for r in results:
        for rule in {s.rule for s in r.spoken}:
            cases[rule] += 1
            fixes[rule] += r.label == "fix" and any(s.rule == rule and s.outcome == Outcome.FIXED for s in r.spoken)
        for rule in r.rules:
            (found if r.label == "deadlock" else wrong)[rule] += 1
    return [Row(name=n, cases=cases[n], found=found[n], wrong=wrong[n], fixes=fixes[n]) for n in sorted(cases)]


def funnel(results: Iterable[Scored], label: str = "deadlock") -> dict[str, Counter[str]]:
    """Of the cases with a label: class -> how many came how far."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        if result.label == label:
            found[result.cls][result.stage] += 1
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))


class CurvePoint(Value, frozen=True):
    """What a review says at one score: deadlocks that it NACKs or comments on, and innocent cases with a comment."""

    above: float
    found: int
    deadlocks: int
    disturbed: int
    innocent: int


def curve(results: Iterable[Scored]) -> list[CurvePoint]:
    """How much is found and how many are disturbed, by the score above which a finding is shown; the highest first."""
    results = list(results)
    deadlocks = [r.score for r in results if r.label == "deadlock"]
    innocent = [r.score for r in results if r.label in ("clean", "fix") and r.verdict != "nack"]
    scores = sorted({0.0, *deadlocks, *innocent}, reverse=True)
    return [
        CurvePoint(
            above, sum(s > above for s in deadlocks), len(deadlocks), sum(s > above for s in innocent), len(innocent)
        )
        for above in scores
    ]


def counted(results: Iterable[Scored]) -> list[Scored]:
    """Those that do not count apart."""
    return [r for r in results if not r.apart]


def as_json(results: Sequence[Scored]) -> dict[str, Any]:
    """The stable JSON of `backtest --json`: the cases, and the tables."""
    count = counted(results)
    rows = [
        {
            "id": r.id,
            "set": r.set or None,
            "label": r.label,
            "class": r.cls,
            "kind": r.kind or None,
            "tree": r.tree or None,
            "subsystem": r.subsystem,
            "apart": r.apart or None,
            "verdict": r.verdict,
            "rules": list(r.rules),
            "score": r.score,
            "seconds": r.seconds,
            "megabytes": r.megabytes,
            "reason": r.reason or None,
            "notes": list(r.notes),
            "stage": r.stage or None,
            "gave_up": list(r.gave_up),
            "findings": [msgspec.to_builtins(s) for s in r.spoken],
        }
        for r in sorted(results, key=lambda r: r.key)
    ]
    return {
        "schema": SCHEMA,
        "cases": rows,
        "sets": [row.as_json() for row in by(count, lambda r: r.set)],
        "classes": [row.as_json() for row in by_class(count)],
        "rules": [
            {**msgspec.to_builtins(row), "precision": row.precision, "right_nacks": row.right_nacks.as_json()}
            for row in by_rule(count)
        ],
        "subsystems": [row.as_json() for row in by_subsystem(count)],
        "trees": [row.as_json() for row in by(count, lambda r: r.tree)],
        "kinds": [row.as_json() for row in by(count, lambda r: f"{r.label}: {r.kind}")],
        "apart": [row.as_json() for row in by((r for r in results if r.apart), lambda r: f"{r.label}: {r.apart}")],
        "curve": [msgspec.to_builtins(point) for point in curve(count)],
        "funnel": [{"class": name, **stages} for name, stages in funnel(count).items()],
    }


# --- against an older run


class OldCase(msgspec.Struct, frozen=True):
    """What an older run said of one case."""

    id: str
    label: str
    verdict: str
    set: str | None = None


class OldRun(msgspec.Struct, frozen=True):
    """What is read of the JSON of an older run."""

    cases: tuple[OldCase, ...]


class Turned(Value, frozen=True):
    """A case with another verdict than in an older run."""

    set: str
    id: str
    label: str
    was: str
    now: str

    @property
    def way(self) -> str:
        """What this turn is: a hit or a wrong NACK that came or went, or neither."""
        if "nack" not in (self.was, self.now) or self.label == "merged":
            return "other"
        came = self.now == "nack"
        if self.label == "deadlock":
            return "found" if came else "lost"
        return "wrong" if came else "mended"


WAYS = {
    "found": "deadlocks that are NACKed now",
    "lost": "deadlocks that are no longer NACKed",
    "wrong": "clean patches and fixes that are NACKed now",
    "mended": "clean patches and fixes that are no longer NACKed",
    "other": "other verdicts that turned",
}


class Compared(Value, frozen=True):
    """Two runs side by side: which cases turned, and how many only one of them has."""

    turned: tuple[Turned, ...]
    same: int
    only_old: int
    only_new: int

    def as_json(self) -> dict[str, Any]:
        """The cases that turned, each with the way it went."""
        turned = [{**msgspec.to_builtins(t), "way": t.way} for t in self.turned]
        return {"turned": turned, "same": self.same, "only_old": self.only_old, "only_new": self.only_new}


def read_run(file: Path) -> OldRun:
    """An older run, of what `backtest --json` wrote. Raises ReviewError for a file that is none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=OldRun)
    except OSError as error:
        raise ReviewError(f"cannot read the older results {file}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ReviewError(f"{file} is not what `backtest --json` writes: {error}") from error


def compare(old: OldRun, results: Iterable[Scored]) -> Compared:
    """Which cases turned. A run of one set may be compared with one from before sets had names."""
    new = {r.key: r for r in results}
    sets = {r.set for r in new.values()}
    alone = next(iter(sets)) if len(sets) == 1 else ""
    was: Mapping[tuple[str, str], OldCase] = {(c.set or alone, c.id): c for c in old.cases}
    both = sorted(new.keys() & was.keys())
    turned = tuple(
        Turned(key[0], key[1], new[key].label, was[key].verdict, new[key].verdict)
        for key in both
        if was[key].verdict != new[key].verdict
    )
    return Compared(turned, len(both) - len(turned), len(was.keys() - new.keys()), len(new.keys() - was.keys()))
