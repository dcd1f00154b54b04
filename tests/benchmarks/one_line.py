"""One line of real functions less, or one word of it other: places that words choose, and nothing that reviewbot has read.

    python tests/benchmarks/one_line.py FOLDER --tree NAME=PATH [--tree NAME=PATH ...] [--count 60] [--seed N] [--by place|name]
    reviewbot backtest FOLDER/index.jsonl --tree NAME=PATH ... --json FOLDER/result.json

The recipes of `planted.py` find their places with reviewbot's own reader, so they miss what it misses. Here a line goes that
calls something with "unlock" or the like in its name (release), or a call of foo_locked() or __foo() becomes one of the foo()
of the file that makes it with a lock (around). `--by name` takes one place of each name that is called: the rare ones count
as much as mutex_unlock(). Not each such patch is a deadlock: what is not NACKed has to be read.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from planted import CORE, ELSEWHERE, LARGEST, mail

FUNCTION = re.compile(r"^(?![\s#/{}])[\w\s*]*?\b(\w+)\([^;{]*?\)\s*\n\{\n(.*?)^\}\n", re.MULTILINE | re.DOTALL)
RELEASE = re.compile(r"^\t+(\w*(?:unlock|up_read|up_write)\w*)\([^;\n]*\);\n", re.MULTILINE)
INNER = re.compile(r"\b(?:__(\w+)|(\w+?)_(?:locked|nolock|unlocked))\(")


class Spot(NamedTuple):
    """What of a file's text becomes something else. name: what is called there; function: where."""

    kind: str
    name: str
    function: str
    start: int
    end: int
    text: str


def spots(text: str) -> Iterator[Spot]:
    """The places of a file."""
    bodies = {match[1]: match for match in FUNCTION.finditer(text)}
    for function, match in bodies.items():
        base, body = match.start(2), match[2]
        for call in RELEASE.finditer(body):
            before = body[: call.start()].rstrip().rpartition("\n")[2].strip()
            if not before or before.endswith((";", "{", "}", ":", "*/")):
                yield Spot("release", call[1], function, base + call.start(), base + call.end(), "")
        for call in INNER.finditer(body):
            outer = call[1] or call[2]
            if outer in bodies and outer != function and _around(bodies[outer][2], call[0]):
                yield Spot("around", outer, function, base + call.start(), base + call.end(), f"{outer}(")


def _around(body: str, call: str) -> bool:
    """Whether a body makes a call between a word with "lock" and one with "unlock" in it."""
    return bool(re.search(rf"lock\w*\(.*\b{re.escape(call)}.*unlock", body, re.DOTALL))


def drawn(
    trees: dict[str, Path], kind: str, count: int, by_name: bool, draw: random.Random
) -> Iterator[tuple[str, str, str, Spot]]:
    """Tree, path, text and place of some, half of them from folders that reviewbot is made for."""
    for group in (CORE, ELSEWHERE):
        found: dict[str, list[tuple[str, Path, Spot]]] = defaultdict(list)
        for tree, root in trees.items():
            for path in sorted(p for folder in group for p in (root / folder).rglob("*.c")):
                if path.stat().st_size < LARGEST:
                    for spot in spots(path.read_text(errors="surrogateescape")):
                        if spot.kind == kind:
                            found[spot.name].append((tree, path, spot))
        if by_name:
            chosen = [draw.choice(found[name]) for name in draw.sample(sorted(found), min(count // 2, len(found)))]
        else:
            every = [one for name in sorted(found) for one in found[name]]
            chosen = draw.sample(every, min(count // 2, len(every)))
        for tree, path, spot in chosen:
            yield tree, path.relative_to(trees[tree]).as_posix(), path.read_text(errors="surrogateescape"), spot


def main(arguments: list[str]) -> None:
    """Write the patches and their index."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tree", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--count", type=int, default=60, help="of each kind")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--by", choices=("place", "name"), default="place")
    given = parser.parse_args(arguments)
    trees = {name: Path(path) for name, _, path in (one.partition("=") for one in given.tree)}
    given.folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(given.seed)
    with (given.folder / "index.jsonl").open("w") as index:
        for kind in ("release", "around"):
            for number, (tree, path, text, spot) in enumerate(
                drawn(trees, kind, given.count, given.by == "name", draw)
            ):
                id_ = f"{kind}-{number:03}-{spot.name}-{spot.function}"[:100]
                after = text[: spot.start] + spot.text + text[spot.end :]
                sides = [side.encode(errors="surrogateescape") for side in (text, after)]
                (given.folder / f"{id_}.patch").write_bytes(mail(path, sides[0], sides[1], spot.function))
                case = {"id": id_, "patch": f"{id_}.patch", "tree": tree, "label": "deadlock", "class": kind}
                index.write(json.dumps({**case, "files": [path], "why": spot.function}) + "\n")
    print(f"seed {given.seed}; index in {given.folder / 'index.jsonl'}")


if __name__ == "__main__":
    main(sys.argv[1:])
