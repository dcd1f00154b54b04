"""Trees of files to read from: a folder, a dictionary, or a git tree with files laid over it. Runs no git itself.

All of them are `types.Source`: paths are relative with `/`, and only regular files are there. A symbolic link is not,
neither as a file nor on the way to one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from hashlib import sha1
from pathlib import Path
from typing import Protocol

from reviewbot.types import Source, Value


def blob_id(content: bytes) -> str:
    """The id that git gives a file of this content: 40 hex digits."""
    return sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()


class MemorySource:
    """Files held in memory, by path."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)
        self._ids: dict[str, str] = {}

    def blob(self, path: str) -> str | None:
        """Object id of the file, or None."""
        if path in self._files and path not in self._ids:
            self._ids[path] = blob_id(self._files[path])
        return self._ids.get(path)

    def read(self, path: str) -> bytes | None:
        """Content of the file, or None."""
        return self._files.get(path)

    def read_many(self, paths: Iterable[str]) -> Mapping[str, bytes]:
        """Contents of the files that exist among `paths`."""
        return {path: self._files[path] for path in paths if path in self._files}

    def ls(self, folder: str) -> Mapping[str, str]:
        """Files below `folder`, path -> blob id."""
        return {path: blob_id(self._files[path]) for path in sorted(self._files) if _below(path, folder)}

    def folder(self, path: str) -> str | None:
        """None: there is no id but by looking at all files."""
        return None

    def folders(self, path: str) -> tuple[str, ...]:
        """Names of the folders in a folder, sorted."""
        return _folders(self._files, path)

    def grep(self, folder: str, pattern: str) -> Mapping[str, tuple[str, ...]]:
        """The lines below `folder` that match, by path."""
        return _matching({path: self._files[path] for path in self.ls(folder)}, pattern)


class LaidOver:
    """Another source with the contents of some of its files laid over it."""

    def __init__(self, under: Source, files: Mapping[str, bytes]) -> None:
        self._under, self._files = under, MemorySource(files)
        self._paths = frozenset(files)

    def blob(self, path: str) -> str | None:
        """Object id of the file, or None."""
        return (self._files if path in self._paths else self._under).blob(path)

    def read(self, path: str) -> bytes | None:
        """Content of the file, or None."""
        return (self._files if path in self._paths else self._under).read(path)

    def read_many(self, paths: Iterable[str]) -> Mapping[str, bytes]:
        """Contents of the files that exist among `paths`."""
        paths = tuple(paths)
        own = self._files.read_many(path for path in paths if path in self._paths)
        return {**self._under.read_many(path for path in paths if path not in self._paths), **own}

    def ls(self, folder: str) -> Mapping[str, str]:
        """Files below `folder`, path -> blob id."""
        return {**self._under.ls(folder), **self._files.ls(folder)}

    def folder(self, path: str) -> str | None:
        """Id of the folder, where none of its files is laid over."""
        return None if any(_below(own, path) for own in self._paths) else self._under.folder(path)

    def folders(self, path: str) -> tuple[str, ...]:
        """Names of the folders in a folder, sorted."""
        return tuple(sorted({*self._under.folders(path), *self._files.folders(path)}))

    def grep(self, folder: str, pattern: str) -> Mapping[str, tuple[str, ...]]:
        """The lines below `folder` that match, by path."""
        under = {path: rows for path, rows in self._under.grep(folder, pattern).items() if path not in self._paths}
        return {**under, **self._files.grep(folder, pattern)}


class FolderSource:
    """Files of a plain directory, as they are on disk when they are first asked for; `.git` folders are left out."""

    def __init__(self, path: Path | str) -> None:
        self._root = Path(path)
        self._ids: dict[str, str] = {}

    def blob(self, path: str) -> str | None:
        """Object id of the file, or None."""
        if path not in self._ids:
            content = self.read(path)
            if content is None:
                return None
            self._ids[path] = blob_id(content)
        return self._ids[path]

    def read(self, path: str) -> bytes | None:
        """Content of the file, or None."""
        parts = path.split("/")
        if not all(parts) or {".", "..", ".git"} & set(parts):
            return None
        ways = [self._root.joinpath(*parts[: n + 1]) for n in range(len(parts))]
        if any(way.is_symlink() for way in ways) or not ways[-1].is_file():
            return None
        return ways[-1].read_bytes()

    def read_many(self, paths: Iterable[str]) -> Mapping[str, bytes]:
        """Contents of the files that exist among `paths`."""
        return {path: content for path in paths if (content := self.read(path)) is not None}

    def ls(self, folder: str) -> Mapping[str, str]:
        """Files below `folder`, path -> blob id; reads them all."""
        found: dict[str, str] = {}
        if ".." in folder.split("/"):
            return found
        for where, folders, names in os.walk(self._root / folder):
            folders[:] = sorted(name for name in folders if name != ".git")
            for name in sorted(names):
                path = Path(where, name).relative_to(self._root).as_posix()
                if (blob := self.blob(path)) is not None:
                    found[path] = blob
        return found

    def folder(self, path: str) -> str | None:
        """None: there is no id but by looking at all files."""
        return None

    def folders(self, path: str) -> tuple[str, ...]:
        """Names of the folders in a folder, sorted."""
        where = self._root / path
        if ".." in path.split("/") or not where.is_dir():
            return ()
        return tuple(sorted(e.name for e in os.scandir(where) if e.is_dir(follow_symlinks=False) and e.name != ".git"))

    def grep(self, folder: str, pattern: str) -> Mapping[str, tuple[str, ...]]:
        """The lines below `folder` that match, by path; reads all its files."""
        return _matching(self.read_many(self.ls(folder)), pattern)


class TreeEntry(Value, frozen=True):
    """One entry of a git tree: `mode` is what git writes (100644, 100755, 120000 link, 160000 module, 40000 folder)."""

    mode: str
    id: str

    @property
    def regular(self) -> bool:
        """Whether it is a file of its own, not a link, a module or a folder."""
        return self.mode.startswith("100")

    @property
    def folder(self) -> bool:
        """Whether it is a tree of its own."""
        return self.mode == "40000"


class Objects(Protocol):
    """What a GitSource asks of a repository; a tree or blob that should be there and is not is a ReviewError."""

    def blob(self, id_: str) -> bytes:
        """Content of a blob."""

    def tree(self, id_: str) -> Mapping[str, TreeEntry]:
        """Entries of one folder, by name; cached, because trees never change."""

    def listing(self, id_: str) -> Mapping[str, str]:
        """Regular files of a tree and its folders, path -> blob id; cached."""

    def grep(self, id_: str, pattern: str) -> Mapping[str, tuple[str, ...]]:
        """The lines of a tree's files that match an extended regular expression, by path."""


class Git(Objects, Protocol):
    """What applying asks of a repository besides its objects: commands run in it, each failing or not."""

    def call(self, *args: str, data: bytes = b"") -> bytes:
        """Output of a git command; ReviewError when it fails."""

    def maybe(self, *args: str, data: bytes = b"", timeout: float = 0) -> bytes | None:
        """Output of a git command, or None when it fails, or takes longer than the seconds given."""

    def ask(self, *args: str) -> str:
        """Output of a git command that reads the references of the user's repository; ReviewError when it fails."""

    def find(self, name: str) -> str | None:
        """Id of the object that a name such as `COMMIT:path` stands for, or None."""


class GitSource:
    """A tree of a git repository, with `changed` laid over it (path -> blob id, None where the file is gone)."""

    def __init__(self, objects: Objects, tree: str, changed: Mapping[str, str | None] | None = None) -> None:
        self._objects = objects
        self._tree = tree
        self._changed = dict(changed or {})
        self._folders: dict[str, Mapping[str, TreeEntry]] = {}
        """Folder -> its entries in the tree."""

    def overlaid(self, changed: Mapping[str, str | None]) -> GitSource:
        """The same tree with files changed (path -> blob id), made, or gone (None)."""
        source = GitSource(self._objects, self._tree, {**self._changed, **changed})
        source._folders = self._folders
        return source

    def entry(self, path: str) -> TreeEntry | None:
        """What the tree itself has at `path`: file, link, module or folder; nothing beyond a link."""
        folder, _, name = path.rpartition("/")
        return self._entries(folder).get(name)

    def _entries(self, folder: str) -> Mapping[str, TreeEntry]:
        found = self._folders.get(folder)
        if found is None:
            at = self.entry(folder) if folder else TreeEntry(mode="40000", id=self._tree)
            found = self._folders[folder] = self._objects.tree(at.id) if at and at.folder else {}
        return found

    def blob(self, path: str) -> str | None:
        """Object id of the file, or None."""
        if path in self._changed:
            return self._changed[path]
        found = self.entry(path)
        return found.id if found and found.regular else None

    def read(self, path: str) -> bytes | None:
        """Content of the file, or None."""
        id_ = self.blob(path)
        return None if id_ is None else self._objects.blob(id_)

    def read_many(self, paths: Iterable[str]) -> Mapping[str, bytes]:
        """Contents of the files that exist among `paths`."""
        ids = {path: id_ for path in paths if (id_ := self.blob(path)) is not None}
        return {path: self._objects.blob(id_) for path, id_ in ids.items()}

    def ls(self, folder: str) -> Mapping[str, str]:
        """Regular files below `folder`, path -> blob id."""
        at = self.entry(folder) if folder else TreeEntry(mode="40000", id=self._tree)
        prefix = f"{folder}/" if folder else ""
        found: dict[str, str] = {}
        if at and at.folder:
            found = {prefix + path: id_ for path, id_ in self._objects.listing(at.id).items()}
        for path, id_ in self._changed.items():
            if not _below(path, folder):
                continue
            if id_ is None:
                found.pop(path, None)
            else:
                found[path] = id_
        return found

    def folder(self, path: str) -> str | None:
        """Id of the folder's git tree; None for a missing folder, and where a file below it is laid over."""
        at = self.entry(path)
        laid = any(_below(changed, path) for changed in self._changed)
        return at.id if at and at.folder and not laid else None

    def folders(self, path: str) -> tuple[str, ...]:
        """Names of the folders in a folder, sorted."""
        laid = _folders((own for own, id_ in self._changed.items() if id_ is not None), path)
        return tuple(sorted({*(name for name, entry in self._entries(path).items() if entry.folder), *laid}))

    def grep(self, folder: str, pattern: str) -> Mapping[str, tuple[str, ...]]:
        """The lines below `folder` that match, by path."""
        at = self.entry(folder) if folder else TreeEntry(mode="40000", id=self._tree)
        prefix = f"{folder}/" if folder else ""
        found: dict[str, tuple[str, ...]] = {}
        if at and at.folder:
            rows = self._objects.grep(at.id, pattern)
            found = {prefix + path: lines for path, lines in rows.items() if prefix + path not in self._changed}
        own = [path for path, id_ in self._changed.items() if id_ is not None and _below(path, folder)]
        return {**found, **_matching(self.read_many(own), pattern)}


def _folders(paths: Iterable[str], folder: str) -> tuple[str, ...]:
    """Names of the folders that some paths make in a folder, sorted."""
    prefix = f"{folder}/" if folder else ""
    inside = (path.removeprefix(prefix) for path in paths if path.startswith(prefix))
    return tuple(sorted({path.partition("/")[0] for path in inside if "/" in path}))


def _matching(files: Mapping[str, bytes], pattern: str) -> Mapping[str, tuple[str, ...]]:
    """The lines of some files that match, by path; files without one are left out."""
    wanted = re.compile(pattern.encode())
    lines = {path: [row for row in text.splitlines() if wanted.search(row)] for path, text in files.items()}
    return {path: tuple(row.decode("utf-8", "replace") for row in rows) for path, rows in lines.items() if rows}


def _below(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")
