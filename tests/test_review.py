"""The flow: what is in scope, what the verdicts add up to, a rule that crashes, what is kept for `explain`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import sleep
from typing import Any, ClassVar

import checking
import msgspec
import pytest
from checking import CODE, FILE, diff, innocent, mail

from reviewbot import review, rules
from reviewbot.analysis.program import programs
from reviewbot.mail import fetch
from reviewbot.rule import Candidate, Diff, Rule, Scene, Version, Workqueue
from reviewbot.types import (
    Address,
    Change,
    Cut,
    Decision,
    FileChange,
    Finding,
    Outcome,
    Place,
    Review,
    ReviewError,
    Unreviewed,
    Verdict,
    Words,
)


class Silent(Rule[None]):
    """Finds nothing."""

    id = "silent"
    guarantee = "none"
    checked = "nothing at all"

    def check(self, diff: Diff) -> Iterator[Candidate[None]]:
        return iter(())

    def scenes(self, candidate: Candidate[None], side: Version) -> Iterable[Scene]:
        return ()


class Unsure(Silent):
    """Suspects what a patch changes, and has no model."""

    id = "unsure"
    checked = "every line"

    def check(self, diff: Diff) -> Iterator[Candidate[None]]:
        if not diff.reverse:
            yield from self.candidate(
                diff, None, "a line changes", Words(claim="A line changes."), after=[Place(FILE, 13)]
            )


class OfQueues(Silent):
    """Looks at workqueues alone."""

    id = "of-queues"
    checked = "every queue"
    needs = (Workqueue,)


class CrashesLate(Silent):
    """Fails after its first finding."""

    id = "crashes-late"
    checked = "half"

    def check(self, diff: Diff) -> Iterator[Candidate[None]]:
        yield from self.candidate(diff, None, "a line changes", Words(claim="A line changes."), after=[Place(FILE, 13)])
        raise ZeroDivisionError("no more")


class CrashesInItsModel(Unsure):
    id = "crashes-in-its-model"

    def scenes(self, candidate: Candidate[None], side: Version) -> Iterable[Scene]:
        raise KeyError("pool")


Set = Callable[..., None]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Set:
    """Let only these rules exist."""

    def set_(*kinds: type[Rule[Any]]) -> None:
        monkeypatch.setattr(rules, "find", lambda: rules.Loaded(tuple(kind() for kind in kinds), ()))

    return set_


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checking.repository(tmp_path_factory.mktemp("tree") / "t", {FILE: CODE, "notes.txt": "a\n"})


def reviewed(tree: Path, patch: str = "", **options: object) -> Review:
    series = fetch.parse(mail(patch or innocent()).encode(), "a test")
    return review.review(series, review.Options(tree=str(tree), **options), fetched=2.5)  # type: ignore[arg-type]


def test_nothing_found_is_an_ack_that_says_what_was_checked(tree: Path, only: Set) -> None:
    only(Silent)
    result = reviewed(tree)
    assert (result.decision, result.checked, result.notes) == (Decision.ACK, ("nothing at all",), ())
    assert result.change
    assert [f.path for f in result.change.files] == [FILE]
    [reply] = result.replies
    assert "Checked: nothing at all" in reply.body


def test_a_rule_with_nothing_to_look_at_is_not_said_to_have_checked(tree: Path, only: Set) -> None:
    only(OfQueues)
    result = reviewed(tree)
    assert (result.decision, result.checked) == (Decision.ACK, ())
    assert "Checked:" not in result.replies[0].body


def test_a_doubt_is_a_comment_without_a_mail(tree: Path, only: Set) -> None:
    only(Silent, Unsure)
    result = reviewed(tree)
    assert (result.decision, result.replies) == (Decision.COMMENT, ())
    [verdict] = result.verdicts
    assert (verdict.outcome, verdict.finding.rule) == (Outcome.INCONCLUSIVE, "unsure")


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        (CrashesLate, "rule crashes-late failed: ZeroDivisionError: no more"),
        (CrashesInItsModel, "rule crashes-in-its-model failed: KeyError: 'pool'"),
    ],
)
def test_a_rule_that_crashes_is_a_note_and_no_ack(
    kind: type[Rule[Any]], note: str, tree: Path, only: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(Silent, kind)
    result = reviewed(tree)
    assert result.notes == (note,)
    assert result.checked == ("nothing at all",)
    assert (result.decision, result.replies) == (Decision.COMMENT, ())
    assert not [v for v in result.verdicts if v.finding.rule == kind.id]
    monkeypatch.setenv("REVIEWBOT_DEBUG", "1")
    with pytest.raises((ZeroDivisionError, KeyError)):
        reviewed(tree)


class Asks(Silent):
    """Tells what is made already when it is asked."""

    id = "asks"
    made: ClassVar[list[set[str]]] = []

    def check(self, diff: Diff) -> Iterator[Candidate[None]]:
        if not diff.reverse:
            self.made += [set(diff.__dict__), set(diff.before.__dict__), set(diff.after.__dict__)]
        return iter(())


def test_both_programs_are_built_before_the_first_rule_is_asked(tree: Path, only: Set) -> None:
    Asks.made.clear()
    only(Asks)
    reviewed(tree)
    change, before, after = Asks.made
    assert {"added", "removed", "touched"} <= change
    assert {"program", "facts"} <= before & after


def test_a_program_that_cannot_be_built_is_one_note_and_a_comment(
    tree: Path, only: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no more")

    only(Silent, Unsure)
    monkeypatch.setattr(programs, "around", broken)
    result = reviewed(tree)
    assert result.notes == ("the code of the change could not be analysed: ZeroDivisionError: no more",)
    assert (result.decision, result.replies, result.verdicts, result.checked) == (Decision.COMMENT, (), (), ())
    assert [(fault.rule, fault.type) for fault in result.faults] == [("", "ZeroDivisionError")]
    assert {"facts", "total"} <= dict(result.timing).keys()
    monkeypatch.setenv("REVIEWBOT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        reviewed(tree)


@pytest.mark.parametrize("where", ["around", "facts"])
def test_no_memory_is_no_fault_of_a_stage(where: str, tree: Path, only: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(Silent):
        id = "full"

        def check(self, diff: Diff) -> Iterator[Candidate[None]]:
            raise MemoryError

    def full(*_: object) -> None:
        raise MemoryError

    only(Full)
    if where == "around":
        monkeypatch.setattr(programs, "around", full)
    with pytest.raises(MemoryError):
        reviewed(tree)


class Cuts(Silent):
    """Does not look at all."""

    id = "cuts"

    def check(self, diff: Diff) -> Iterator[Candidate[None]]:
        for name in "abcde":
            diff.cuts[Cut("ways into a function", 6, f"{FILE}:{name}")] = None
        diff.cuts[Cut("circles of a change", 12)] = None
        return iter(())


def test_a_search_that_was_cut_is_a_note_and_changes_no_verdict(tree: Path, only: Set) -> None:
    only(Cuts)
    result = reviewed(tree)
    assert result.decision is Decision.ACK
    assert result.notes == (
        "not all looked at: at most 6 ways into a function (a(), b(), c() and 2 more)",
        "not all looked at: at most 12 circles of a change",
    )


def test_the_others_findings_stand_when_a_rule_crashes(tree: Path, only: Set) -> None:
    only(CrashesLate, Unsure)
    assert [v.finding.rule for v in reviewed(tree).verdicts] == ["unsure"]


def test_only_the_rules_asked_for(tree: Path, only: Set) -> None:
    only(Silent, Unsure)
    result = reviewed(tree, rules=("silent",))
    assert (result.decision, result.checked) == (Decision.ACK, ("nothing at all",))


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        (diff("a\n", "b\n", "notes.txt"), "out of scope: the series changes no C code (notes.txt)"),
        (diff("x\n", "y\n", FILE), "does not apply"),
    ],
)
def test_unreviewed(patch: str, reason: str, tree: Path, only: Set) -> None:
    only(Silent)
    result = reviewed(tree, patch)
    assert result.decision is Decision.UNREVIEWED
    assert result.reason.startswith(reason)
    assert (result.replies, result.verdicts, result.change) == ((), (), None)
    assert dict(result.timing).keys() == {"fetch", "apply", "total"}


def test_a_patch_that_belongs_to_the_base(tree: Path, only: Set) -> None:
    only(Unsure)
    later = CODE.replace("return 3;", "return 3 + 0;")
    patch = diff(later, later.replace("return 3 + 0;", "return 3 + 1;"))
    assert reviewed(tree, patch).decision is Decision.UNREVIEWED
    result = reviewed(tree, patch, first=(innocent(3).encode(),))
    assert result.decision is Decision.COMMENT
    assert result.change
    [changed] = result.change.files
    assert [line.text for h in changed.hunks for line in h.lines if line.sign == "-"] == ["\treturn 3 + 0;"]


def test_flagged_paths_are_notes(tree: Path, only: Set) -> None:
    only(Silent)
    script = "diff --git a/scripts/x.sh b/scripts/x.sh\nnew file mode 100755\n--- /dev/null\n+++ b/scripts/x.sh\n"
    result = reviewed(tree, innocent() + script + "@@ -0,0 +1 @@\n+true\n")
    assert result.notes == ("the series touches scripts/x.sh",)


def test_times(tree: Path, only: Set) -> None:
    only(Unsure)
    timing = dict(reviewed(tree).timing)
    assert timing["fetch"] == 2.5
    assert {"apply", "facts", "rules", "simulate", "reply", "total"} <= timing.keys()
    assert timing["total"] >= sum(seconds for stage, seconds in timing.items() if stage != "total") * 0.99


def test_the_sender(tree: Path, only: Set) -> None:
    only(Silent)
    checking.git(tree, "config", "user.name", "Ann")
    checking.git(tree, "config", "user.email", "ann@example.org")
    [reply] = reviewed(tree).replies
    assert reply.header("From") == "Ann <ann@example.org>"
    [reply] = reviewed(tree, sender=Address("Zed", "zed@example.org")).replies
    assert reply.header("From") == "Zed <zed@example.org>"


# --- what verdicts add up to -----------------------------------------------------------------------------------------

FINDING = Finding(rule="x", at=Place(FILE, 1), message="it hangs")


@pytest.mark.parametrize("outcomes", [c for n in range(4) for c in itertools.combinations(Outcome, n)])
def test_decide(outcomes: tuple[Outcome, ...]) -> None:
    got = review.decide([Verdict(FINDING, outcome) for outcome in outcomes])
    if Outcome.CONFIRMED in outcomes:
        assert got is Decision.NACK
    elif Outcome.INCONCLUSIVE in outcomes:
        assert got is Decision.COMMENT
    else:
        assert got is Decision.ACK


@pytest.mark.parametrize(
    ("outcomes", "decision"),
    [((), Decision.COMMENT), ((Outcome.CONFIRMED,), Decision.NACK), ((Outcome.FIXED,), Decision.COMMENT)],
)
def test_a_failed_rule_takes_back_an_ack_and_nothing_else(outcomes: tuple[Outcome, ...], decision: Decision) -> None:
    verdicts = tuple(Verdict(FINDING, outcome) for outcome in outcomes)
    assert review.Examined(verdicts, (), (), (), (), failed=("x",)).decision is decision


@pytest.mark.parametrize(
    ("paths", "fine"),
    [(["a.c"], True), (["a.h"], True), (["a.txt", "b/c.c"], True), (["a.S", "Makefile"], False), ([], False)],
)
def test_in_scope(paths: list[str], fine: bool) -> None:
    change = Change(base="", how="given", files=tuple(FileChange(path) for path in paths))
    if fine:
        review.in_scope(change)
    else:
        with pytest.raises(Unreviewed, match="out of scope: the series changes no C code"):
            review.in_scope(change)


def test_a_binary_file_is_in_scope_by_its_name() -> None:
    review.in_scope(Change(base="", how="given", files=(FileChange("a.c", binary=True),)))  # told to be unread
    with pytest.raises(Unreviewed, match=r"\(a\.bin\)"):
        review.in_scope(Change(base="", how="given", files=(FileChange("a.bin", binary=True),)))


# --- addresses, and what could not be fetched ------------------------------------------------------------------------


def test_addresses() -> None:
    assert review.address("") is None
    assert review.address("Ann B <ann@example.org>") == Address("Ann B", "ann@example.org")
    assert review.address("ann@example.org") == Address("", "ann@example.org")
    for wrong in ("Ann", "a@b@c", "<>", "Ann <ann>", "a b@c.example"):
        with pytest.raises(ReviewError, match="no mail address"):
            review.address(wrong)


def test_unfetched() -> None:
    result = review.unfetched("<a@b.example>", Unreviewed("not known"))
    assert (result.decision, result.reason) == (Decision.UNREVIEWED, "not known")
    assert result.series.lead.message_id == "a@b.example"
    assert msgspec.json.decode(msgspec.json.encode(result), type=Review) == result


# --- what is kept for explain ----------------------------------------------------------------------------------------


@pytest.fixture
def nacked(tmp_path: Path) -> tuple[Review, review.Options]:
    case = checking.case("wq-mem-reclaim/lost-flag")
    options = review.Options(tree=str(checking.case_repository(tmp_path / "tree", case)), rules=("wq-mem-reclaim",))
    return review.review(fetch.parse(case.patch.encode(), case.name), options), options


def test_a_schedule_is_kept_by_the_id_that_the_draft_names(
    nacked: tuple[Review, review.Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, options = nacked
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert result.decision is Decision.NACK
    assert result.change
    review.remember(result, options)
    [kept] = review.runs_folder().iterdir()
    assert f"reviewbot explain {kept.stem}\n" in result.replies[0].body
    run = json.loads(kept.read_bytes())
    assert {"id", "verdict", "tree", "base"} <= run.keys()
    assert (run["id"], run["base"], run["tree"]) == (kept.stem, result.change.base, options.tree)
    assert msgspec.convert(run["verdict"], Verdict) == result.verdicts[0]


def test_a_state_folder_that_cannot_be_written_does_not_spoil_a_review(
    nacked: tuple[Review, review.Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("a file")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    review.remember(*nacked)
    assert (tmp_path / "state").read_text() == "a file"


def test_the_same_review_twice_is_the_same_to_the_byte(nacked: tuple[Review, review.Options], tmp_path: Path) -> None:
    result, options = nacked
    again = review.review(result.series, options)
    still = {"timing": ()}
    assert msgspec.structs.replace(again, **still) == msgspec.structs.replace(result, **still)


def test_clock() -> None:
    clock = review.Clock(fetch=1.0)
    with clock("apply"):
        sleep(0.01)
    with pytest.raises(ValueError, match="x"), clock("apply"):
        raise ValueError("x")
    clock.add("apply", 1.0)
    stages = dict(clock.read())
    assert stages["fetch"] == 1.0
    assert stages["apply"] > 1.009
    assert stages["total"] >= 1.0
    assert "total" not in dict(clock.read(total=False))
