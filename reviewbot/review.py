"""The whole flow on one page: Series -> Change -> Facts -> Findings -> Verdicts -> Decision -> Replies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from reviewbot.limits import MAX_SHOWN_EVENTS
from reviewbot.score import COMMENT_ABOVE, Doubt
from reviewbot.types import (
    Address,
    Change,
    ChangedEvent,
    Cut,
    DeadEnd,
    Decision,
    Fault,
    Mail,
    Outcome,
    Patch,
    Prior,
    Progress,
    Review,
    ReviewError,
    ScheduleCode,
    Series,
    Side,
    Source,
    Stage,
    Unread,
    Unreviewed,
    Value,
    Verdict,
)

if TYPE_CHECKING:
    from reviewbot.difference import Diff
    from reviewbot.gittree.tree import Tree
    from reviewbot.mail.prerequisites import Find
    from reviewbot.report.explain import StoredRun

NAMED = 3
"""Functions that a note on a limit names."""


class Options(Value, frozen=True):
    """How to review: which tree, from which base, for whom."""

    tree: str = "."
    base: str = ""
    branch: str = "HEAD"
    sender: Address | None = None
    rules: tuple[str, ...] = ()
    """Ids of the rules to run; empty for all."""
    first: tuple[bytes, ...] = ()
    """Patches to apply to the base before the series; they belong to the base."""
    merged: bool = False
    """The base has the series already: it is taken back first."""
    archive: str = ""
    """The public-inbox that is asked for prerequisites of a series; empty for none."""
    beside: str = ""
    """The file, folder or Maildir that a series came from, in which prerequisites are looked for; empty for none."""
    why: str = ""
    """The function of which it is told what came to nothing, and why; `*` for all, empty for none."""
    comment_above: float = COMMENT_ABOVE
    """What could not be settled is a comment when its score is higher: 0 shows all, 1 none."""


class Examined(Value, frozen=True):
    """What the rules and the simulator said of a change."""

    verdicts: tuple[Verdict, ...]
    hidden: tuple[Verdict, ...]
    """What could not be settled and is too doubtful for a comment."""
    notes: tuple[str, ...]
    checked: tuple[str, ...]
    timing: tuple[tuple[str, float], ...]
    unread: tuple[Unread, ...] = ()
    failed: tuple[str, ...] = ()
    """The rules that crashed or could not be loaded, or that the program could not be built: what was not checked."""
    faults: tuple[Fault, ...] = ()
    """The crashes among these."""
    events: tuple[ChangedEvent, ...] = ()
    code: tuple[ScheduleCode | None, ...] = ()
    leads: tuple[DeadEnd, ...] = ()
    """What came to nothing in the functions that were asked for."""

    @property
    def decision(self) -> Decision:
        """What is said of the series: what was checked by half is never acked."""
        said = decide(self.verdicts)
        return Decision.COMMENT if (self.failed or self.unread) and said is Decision.ACK else said


def review(
    series: Series,
    options: Options,
    fetched: float = 0.0,
    progress: Progress | None = None,
    opened: Tree | None = None,
    find: Find | None = None,
) -> Review:
    """Review a fetched series on a tree; `fetched` is the seconds that fetching took. Never raises for a bad series.

    progress: told how many of how many files have been indexed, while a tree is looked through for the first time.
    opened: the tree, for whoever reviews many on it; it stays open. find: where prerequisites of the series are had
    (default: what the options name).
    """
    from reviewbot.gittree.tree import Tree
    from reviewbot.report.gaps import gaps
    from reviewbot.report.reply import draft

    clock = Clock(fetch=fetched)
    prior: list[Prior] = []
    with nullcontext(opened) if opened is not None else Tree.open(Path(options.tree)) as tree:
        try:
            with clock("apply"):
                prior = _prior(series, find, options, tree)
                change = tree.apply(series, options.base or None, options.branch, options.first, prior, options.merged)
                in_scope(change)
        except Unreviewed as error:
            series = msgspec.structs.replace(series, prerequisites=tuple(p.prerequisite for p in prior))
            reason = "; ".join((str(error), *gaps(series, series.prerequisites)))
            return Review(series=series, decision=Decision.UNREVIEWED, reason=reason, timing=clock.read())
        before, after = tree.sources(change)
        examined = examine(change, before, after, options.rules, progress, options.why, options.comment_above)
        sender = options.sender or tree.identity()
    for stage, seconds in examined.timing:
        clock.add(stage, seconds)
    lacks = gaps(series, change.prerequisites, examined.unread)
    partly = bool(lacks) and decide(examined.verdicts) is Decision.ACK  # an ack says only what was read
    result = Review(
        series=series,
        decision=Decision.COMMENT if partly else examined.decision,
        reason="; ".join(lacks) if partly else "",
        change=change,
        verdicts=examined.verdicts,
        hidden=examined.hidden,
        unread=examined.unread,
        checked=examined.checked,
        notes=(*examined.notes, *(f"the series touches {path}" for path in change.flags)),
        faults=examined.faults,
        events=examined.events,
        code=examined.code,
        leads=examined.leads,
    )
    with clock("reply"):
        replies = draft(result, sender)
    return msgspec.structs.replace(result, replies=replies, timing=clock.read())


def _prior(series: Series, find: Find | None, options: Options, tree: Tree) -> list[Prior]:
    """The prerequisites of a series, with their patches where these can be had."""
    from reviewbot.mail.fetch import Finder
    from reviewbot.mail.prerequisites import gather

    if not series.prerequisites:
        return []
    if find is None and (options.archive or options.beside):
        with Finder(options.beside, inbox=options.archive) as asked:
            return gather(series, asked, tree.patch_id)
    return gather(series, find, tree.patch_id)


def examine(
    change: Change,
    before: Source,
    after: Source,
    only: Sequence[str] = (),
    progress: Progress | None = None,
    why: str = "",
    above: float = COMMENT_ABOVE,
) -> Examined:
    """Build the programs of both sides, run the rules over them and the simulator over what these find.

    why: the function (`*` for all) of which it is told, too, what came to nothing. above: the score above which something
    that could not be settled is a comment.

    A crash in one rule is a note on that rule, one while the programs are built a single note instead of any finding.
    """
    from reviewbot import rules
    from reviewbot.replay import judge, opaque

    clock, trouble = Clock(), _Trouble()
    loaded = rules.find()
    for line in loaded.broken:
        trouble.tell(line, line)
    built = None
    with clock("facts"), trouble("", "the code of the change could not be analysed"):
        built = _built(change, before, after, progress)
    verdicts: list[Verdict] = []
    checked: list[str] = []
    for rule in loaded.rules if built else ():
        if only and rule.id not in only:
            continue
        diff = built.diff
        with trouble(rule.id, f"rule {rule.id} failed"):
            with clock("rules"):
                found = [*rule.candidates(diff)]
            with clock("simulate"):
                judged = judge.judged(rule, found, diff)
                verdicts += opaque.agreed(rule, judged, diff)
            if found or rule.concerns(diff):
                checked.append(rule.checked)
    settled, hidden = shown(judge.settle(verdicts), above)
    code: tuple[ScheduleCode | None, ...] = ()
    with clock("reply"), trouble("", "the code of the schedules could not be gathered"):
        code = schedule_code(settled, built.diff) if built else ()
    return Examined(
        verdicts=settled,
        hidden=hidden,
        notes=(*trouble.notes, *(left_out(built.diff.cuts) if built else ())),
        checked=tuple(dict.fromkeys(checked)),
        timing=clock.read(total=False),
        unread=built.unread if built else (),
        failed=tuple(trouble.failed),
        faults=tuple(trouble.faults),
        events=built.events if built else (),
        code=code,
        leads=tuple(leads(built.diff, settled, hidden, why)) if built and why else (),
    )


def shown(verdicts: Iterable[Verdict], above: float) -> tuple[tuple[Verdict, ...], tuple[Verdict, ...]]:
    """The verdicts that count, and those that are hidden: what could not be settled and whose score is not above `above`."""
    found: tuple[list[Verdict], list[Verdict]] = ([], [])
    for verdict in verdicts:
        open_ = verdict.outcome is Outcome.INCONCLUSIVE and not verdict.finding.gives
        found[open_ and verdict.score.value <= above].append(verdict)
    return tuple(found[0]), tuple(found[1])


def leads(diff: Diff, settled: Sequence[Verdict], hidden: Sequence[Verdict], function: str) -> Iterator[DeadEnd]:
    """What came to nothing in a function (`*`: in any), the stages in the order in which a change goes through them."""

    def asked(names: Iterable[str]) -> bool:
        return function == "*" or function in names

    for dropped in dict.fromkeys(diff.dropped):
        if asked(dropped.functions):
            yield DeadEnd(Stage.SEARCH, dropped.says(), dropped.reason, dropped.functions)
    for verdict in settled:
        if verdict.outcome not in (Outcome.CONFIRMED, Outcome.FIXED):
            score = f" (score {verdict.score})" if verdict.score.doubts else ""
            yield from _lead(verdict, Stage.REPLAY, (verdict.reason or verdict.outcome.value) + score, asked)
    for verdict in hidden:
        stage = Stage.READING if Doubt.OPAQUE in verdict.doubts else Stage.SCORE
        yield from _lead(verdict, stage, str(verdict.score), asked)


def _lead(verdict: Verdict, stage: Stage, reason: str, asked: Callable[[Iterable[str]], bool]) -> Iterator[DeadEnd]:
    finding = verdict.finding
    names = tuple(dict.fromkeys(place.function for place in (finding.at, *finding.related) if place.function))
    if asked(names):
        yield DeadEnd(stage, f"{finding.at}: {finding.message}", reason, names, finding.rule)


class _Built(NamedTuple):
    """A change with the programs of both sides, and what of it could not be read."""

    diff: Diff
    unread: tuple[Unread, ...]
    events: tuple[ChangedEvent, ...]


def _built(change: Change, before: Source, after: Source, progress: Progress | None) -> _Built:
    """The stage that builds the programs: what comes after it only asks them."""
    from reviewbot.detect.unread import unread
    from reviewbot.difference import Diff

    diff = Diff.of(change, before, after, progress)
    diff.build()
    not_read = unread(change, [(before, diff.before.unit), (after, diff.after.unit)])
    return _Built(diff, not_read, tuple(changed_events(diff)))


def changed_events(diff: Diff) -> list[ChangedEvent]:
    """The facts that came or went, by place, MAX_SHOWN_EVENTS at most: what the patch changes as the rules see it."""
    from heapq import nsmallest

    sides = ((Side.BEFORE, diff.removed), (Side.AFTER, diff.added))
    found = [(fact.at, side.value, type(fact).__name__, fact) for side, facts in sides for fact in facts]
    first = nsmallest(MAX_SHOWN_EVENTS, found, key=lambda one: one[:3])
    return [ChangedEvent(at, Side(side), kind, fact.says()) for at, side, kind, fact in first]


def schedule_code(verdicts: Sequence[Verdict], diff: Diff) -> tuple[ScheduleCode | None, ...]:
    """For each verdict that is told with a schedule the code that this passes, from the side that gets stuck."""
    from reviewbot.report.explain import code

    sides = {Outcome.CONFIRMED: diff.after, Outcome.FIXED: diff.before}
    told = ((verdict.trace, sides.get(verdict.outcome)) for verdict in verdicts)
    return tuple(code(trace.steps, side.source, side.unit) if trace and side else None for trace, side in told)


class _Trouble:
    """What went wrong, stage by stage: the one way in which a crash becomes a note and a fault."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.failed: list[str] = []
        self.faults: list[Fault] = []

    def tell(self, failed: str, note: str) -> None:
        """Something was not checked."""
        self.failed.append(failed)
        self.notes.append(note)

    @contextmanager
    def __call__(self, rule: str, what: str) -> Iterator[None]:
        """A stage, or a rule of it; a crash inside ends it and nothing else. Raises MemoryError, which is nobody's fault,
        and the crash itself with REVIEWBOT_DEBUG."""
        from reviewbot.faults import fault

        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            if os.environ.get("REVIEWBOT_DEBUG"):
                raise
            self.tell(rule or what, f"{what}: {type(error).__name__}: {error}")
            self.faults.append(fault(error, rule))


def left_out(cuts: Iterable[Cut]) -> Iterator[str]:
    """A note for each limit that cut a search, with the functions that it was about."""
    where: dict[tuple[str, int], list[str]] = {}
    for cut in cuts:
        names = where.setdefault((cut.what, cut.most), [])
        names += [f"{cut.function.rpartition(':')[2]}()"] if cut.function else []
    for (what, most), names in where.items():
        shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        yield f"not all looked at: at most {most} {what}{f' ({shown})' if shown else ''}"


def in_scope(change: Change) -> None:
    """Raises Unreviewed for a change that touches no C code."""
    if not any(f.path.endswith((".c", ".h")) for f in change.files):
        touched = ", ".join(f.path for f in change.files[:3]) or "no file"
        raise Unreviewed(f"out of scope: the series changes no C code ({touched})")


def decide(verdicts: Sequence[Verdict]) -> Decision:
    """nack for a confirmed finding, comment where something that may be one is left undecided, else ack."""
    if any(v.outcome is Outcome.CONFIRMED for v in verdicts):
        return Decision.NACK
    doubt = any(v.outcome is Outcome.INCONCLUSIVE and not v.finding.gives for v in verdicts)
    return Decision.COMMENT if doubt else Decision.ACK


def unfetched(what: str, error: ReviewError) -> Review:
    """The review of something that could not be fetched or is no patch."""
    nobody = Address(name="", email="")
    mail = Mail(message_id=what.strip("<>"), subject="", author=nobody, date="")
    series = Series(patches=(Patch(mail=mail, diff=b""),), source=what)
    return Review(series=series, decision=Decision.UNREVIEWED, reason=str(error))


def address(text: str) -> Address | None:
    """`Name <mail@host>` as an Address; None for an empty text. Raises ReviewError for anything else."""
    from email.utils import parseaddr

    if not text:
        return None
    name, email = parseaddr(text)
    if email.count("@") != 1 or any(c.isspace() for c in email):
        raise ReviewError(f"`{text}` is no mail address: write it as `Name <name@example.org>`")
    return Address(name=name, email=email)


def runs_folder() -> Path:
    """Where replayed findings are kept for `reviewbot explain`."""
    from platformdirs import user_state_path

    return user_state_path("reviewbot") / "runs"


def remember(result: Review, options: Options) -> None:
    """Keep each finding that has a schedule, by its id, so that `reviewbot explain ID` can replay it. Best effort."""
    from reviewbot.key import identity
    from reviewbot.report.explain import StoredRun
    from reviewbot.report.reply import replay_id

    named, tree = identity(result.series), str(Path(options.tree).resolve())
    base = result.change.commit if result.change else ""
    keep(
        StoredRun(replay_id(named, verdict.finding), verdict, tree, base, result.series)
        for verdict in result.verdicts
        if verdict.trace is not None
    )


def keep(runs: Iterable[StoredRun]) -> None:
    """Put findings where `reviewbot explain` looks for them. Best effort."""
    folder = runs_folder()
    for run in runs:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f".{run.id}.tmp"
            partial.write_bytes(msgspec.json.encode(run))
            partial.replace(folder / f"{run.id}.json")
        except OSError:
            return  # a full or read-only state folder does not spoil a review


class Clock:
    """Adds up the seconds of named stages."""

    def __init__(self, **seconds: float) -> None:
        self._seconds = dict(seconds)
        self._start = perf_counter() - sum(seconds.values())

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        try:
            yield
        finally:
            self.add(stage, perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Count `seconds` to a stage."""
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def read(self, total: bool = True) -> tuple[tuple[str, float], ...]:
        """The stages so far, and the total since the clock was made."""
        whole = {"total": perf_counter() - self._start} if total else {}
        return tuple({**self._seconds, **whole}.items())


__all__ = [
    "Examined",
    "Options",
    "address",
    "decide",
    "examine",
    "in_scope",
    "keep",
    "remember",
    "review",
    "unfetched",
]
