"""A series applied to an index of the paths that it names: no work tree, no other file of the tree is looked at."""

from __future__ import annotations

from reviewbot.gittree.diff import records, sections
from reviewbot.gittree.misfit import misfit, unsafe
from reviewbot.gittree.source import Git, GitSource
from reviewbot.text import clean
from reviewbot.types import Unreviewed

DIFF = ("-r", "-M", "-z", "--raw", "-p", "--full-index", "--no-ext-diff", "--no-textconv")
"""Options of `git diff-tree` whose output `diff.records` and `diff.changes` read."""


class PatchIndex:
    """An index of the paths that a series names, and the trees (of these paths alone) that its patches make of it."""

    def __init__(self, git: Git, base: GitSource, patches: list[list[bytes]]) -> None:
        self._git = git
        self.merged = False
        parts = [part for forms in patches for diff in forms for part in sections(diff)]
        self._named = {path for part in parts for path in (part.old, part.new) if path}
        rows = []
        for path in sorted(self._named):
            if reason := unsafe(path):
                raise Unreviewed(f"{clean(path)}: {reason}")
            entry = base.entry(path)
            if entry and entry.folder:
                raise Unreviewed(f"{clean(path)}: there is a folder of this name")
            if entry:
                rows.append(f"{entry.mode} {entry.id}\t{path}\0")
            # git looks for links above a path in the index, which has named paths only
            above = [(p, e) for p in _above(path) if p not in self._named and (e := base.entry(p))]
            if any(not e.folder for _, e in above):
                raise Unreviewed(f"{clean(path)}: its folder is a symbolic link or a file")
        self._git.call("read-tree", "--empty")
        self._git.call("update-index", "-z", "--index-info", data="".join(rows).encode())
        self._at = self._git.call("write-tree", "--missing-ok").decode().strip()
        self._trees = [self._at]

    def apply(self, forms: list[bytes]) -> None:
        """Apply one patch, given in the forms in which it may be meant (with and without carriage returns).

        Of those that apply, the one counts that leaves the files as the `index` lines say, else the first; merging is
        for when none applies. Raises Unreviewed with file, hunk and reason.
        """
        for merge in (False, True):
            made = [(diff, tree) for diff in forms if (tree := self._try(diff, merge))]
            meant = [tree for diff, tree in made if self._is_meant(diff, tree)] if len(made) > 1 else []
            if made:
                self._trees.append(meant[0] if meant else made[0][1])
                self.merged |= merge
                return
        now = self._source()
        entries = ((path, now.entry(path)) for path in self._named)
        raise Unreviewed(misfit(forms[0], now, {path for path, e in entries if e and not e.regular}))

    def undo(self, forms: list[bytes]) -> bool:
        """Take a patch back that is in there, in one of its forms; False, and nothing done, where it is not."""
        for diff in forms:
            if tree := self._try(diff, merge=False, reverse=True):
                self._trees.append(tree)
                return True
        return False

    def difference(self, old: int, new: int) -> bytes:
        """What `git diff-tree` says between two of the trees, for `diff.records` and `diff.changes`."""
        output = self._git.call("diff-tree", *DIFF, self._trees[old], self._trees[new])
        entries, _ = records(output)
        for path in sorted({p for e in entries for p in (e.path, e.old_path)} - self._named):
            raise Unreviewed(f"{clean(path)}: git reads this path in the diff where none was seen")
        return output

    def _source(self, tree: str = "") -> GitSource:
        return GitSource(self._git, tree or self._trees[-1])

    def _try(self, diff: bytes, merge: bool, reverse: bool = False) -> str:
        """The tree that the diff, or the diff read backwards (`reverse`), makes of the last one; empty when git refuses
        it, or merges nothing into nothing."""
        if self._at != self._trees[-1]:
            self._git.call("read-tree", self._trees[-1])
        self._at = ""
        way = [*["--3way"] * merge, *["--reverse"] * reverse]
        if self._git.maybe("apply", "--cached", *way, "--whitespace=nowarn", "-", data=diff) is None:
            return ""
        self._at = self._git.call("write-tree").decode().strip()
        return "" if merge and self._at == self._trees[-1] else self._at

    def _is_meant(self, diff: bytes, tree: str) -> bool:
        """Whether the files of the tree have the blob ids that the diff says they get."""
        after = self._source(tree)
        return all((after.blob(part.new) or "").startswith(part.after) for part in sections(diff) if part.new)


def _above(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[:n]) for n in range(1, len(names))]
