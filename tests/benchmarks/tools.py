"""reviewbot beside the tools that kernel developers have, on the same labelled patches: what each says, and how long it takes.

    python tests/benchmarks/tools.py --shared FOLDER --tree 6.12=REPO --tree 6.1=REPO [--cases 50] [--json FILE]

checkpatch.pl reads the patch; Coccinelle's lock scripts, sparse and smatch read the changed files before and after, and what
they say of them after and not before counts. A tool that says anything has hit; reviewbot has with a NACK. Scripts and headers
are those of the case's tree, with everything configured (`checkers.py`). What cannot be run is named with the reason, and left
out of the table; a patch with a file that a tool could not read to the end is counted beside it.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import checkers
import gate
from checkers import Kernel

from reviewbot.bench import backtest
from reviewbot.bench.backtest import Labelled
from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.precision import Share
from reviewbot.types import ReviewError

BARE = "COMMIT_MESSAGE,MISSING_SIGN_OFF,EMAIL_SUBJECT,NO_AUTHOR_SIGN_OFF,FROM_SIGN_OFF_MISMATCH,GIT_COMMIT_ID"
"""What checkpatch says of every diff that is no mail."""
SECONDS = 120
_NUMBER = re.compile(r":\d+(-\d+)?|\bline \d+")
_ERROR = re.compile(r":\d+:\d+: (fatal )?error: ")
HEADERS = ("sparse", "smatch")
"""Programs that read nothing without the headers of a build."""


class Sides(NamedTuple):
    """A case as files: the patch, the changed C files before and after, and what its tree has for checkers."""

    patch: Path
    before: Path
    after: Path
    names: tuple[str, ...]
    kernel: Kernel


class Report(NamedTuple):
    """What a tool says of a case, and whether it could read all of it."""

    said: set[str]
    read: bool = True


class Tool(NamedTuple):
    """Something that reads C and complains."""

    name: str
    program: str
    says: Callable[[Sides], Report]


class Said(NamedTuple):
    """What one tool made of one case."""

    hit: bool
    read: bool
    seconds: float


def ran(command: Sequence[str]) -> tuple[str, bool]:
    """All that a command prints, and whether it came to its end in time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "", False
    return done.stdout + done.stderr, True


def checkpatch(sides: Sides) -> Report:
    said, ended = ran(checkers.checkpatch(sides.kernel, sides.patch, "--no-signoff", "--show-types", "--ignore", BARE))
    return Report({line for line in said.splitlines() if re.search(r": (ERROR|WARNING):", line)}, ended)


def against(commands: Callable[[Kernel, Path], list[list[str]]]) -> Callable[[Sides], Report]:
    """A tool that reads files: what it says after and not before, whatever the line. What it could not read, on one side or
    in a header, it may be silent about."""

    def says(sides: Sides) -> Report:
        found: list[set[str]] = []
        read = True
        for side in (sides.before, sides.after):
            found.append(set())
            for file in (side / name for name in sides.names):
                for command in commands(sides.kernel, file):
                    said, ended = ran(command)
                    read = read and ended and not _ERROR.search(said)
                    found[-1] |= {_NUMBER.sub("", line) for line in about(said, file)}
        return Report(found[1] - found[0], read)

    return says


def about(said: str, file: Path) -> Iterator[str]:
    """The lines that speak of a file, without its folder."""
    return (line.removeprefix(str(file)) for line in said.splitlines() if line.startswith(f"{file}:"))


TOOLS = (
    Tool("checkpatch.pl", "perl", checkpatch),
    Tool("Coccinelle, lock scripts", "spatch", against(lambda kernel, file: checkers.coccinelle(kernel, [file]))),
    Tool("sparse", "sparse", against(lambda kernel, file: [checkers.sparse(kernel, file)])),
    Tool("smatch", "smatch", against(lambda kernel, file: [checkers.smatch(kernel, file)])),
)


def sides_of(case: Labelled, folder: Path, tree: Tree, kernel: Kernel, reader: fetch.MailReader, work: Path) -> Sides:
    """Put the sides of a case into a folder; ReviewError when the patch does not apply."""
    first = ((folder / case.base_patch).read_bytes(),) if case.base_patch else ()
    series = fetch.parse((folder / case.patch).read_bytes(), case.id, reader=reader, alone=True)
    change = tree.apply(series, first=first)
    names = tuple(f.path for f in change.files if f.path.endswith(".c"))
    for name, source in zip(("before", "after"), tree.sources(change), strict=True):
        beside = {path for folder in {n.rpartition("/")[0] for n in names} for path in source.ls(folder)}
        for path in {*names, *(path for path in beside if path.endswith(".h"))}:
            (work / name / path).parent.mkdir(parents=True, exist_ok=True)
            (work / name / path).write_bytes(source.read(path) or b"")
    return Sides(folder / case.patch, work / "before", work / "after", names, kernel)


def scored(
    cases: Sequence[Labelled],
    folder: Path,
    trees: Mapping[str, Path],
    kernels: Mapping[str, Kernel],
    tools: Sequence[Tool],
) -> Iterator[tuple[Labelled, dict[str, Said]]]:
    """What each tool and reviewbot make of each case."""
    with fetch.MailReader() as reader, backtest.opener(trees) as opened:
        for case in cases:
            found = {}
            result = backtest.score(case, folder, opened, reader)
            read = result.verdict not in ("unreviewed", "fault")
            found["reviewbot"] = Said(result.verdict == "nack", read, result.seconds)
            with tempfile.TemporaryDirectory(prefix="tools-") as work:
                try:
                    sides = sides_of(case, folder, opened(case.tree), kernels[case.tree], reader, Path(work))
                except ReviewError as error:
                    print(f"{case.id}: left out: {error}", file=sys.stderr)
                    continue
                for tool in tools:
                    start = perf_counter()
                    report = tool.says(sides)
                    found[tool.name] = Said(bool(report.said), report.read, round(perf_counter() - start, 3))
            yield case, found


def table(results: Sequence[tuple[Labelled, dict[str, Said]]]) -> Iterator[str]:
    """The table, as Markdown."""
    yield (
        "| tool | deadlocks that it speaks of | clean patches and fixes that it speaks of | could not read all of"
        " | seconds a patch (median) |"
    )
    yield "|---|---|---|---|---|"
    for name in results[0][1] if results else ():
        dead, others = (
            Share(sum(found[name].hit for case, found in some), len(some))
            for some in (
                [r for r in results if r[0].label == "deadlock"],
                [r for r in results if r[0].label != "deadlock"],
            )
        )
        unread = sum(not found[name].read for _, found in results)
        yield f"| {name} | {dead} | {others} | {unread} | {median(found[name].seconds for _, found in results):.2f} |"


def usable(trees: Mapping[str, Path], folder: Path) -> tuple[dict[str, Kernel], list[Tool], list[str]]:
    """What each tree has for checkers, the tools that can be run, and why the others cannot."""
    build = any(not checkers.missing(program) for program in HEADERS)
    kernels = {name: Kernel.of(path, folder / name, build) for name, path in trees.items()}
    lacks = next((f"tree {name}: {kernel.lacks}" for name, kernel in kernels.items() if kernel.lacks), "")
    why = {tool: checkers.missing(tool.program) or lacks * (tool.program in HEADERS) for tool in TOOLS}
    return kernels, [t for t in TOOLS if not why[t]], [f"{t.name}: {said}" for t, said in why.items() if said]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shared", type=Path, required=True, help="the folder with corpus/index.jsonl")
    parser.add_argument(
        "--tree", action="append", default=[], metavar="NAME=REPO", help="a kernel tree; may be repeated"
    )
    parser.add_argument(
        "--cases", type=int, default=2 * gate.SIZE, help="so many of the gate, by the hash of their ids"
    )
    parser.add_argument("--json", type=Path, help="write what each tool made of each case there")
    args = parser.parse_args()
    trees = {name: Path(path) for name, _, path in (text.partition("=") for text in args.tree)}
    if not trees:
        parser.error("name a kernel tree, as in --tree 6.12=REPO")
    index = args.shared / "corpus/index.jsonl"
    wanted = {*gate.read().deadlocks, *gate.read().innocent}
    cases = [c for c in backtest.read_index(index) if c.id in wanted and c.tree in trees]
    cases = sorted(cases, key=lambda c: sha256(c.id.encode()).digest())[: args.cases]
    with tempfile.TemporaryDirectory(prefix="tools-") as folder:
        kernels, tools, left_out = usable({c.tree: trees[c.tree] for c in cases}, Path(folder))
        results: list[tuple[Labelled, dict[str, Said]]] = []
        with suppress(KeyboardInterrupt):  # a run that is stopped shows what it has
            for result in scored(cases, index.parent, trees, kernels, tools):
                results.append(result)
                print(f"{len(results)} of {len(cases)}: {result[0].id}", file=sys.stderr, flush=True)
    if not results:
        sys.exit(f"none of the patches of the gate (tests/gate.toml) is in {index} and applies to a tree that is named")
    print(f"{len(results)} patches; reviewbot in one process, with what its cache has\n")
    print("\n".join(table(results)))
    for said in left_out:
        print(f"\nleft out: {said}")
    print(f"\nmemory of reviewbot at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")
    if args.json:
        rows = [{"id": c.id, "label": c.label, "said": {n: s._asdict() for n, s in f.items()}} for c, f in results]
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
