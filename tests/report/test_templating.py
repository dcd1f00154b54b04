"""Compiled templates are kept between runs, and nothing that goes wrong with them stops a page."""

from __future__ import annotations

from html import escape
from pathlib import Path

import jinja2
import pytest

from reviewbot.report.templating import CompiledTemplates, environment
from reviewbot.text import clean


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "reviewbot" / "templates"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The templates that are compiled from now on."""
    found: list[str] = []
    generate = jinja2.Environment._generate

    def noted(self: jinja2.Environment, source: object, name: str, *rest: object, **more: object) -> object:
        found.append(name)
        return generate(self, source, name, *rest, **more)

    monkeypatch.setattr(jinja2.Environment, "_generate", noted)
    return found


def shown(text: str = "<b>") -> str:
    """A page, as a new process would make it."""
    made = environment.__wrapped__()
    return str(made.get_template("page.html.j2").render(articles=[], title=text, up="", style="", script="", policy=""))


def test_a_template_is_compiled_once(folder: Path, compiled: list[str]) -> None:
    first = shown()
    assert compiled == ["page.html.j2"]
    assert len(list(folder.iterdir())) == 1
    assert shown() == first
    assert compiled == ["page.html.j2"]
    assert "<title>&lt;b&gt;</title>" in first
    assert escape(clean("\x1b")) in shown("\x1b")


@pytest.mark.parametrize("torn", [b"", b"no template", None])
def test_a_torn_file_is_a_miss(folder: Path, compiled: list[str], torn: bytes | None) -> None:
    first = shown()
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-40] if torn is None else torn)
    assert shown() == first
    assert compiled == ["page.html.j2"] * 2


def test_other_settings_or_another_jinja_have_files_of_their_own(
    folder: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown()
    monkeypatch.setattr(jinja2, "__version__", "99.0")
    shown()
    assert compiled == ["page.html.j2"] * 2
    assert len(list(folder.iterdir())) == 2


def test_without_a_folder_to_write_to_pages_are_made(tmp_path: Path, compiled: list[str]) -> None:
    (tmp_path / "file").write_text("")
    made = environment.__wrapped__()
    made.bytecode_cache = CompiledTemplates(tmp_path / "file" / "below")
    assert made.get_template("page.html.j2")
    assert compiled == ["page.html.j2"]
