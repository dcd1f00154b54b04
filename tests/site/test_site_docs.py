"""The documentation of the site: a page for each rule with its examples and its picture, built by Sphinx."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import browsing
import pytest

from reviewbot import rules
from reviewbot.bench import case as cases
from reviewbot.cli import run
from reviewbot.site import docs

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "source"
    docs.write_sources(folder, cases.load())
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if lacks := docs.missing():
        pytest.skip(f"no {lacks}: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("docs") / "site/docs"
    assert docs.build(folder)
    return folder


def test_each_rule_has_a_page_with_its_cases_and_its_picture(sources: Path) -> None:
    every = cases.load()
    for rule in rules.find().rules:
        text = (sources / "rules" / f"{rule.id}.md").read_text()
        assert text.startswith(f"# {rule.id}\n")
        mine = [case for case in every if case.header("Rule") == rule.id]
        assert mine
        proven = any(case.header("Verdict") in cases.SPOKEN for case in mine)
        headings = ("Why it hangs", "Reported when", "Not reported", "Known gaps", "Examples")
        for heading in (*headings, "The schedule") if proven else headings:
            assert f"\n## {heading}\n" in text, (rule.id, heading)
        assert all(f"`{case.name}`" in text for case in mine)
        picture = sources / "rules" / f"{rule.id}.svg"
        assert picture.exists() == proven
        assert not proven or "takes" in picture.read_text() or "waits for" in text


def test_a_case_is_shown_with_its_patch_and_what_is_said(sources: Path) -> None:
    text = (sources / "rules/wq-mem-reclaim.md").read_text()
    assert '-\ts->check_wq = alloc_workqueue("ksieved", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);' in text
    assert "This can deadlock. I/O waits for sieve_work()" in text
    assert "#~" not in text


def test_a_case_that_is_only_a_comment_is_called_one(sources: Path) -> None:
    text = (sources / "rules/left-undone.md").read_text()
    assert "`left-undone/ends-only-good-bios`: a comment to the maintainer, which nobody else sees." in text
    assert "`left-undone/ends-only-good-bios`: nothing is reported" not in text
    assert not re.search(r"```text\n\s*```", text), "an empty reply"


def test_what_the_documents_name_exists(sources: Path) -> None:
    for path in (docs.SOURCES).glob("*.md"):
        for name in re.findall(r"`((?:reviewbot|corpus|heuristics|tests)/[\w./-]+)`", path.read_text()):
            assert (ROOT / name).exists(), (path.name, name)
        for name in re.findall(r"`reviewbot ([a-z0-9-]+)", path.read_text()):
            assert run([name, "--help"]) == 0, (path.name, name)


def test_it_is_built_once(built: Path) -> None:
    assert (built / "rules/lock-order.html").is_file()
    assert not docs.build(built)


def test_what_was_built_of_something_else_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def generator(source: Path, made: Path, _: Path) -> None:
        assert source.is_dir()
        made.mkdir()
        (made / "index.html").write_text("new")

    monkeypatch.setattr(docs, "write_sources", lambda folder, _: folder.mkdir())
    monkeypatch.setattr(docs, "_sphinx", generator)
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / docs.KEY).write_text("another")
    (folder / "index.html").write_text("old")
    assert docs.build(folder)
    assert (folder / "index.html").read_text() == "new"
    assert not docs.build(folder)


def test_that_it_is_what_it_would_be_is_seen_from_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> None:
        raise AssertionError

    (tmp_path / docs.KEY).write_text(docs._key())
    monkeypatch.setattr(rules, "find", never)
    monkeypatch.setattr(cases, "load", never)
    assert not docs.build(tmp_path)
    case = tmp_path / "corpus" / "one.case"
    case.parent.mkdir()
    case.write_text("One.\n")
    monkeypatch.setattr(cases, "folder", lambda: case.parent)
    other = docs._key()
    assert other != (tmp_path / docs.KEY).read_text()
    case.write_text("Another.\n")
    assert docs._key() != other


def test_the_site_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'state = "{tmp_path / "state"}"\n')
    monkeypatch.setattr(docs, "PACKAGES", ("no_such_generator",))
    assert run(["site", str(tmp_path / "site"), "--config", str(config)]) == 0
    assert "it needs no_such_generator (pip install 'reviewbot[docs]')" in capsys.readouterr().err
    assert "docs/index.html" not in (tmp_path / "site/index.html").read_text()


@pytest.mark.parametrize(
    "page", ["index", "verdict", "add-a-rule", "write-a-model", "architecture", "rules/lock-order"]
)
def test_it_opens_in_a_browser_and_fetches_nothing_from_outside(browser: Any, built: Path, page: str) -> None:
    with browsing.opened(browser, (built / f"{page}.html").as_uri()) as shown:
        assert shown.errors == []
        for address in shown.asked:
            parts = urlsplit(address)
            assert parts.scheme in ("file", "data"), address
            assert parts.scheme == "data" or Path(unquote(parts.path)).is_relative_to(built), address
        for image in shown.page.locator("article img").all():
            assert image.evaluate("image => image.complete && image.naturalWidth > 200")
            assert "waits for" in (image.get_attribute("alt") or "")


def test_lines_of_a_patch_have_colours_of_their_own(browser: Any, built: Path) -> None:
    colour = "line => getComputedStyle(line).color"
    for scheme in ("light", "dark"):
        with browsing.opened(browser, (built / "rules/wait-in-handler.html").as_uri(), scheme) as shown:
            lines = [shown.page.locator(f".highlight .{kind}").first for kind in ("gi", "gd", "gu")]
            assert len({line.evaluate(colour) for line in lines}) == 3


@pytest.mark.parametrize("page", ["index", "write-a-model", "rules/wait-in-handler"])
@pytest.mark.parametrize(("scheme", "wide"), [("light", 1180), ("dark", 390)])
def test_axe_finds_nothing(browser: Any, built: Path, page: str, scheme: str, wide: int) -> None:
    with browsing.opened(browser, (built / f"{page}.html").as_uri(), scheme, wide) as shown:
        assert browsing.faults(shown.page) == []
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= wide
