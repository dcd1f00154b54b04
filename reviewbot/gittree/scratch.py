"""A scratch repository with the objects of the user's. The only file that runs git.

The user's repository is read and nothing else: everything happens in a scratch repository in a temporary folder that
borrows its objects (objects/info/alternates), so none of its hooks, configuration, attributes, index or work tree
matters.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from reviewbot.gittree.source import TreeEntry
from reviewbot.limits import MAX_GIT_SECONDS
from reviewbot.text import clean
from reviewbot.types import ReviewError

try:
    import git
except ImportError as error:  # GitPython looks for the program as soon as it is imported
    raise ReviewError("cannot find the program git: install it, or add its folder to PATH") from error


def repository(path: Path | str) -> tuple[Path, Path]:
    """The folder of git, and the one that it shares with linked work trees, of the repository that `path` is in.

    Raises ReviewError when there is none.
    """
    try:
        repo = git.Repo(Path(path).resolve(), search_parent_directories=True, expand_vars=False)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        raise ReviewError(f"{clean(str(path))} is not in a git repository: name a kernel tree") from None
    with repo:
        return Path(repo.git_dir), Path(repo.common_dir)


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
        limit = timeout or MAX_GIT_SECONDS
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

    def grep(self, id_: str, pattern: str) -> Mapping[str, tuple[str, ...]]:
        """The lines of a tree's files that match an extended regular expression, by path; nothing where git fails or
        takes too long."""
        output = self.maybe("grep", "-I", "-z", "--full-name", "-E", "-e", pattern, id_, timeout=MAX_GIT_SECONDS) or b""
        found: dict[str, list[str]] = {}
        for row in output.decode("utf-8", "replace").splitlines():
            path, zero, line = row.partition("\0")
            if zero:
                found.setdefault(path.partition(":")[2], []).append(line)
        return {path: tuple(lines) for path, lines in found.items()}

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
