"""How many planted deadlocks are NACKed, and how many of their harmless twins: patches of real functions.

    python tests/benchmarks/planted.py FOLDER --tree NAME=PATH [--tree NAME=PATH ...] [--count 150] [--seed N]
        [--under PATH ...] [--operator NAME ...]
    reviewbot backtest FOLDER/index.jsonl --tree NAME=PATH ... --json FOLDER/result.json
    python tests/benchmarks/planted.py FOLDER --table [--show]

The first command writes patches, made by the recipes of `deadlocks.py` from the user's trees (git repositories), with an
index that `reviewbot backtest` reads; the last one shows its results by operator: deadlocks NACKed, commented, and twins
NACKed, commented. Half of the places come from folders that reviewbot is made for, half from anywhere else.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from beside import BESIDE, BESIDE_NEEDS
from deadlocks import DEADLOCKS, NEEDS, Planted, SourceFile

CORE = ("block", "drivers/md", "drivers/block", "drivers/nvme", "drivers/scsi", "fs", "mm", "io_uring")
ELSEWHERE = ("drivers/net", "drivers/usb", "drivers/infiniband", "drivers/gpu/drm", "drivers/media", "drivers/mtd")
ELSEWHERE += ("drivers/bluetooth", "drivers/mmc", "drivers/tty", "drivers/target", "net", "sound", "kernel")
LARGEST = 150_000
"""Bytes of a file that is read."""
HANDLED = re.compile(rb"request_irq|timer_setup|tasklet_setup|netif_napi_add")
CALLED = re.compile(rb"^\t+(\w+)\(", re.MULTILINE)
MOST_BESIDE = 12
"""Files of one folder that are read beside one."""


def files(trees: Mapping[str, Path], under: tuple[str, ...], draw: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """C files of the trees, a folder drawn first; none comes twice. Gives the tree's name, the path and the text."""
    groups = [under] if under else [CORE, ELSEWHERE]
    left = {
        (number, name, folder): sorted(p for p in (root / folder).rglob("*.c") if p.stat().st_size < LARGEST)
        for number, group in enumerate(groups)
        for name, root in trees.items()
        for folder in group
    }
    for found in left.values():
        draw.shuffle(found)
    while any(left.values()):
        number = draw.choice(sorted({key[0] for key, found in left.items() if found}))
        key = draw.choice([key for key, found in left.items() if found and key[0] == number])
        path = left[key].pop()
        yield key[1], path.relative_to(trees[key[1]]).as_posix(), path.read_bytes()


def drawn(
    trees: Mapping[str, Path], under: tuple[str, ...], operators: tuple[str, ...], count: int, draw: random.Random
) -> Iterator[tuple[str, str, Planted]]:
    """`count` places, in equal parts by operator, at most one operator's place of a file."""
    wanted = Counter({name: -(-count // len(operators)) for name in operators})
    needs = NEEDS | BESIDE_NEEDS
    for tree, path, text in files(trees, under, draw):
        file: SourceFile | None = None
        for operator in sorted(+wanted, key=lambda name: (-wanted[name], draw.random())):
            if not all(need in text for need in needs.get(operator, ())):
                continue
            file = file or SourceFile(text)
            if file.source != text:
                break
            made = (
                BESIDE[operator](file, beside(trees[tree] / path, file))
                if operator in BESIDE
                else DEADLOCKS[operator](file)
            )
            places = [one for one, _ in zip(made, range(50), strict=False)]
            if places:
                wanted[operator] -= 1
                yield tree, path, draw.choice(places)
                break
        if not +wanted:
            return


def beside(path: Path, file: SourceFile) -> list[SourceFile]:
    """The other C files of a folder that take spinlocks and have to do with a file, a few of them."""
    others = sorted(p for p in path.parent.glob("*.c") if p != path and p.stat().st_size < LARGEST)[:MOST_BESIDE]
    texts = (text for p in others if b"spin_lock(" in (text := p.read_bytes()) or b"spin_lock_" in text)
    names = {
        f.name.encode() for f in file.functions if b"static" not in f.source[f.node.start_byte : f.body.start_byte]
    }
    return [parsed(text) for text in texts if HANDLED.search(text) or names & set(CALLED.findall(text))]


@lru_cache(maxsize=32)
def parsed(text: bytes) -> SourceFile:
    """A file, parsed once."""
    return SourceFile(text)


def mail(path: str, before: bytes, after: bytes, function: str) -> bytes:
    """A patch as a mail that says nothing of what it plants."""
    old, new = (text.decode("utf-8", "surrogateescape").splitlines(keepends=True) for text in (before, after))
    diff = "".join(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))
    id_ = hashlib.sha1(path.encode() + after).hexdigest()
    head = (
        "From: A Developer <developer@example.org>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n"
        f"Subject: [PATCH] {path}: rework {function}\nMessage-ID: <{id_}@example.org>\n\n"
        f"Rework {function}().\n\n---\ndiff --git a/{path} b/{path}\n"
    )
    return (head + diff + "--\n2.40.0\n").encode("utf-8", "surrogateescape")


def write(folder: Path, places: Iterator[tuple[str, str, Planted]]) -> Counter[str]:
    """Patches and index of the places; gives how many there are by operator."""
    folder.mkdir(parents=True, exist_ok=True)
    number: Counter[str] = Counter()
    with (folder / "index.jsonl").open("w") as index:
        for tree, path, one in places:
            number[one.operator] += 1
            name = f"{one.operator.replace(' ', '-')}-{number[one.operator]:03}"
            for kind, label, after in (("bad", "deadlock", one.after), ("twin", "clean", one.twin)):
                (folder / f"{name}-{kind}.patch").write_bytes(mail(path, one.before, after, one.function))
                case = {"id": f"{name}-{kind}", "patch": f"{name}-{kind}.patch", "tree": tree, "label": label}
                index.write(json.dumps({**case, "class": one.operator, "files": [path], "why": one.function}) + "\n")
    return number


def table(folder: Path, show: bool) -> str:
    """The results of a backtest by operator."""
    cases = json.loads((folder / "result.json").read_text())["cases"]
    where = {one["id"]: one for one in map(json.loads, (folder / "index.jsonl").read_text().splitlines())}
    lines = [
        f"{'operator':20} {'NACKed':>7} {'comment':>8} {'of':>5} {'twins NACKed':>13} {'comment':>8} {'unread':>7}"
    ]
    for operator in [*dict.fromkeys(c["class"] for c in cases), "all"]:
        mine = [c for c in cases if operator in (c["class"], "all")]
        said = Counter((c["label"], c["verdict"]) for c in mine)
        unread = sum(n for (_, verdict), n in said.items() if verdict in ("unreviewed", "fault"))
        lines.append(
            f"{operator:20} {said['deadlock', 'nack']:7} {said['deadlock', 'comment']:8} {len(mine) // 2:5}"
            f" {said['clean', 'nack']:13} {said['clean', 'comment']:8} {unread:7}"
        )
    for case in cases if show else ():
        if (case["verdict"] == "nack") != (case["label"] == "deadlock"):
            one = where[case["id"]]
            lines.append(
                f"{case['verdict']:10} {case['id']:32} {one['tree']} {one['files'][0]}:{one['why']} {case['rules']}"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where patches and index are written")
    parser.add_argument("--tree", action="append", default=[], metavar="NAME=PATH", help="a kernel tree")
    parser.add_argument("--under", action="append", default=[], help="only files of this folder of the tree")
    parser.add_argument("--operator", action="append", default=[], choices=[*DEADLOCKS, *BESIDE], help="only these")
    parser.add_argument("--count", type=int, default=150, help="places (150)")
    parser.add_argument("--seed", type=int, default=None, help="for the same places again")
    parser.add_argument("--table", action="store_true", help="show the results of a backtest")
    parser.add_argument("--show", action="store_true", help="name the cases that are wrong")
    options = parser.parse_args()
    if options.table:
        print(table(options.folder, options.show))
        return
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    trees = {name: Path(path).expanduser() for name, _, path in (tree.partition("=") for tree in options.tree)}
    if not trees or not all(path.is_dir() for path in trees.values()):
        sys.exit("name kernel trees that exist: --tree NAME=PATH")
    operators = tuple(options.operator or (*DEADLOCKS, *BESIDE))
    places = drawn(trees, tuple(options.under), operators, options.count, random.Random(seed))
    number = write(options.folder, places)
    print(f"seed {seed}: " + ", ".join(f"{name} {count}" for name, count in number.items()))


if __name__ == "__main__":
    main()
