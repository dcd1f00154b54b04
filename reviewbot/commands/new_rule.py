"""`reviewbot new-rule`: a rule and a case to start from."""

from __future__ import annotations

import re
from pathlib import Path

import rich_click as click


@click.command(name="new-rule")
@click.argument("name")
def new_rule(name: str) -> None:
    """Write a rule, a case where it reports and one where it does not, into the checkout that you stand in."""
    from reviewbot.types import ReviewError

    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ReviewError(f"`{name}` is no name for a rule: write it in lower case with dashes, as in flush-under-lock")
    rule = Path("heuristics") / f"{name.replace('-', '_')}.py"
    cases = Path("corpus") / name
    if not rule.parent.is_dir() or not cases.parent.is_dir():
        raise ReviewError("no heuristics/ and corpus/ here: run it at the top of a checkout of reviewbot")
    for path in (rule, cases):
        if path.exists():
            raise ReviewError(f"{path} is there already: edit it, or choose another name")
    kind = "".join(part.capitalize() for part in name.split("-"))
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("reviewbot.commands", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # plain text
    )
    cases.mkdir()
    for path, template, fires in (
        (rule, "new_rule.py.j2", True),
        (cases / "first.case", "new_rule.case.j2", True),
        (cases / "silent.case", "new_rule.case.j2", False),
    ):
        path.write_text(templates.get_template(template).render(name=name, kind=kind, fires=fires))
        print(f"wrote {path}")
    print(f"next: reviewbot facts {cases}/first.case, which shows what a rule sees,")
    print(f"      then pytest tests/bench/test_corpus.py -k {name} --bless")
