"""Finding + models of both sides -> verdict, with rules and models made for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import checking
import msgspec
import pytest

from reviewbot import precision
from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.models.reader import task_of
from reviewbot.precision import Measured
from reviewbot.replay import judge
from reviewbot.rule import Candidate, Diff, Remedy, Rule, Scene, Version
from reviewbot.score import COMMENT_ABOVE
from reviewbot.sim.check import SearchLimits
from reviewbot.sim.model import (
    Completion,
    Model,
    Mutex,
    choice,
    mutex_lock,
    mutex_unlock,
    reached,
    task,
    wait_for_completion,
)
from reviewbot.types import Finding, Outcome, Place, Verdict, Words

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "mill_3"


def lock_twice(twice: bool, other_twice: bool = False, places: bool = False) -> Model:
    """A task that takes a mutex, `twice` or not; another one with another mutex that does, or not."""
    first, second = Mutex("first"), Mutex("second")

    @task_of(checking.FILE if places else "", NAME)
    def mill_3() -> None:
        mutex_lock(first)
        if twice:  # noqa: SIM102 - known when the model is made, not a step of it
            if choice():
                mutex_lock(first)
                mutex_unlock(first)
        mutex_unlock(first)

    @task()
    def other() -> None:
        mutex_lock(second)
        if other_twice:  # noqa: SIM102
            if choice():
                mutex_lock(second)
                mutex_unlock(second)
        mutex_unlock(second)

    return Model("lock_twice", (mill_3, other), (f"{NAME}()",))


def says_nothing() -> Model:
    """A model in which what has to happen never does."""
    never = Completion("never")

    @task()
    def mill_3() -> None:
        if choice():
            wait_for_completion(never)
            reached("the end")

    return Model("says_nothing", (mill_3,), ("the end",))


STUCK, FREE = lock_twice(True), lock_twice(False)
Sides = Sequence[tuple[Model, Model]]
"""Per scene: the model of the guilty side, and of the other one."""


class Fake(Rule[None]):
    """Answers with the models it is given."""

    id = "fake"
    guarantee = "none"
    checked = "nothing"

    def __init__(self, diff: Diff, sides: Sides, remedies: Sequence[Remedy] = (), **scene: Sequence[str]) -> None:
        self.diff, self.sides, self.offers = diff, sides, remedies
        self.through = tuple(scene.get("through", ()))
        self.asked = 0

    def check(self, diff: Diff) -> Iterator[Candidate[None]]:
        return iter(())

    def scenes(self, candidate: Candidate[None], side: Version) -> Iterable[Scene]:
        buggy = self.diff.before if candidate.finding.gives else self.diff.after
        for bad, good in self.sides:
            yield Scene("given", built=bad if side is buggy else good, through=self.through)

    def remedies(self, candidate: Candidate[None], side: Version) -> Iterable[Remedy]:
        for offer in self.offers:
            self.asked += 1
            yield offer


@pytest.fixture(scope="module")
def diff() -> Iterator[Diff]:
    """A change of mill_3() in a small file."""
    with Tree.from_files({checking.FILE: checking.CODE.encode()}) as tree:
        change = tree.apply(fetch.parse(checking.mail(checking.innocent(3)).encode(), "a test"))
        yield Diff.of(change, *tree.sources(change))


def candidate(gives: bool = False, also: str = "") -> Candidate[None]:
    words = Words(claim="It hangs.", also=also)
    at = Place(checking.FILE, 13, NAME)
    return Candidate(Finding(rule="fake", at=at, message="it hangs", gives=gives, words=words), None)


def judged(diff: Diff, sides: Sides, *, gives: bool = False, **more: object) -> Verdict:
    rule = Fake(diff, sides, **more)  # type: ignore[arg-type]
    return judge.judge(rule, candidate(gives), diff)


def test_confirmed(diff: Diff) -> None:
    verdict = judged(diff, [(STUCK, FREE)])
    assert verdict.outcome is Outcome.CONFIRMED
    assert verdict.trace
    assert [step.task for step in verdict.trace.steps] == [f"{NAME}()"] * len(verdict.trace.steps)
    assert [wait.waits_for for wait in verdict.trace.knot] == ["first"]
    assert verdict.states > 1
    assert (verdict.also, verdict.remedy, verdict.reason) == (False, "", "")


def test_the_same_knot_on_both_sides_was_there_before(diff: Diff) -> None:
    verdict = judged(diff, [(STUCK, lock_twice(True))])
    assert verdict.outcome is Outcome.PRE_EXISTING
    assert verdict.trace


@pytest.mark.parametrize(("base", "new"), [(lock_twice(False, True), "first"), (lock_twice(True, False), "second")])
def test_another_knot_than_the_one_that_was_there_is_new(diff: Diff, base: Model, new: str) -> None:
    verdict = judged(diff, [(lock_twice(True, True), base)])
    assert verdict.outcome is Outcome.CONFIRMED
    assert verdict.trace
    assert [wait.waits_for for wait in verdict.trace.knot] == [new]


def test_what_gives_is_a_fix(diff: Diff) -> None:
    assert judged(diff, [(STUCK, FREE)], gives=True).outcome is Outcome.FIXED
    assert judged(diff, [(FREE, STUCK)], gives=True).outcome is Outcome.REFUTED
    assert judged(diff, [(STUCK, STUCK)], gives=True).outcome is Outcome.PRE_EXISTING


def test_refuted(diff: Diff) -> None:
    verdict = judged(diff, [(FREE, FREE)])
    assert (verdict.outcome, verdict.trace) == (Outcome.REFUTED, None)
    assert verdict.reason == "the simulator finds no schedule that gets stuck"
    assert judged(diff, [(FREE, STUCK)]).outcome is Outcome.REFUTED


def test_a_vacuous_model_proves_nothing_on_either_side(diff: Diff) -> None:
    for sides in ((says_nothing(), FREE), (says_nothing(), STUCK)):
        verdict = judged(diff, [sides])
        assert (verdict.outcome, verdict.trace) == (Outcome.INCONCLUSIVE, None)
        assert verdict.reason == "never reached: the end"
        assert verdict.score.value <= COMMENT_ABOVE
    verdict = judged(diff, [(STUCK, says_nothing())])
    assert (verdict.outcome, verdict.trace) == (Outcome.INCONCLUSIVE, None)
    assert verdict.reason == "the other side is vacuous: never reached: the end"


def test_no_model(diff: Diff) -> None:
    verdict = judged(diff, [])
    assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, "there is no model of it")


def test_a_limit(diff: Diff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "LIMITS", SearchLimits(states=3))
    for sides in ((FREE, FREE), (STUCK, lock_twice(True, True))):
        verdict = judged(diff, [sides])
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.reason


def test_a_deadlock_somewhere_else_is_not_the_one(diff: Diff) -> None:
    assert judged(diff, [(STUCK, FREE)], through=["first"]).outcome is Outcome.CONFIRMED
    verdict = judged(diff, [(STUCK, FREE)], through=["second"])
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason.startswith("stuck, but not through second: ")


@pytest.mark.parametrize(
    ("scenes", "outcome"),
    [
        ([(FREE, FREE), (STUCK, FREE)], Outcome.CONFIRMED),
        ([(STUCK, STUCK), (STUCK, FREE)], Outcome.CONFIRMED),
        ([(says_nothing(), FREE), (FREE, FREE)], Outcome.INCONCLUSIVE),
        ([(FREE, FREE), (says_nothing(), FREE)], Outcome.INCONCLUSIVE),
        ([(STUCK, STUCK), (FREE, FREE)], Outcome.PRE_EXISTING),
        ([(FREE, FREE), (FREE, FREE)], Outcome.REFUTED),
    ],
)
def test_of_several_scenes_the_proven_one_counts_then_a_doubt(diff: Diff, scenes: Sides, outcome: Outcome) -> None:
    assert judged(diff, scenes).outcome is outcome


def test_scenes_after_the_proven_one_are_not_run(diff: Diff, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    real = judge.check
    monkeypatch.setattr(judge, "check", lambda model, *a, **k: (ran.append(model.name), real(model, *a, **k))[1])
    judged(diff, [(STUCK, FREE), (says_nothing(), says_nothing())])
    assert set(ran) == {"lock_twice"}


def test_the_other_side_is_modelled_only_where_the_guilty_one_gets_stuck(diff: Diff) -> None:
    made: list[int] = []

    class Counting(Fake):
        def scenes(self, candidate: Candidate[None], side: Version) -> Iterable[Scene]:
            for number, scene in enumerate(super().scenes(candidate, side)):
                if side is diff.before:
                    made.append(number)
                yield scene

    assert judge.judge(Counting(diff, [(FREE, FREE)] * 2), candidate(), diff).outcome is Outcome.REFUTED
    assert made == []
    assert judge.judge(Counting(diff, [(STUCK, STUCK), (STUCK, FREE)]), candidate(), diff).outcome is Outcome.CONFIRMED
    assert made == [0, 1]


def test_also_is_said_only_when_the_next_scene_is_proven_too(diff: Diff) -> None:
    def also(second: tuple[Model, Model], text: str = "Reads get stuck, too.") -> bool:
        return judge.judge(Fake(diff, [(STUCK, FREE), second]), candidate(also=text), diff).also

    assert also((STUCK, FREE))
    assert not also((FREE, FREE))
    assert not also((STUCK, STUCK))
    assert not also((STUCK, FREE), text="")
    assert not judge.judge(Fake(diff, [(STUCK, FREE)]), candidate(also="x"), diff).also


def test_the_first_remedy_that_the_simulator_confirms(diff: Diff) -> None:
    def offer(text: str, model: Model) -> Remedy:
        return Remedy(text, Scene("given", built=model))

    bad, good = offer("Take it twice.", lock_twice(True, True)), offer("Take it once.", FREE)
    doubtful = offer("Do nothing.", says_nothing())
    assert judged(diff, [(STUCK, FREE)], remedies=[bad, doubtful, good]).remedy == "Take it once."
    assert judged(diff, [(STUCK, FREE)], remedies=[bad, doubtful]).remedy == ""
    kept = Remedy("Keep it.", good.scene, "system_wq", "WQ_MEM_RECLAIM")
    assert judged(diff, [(STUCK, FREE)], remedies=[kept, good]).remedy == "Take it once."
    for sides in ([(STUCK, STUCK)], [(FREE, FREE)], []):
        rule = Fake(diff, sides, [good])
        assert (judge.judge(rule, candidate(), diff).remedy, rule.asked) == ("", 0)
    rule = Fake(diff, [(STUCK, FREE)], [good])
    assert (judge.judge(rule, candidate(gives=True), diff).remedy, rule.asked) == ("", 0)


def test_steps_get_the_line_of_their_function(diff: Diff) -> None:
    verdict = judged(diff, [(lock_twice(True, places=True), lock_twice(False, places=True))])
    assert verdict.trace
    [line] = {step.line for step in verdict.trace.steps if step.file}
    assert checking.CODE.splitlines()[line - 1] == "static int mill_3(void)"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, Measured]], None]:
    def set_(table: Mapping[str, Measured]) -> None:
        monkeypatch.setattr(precision, "load", lambda: table)

    return set_


def elsewhere(verdict: Verdict, outcome: Outcome) -> Verdict:
    """The verdict with another outcome, on a function of its own."""
    at = msgspec.structs.replace(verdict.finding.at, function=f"mill_{outcome}")
    return msgspec.structs.replace(verdict, outcome=outcome, finding=msgspec.structs.replace(verdict.finding, at=at))


def test_what_is_not_settled_is_left_out_beside_what_is_proven(
    diff: Diff, measured: Callable[[Mapping[str, Measured]], None]
) -> None:
    measured({})
    one = judged(diff, [(STUCK, FREE)])
    doubt = msgspec.structs.replace(one, outcome=Outcome.INCONCLUSIVE)
    assert judge.settle([doubt, one]) == [one]
    assert judge.settle([doubt]) == [doubt]


def test_settled_the_proven_come_first(diff: Diff, measured: Callable[[Mapping[str, Measured]], None]) -> None:
    measured({})
    one = judged(diff, [(STUCK, FREE)])
    verdicts = [elsewhere(one, outcome) for outcome in reversed(Outcome)]
    assert [v.outcome for v in judge.settle(verdicts)] == list(Outcome)
    late = msgspec.structs.replace(one, finding=msgspec.structs.replace(one.finding, patch=2))
    assert judge.settle([late, one]) == [one, late]


@pytest.mark.parametrize(
    ("figures", "outcome"),
    [
        (Measured(right=9, wrong=1), Outcome.CONFIRMED),
        (Measured(right=8, wrong=2), Outcome.INCONCLUSIVE),
        (Measured(right=0, wrong=0), Outcome.CONFIRMED),
        (Measured(right=0, wrong=9), Outcome.CONFIRMED),
        (Measured(right=0, wrong=10), Outcome.INCONCLUSIVE),
    ],
)
def test_a_rule_that_was_wrong_too_often_may_only_comment(
    diff: Diff, measured: Callable[[Mapping[str, Measured]], None], figures: Measured, outcome: Outcome
) -> None:
    measured({"fake": figures})
    [verdict] = judge.settle([judged(diff, [(STUCK, FREE)])])
    assert verdict.outcome is outcome
    assert verdict.trace
    if outcome is Outcome.INCONCLUSIVE:
        assert verdict.reason == "fake was right too seldom to be said aloud"
    [fixed] = judge.settle([judged(diff, [(STUCK, FREE)], gives=True)])
    assert fixed.outcome is Outcome.FIXED
