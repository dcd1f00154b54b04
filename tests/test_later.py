"""Modules that are loaded at their first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reviewbot.process.later import later


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package `shelf` that says when it is loaded, and forgets itself afterwards."""
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "__init__.py").write_text("import sys\nsys.shelf_loaded = True\nJARS = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "shelf_loaded", False, raising=False)
    monkeypatch.delitem(sys.modules, "shelf", raising=False)


@pytest.mark.usefixtures("shelf")
def test_an_import_loads_nothing_and_a_use_does() -> None:
    later("shelf")
    import shelf  # type: ignore[import-not-found]

    assert not sys.shelf_loaded  # type: ignore[attr-defined]
    assert shelf.JARS == 3
    assert sys.shelf_loaded  # type: ignore[attr-defined]
    assert sys.modules["shelf"].JARS == 3


@pytest.mark.usefixtures("shelf")
def test_what_is_loaded_stays() -> None:
    import shelf

    later("shelf")
    assert sys.modules["shelf"] is shelf


@pytest.mark.usefixtures("shelf")
def test_what_is_not_there_is_said_at_its_use() -> None:
    later("shelf_that_is_nowhere")
    module = sys.modules.pop("shelf_that_is_nowhere")
    with pytest.raises(ModuleNotFoundError):
        module.anything  # noqa: B018


def test_reading_a_mail_at_hand_loads_no_network() -> None:
    code = "import sys; from reviewbot.mail import start; start.ready(); "
    code += "print([m for m in ('urllib3', 'ssl') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
