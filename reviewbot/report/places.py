"""Where a finding is to be shown in the tree with the series applied: editors, git hooks and forges have no other."""

from __future__ import annotations

from reviewbot.types import Change, FileChange, Finding, Hunk, Place, Side


def shown_at(finding: Finding, change: Change | None) -> Place:
    """The line of the end state that stands for a finding.

    Its own line where the series wrote it; the line that follows what the series took away; where the file is gone, the
    line that it had.
    """
    if finding.side is Side.AFTER or change is None:
        return finding.at
    file = next((f for f in change.files if (f.old_path or f.path) == finding.at.file), None)
    if file is None or not file.after:
        return finding.at
    return Place(file.path, _line(file, finding.at.line), finding.at.function)


def _line(file: FileChange, before: int) -> int:
    grown = 0  # by how many lines the hunks above made the file longer
    for hunk in file.hunks:
        rows = [row.before for row in hunk.lines if row.before]
        if rows and before < rows[0]:
            break
        if before in rows:
            return _beside(hunk, before) or max(rows[0] + grown, 1)
        grown += sum((row.sign == "+") - (row.sign == "-") for row in hunk.lines)
    return max(before + grown, 1)


def _beside(hunk: Hunk, before: int) -> int:
    """The first line of the end state from a line of the base on, within its hunk, else the last one of it; or 0."""
    index = next(n for n, row in enumerate(hunk.lines) if row.before == before)
    below = [row.after for row in hunk.lines[index:] if row.after]
    above = [row.after for row in hunk.lines[:index] if row.after]
    return below[0] if below else above[-1] if above else 0
