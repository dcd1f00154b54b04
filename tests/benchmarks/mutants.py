"""How well the ordered difference tells what a change of a function did: mutants and refactorings of real functions.

    python tests/benchmarks/mutants.py --tree NAME=PATH [--tree NAME=PATH ...] [--count 300] [--seed N] [--show]

Of a mutant the guilty line has to be among the first three changes of the difference; of a refactoring the difference has
to be empty. Functions are drawn from the trees given, and changed by the recipes of `recipes.py`. Each file is read with
the headers that it includes, and no other file.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from recipes import MUTANTS, REFACTORINGS, Recipe, functions

from reviewbot.analysis.program import programs
from reviewbot.analysis.program.program import Program
from reviewbot.detect.anchors import Difference
from reviewbot.detect.changed import Changed
from reviewbot.gittree.source import FolderSource, LaidOver

FOLDERS = ("block", "drivers/md", "drivers/block", "drivers/nvme", "drivers/scsi", "fs", "mm")
OF_A_FILE = 3
"""Mutants, and refactorings, of one file."""
FIRST = 3


class Tried(NamedTuple):
    """A function that was changed, and what the difference says of it."""

    where: str
    recipe: Recipe
    changes: tuple[Changed, ...]

    @property
    def right(self) -> bool:
        """Whether the guilty line is among the first; for a refactoring, whether there is no difference."""
        if not self.recipe.old_lines:
            return not self.changes
        return any(_told(change, self.recipe) for change in self.changes[:FIRST])


def _told(change: Changed, recipe: Recipe) -> bool:
    """Whether a change names a guilty line on the side where it is guilty."""
    before, after = change._replace(after=None), change._replace(before=None)
    return any(p.line in recipe.old_lines for p in before.places) or any(
        p.line in recipe.new_lines for p in after.places
    )


def files(trees: Mapping[str, Path], draw: random.Random) -> Iterator[tuple[str, Path, str]]:
    """C files of the folders of all trees: first a folder is drawn, then a file of it; none comes twice."""
    left = {
        (name, folder): sorted((root / folder).rglob("*.c"), key=str)
        for name, root in trees.items()
        for folder in FOLDERS
    }
    for found in left.values():
        draw.shuffle(found)
    while any(left.values()):
        name, folder = draw.choice([key for key, found in left.items() if found])
        path = left[name, folder].pop()
        yield name, trees[name], path.relative_to(trees[name]).as_posix()


def made(source: bytes, wanted: Counter[str], draw: random.Random) -> Iterator[Recipe]:
    """Changes of functions of a file, each of another function, the operators first that are wanted most."""
    left = functions(source)
    draw.shuffle(left)
    for recipes in (MUTANTS, REFACTORINGS):
        number = 0
        for operator in sorted(recipes, key=lambda name: (-wanted[name], draw.random())):
            if wanted[operator] <= 0 or number == OF_A_FILE:
                break
            for function in left:
                places: list[Recipe] = list(_bounded(recipes[operator](function)))
                if places:
                    yield draw.choice(places)
                    left.remove(function)
                    number += 1
                    break


def _bounded(found: Iterator[Recipe]) -> Iterator[Recipe]:
    yield from (recipe for recipe, _ in zip(found, range(200), strict=False))


def tried(name: str, root: Path, path: str, wanted: Counter[str], draw: random.Random) -> Iterator[Tried]:
    """The changes of one file with their differences, without those that cannot be read."""
    tree = FolderSource(root)
    text = tree.read(path) or b""
    program: Program | None = None
    for recipe in made(text, wanted, draw):
        if program is None:
            program = programs.make(tree, {path: tree.blob(path) or ""})
        before = program if recipe.before == text else laid(program, tree, path, recipe.before)
        after = laid(program, tree, path, recipe.after)
        key = f"{path}:{recipe.function}"
        new = [key] + ([f"{path}:{recipe.helper}"] if recipe.helper else [])
        known = before.names.functions, after.names.functions
        if key not in known[0] or any(k not in known[1] or known[1][k].unreadable for k in new):
            continue
        if not known[0][key].unreadable:
            yield Tried(f"{name}/{key}", recipe, Difference(before, after, [key], new).changes)


def laid(program: Program, tree: FolderSource, path: str, text: bytes) -> Program:
    """The program with another text of a file."""
    source = LaidOver(tree, {path: text})
    return programs.evolved(program, source, {path: source.blob(path)})


def shown(one: Tried) -> str:
    """A case for people: where, what was done, and what the difference says first."""
    lines = sorted(one.recipe.old_lines | one.recipe.new_lines)
    said = [f"    {c.kind} {c.event.at.line}: {c.says()[:200]}" for c in one.changes[:6]]
    return "\n".join([f"{one.recipe.operator}: {one.where} {lines[:8]} ({len(one.changes)} changes)", *said])


def table(cases: list[Tried]) -> str:
    """Right and all per operator, then of mutants and refactorings."""
    lines = []
    for title, recipes in (("mutants", MUTANTS), ("refactorings", REFACTORINGS)):
        here = [case for case in cases if case.recipe.operator in recipes]
        for name in recipes:
            mine = [case for case in here if case.recipe.operator == name]
            lines.append(f"{name:22} {sum(c.right for c in mine):4} of {len(mine):4}")
        right = sum(case.right for case in here)
        lines.append(f"{title:22} {right:4} of {len(here):4} = {right / max(1, len(here)):.1%}")
    return "\n".join(lines)


def drawn(trees: Mapping[str, Path], count: int, seed: int) -> Iterator[Tried]:
    """`count` mutants and as many refactorings, in equal parts by operator as far as the files have places for them."""
    draw = random.Random(seed)
    wanted = Counter({name: -(-count // len(kind)) for kind in (MUTANTS, REFACTORINGS) for name in kind})
    for name, root, path in files(trees, draw):
        for case in tried(name, root, path, wanted, draw):
            if wanted[case.recipe.operator] > 0:
                wanted[case.recipe.operator] -= 1
                yield case
        if not +wanted:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tree", action="append", required=True, metavar="NAME=PATH", help="a kernel tree")
    parser.add_argument("--count", type=int, default=300, help="mutants, and refactorings (300)")
    parser.add_argument("--seed", type=int, default=None, help="for the same functions again")
    parser.add_argument("--show", action="store_true", help="say what was told of those that are wrong")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    trees = {name: Path(path).expanduser() for name, _, path in (tree.partition("=") for tree in options.tree)}
    if missing := [str(path) for path in trees.values() if not path.is_dir()]:
        sys.exit(f"no such folder: {', '.join(missing)}")
    cases = []
    for case in drawn(trees, options.count, seed):
        cases.append(case)
        if options.show and not case.right:
            print(shown(case), flush=True)
    print(table(cases))


if __name__ == "__main__":
    main()
