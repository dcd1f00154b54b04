"""Which tree a series is reviewed on: by the paths it touches, and by the `T:` entries of the kernel's MAINTAINERS."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from reviewbot.types import Series, Value
from reviewbot.watch.config import TreeRule

_PATH = re.compile(rb"^(?:---|\+\+\+) (?:[ab]/)?([^\t\r\n]+)", re.MULTILINE)


class MaintainersSection(Value, frozen=True):
    """One section of MAINTAINERS: its trees (`T:`) and patterns of files (`F:`, `X:`, `N:`)."""

    title: str
    trees: tuple[str, ...]
    files: tuple[str, ...]
    excluded: tuple[str, ...]
    names: tuple[str, ...]


def touched(series: Series) -> tuple[str, ...]:
    """The paths that the patches of a series name, in order, each once."""
    found: dict[str, None] = {}
    for patch in series.patches:
        for match in _PATH.finditer(patch.diff):
            path = match[1].decode("utf-8", "replace").strip()
            if path != "/dev/null":
                found[path] = None
    return tuple(found)


def choose(rules: Sequence[TreeRule], paths: Sequence[str], maintainers: Callable[[TreeRule], str]) -> TreeRule | None:
    """The first rule that fits a series which touches `paths`; None when none does.

    A rule without conditions fits everything. `maintainers` gives the text of MAINTAINERS in a rule's tree; it is only
    asked for rules that name `T:` entries.
    """
    for rule in rules:
        if not rule.files and not rule.maintained_at:
            return rule
        if any(fnmatchcase(path, pattern) for path in paths for pattern in rule.files):
            return rule
        if rule.maintained_at and _maintained(sections(maintainers(rule)), rule.maintained_at, paths):
            return rule
    return None


def _maintained(found: Iterable[MaintainersSection], entries: Iterable[str], paths: Sequence[str]) -> bool:
    wanted = {address(entry) for entry in entries}
    return any(
        wanted & {address(tree) for tree in section.trees} and any(covers(section, path) for path in paths)
        for section in found
    )


def sections(text: str) -> list[MaintainersSection]:
    """The sections of a MAINTAINERS file that name a tree."""
    found: list[MaintainersSection] = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip("\n").split("\n")
        fields: dict[str, list[str]] = {}
        for line in lines[1:]:
            key, colon, value = line.partition(":")
            if colon and len(key) == 1 and key.isupper():
                fields.setdefault(key, []).append(value.strip())
        if fields.get("T"):
            found.append(
                MaintainersSection(
                    title=lines[0],
                    trees=tuple(fields["T"]),
                    files=tuple(fields.get("F", ())),
                    excluded=tuple(fields.get("X", ())),
                    names=tuple(fields.get("N", ())),
                )
            )
    return found


def covers(section: MaintainersSection, path: str) -> bool:
    """Whether a section maintains a file, by the rules that MAINTAINERS itself explains at its top."""
    if any(_fits(path, pattern) for pattern in section.excluded):
        return False
    return any(_fits(path, pattern) for pattern in section.files) or any(_named(path, n) for n in section.names)


def _fits(path: str, pattern: str) -> bool:
    """A pattern with a slash at its end covers all below; `*` stays within a folder."""
    if pattern.endswith("/"):
        pattern += "**"
    expression = "".join(
        {"**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
        for part in re.split(r"(\*\*|\*|\?)", pattern)
    )
    return re.fullmatch(expression + r"(?:/.*)?" if "*" not in pattern else expression, path) is not None


def _named(path: str, expression: str) -> bool:
    """`N:` lines are regular expressions; only what cannot run away is taken from them."""
    if len(expression) > 80 or re.search(r"[*+}]\)?[*+{]|\\\d", expression):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Python may one day read otherwise
            return re.search(expression, path[:300]) is not None
    except re.error:
        return False


def address(entry: str) -> str:
    """The address in a `T:` entry, `git git://host/path.git branch`, however it is written: host and path."""
    words = entry.split()
    link = next((w for w in words if "://" in w), words[-1] if words else "")
    return re.sub(r"^[a-z+]+://", "", link.lower()).removesuffix("/").removesuffix(".git")
