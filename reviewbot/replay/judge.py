"""Finding + models of both sides -> Verdict: what the simulator cannot replay is not said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import Generic

import msgspec

from reviewbot import precision
from reviewbot.difference import Diff, Version
from reviewbot.replay.naming import ObjectNames
from reviewbot.rule import About, Candidate, Rule, Scene
from reviewbot.score import Doubt, Score
from reviewbot.sim.check import Key, SearchLimits, SearchResult, check
from reviewbot.sim.passing import passing
from reviewbot.types import Cut, Finding, Outcome, Trace, Verdict

PROVEN = (Outcome.CONFIRMED, Outcome.FIXED)
REST = (Outcome.INCONCLUSIVE, Outcome.PRE_EXISTING, Outcome.REFUTED)
"""What counts of several scenes where none is proven: a doubt before what is known, and that before a no."""
LIMITS = SearchLimits(states=300_000, seconds=20.0)
WHOLE = SearchLimits(states=60_000, seconds=5.0)
"""For the search without reductions that has to agree before something counts as free."""
Pair = tuple[Scene, Callable[[], Scene | None]]
"""A scene of the guilty side, and that of the other side, which is made when it is asked for: to read a program off the
code can take longer than to run it."""


def judge(rule: Rule[About], candidate: Candidate[About], diff: Diff) -> Verdict:
    """Run the scenes of a candidate on both sides until one settles it; what they leave out is told to the diff.

    For a finding that takes something away the side after the patch is the guilty one; for one that gives, the side
    before. confirmed (fixed): the guilty side gets stuck in a knot that the other side does not have.
    """
    finding = candidate.finding
    buggy, other = (diff.before, diff.after) if finding.gives else (diff.after, diff.before)
    names = ObjectNames(buggy.program, finding, candidate.about)
    verdict = _Trial(rule, candidate, buggy, other, names, diff.cuts).verdict()
    told, other_side = verdict.trace, verdict.other
    if not verdict.model:  # that of a scene by name has the names already
        told, other_side = (names.trace(one) if one else None for one in (told, other_side))
    return doubted(
        msgspec.structs.replace(
            verdict, finding=names.finding(finding), trace=told, other=other_side, remedy=names.text(verdict.remedy)
        )
    )


def doubted(verdict: Verdict, *doubts: Doubt) -> Verdict:
    """A verdict with all its doubts, and these: what is in doubt is proven by no replay, and at most a comment."""
    verdict = msgspec.structs.replace(verdict, doubts=(*verdict.doubts, *doubts))
    found = verdict.score.doubts
    if verdict.outcome not in PROVEN or not found:
        return verdict
    reason = "; ".join(dict.fromkeys(doubt.says for doubt in found))
    return msgspec.structs.replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=reason)


def judged(rule: Rule[About], candidates: Iterable[Candidate[About]], diff: Diff) -> list[Verdict]:
    """One verdict for each claim of some candidates: of the ways in which it can come about the first that is proven, else
    the one that is most in doubt."""
    claims: dict[tuple[object, ...], list[Candidate[About]]] = {}
    for candidate in candidates:
        claims.setdefault(candidate.claim, []).append(candidate)
    return [_settled(judge(rule, way, diff) for way in sorted(ways, key=_surest)) for ways in claims.values()]


def _surest(candidate: Candidate[About]) -> float:
    return -Score(candidate.finding.doubts).value


def _settled(verdicts: Iterable[Verdict]) -> Verdict:
    tried: list[Verdict] = []
    for verdict in verdicts:
        if verdict.outcome in PROVEN:
            return verdict
        tried.append(verdict)
    return min(tried, key=lambda v: (REST.index(v.outcome), -v.score.value))


class _Trial(Generic[About]):
    """A candidate, its two sides (the guilty one first), and what the scenes of both leave out."""

    def __init__(
        self,
        rule: Rule[About],
        candidate: Candidate[About],
        buggy: Version,
        other: Version,
        names: ObjectNames,
        cuts: dict[Cut, None],
    ) -> None:
        self.rule, self.candidate, self.finding = rule, candidate, candidate.finding
        self.buggy, self.other, self.names, self.cuts = buggy, other, names, cuts

    def verdict(self) -> Verdict:
        """The verdict of the first scene that settles it, else the most doubtful one."""
        pairs = self._pairs()
        tried: list[Verdict] = []
        for bad, good in pairs:
            verdict = _run(self.finding, bad, good, self._all_new)
            if verdict is None:
                break
            if verdict.outcome in PROVEN and verdict.trace:
                other = _located(verdict.other, self.other) if verdict.other else None
                verdict = msgspec.structs.replace(verdict, trace=_located(verdict.trace, self.buggy), other=other)
                also = bool(self.finding.words and self.finding.words.also) and self._also(pairs)
                return msgspec.structs.replace(verdict, also=also, remedy=self._remedy())
            tried.append(verdict)
        none = _undecided(self.finding, "there is no model of it", Doubt.DIFFERENCE)
        return min(tried, key=lambda v: REST.index(v.outcome), default=none)

    def _pairs(self) -> Iterator[Pair]:
        others = enumerate(self._scenes(self.other))
        for number, bad in enumerate(self._scenes(self.buggy)):
            yield bad, partial(_numbered, others, number)

    def _scenes(self, side: Version) -> Iterator[Scene]:
        for scene in self.rule.scenes(self.candidate, side):
            self.cuts.update(dict.fromkeys(scene.cuts))
            yield self.names.scene(scene)

    def _also(self, pairs: Iterator[Pair]) -> bool:
        """Whether the next scene, of which `Words.also` speaks, is proven too."""
        runs = (_run(self.finding, bad, good, self._all_new) for bad, good in islice(pairs, 1))
        return any(verdict is not None and verdict.outcome in PROVEN for verdict in runs)

    def _all_new(self) -> bool:
        """Whether what the other side lacks was not there under another name: the change takes no function away."""
        before, after = self.other, self.buggy
        gone = (key for path in before.paths for key in before.program.functions(path))
        return not self.finding.gives and all(key in after.program.names.functions for key in gone)

    def _remedy(self) -> str:
        """The first remedy that is possible and that the simulator confirms; none for a patch that is the remedy."""
        if self.finding.gives:
            return ""
        for remedy in self.rule.remedies(self.candidate, self.buggy):
            if not remedy.possible(self.other):
                continue
            scene = msgspec.structs.replace(self.names.scene(remedy.scene), through=())
            if not scene.missing and _searched(scene).outcome == "free":
                return remedy.text
        return ""


def _located(trace: Trace, side: Version) -> Trace:
    """The schedule with the lines of the functions that its steps stand in, as far as they are at hand."""
    known = side.program.names.functions
    steps = [
        msgspec.structs.replace(step, line=known[key].line) if not step.line and (key := step.key) in known else step
        for step in trace.steps
    ]
    return msgspec.structs.replace(trace, steps=tuple(steps))


def _numbered(scenes: Iterator[tuple[int, Scene]], wanted: int) -> Scene | None:
    return next((scene for number, scene in scenes if number == wanted), None)


def _run(
    finding: Finding, bad: Scene, other: Callable[[], Scene | None], all_new: Callable[[], bool]
) -> Verdict | None:
    """Run a scene, and where that gets stuck the other side's as well; None where that side has no such scene.

    all_new: asked where the other side has none of the tasks, whether it had no such code at all.
    """
    if bad.missing:
        return _undecided(finding, bad.missing, bad.doubt)
    patched = _stuck(bad)
    if patched.outcome != "stuck":
        return _unproven(finding, bad, patched)
    good = other()
    if good is None:
        return None
    if good.absent and all_new():
        return Verdict(finding, Outcome.CONFIRMED, patched.trace, patched.states, model=bad.spec)
    if good.missing:
        return _undecided(finding, good.missing, good.doubt)
    base = _searched(msgspec.structs.replace(good, through=()))
    if base.outcome in ("vacuous", "inconclusive") or not base.complete:
        reason = f"the other side is {base.outcome}: {base.reason or 'a limit was hit'}"
        return _undecided(finding, reason, Doubt.UNSETTLED, patched.states, bad.spec)
    if patched.knot is not None and patched.knot.key in base.keys:  # there may be another one behind it
        further = _stuck(bad, base.keys)
        if further.outcome != "stuck":
            return Verdict(finding, Outcome.PRE_EXISTING, patched.trace, patched.states, model=bad.spec)
        patched = further
    outcome = Outcome.FIXED if finding.gives else Outcome.CONFIRMED
    other_side = passing(good.model(), patched.trace) if patched.trace else None
    return Verdict(finding, outcome, patched.trace, patched.states, model=bad.spec, other=other_side)


def _stuck(scene: Scene, known: Collection[Key] = ()) -> SearchResult:
    """Whether a scene gets stuck as is claimed, in another knot than those that are known."""
    through = scene.through or None
    return check(scene.model(), LIMITS, through, known, always=True, several=scene.several, every=scene.every)


def _unproven(finding: Finding, scene: Scene, result: SearchResult) -> Verdict:
    if result.outcome != "free":
        doubt = Doubt.UNREACHED if result.outcome == "vacuous" else Doubt.UNSETTLED
        return _undecided(finding, result.reason or result.outcome, doubt, result.states, scene.spec)
    reason = result.reason or "the simulator finds no schedule that gets stuck"
    return Verdict(finding, Outcome.REFUTED, states=result.states, reason=reason, model=scene.spec)


def _undecided(finding: Finding, reason: str, doubt: Doubt | None, states: int = 0, model: str = "") -> Verdict:
    return Verdict(
        finding, Outcome.INCONCLUSIVE, states=states, reason=reason, model=model, doubts=(doubt,) if doubt else ()
    )


@lru_cache(8)
def _searched(scene: Scene) -> SearchResult:
    """What is found in a scene that should be free; a remedy often is what was there before."""
    return check(scene.model(), LIMITS, confirm=WHOLE)


def _function(verdict: Verdict) -> tuple[str, str]:
    return verdict.finding.at.file, verdict.finding.at.function


def _circle(verdict: Verdict) -> tuple[object, ...]:
    """The tasks of a proven deadlock and what each of them waits for, with rule and patch: the same from whichever end it was
    found. Empty where fewer than two things are waited for: such a deadlock has one end."""
    finding, knot = verdict.finding, verdict.trace.knot if verdict.trace else ()
    waits = frozenset((wait.task, wait.waits_for) for wait in knot)
    if verdict.outcome not in PROVEN or len({what for _, what in waits}) < 2:
        return ()
    return finding.rule, finding.patch, finding.gives, waits


def settle(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts as they are shown: the proven ones first; a rule that was wrong too often may only comment.

    What could not be settled is left out where something is proven of the same function, and a deadlock that was told
    already where both its ends are in one patch.
    """
    order = list(Outcome)
    out: list[Verdict] = []
    told = set[tuple[object, ...]]()
    proven = {_function(v) for v in verdicts if v.outcome in PROVEN}
    verdicts = [v for v in verdicts if v.outcome is not Outcome.INCONCLUSIVE or _function(v) not in proven]
    for verdict in sorted(verdicts, key=lambda v: (order.index(v.outcome), v.finding.patch, v.finding.at)):
        if (circle := _circle(verdict)) and circle in told:
            continue
        told.add(circle)
        if verdict.outcome is Outcome.CONFIRMED and not precision.may_nack(verdict.finding.rule):
            reason = f"{verdict.finding.rule} was right too seldom to be said aloud"
            doubts = (*verdict.doubts, Doubt.RULE)
            verdict = msgspec.structs.replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=reason, doubts=doubts)
        out.append(verdict)
    return out
