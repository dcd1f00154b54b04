"""The public benchmark: fixes of deadlocks in Linux, by their commit ids, taken out of the user's own clone.

The index has no text of anybody's patch: a line of JSON is a commit (`commit`, where the id is known), the first line of its
message (`subject`), and what it fixes (`class`). Of each fix there are two cases: the tree with it, and a change that takes it
back (a deadlock); the tree before it, and the change itself (a fix).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from reviewbot.bench.backtest import NOBODY, Labelled, Scored, changed_files, lost, scored
from reviewbot.bench.workers import WORKERS, parts, spread
from reviewbot.gittree.tree import Tree
from reviewbot.types import Review, ReviewError

if TYPE_CHECKING:
    from reviewbot.mail.fetch import MailReader

INDEX = "upstream.jsonl"


class UpstreamFix(msgspec.Struct, frozen=True):
    """One line of the index."""

    subject: str
    cls: str = msgspec.field(name="class")
    commit: str = ""


class UpstreamCase(NamedTuple):
    """A change to review, and the commit that it is to be put on."""

    labelled: Labelled
    base: str
    diff: bytes


def shipped() -> Path:
    """The index that comes with the program."""
    return Path(str(files("reviewbot.bench"))) / INDEX


def read(index: Path) -> list[UpstreamFix]:
    """The fixes of an index. Raises ReviewError for a file that is none, with the line."""
    try:
        lines = index.read_bytes().splitlines()
    except OSError as error:
        raise ReviewError(f"cannot read the index {index}: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=UpstreamFix))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ReviewError(f"{index}:{number} is no fix of a deadlock: {error}") from error
    return found


def find(fixes: Iterable[UpstreamFix], tree: Tree) -> tuple[list[UpstreamCase], list[UpstreamFix]]:
    """The cases of those fixes that a repository has, each with its parent, and the fixes that it has not."""
    fixes = tuple(fixes)
    commits = {fix: commit for fix in fixes if (commit := _named(fix, tree))}
    by_subject = tree.by_subject(fix.subject for fix in fixes if fix not in commits)
    cases: list[UpstreamCase] = []
    missing: list[UpstreamFix] = []
    for fix in fixes:
        commit = commits.get(fix) or by_subject.get(fix.subject, "")
        try:
            cases += _both(fix, commit, tree)
        except ReviewError:
            missing.append(fix)
    return cases, missing


def _named(fix: UpstreamFix, tree: Tree) -> str:
    """The commit of a fix by its id; empty when there is none, or when it is of something else."""
    try:
        commit = tree.resolve(fix.commit)
        return commit if _words(tree.message(commit).partition("\n")[0]) == _words(fix.subject) else ""
    except ReviewError:
        return ""


def _words(subject: str) -> str:
    """A subject without what is lost where one is copied: quotes, apostrophes, blanks."""
    return "".join(c for c in subject.lower() if c.isalnum())


def _both(fix: UpstreamFix, commit: str, tree: Tree) -> Iterator[UpstreamCase]:
    parent = tree.resolve(f"{commit}^" if commit else "")
    for label, base, end in (("deadlock", commit, parent), ("fix", parent, commit)):
        diff = tree.difference(base, end)
        id_ = f"{commit[:12]} {'reverted' if label == 'deadlock' else 'applied'}"
        made = Labelled(id_, "", "linux", label, fix.cls, why=fix.subject, files=changed_files(diff), kind="upstream")
        yield UpstreamCase(made, base, diff)


def run(cases: Sequence[UpstreamCase], linux: Path, workers: int = WORKERS) -> Iterator[Scored]:
    """Score the cases on some processes, as they finish."""
    about = parts(cases, lambda case: next(iter(case.labelled.files), "").rpartition("/")[0])
    yield from spread(_score_all, about, (linux,), workers, lambda case, error: lost(case.labelled, error))


def _score_all(cases: Sequence[UpstreamCase], linux: Path) -> Iterator[Scored]:
    from reviewbot.mail import fetch

    with fetch.MailReader() as reader, Tree.open(linux) as tree:
        for case in cases:
            yield scored(case.labelled, case.labelled.files, partial(_reviewed, case, tree, reader))


def _reviewed(case: UpstreamCase, tree: Tree, reader: MailReader) -> Review:
    from reviewbot import review
    from reviewbot.mail import fetch

    series = fetch.parse(case.diff, case.labelled.id, reader=reader, alone=True)
    return review.review(series, review.Options(base=case.base, sender=NOBODY, why="*"), opened=tree)
