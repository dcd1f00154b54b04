"""Totals as JSON and as tables: shares with their intervals, counts by label, class and rule, for core, rest and all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from reviewbot.bench.backtest import STAGES
from reviewbot.bench.totals import INNOCENT, LABELS, VERDICTS, Totals, TotalsGroup
from reviewbot.precision import Share

SCHEMA = 1
PLACES: dict[str, tuple[bool, ...]] = {"all": (True, False), "core": (True,), "rest": (False,)}


class TotalsSection(NamedTuple):
    """The figures of the core, of the rest, or of all."""

    recall: Share
    recall_with_comments: Share
    wrong_nacks: Share
    comments_on_innocent: Share
    unreviewed: int
    faults: int

    @classmethod
    def of(cls, totals: Totals, place: str) -> TotalsSection:
        """The figures of a place; cases that count apart are in none of them."""

        def count(*verdicts: str, labels: Iterable[str]) -> int:
            return sum(totals.count(*verdicts, labels=labels, core=core) for core in PLACES[place])

        dead, innocent, labels = ("deadlock",), INNOCENT, ("deadlock", *INNOCENT, "merged")
        return cls(
            recall=Share(count("nack", labels=dead), count(labels=dead)),
            recall_with_comments=Share(count("nack", "comment", labels=dead), count(labels=dead)),
            wrong_nacks=Share(count("nack", labels=innocent), count(labels=innocent)),
            comments_on_innocent=Share(count("comment", labels=innocent), count(labels=innocent)),
            unreviewed=count("unreviewed", labels=labels),
            faults=count("fault", labels=labels),
        )


Row = dict[str, Any]


def as_json(totals: Totals) -> dict[str, Any]:
    """The stable JSON of `backtest --totals --json`."""
    return {
        "schema": SCHEMA,
        "cases": totals.verdicts.total(),
        "seconds": round(sum(totals.seconds.values()), 3),
        "longest": round(totals.longest, 3),
        "sections": [_section(totals, place) for place in PLACES],
        "labels": _cases(totals, lambda g: {"label": g.label}, apart=False),
        "classes": _cases(totals, lambda g: {"label": g.label, "class": g.cls}, apart=False),
        "stages": [*_stages(totals)],
        "funnel": [*_funnel(totals)],
        "apart": _cases(totals, lambda g: {"why": g.apart, "label": g.label}, apart=True),
        "rules": [*_rules(totals)],
        "faults": [
            {"rule": f.rule or None, "type": f.type, "at": f.at or None, "count": n}
            for f, n in sorted(totals.faults.items(), key=lambda item: (-item[1], item[0].rule, item[0].at))
        ],
    }


def _section(totals: Totals, place: str) -> Row:
    figures = TotalsSection.of(totals, place)._asdict()
    return {"where": place} | {k: v.as_json() if isinstance(v, Share) else v for k, v in figures.items()}


def _cases(totals: Totals, by: Callable[[TotalsGroup], Mapping[str, str]], apart: bool) -> list[Row]:
    """A row per place and name: how many cases got which verdict, how many fixes were recognised, the seconds."""
    found: dict[tuple[object, ...], Row] = {}

    def row(group: TotalsGroup) -> Row:
        names = {"where": _where(group.core), **by(group)}
        empty = {"cases": 0, **dict.fromkeys(VERDICTS, 0), "fixes": 0, "seconds": 0.0}
        return found.setdefault(tuple(names.values()), {**names, **empty})

    for (group, verdict), n in totals.verdicts.items():
        if bool(group.apart) is apart:
            row(group)["cases"] += n
            row(group)[verdict] = row(group).get(verdict, 0) + n
    for group, n in totals.fixes.items():
        if bool(group.apart) is apart:
            row(group)["fixes"] += n
    for group, seconds in totals.seconds.items():
        if bool(group.apart) is apart:
            row(group)["seconds"] = round(row(group)["seconds"] + seconds, 3)
    return [found[key] for key in sorted(found, key=repr)]


def _stages(totals: Totals) -> Iterator[Row]:
    """A row per place and stage: how many cases of each label came that far and no further."""
    for core, stage in itertools.product((True, False), STAGES):
        of = {label: totals.at_stage(stage, label, core=core) for label in LABELS}
        if any(of.values()):
            yield {"where": _where(core), "stage": stage, **of}


def _funnel(totals: Totals) -> Iterator[Row]:
    """A row per class of deadlocks: how many cases came to each stage and no further."""
    for cls in sorted({group.cls for group, _ in totals.stages if group.label == "deadlock" and not group.apart}):
        yield {"class": cls, **{stage: totals.at_stage(stage, "deadlock", cls=cls) for stage in STAGES}}


def _rules(totals: Totals) -> Iterator[Row]:
    """A row per place and rule: right and wrong NACKs, fixes that it recognised."""
    for core, rule in sorted({(r.core, r.rule) for r in totals.rules}, key=lambda key: (not key[0], key[1])):
        said = {r.said: n for r, n in totals.rules.items() if (r.core, r.rule) == (core, rule)}
        counts = {name: said.get(name, 0) for name in ("right", "wrong", "fix")}
        yield {"where": _where(core), "rule": rule, **counts}


def _where(core: bool) -> str:
    return "core" if core else "rest"


class Figures(NamedTuple):
    """NACKs of one rule, for the record."""

    name: str
    found: int
    wrong: int


def by_rule(totals: Totals) -> list[Figures]:
    """What the record of precision keeps of each rule that said something."""
    found = {name: Figures(name, 0, 0) for name in sorted({r.rule for r in totals.rules})}
    for row in _rules(totals):
        was = found[row["rule"]]
        found[was.name] = Figures(was.name, was.found + row["right"], was.wrong + row["wrong"])
    return [*found.values()]


def show(totals: Totals) -> None:
    """Print the figures and the tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for place in PLACES:
        s = TotalsSection.of(totals, place)
        print(f"{place}: NACKed deadlocks {s.recall}; NACKed or commented {s.recall_with_comments}")
        print(f"{'':{len(place)}}  wrong NACKs {s.wrong_nacks}; comments on clean and fix {s.comments_on_innocent}")
        print(f"{'':{len(place)}}  unreviewed {s.unreviewed}; faults {s.faults}")
    found = as_json(totals)
    for title, key in (
        ("by label", "labels"),
        ("by class", "classes"),
        ("how far they came", "stages"),
        ("how far deadlocks came", "funnel"),
        ("by rule", "rules"),
        ("counted apart, and in none of the above", "apart"),
        ("faults", "faults"),
    ):
        rows: list[Row] = found[key]
        if not rows:
            continue
        table = Table(title=f"\n{title}", title_justify="left", box=None)
        for name, value in rows[0].items():
            table.add_column(name, no_wrap=True, justify="left" if isinstance(value, str | None) else "right")
        for row in rows:
            table.add_row(*(_text(value) for value in row.values()))
        console.print(table)
    print(f"\n{found['cases']} cases, {found['seconds']:.0f} seconds in all, {found['longest']:.1f} the longest")


def _text(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else "" if value is None else str(value)
