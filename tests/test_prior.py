"""Prerequisites as b4 and git name them: found beside the series or in an archive, applied first, or named as missing."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import checking
import pytest
from checking import CODE, FILE, diff, innocent, mail

from reviewbot import review
from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.mail import prerequisites as prior
from reviewbot.mail.prerequisites import Find, gather
from reviewbot.types import Decision, Prerequisite, Review, ReviewError, Series

TURNED = CODE.replace("return 3;", "return 3 + 0;")
FIRST = mail(innocent(3), id="first", subject="[PATCH] dm mill: first", text="x\n\nchange-id: mill-first\n")


def later(*said: str, **header: str) -> str:
    """A patch that goes on where FIRST ends, and says so."""
    words = {"id": "later", "subject": "[PATCH] dm mill: later", "text": "\n".join(("It turns.", "", *said))}
    return mail(diff(TURNED, TURNED.replace("return 3 + 0;", "return 3 + 1;")), **(words | header))


def series(text: str) -> Series:
    return fetch.parse(text.encode(), "a test")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checking.repository(tmp_path_factory.mktemp("prior") / "t", {FILE: CODE})


def patch_id(text: str) -> str:
    """What git says."""
    done = subprocess.run(["git", "patch-id", "--stable"], input=text.encode(), capture_output=True, check=True)
    return done.stdout.decode().split()[0]


def reviewed(tree: Path, text: str, find: Find | None) -> Review:
    return review.review(series(text), review.Options(tree=str(tree)), find=find)


def beside(*mails: str) -> fetch.Finder:
    """Looks in an mbox with these mails."""
    mbox = "".join(f"From mboxrd@z Thu Jan  1 00:00:00 1970\n{one}\n" for one in mails)
    return fetch.Finder("-", stdin=mbox.encode())


SAYS = {
    "message-id": "prerequisite-message-id: <first@example.org>",
    "change-id": "prerequisite-change-id: mill-first:v1",
    "patch-id": f"prerequisite-patch-id: {patch_id(innocent(3))}",
}


@pytest.mark.parametrize("kind", SAYS)
def test_what_is_beside_the_series_is_applied_first_and_part_of_the_base(kind: str, tree: Path) -> None:
    text = later(SAYS[kind])
    with beside(text, FIRST) as find:
        result = reviewed(tree, text, find)
    assert (result.decision, result.reason) == (Decision.ACK, "")
    assert [(p.kind, p.state) for p in result.prerequisites] == [(kind, "applied")]
    assert result.change
    assert result.change.commit == checking.git(tree, "rev-parse", "HEAD").strip()
    [hunk] = result.change.files[0].hunks
    assert [x.text for x in hunk.lines if x.sign == "-"] == ["\treturn 3 + 0;"]
    assert "with its prerequisites and the patch applied" in " ".join(result.replies[0].body.split())


@pytest.mark.parametrize("kind", SAYS)
def test_without_it_the_line_says_which_one_is_missing(kind: str, tree: Path) -> None:
    text = later(SAYS[kind])
    with beside(text) as find:
        result = reviewed(tree, text, find)
    assert result.decision is Decision.UNREVIEWED
    wanted = SAYS[kind].removeprefix("prerequisite-").replace(":v1", " v1").replace(": <", " ").replace(": ", " ")
    assert result.reason.endswith(f"; prerequisite {wanted.strip('>')} is missing")
    assert [p.state for p in result.prerequisites] == ["missing"]


@pytest.mark.parametrize("kind", SAYS)
def test_what_the_base_has_is_not_applied_again(kind: str, tmp_path: Path) -> None:
    has = checking.repository(tmp_path / "has", {FILE: CODE})
    checking.git(has, "am", "-q", data=FIRST)
    text = later(SAYS[kind])
    with beside(text, FIRST) as find:
        result = reviewed(has, text, find)
    assert (result.decision, [p.state for p in result.prerequisites]) == (Decision.ACK, ["in the base"])
    assert result.change
    assert not result.change.onto


def test_what_the_base_has_and_went_on_from_is_in_the_base(tmp_path: Path) -> None:
    has = checking.repository(tmp_path / "has", {FILE: CODE})
    checking.git(has, "am", "-q", data=FIRST)
    checking.git(has, "am", "-q", data=later())
    text = mail(innocent(7), text=f"x\n\n{SAYS['message-id']}\n")
    with beside(text, FIRST) as find:
        result = reviewed(has, text, find)
    assert (result.decision, [p.state for p in result.prerequisites]) == (Decision.ACK, ["in the base"])


def test_a_patch_id_of_the_history_needs_no_mail(tmp_path: Path) -> None:
    has = checking.repository(tmp_path / "has", {FILE: CODE})
    checking.git(has, "am", "-q", data=FIRST)
    result = reviewed(has, later(SAYS["patch-id"]), None)
    assert (result.decision, [p.state for p in result.prerequisites]) == (Decision.ACK, ["in the base"])


def test_a_series_that_applies_without_them_is_a_comment_that_names_them(tree: Path) -> None:
    text = mail(innocent(5), text="x\n\nprerequisite-change-id: gone:v2\nprerequisite-message-id: <no@such.example>\n")
    with beside(text) as find:
        result = reviewed(tree, text, find)
    assert (result.decision, result.replies) == (Decision.COMMENT, ())
    assert result.reason == "prerequisites change-id gone v2 and message-id no@such.example are missing"
    assert all(
        p.why.startswith("not among the mails it came with; an archive to look in is named by --inbox")
        for p in result.prerequisites
    )


def test_one_that_does_not_apply_is_left_out_and_named(tree: Path) -> None:
    odd = mail(diff(CODE.replace("return 7;", "return 77;"), CODE), id="first", subject="[PATCH] dm mill: odd")
    odd = odd.replace("+\treturn 7;", "+\treturn 78;")
    text = mail(innocent(5), text="x\n\nprerequisite-message-id: <first@example.org>\n")
    with beside(text, odd) as find:
        result = reviewed(tree, text, find)
    assert result.decision is Decision.COMMENT
    [one] = result.prerequisites
    assert one.state == "missing"
    assert one.why.startswith("it does not apply: drivers/md/dm-mill.c, hunk at line ")
    text = later("prerequisite-message-id: <first@example.org>")
    with beside(text, odd) as find:
        result = reviewed(tree, text, find)
    assert result.decision is Decision.UNREVIEWED
    assert "; prerequisite message-id first@example.org: it does not apply: drivers/md/dm-mill.c" in result.reason


def test_prerequisites_of_prerequisites_come_before_them(tree: Path) -> None:
    second = later(SAYS["message-id"])
    last = TURNED.replace("return 3 + 0;", "return 3 + 1;")
    third = mail(
        diff(last, last.replace("return 3 + 1;", "return 3 + 2;")),
        id="third",
        subject="[PATCH] dm mill: third",
        text=f"x\n\nprerequisite-message-id: <later@example.org>\n{SAYS['patch-id']}\n",
    )
    with beside(third, second, FIRST) as find:
        result = reviewed(tree, third, find)
    assert result.decision is Decision.ACK
    assert [(p.id, p.state) for p in result.prerequisites] == [
        ("first@example.org", "applied"),
        ("later@example.org", "applied"),
    ]


def test_the_version_that_is_named_is_taken(tree: Path) -> None:
    newer = mail(innocent(7), id="v2", subject="[PATCH v2] dm mill: first", text="x\n\nchange-id: mill-first\n")
    text = later(SAYS["change-id"])
    with beside(text, FIRST, newer) as find:
        assert reviewed(tree, text, find).decision is Decision.ACK
    with beside(text, newer) as find:
        assert reviewed(tree, text, find).decision is Decision.UNREVIEWED


def wanting(*prerequisites: Prerequisite, id: str = "x") -> Series:
    found = series(mail(innocent(3), id=id))
    return Series(patches=found.patches, prerequisites=prerequisites)


def test_the_search_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Prerequisite] = []

    def endless(wanted: Prerequisite) -> Sequence[Series]:
        asked.append(wanted)
        return [wanting(Prerequisite("message-id", f"{wanted.id}+"), id=wanted.id.partition("@")[0])]

    start = wanting(*(Prerequisite("message-id", f"{n}@example.org") for n in range(50)))
    found = gather(start, endless, lambda diff: "")
    assert len(asked) == prior.MAX_PREREQUISITES
    assert len(found) <= 50 + prior.MAX_PREREQUISITES
    assert "more than 20" in found[-1].prerequisite.why

    def ring(wanted: Prerequisite) -> Sequence[Series]:
        return [wanting(Prerequisite("message-id", "a@example.org"), id="a")]

    [one] = gather(wanting(Prerequisite("message-id", "a@example.org")), ring, lambda diff: "")
    assert one.patches


def test_what_fails_to_be_fetched_is_missing_for_that_reason() -> None:
    def down(wanted: Prerequisite) -> Sequence[Series]:
        raise fetch.Outage("the archive is down") if wanted.id == "a" else RuntimeError("the mail reader ended")

    found = gather(wanting(Prerequisite("change-id", "a"), Prerequisite("change-id", "b")), down, lambda diff: "")
    assert [p.prerequisite.why for p in found] == ["the archive is down", "the mail reader ended"]
    assert all(p.prerequisite.state == "missing" for p in found)
    [one] = gather(wanting(Prerequisite("change-id", "a")), None, lambda diff: "")
    assert one.prerequisite.state == "missing"


def test_an_incomplete_prerequisite_is_missing() -> None:
    half = fetch.parse(mail(innocent(3), id="h", subject="[PATCH 1/2] dm mill: half").encode(), "a test")
    [one] = gather(wanting(Prerequisite("message-id", "h@example.org")), lambda _: [half], lambda diff: "")
    assert one.prerequisite.why == "of its 2 patches 1 are missing"


def test_a_patch_id_is_what_git_says() -> None:
    with Tree.from_files({FILE: CODE.encode()}) as one:
        assert one.patch_id(innocent(3).encode()) == patch_id(innocent(3))
        assert one.patch_id(b"no diff") == ""


def test_hostile_ids_are_not_asked_for() -> None:
    with fetch.Finder("", inbox="http://127.0.0.1:1/all") as find:
        for id_ in ('x" OR y:"', "a\nb", ""):
            assert find(Prerequisite("change-id", id_)) == []
        with pytest.raises(ReviewError, match="cannot be reached"):
            find(Prerequisite("change-id", "fine"))
