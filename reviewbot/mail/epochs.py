"""Mirrors the git epochs of a public-inbox (v2 format) and reads mails out of them. Runs git through GitPython.

An epoch is a bare repository whose commits hold one mail each, as the file `m` (public-inbox-v2-format(5)). It only
ever grows, unless its owner rewrites it to take a mail out. Nothing is checked out, no configuration or hook of the
user or of the other side is read, and an answer of the server that is too large is an error, not a full memory.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import Request, urlopen

import msgspec

from reviewbot.limits import MAX_EPOCH_ANSWER_SECONDS, MAX_EPOCH_FETCH_SECONDS, MAX_EPOCH_PIECE_BYTES
from reviewbot.types import ReviewError

if os.environ.get("GIT_PYTHON_REFRESH") is None:
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"

MANIFEST, UNPACKED = 8 << 20, 64 << 20
"""Bytes of a manifest, packed and unpacked."""
FILE = "file://"
AGENT = "reviewbot (git epochs; drafts for maintainers, sends nothing)"
"""What we call ourselves to servers."""
_BRANCH = "refs/heads/master"
_LEFT = ("*.lock", "refs/heads/*.lock", "objects/pack/tmp_*", "objects/??/tmp_*")
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.bigFileThreshold": str(MAX_EPOCH_PIECE_BYTES),
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "protocol.file.allow": "always",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
}
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ATTR_NOSYSTEM": "1",
    "LC_ALL": "C",
}


class Unreachable(ReviewError):
    """The inbox cannot be read now; the next poll tries again."""


class Epoch(msgspec.Struct, frozen=True):
    """One epoch as its server lists it. `fingerprint` changes with its content; empty when the server gives none."""

    name: str
    url: str
    fingerprint: str


class Commit(msgspec.Struct, frozen=True):
    """One mail of an epoch: commit id, and when the archive took it (seconds since 1970)."""

    id: str
    arrived: float


def epochs(url: str) -> list[Epoch]:
    """The epochs of the inbox at `url`, oldest first. Unreachable when there is no answer, or no public-inbox v2."""
    if url.startswith(FILE):
        return _local(Path(url.removeprefix(FILE)))  # a path as it is: in one, # and ? are letters
    base = url.rstrip("/") + "/"
    try:
        listed = json.loads(_unpacked(_get(base + "manifest.js.gz")))
        if not isinstance(listed, dict):
            raise ValueError("not an object")
    except (ValueError, OSError, zlib.error, EOFError) as error:
        raise Unreachable(f"{url} has no manifest of epochs: {error}; is it a public-inbox?") from error
    found = []
    for path, facts in listed.items():
        match = re.fullmatch(rf"{re.escape(urlsplit(base).path)}git/([0-9]{{1,6}})\.git", path)
        if match and isinstance(facts, dict):
            found.append(Epoch(match[1], urljoin(base, path), str(facts.get("fingerprint", ""))))
    if not found:
        raise Unreachable(f"{url} lists no epochs of its own; give the address of one list")
    return sorted(found, key=lambda e: int(e.name))


def _get(url: str) -> bytes:
    request = Request(url, headers={"User-Agent": AGENT})
    try:
        with urlopen(request, timeout=MAX_EPOCH_ANSWER_SECONDS) as answer:
            data: bytes = answer.read(MANIFEST + 1)
    except HTTPError as error:
        raise Unreachable(f"{url}: the server answers {error.code} {error.reason}") from error
    except (URLError, OSError, ValueError) as error:
        raise Unreachable(f"{url}: {getattr(error, 'reason', error)}") from error
    if len(data) > MANIFEST:
        raise Unreachable(f"{url}: more than {MANIFEST >> 20} MB")
    return data


def _unpacked(data: bytes) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    text = unpack.decompress(data, UNPACKED)
    if unpack.unconsumed_tail:
        raise gzip.BadGzipFile(f"unpacks to more than {UNPACKED >> 20} MB")
    return text


def _local(folder: Path) -> list[Epoch]:
    """Epochs on this machine: an inbox folder with `git/N.git`, or one epoch's bare repository itself."""
    repositories = [p for p in (folder / "git").glob("*.git") if p.stem.isdigit()]
    if not repositories and (folder / "HEAD").exists():
        repositories = [folder]
    if not repositories:
        raise Unreachable(f"no public-inbox at {folder}")
    ordered = sorted(repositories, key=lambda p: int(p.stem) if p.stem.isdigit() else 0)
    return [Epoch(p.stem if p.stem.isdigit() else "0", f"file://{p}", Mirror(p).tip()) for p in ordered]


def fingerprint(tip: str) -> str:
    """What a manifest says of an epoch whose newest commit is `tip`: SHA-1 of git show-ref, as grokmirror has it."""
    return hashlib.sha1(f"{tip} {_BRANCH}\n".encode(), usedforsecurity=False).hexdigest()


class Mirror:
    """One epoch's mirror: a bare repository at `path`, made by the first fetch. Close it: it may hold a git process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _git(self):  # type: ignore[no-untyped-def]
        from git.cmd import Git

        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        git = Git(self.path)
        git.update_environment(**_ENVIRONMENT, GIT_DIR=str(self.path))
        git.set_persistent_git_options(c=[f"{k}={v}" for k, v in {**_SETTINGS, "http.userAgent": AGENT}.items()])
        return git

    def close(self) -> None:
        """End the git processes that read from the mirror."""
        if "_git" in self.__dict__:
            self._git.clear_cache()
            del self.__dict__["_git"]

    def _run(self, command: str, *arguments: str, patience: int = 600) -> str:
        from git.exc import CommandError

        try:
            return str(getattr(self._git, command)(*arguments, kill_after_timeout=patience))
        except CommandError as error:
            said = str(error.stderr).strip().removeprefix("stderr: '").rstrip("'").strip().splitlines()
            raise Unreachable(f"git {command} on {self.path}: {said[-1] if said else error.status}") from error

    def exists(self) -> bool:
        """Whether there has been a fetch."""
        return (self.path / "HEAD").exists()

    def fetch(self, url: str, since: float | None = None) -> None:
        """Bring the mirror up to date. A first fetch with `since` (seconds since 1970) leaves out what came before.

        Unreachable when the server does not deliver; what is there stays whole.
        """
        self._sweep()
        fresh = not self.exists() or not self.tip()
        if fresh:
            self._run("init", "--quiet", "--bare", "--template=", str(self.path))
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
        refs = (url, f"+{_BRANCH}:{_BRANCH}")
        if fresh and since is not None:
            try:
                self._run(
                    "fetch", *options, f"--shallow-since={max(0, int(since))}", *refs, patience=MAX_EPOCH_FETCH_SECONDS
                )
                return
            except Unreachable:  # nothing that new is in there: git takes that for an error. One mail then
                self._run("fetch", *options, "--depth=1", *refs, patience=MAX_EPOCH_FETCH_SECONDS)
                return
        self._run("fetch", *options, *refs, patience=MAX_EPOCH_FETCH_SECONDS)

    def _sweep(self) -> None:
        """Take away what a git that was killed left behind; wait for one that outlived its watcher."""
        until = time.monotonic() + MAX_EPOCH_ANSWER_SECONDS
        while left := [p for pattern in _LEFT for p in self.path.glob(pattern)]:
            if not self._at_work():
                for path in left:
                    path.unlink(missing_ok=True)
                return
            if time.monotonic() > until:
                raise Unreachable(f"another git is at work in {self.path}")
            time.sleep(0.2)

    def _at_work(self) -> bool:
        mine = str(self.path.resolve())
        for process in Path("/proc").glob("[0-9]*/cwd"):
            with suppress(OSError):
                if os.readlink(process) == mine:
                    return True
        return False

    def tip(self) -> str:
        """Commit id of the newest mail; empty when there is none."""
        try:
            return self._run("rev_parse", "--verify", "--quiet", f"{_BRANCH}^{{commit}}")
        except Unreachable:
            return ""

    def commits(self, after: str = "") -> list[Commit]:
        """The mails after commit `after`, oldest first; all of them when `after` is no longer part of the history."""
        tip = self.tip()
        if not tip or tip == after:
            return []
        revisions = [tip]
        if after:
            try:
                self._run("merge_base", "--is-ancestor", after, tip)
                revisions = [tip, f"^{after}"]
            except Unreachable:
                pass  # rewritten: read it all again, ids that are known are skipped
        lines = self._run("log", "--reverse", "--topo-order", "--format=%H %ct", *revisions, "--").splitlines()
        return [Commit(id_, float(seconds)) for id_, _, seconds in (line.partition(" ") for line in lines)]

    def mail_in(self, commit: str, most: int) -> tuple[str, bytes] | None:
        """(blob id, content) of the mail in a commit, None where a commit only took one out.

        Of a mail of more than `most` bytes the content is the first `most` and one more, which tells that it is larger.
        """
        return self._object(f"{commit}:m", most)

    def mails(self, commits: Iterable[str], most: int) -> Iterator[bytes | None]:
        """The mails of some commits in one go, each as `mail_in` gives its content; None where a commit has none."""
        with tempfile.TemporaryFile() as asked:
            asked.writelines(b"%s:m\n" % commit.encode() for commit in commits)
            asked.seek(0)
            process = self._git.cat_file("--batch", "--buffer", istream=asked, as_process=True)
            try:
                while head := process.stdout.readline():
                    size, kind = head.split()[-1], head.split()[-2]
                    if not size.isdigit():  # "... missing"
                        yield None
                        continue
                    content = process.stdout.read(min(int(size), most + 1))
                    _read_past(process.stdout, int(size) - len(content) + 1)
                    yield content if kind == b"blob" else None
            finally:
                process.stdout.close()

    def mail(self, blob: str, most: int) -> bytes:
        """One mail by its blob id, bounded as in `mail_in`. Unreachable when the mirror does not have it."""
        found = self._object(blob, most) if re.fullmatch(r"[0-9a-f]{40,64}", blob) else None
        if found is None:
            raise Unreachable(f"{self.path} does not hold mail {blob[:12]}; poll the list again")
        return found[1]

    def _object(self, name: str, most: int) -> tuple[str, bytes] | None:
        try:
            blob, kind, size, stream = self._git.stream_object_data(name)
        except ValueError:
            return None
        with closing(_Rest(stream)):
            data: bytes = stream.read(min(int(size), most + 1))
        if kind != b"blob":
            return None
        return blob.decode() if isinstance(blob, bytes) else str(blob), data

    def is_cut(self) -> bool:
        """Whether older mails of the epoch were left out by the first fetch."""
        return (self.path / "shallow").exists()


def _read_past(stream: IO[bytes], size: int) -> None:
    """Leave out some bytes, in pieces."""
    while size > 0 and (piece := stream.read(min(size, MAX_EPOCH_PIECE_BYTES))):
        size -= len(piece)


class _Rest:
    """Reads what is left of an object, in pieces, so that the next one can be asked for."""

    def __init__(self, stream) -> None:  # type: ignore[no-untyped-def]
        self._stream = stream

    def close(self) -> None:
        while self._stream.read(MAX_EPOCH_PIECE_BYTES):
            pass
