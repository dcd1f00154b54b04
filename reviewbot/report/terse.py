"""Reviews as compilers say it, `file:line: nack: text [rule]`: for editors, git hooks and CI logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reviewbot.report.places import shown_at
from reviewbot.text import clean
from reviewbot.types import Decision, Outcome, Review, Verdict


def terse(reviews: Sequence[Review]) -> Iterator[str]:
    """A line for each deadlock, each suspicion and each repair, in the order of the code; none for a plain ack.

    What is said of a series as a whole and stands at no line (it was not reviewed, or why it is no ack) is a line with
    the series' subject in place of file and line.
    """
    for review in reviews:
        told = [(shown_at(v.finding, review.change), word, v) for v in review.verdicts if (word := verb(v))]
        for at, word, verdict in sorted(told, key=lambda x: x[0]):
            yield f"{clean(str(at))}: {word}: {text(verdict)} [{verdict.finding.rule}]"
        doubted = any(word == "comment" for _, word, _ in told)
        if review.decision is Decision.UNREVIEWED or (review.decision is Decision.COMMENT and not doubted):
            yield f"{title(review)}: {review.decision}: {why(review)}"


def verb(verdict: Verdict) -> str:
    """`nack`, `comment` or `fixed`; empty for what is nobody's concern: no deadlock, or not of this series."""
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return "" if verdict.finding.gives else "comment"
    return {Outcome.CONFIRMED: "nack", Outcome.FIXED: "fixed"}.get(verdict.outcome, "")


def text(verdict: Verdict) -> str:
    """What was found, on one line; for a suspicion also why it stayed one."""
    message = clean(verdict.finding.message)
    open_ = verdict.outcome is Outcome.INCONCLUSIVE and verdict.reason
    return f"{message} ({clean(verdict.reason)})" if open_ else message


def title(review: Review) -> str:
    """What a series is called on a line of its own."""
    return clean(review.series.lead.subject) or clean(review.series.source) or "series"


def why(review: Review) -> str:
    """Why a series got no verdict, or no better one."""
    notes = "; ".join(clean(note) for note in review.notes)
    return clean(review.reason) or notes or "not everything could be checked"
