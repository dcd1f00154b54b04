"""Labelled patches and whole files of a later release -> how often each rule was right.

A labelled case is a line of JSON: `id`, `patch` (a path beside the index), `base_patch` (applied first), `tree` (a name
that `--tree NAME=REPOSITORY` binds), `label` (deadlock, clean, fix), `class`, `why`, and what it is counted by: `kind`,
`files`, `confidence` and `comment_leak`. A rule sees nothing of it but the patch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from reviewbot.bench.workers import WORKERS, parts, spread
from reviewbot.detect.waitfor import SAME
from reviewbot.process.memory import megabytes
from reviewbot.score import Doubt
from reviewbot.types import Address, Outcome, Review, ReviewError, Stage, Value, Verdict

if TYPE_CHECKING:
    from reviewbot.gittree.tree import Tree
    from reviewbot.mail.fetch import MailReader
    from reviewbot.review import Examined

RIGHT = {"deadlock": {"nack"}, "clean": {"ack", "comment", "unreviewed"}, "fix": {"ack", "comment", "unreviewed"}}
STAGES = ("nothing changed", "nothing begun", *Stage, "comment", "nack")
"""How far a review can come: what changed is nothing that counts, no search begins there, it ends at a stage, or is told."""
SUBSYSTEMS = {
    "block": ("block/", "drivers/block/", "lib/sbitmap"),
    "md": ("drivers/md/",),
    "nvme": ("drivers/nvme/",),
    "scsi": ("drivers/scsi/", "drivers/target/", "drivers/ufs/"),
    "fs": ("fs/",),
    "mm": ("mm/",),
    "io_uring": ("io_uring/",),
}
"""The core: a case is of the first of these that has the beginning of one of its files."""
REST = "rest"
"""All other subsystems."""
AGAINST = (Outcome.CONFIRMED, Outcome.INCONCLUSIVE)
"""Outcomes that speak against a series."""
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
    kind: str = ""
    """How the case and its label were made."""
    set: str = ""
    """The set that it is counted in."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others: its set and its id."""
        return self.set, self.id


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
    score: float = 0.0
    """That of the surest finding that is shown or hidden as a comment; 1 for a NACK."""
    gave_up: tuple[str, ...] = ()
    """The reasons for which something came to nothing at that stage, the most frequent one first."""
    set: str = ""
    tree: str = ""
    kind: str = ""
    subsystem: str = REST
    apart: str = ""
    """Why it counts for nothing but itself; empty for a case that counts."""
    megabytes: int = 0
    """What its process had in memory afterwards."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others: its set and its id."""
        return self.set, self.id

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
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ReviewError(f"cannot read the index {path}: {error.strerror}") from error
    cases = []
    for number, line in enumerate(lines, 1):
        try:
            cases.append(msgspec.json.decode(line, type=Labelled))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ReviewError(f"{path}:{number} is no labelled case: {error}") from error
    return cases


def read_sets(sets: Mapping[str, Path]) -> list[Labelled]:
    """The cases of several indexes, each in the set of its name; their patches are found from anywhere. Raises as
    `read_index`."""
    return [
        msgspec.structs.replace(
            case,
            set=name,
            patch=str(index.parent / case.patch),
            base_patch=str(index.parent / case.base_patch) if case.base_patch else "",
        )
        for name, index in sets.items()
        for case in read_index(index)
    ]


def subsystem(files: Iterable[str]) -> str:
    """The subsystem of the core that files are in, REST when none is."""
    files = tuple(files)
    return next((name for name, begins in SUBSYSTEMS.items() if any(f.startswith(begins) for f in files)), REST)


def apart(case: Labelled) -> str:
    """Why a case has to be counted apart: its label is doubtful, or its diff says itself what is wrong."""
    if case.confidence == "low":
        return "low confidence"
    return "a comment tells" if case.comment_leak and case.label == "deadlock" else ""


def score(case: Labelled, folder: Path, opened: Callable[[str], Tree], reader: MailReader | None = None) -> Scored:
    """Review one case on its tree; what goes wrong is in the result, never raised. opened: the tree of a name; it stays
    open. reader: see `lore.parse`."""
    files = case.files or _files(folder / case.patch)
    return scored(case, files, lambda: reviewed(case, folder, opened, reader))


def scored(case: Labelled, files: Iterable[str], make: Callable[[], Review]) -> Scored:
    """What is kept of the review that `make` makes of a case, which changes these files; see `score`."""
    start = perf_counter()
    reason, decision = "", "unreviewed"
    notes: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    stage, gave_up, sure = "", tuple[str, ...](), 0.0
    try:
        result = make()
        decision, reason, notes, verdicts = result.decision.value, result.reason, result.notes, result.verdicts
        stage, gave_up = furthest(result)
        sure = surest(result)
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
        score=sure,
        **_counted_by(case, files),
        megabytes=megabytes(),
    )


def _counted_by(case: Labelled, files: Iterable[str]) -> dict[str, str]:
    return {
        "set": case.set,
        "tree": case.tree,
        "kind": case.kind,
        "subsystem": subsystem(files),
        "apart": apart(case),
    }


def surest(review: Review) -> float:
    """The score of the surest finding of a review that speaks against the series."""
    told = (v for v in (*review.verdicts, *review.hidden) if v.outcome in AGAINST and not v.finding.gives)
    return max((v.score.value for v in told), default=0.0)


def furthest(review: Review) -> tuple[str, tuple[str, ...]]:
    """How far a review came, and why nothing went further: the reasons at that stage, the most frequent one first."""
    if review.decision.value in ("nack", "comment"):
        return review.decision.value, ()
    for stage in reversed(Stage):
        reasons = Counter(lead.reason for lead in review.leads if lead.stage is stage and lead.reason not in SAME)
        if reasons:
            return stage.value, tuple(reason for reason, _ in reasons.most_common())
    return "nothing begun" if review.events else "nothing changed", ()


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
        proven=verdict.trace is not None and set(verdict.score.doubts) <= {Doubt.RULE} and verdict.outcome in AGAINST,
    )


def run(cases: Sequence[Labelled], folder: Path, trees: Mapping[str, Path], workers: int = WORKERS) -> Iterator[Scored]:
    """Score all cases on some processes, as they finish. Raises ReviewError when a tree has no repository."""
    check_trees(cases, trees)
    yield from spread(_score_all, chunks(cases, folder), (folder, dict(trees)), workers, lost)


def check_trees(cases: Iterable[Labelled], trees: Mapping[str, Path]) -> None:
    """Raises ReviewError when the tree of a case has no repository."""
    missing = sorted({c.tree for c in cases} - set(trees))
    if missing:
        raise ReviewError(f"no repository for tree {missing[0]}: name it with --tree {missing[0]}=PATH")


def patches(cases: Iterable[Labelled]) -> Iterator[Path]:
    """The files that the cases of some sets are made of."""
    for case in cases:
        yield from (Path(patch) for patch in (case.patch, case.base_patch) if patch)


def chunks(cases: Iterable[Labelled], folder: Path) -> list[list[Labelled]]:
    """The cases in parts, of which each is for one process at a time: a part is about the same code."""
    return parts(cases, lambda case: (case.tree, _folder(case, folder)))


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
    made = Scored(case.id, case.label, case.cls, "fault", 0.0, reason=_crash(error), why=case.why)
    return msgspec.structs.replace(made, **_counted_by(case, case.files))


def _crash(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _folder(case: Labelled, folder: Path) -> str:
    """The folder of the first file that a patch changes; empty when that cannot be seen."""
    return next(iter(_files(folder / case.patch)), "").rpartition("/")[0]


def _files(patch: Path) -> tuple[str, ...]:
    """The files that a patch changes; none when that cannot be seen."""
    try:
        return changed_files(patch.read_bytes())
    except OSError:
        return ()


def changed_files(diff: bytes) -> tuple[str, ...]:
    """The files that a diff changes, but for those that it deletes."""
    return tuple(name.decode("utf-8", "replace") for name in re.findall(rb"^\+\+\+ b/(\S+)", diff, re.MULTILINE))


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
        subsystem=subsystem((path,)),
        megabytes=megabytes(),
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
