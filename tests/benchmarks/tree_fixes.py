"""Fixes of deadlocks that two kernel trees differ in, taken back: patches of real code that nobody made up.

    python tests/benchmarks/tree_fixes.py FOLDER --tree 6.1=PATH --tree 6.12=PATH --tree 7.3=PATH
    reviewbot backtest FOLDER/index.jsonl --tree 6.12=PATH --tree 7.3=PATH

`tree_fixes.toml` names functions that a newer tree mended. Each patch puts what an older tree had there into the newer one:
the whole of some functions; or, where they have changed in other ways too, single words of them; or it leaves out the lines
that call something. The project holds no text of the kernel: that comes from the user's trees.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from planted import mail

RECIPES = Path(__file__).with_suffix(".toml")
_HEAD_LINES = 12
"""Lines of a function before its brace."""


@dataclass(frozen=True)
class Fix:
    """One fix to take back. words: what stands there now -> what stood there; without: calls whose lines go. Where there is
    neither, the functions are those of the older tree."""

    id: str
    tree: str
    older: str
    path: str
    functions: list[str]
    kind: str
    why: str
    words: dict[str, str] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)


def fixes() -> list[Fix]:
    """The fixes that are known, in the order of the file."""
    found = tomllib.loads(RECIPES.read_text())["fix"]
    return [Fix(**{("kind" if name == "class" else name): value for name, value in one.items()}) for one in found]


def taken_back(fix: Fix, now: str, was: str) -> str:
    """The file of the newer tree with a fix taken back. Raises LookupError where a function or a word is not there."""
    for name in fix.functions:
        start, end = _extent(now, name)
        text = now[start:end]
        if not fix.words and not fix.without:
            text = was[slice(*_extent(was, name))]
        for new, old in fix.words.items():
            if new not in text:
                raise LookupError(f"{new} in {name}()")
            text = text.replace(new, old)
        calls = [re.compile(rf"\b{re.escape(call)}\(") for call in fix.without]
        text = "".join(line for line in text.splitlines(True) if not any(call.search(line) for call in calls))
        now = now[:start] + text + now[end:]
    return now


def _extent(text: str, name: str) -> tuple[int, int]:
    """Where the function of a name begins and ends: from the blank line before its head to the brace in the first column."""
    for match in re.finditer(rf"^(?:[^\s#/].*\b)?{re.escape(name)} ?\(", text, re.M):
        brace = text.find("\n{\n", match.start())
        if brace < 0 or text.count("\n", match.start(), brace) > _HEAD_LINES or ";" in text[match.start() : brace]:
            continue  # a declaration
        blank = text.rfind("\n\n", 0, match.start())
        return 0 if blank < 0 else blank + 2, text.index("\n}\n", brace) + 3
    raise LookupError(f"{name}()")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where patches and index are written")
    parser.add_argument("--tree", action="append", default=[], metavar="NAME=PATH", help="a kernel tree")
    options = parser.parse_args()
    trees = {name: Path(path).expanduser() for name, _, path in (tree.partition("=") for tree in options.tree)}
    options.folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for fix in fixes():
        if not {fix.tree, fix.older} <= trees.keys():
            print(f"{fix.id}: needs the trees {fix.tree} and {fix.older}", file=sys.stderr)
            continue
        now, was = ((trees[tree] / fix.path).read_text(errors="surrogateescape") for tree in (fix.tree, fix.older))
        try:
            made = taken_back(fix, now, was)
        except LookupError as error:
            print(f"{fix.id}: {fix.path} has no {error.args[0]}", file=sys.stderr)
            continue
        old, new = (text.encode("utf-8", "surrogateescape") for text in (now, made))
        (options.folder / f"{fix.id}.patch").write_bytes(mail(fix.path, old, new, fix.functions[0]))
        case = {"id": fix.id, "patch": f"{fix.id}.patch", "tree": fix.tree, "label": "deadlock", "class": fix.kind}
        lines.append(json.dumps({**case, "files": [fix.path], "why": fix.why}) + "\n")
    (options.folder / "index.jsonl").write_text("".join(lines))
    print(f"{len(lines)} patches in {options.folder}")


if __name__ == "__main__":
    main()
