"""The documents speak of files, functions and rooms that are there: what was renamed is renamed in them as well."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import test_layers

ROOT = Path(__file__).parent.parent
ARCHITECTURE = ROOT / "reviewbot/docs/architecture.md"
DOCUMENTS = (ARCHITECTURE, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "corpus/README.md")
TOP = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")))
REFERENCE = re.compile(rf"(?<![\w./~-])((?:{TOP})/[\w./-]*\w/?)(?::([A-Za-z_][\w.]*\w))?")
"""`folder/file.py:name`, wherever it stands: in a sentence, in a table, in a command."""


def references(text: str) -> list[tuple[str, str]]:
    """Each path that a text names, with the name in that file, or an empty one."""
    return REFERENCE.findall(text)


@cache
def names(path: Path) -> frozenset[str]:
    """What a Python file defines at its top, and what its classes define: `name`, `Class.name`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        found |= set(bound(node))
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner}" for child in node.body for inner in bound(child)}
    return frozenset(found)


def bound(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def faults(text: str) -> list[str]:
    """What a text names that is not there."""
    found = []
    for path, name in references(text):
        if not (ROOT / path).exists():
            found.append(f"there is no {path}")
        elif name and name not in names(ROOT / path):
            found.append(f"{path} has no {name}")
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_all_that_is_named_is_there(path: Path) -> None:
    assert not faults(path.read_text())


def test_what_is_not_there_is_seen() -> None:
    text = (
        "`reviewbot/review.py:review`, `reviewbot/review.py:gone`, `reviewbot/gone.py`; `reviewbot/rule.py:Rule.gone`."
    )
    assert faults(text) == [
        "reviewbot/review.py has no gone",
        "there is no reviewbot/gone.py",
        "reviewbot/rule.py has no Rule.gone",
    ]


def test_every_hop_and_every_answer_names_a_place() -> None:
    text = ARCHITECTURE.read_text()
    hops = re.findall(r"^ *\d+\. .*?(?=^ *\d+\. |^$)", text, re.MULTILINE | re.DOTALL)
    answers = text.partition("## Where to look for what")[2].partition("\n## ")[0].splitlines()[4:]
    assert len(hops) > 10
    for part in (*hops, *filter(None, answers)):
        assert references(part) or "`reviewbot watch" in part or "Unreviewed" in part, part


def test_the_rooms_are_those_of_the_code_in_their_order() -> None:
    table = ARCHITECTURE.read_text().partition("\n## Rooms\n")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE)) == test_layers.ROOMS


def test_it_is_short_enough_to_be_read() -> None:
    assert len(ARCHITECTURE.read_text().splitlines()) <= 250


def test_it_is_found() -> None:
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        assert "](reviewbot/docs/architecture.md)" in path.read_text()
