"""Labelled patches and whole files of a later release -> how often each rule was right.

A labelled case is a line of JSON: `id`, `patch` (a path beside the index), `base_patch` (applied first), `tree` (a name
that `--tree NAME=REPOSITORY` binds), `label` (deadlock, clean, fix), `class`, `why`, and for totals `files`, `confidence`
and `comment_leak`. A rule sees nothing of it but the patch.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from reviewbot.bench.workers import WORKERS, parts, spread
from reviewbot.detect.waitfor import SAME
from reviewbot.types import Address, Outcome, Review, ReviewError, Stage, Value, Verdict

if TYPE_CHECKING:
    from reviewbot.gittree.tree import Tree
    from reviewbot.mail.fetch import MailReader
    from reviewbot.review import Examined

RIGHT = {"deadlock": {"nack"}, "clean": {"ack", "comment", "unreviewed"}, "fix": {"ack", "comment", "unreviewed"}}
STAGES = ("nothing changed", "nothing begun", *Stage, "comment", "nack")
"""How far a review can come: what changed is nothing that counts, no search begins there, it ends at a stage, or is told."""
NOBODY = Address("nobody", "nobody@localhost")
"""Whom replies are drafted for that nobody reads."""


class Labelled(msgspec.Struct, frozen=True):
    """One line of an index."""

    id: str
    patch: str
    tree: str
    label: str
    cls: str = msgspec.field(default="", name="class")
    base_patch: str = ""
    why: str = ""
    files: tuple[str, ...] = ()
    """The files that the patch changes."""
    confidence: str = ""
    """`low` where the label itself is doubtful."""
    comment_leak: bool | None = None
    """Whether the diff itself shows a comment that names the deadlock."""


class Spoken(Value, frozen=True):
    """One verdict of one case, as it is kept."""

    rule: str
    outcome: str
    at: str
    message: str
    reason: str = ""
    proven: bool = False
    """The simulator confirmed it, also where its rule is not trusted to say so."""


class Scored(Value, frozen=True):
    """What was said of one case."""

    id: str
    label: str
    cls: str
    verdict: str
    seconds: float
    spoken: tuple[Spoken, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    why: str = ""
    stage: str = ""
    """How far the review came, one of STAGES."""
    gave_up: tuple[str, ...] = ()
    """The reasons for which something came to nothing at that stage, the most frequent one first."""

    @property
    def rules(self) -> tuple[str, ...]:
        """Rules with a confirmed finding, those included that may only comment: they are measured anew each time."""
        return tuple(dict.fromkeys(s.rule for s in self.spoken if s.proven))

    @property
    def right(self) -> bool:
        """True when the verdict is one that the label allows."""
        return self.verdict in RIGHT.get(self.label, set())


def read_index(path: Path) -> list[Labelled]:
    """The cases of an index. Raises ReviewError for a file that is none, with the line."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ReviewError(f"cannot read the index {path}: {error.strerror}") from error
    cases = []
    for number, line in enumerate(lines, 1):
        try:
            cases.append(msgspec.json.decode(line, type=Labelled))
        except msgspec.MsgspecError as error:
            raise ReviewError(f"{path}:{number} is no labelled case: {error}") from error
    return cases


def score(case: Labelled, folder: Path, opened: Callable[[str], Tree], reader: MailReader | None = None) -> Scored:
    """Review one case on its tree; what goes wrong is in the result, never raised. opened: the tree of a name; it stays
    open. reader: see `lore.parse`."""
    start = perf_counter()
    reason, decision = "", "unreviewed"
    notes: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    stage, gave_up = "", tuple[str, ...]()
    try:
        result = reviewed(case, folder, opened, reader)
        decision, reason, notes, verdicts = result.decision.value, result.reason, result.notes, result.verdicts
        stage, gave_up = furthest(result)
    except (ReviewError, OSError) as error:
        reason = str(error)
    except Exception as error:  # counted and shown: a backtest goes on
        decision, reason = "fault", _crash(error)
    return Scored(
        id=case.id,
        label=case.label,
        cls=case.cls,
        verdict=decision,
        seconds=round(perf_counter() - start, 3),
        spoken=tuple(spoken(v) for v in verdicts),
        reason=reason,
        notes=notes,
        why=case.why,
        stage=stage,
        gave_up=gave_up,
    )


def furthest(review: Review) -> tuple[str, tuple[str, ...]]:
    """How far a review came, and why nothing went further: the reasons at that stage, the most frequent one first."""
    if review.decision.value in ("nack", "comment"):
        return review.decision.value, ()
    for stage in reversed(Stage):
        reasons = Counter(lead.reason for lead in review.leads if lead.stage is stage and lead.reason not in SAME)
        if reasons:
            return stage.value, tuple(reason for reason, _ in reasons.most_common())
    return "nothing begun" if review.events else "nothing changed", ()


def funnel(results: Iterable[Scored], label: str = "deadlock") -> dict[str, Counter[str]]:
    """Of the cases with a label: class -> how many came how far."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        if result.label == label:
            found[result.cls][result.stage] += 1
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))


def reviewed(case: Labelled, folder: Path, opened: Callable[[str], Tree], reader: MailReader | None = None) -> Review:
    """The review of one case on its tree; see `score`. Raises ReviewError and OSError for a case without one."""
    from reviewbot import review
    from reviewbot.mail import fetch

    first = ((folder / case.base_patch).read_bytes(),) if case.base_patch else ()
    series = fetch.parse((folder / case.patch).read_bytes(), case.id, reader=reader, alone=True)
    options = review.Options(first=first, sender=NOBODY, why="*")
    return review.review(series, options, opened=opened(case.tree))


def spoken(verdict: Verdict) -> Spoken:
    """The part of a verdict that a table needs."""
    finding = verdict.finding
    return Spoken(
        rule=finding.rule,
        outcome=str(verdict.outcome),
        at=str(finding.at),
        message=finding.message,
        reason=verdict.reason,
        proven=verdict.trace is not None and verdict.outcome in (Outcome.CONFIRMED, Outcome.INCONCLUSIVE),
    )


def run(cases: Sequence[Labelled], folder: Path, trees: Mapping[str, Path], workers: int = WORKERS) -> Iterator[Scored]:
    """Score all cases on some processes, as they finish. Raises ReviewError when a tree has no repository."""
    missing = sorted({c.tree for c in cases} - set(trees))
    if missing:
        raise ReviewError(f"no repository for tree {missing[0]}: name it with --tree {missing[0]}=PATH")
    yield from spread(_score_all, chunks(cases, folder), (folder, dict(trees)), workers, lost)


def chunks(cases: Iterable[Labelled], folder: Path) -> list[list[Labelled]]:
    """The cases in parts, of which each is for one process at a time: a part is about the same code."""
    return parts(cases, lambda case: (case.tree, _folder(folder / case.patch)))


def flood_chunks(paths: Iterable[str]) -> list[list[str]]:
    """The files of a flood in parts, of which each is for one process at a time."""
    return parts(paths, lambda path: path.rpartition("/")[0])


def _score_all(cases: Sequence[Labelled], folder: Path, trees: Mapping[str, Path]) -> Iterator[Scored]:
    from reviewbot.mail import fetch

    # to start a reader takes longer than to read a mail, and to open a tree than to apply a patch
    with fetch.MailReader() as reader, opener(trees) as opened:
        yield from (score(case, folder, opened, reader) for case in cases)


@contextmanager
def opener(trees: Mapping[str, Path]) -> Iterator[Callable[[str], Tree]]:
    """Opens repositories by name when they are asked for, and closes them all in the end."""
    from reviewbot.gittree.tree import Tree

    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(Tree.open(trees[name])))


def lost(case: Labelled, error: BaseException) -> Scored:
    """What is kept of a case that ended its process."""
    return Scored(case.id, case.label, case.cls, "fault", 0.0, reason=_crash(error), why=case.why)


def _crash(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _folder(patch: Path) -> str:
    """The folder of the first file that a patch changes; empty when that cannot be seen."""
    try:
        found = re.search(rb"^\+\+\+ b/(\S+)/", patch.read_bytes(), re.MULTILINE)
    except OSError:
        return ""
    return found[1].decode("utf-8", "replace") if found else ""


def flood_paths(old: Path, new: Path, under: Sequence[str]) -> list[str]:
    """The .c files below `under` that both trees have and that differ."""
    from reviewbot.gittree.tree import Tree

    with Tree.open(old) as a, Tree.open(new) as b:
        was, now = a.at("HEAD"), b.at("HEAD")
        return [
            path
            for folder in under
            for path, blob in sorted(was.ls(folder).items())
            if path.endswith(".c") and now.blob(path) not in (None, blob)
        ]


def flood_one(path: str, old: Path, new: Path) -> Scored:
    """Put one file of the new tree on the old one as if it were a patch, and review that."""
    start = perf_counter()
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    reason, decision = "", "fault"
    try:
        examined = flooded(path, old, new)
        verdicts, notes = examined.verdicts, examined.notes
        decision = examined.decision.value
    except Exception as error:  # counted and shown: the flood goes on
        reason = _crash(error)
    return Scored(
        id=path,
        label="merged",
        cls="flood",
        verdict=decision,
        seconds=round(perf_counter() - start, 3),
        spoken=tuple(spoken(v) for v in verdicts),
        reason=reason,
        notes=notes,
    )


def flooded(path: str, old: Path, new: Path) -> Examined:
    """What the rules say of one file of the new tree, put on the old one."""
    from reviewbot import review
    from reviewbot.gittree.tree import Tree

    with Tree.open(old) as a, Tree.open(new) as b:
        text = b.at("HEAD").read(path) or b""
        change = a.replace({path: text})
        return review.examine(change, *a.sources(change))


def flood(paths: Sequence[str], old: Path, new: Path, workers: int = WORKERS) -> Iterator[Scored]:
    """Review years of merged changes, a file at a time."""
    yield from spread(_flood_all, flood_chunks(paths), (old, new), workers, _lost_file)


def _lost_file(path: str, error: BaseException) -> Scored:
    return Scored(path, "merged", "flood", "fault", 0.0, reason=_crash(error))


def _flood_all(paths: Sequence[str], old: Path, new: Path) -> Iterator[Scored]:
    yield from (flood_one(path, old, new) for path in paths)


# --- tables ----------------------------------------------------------------------------------------------------------


class Row(Value, frozen=True):
    """Counts for one class or one rule: `found` are NACKs of deadlocks, `wrong` NACKs of clean and fix cases."""

    name: str
    cases: int
    found: int
    wrong: int
    fixes: int = 0
    """Fix cases whose deadlock was recognised."""

    @property
    def precision(self) -> float | None:
        """Right NACKs of all NACKs; None without any."""
        return self.found / (self.found + self.wrong) if self.found + self.wrong else None


def by_class(results: Iterable[Scored]) -> list[Row]:
    """A row per class of deadlock (recall), then one per kind of innocent case (wrong NACKs)."""
    groups: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for r in results:
        groups[r.label, r.cls].append(r)
    return [
        Row(
            name=f"{label}: {cls}",
            cases=len(group),
            found=sum(r.verdict == "nack" for r in group) if label == "deadlock" else 0,
            wrong=sum(r.verdict == "nack" for r in group) if label != "deadlock" else 0,
            fixes=sum(any(s.outcome == Outcome.FIXED for s in r.spoken) for r in group) if label == "fix" else 0,
        )
        for (label, cls), group in sorted(groups.items(), key=lambda x: (x[0][0] != "deadlock", x[0]))
    ]


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


def as_json(results: Sequence[Scored]) -> dict[str, Any]:
    """The stable JSON of `backtest --json`: the cases, and the tables by class and by rule."""
    rows = [
        {
            "id": r.id,
            "label": r.label,
            "class": r.cls,
            "verdict": r.verdict,
            "rules": list(r.rules),
            "seconds": r.seconds,
            "reason": r.reason or None,
            "notes": list(r.notes),
            "stage": r.stage or None,
            "gave_up": list(r.gave_up),
            "findings": [msgspec.to_builtins(s) for s in r.spoken],
        }
        for r in sorted(results, key=lambda r: r.id)
    ]
    return {
        "schema": 1,
        "cases": rows,
        "classes": [{**msgspec.to_builtins(x), "precision": x.precision} for x in by_class(results)],
        "rules": [{**msgspec.to_builtins(x), "precision": x.precision} for x in by_rule(results)],
    }
