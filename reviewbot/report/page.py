"""Reviews as one self-contained page: verdict, lines of the patch, the schedule as picture and text, its code, the draft.

Nothing is fetched from anywhere, and all that comes from mails and code is escaped text. Without scripts all of it can be
read; with them the arrow keys go through the schedule step by step.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from markupsafe import Markup
from msgspec.structs import replace

from reviewbot.key import identity
from reviewbot.report.files import put
from reviewbot.report.gaps import gaps
from reviewbot.report.narrow import narrow
from reviewbot.report.output import line
from reviewbot.report.picture import Picture, layout
from reviewbot.report.reply import replay_id
from reviewbot.report.shapes import Drawing
from reviewbot.report.templating import environment
from reviewbot.report.wide import wide
from reviewbot.text import clean
from reviewbot.types import (
    Change,
    ChangedEvent,
    Decision,
    Finding,
    Hunk,
    Outcome,
    Place,
    Reply,
    Review,
    ScheduleCode,
    Side,
    Trace,
    Value,
    Verdict,
)

AROUND = 14
"""Lines of a hunk that are shown before and after the line of a finding."""
SHOWN = (Outcome.CONFIRMED, Outcome.FIXED)
"""Outcomes that are told with a schedule; the others are a line each."""


class DiffRow(Value, frozen=True):
    """A line of a hunk as it is shown."""

    sign: str
    text: str
    before: int
    after: int
    found: bool = False
    """The finding stands on it."""


class StepRow(Value, frozen=True):
    """A card of the picture as a line of text."""

    number: int
    task: str
    text: str
    holds: tuple[str, ...] = ()
    stuck: bool = False
    place: str = ""
    source: str = ""
    """Its line of code."""
    anchor: str = ""
    """Id of its line of code in the page; empty where that is not there."""
    other: bool = False
    """The other side has no such step."""


class CodeRow(Value, frozen=True):
    """A line of code, and the rows of the picture that stand for it."""

    number: int
    text: str
    anchor: str
    rows: tuple[int, ...] = ()


class CodeBlock(Value, frozen=True):
    """A piece of a file."""

    file: str
    rows: tuple[CodeRow, ...]


class Section(Value, frozen=True):
    """A finding that is told with its schedule."""

    ident: str
    """Unique in the page."""
    replay: str
    verdict: Verdict
    place: str
    section: str
    """What git says that the hunk is in."""
    diff: tuple[DiffRow, ...]
    picture: Picture
    drawings: tuple[Drawing, ...]
    steps: tuple[StepRow, ...]
    code: tuple[CodeBlock, ...]
    other: tuple[StepRow, ...] = ()
    other_drawings: tuple[Drawing, ...] = ()
    kernel: str = ""
    """What a real kernel did in the schedule."""

    @property
    def fixed(self) -> bool:
        """Whether it is the side without the patch that gets stuck."""
        return self.verdict.outcome is Outcome.FIXED


class Article(Value, frozen=True):
    """One reviewed series."""

    ident: str
    review: Review
    subject: str
    author: str
    base: str
    lacks: tuple[str, ...]
    sections: tuple[Section, ...]
    others: tuple[str, ...]
    """Findings that are a line each."""
    events: tuple[ChangedEvent, ...]
    replies: tuple[tuple[str, Reply], ...]


def page(reviews: Sequence[Review], kernels: Mapping[str, str] = {}) -> str:
    """The whole page of one or more reviews; kernels: id of a finding -> what a real kernel did in its schedule."""
    articles = [article(review, f"s{number}", kernels) for number, review in enumerate(reviews, 1)]
    return render("page.html.j2", articles=articles, title=_title(reviews), up="")


def write(reviews: Sequence[Review], file: Path, kernels: Mapping[str, str] = {}) -> None:
    """Write the page, all of it or nothing. Raises ReviewError where that cannot be done."""
    put(file, page(reviews, kernels).encode())


def article(review: Review, ident: str, kernels: Mapping[str, str] = {}) -> Article:
    """What is shown of one review; `ident` begins all ids of it in the page."""
    lead = review.series.lead
    author = f"{lead.author.name} <{lead.author.email}>" if lead.author.name else lead.author.email
    told = [(n, v) for n, v in enumerate(review.verdicts) if v.outcome in SHOWN and v.trace]
    code = (*review.code, *[None] * (len(review.verdicts) - len(review.code)))
    return Article(
        ident,
        review,
        clean(lead.subject) or clean(review.series.source),
        clean(author),
        f"{review.change.commit[:12]} ({review.change.how})" if review.change else "",
        tuple(map(clean, gaps(review.series, review.prerequisites, review.unread))),
        tuple(section(review, v, code[n], f"{ident}-{number}", kernels) for number, (n, v) in enumerate(told, 1)),
        tuple(clean(line(v)) for v in review.verdicts if v.outcome not in SHOWN or not v.trace),
        review.events,
        tuple((f"{ident}-reply{n}", reply) for n, reply in enumerate(review.replies, 1)),
    )


def section(
    review: Review, verdict: Verdict, code: ScheduleCode | None, ident: str, kernels: Mapping[str, str] = {}
) -> Section:
    """What is shown of one finding that has a schedule."""
    finding, trace = verdict.finding, verdict.trace or Trace((), ())
    picture = layout(trace)
    where, diff = _hunk(review.change, finding)
    steps = tuple(_steps(trace, picture, code, ident))
    other = layout(verdict.other, picture.resources) if verdict.other and verdict.other.steps else None
    replay = replay_id(identity(review.series), finding)
    return Section(
        ident,
        replay,
        verdict,
        clean(str(finding.at)),
        where,
        diff,
        picture,
        (wide(picture), narrow(picture)),
        steps,
        tuple(_code(trace, picture, code, ident)),
        tuple(_compared(verdict.other, other, steps, ident)) if verdict.other and other else (),
        (wide(other), narrow(other)) if other else (),
        "\n".join(clean(row, keep_spaces=True) for row in kernels.get(replay, "").splitlines()),
    )


def render(template: str, package: str = "reviewbot.report", **values: object) -> str:
    """A page of a template (of a package, or one of the report) with style and script in it, and a policy that lets
    nothing else in."""
    style, script = _file("picture.css") + _file("page.css"), _file("page.js")
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'; img-src data:"
    )
    found = environment(package).get_template(template)
    return found.render(style=Markup(style), script=Markup(script), policy=policy, **values)


@cache
def _file(name: str) -> str:
    text = (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
    assert "</" not in text, "it would end its element"
    return text


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _title(reviews: Sequence[Review]) -> str:
    if len(reviews) != 1:
        count = sum(review.decision is Decision.NACK for review in reviews)
        return f"{len(reviews)} series reviewed, {count} NACKed"
    lead = reviews[0].series.lead
    return f"{reviews[0].decision.value}: {clean(lead.subject) or clean(reviews[0].series.source)}"


# --- the lines of the patch ------------------------------------------------------------------------------------------


def _hunk(change: Change | None, finding: Finding) -> tuple[str, tuple[DiffRow, ...]]:
    """The hunk with the line of a finding, and where that is; nothing where the change is not known."""
    for file in change.files if change else ():
        path = file.path if finding.side is Side.AFTER else file.old_path or file.path
        for hunk in file.hunks if path == finding.at.file else ():
            rows = tuple(_rows(hunk, finding.at, finding.side))
            at = next((n for n, row in enumerate(rows) if row.found), None)
            if at is not None:
                return clean(hunk.section), rows[max(0, at - AROUND) : at + AROUND + 1]
    return "", ()


def _rows(hunk: Hunk, at: Place, side: Side) -> Iterator[DiffRow]:
    for row in hunk.lines:
        number, sign = (row.after, "+") if side is Side.AFTER else (row.before, "-")
        yield DiffRow(row.sign, shown(row.text), row.before, row.after, number == at.line and row.sign == sign)


def shown(text: str) -> str:
    """A line of code: what cannot be seen is spelled out, tabs stay."""
    return "\t".join(clean(part, keep_spaces=True) for part in text.rstrip("\r\n").split("\t"))


# --- the schedule as text --------------------------------------------------------------------------------------------


def _steps(trace: Trace, picture: Picture, code: ScheduleCode | None, ident: str) -> Iterator[StepRow]:
    excerpts = code.excerpts if code else ()
    known = {(e.file, n): text for e in excerpts for n, text in enumerate(e.lines, e.first)}
    for card in picture.cards:
        if not card.steps:
            continue
        step = trace.steps[card.steps[0]]
        number = code.lines[card.steps[0]] if code else step.line
        place = step.file, number
        yield StepRow(
            card.row + 1,
            picture.lanes[card.lane].name,
            card.text,
            card.takes,
            bool(card.waits and picture.conclusion),
            clean(f"{step.file}:{number}" if number else step.file),
            clean(known.get(place, "")),
            _anchor(ident, code, *place) if place in known else "",
        )


def _compared(trace: Trace, picture: Picture, steps: Sequence[StepRow], ident: str) -> Iterator[StepRow]:
    """The steps of the other side; those that this side has not got are marked."""
    known = {(step.task, step.text) for step in steps}
    for step in _steps(trace, picture, None, f"{ident}-other"):
        yield replace(step, other=(step.task, step.text) not in known)


def _anchor(ident: str, code: ScheduleCode | None, file: str, number: int) -> str:
    files = list(dict.fromkeys(e.file for e in code.excerpts)) if code else []
    return f"{ident}-c{files.index(file)}-{number}"


def _code(trace: Trace, picture: Picture, code: ScheduleCode | None, ident: str) -> Iterator[CodeBlock]:
    """The code of the schedule, with the rows of the picture at the lines that they stand for."""
    rows_at: dict[tuple[str, int], list[int]] = {}
    for card in picture.cards:
        for position in card.steps[:1] if code else ():
            place = trace.steps[position].file, code.lines[position] if code else 0
            rows_at.setdefault(place, []).append(card.row)
    for excerpt in code.excerpts if code else ():
        rows = []
        for number, text in enumerate(excerpt.lines, excerpt.first):
            at = tuple(rows_at.get((excerpt.file, number), ()))
            rows.append(CodeRow(number, shown(text), _anchor(ident, code, excerpt.file, number), at))
        yield CodeBlock(clean(excerpt.file), tuple(rows))
