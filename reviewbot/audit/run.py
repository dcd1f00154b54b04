"""The files of a tree audited on all cores, after the programs around them are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reviewbot.analysis.program import programs
from reviewbot.audit.file import AuditedFile, audited
from reviewbot.bench.workers import parts, spread
from reviewbot.gittree.tree import Tree
from reviewbot.types import ReviewError, Source, Value

CORE = (
    "block",
    "drivers/block",
    "drivers/md",
    "drivers/nvme",
    "drivers/scsi",
    "drivers/target",
    "fs",
    "io_uring",
    "kernel",
    "mm",
)
"""What is indexed when nobody says what."""


class IndexedFolder(Value, frozen=True):
    """What the index holds of a folder: the program around its files."""

    folder: str
    files: int = 0
    functions: int = 0
    largest_cycle: int = 0
    """Functions of the largest cycle of calls."""
    cut: int = 0
    """Functions whose effects are not all known, because there are too many."""
    fault: str = ""
    """Why there is no program."""


def c_files(source: Source, under: Iterable[str]) -> list[str]:
    """The .c files that are named, and those below the folders that are; raises ReviewError for a name without any."""
    found: dict[str, None] = {}
    for name in under:
        name = name.strip("/")
        inside = [name] if name.endswith(".c") and source.blob(name) is not None else sorted(source.ls(name))
        inside = [path for path in inside if path.endswith(".c")]
        if not inside:
            raise ReviewError(f"{name or 'the tree'} is no C file of the tree and no folder with one")
        found.update(dict.fromkeys(inside))
    return list(found)


def inside(name: str, tree: Path) -> str:
    """The path as a tree has it, of one that may be named as it lies in the work tree."""
    given = Path(name)
    return (
        given.relative_to(tree).as_posix() if given.is_absolute() and given.is_relative_to(tree) else given.as_posix()
    )


def folders(paths: Iterable[str]) -> list[list[str]]:
    """Files by folder, the folder with most of them first: those of one share a program."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(path.rpartition("/")[0], []).append(path)
    return sorted(groups.values(), key=len, reverse=True)


def indexed(paths: Sequence[str], tree: Path, base: str, workers: int) -> Iterator[IndexedFolder]:
    """Make the program of each folder of some files, or lead it on to the commit, and keep it; as they are done."""
    each = [[group[0]] for group in folders(paths)]
    yield from spread(_index, each, (tree, base), workers, _unmade)


def audit(
    paths: Sequence[str], tree: Path, base: str, only: tuple[str, ...], above: float, workers: int
) -> Iterator[AuditedFile]:
    """Audit files of a commit, each as it is done."""
    each = parts(paths, lambda path: path.rpartition("/")[0])
    yield from spread(_audit, each, (tree, base, only, above), workers, _lost)


def _index(paths: Sequence[str], tree: Path, base: str) -> Iterator[IndexedFolder]:
    with Tree.open(tree) as opened:
        source = opened.at(base)
        for path in paths:
            program = programs.around(source, [path])
            yield IndexedFolder(
                folder=path.rpartition("/")[0],
                files=len(program.whole),
                functions=sum(1 for _ in program.functions()),
                largest_cycle=max(map(len, program.callgraph.order), default=0),
                cut=len(program.effects.unsettled),
            )


def _audit(paths: Sequence[str], tree: Path, base: str, only: tuple[str, ...], above: float) -> Iterator[AuditedFile]:
    with Tree.open(tree) as opened:
        source = opened.at(base)
        yield from (audited(path, source, only, above) for path in paths)


def _unmade(path: str, error: BaseException) -> IndexedFolder:
    return IndexedFolder(path.rpartition("/")[0], fault=f"{type(error).__name__}: {error}")


def _lost(path: str, error: BaseException) -> AuditedFile:
    return AuditedFile(path, fault=f"{type(error).__name__}: {error}")
