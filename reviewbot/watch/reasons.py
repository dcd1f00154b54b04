"""Why series have no review: what the database says of each, and the same in a few kinds for counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from reviewbot.text import clean
from reviewbot.types import Decision, Outcome, Verdict
from reviewbot.watch.result import WorkResult
from reviewbot.watch.schema import series
from reviewbot.watch.store import SeriesRow, SeriesState, Store

KINDS = (
    ("does not apply", "does not apply"),
    ("out of scope", "changes no C code"),
    ("no [[tree]] for", "no tree for its files"),
    ("did not ask for reviews", "list did not ask for reviews"),
    ("is not to be answered", "author is not to be answered"),
    ("is a program", "by a program"),
    ("limits.patches", "too many patches"),
    ("patches are there", "patches are missing"),
    ("perhaps its cover letter", "cover letter is missing"),
    ("is not known at", "not found in the archive"),
    ("not reviewed within", "took too long"),
    ("needs more than", "took too much memory"),
    ("ended early", "the reviewer crashed"),
    ("a mail of our own", "our own mail"),
)
"""Words of a reason -> what it is counted as."""
OTHER = "other"


def kind(reason: str) -> str:
    """What a reason is counted as."""
    return next((name for words, name in KINDS if words in reason), OTHER)


def counted(store: Store) -> dict[str, int]:
    """Kind of reason -> series that have no review for it, of all that are known."""
    counts: Counter[str] = Counter()
    for row in store.reasons(_without()):
        counts[kind(row.reason)] += row.count
    return dict(counts.most_common())


def told(counts: dict[str, int]) -> str:
    """`2 does not apply, 1 changes no C code`."""
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _without() -> object:
    unreviewed = (series.c.state == SeriesState.DONE) & (series.c.decision == Decision.UNREVIEWED)
    return unreviewed | series.c.state.in_((SeriesState.WAITING, SeriesState.SKIPPED, SeriesState.SET_ASIDE))


def status(store: Store, everything: bool = False) -> Iterator[str]:
    """Lines for `watch --status`; `everything`: each series with its verdict and why."""
    decisions = Counter(
        {row.reason: row.count for row in store.reasons(series.c.state == SeriesState.DONE, "decision")}
    )
    for state, count in sorted(store.count_series().items()):
        verdicts = (
            f" ({', '.join(f'{n} {d}' for d, n in sorted(decisions.items()))})" if state is SeriesState.DONE else ""
        )
        yield f"{count:6} {state}{verdicts}"
    counts = counted(store)
    if counts:
        yield f"not reviewed: {told(counts)}"
    if everything:
        yield from map(line, store.series())
    else:
        yield from map(line, store.series(series.c.state.in_((SeriesState.WAITING, SeriesState.SET_ASIDE))))


def line(row: SeriesRow) -> str:
    """One series: verdict or state, key, subject, and why."""
    what = row.decision if row.state is SeriesState.DONE else str(row.state)
    why = clean(row.reason) or _found(row)
    return f"{what}: {row.key} {clean(row.subject)[:70]}{f': {why}' if why else ''}"


def _found(row: SeriesRow) -> str:
    """What a verdict rests on, where there is no other reason."""
    if not row.result:
        return ""
    result = msgspec.json.decode(row.result, type=WorkResult)
    return next(_told(result, (Outcome.CONFIRMED, Outcome.INCONCLUSIVE, Outcome.FIXED)), "")


def _told(result: WorkResult, outcomes: Iterable[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        for verdict in result.verdicts:
            if verdict.outcome is outcome:
                yield f"{clean(verdict.finding.message)} [{verdict.finding.rule}, {_how(verdict)}]"


def _how(verdict: Verdict) -> str:
    """What became of a finding; the score and the reason of what could not be settled."""
    if verdict.outcome is not Outcome.INCONCLUSIVE:
        return verdict.outcome.value
    return f"{verdict.outcome.value}, score {verdict.score.value:.2f}: {clean(verdict.reason)}"
