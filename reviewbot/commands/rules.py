"""`reviewbot rules`: what is checked, and how often each rule was right."""

from __future__ import annotations

import inspect
import sys

import rich_click as click


@click.command()
@click.argument("name", required=False)
def rules(name: str | None) -> None:
    """List the rules with their measured precision, or print the documentation of one."""
    from reviewbot import precision
    from reviewbot.rules import find
    from reviewbot.types import ReviewError

    loaded = find()
    known = {rule.id: rule for rule in loaded.rules}
    for line in loaded.broken:
        print(line, file=sys.stderr)
    if name:
        if name not in known:
            raise ReviewError(f"no rule is called {name}: there are {', '.join(known)}")
        print(inspect.getdoc(inspect.getmodule(type(known[name]))))
        print(f"\nMeasured: {_share(precision.load().get(name))}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("rule", "guarantee", "what it finds", "right nacks")
    for rule in known.values():
        module = inspect.getdoc(inspect.getmodule(type(rule))) or ""
        table.add_row(rule.id, rule.guarantee, module.split("\n")[0], _share(precision.load().get(rule.id)))
    Console().print(table)
    print(f"A rule that was right in less than {precision.MAY_NACK:.0%} of its NACKs may comment, not NACK.")


def _share(measured: object) -> str:
    from reviewbot.precision import Measured

    if not isinstance(measured, Measured) or measured.share is None:
        return "not measured"
    return f"{measured.share:.0%} ({measured.right} of {measured.right + measured.wrong})"
