"""The summary of an archive as tables, and as a page with plots."""

from __future__ import annotations

from collections.abc import Sequence

from reviewbot.archive.summary import COUNTED, ArchiveSummary, Counts, RuleCounts
from reviewbot.report.bars import bars
from reviewbot.report.shapes import Drawing
from reviewbot.report.templating import environment

SHADES = dict(zip(COUNTED, (5, 1, 2, 4), strict=True))
"""Colour of each verdict in a plot."""
RULE_SHADES = {"nack": 5, "comment": 1, "fix": 2}
COUNT_HEAD = ("posted", "fit a tree", "nack", "comment", "ack", "not reviewed")
RULE_HEAD = ("nack", "of these merged", "comment", "fix")
MOST = 25
"""Subsystems that are shown: the rest are one row."""


def asked(summary: ArchiveSummary) -> list[tuple[str, str]]:
    """What a maintainer asks first, with the answers."""
    whole, months = summary.whole, max(1, len(summary.months))
    total, middle, nine, longest = summary.seconds
    share = f" ({whole.nack / whole.fit:.1%})" if whole.fit else ""
    return [
        ("postings that were looked at", f"{whole.posted} in {len(summary.months)} months"),
        ("go with a tree", ", ".join(f"{n} {how}" for how, n in summary.fits)),
        ("drafts that say no", f"{whole.nack} of {whole.fit}{share}, {whole.nack / months:.1f} a month"),
        ("in the busiest month", f"{summary.busiest.nack} ({summary.busiest.name})"),
        ("of these, of what was merged all the same", str(summary.merged_nacks)),
        ("undecided, shown to you alone", f"{whole.comment}, {whole.comment / months:.1f} a month"),
        ("not reviewed, of those that go with a tree", str(whole.not_reviewed)),
        (
            "seconds of processor time",
            f"{total:.0f} in all; a posting: median {middle:.2f}, 90th of 100 {nine:.2f}, longest {longest:.1f}",
        ),
    ]


def count_rows(counts: Sequence[Counts]) -> list[tuple[str, ...]]:
    """Rows of a table under COUNT_HEAD."""
    return [_count_row(c) for c in counts]


def rule_rows(rules: Sequence[RuleCounts]) -> list[tuple[str, ...]]:
    """Rows of a table under RULE_HEAD."""
    return [(r.name, str(r.nacks), str(r.merged_nacks), str(r.comments), str(r.fixes)) for r in rules]


def page(summary: ArchiveSummary, title: str) -> str:
    """The page: one file that fetches nothing."""
    counted = (("By month", summary.months, "month"), ("By subsystem", few(summary.subsystems), "subsystem"))
    parts: list[tuple[str, Drawing, tuple[str, ...], list[tuple[str, ...]]]] = [
        (name, bars([(c.name, c.bars()) for c in counts], SHADES), (head, *COUNT_HEAD), count_rows(counts))
        for name, counts, head in counted
    ]
    rules = bars([(rule.name, rule.bars()) for rule in summary.rules], RULE_SHADES)
    parts.append(("By rule", rules, ("rule", *RULE_HEAD), rule_rows(summary.rules)))
    template = environment().get_template("archive.html.j2")
    return template.render(title=title, asked=asked(summary), parts=parts, nacks=summary.nacks)


def few(counts: Sequence[Counts]) -> list[Counts]:
    """The first MOST, and the others added up."""
    rest = counts[MOST:]
    fields = ("posted", "nack", "comment", "ack", "not_reviewed")
    more = Counts(f"{len(rest)} others", *(sum(getattr(c, field) for c in rest) for field in fields))
    return [*counts[:MOST], *[more] * bool(rest)]


def _count_row(c: Counts) -> tuple[str, ...]:
    return (c.name, *(str(n) for n in (c.posted, c.fit, c.nack, c.comment, c.ack, c.not_reviewed)))
