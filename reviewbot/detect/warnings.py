"""Comments of a function that warn of a deadlock and are gone, together with code next to them.

Who wrote one had met the deadlock, or had it pointed out in a review: that both go at once is worth a second look. What
the words mean is not understood; they are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from reviewbot.analysis.program.program import Program
from reviewbot.function_key import FunctionKey
from reviewbot.limits import MAX_WARNING_SHOWN
from reviewbot.types import Change, Hunk, Line, Place, Value

_COMMENT = re.compile(r"^\s*(?:/\*|\*(?!\w)|//)|/\*|//\s")
_FRAME = re.compile(r"^\s*(?:/\*+|\*+/?|//)\s?")
_WARNS = re.compile(
    r"dead-?lock|\bA-?B-?B-?A\b|\blockdep\b|lock(?:ing)? (?:order|inversion|dependency)"
    r"|\b(?:can ?not|can't|must not|mustn't|should not|shouldn't|not safe to|not allowed to|don't want to|do not|don't)\b"
    r"[^.]{0,40}\b(?:sleep|block|hold|holding|held|recurse|wait)\b"
    r"|\b(?:sleep|wait|hang|block|stuck)\w*\b[^.]{0,30}\bforever\b|\blost wake-?up|\bmissed wake-?up",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z_]{4,}")
_KEPT = 0.5
"""The share of a comment's words that the patch writes again when it only moves or rewords the comment."""


class WarningGone(Value, frozen=True):
    """A comment that a patch takes away, and where it stood."""

    key: FunctionKey
    at: Place
    text: str
    """Its words around what warns, on one line."""


def gone(change: Change, before: Program, after: Program) -> Iterator[WarningGone]:
    """The warnings that functions which both sides have lost, each with code beside it that changed, too."""
    for file in change.files:
        written = {w.lower() for h in file.hunks for x in h.lines if x.sign == "+" for w in _WORD.findall(x.text)}
        path = file.old_path or file.path
        for hunk in file.hunks:
            changes_code = any(x.sign != " " and x.text.strip() and not _COMMENT.search(x.text) for x in hunk.lines)
            for rows in _comments(hunk) if changes_code else ():
                text = _warning(rows, written)
                key = _around(before, path, rows[0].before) if text else None
                if key is not None and key in after.names.functions:
                    place = Place(path, rows[0].before, before.function(key).name)
                    yield WarningGone(key=key, at=place, text=text)


def _warning(rows: Sequence[Line], written: Collection[str]) -> str:
    """The words of a comment that warns, as they may be shown; empty where it does not, or is only moved or reworded.

    written: the words that the patch adds to the file, in small letters.
    """
    text = " ".join(filter(None, (_plain(row.text) for row in rows)))
    found = _WARNS.search(text)
    words = [w.lower() for w in _WORD.findall(text)]
    if found is None or not words or sum(w in written for w in words) > _KEPT * len(words):
        return ""
    return _cut(text, found.start())


def _comments(hunk: Hunk) -> Iterator[Sequence[Line]]:
    """Runs of lines of comment that are taken away."""
    rows: list[Line] = []
    for line in (*hunk.lines, Line(" ", "", 0, 0)):
        if line.sign == "-" and _COMMENT.search(line.text):
            rows.append(line)
        elif rows:
            yield rows
            rows = []


def _plain(row: str) -> str:
    """The words of a line of comment; of code with a comment behind it those of the comment."""
    starts = [at for mark in ("/*", "//") if (at := row.find(mark)) >= 0]
    return _FRAME.sub("", row[min(starts) :] if starts else row).rstrip().removesuffix("*/").strip()


def _around(program: Program, path: str, line: int) -> FunctionKey | None:
    """The function that a line of a file stands in."""
    inside = (key for key in program.functions(path) if (f := program.function(key)).line <= line <= f.end)
    return next(inside, None)


def _cut(text: str, around: int) -> str:
    """The part of a text that may be shown."""
    if len(text) <= MAX_WARNING_SHOWN:
        return text
    start = max(0, min(around - MAX_WARNING_SHOWN // 3, len(text) - MAX_WARNING_SHOWN))
    part = text[start : start + MAX_WARNING_SHOWN]
    return f"{'... ' if start else ''}{part.strip()}{' ...' if start + MAX_WARNING_SHOWN < len(text) else ''}"
