"""Results that are kept as they come, so that a run that was stopped goes on where it was.

A file of lines beside the one that the run will write: what the run is of (cases, trees, code), then one result a line. A run
of something else, or by other code, starts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import msgspec

from reviewbot.bench.backtest import Scored
from reviewbot.gittree.tree import Tree
from reviewbot.report.files import put
from reviewbot.types import ReviewError

_SCORED = msgspec.json.Decoder(Scored)
_CODE = (".py", ".toml", ".json", ".j2")
"""What verdicts can depend on, of all that a package holds."""


def at(file: Path) -> Path:
    """Where the results are kept of a run that will write this file."""
    return file.with_name(file.name + ".partial")


class Journal:
    """The results so far of one run."""

    def __init__(self, file: Path, run: str) -> None:
        """file: where they are kept. run: what they are of, from `identity`."""
        self.file = file
        self.run = run
        self.done = tuple(self._read())

    def _read(self) -> Iterator[Scored]:
        try:
            head, *lines = self.file.read_text().splitlines()
        except (OSError, UnicodeDecodeError, ValueError):
            return
        if head != self.run:
            return
        for line in lines:
            with suppress(msgspec.MsgspecError):  # the last line of a run that was killed
                yield _SCORED.decode(line)

    def keep(self, results: Iterable[Scored]) -> Iterator[Scored]:
        """The results themselves; each is on the disk before it is given. Raises ReviewError where that cannot be."""
        put(self.file, "".join(f"{line}\n" for line in (self.run, *map(_line, self.done))).encode())
        for result in results:
            try:
                with self.file.open("a") as file:
                    file.write(f"{_line(result)}\n")
            except OSError as error:
                raise ReviewError(
                    f"cannot keep results in {self.file}: {error.strerror or error}; the same command goes on from there"
                ) from error
            yield result


def _line(result: Scored) -> str:
    return msgspec.json.encode(result).decode()


class Scoring(NamedTuple):
    """What is to be scored."""

    number: int
    run: Callable[[set[tuple[str, str]]], Iterable[Scored]]
    """The results of what is not done yet, given the keys of what is."""
    identity: Callable[[], str]
    """What tells this run from others, from `identity`."""


def kept(scoring: Scoring, json_file: Path | None, say: Callable[[str], None]) -> Iterable[Scored]:
    """The results of a run. Where it will write a file, it goes on from where the same run stopped, and `say` tells so."""
    if json_file is None or (json_file.exists() and not json_file.is_file()):  # a pipe, as /dev/stdout
        return scoring.run(set())
    file = at(json_file)
    told = f"of {scoring.number} results in {file}"
    return resumed(file, scoring.identity(), scoring.run, lambda number: say(f"goes on after {number} {told}"))


def resumed(
    file: Path, run: str, make: Callable[[set[tuple[str, str]]], Iterable[Scored]], told: Callable[[int], None]
) -> Iterator[Scored]:
    """The results of a run, those first that an earlier one left behind in `file`.

    make: the results of what is not done yet, given the keys of what is. told: how many were there.
    """
    journal = Journal(file, run)
    if journal.done:
        told(len(journal.done))
    yield from journal.done
    yield from journal.keep(make({r.key for r in journal.done}))


def identity(inputs: Sequence[object], read: Iterable[Path], trees: Mapping[str, Path]) -> str:
    """What a run is of, as one word: its arguments, the files that they name, the trees as they are, and this code."""
    digest = sha256(_code().encode())
    for part in inputs:
        digest.update(f"{part!r}\0".encode())
    for path in read:
        digest.update(sha256(path.read_bytes() if path.is_file() else b"").digest())
    for name, path in sorted(trees.items()):
        with Tree.open(path) as tree:
            digest.update(f"{name} {tree.resolve('HEAD')}\0".encode())
    return digest.hexdigest()


def _code() -> str:
    digest = sha256()
    for package in ("reviewbot", "heuristics"):
        root = Path(str(files(package)))
        for path in sorted(p for p in root.rglob("*") if p.suffix in _CODE):
            digest.update(f"{path.relative_to(root)}\0".encode() + sha256(path.read_bytes()).digest())
    return digest.hexdigest()
