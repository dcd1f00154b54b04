"""`reviewbot facts`: what a file of the tree says, or what a patch changes in that."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.analysis import Fact, Facts
    from reviewbot.gittree.tree import Tree
    from reviewbot.types import Source


@click.command()
@click.argument("what", metavar="FILE|PATCH")
@click.option("--function", "-f", "function", metavar="NAME", default="", help="Only facts of this function.")
@click.option("--kind", "-k", "kinds", metavar="KIND", multiple=True, help="Only facts of this kind (Lock, Wait, ...).")
@click.option(
    "--tree", type=click.Path(path_type=Path), help="Git repository of the kernel (default: the current folder's)."
)
@click.option("--base", metavar="REV", default="", help="Commit of the tree to read, or to apply the patch to.")
@click.option("--no-color", is_flag=True, help="Plain text only.")
def facts(what: str, function: str, kinds: tuple[str, ...], tree: Path | None, base: str, no_color: bool) -> None:
    """Print the facts of a C file of the tree, or those that a patch adds (+) and takes away (-).

    FILE is a path inside of the tree; PATCH is a mail, mbox or diff. A rule's author sees here what a rule will see.
    """
    from reviewbot.analysis.events.kinds import KINDS
    from reviewbot.gittree.tree import Tree
    from reviewbot.types import ReviewError

    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ReviewError(f"there is no kind of facts `{unknown[0]}`: {', '.join(sorted(KINDS))}")
    with Tree.open(tree or Path()) as repository:
        path = _inside(what, tree)
        source = repository.at(base or "HEAD")
        if path.endswith((".c", ".h")) and source.blob(path) is not None:
            found = _of_file(source, path)
            _show([("", fact) for fact in _chosen(found, function, kinds)], no_color)
        elif Path(what).is_file():
            removed, added = _of_patch(repository, what, base)
            lines = [("-", fact) for fact in _chosen(removed, function, kinds)]
            lines += [("+", fact) for fact in _chosen(added, function, kinds)]
            _show(lines, no_color)
        else:
            raise ReviewError(f"{what} is neither a C file of the tree at {base or 'HEAD'} nor a patch file")


def _inside(what: str, tree: Path | None) -> str:
    """The path as the tree has it: a file may also be named as it lies in the work tree."""
    given = Path(what)
    if tree is not None and given.is_absolute() and given.is_relative_to(tree.resolve()):
        return given.relative_to(tree.resolve()).as_posix()
    return given.as_posix()


def _of_file(source: Source, path: str) -> Facts:
    from reviewbot.analysis.program import programs

    return programs.around(source, [path]).facts([path])


def _of_patch(repository: Tree, what: str, base: str) -> tuple[Facts, Facts]:
    """What the patch takes away, and what it adds."""
    from reviewbot.analysis.program import programs
    from reviewbot.mail import fetch

    change = repository.apply(fetch.fetch(what), base or None)
    before, after = repository.sources(change)
    paths = [p for f in change.files if not f.binary for p in dict.fromkeys((f.old_path or f.path, f.path))]
    old = programs.around(before, paths)
    new = programs.led_on(old, after, paths)
    facts_before, facts_after = old.facts(paths), new.facts(paths)
    return facts_before - facts_after, facts_after - facts_before


def _chosen(found: Facts, function: str, kinds: Iterable[str]) -> list[Fact]:
    wanted = frozenset(kinds)
    return [
        fact
        for fact in sorted(found, key=lambda fact: fact.at)
        if (not function or fact.function == function) and (not wanted or type(fact).__name__ in wanted)
    ]


def _show(lines: list[tuple[str, Fact]], no_color: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    color = not no_color and sys.stdout.isatty()
    console = Console(no_color=not color, highlight=False, soft_wrap=True)
    file = ""
    for sign, fact in lines:
        if fact.at.file != file:
            file = fact.at.file
            console.print(Text(file, style="bold"))
        style = {"-": "red", "+": "green"}.get(sign, "")
        text = Text(f"{sign:1}{fact.at.line:6} ", style=style or "dim")
        text.append(f"{fact.function or '-':32} ", style=style or "cyan")
        text.append(f"{type(fact).__name__:11}", style=style or "yellow")
        text.append(fact.says(), style=style)
        console.print(text)
    console.print(Text(f"{len(lines)} facts", style="dim"))
