"""What a rule sees of a change: its lines, forwards and backwards, and which patch of a series wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from itertools import pairwise

import pytest
from checking import CODE, FILE, diff, mail
from hypothesis import given
from hypothesis import strategies as st

from reviewbot import review, rules
from reviewbot.gittree.source import MemorySource
from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.rule import Candidate, Diff, Finding, Lock, Place, Rule, Scene, Side, Version, Words, replace
from reviewbot.types import Change, Decision, FileChange, Hunk, Line, Series

LOCKED = """\
#include <linux/mutex.h>

struct mill {
	struct mutex lock;
	struct mutex gate;
	int turns;
};

void mill_turn(struct mill *m)
{
	mutex_lock(&m->lock);
	m->turns++;
	mutex_unlock(&m->lock);
}

void mill_stop(struct mill *m)
{
	mutex_lock(&m->lock);
	m->turns = 0;
	mutex_unlock(&m->lock);
}
"""


def series(*texts: str) -> Series:
    """Patches that lead from each text of FILE to the next one."""
    steps = list(pairwise(texts))
    mails = [
        mail(diff(old, new), id=f"p{n}", subject=f"[PATCH {n}/{len(steps)}] dm mill: turn")
        for n, (old, new) in enumerate(steps, 1)
    ]
    return fetch.parse("".join(f"From mboxrd@z Thu Jan  1 00:00:00 1970\n{m}\n" for m in mails).encode(), "a test")


@contextmanager
def changed(*texts: str) -> Iterator[Diff]:
    """The change from the first text of FILE to the last one, a patch for each step."""
    with Tree.from_files({FILE: texts[0].encode(), "include/other.h": b"struct other;\n"}) as tree:
        change = tree.apply(series(*texts))
        yield Diff.of(change, *tree.sources(change))


def at(text: str, snippet: str, nth: int = 0) -> Place:
    """The line of FILE that has a snippet."""
    return Place(FILE, [n for n, line in enumerate(text.splitlines(), 1) if snippet in line][nth])


MORE = LOCKED.replace("\tm->turns++;\n", "\tmutex_lock(&m->gate);\n\tm->turns++;\n\tmutex_unlock(&m->gate);\n")


def test_facts_that_are_new_and_gone() -> None:
    with changed(LOCKED, MORE) as change:
        assert [fact.lock for fact in change.added[Lock]] == ["mill.gate"]
        assert change.removed[Lock] == ()
        back = change.reversed()
        assert [fact.lock for fact in back.removed[Lock]] == ["mill.gate"]
        assert back.added[Lock] == ()
        assert (back.before, back.after) == (change.after, change.before)
        assert back.reversed().reverse is False


def test_changed_lines_of_both_sides() -> None:
    other = LOCKED.replace("m->turns++", "m->turns += 2")
    with changed(LOCKED, other) as change:
        place = at(other, "+= 2")
        assert change.changed(place, Side.AFTER)
        assert change.changed(place, Side.BEFORE)
        assert not change.changed(at(other, "turns = 0"), Side.AFTER)
        assert not change.changed(Place("include/other.h", place.line), Side.AFTER)
        back = change.reversed()
        assert back.changed(at(LOCKED, "turns++"), Side.AFTER)


def test_an_anchor_is_a_line_of_the_patch() -> None:
    with changed(LOCKED, MORE) as change:
        gate, turns, stop = (at(MORE, text) for text in ("lock(&m->gate)", "turns++", "turns = 0"))
        assert change.anchor([gate]) == (gate, Side.AFTER)
        assert change.anchor([turns, gate]) == (gate, Side.AFTER)  # one of the patch before one that is only near
        assert change.anchor([turns]) == (gate, Side.AFTER)  # the nearest one
        nearest = change.anchor([stop])
        assert nearest == (at(MORE, "unlock(&m->gate)"), Side.AFTER)
        assert change.anchor([Place("include/other.h", 1)]) is None
        assert change.anchor([]) is None
        back = change.reversed()
        assert back.anchor([], [gate]) == (gate, Side.BEFORE)
        assert back.anchor([at(LOCKED, "turns++")]) is None  # backwards nothing is added
        assert back.anchor([at(LOCKED, "turns++")], [gate]) == (gate, Side.BEFORE)


class Locks(Rule[Lock]):
    """Reports every lock that comes."""

    id = "locks"
    guarantee = "none"
    checked = "locks"

    def check(self, diff: Diff) -> Iterator[Candidate[Lock]]:
        for lock in diff.added[Lock]:
            for _ in range(2):  # told twice is told once
                yield from self.candidate(
                    diff,
                    lock,
                    f"takes {lock.lock}",
                    Words(claim="It locks."),
                    [lock.at],
                    object=lock.lock,
                    facts=[lock],
                )

    def scenes(self, candidate: Candidate[Lock], side: Version) -> Iterable[Scene]:
        return ()


def told(change: Diff) -> list[tuple[Finding, Lock]]:
    """What the rule says of a change, with what it knows of it."""
    return [(c.finding, c.about) for c in Locks().candidates(change)]


def test_findings_forwards_and_backwards() -> None:
    with changed(LOCKED, MORE) as change:
        [(found, _)] = told(change)
        assert (found.gives, found.side, found.patch, found.object) == (False, Side.AFTER, 1, "mill.gate")
        assert (found.at.file, found.at.line) == (FILE, at(MORE, "lock(&m->gate)").line)
        assert found.facts == (f"{found.at}: mill_turn: acquire mutex mill.gate (mutex_lock) holding mill.lock",)
    with changed(MORE, LOCKED) as change:
        [(found, _)] = told(change)
        assert (found.gives, found.side, found.patch) == (True, Side.BEFORE, 1)
        assert found.at.line == at(MORE, "lock(&m->gate)").line


def test_a_finding_in_a_file_that_the_patch_does_not_touch_is_none() -> None:
    with changed(LOCKED, MORE) as change:
        assert [
            *Locks().candidate(change, change.added[Lock][0], "x", Words(claim="x"), [Place("include/other.h", 1)])
        ] == []


# --- series ----------------------------------------------------------------------------------------------------------

HEADERS = LOCKED.replace("#include <linux/mutex.h>\n", "#include <linux/mutex.h>\n#include <linux/slab.h>\n")
STOP = MORE.replace("\tm->turns = 0;\n", "\tmutex_lock(&m->gate);\n\tm->turns = 0;\n\tmutex_unlock(&m->gate);\n")


def test_the_patch_of_a_line_not_of_its_text() -> None:
    with changed(LOCKED, MORE, STOP) as change:  # both patches add the same text
        assert [change.patch_of(at(STOP, "lock(&m->gate)", n), Side.AFTER) for n in (0, 2)] == [1, 2]
        assert [found.patch for found, _ in told(change)] == [1, 2]
    with changed(STOP, MORE, LOCKED) as change:
        assert [change.patch_of(at(STOP, "lock(&m->gate)", n), Side.BEFORE) for n in (0, 2)] == [2, 1]
        assert [change.reversed().patch_of(at(STOP, "lock(&m->gate)", n), Side.AFTER) for n in (0, 2)] == [2, 1]


def test_a_later_patch_moves_the_line() -> None:
    above = MORE.replace("#include <linux/mutex.h>\n", "#include <linux/mutex.h>\n#include <linux/slab.h>\n")
    with changed(LOCKED, MORE, above) as change:
        [(found, _)] = told(change)
        assert found.patch == 1
        assert found.at.line == at(above, "lock(&m->gate)").line
        number, place = change.change.origin(found.at, found.side)
        assert (number, place.line) == (1, at(MORE, "lock(&m->gate)").line)


def test_what_a_later_patch_repairs_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "find", lambda: rules.Loaded((Locks(),), ()))
    with changed(LOCKED, MORE, LOCKED + "\n/* The end. */\n") as change:
        assert told(change) == []
        examined = review.examine(change.change, change.before.source, change.after.source)
        assert (examined.verdicts, examined.decision) == ((), Decision.ACK)


IDS = st.lists(st.integers(0, 30), unique=True, max_size=12)


def as_change(versions: list[list[int]]) -> Change:
    """The change that leads through these versions of a file whose lines are numbers."""
    return Change("", "given", (), tuple((file_change(a, b),) for a, b in pairwise(versions)))


def file_change(old: list[int], new: list[int]) -> FileChange:
    """Each stretch of different lines is a hunk without context."""
    hunks = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            gone = [Line("-", str(old[n]), n + 1, 0) for n in range(i, j)]
            hunks.append(Hunk((*gone, *(Line("+", str(new[n]), 0, n + 1) for n in range(k, m)))))
    return FileChange("f.c", "f.c", hunks=tuple(hunks))


@given(st.lists(IDS, min_size=2, max_size=5))
def test_origin_of_every_line(versions: list[list[int]]) -> None:
    change = as_change(versions)

    def follow(states: list[list[int]], side: Side, number_of: list[int]) -> None:
        end = states[-1]
        for line, text in enumerate(end, 1):
            number, place = change.origin(Place("f.c", line), side)
            for step in range(len(states) - 1, 0, -1):
                rows = [row for h in change.patches[number_of[step] - 1][0].hunks for row in h.lines]
                sign = "+" if side is Side.AFTER else "-"
                if any(row.sign == sign and row.text == str(text) for row in rows):
                    assert (number, states[step][place.line - 1]) == (number_of[step], text)
                    break
            else:  # it is in all versions
                assert number == 1
                assert states[0][place.line - 1] == text

    follow(versions, Side.AFTER, [0, *range(1, len(versions))])
    follow(versions[::-1], Side.BEFORE, [0, *range(len(versions) - 1, 0, -1)])


def test_origin_through_a_new_name() -> None:
    first = FileChange("b.c", "a.c", hunks=(Hunk((Line("+", "new", 0, 2),)),))
    second = FileChange("b.c", "b.c", hunks=(Hunk((Line("+", "top", 0, 1),)),))
    change = Change("", "given", (), ((first,), (second,)))
    assert change.origin(Place("b.c", 3, "f"), Side.AFTER) == (1, Place("b.c", 2, "f"))
    assert change.origin(Place("b.c", 1), Side.AFTER) == (2, Place("b.c", 1))
    assert change.origin(Place("b.c", 4), Side.AFTER) == (1, Place("a.c", 2))
    assert change.origin(Place("z.c", 4), Side.AFTER) == (1, Place("z.c", 4))


# --- the rest --------------------------------------------------------------------------------------------------------


def test_a_side_without_the_touched_files_has_no_facts() -> None:
    source = MemorySource({"drivers/md/mill.c": b"void mill(struct lock *l) { mutex_lock(l); }\n"})
    assert Version(source, ["drivers/md/mill.c"]).facts
    assert not Version(source, ["drivers/md/new.c"]).facts


def test_workqueues_and_their_rescuers() -> None:
    made = """\
#include <linux/workqueue.h>
struct mill { struct workqueue_struct *with; struct workqueue_struct *without; struct workqueue_struct *both; };
int mill_start(struct mill *m)
{
	m->with = alloc_workqueue("with", WQ_MEM_RECLAIM, 0);
	m->without = alloc_workqueue("without", WQ_UNBOUND, 0);
	m->both = alloc_workqueue("both", WQ_MEM_RECLAIM, 0);
	return 0;
}
int mill_again(struct mill *m)
{
	m->both = alloc_workqueue("both", 0, 0);
	return 0;
}
"""
    with changed(CODE, made) as change:
        side = change.after
        assert {short: side.rescuer(f"mill.{short}") for short in ("with", "without", "both", "none")} == {
            "with": True,
            "without": False,
            "both": False,
            "none": None,
        }
        assert change.before.rescuer("mill.with") is None
        assert side.rescuer("system_wq") is False


def test_scenes_by_name() -> None:
    scene = Scene.of("recursive_lock", dropped=False, lock="&m->lock", through=["&m->lock"])
    assert scene.spec == "recursive_lock dropped=no 'lock=&m->lock'"
    assert scene.model().name == "recursive_lock"
    assert scene.through == ("&m->lock",)
    assert Scene("none", missing="not known").spec == ""


def test_replace() -> None:
    found = Finding(rule="x", at=Place(FILE, 1), message="it hangs")
    assert replace(found, patch=2) == Finding(rule="x", at=Place(FILE, 1), message="it hangs", patch=2)


def test_all_that_a_rule_may_import_is_there() -> None:
    import reviewbot.rule

    assert [name for name in reviewbot.rule.__all__ if not hasattr(reviewbot.rule, name)] == []
