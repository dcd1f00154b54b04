"""Why a diff does not fit a tree, in our own words: which file, which hunk, what is missing there.

git has refused the diff before this is asked, and git's word is what counts; this only explains.
"""

from __future__ import annotations

from collections.abc import Container

from reviewbot.gittree.diff import DiffSection, RawRecord, sections
from reviewbot.limits import MAX_HUNKS_OF_DIFF
from reviewbot.text import clean
from reviewbot.types import Source

QUOTED = 60
"""Characters of a line that a message shows."""


def misfit(diff: bytes, source: Source, links: Container[str] = ()) -> str:
    """One line: why `diff` does not apply to `source`.

    In: the diff as posted, the files it meets (at least those that it names), the paths of symbolic links and modules
    among them and their parent folders. Out: `path, hunk at line 12: reason`, safe to show.
    """
    parts = sections(diff)
    if not parts:
        return "there is no diff in it"
    for part in parts:
        for hunk in part.hunks:
            if not hunk.whole:
                where = f"{_shown(part.path)}, hunk at line {hunk.before}"
                return f"{where}: the hunk is cut short or mangled, it has fewer lines than it says"
    made = {part.new for part in parts if part.mode == "120000"}
    for part in parts[:MAX_HUNKS_OF_DIFF]:
        reason = _place(part, links, made) or _file(part, source)
        if reason:
            return f"{_shown(part.path)}: {reason}"
    files = source.read_many({part.old for part in parts[:MAX_HUNKS_OF_DIFF] if part.old})
    hunks = [(part, hunk, files[part.old]) for part in parts for hunk in part.hunks if part.old in files][
        :MAX_HUNKS_OF_DIFF
    ]
    for part, hunk, content in hunks:
        reason = _hunk(hunk, content)
        if reason and all(_is_applied(other, file) for _, other, file in hunks):
            reason = "already applied"
        if reason:
            return f"{_shown(part.path)}, hunk at line {hunk.before}: {reason}"
    return f"{_shown(parts[0].path)}: git refuses it"


def unsafe(path: str) -> str:
    """What is wrong with a path that a patch names, whatever the tree; empty for a good one."""
    names = path.split("/")
    if path.startswith("/"):
        return "an absolute path"
    if ".." in names or "." in names or "" in names:
        return "a path outside of the tree"
    if any(name.rstrip(" .").lower() == ".git" for name in names):
        return "a path inside .git"
    if any(c in path for c in "\n\0\ufffd"):
        return "a path with a line break or bytes that are not UTF-8"
    return ""


def _place(part: DiffSection, links: Container[str], made: Container[str]) -> str:
    for path in (part.old, part.new):
        if path and (reason := unsafe(path)):
            return reason
        parents = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)]
        if any(parent in links or parent in made for parent in parents):
            return "its folder is a symbolic link or a file"
        if path in links:
            return "it is a symbolic link or a module"
    return ""


def _file(part: DiffSection, source: Source) -> str:
    """What is wrong with the file as such, before its hunks are looked at."""
    if part.binary and not part.data:
        return "a binary change without the data (`git format-patch --binary` has it)"
    if part.binary and len(part.before) < 40:
        return "a binary change without full blob ids (`git format-patch --binary` has them)"
    if part.old and source.blob(part.old) is None:
        if part.bare:
            return "no such file, and the diff has no a/ and b/ before its paths (made with --no-prefix?)"
        if not part.new:
            return "already applied: the file to be deleted is not there"
        if part.old != part.new and source.blob(part.new) is not None:
            return f"already applied: there is no {_shown(part.old)} to rename"
        return "no such file" if part.old == part.new else f"no such file: {_shown(part.old)}"
    if part.old != part.new and part.new and (there := source.read(part.new)) is not None:
        if not part.old and part.hunks and there == _written(part):
            return "already applied: the new file is there, with this content"
        return "the new file exists already"
    return ""


def _hunk(hunk: RawRecord, content: bytes) -> str:
    """Why a hunk does not fit into a file; empty when it does."""
    before = hunk.side(b"-")
    if has_lines(content, before):
        return "" if _context(hunk) or before == [] else "the hunk has no line of context"
    if _is_applied(hunk, content):
        return "this hunk is already applied"
    if has_lines(_blank(content), [_blank(line) for line in before]):
        return "it differs from the file in white space (mangled by a mail program?)"
    there = set(content.split(b"\n"))
    for line in before:
        if line not in there:
            text = clean(line.decode("utf-8", "replace"))
            return f"context not found, the file has no line `{text[:QUOTED]}{'...' if len(text) > QUOTED else ''}`"
    return "context not found, the file has its lines but not one after another"


def _is_applied(hunk: RawRecord, content: bytes) -> bool:
    """Whether the file is already as the hunk leaves it."""
    return has_lines(content, hunk.side(b"+")) and not has_lines(content, hunk.side(b"-"))


def _context(hunk: RawRecord) -> bool:
    return any(line[:1] in (b" ", b"") for line in hunk.lines)


def has_lines(content: bytes, lines: list[bytes]) -> bool:
    """Whether these whole lines stand in the content, one after another."""
    return b"\n" + b"\n".join(lines) + b"\n" in b"\n" + content + b"\n"


def _written(part: DiffSection) -> bytes:
    """Content of a file that the diff creates."""
    lines = [line for hunk in part.hunks for line in hunk.side(b"+")]
    ends = not any(line.startswith(b"\\") for hunk in part.hunks for line in hunk.lines)
    return b"\n".join(lines) + (b"\n" if ends else b"")


def _blank(text: bytes) -> bytes:
    """Text with each run of white space as one blank, line by line."""
    return b"\n".join(b" ".join(line.split()) for line in text.split(b"\n"))


def _shown(path: str) -> str:
    return clean(path) or "(no name)"
