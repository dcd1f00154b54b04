"""Unified diffs as text: the files they name, the blobs they start from, their hunks. Runs no git.

Reads what `git apply` reads (its own format with quoted names, renames and binary data, and the plain `---`/`+++`
format), line ends being `\\n` alone; applying is git's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from reviewbot.types import FileChange, Hunk, Line, Value

_HUNK = re.compile(rb"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)")
_INDEX = re.compile(rb"index ([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})")
_RECORD = re.compile(rb":(\d+) (\d+) ([0-9a-f]+) ([0-9a-f]+) ([A-Z])\d*\0([^\0]*)\0")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class RawRecord(Value, frozen=True):
    """One hunk as it is written: the line numbers are what the mail claims."""

    before: int
    after: int
    lines: tuple[bytes, ...]
    """With their sign; `\\ No newline at end of file` is in here too."""
    section: bytes = b""
    whole: bool = True
    """False when the text ends, or goes on as something else, before the hunk has as many lines as it says."""

    def side(self, sign: bytes) -> list[bytes]:
        """The lines of the file before (`-`) or after (`+`), without sign."""
        return [line[1:] for line in self.lines if line[:1] in (sign, b" ", b"")]

    def numbered(self) -> Hunk:
        """The hunk with a line number on each side of each line, text decoded as UTF-8."""
        before, after = self.before, self.after
        lines = []
        for raw in self.lines:
            sign = raw[:1].decode() or " "
            if sign == "\\":
                continue
            text = raw[1:].decode("utf-8", "replace")
            lines.append(Line(sign, text, before if sign != "+" else 0, after if sign != "-" else 0))
            before += sign != "+"
            after += sign != "-"
        return Hunk(lines=tuple(lines), section=self.section.decode("utf-8", "replace"))


class DiffSection(Value, frozen=True):
    """What a diff does to one file. A created file has no `old`, a deleted one no `new`."""

    old: str
    new: str
    before: str = ""
    """Blob id before as the `index` line has it (abbreviated), or empty."""
    after: str = ""
    hunks: tuple[RawRecord, ...] = ()
    mode: str = ""
    """Of a created file, as the diff has it: 100644, 100755, 120000 for a link."""
    binary: bool = False
    data: bool = False
    """Whether the binary change itself is in the diff."""
    bare: bool = False
    """Whether the names have no `a/` and `b/` in front, as `--no-prefix` writes them."""

    @property
    def path(self) -> str:
        """The name that a person calls the file by: the new one, where there is one."""
        return self.new or self.old


class DiffRecord(Value, frozen=True):
    """One entry of `git diff-tree --raw`: modes are 000000 and ids all zeros on a side where nothing is."""

    path: str
    old_path: str
    modes: tuple[str, str]
    ids: tuple[str, str]

    @property
    def sides(self) -> tuple[str, str]:
        """Blob ids of the regular file before and after; empty where there is none (nothing, a link, a module)."""
        before, after = (i if m.startswith("100") else "" for m, i in zip(self.modes, self.ids, strict=True))
        return before, after


def sections(diff: bytes) -> tuple[DiffSection, ...]:
    """The files of a diff in order; text between them is skipped."""
    return tuple(_sections(diff.split(b"\n")))


def preimages(diffs: Iterable[bytes]) -> dict[str, str]:
    """What a series starts from: path -> blob id (abbreviated), or an empty string for a file that must not exist.

    Only the first mention of a path counts: what later patches find there is the series' own.
    """
    wanted: dict[str, str] = {}
    seen: set[str] = set()
    for diff in diffs:
        for section in sections(diff):
            start = section.old or section.new
            if start not in seen and (section.before or not section.old):
                wanted[start] = section.before if section.old else ""
            seen |= {section.old, section.new}
    return wanted


def records(output: bytes) -> tuple[tuple[DiffRecord, ...], bytes]:
    """The entries of `git diff-tree -r -z --raw`, and the patch that follows them with `-p`."""
    found = []
    at = 0
    while entry := _RECORD.match(output, at):
        at = entry.end()
        old = new = entry[6]
        if entry[5] in (b"R", b"C"):
            end = output.index(b"\0", at)
            new, at = output[at:end], end + 1
        modes = (entry[1].decode(), entry[2].decode())
        ids = (entry[3].decode(), entry[4].decode())
        found.append(DiffRecord(new.decode("utf-8", "replace"), old.decode("utf-8", "replace"), modes, ids))
    return tuple(found), output[at + 1 :]


def changes(output: bytes) -> tuple[FileChange, ...]:
    """What `git diff-tree -r -M -z --raw -p` says of regular files; links and modules are not there."""
    entries, text = records(output)
    parts = _sections(text.split(b"\n"))
    found = []
    for entry in entries:
        before, after = entry.sides
        # git writes a change of type as two sections, the first takes the old file away.
        typed = "000000" not in entry.modes and entry.modes[0][:2] != entry.modes[1][:2]
        mine = [next(parts) for _ in range(1 + typed)]
        part = mine[0] if before else mine[-1]
        if before or after:
            hunks = tuple(h.numbered() for h in part.hunks)
            old = entry.old_path if before else ""
            found.append(FileChange(entry.path, old, before, after, hunks, part.binary))
    return tuple(found)


def _sections(lines: list[bytes]) -> Iterator[DiffSection]:
    i = 0
    while i < len(lines):
        if _starts(lines, i):
            section, i = _section(lines, i)
            yield section
        else:
            i += 1


def _starts(lines: list[bytes], i: int) -> bool:
    return lines[i].startswith(b"diff --git ") or _named(lines, i)


def _named(lines: list[bytes], i: int) -> bool:
    """Whether a `---`, a `+++` and a hunk follow one another from line `i` on."""
    marks = (b"--- ", b"+++ ", b"@@ -")
    return all(line.startswith(mark) for line, mark in zip(lines[i : i + 3], marks, strict=False)) and i + 2 < len(
        lines
    )


def _section(lines: list[bytes], i: int) -> tuple[DiffSection, int]:
    old = new = b""
    before = after = ""
    mode = ""
    deleted = binary = data = False
    if lines[i].startswith(b"diff --git "):
        old, new = _both(lines[i][len(b"diff --git ") :].rstrip(b"\r"))
        i += 1
    while i < len(lines) and not lines[i].startswith((b"diff --git ", b"@@ -")):
        line = lines[i].rstrip(b"\r")
        key, _, value = line.partition(b" ")
        if _named(lines, i):
            old, new = _name(line[4:]), _name(lines[i + 1][4:])
            i += 1
        elif line.startswith((b"rename from ", b"copy from ")):
            old = b"a/" + _unquoted(value[len(b"from ") :])
        elif line.startswith((b"rename to ", b"copy to ")):
            new = b"b/" + _unquoted(value[len(b"to ") :])
        elif found := _INDEX.match(line):
            before, after = found[1].decode(), found[2].decode()
        if line.startswith(b"new file mode "):
            mode = line[len(b"new file mode ") :].decode("ascii", "replace").strip()
        deleted = deleted or line.startswith(b"deleted file mode ")
        data = data or line == b"GIT binary patch"
        binary = binary or data or (key == b"Binary" and line.endswith(b" differ"))
        i += 1
    hunks = []
    while i < len(lines) and (head := _HUNK.match(lines[i])):
        hunk, i = _hunk(lines, i + 1, head)
        hunks.append(hunk)
    section = DiffSection(
        old="" if mode else _stripped(old),
        new="" if deleted else _stripped(new),
        before=before,
        after=after,
        hunks=tuple(hunks),
        mode=mode,
        binary=binary,
        data=data,
        bare=not (old.startswith(b"a/") or new.startswith(b"b/")),
    )
    return section, i


def _hunk(lines: list[bytes], i: int, head: re.Match[bytes]) -> tuple[RawRecord, int]:
    left = {b"-": int(head[2] or 1), b"+": int(head[4] or 1)}
    got: list[bytes] = []
    while i < len(lines) and (any(left.values()) or lines[i].startswith(b"\\ ")):
        line = lines[i]
        signs = {b"-": b"-", b"+": b"+", b" ": b"-+", b"": b"-+", b"\\": b""}.get(line[:1])
        if signs is None or (not line and i == len(lines) - 1) or any(left[bytes([s])] == 0 for s in signs):
            break
        for sign in signs:
            left[bytes([sign])] -= 1
        got.append(line)
        i += 1
    whole = not any(left.values())
    return RawRecord(int(head[1]), int(head[3]), tuple(got), head[5], whole), i


def _both(names: bytes) -> tuple[bytes, bytes]:
    """The two names of a `diff --git` line; where blanks make it ambiguous they are two equal halves."""
    if names.startswith(b'"'):
        end = re.match(rb'"(?:[^"\\]|\\.)*"', names)
        cut = end.end() if end else len(names)
        return _unquoted(names[:cut]), _unquoted(names[cut + 1 :])
    if names.endswith(b'"') and b' "' in names:
        old, _, new = names.partition(b' "')
        return old, _unquoted(b'"' + new)
    middle = len(names) // 2
    return names[:middle], names[middle + 1 :]


def _name(text: bytes) -> bytes:
    """The name on a `---` or `+++` line: a time stamp may follow after a tab."""
    return _unquoted(text) if text.startswith(b'"') else text.partition(b"\t")[0].rstrip(b"\r")


def _unquoted(name: bytes) -> bytes:
    """A name as git quotes it, back to its bytes."""
    if not name.startswith(b'"'):
        return name
    inner = name[1:].rpartition(b'"')[0]
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 8) & 255]) if len(m[1]) == 3 else _ESCAPED.get(m[1], m[1]), inner)


def _stripped(name: bytes) -> str:
    """The path without its first folder (`a/`, `b/`); empty for /dev/null."""
    if name in (b"/dev/null", b""):
        return ""
    head, slash, rest = name.partition(b"/")
    return (rest if slash else head).decode("utf-8", "replace")
