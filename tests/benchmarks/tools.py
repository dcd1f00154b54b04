"""reviewbot beside the tools that kernel developers have, on the same labelled patches: what each says, and how long it takes.

    python tests/benchmarks/tools.py --shared FOLDER --tree 6.12=REPO --tree 6.1=REPO [--cases 50] [--json FILE]

checkpatch.pl reads the patch; Coccinelle's lock scripts, sparse and smatch read the changed files before and after, and what
they say of them after and not before counts. A tool that says anything has hit; reviewbot has with a NACK. Scripts and headers
are those of the first tree. sparse and smatch get a configuration of a few words, not that of a build. What is not installed
is named, and left out of the table.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import gate

from reviewbot.bench import backtest
from reviewbot.bench.backtest import Labelled
from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.precision import Share
from reviewbot.types import ReviewError

COCCI = ("call_kern", "double_lock", "flags", "mini_lock")
BARE = "COMMIT_MESSAGE,MISSING_SIGN_OFF,EMAIL_SUBJECT,NO_AUTHOR_SIGN_OFF,FROM_SIGN_OFF_MISMATCH,GIT_COMMIT_ID"
"""What checkpatch says of every diff that is no mail."""
SECONDS = 120
_NUMBER = re.compile(r":\d+(-\d+)?|\bline \d+")
GENERATED = ("autoconf.h", "bounds.h", "timeconst.h", "asm-offsets.h", "utsrelease.h")
"""Headers that a build makes: without one of them sparse stops at the first line that includes it."""
NUMBERS = ("unistd_64_x32.h", "unistd_32_ia32.h", "cpufeaturemasks.h")
"""The same, in the folder `asm`."""
CONFIGURED = (
    *("64BIT", "X86", "X86_64", "SMP", "MMU", "HZ=250", "NR_CPUS=8", "NODES_SHIFT=6"),
    *("PAGE_SHIFT=12", "PGTABLE_LEVELS=5", "X86_L1_CACHE_SHIFT=6", "X86_INTERNODE_CACHE_SHIFT=6"),
    *("PHYSICAL_START=0x1000000", "PHYSICAL_ALIGN=0x200000", "ILLEGAL_POINTER_VALUE=0"),
)
"""Without these the headers do not compile."""


class Sides(NamedTuple):
    """A case as files: the patch, the changed C files before and after, and the tree's scripts and headers."""

    patch: Path
    before: Path
    after: Path
    names: tuple[str, ...]
    kernel: Path


class Tool(NamedTuple):
    """Something that reads C and complains."""

    name: str
    program: str
    says: Callable[[Sides], set[str]]


class Said(NamedTuple):
    """What one tool made of one case."""

    hit: bool
    seconds: float


def ran(*command: str | Path) -> str:
    """All that a command prints; one that takes too long says nothing."""
    try:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout + done.stderr


def checkpatch(sides: Sides) -> set[str]:
    options = ("--terse", "--no-summary", "--no-tree", "--no-signoff", "--show-types", "--ignore", BARE)
    said = ran("perl", sides.kernel / "scripts/checkpatch.pl", *options, sides.patch)
    return {line for line in said.splitlines() if re.search(r": (ERROR|WARNING):", line)}


def about(said: str, file: Path) -> Iterator[str]:
    """The lines that speak of a file, without its folder."""
    return (line.removeprefix(str(file)) for line in said.splitlines() if line.startswith(f"{file}:"))


def against(run: Callable[[Path, str, Sides], str]) -> Callable[[Sides], set[str]]:
    """A tool that reads files: what it says after and not before, whatever the line."""

    def says(sides: Sides) -> set[str]:
        before, after = (
            {_NUMBER.sub("", line) for name in sides.names for line in about(run(side, name, sides), side / name)}
            for side in (sides.before, sides.after)
        )
        return after - before

    return says


def coccinelle(side: Path, name: str, sides: Sides) -> str:
    scripts = sides.kernel / "scripts/coccinelle/locks"
    options = ("--very-quiet", "--no-includes", "--no-show-diff", "-D", "report")
    return "".join(ran("spatch", *options, "--cocci-file", scripts / f"{s}.cocci", side / name) for s in COCCI)


def checker(*program: str) -> Callable[[Path, str, Sides], str]:
    """sparse, or what is made of it, with the headers of the tree and a configuration of a few words."""

    def run(side: Path, name: str, sides: Sides) -> str:
        headers = ("arch/x86/include", "arch/x86/include/uapi", "include", "include/uapi", "generic", "generated")
        first = ("include/linux/kconfig.h", "include/linux/compiler_types.h")
        return ran(
            *program,
            *("-D__KERNEL__", "-D__x86_64__", '-DKBUILD_MODNAME="m"', '-DKBUILD_BASENAME="m"'),
            *(f"-DCONFIG_{name}" if "=" in name else f"-DCONFIG_{name}=1" for name in CONFIGURED),
            *(f"-I{sides.kernel / folder}" for folder in headers),
            *(word for header in first for word in ("-include", sides.kernel / header)),
            side / name,
        )

    return run


TOOLS = (
    Tool("checkpatch.pl", "perl", checkpatch),
    Tool("Coccinelle, lock scripts", "spatch", against(coccinelle)),
    Tool("sparse", "sparse", against(checker("sparse", "-Wcontext"))),
    Tool("smatch", "smatch", against(checker("smatch", "-p=kernel"))),
)


def sides_of(case: Labelled, folder: Path, tree: Tree, kernel: Path, reader: fetch.MailReader, work: Path) -> Sides:
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
    cases: Sequence[Labelled], folder: Path, trees: dict[str, Path], kernel: Path, tools: Sequence[Tool]
) -> Iterator[tuple[Labelled, dict[str, Said]]]:
    """What each tool and reviewbot make of each case."""
    with fetch.MailReader() as reader, backtest.opener(trees) as opened:
        for case in cases:
            found = {}
            result = backtest.score(case, folder, opened, reader)
            found["reviewbot"] = Said(result.verdict == "nack", result.seconds)
            with tempfile.TemporaryDirectory(prefix="tools-") as work:
                try:
                    sides = sides_of(case, folder, opened(case.tree), kernel, reader, Path(work))
                except ReviewError as error:
                    print(f"{case.id}: left out: {error}", file=sys.stderr)
                    continue
                for tool in tools:
                    start = perf_counter()
                    said = tool.says(sides)
                    found[tool.name] = Said(bool(said), perf_counter() - start)
            yield case, found


def table(results: Sequence[tuple[Labelled, dict[str, Said]]]) -> Iterator[str]:
    """The table, as Markdown."""
    yield "| tool | deadlocks that it speaks of | clean patches and fixes that it speaks of | seconds a patch (median) |"
    yield "|---|---|---|---|"
    for name in results[0][1] if results else ():
        dead, others = (
            Share(sum(found[name].hit for case, found in some), len(some))
            for some in (
                [r for r in results if r[0].label == "deadlock"],
                [r for r in results if r[0].label != "deadlock"],
            )
        )
        yield f"| {name} | {dead} | {others} | {median(found[name].seconds for _, found in results):.2f} |"


def kernel_files(repository: Path, to: Path) -> Path:
    """The scripts and headers of a tree."""
    wanted = ("scripts", "include", "arch/x86/include")
    with Tree.open(repository) as tree:
        source = tree.at("HEAD")
        paths = [p for p in wanted if source.folder(p)]
    archive = subprocess.run(["git", "-C", repository, "archive", "HEAD", *paths], capture_output=True, check=True)
    to.mkdir()
    subprocess.run(["tar", "-x", "-C", to], input=archive.stdout, check=True)
    for folder, names in (("generated/generated", GENERATED), ("generated/asm", NUMBERS)):
        (to / folder).mkdir(parents=True)
        for name in names:
            (to / folder / name).touch()
    (to / "generic").mkdir()
    (to / "generic/asm").symlink_to(to / "include/asm-generic")
    return to


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
    tools = [tool for tool in TOOLS if shutil.which(tool.program)]
    with tempfile.TemporaryDirectory(prefix="tools-") as folder:
        kernel = kernel_files(next(iter(trees.values())), Path(folder) / "kernel")
        results = [*scored(cases, index.parent, trees, kernel, tools)]
    print(f"{len(results)} patches; reviewbot warm, in one process\n")
    print("\n".join(table(results)))
    if absent := [f"{tool.name} ({tool.program})" for tool in TOOLS if tool not in tools]:
        print(f"\nnot installed, and left out: {', '.join(absent)}")
    print(f"\nmemory of reviewbot at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")
    if args.json:
        rows = [{"id": c.id, "label": c.label, "said": {n: s._asdict() for n, s in f.items()}} for c, f in results]
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
