"""A series and a git repository -> what the series does to the files. The only file that runs git.

The user's repository is read and nothing else: everything happens in a scratch repository in a temporary folder that
borrows its objects (objects/info/alternates), so none of its hooks, configuration, attributes, index or work tree
matters, and a patch is applied to an index of the paths that it names, without a work tree.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from reviewbot.gittree.base import matching
from reviewbot.gittree.diff import changes, preimages, records
from reviewbot.gittree.index import DIFF, PatchIndex
from reviewbot.gittree.source import GitSource, TreeEntry
from reviewbot.text import clean
from reviewbot.types import Address, Change, Prerequisite, Prior, ReviewError, Series, Source, Unreviewed

try:
    import git
except ImportError as error:  # GitPython looks for the program as soon as it is imported
    raise ReviewError("cannot find the program git: install it, or add its folder to PATH") from error

TIMEOUT = 60
"""Seconds that one git command may take."""

HISTORY, SECONDS = 1000, 20
"""Commits of a history in which a prerequisite is looked for by its patch-id, and how long that may take."""

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
        try:
            repo = git.Repo(Path(path).resolve(), search_parent_directories=True, expand_vars=False)
        except (git.InvalidGitRepositoryError, git.NoSuchPathError):
            raise ReviewError(f"{name} is not in a git repository: name a kernel tree") from None
        with repo:
            tree = cls(name, Path(repo.git_dir), Path(repo.common_dir))
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
    ) -> Change:
        """Apply a series as `git am` would, to a commit found in this order: `base`, else the series' base-commit,
        else the commit whose files are those that the patches start from, else `branch`.

        In: `first` are patches (a series, or the bytes of a diff) that belong to the base. So do the prerequisites
        (`prior`) after them, but for those that the base has; one that does not apply is left out. Out: the change,
        with `how` the base was found, and what became of the prerequisites. Raises Unreviewed with the file and hunk
        when it applies to none of these commits, ReviewError for an unknown `base` or `branch`.
        """
        patches = [_forms(patch.diff, patch.raw) for patch in series.patches]
        given = [forms for item in first for forms in _prior(item)]
        fault: Unreviewed | None = None
        for commit, how in self._bases(series, base, branch, by_blobs=not given):
            settled: tuple[Prerequisite, ...] = ()
            try:
                start, settled = self._prepared(self._with(commit, given), prior)
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

    def _applied(self, commit: str, patches: list[list[bytes]]) -> str:
        """A commit in the scratch repository with the patches on top of another; raises Unreviewed."""
        entries, _ = records(self._apply(commit, patches).difference(0, -1))
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
            show = ("-c", "log.showRoot=false", "log", "-p", "--no-merges", "--no-color", f"-n{HISTORY}")
            log = self._git.maybe(*show, "--no-ext-diff", "--no-textconv", commit, "--", timeout=SECONDS) or b""
            rows = (self._git.maybe("patch-id", "--stable", data=log) or b"").split(b"\n")
            self._ids[commit] = frozenset(row.partition(b" ")[0].decode() for row in rows)
        return self._ids[commit]


class _Late(ReviewError):
    """git was stopped because it took too long."""


class Scratch:
    """A bare repository in a temporary folder with the objects of the user's; runs git there. It is a source.Git."""

    def __init__(self, name: str, git_dir: Path | None, common: Path | None) -> None:
        self._name = name
        self._folder = tempfile.TemporaryDirectory(prefix="reviewbot-")
        self._trees: dict[str, Mapping[str, TreeEntry]] = {}
        self._listings: dict[str, Mapping[str, str]] = {}
        home = Path(self._folder.name)
        here = home / "git"
        for folder in (home / "none", here / "objects/info", here / "refs", here / "info"):
            folder.mkdir(parents=True)
        (here / "HEAD").write_text("ref: refs/heads/main\n")
        (here / "config").write_text("[core]\nbare = true\nhooksPath = /dev/null\n[gc]\nauto = 0\n")
        # Wins over the attributes of the tree, with which a patch could hide its hunks or choose how it is merged.
        (here / "info/attributes").write_text("* !diff !merge !text !eol !ident !filter\n*.[ch] diff=cpp\n")
        if common:
            (here / "objects/info/alternates").write_bytes(b'"%s"\n' % _quoted(bytes(common.resolve() / "objects")))
            if (common / "shallow").exists():
                (here / "shallow").write_bytes((common / "shallow").read_bytes())
        safe = {
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "0",
            "GIT_CONFIG_PARAMETERS": "",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "reviewbot",
            "GIT_AUTHOR_EMAIL": "reviewbot@localhost",
            "GIT_COMMITTER_NAME": "reviewbot",
            "GIT_COMMITTER_EMAIL": "reviewbot@localhost",
        }

        def runner(where: Path, shared: Path, env: Mapping[str, str]) -> git.Git:
            # All of them are named, because a caller that is a git hook or alias has set some of them.
            found = git.Git(home / "none")
            found.update_environment(
                GIT_DIR=str(where),
                GIT_COMMON_DIR=str(shared),
                GIT_OBJECT_DIRECTORY=str(shared / "objects"),
                GIT_ALTERNATE_OBJECT_DIRECTORIES="",
                GIT_INDEX_FILE=str(home / "index"),
                GIT_WORK_TREE=str(home / "none"),
                **env,
            )
            return found

        self._here = runner(here, here, safe)
        self._user = runner(git_dir, common, safe) if git_dir and common else self._here
        self._own = runner(git_dir, common, {}) if git_dir and common else self._here

    def close(self) -> None:
        """End the processes that read objects, and remove the folder."""
        self._here.clear_cache()
        self._folder.cleanup()

    def call(self, *args: str, data: bytes = b"") -> bytes:
        """Output of a git command in the scratch repository; ReviewError when it fails."""
        output, error = self._run(self._here, args, data)
        if output is None:
            raise ReviewError(f"git {args[0]} failed for {self._name}: {error}")
        return output

    def maybe(self, *args: str, data: bytes = b"", timeout: float = 0) -> bytes | None:
        """Output of a git command in the scratch repository, or None when it fails or takes longer than `timeout`."""
        try:
            return self._run(self._here, args, data, timeout)[0]
        except _Late:
            if timeout:
                return None
            raise

    def ask(self, *args: str, own: bool = False, fails: bool = False) -> str:
        """One answer of the user's repository (with `own`, of the user's configuration too), without the line end.

        ReviewError when git fails, an empty text where it may (`fails`).
        """
        output, error = self._run(self._own if own else self._user, args)
        if output is None and not fails:
            raise ReviewError(f"git {args[0]} failed in {self._name}: {error}")
        return (output or b"").decode("utf-8", "replace").strip()

    def _run(
        self, where: git.Git, args: Sequence[str], data: bytes = b"", timeout: float = 0
    ) -> tuple[bytes | None, str]:
        """Output (None for a failure) and what git complained of; _Late when it had to be stopped."""
        limit = timeout or TIMEOUT
        with tempfile.TemporaryFile() as stdin:
            stdin.write(data)
            stdin.seek(0)
            status, output, error = where.execute(
                ["git", *args],
                istream=stdin,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                kill_after_timeout=limit,
            )
        if status < 0 and error.startswith("Timeout: "):
            raise _Late(f"git {args[0]} took longer than {limit:g} s in {self._name}: look whether its disk is well")
        return (output if status == 0 else None), clean(error)

    def find(self, name: str) -> str | None:
        """The id of the object that a name such as `COMMIT:path` stands for here, or None."""
        try:
            id_: str | bytes = self._here.get_object_header(name)[0]  # typed as text, and is not
            return id_.decode() if isinstance(id_, bytes) else id_
        except ValueError:
            return None

    def _object(self, id_: str) -> bytes:
        try:
            return self._here.get_object_data(id_)[3]
        except ValueError:
            raise ReviewError(
                f"object {id_} is not in {self._name}: a partial or damaged clone, fetch it whole"
            ) from None

    def blob(self, id_: str) -> bytes:
        """Content of a blob."""
        return self._object(id_)

    def tree(self, id_: str) -> Mapping[str, TreeEntry]:
        """Entries of one folder, by name."""
        if id_ not in self._trees:
            content, entries, at = self._object(id_), {}, 0
            while at < len(content):  # "MODE NAME\0" and the 20 bytes of the id, again and again
                end = content.index(b"\0", at)
                mode, _, name = content[at:end].partition(b" ")
                entries[name.decode("utf-8", "replace")] = TreeEntry(mode.decode(), content[end + 1 : end + 21].hex())
                at = end + 21
            self._trees[id_] = entries
        return self._trees[id_]

    def listing(self, id_: str) -> Mapping[str, str]:
        """Regular files of a tree and its folders, path -> blob id."""
        if id_ not in self._listings:
            rows = self.call("ls-tree", "-r", "-z", id_).decode("utf-8", "replace").split("\0")
            self._listings[id_] = {r[53:]: r[12:52] for r in rows if r.startswith("100")}
        return self._listings[id_]

    def commit(self, parent: str, files: Mapping[str, TreeEntry | bytes | None]) -> str:
        """A commit on top of `parent` (empty for none) with these files new, changed or (None) gone."""
        rows = [b"commit refs/heads/main\nmark :1\ncommitter reviewbot <reviewbot@localhost> 0 +0000\ndata 0\n"]
        rows += [b"from %s\n" % parent.encode()] if parent else []
        for path, file in files.items():
            name = b'"%s"\n' % _quoted(path.encode())
            if file is None:
                rows.append(b"D " + name)
            elif isinstance(file, TreeEntry):
                rows.append(b"M %s %s %s" % (file.mode.encode(), file.id.encode(), name))
            else:
                rows.append(b"M 100644 inline %sdata %d\n%s\n" % (name, len(file), file))
        rows.append(b"\nget-mark :1\n")
        return self.call("fast-import", "--quiet", "--force", data=b"".join(rows)).decode().strip()


def _quoted(name: bytes) -> bytes:
    """A name as git reads it between double quotes."""
    return name.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")


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
