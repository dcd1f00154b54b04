"""The page of a review, as text: what stands in it, that all of it is escaped, and that it is written whole or not."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import checking
import msgspec
import pytest

from reviewbot.bench.demo import examine_case
from reviewbot.cli import run
from reviewbot.report import page
from reviewbot.types import (
    Address,
    Change,
    Decision,
    FileChange,
    Finding,
    Hunk,
    KnotEdge,
    Line,
    Mail,
    Outcome,
    Patch,
    Place,
    Review,
    ReviewError,
    Series,
    Step,
    Trace,
    Verdict,
    Words,
)

HOSTILE = """</style></script><script>alert(1)</script><img src=http://x.example/ onerror=alert(2)>'"&\u202e"""
"""What an author may write anywhere."""


class Elements(HTMLParser):
    """Counts what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def hostile() -> Review:
    """A review in which every text comes from somebody who means ill."""
    mail = Mail(HOSTILE, HOSTILE, Address(HOSTILE, HOSTILE), HOSTILE)
    at = Place(HOSTILE, 2, HOSTILE)
    words = Words(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    finding = Finding(HOSTILE, at, HOSTILE, facts=(HOSTILE,), words=words)
    steps = (
        Step(HOSTILE, HOSTILE, HOSTILE, 2, HOSTILE, (HOSTILE,)),
        Step("g", HOSTILE, holds=(HOSTILE,), waits=HOSTILE),
    )
    trace = Trace(steps, (KnotEdge(HOSTILE, HOSTILE, "g", f"{HOSTILE} waits for {HOSTILE}"),))
    verdict = Verdict(finding, Outcome.CONFIRMED, trace, 3, HOSTILE, HOSTILE, True, HOSTILE, Trace(steps[:1], ()))
    doubt = Verdict(finding, Outcome.INCONCLUSIVE, reason=HOSTILE)
    lines = (Line(" ", HOSTILE, 1, 1), Line("+", HOSTILE, 0, 2))
    change = Change("0" * 40, HOSTILE, (FileChange(HOSTILE, hunks=(Hunk(lines, HOSTILE),)),))
    return Review(
        Series((Patch(mail, b""),), source=HOSTILE),
        Decision.NACK,
        HOSTILE,
        change,
        (verdict, doubt),
        checked=(HOSTILE,),
        notes=(HOSTILE,),
    )


def test_it_says_what_the_review_says() -> None:
    review = examine_case(checking.case("wait-under-lock/throttle-under-lock"))
    text = re.sub(r"\s+", " ", "".join(Elements(page.page([review])).said))
    verdict = review.verdicts[0]
    assert verdict.finding.words
    for said in (
        "NACK",
        "[PATCH] dm copier: keep the lock while throttling",
        verdict.finding.message,
        verdict.finding.words.claim,
        "copier_throttle(c, false);",
        "copier_map() takes copiers_lock for read",
        "and copier_ctr() waits for copier_map() to release copiers_lock - deadlock.",
        "Without the patch",
        "All of them get through.",
        "Drop copiers_lock before the sleep",
        "Subject: Re: [PATCH] dm copier: keep the lock while throttling",
        "reviewbot explain dcb42a96",
    ):
        assert said in text, said


def test_the_finding_stands_under_its_line() -> None:
    text = page.page([examine_case(checking.case("wait-under-lock/throttle-under-lock"))])
    line, note = text.index("copier_throttle(c, false);"), text.index('<div class="note">')
    assert line < note < text.index("copier_start(c, bio);", line)


def test_steps_lead_to_their_lines() -> None:
    elements = Elements(page.page([examine_case(checking.case("lock-order/table-under-depot"))]))
    ids = [attributes["id"] for _, attributes in elements.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [a["href"] for tag, a in elements.tags if tag == "a"]
    assert len(targets) > 3
    assert all(target and target[1:] in ids for target in targets)


def test_a_fix_shows_the_deadlock_that_it_ends() -> None:
    text = page.page([examine_case(checking.case("lock-order/one-after-the-other"))])
    assert ">ACK<" in text
    assert "It ends a deadlock: " in text
    assert "Without the patch: the deadlock" in text
    assert "With the patch: the same tasks get through" in text


def test_what_the_engine_does_not_give_is_left_out() -> None:
    review = examine_case(checking.case("lock-order/table-under-depot"))
    verdicts = tuple(msgspec.structs.replace(v, other=None) for v in review.verdicts)
    bare = msgspec.structs.replace(review, verdicts=verdicts, code=(), events=(), change=None)
    text = page.page([bare])
    assert "The same as text" in text
    for heading in ("Without the patch", "The code of the steps", "Events that the patch changes"):
        assert heading not in text


def test_hostile_text_is_text() -> None:
    elements = Elements(page.page([hostile()]))
    tags = [tag for tag, _ in elements.tags]
    assert tags.count("script") == 1
    assert tags.count("style") == 1
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in elements.tags for name in attributes)
    assert "<U+202E>" in "".join(elements.said)
    assert "\u202e" not in "".join(elements.said)


def test_nothing_is_named_that_a_browser_would_fetch() -> None:
    for _, attributes in Elements(page.page([hostile()])).tags:
        assert not {"src", "srcset", "action", "formaction", "data", "poster"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
        assert "url(" not in (attributes.get("marker-end") or "url(#")[5:]


def test_of_several_series_each_has_its_part() -> None:
    cases = [checking.case(f"lock-order/{name}") for name in ("table-under-depot", "one-after-the-other")]
    text = page.page([examine_case(case) for case in cases])
    assert text.count("<article") == 2
    assert "<title>2 series reviewed, 1 NACKed</title>" in text
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = checking.case("lock-order/table-under-depot")
    tree = checking.case_repository(tmp_path / "tree", case)
    mail, there = tmp_path / "patch.eml", tmp_path / "page.html"
    mail.write_text(case.patch)
    assert run(["check", str(mail), "--tree", str(tree), "--html", str(there), "--terse"]) == 1
    text = there.read_text()
    assert "deadlock.</p>" in text
    assert "The code of the steps" in text
    assert {p.name for p in tmp_path.iterdir()} == {"tree", "patch.eml", "page.html"}
    capsys.readouterr()
    nowhere = tmp_path / "gone" / "page.html"
    assert run(["check", str(mail), "--tree", str(tree), "--html", str(nowhere)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot write" in error


def test_a_page_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "page.html"
    there.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reviewbot.report.files.os.replace", full)
    with pytest.raises(ReviewError, match="No space left"):
        page.write([hostile()], there)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert there.read_text() == "before"
