"""`reviewbot rules`: what is checked, and how often each rule was right."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.precision import Measured
    from reviewbot.rule import Rule

ON = {
    "blind": "labelled patches that the rules were not developed with",
    "replay": "an archive of mails, every NACK read",
    "flood": "merged changes, every NACK read",
}
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
        for on, share in _apart(name).items():
            print(f"    {on}: {share} right, on {ON[on]}")
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
    print(f"Right NACKs: share, 95 % interval; measured on {', '.join(ON.values())}.")
    print(
        f"A rule with fewer than {precision.ENOUGH} such NACKs is not measured, and the replay of its findings alone decides."
    )
    print(
        f"A rule that was right in less than {precision.MAY_NACK:.0%} of {precision.ENOUGH} or more may comment, not NACK."
    )


def _json(shown: tuple[Rule[Any], ...] | list[Rule[Any]], broken: tuple[str, ...]) -> str:
    import msgspec

    from reviewbot import precision

    def entry(rule: Rule[Any]) -> dict[str, Any]:
        found = precision.load().get(rule.id)
        measured = found and {
            "right": found.right,
            "wrong": found.wrong,
            **{key: found.nacks.as_json()[key] for key in ("share", "low", "high")},
            "on": _counts(rule.id),
        }
        return {
            "rule": rule.id,
            "guarantee": rule.guarantee,
            "title": _title(rule),
            "measured": measured if found and found.enough else None,
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
    """The figure in a table."""
    if measured is None or not measured.number:
        return "not measured"
    return str(measured.nacks) if measured.enough else f"not measured ({measured.right} of {measured.number})"


def _said(measured: Measured | None) -> str:
    """The figure in a sentence."""
    from reviewbot import precision

    if measured is not None and measured.enough:
        return f"{measured.nacks} of its NACKs were right"
    return f"not measured: {measured.number if measured else 0} NACKs were looked at, {precision.ENOUGH} are enough"


def _apart(rule: str) -> dict[str, str]:
    """What the figure of a rule is the sum of."""
    return {on: f"{counts['right']} of {counts['right'] + counts['wrong']}" for on, counts in _counts(rule).items()}


def _counts(rule: str) -> dict[str, dict[str, int]]:
    """Right and wrong NACKs of a rule by what they were measured on."""
    from reviewbot import precision

    kept = precision.recorded()
    found = {on: kept[on][rule] for on in precision.COUNT if rule in kept.get(on, {})}
    return {on: {"right": m.right, "wrong": m.wrong} for on, m in found.items() if m.number}
