"""Whether a patch can fit a tree at all, asked of the text of the files before git is: no process is started.

What is said here is no more than a hint that spares git most of the patches of an archive: where `can_apply` is False git
would refuse the patch as well, where it is True git still decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from reviewbot.gittree.diff import DiffSection, sections
from reviewbot.gittree.misfit import has_lines, unsafe
from reviewbot.types import Source


class Fit(StrEnum):
    """How a series goes with a tree."""

    MERGED = "merged"
    """It is in there; reviewed is what taking it back and applying it again does."""
    APPLIES = "applies"


def fits(diffs: Iterable[bytes], source: Source) -> list[Fit]:
    """How the patches of a series, in their order, can go with a tree; nothing where git would refuse them both ways."""
    diffs = tuple(diffs)
    parts = [part for diff in diffs for part in sections(diff.replace(b"\r\n", b"\n"))]
    if not parts or any(unsafe(path) for part in parts for path in (part.old, part.new) if path):
        return []
    copies = any(b"\ncopy from " in diff for diff in diffs)  # git does not take back a copy: its source is still there
    merged = not copies and can_take_back(parts, source)
    return [*[Fit.MERGED] * merged, *[Fit.APPLIES] * can_apply(parts, source)]


def can_apply(parts: Iterable[DiffSection], source: Source) -> bool:
    """Whether the files are there as the first section about each of them starts from."""
    met: set[str] = set()
    for part in parts:
        paths = {part.old, part.new} - {""}
        first = not paths & met
        met |= paths
        if first and not _meets(part, source, part.old, part.new, b"-"):
            return False
    return True


def can_take_back(parts: Iterable[DiffSection], source: Source) -> bool:
    """Whether the files are there as the last section about each of them leaves them."""
    met: set[str] = set()
    for part in reversed(list(parts)):
        paths = {part.old, part.new} - {""}
        last = not paths & met
        met |= paths
        if last and not _meets(part, source, part.new, part.old, b"+"):
            return False
    return True


def _meets(part: DiffSection, source: Source, start: str, end: str, sign: bytes) -> bool:
    """Whether `start` is a file with the lines that the hunks have on the side of `sign`; without it, `end` is none yet.

    A link is left to git.
    """
    if part.mode == "120000":
        return True
    if not start:
        return source.blob(end) is None
    content = source.read(start)
    if content is not None and b"\r" in content:
        content = content.replace(b"\r\n", b"\n")
    return content is not None and all(has_lines(content, hunk.side(sign)) for hunk in part.hunks)
