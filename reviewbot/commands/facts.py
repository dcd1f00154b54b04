"""`reviewbot facts`: what a file of the tree says, or what a patch changes in that."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.analysis import Fact, Facts
    from reviewbot.detect.changed import Changed
    from reviewbot.difference import Diff
    from reviewbot.gittree.tree import Tree
    from reviewbot.types import Source


@click.command()
@click.argument("what", metavar="FILE|PATCH|CASE")
@click.option("--function", "-f", "function", metavar="NAME", default="", help="Only facts of this function.")
@click.option("--kind", "-k", "kinds", metavar="KIND", multiple=True, help="Only facts of this kind (Lock, Wait, ...).")
@click.option(
    "--tree", type=click.Path(path_type=Path), help="Git repository of the kernel (default: the current folder's)."
)
@click.option("--base", metavar="REV", default="", help="Commit of the tree to read, or to apply the patch to.")
@click.option("--json", "as_json", is_flag=True, help="The difference that a patch makes, as JSON.")
@click.option("--no-color", is_flag=True, help="Plain text only.")
def facts(
    what: str, function: str, kinds: tuple[str, ...], tree: Path | None, base: str, as_json: bool, no_color: bool
) -> None:
    """Print the facts of a C file of the tree, or what a patch does to the code of functions.

    FILE is a path inside of the tree; PATCH is a mail, mbox or diff. Of a patch: what is done anew (+), no longer (-), in
    another order or under other conditions (~), what tasks wait for first; with --kind the facts that it adds and takes
    away. CASE is one of the corpus: the facts of its files with the patch, those that it adds (+) or takes away (-)
    marked; it needs no tree. A rule's author sees here what a rule will see.
    """
    from reviewbot.analysis.events.kinds import KINDS
    from reviewbot.function_key import name_of
    from reviewbot.gittree.tree import Tree
    from reviewbot.types import ReviewError

    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ReviewError(f"there is no kind of facts `{unknown[0]}`: {', '.join(sorted(KINDS))}")
    if what.endswith(".case") and Path(what).is_file():
        _show(_of_case(Path(what), function, kinds), no_color)
        return
    with Tree.open(tree or Path()) as repository:
        path = _inside(what, tree)
        source = repository.at(base or "HEAD")
        if path.endswith((".c", ".h")) and source.blob(path) is not None:
            found = _of_file(source, path)
            _show([("", fact) for fact in _chosen(found, function, kinds)], no_color)
        elif Path(what).is_file():
            diff = _opened(repository, what, base)
            if kinds:
                lines = [("-", fact) for fact in _chosen(diff.removed, function, kinds)]
                lines += [("+", fact) for fact in _chosen(diff.added, function, kinds)]
                _show(lines, no_color)
            else:
                changes = [c for c in diff.code.changes if not function or name_of(c.anchor) == function]
                _print_json(changes) if as_json else _show_changes(changes, no_color)
        else:
            raise ReviewError(f"{what} is neither a C file of the tree at {base or 'HEAD'} nor a patch or case file")


def _inside(what: str, tree: Path | None) -> str:
    """The path as the tree has it: a file may also be named as it lies in the work tree."""
    given = Path(what)
    if tree is not None and given.is_absolute() and given.is_relative_to(tree.resolve()):
        return given.relative_to(tree.resolve()).as_posix()
    return given.as_posix()


def _of_file(source: Source, path: str) -> Facts:
    from reviewbot.analysis.program import programs

    return programs.around(source, [path]).facts([path])


def _of_case(path: Path, function: str, kinds: Iterable[str]) -> list[tuple[str, Fact]]:
    """The facts of both sides of a case, with the sign that a diff would give them."""
    from reviewbot.bench import case, demo
    from reviewbot.difference import Diff

    root = path.resolve().parent.parent
    with demo.applied(case.parse(path.read_text(), path.stem, root)) as (_, change, before, after):
        diff = Diff.of(change, before, after)
        new = frozenset(diff.added)
        lines = [("+" if fact in new else " ", fact) for fact in _chosen(diff.after.facts, function, kinds)]
        lines += [("-", fact) for fact in _chosen(diff.removed, function, kinds)]
    return sorted(lines, key=lambda line: line[1].at)


def _opened(repository: Tree, what: str, base: str) -> Diff:
    from reviewbot.difference import Diff
    from reviewbot.mail import fetch

    change = repository.apply(fetch.fetch(what), base or None)
    return Diff.of(change, *repository.sources(change))


def _chosen(found: Facts, function: str, kinds: Iterable[str]) -> list[Fact]:
    wanted = frozenset(kinds)
    return [
        fact
        for fact in sorted(found, key=lambda fact: fact.at)
        if (not function or fact.function == function) and (not wanted or type(fact).__name__ in wanted)
    ]


_SIGNS = {"new": ("+", "green"), "gone": ("-", "red")}


def _show_changes(changes: Sequence[Changed], no_color: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    color = not no_color and sys.stdout.isatty()
    console = Console(no_color=not color, highlight=False, soft_wrap=True)
    anchor = ""
    for change in sorted(changes, key=lambda c: min(changes.index(o) for o in changes if o.anchor == c.anchor)):
        if change.anchor != anchor:
            anchor = change.anchor
            console.print(Text(anchor.replace(":", ": ") + "()", style="bold"))
        sign, style = _SIGNS.get(change.kind, ("~", "yellow"))
        console.print(Text(f"{sign:1}{change.event.at.line:6} {change.says()}", style=style))
    console.print(Text(f"{len(changes)} changes", style="dim"))


def _print_json(changes: Sequence[Changed]) -> None:
    import msgspec

    rows = [
        {
            "kind": change.kind,
            "function": change.anchor,
            "side": "after" if change.after else "before",
            "op": change.event.op,
            "words": change.event.words,
            "lost": sorted(map(str, change.lost)),
            "gained": sorted(map(str, change.gained)),
            "lines": [{"file": at.file, "line": at.line} for at in change.places],
        }
        for change in changes
    ]
    print(msgspec.json.format(msgspec.json.encode(rows)).decode())


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
