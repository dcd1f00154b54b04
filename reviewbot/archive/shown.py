"""The summary of an archive as tables, and as a page with plots."""

from __future__ import annotations

from collections.abc import Sequence

from reviewbot.archive.posting import ArchiveRow
from reviewbot.archive.summary import COUNTED, ArchiveSummary, Counts, RuleCounts, month
from reviewbot.gittree.fit import Fit
from reviewbot.precision import interval
from reviewbot.report.bars import bars
from reviewbot.report.shapes import Drawing
from reviewbot.report.templating import environment
from reviewbot.text import clean

SHADES = dict(zip(COUNTED, (5, 1, 2, 4), strict=True))
"""Colour of each verdict in a plot."""
RULE_SHADES = {"nack": 5, "comment": 1, "fix": 2}
COUNT_HEAD = ("posted", "fit a tree", "nack", "comment", "ack", "not reviewed")
RULE_HEAD = ("nack", "of these merged", "comment", "fix")
PLOTTED = "postings that go with a tree, by what was said of them"
PLOTTED_RULES = "postings of which a rule spoke: one may be in several rows"
MOST = 25
"""Subsystems that are shown: the rest are one row."""


def asked(summary: ArchiveSummary) -> list[tuple[str, str]]:
    """What a maintainer asks first, with the answers."""
    whole, months = summary.whole, max(1, len(summary.months))
    total, middle, nine, longest = summary.seconds
    fits = ", ".join(f"{n} {fitted(*how.split(' ', 1))}" for how, n in summary.fits if how != "none")
    found = [
        ("postings that were looked at", f"{whole.posted} in {len(summary.months)} months"),
        ("go with a tree, and are what follows", f"{whole.fit}{fits and ': '}{fits}"),
        ("drafts that say no", f"{_share(whole.nack, whole.fit)}, {whole.nack / months:.1f} a month"),
        ("in the busiest month", f"{summary.busiest.nack} ({summary.busiest.name})"),
        ("of these, of what was merged all the same", str(summary.merged_nacks)),
        ("undecided, shown to you alone", f"{_share(whole.comment, whole.fit)}, {whole.comment / months:.1f} a month"),
    ]
    if whole.fit:
        nacks, comments = (n * whole.posted / whole.fit / months for n in (whole.nack, whole.comment))
        said = f"{nacks:.1f} drafts that say no and {comments:.1f} undecided"
        found.append(("a month, if all of them went with a tree as on the day they were posted", said))
    seconds = f"{total:.0f} in all; a posting: median {middle:.2f}, 90th of 100 {nine:.2f}, longest {longest:.1f}"
    return [
        *found,
        ("not reviewed, of those that go with a tree", str(whole.not_reviewed)),
        ("seconds of processor time", seconds),
    ]


def fitted(fit: str, tree: str = "") -> str:
    """How a posting goes with a tree, in words."""
    return f"{'merged in' if fit == Fit.MERGED.value else 'on'} {clean(tree)}"


def count_rows(counts: Sequence[Counts]) -> list[tuple[str, ...]]:
    """Rows of a table under COUNT_HEAD."""
    return [_count_row(c) for c in counts]


def rule_rows(rules: Sequence[RuleCounts]) -> list[tuple[str, ...]]:
    """Rows of a table under RULE_HEAD."""
    return [(r.name, str(r.nacks), str(r.merged_nacks), str(r.comments), str(r.fixes)) for r in rules]


def page(summary: ArchiveSummary, title: str) -> str:
    """The page: one file that fetches nothing."""
    counted = (("By month", summary.months, "month"), ("By subsystem", few(summary.subsystems), "subsystem"))
    parts: list[tuple[str, str, Drawing, tuple[str, ...], list[tuple[str, ...]]]] = [
        (name, PLOTTED, bars([(c.name, c.bars()) for c in counts], SHADES), (head, *COUNT_HEAD), count_rows(counts))
        for name, counts, head in counted
    ]
    rules = bars([(rule.name, rule.bars()) for rule in summary.rules], RULE_SHADES)
    parts.append(("By rule", PLOTTED_RULES, rules, ("rule", *RULE_HEAD), rule_rows(summary.rules)))
    template = environment().get_template("archive.html.j2")
    return template.render(title=title, asked=asked(summary), parts=parts, nacks=_dated(summary))


def few(counts: Sequence[Counts]) -> list[Counts]:
    """The first MOST, and the others added up."""
    rest = counts[MOST:]
    fields = ("posted", "nack", "comment", "ack", "not_reviewed")
    more = Counts(f"{len(rest)} others", *(sum(getattr(c, field) for c in rest) for field in fields))
    return [*counts[:MOST], *[more] * bool(rest)]


def _share(some: int, of: int) -> str:
    """So many of so many, with the 95 % interval; of thousands a few are not nothing."""
    bounds = interval(some, of)
    return f"{some} of {of}" + (f" = {some / of:.1%} ({bounds[0]:.1%} to {bounds[1]:.1%})" if bounds else "")


def _count_row(c: Counts) -> tuple[str, ...]:
    return (c.name, *(str(n) for n in (c.posted, c.fit, c.nack, c.comment, c.ack, c.not_reviewed)))


def _dated(summary: ArchiveSummary) -> list[tuple[ArchiveRow, str]]:
    return [(row, f"{month(row)}, {fitted(row.fit, row.tree)}") for row in summary.nacks]
