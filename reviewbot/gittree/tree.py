"""A series and a git repository -> what the series does to the files.

A patch is applied to an index of the paths that it names, in a scratch repository, without a work tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from reviewbot.gittree.base import matching
from reviewbot.gittree.diff import changes, preimages, records
from reviewbot.gittree.fit import Fit, fits
from reviewbot.gittree.index import DIFF, PatchIndex
from reviewbot.gittree.scratch import Scratch, repository
from reviewbot.gittree.source import GitSource, TreeEntry
from reviewbot.limits import MAX_PATCH_ID_COMMITS, MAX_PATCH_ID_SECONDS, MAX_SUBJECTS_SECONDS
from reviewbot.text import clean
from reviewbot.types import Address, Change, Prerequisite, Prior, ReviewError, Series, Source, Unreviewed

FLAGGED = frozenset((".gitattributes", ".gitmodules", ".b4-config"))
"""Files that change what git or b4 do with the tree."""


class Tree:
    """A git repository to apply series to; a context manager, whose temporary folder goes at its end.

    Not for several threads at once.
    """

    def __init__(self, name: str, git_dir: Path | None = None, common: Path | None = None) -> None:
        self._name = name
        self._git = Scratch(name, git_dir, common)
        self._ids: dict[str, frozenset[str]] = {}

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """The repository that `path` is in: a work tree or a folder of it, a linked work tree, or a bare repository.

        Raises ReviewError when there is none, or when its object ids are not SHA-1.
        """
        name = clean(str(path))
        tree = cls(name, *repository(path))
        try:
            form = tree._git.ask("rev-parse", "--show-object-format")
            if form != "sha1":
                raise ReviewError(f"the repository {name} has {form} object ids: only SHA-1 repositories can be read")
        except ReviewError:
            tree.close()
            raise
        return tree

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """A repository of one commit with these files, without any repository of the user."""
        tree = cls("the files given")
        tree._git.commit("", dict(files))
        return tree

    def close(self) -> None:
        """End git and remove the temporary folder."""
        self._git.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def resolve(self, rev: str) -> str:
        """The id (40 hex digits) of the commit that `rev` names in the repository; ReviewError when there is none."""
        if rev and "\0" not in rev:
            found = self._git.ask(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}", fails=True
            )
            if found:
                return found
        raise ReviewError(f"there is no commit `{clean(rev)}` in {self._name}: fetch it, or name another")

    def identity(self) -> Address | None:
        """Name and address that the user's git is configured with for this repository, or None."""
        name, email = (
            self._git.ask("config", "--get", key, own=True, fails=True) for key in ("user.name", "user.email")
        )
        return Address(clean(name), clean(email)) if email else None

    def range_mbox(self, revrange: str) -> bytes:
        """The commits of `A..B` (without B: up to HEAD) as the mbox that `git format-patch --stdout` makes.

        It carries the base as `base-commit:`. Raises ReviewError for what is no range, or has no commits.
        """
        old, dots, new = revrange.partition("..")
        if not (old and dots) or new.startswith("."):
            raise ReviewError(f"`{clean(revrange)}` is no range of commits: write A..B")
        start, end = self.resolve(old), self.resolve(new or "HEAD")
        found = self._git.maybe("merge-base", start, end)
        base = [f"--base={found.decode().strip()}"] if found else []
        mbox = self._git.call("format-patch", "--stdout", "--full-index", "--binary", *base, f"{start}..{end}")
        if not mbox:
            raise ReviewError(f"there is no commit in {clean(revrange)}, or only merges: write OLDER..NEWER")
        return mbox

    def apply(
        self,
        series: Series,
        base: str | None = None,
        branch: str = "HEAD",
        first: Sequence[Series | bytes] = (),
        prior: Sequence[Prior] = (),
        merged: bool = False,
    ) -> Change:
        """Apply a series as `git am` would, to a commit found in this order: `base`, else the series' base-commit,
        else the commit whose files are those that the patches start from, else `branch`.

        In: `first` are patches (a series, or the bytes of a diff) that belong to the base. So do the prerequisites
        (`prior`) after them, but for those that the base has; one that does not apply is left out. merged: the commit
        has the series already, and is taken as it was before. Out: the change, with `how` the base was found, and what
        became of the prerequisites. Raises Unreviewed with the file and hunk when it applies to none of these commits,
        ReviewError for an unknown `base` or `branch`.
        """
        patches = [_forms(patch.diff, patch.raw) for patch in series.patches]
        given = [forms for item in first for forms in _prior(item)]
        fault: Unreviewed | None = None
        for commit, how in self._bases(series, base, branch, by_blobs=not given):
            settled: tuple[Prerequisite, ...] = ()
            try:
                below = self._before(commit, patches) if merged else commit
                start, settled = self._prepared(self._with(below, given), prior)
                done = self._apply(start, patches)
                steps = [done.difference(i, i + 1) for i in range(len(patches))]
                whole = steps[0] if len(steps) == 1 else done.difference(0, -1)
            except Unreviewed as error:
                fault = fault or Unreviewed(
                    f"does not apply to {commit[:12]} ({how}): {error}{_left_out(prior, settled)}"
                )
                continue
            return Change(
                base=start,
                how=how + " (3way)" * done.merged,
                files=changes(whole),
                patches=tuple(changes(step) for step in steps),
                prerequisites=settled,
                flags=_flags(steps),
                onto=commit if start != commit else "",
            )
        assert fault
        raise fault

    def fits(self, diffs: Sequence[bytes], rev: str = "HEAD") -> list[Fit]:
        """How a series can go with a commit, as far as the text of its files tells; git still decides."""
        return fits(diffs, self.at(rev))

    def replace(self, files: Mapping[str, bytes], base: str = "HEAD") -> Change:
        """The change that puts these contents in the place of files of `base`, as if a patch had done it."""
        start = self.resolve(base)
        end = self._git.commit(start, dict(files))
        changed = changes(self._git.call("diff-tree", *DIFF, start, end))
        return Change(base=start, how="given", files=changed, patches=(changed,))

    def sources(self, change: Change) -> tuple[Source, Source]:
        """The files before and after a change that this very Tree has applied."""
        before = self._root(change.base)
        gone = {f.old_path: None for f in change.files if f.old_path}
        made = {f.path: f.after for f in change.files if f.after}
        return before, before.overlaid({**gone, **made})

    def message(self, rev: str) -> str:
        """The message of the commit that `rev` names; ReviewError when there is none."""
        return self._git.ask("log", "-1", "--format=%B", self.resolve(rev))

    @property
    def shallow(self) -> bool:
        """Whether its history was cut off when it was cloned."""
        return self._git.ask("rev-parse", "--is-shallow-repository") == "true"

    def by_subject(self, subjects: Iterable[str]) -> dict[str, str]:
        """The oldest commits of HEAD's history with these first lines of their messages: line -> commit id.

        Those that are not found in the time that there is are left out.
        """
        wanted = {text for text in subjects if text and "\n" not in text}
        if not wanted:
            return {}
        patterns = [f"--grep={text}" for text in sorted(wanted)]
        how = ("--no-merges", "--fixed-strings", "--format=%H %s", *patterns)
        output = self._git.maybe("log", *how, self.resolve("HEAD"), timeout=MAX_SUBJECTS_SECONDS) or b""
        lines = (line.partition(" ") for line in output.decode("utf-8", "replace").splitlines())
        return {text: commit for commit, _, text in lines if text in wanted}  # git tells the oldest last

    def difference(self, old: str, new: str) -> bytes:
        """The patch, without a message, that makes the files of one commit those of another; ReviewError for none."""
        return self._git.call("diff-tree", "-p", "--full-index", "--binary", self.resolve(old), self.resolve(new))

    def at(self, rev: str) -> Source:
        """The files of the commit that `rev` names; ReviewError when there is none."""
        return self._root(self.resolve(rev))

    def _root(self, commit: str) -> GitSource:
        tree = self._git.find(f"{commit}^{{tree}}")
        if tree is None:
            raise ReviewError(f"commit {commit[:12]} is not in {self._name}: apply the series to it again")
        return GitSource(self._git, tree)

    def _bases(self, series: Series, base: str | None, branch: str, by_blobs: bool) -> Iterator[tuple[str, str]]:
        """The commits to try, each once, with how it was found."""
        if base:
            yield self.resolve(base), "given"
            return
        said = self._git.find(f"{series.base_commit}^{{commit}}") if series.base_commit else None
        if said:
            yield said, "base-commit"
        default = self.resolve(branch)
        wanted = preimages(patch.diff for patch in series.patches) if by_blobs else {}
        match = matching(self._git, wanted, default)
        if match and match != said:
            yield match, "blobs"
        if default not in (said, match):
            yield default, "branch"

    def _apply(self, commit: str, patches: list[list[bytes]]) -> PatchIndex:
        index = PatchIndex(self._git, self._root(commit), patches)
        for number, forms in enumerate(patches, 1):
            try:
                index.apply(forms)
            except Unreviewed as error:
                which = f"patch {number} of {len(patches)}: " if len(patches) > 1 else ""
                raise Unreviewed(f"{which}{error}") from None
        return index

    def _with(self, commit: str, prior: list[list[bytes]]) -> str:
        """The commit itself, or one in the scratch repository with the prior patches on top of it."""
        if not prior:
            return commit
        try:
            return self._applied(commit, prior)
        except Unreviewed as error:
            raise Unreviewed(f"of what has to be applied first, {error}") from None

    def _before(self, commit: str, patches: list[list[bytes]]) -> str:
        """A commit in the scratch repository from which patches that are in another were taken back; raises Unreviewed."""
        index = PatchIndex(self._git, self._root(commit), patches)
        if not all(index.undo(forms) for forms in reversed(patches)):
            raise Unreviewed("it is not in there: it cannot be taken back")
        return self._committed(commit, index.difference(0, -1))

    def _applied(self, commit: str, patches: list[list[bytes]]) -> str:
        """A commit in the scratch repository with the patches on top of another; raises Unreviewed."""
        return self._committed(commit, self._apply(commit, patches).difference(0, -1))

    def _committed(self, commit: str, difference: bytes) -> str:
        """A commit in the scratch repository with a difference (of `git diff-tree`) on top of another."""
        entries, _ = records(difference)
        changed: dict[str, TreeEntry | bytes | None] = {entry.old_path: None for entry in entries}
        changed |= {e.path: TreeEntry(e.modes[1], e.ids[1]) for e in entries if e.modes[1] != "000000"}
        return self._git.commit(commit, changed)

    def patch_id(self, diff: bytes) -> str:
        """What identifies a patch wherever it was applied (`git patch-id --stable`); empty for what is no diff."""
        return (self._git.maybe("patch-id", "--stable", data=diff) or b"").decode().partition(" ")[0]

    def _prepared(self, commit: str, prior: Sequence[Prior]) -> tuple[str, tuple[Prerequisite, ...]]:
        """The commit with the prerequisites that it lacks on top of it, and what became of each."""
        settled = []
        for item in prior:
            state, why = "applied", item.prerequisite.why
            if item.patches:
                try:
                    commit, state = self._with_prerequisite(commit, _prior(Series(patches=item.patches)))
                except Unreviewed as error:
                    gone_on = {self.patch_id(p.diff) for p in item.patches} <= self._patch_ids(commit)
                    state, why = ("in the base", "") if gone_on else ("missing", f"it does not apply: {error}")
            elif item.prerequisite.kind == "patch-id" and item.prerequisite.id in self._patch_ids(commit):
                state, why = "in the base", ""
            else:
                state = "missing"
            settled.append(msgspec.structs.replace(item.prerequisite, state=state, why=why))
        return commit, tuple(settled)

    def _with_prerequisite(self, commit: str, patches: list[list[bytes]]) -> tuple[str, str]:
        """The commit with these patches, but for those that it has; raises Unreviewed where one does not apply."""
        if self._has(commit, patches):
            return commit, "in the base"
        lacking = [forms for forms in patches if not self._has(commit, [forms])]
        done = self._applied(commit, lacking)
        return done, "applied"

    def _has(self, commit: str, patches: list[list[bytes]]) -> bool:
        """Whether patches can all be taken back from a commit, the last one first."""
        try:
            index = PatchIndex(self._git, self._root(commit), patches)
        except Unreviewed:
            return False
        return all(index.undo(forms) for forms in reversed(patches))

    def _patch_ids(self, commit: str) -> frozenset[str]:
        """Patch ids of the newest commits of a history; none where that takes too long."""
        if commit not in self._ids:
            show = ("-c", "log.showRoot=false", "log", "-p", "--no-merges", "--no-color", f"-n{MAX_PATCH_ID_COMMITS}")
            log = (
                self._git.maybe(*show, "--no-ext-diff", "--no-textconv", commit, "--", timeout=MAX_PATCH_ID_SECONDS)
                or b""
            )
            rows = (self._git.maybe("patch-id", "--stable", data=log) or b"").split(b"\n")
            self._ids[commit] = frozenset(row.partition(b" ")[0].decode() for row in rows)
        return self._ids[commit]


def _forms(diff: bytes, raw: bytes) -> list[bytes]:
    """The forms in which a diff may be meant: as it is, with the carriage returns of its message, without any."""
    forms = [diff]
    if b"\r\n" in raw:
        start = raw.find(b"\n" + diff.partition(b"\n")[0])
        forms += [raw[start + 1 :]] if start >= 0 else []
    return list(dict.fromkeys([*forms, diff.replace(b"\r\n", b"\n")]))


def _prior(item: Series | bytes) -> list[list[bytes]]:
    return [_forms(item, b"")] if isinstance(item, bytes) else [_forms(p.diff, p.raw) for p in item.patches]


def _left_out(prior: Sequence[Prior], settled: Sequence[Prerequisite]) -> str:
    """The prerequisites that are there and do not apply, for the line that says that a series does not."""
    pairs = zip(prior, settled, strict=False)
    return "".join(f"; prerequisite {p}: {p.why}" for item, p in pairs if item.patches and p.state == "missing")


def _flags(steps: Sequence[bytes]) -> tuple[str, ...]:
    """Paths that a reviewer wants to see first: git's and b4's own files, scripts, links and modules."""
    entries = [entry for step in steps for entry in records(step)[0]]
    return tuple(
        dict.fromkeys(
            e.path
            for e in entries
            if e.path.rpartition("/")[2] in FLAGGED
            or e.path.startswith("scripts/")
            or not {"100755", "120000", "160000"}.isdisjoint(e.modes)
        )
    )
