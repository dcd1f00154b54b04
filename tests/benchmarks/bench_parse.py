"""How much of the real kernel is read, how fast, and against whom: `python tests/benchmarks/bench_parse.py [TREE]`.

TREE is a kernel checkout (default: the 6.12 tree that tests use). Prints, over drivers/md, block, drivers/block,
fs/{ext4,xfs,btrfs,nfs}, mm and kernel/*.c: functions with an error node, beside raw tree-sitter; call sites of the
names in the table of known calls against a search of the text; function names against universal-ctags; and seconds
for reading cold (one and two processes) and warm.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from conftest import kernel_repository, shared_folder  # noqa: E402

from reviewbot.csource.cache import Cache  # noqa: E402
from reviewbot.csource.conditionals import dead_code  # noqa: E402
from reviewbot.csource.ir import CallEvent, TranslationUnit  # noqa: E402
from reviewbot.csource.parse import PARSER, parse  # noqa: E402
from reviewbot.csource.text import layers  # noqa: E402

FOLDERS = ("drivers/md", "block", "drivers/block", "fs/ext4", "fs/xfs", "fs/btrfs", "fs/nfs", "mm")


def sources(tree: Path, folders: tuple[str, ...], *, kernel: bool) -> dict[str, bytes]:
    paths = [path for folder in folders for path in sorted((tree / folder).rglob("*.c"))]
    paths += sorted((tree / "kernel").glob("*.c")) if kernel else []
    return {str(path.relative_to(tree)): path.read_bytes() for path in paths}


def known_names() -> frozenset[str]:
    """Names of the table of known calls, from the material beside the checkout, else from the project's own data."""
    folder = shared_folder()
    if folder is not None:
        lines = (folder / "reference" / "kernel-api.txt").read_text().splitlines()
        specs = [line.split("#")[0].partition(" : ")[2] for line in lines if not line.startswith("ctx ")]
        return frozenset(name for spec in specs for name in spec.split())
    table = tomllib.loads((ROOT / "reviewbot" / "kernel" / "api.toml").read_text())
    return frozenset(re.findall(r"\b[a-z_]\w{3,}\b", json.dumps(table)))


def functions_raw(source: bytes) -> Iterator[bool]:
    """Whether each function that plain tree-sitter sees has an error in it."""
    stack = [PARSER.parse(source).root_node]
    while stack:
        node = stack.pop()
        if node.type == "function_definition":
            yield node.has_error
        else:
            stack.extend(node.children)


def recall(source: bytes, unit: TranslationUnit, pattern: re.Pattern[bytes]) -> tuple[int, Counter[str]]:
    """Call sites that a search of the functions' text finds, and those of them that are no call event."""
    text = layers(source)
    dead_code(text)
    lines = bytes(text.code).split(b"\n")
    found, missed = 0, Counter[str]()
    for function in unit.functions:
        if function.macro:
            continue
        body = b"\n".join(lines[function.line - 1 : function.end])
        body = body[body.find(b"{") :]
        here = Counter(hit[1].decode() for hit in pattern.finditer(body))
        events = (e for block in function.blocks for e in block.events if isinstance(e, CallEvent) and not e.guard)
        found += here.total()
        missed += here - Counter(event.call.callee for event in events)
    return found, missed


def ctags_names(tree: Path, paths: list[str]) -> dict[str, set[str]]:
    command = ["ctags", "-x", "--c-kinds=f", "--_xformat=%F\t%N", "--sort=no", "-L", "-"]
    done = subprocess.run(command, cwd=tree, input="\n".join(paths), capture_output=True, text=True, check=True)
    names: dict[str, set[str]] = {path: set() for path in paths}
    for line in done.stdout.splitlines():
        path, _, name = line.partition("\t")
        names[path].add(name)
    return names


def quality(tree: Path, files: dict[str, bytes], units: dict[str, TranslationUnit]) -> None:
    functions = [f for unit in units.values() for f in unit.functions if not f.macro]
    bad = [f for f in functions if f.unreadable]
    raw = [error for source in files.values() for error in functions_raw(source)]
    size = sum(map(len, files.values())) / 1e6
    print(f"{len(files)} files, {size:.1f} MB")
    print(f"functions without an error: {100 - 100 * len(bad) / len(functions):.3f} % of {len(functions)}")
    print(f"  raw tree-sitter:          {100 - 100 * sum(raw) / len(raw):.3f} % of {len(raw)}")
    print(f"  files by level of repair: {sorted(Counter(unit.level for unit in units.values()).items())}")
    macros = [f for unit in units.values() for f in unit.functions if f.macro]
    print(f"macros read: {sum(not f.unreadable for f in macros)} of {len(macros)}")
    names = known_names()
    pattern = re.compile(rb"(?<![\w>.])(" + b"|".join(sorted(n.encode() for n in names)) + rb")[ \t\n]*\(")
    total, missed = 0, Counter[str]()
    for path, source in files.items():
        count, gone = recall(source, units[path], pattern)
        total, missed = total + count, missed + gone
    print(f"call sites of known names: {100 - 100 * missed.total() / total:.3f} % of {total}; missed {dict(missed)}")
    if shutil.which("ctags"):
        theirs = ctags_names(tree, list(files))
        ours = {path: {f.name for f in unit.functions if not f.macro} for path, unit in units.items()}
        only = Counter(name for path in files for name in theirs[path] - ours[path])
        more = sum(len(ours[path] - theirs[path]) for path in files)
        made = sum(count for name, count in only.items() if re.search(r"DEFINE|[A-Z_]{4}", name))
        print(
            f"universal-ctags: {sum(map(len, theirs.values()))} names; {only.total()} not ours, {made} of them macros'"
        )
        print(f"  names only ours: {more}; theirs beside macros: {sorted(n for n in only if n.islower())}")


def speed(name: str, files: dict[str, bytes]) -> None:
    """Seconds, and how often the raw parse of the same text fits into them: that holds on a busy machine too."""
    size = sum(map(len, files.values())) / 1e6

    def tell(what: str, start: float) -> None:
        took = time.perf_counter() - start
        print(f"{name}: {what}: {took:.2f} s, {size / took:.2f} MB/s, {took / raw:.1f} x raw tree-sitter parse")

    start = time.perf_counter()
    for source in files.values():
        PARSER.parse(source)
    raw = time.perf_counter() - start
    tell("raw parse", start)
    start = time.perf_counter()
    for source in files.values():
        parse(source)
    tell("repair and parse", start)
    with tempfile.TemporaryDirectory() as folder:
        for processes in (1, 2):
            start = time.perf_counter()
            Cache(Path(folder) / str(processes), processes).units(files, lambda paths: {p: files[p] for p in paths})
            tell(f"units cold, {processes} process(es)", start)
        start = time.perf_counter()
        Cache(Path(folder) / "2").units(files, lambda paths: {})
        tell("units warm", start)


def main() -> None:
    tree = Path(sys.argv[1]) if len(sys.argv) > 1 else kernel_repository("6.12", small=False)
    if tree is None:
        sys.exit("no kernel tree: give a path, or set KERNEL_TREES")
    everything = sources(tree, FOLDERS, kernel=True)
    with tempfile.TemporaryDirectory() as folder:
        units = Cache(Path(folder)).units(everything, lambda paths: {path: everything[path] for path in paths})
    quality(tree, everything, units)
    del units
    speed("drivers/md", sources(tree, ("drivers/md",), kernel=False))
    speed("without nfs, kernel", sources(tree, tuple(f for f in FOLDERS if f != "fs/nfs"), kernel=False))


if __name__ == "__main__":
    main()
