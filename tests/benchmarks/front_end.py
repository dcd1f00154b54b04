"""How much of the kernel's own text the front end reads: `python tests/benchmarks/front_end.py TREE [FOLDER...]`.

Over the C files of block, drivers/{md,block,nvme,scsi,target}, fs, mm, kernel and io_uring (or of the folders named):

- functions without an error node and without an unknown in a callee, in a condition or in the argument of a lock call;
- calls that a lexer counts in the text of the functions, and how many of them the intermediate form has: what it has by
  another name (likely(), container_of(), guards) is not counted, an arm of a conditional that was left out is;
- calls through pointers with a target, and with at most four, in programs of whole folders.

`--sample N --seed S` takes N files at random, and of the folders that these are in `--programs N` for the calls through
pointers; `--worst N` shows that many examples of each kind.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from reviewbot.analysis.code.expr import parts
from reviewbot.analysis.code.family import family, scope
from reviewbot.analysis.program import programs
from reviewbot.csource.cache import Cache
from reviewbot.csource.definitions import clean, written
from reviewbot.csource.ir import Call, CallEvent, Expr, Field, Function, Name, OpExpr, TranslationUnit, Unknown
from reviewbot.csource.syntax import syntax
from reviewbot.gittree.source import FolderSource
from reviewbot.kernel import KERNEL, LockCall

FOLDERS = (
    "block",
    "drivers/md",
    "drivers/block",
    "drivers/nvme",
    "drivers/scsi",
    "drivers/target",
    "fs",
    "mm",
    "kernel",
    "io_uring",
)
TOKEN = re.compile(rb"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
DIRECTIVE = re.compile(rb"(?m)^[ \t]*#(?:[^\n\\]|\\.|\\\n)*")
NEVER = re.compile(rb"(?ms)^[ \t]*#[ \t]*if[ \t]+0[ \t]*$.*?^[ \t]*#[ \t]*(?:endif|else|elif)\b")
CALL = re.compile(rb"(?<![\w#])([A-Za-z_]\w*)[ \t\n]*\((?!\s*\*\s*(?:const\s+)?\w+\s*(?:\[\w*\]\s*)?\)\s*\()")
DECLARES = re.compile(rb"(?:\b(?:struct|union|enum)\s+\w+|\b\w+_t|\b(?:int|long|char|void|bool|unsigned))[\s*]*\Z")
WORDS = frozenset(
    """
if while for switch return sizeof do else case goto typeof __typeof__ __typeof alignof _Alignof asm volatile void int long
short char bool unsigned signed float double struct union enum const static __attribute__ defined offsetof __asm__
asm_volatile_goto __builtin_offsetof offsetofend _Generic __alignof__ va_arg sizeof_field __volatile__ _Static_assert
typeof_member scoped_guard guard CLASS ACQUIRE scoped_cond_guard
""".split()  # noqa: SIM905
)


def blank(found: re.Match[bytes]) -> bytes:
    return bytes(c if c == 10 else 32 for c in found[0])


def lexed(lines: list[bytes], first: int, last: int) -> Counter[str]:
    """Names that are called in the text of a function, as far as words and parentheses tell."""
    body = b"\n".join(lines[first - 1 : last])
    body = body[body.find(b"{") :]
    table = syntax()
    skip = {*WORDS, *table.transparent, *table.warnings, *table.stores, *table.containers}
    found: Counter[str] = Counter()
    for hit in CALL.finditer(body):
        name = hit[1].decode()
        if name in skip or name.startswith("__free") or DECLARES.search(body, max(0, hit.start() - 60), hit.start()):
            continue
        found[name] += 1
    return found


def known(function: Function) -> Counter[str]:
    """Names that the intermediate form of a function calls; members that it calls through count by theirs."""
    found: Counter[str] = Counter()
    for event in (e for block in function.blocks for e in block.events if isinstance(e, CallEvent)):
        target = event.call.target
        if event.call.callee:
            found[event.call.callee] += 1
        elif isinstance(target, Field | Name):
            found[target.name.partition("~")[0]] += 1
    return found


def unknown(expr: Expr) -> bool:
    return any(isinstance(part, Unknown) for part in parts(expr))


def flaws(function: Function) -> Iterator[tuple[str, str]]:
    """What cannot be read in a function: kind and place."""
    if function.unreadable:
        yield "error node", ""
    for block in function.blocks:
        for edge in block.edges:
            when = edge.when
            if when is not None and not (isinstance(when, OpExpr) and when.op == "#if") and unknown(when):
                yield "condition", str(edge.line)
        for event in block.events:
            if isinstance(event, CallEvent):
                call = event.call
                if call.target is not None and unknown(call.target):
                    yield "callee", f"{call.line} {call.text[:60]}"
                if any(unknown(arg) for arg in locked(call)):
                    yield "lock", f"{call.line} {call.text[:60]}"


def locked(call: Call) -> Iterable[Expr]:
    """The arguments of a call that say which lock it is about."""
    for effect in KERNEL.effects.get(call.callee, ()):
        if isinstance(effect, LockCall) and effect.group.argument is not None:
            yield from call.args[effect.group.argument : effect.group.argument + 1]


def reading(units: dict[str, tuple[TranslationUnit, bytes]], worst: int) -> None:
    """Print what of the functions of some units is read."""
    functions = bad = counted = 0
    kinds: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    shown: dict[str, list[str]] = {}
    where: dict[str, str] = {}
    for path, (unit, source) in units.items():
        lines = NEVER.sub(blank, TOKEN.sub(blank, source))
        rows = DIRECTIVE.sub(blank, lines).split(b"\n")
        for function in unit.functions:
            if function.macro:
                continue
            functions += 1
            found = list(flaws(function))
            bad += bool(found)
            for kind, place in found:
                shown.setdefault(kind, []).append(f"{path}:{function.name} {place}")
            kinds.update({kind for kind, _ in found})
            called = lexed(rows, function.line, function.end)
            counted += called.total()
            lost = called - known(function)
            missed += lost
            where.update(dict.fromkeys(lost, f"{path}:{function.line} {function.name}"))
        names = {function.name for function in unit.functions}
        for other in written(clean(source)):
            if not any(f.line <= other.end and other.line <= f.end for f in unit.functions if not f.macro):
                called = lexed(rows, other.body, other.end)
                counted += called.total()
                missed += called
                where.update(dict.fromkeys(called, f"{path}:{other.line} {other.name}"))
                kind = "another version is there" if other.name in names else "not there"
                kinds[kind] += 1
                if other.name not in names:
                    functions, bad = functions + 1, bad + 1
                    shown.setdefault(kind, []).append(f"{path}:{other.line} {other.name}")
    print(f"{len(units)} files, {functions} functions")
    print(f"functions without an error or an unknown: {100 - 100 * bad / functions:.2f} %; not {dict(kinds)}")
    print(f"calls counted by a lexer that are there: {100 - 100 * missed.total() / counted:.2f} % of {counted}")
    for kind, places in shown.items():
        print(f"  {kind}:", *places[:worst], sep="\n    ") if worst else None
    for name, times in missed.most_common(worst):
        print(f"    {times} {name} {where[name]}")


def pointers(source: FolderSource, paths: Iterable[str], worst: int) -> None:
    """Print how many calls through pointers have targets, in the programs around some files."""
    total = some = few = 0
    nobody: Counter[str] = Counter()
    for path in paths:
        program = programs.make(source, scope([path], source))
        for key in program.callgraph.functions():
            if program.names.file[key].endswith(".h") or program.function(key).macro:
                continue
            body = program.body(key)
            for call in body.calls:
                if call.callee and call.callee not in body.locals:
                    continue
                reached = program.callgraph.reached(key, call)
                total, some, few = total + 1, some + bool(reached), few + (0 < len(reached) <= 4)
                if not reached:
                    nobody[f"{program.callgraph.through(key, call)} {call.text[:60]} {key}:{call.line}"] += 1
    print(
        f"calls through pointers: {total}, with a target {100 * some / max(total, 1):.1f} %, "
        f"of these at most four {100 * few / max(some, 1):.1f} %"
    )
    names = list(nobody)
    for name in random.Random(1).sample(names, min(worst, len(names))):
        print(f"    {name}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("tree", type=Path)
    options.add_argument("folders", nargs="*", default=FOLDERS)
    options.add_argument("--sample", type=int, default=0, help="so many files at random, 0 for all")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument(
        "--programs", type=int, default=0, help="so many folders for calls through pointers, 0 for all"
    )
    options.add_argument("--worst", type=int, default=0)
    options.add_argument("--only", choices=("reading", "pointers"))
    args = options.parse_args()
    source = FolderSource(args.tree)
    paths = sorted(str(p.relative_to(args.tree)) for f in args.folders for p in (args.tree / f).rglob("*.c"))
    draw = random.Random(args.seed)
    if args.sample:
        paths = sorted(draw.sample(paths, min(args.sample, len(paths))))
    if args.only != "pointers":
        texts = {path: (args.tree / path).read_bytes() for path in paths}
        units = Cache().units(
            {path: source.blob(path) or path for path in paths}.values(),
            lambda blobs: {blob: texts[path] for path in paths if (blob := source.blob(path) or path) in set(blobs)},
        )
        reading({path: (units[source.blob(path) or path], texts[path]) for path in paths}, args.worst)
    if args.only != "reading":
        families = sorted({family(path): path for path in paths}.items())
        some = draw.sample(families, args.programs) if 0 < args.programs < len(families) else families
        pointers(source, [path for _, path in sorted(some)], args.worst)


if __name__ == "__main__":
    main()
