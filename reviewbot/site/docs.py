"""The documentation as part of the site: what is written by hand, and a page for each rule with its examples.

Sphinx does the work, with the configuration in `reviewbot/docs`. The examples are the cases of the corpus that the tests
run, and the picture of the schedule comes from a review of the first of them.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reviewbot import precision
from reviewbot.bench import case as cases
from reviewbot.bench.case import Case
from reviewbot.report.picture import layout
from reviewbot.report.svg import svg
from reviewbot.site import ruled
from reviewbot.site.build import form
from reviewbot.types import Outcome, ReviewError

if TYPE_CHECKING:
    from reviewbot.rule import Rule

SOURCES = Path(__file__).parent.parent / "docs"
KEY = ".reviewbot-docs"
PACKAGES = ("sphinx", "furo", "myst_parser")
HEADING = re.compile(r"^\S.*$")
SAID = {
    Outcome.CONFIRMED: "NACK",
    Outcome.FIXED: "ACK, it ends a deadlock",
    Outcome.INCONCLUSIVE: "a comment to the maintainer, which nobody else sees",
}
"""What is said where a case has that verdict; of all others nothing."""


def missing() -> str:
    """What there is to install before the documentation can be built; empty where nothing is."""
    return ", ".join(name for name in PACKAGES if find_spec(name) is None)


def build(folder: Path) -> bool:
    """Build the documentation into a folder; False where it is what it would be. Raises ReviewError where it cannot."""
    key = _key()
    mark = folder / KEY
    if mark.is_file() and mark.read_text() == key:
        return False
    with tempfile.TemporaryDirectory(prefix="reviewbot-docs.") as temporary:
        source, made = Path(temporary, "source"), Path(temporary, "html")
        write_sources(source, cases.load())
        _sphinx(source, made, Path(temporary, "doctrees"))
        (made / KEY).write_text(key)
        _put_in_place(made, folder)
    return True


def write_sources(folder: Path, every: Sequence[Case]) -> None:
    """What Sphinx reads: the texts, and for each rule its page and the picture of its first schedule."""
    from reviewbot import rules

    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (folder / "rules").mkdir()
    for rule in rules.find().rules:
        mine = [case for case in every if case.header("Rule") == rule.id]
        picture = _picture(mine)
        if picture:
            (folder / "rules" / f"{rule.id}.svg").write_text(picture[1], encoding="utf-8")
        text = "\n".join(_page(rule, mine, picture[0] if picture else ""))
        (folder / "rules" / f"{rule.id}.md").write_text(text, encoding="utf-8")


def _page(rule: Rule[Any], mine: Sequence[Case], alt: str) -> Iterator[str]:
    title, *rest = (inspect.getdoc(inspect.getmodule(type(rule))) or rule.id).split("\n")
    yield from (f"# {rule.id}", "", title, "", f"Guarantee: *{rule.guarantee}*.", "")
    measured = precision.load().get(rule.id)
    if measured is not None and measured.enough:
        yield from (f"NACKs that were right: {measured.nacks}.", "")
    for line in rest:
        yield f"## {line}\n" if HEADING.match(line) else line.strip()
    yield ""
    if alt:
        yield from ("## The schedule", "", f"![{_plain(alt)}]({rule.id}.svg)", "")
    yield from ("## Examples", "", "The tests run each of them.", "")
    for case in mine:
        said = next(
            (text for outcome, text in SAID.items() if case.header("Verdict") == outcome), "nothing is reported"
        )
        yield from (f"### {_plain(case.title)}", "", f"`{case.name}`: {said}.", "")
        patch = case.patch[case.patch.find("\ndiff --git") + 1 :] if "\ndiff --git" in case.patch else case.patch
        yield from _block("diff", patch)
        if reply := dict(case.goldens).get("reply", "").strip():
            yield from _block("text", reply)


def _block(language: str, text: str) -> Iterator[str]:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    yield from (f"{fence}{language}", text.rstrip("\n"), fence, "")


def _plain(text: str) -> str:
    """A text in which nothing is markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|&])", r"\\\1", text)


def _picture(mine: Sequence[Case]) -> tuple[str, str] | None:
    """The circle of the first case with a schedule as a sentence, and its picture."""
    from reviewbot.bench.demo import examine_case

    for wanted in ("confirmed", "fixed"):
        for case in mine:
            if case.header("Verdict") == wanted:
                for verdict in examine_case(case).verdicts:
                    if verdict.trace and verdict.outcome == wanted:
                        picture = layout(verdict.trace)
                        return picture.conclusion, svg(picture, picture.conclusion)
    return None


def _sphinx(source: Path, made: Path, doctrees: Path) -> None:
    if lacks := missing():
        raise ReviewError(f"the documentation needs {lacks}: pip install 'reviewbot[docs]'")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "--no-color", "-d"]
    done = subprocess.run([*command, *map(str, (doctrees, source, made))], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReviewError(f"the documentation cannot be built: {' '.join(done.stderr.split())[:400]}")


def _put_in_place(made: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for path in (new, old):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(made, new)
    if folder.exists():
        folder.replace(old)
    new.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _key() -> str:
    """Stands for all that the documentation is made of: its files, so that to see that none has changed loads nothing."""
    digest = hashlib.blake2b(f"{form()} {ruled.sources()}".encode(), digest_size=12)
    texts = (p for p in SOURCES.rglob("*") if p.suffix in (".md", ".py", ".js", ".css"))
    for file in sorted((*texts, *(p for p in cases.folder().rglob("*") if p.is_file()))):
        digest.update(repr(file.name).encode() + file.read_bytes())
    digest.update(repr(sorted(precision.load().items())).encode())
    return digest.hexdigest()
