"""`reviewbot rules`: what is checked, and how often each rule was right."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.precision import Measured
    from reviewbot.rule import Rule

ON = {"seen": "cases that the rules were developed with", "unseen": "cases that the rules were not developed with"}
"""What a share was measured on."""


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the rules as JSON and nothing else.")
def rules(name: str | None, as_json: bool) -> None:
    """List the rules with their measured precision, or print the documentation of one."""
    from reviewbot import precision
    from reviewbot.rules import find
    from reviewbot.types import ReviewError

    loaded = find()
    known = {rule.id: rule for rule in loaded.rules}
    if name and name not in known:
        raise ReviewError(f"no rule is called {name}: there are {', '.join(known)}")
    for line in loaded.broken:
        print(line, file=sys.stderr)
    measured = precision.load()
    if as_json:
        print(_json([known[name]] if name else loaded.rules, loaded.broken))
    elif name:
        print(_documentation(known[name]))
        print(f"\nMeasured: {_said(measured.get(name))}")
    else:
        _table(loaded.rules)


def _table(shown: tuple[Rule[Any], ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    from reviewbot import precision

    measured = {rule.id: precision.load().get(rule.id) for rule in shown}
    table = Table("rule", "guarantee", "what it finds", "right nacks")
    for rule in shown:
        table.add_row(rule.id, rule.guarantee, _title(rule), _share(measured[rule.id]))
    Console().print(table)
    for on in sorted({m.on for m in measured.values() if m is not None and m.number}):
        print(f"{on}: measured on {ON[on]}{_unmeasured(on)}.")
    print(f"A rule that was right in less than {precision.MAY_NACK:.0%} of its NACKs may comment, not NACK.")


def _json(shown: tuple[Rule[Any], ...] | list[Rule[Any]], broken: tuple[str, ...]) -> str:
    import msgspec

    from reviewbot import precision

    def entry(rule: Rule[Any]) -> dict[str, Any]:
        found = precision.load().get(rule.id)
        measured = found and {"right": found.right, "wrong": found.wrong, "share": found.share, "on": found.on}
        return {
            "rule": rule.id,
            "guarantee": rule.guarantee,
            "title": _title(rule),
            "measured": measured if found and found.number else None,
            "may_nack": precision.may_nack(rule.id),
            "documentation": _documentation(rule),
        }

    value = {"schema": 1, "rules": [entry(rule) for rule in shown], "broken": list(broken)}
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()


def _documentation(rule: Rule[Any]) -> str:
    return inspect.getdoc(inspect.getmodule(type(rule))) or ""


def _title(rule: Rule[Any]) -> str:
    return _documentation(rule).partition("\n")[0]


def _share(measured: Measured | None) -> str:
    """The figure in a table: the word behind it is explained below."""
    if measured is None or measured.share is None:
        return "not measured"
    return f"{measured.share:.0%} ({measured.right} of {measured.number}), {measured.on}"


def _said(measured: Measured | None) -> str:
    """The figure in a sentence."""
    if measured is None or measured.share is None:
        return "not measured"
    share = f"{measured.share:.0%} ({measured.right} of {measured.number})"
    return f"{share}, on {ON[measured.on]}{_unmeasured(measured.on)}"


def _unmeasured(on: str) -> str:
    from reviewbot import precision

    return f"; on others not measured (fewer than {precision.ENOUGH} NACKs)" if on == "seen" else ""
