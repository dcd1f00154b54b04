"""One poll of the configured lists: read what is new, review what is ready, put the drafts where they belong.

Every step can be cut off and done again; what was done stays done. `follow` does it again and again.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

import msgspec

from reviewbot.types import Decision, ReviewError
from reviewbot.watch.box import Box
from reviewbot.watch.config import Config
from reviewbot.watch.idle import Listed, Summary
from reviewbot.watch.ledger import DraftState, Ledger
from reviewbot.watch.schema import series
from reviewbot.watch.store import Kind, SeriesState, Store, Unstored, worker_name

HOUR = 3600.0
WITHOUT = (Decision.UNREVIEWED, SeriesState.SKIPPED, SeriesState.SET_ASIDE)
"""What may come of a series that is no review of it."""


class PollDisplay(Protocol):
    """Tells a person at a terminal what is going on. Every method may do nothing."""

    def reading(self, list_: str, source: str, done: int, total: int) -> None:
        """Mails of a source, read and to be read."""

    def reviewing(self, subject: str, done: int, left: int) -> None:
        """A review begins."""

    def busy(self, line: str) -> None:
        """Another run is at a list: no fault, it reads what there is."""

    def said(self, line: str) -> None:
        """Something that should be seen even where nobody watches: a fault of one list or series."""


class Quiet:
    """Shows nothing."""

    def reading(self, list_: str, source: str, done: int, total: int) -> None:
        """Nothing."""

    def reviewing(self, subject: str, done: int, left: int) -> None:
        """Nothing."""

    def busy(self, line: str) -> None:
        """Nothing."""

    def said(self, line: str) -> None:
        """Nothing."""


def poll(
    config: Config,
    store: Store,
    *,
    review: bool = True,
    show: PollDisplay | None = None,
    reviewer: str = "",
    listed: Listed | None = None,
) -> Summary:
    """One poll. A list or a series that fails is a fault of the summary; Unstored is raised: nothing goes without it.

    With `review` off only mails are read. `reviewer` names another function (`module:name`) than `review.review`.
    `listed` has epochs of lists that were just asked for.
    """
    show = show or Quiet()
    started = time.monotonic()
    store.free_the_dead()
    mails, faults = _read(config, store, show, listed or {})
    decisions: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    box = Box(Ledger(store), config)
    if review:
        faults += _review(config, store, box, show, decisions, reasons, reviewer)
        faults += _checked(config)
    try:
        box.settle()
    except Unstored:
        raise
    except ReviewError as error:
        faults.append(str(error))
    for fault in faults:
        show.said(fault)
    summary = _summary(config, store, mails, decisions, box.appeared, faults, time.monotonic() - started)
    return msgspec.structs.replace(summary, reasons=dict(reasons))


def _read(config: Config, store: Store, show: PollDisplay, listed: Listed) -> tuple[int, list[str]]:
    """Read all lists; returns how many mails were new, and what went wrong."""
    from reviewbot.watch.child import HeadReader
    from reviewbot.watch.lists import Busy
    from reviewbot.watch.lists import poll as poll_list
    from reviewbot.watch.manners import skip
    from reviewbot.watch.series import ripen
    from reviewbot.watch.work import lore_limits

    new, faults = 0, []
    with HeadReader(lore_limits(config)) as heads:
        for list_ in config.lists:

            def progress(source: str, done: int, total: int, name: str = list_.name) -> None:
                show.reading(name, source, done, total)

            try:
                known = listed.get(list_.url)
                new += poll_list(store, list_, config.folder(), heads, skip(config), progress, time.time(), known)
            except Unstored:
                raise
            except Busy as error:
                show.busy(str(error))
            except (ReviewError, OSError) as error:
                faults.append(f"list {list_.name}: {error}")
    ripen(store, config.limits.wait_hours * HOUR, store.now(), fetch=bool(config.archive))
    return new, faults


def _review(
    config: Config,
    store: Store,
    box: Box,
    show: PollDisplay,
    decisions: Counter[str],
    reasons: Counter[str],
    reviewer: str,
) -> list[str]:
    if not store.count_series().get(SeriesState.READY):
        return []
    from reviewbot.mail.fetch import MailReader
    from reviewbot.watch.reasons import kind
    from reviewbot.watch.reviewer import REVIEWER
    from reviewbot.watch.work import Worker, lore_limits

    with ExitStack() as stack:
        reader = stack.enter_context(MailReader(lore_limits(config)))
        worker = Worker(store, config, worker_name(), reader, reviewer=reviewer or REVIEWER)
        try:
            while True:
                left = store.count_series().get(SeriesState.READY, 0)
                show.reviewing("", sum(decisions.values()), left)
                done = worker.work()
                if done is None:
                    return worker.faults
                row, what = done
                decisions[what] += 1
                if what in WITHOUT:
                    reasons.update(kind(now.reason) for now in store.series(series.c.key == row.key))
                show.reviewing(row.subject, sum(decisions.values()), left - 1)
                box.settle()
        except Unstored:
            raise
        except (ReviewError, OSError) as error:
            return [*worker.faults, f"reviews stopped: {error}"]


def _checked(config: Config) -> list[str]:
    """Tell Patchwork what was reviewed, where it is configured."""
    if not config.patchwork.url:
        return []
    from reviewbot.watch.patchwork import Outbox

    return Outbox(config).deliver()


def _summary(
    config: Config,
    store: Store,
    mails: int,
    decisions: Counter[str],
    appeared: int,
    faults: list[str],
    seconds: float,
) -> Summary:
    from reviewbot.watch.reasons import counted

    ledger = Ledger(store)
    states = store.count_series()
    now = store.now()
    old = now - config.limits.wait_hours * HOUR
    overdue = store.series(series.c.state == SeriesState.WAITING, series.c.first_seen < old, series.c.present > 0)
    return Summary(
        lists=len(config.lists),
        mails=mails,
        decisions=dict(decisions),
        drafts=appeared,
        waiting=len(ledger.in_state(DraftState.PENDING, DraftState.RELEASING)),
        overdue=len(overdue),
        set_aside=states.get(SeriesState.SET_ASIDE, 0),
        broken=store.count_mails(Kind.BROKEN),
        faults=tuple(faults),
        seconds=seconds,
        states={str(k): n for k, n in states.items()},
        finished=time.time(),
        unreviewed=counted(store),
    )


def all_done(
    config: Config, store: Store, summary: Summary, review: bool = True
) -> tuple[float, dict[str, dict[str, str]]]:
    """For `watch_idle.remember`: when there is something to do in any case, and what was read of each list."""
    read = {x.name: {e: c.fingerprint for e, c in store.cursors(x.name).items()} for x in config.lists}
    return _due(config, store, summary, review), read


def _due(config: Config, store: Store, summary: Summary, review: bool) -> float:
    """When the next poll has something to do even if no mail came: seconds since 1970."""
    if review and (summary.states.get(SeriesState.READY) or summary.states.get(SeriesState.WORKING)):
        return 0.0
    if review and any((config.folder() / "patchwork").glob("*.json")) and config.patchwork.url:
        return 0.0
    waits = [
        s.first_seen + config.limits.wait_hours * HOUR for s in store.series(series.c.state == SeriesState.WAITING)
    ]
    later = [t for t in waits if t > summary.finished]
    return min(later, default=summary.finished + 6 * HOUR)


def follow(config: Config, once: Callable[[], Summary], sleep: Callable[[float], None] = time.sleep) -> None:
    """Poll for ever; while a poll has faults the pause doubles up to its limit, with some chance in it.

    Ends by what `once` or `sleep` raise. An Unstored poll counts as one with faults.
    """
    pause = config.follow.seconds
    while True:
        try:
            failed = bool(once().faults)
        except Unstored:
            failed = True
        pause = min(pause * 2, config.follow.most_seconds) if failed else config.follow.seconds
        sleep(pause * random.uniform(0.9, 1.1))
