"""`reviewbot watch`: one poll of the configured lists, or one after another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.watch.config import Config
    from reviewbot.watch.idle import Listed, Summary
    from reviewbot.watch.store import Store


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="Configuration (default: the user's).")
@click.option("--follow", is_flag=True, help="Stay, and poll again and again.")
@click.option("--no-review", is_flag=True, help="Only read the lists.")
@click.option("--metrics", type=click.Path(path_type=Path), help="Write figures for Prometheus to this file.")
@click.option(
    "--retry", metavar="SERIES", help="First make a series ready again that was set aside (key or message-id)."
)
@click.option("--status", is_flag=True, help="Poll nothing; say what waits, what was not reviewed, and why.")
@click.option("--list", "everything", is_flag=True, help="With --status: each series with its verdict and why.")
@click.option(
    "--check-config",
    is_flag=True,
    help="Poll nothing; only say whether the configuration is right, and what it names can be opened.",
)
def watch(
    path: Path | None,
    follow: bool,
    no_review: bool,
    metrics: Path | None,
    retry: str | None,
    status: bool,
    everything: bool,
    check_config: bool,
) -> int:
    """Read what is new on the configured lists, review complete series, put drafts into the state folder.

    Nothing is ever sent. For cron and systemd timers; progress is shown on a terminal only, a log gets one line. Exit
    code 1: something failed that the next poll tries again.
    """
    from reviewbot.watch import config as configuration

    config = configuration.load(path)
    if check_config:
        return _check(config, path or configuration.default_path())
    file = metrics or (Path(config.metrics) if config.metrics else None)
    if status or retry or everything:
        return _look_after(config, retry, everything)
    if follow:
        from reviewbot.watch.poll import follow as stay

        stay(config, lambda: _once(config, not no_review, file))
    return 1 if _once(config, not no_review, file).faults else 0


def _check(config: Config, path: Path) -> int:
    from reviewbot.text import clean
    from reviewbot.types import ReviewError
    from reviewbot.watch.config_check import faults

    found = faults(config)
    for line in found:
        click.echo(f"reviewbot: {clean(str(path))}: {clean(line)}", err=True)
    if found:
        return ReviewError.exit_code
    click.echo(f"{path}: {len(config.lists)} lists, {len(config.trees)} trees, and all of them can be opened")
    return 0


def _once(config: Config, review: bool, metrics: Path | None) -> Summary:
    """One poll, as short as possible where there is nothing to do."""
    from reviewbot.watch.idle import nothing_to_do, remember

    summary, listed = nothing_to_do(config, review)
    if summary is None:
        from reviewbot.watch.poll import all_done
        from reviewbot.watch.store import Store

        with Store.open(config.database_url()) as store:
            summary = _poll(config, store, review, listed)
            until, read = all_done(config, store, summary, review)
        remember(config, summary, until, read, review)
        if config.site:
            _site(config)
    click.echo(f"watch: {summary.line()}")
    if metrics:
        from reviewbot.watch.metrics import write

        write(metrics, summary)
    return summary


def _site(config: Config) -> None:
    """Bring the dashboard up to date. It is no part of the poll's work: what goes wrong there is one line."""
    from reviewbot.site.build import build
    from reviewbot.types import ReviewError
    from reviewbot.watch.store import Store

    try:
        with Store.open(config.database_url()) as store:
            build(store, Path(config.site).expanduser())
    except ReviewError as error:
        click.echo(f"reviewbot: {' '.join(str(error).split())}", err=True)


def _look_after(config: Config, retry: str | None, everything: bool) -> int:
    from reviewbot.watch.store import Store

    with Store.open(config.database_url()) as store:
        if retry:
            _retry(store, retry)
        return _status(store, everything)


def _poll(config: Config, store: Store, review: bool, listed: Listed) -> Summary:
    from reviewbot.watch.poll import PollDisplay, poll

    show: PollDisplay
    if sys.stderr.isatty():
        from reviewbot.watch.show import Bars

        with Bars() as show:
            summary = poll(config, store, review=review, show=show, listed=listed)
    else:
        show = Log()
        summary = poll(config, store, review=review, show=show, listed=listed)
    return summary


class Log:
    """For a log: faults only, a line each."""

    def reading(self, list_: str, source: str, done: int, total: int) -> None:
        """Nothing."""

    def reviewing(self, subject: str, done: int, left: int) -> None:
        """Nothing."""

    def busy(self, line: str) -> None:
        """Part of the log, not an error that cron would mail."""
        click.echo(f"watch: {' '.join(line.split())}")

    def said(self, line: str) -> None:
        """The fault."""
        click.echo(f"reviewbot: {' '.join(line.split())}", err=True)


def _status(store: Store, everything: bool) -> int:
    from reviewbot.text import clean
    from reviewbot.watch.reasons import status
    from reviewbot.watch.schema import mail
    from reviewbot.watch.store import Kind

    for line in status(store, everything):
        click.echo(line)
    for broken in store.mails(mail.c.kind == Kind.BROKEN):
        click.echo(f"not read: {clean(broken.id)} on {broken.list}: {clean(broken.fault)}")
    return 0


def _retry(store: Store, which: str) -> None:
    from reviewbot.types import ReviewError
    from reviewbot.watch.schema import series
    from reviewbot.watch.store import SeriesState

    rows = store.series((series.c.key == which) | (series.c.lead == which.strip("<>")))
    if not rows or rows[0].state not in (
        SeriesState.SET_ASIDE,
        SeriesState.SKIPPED,
        SeriesState.DONE,
        SeriesState.SUPERSEDED,
    ):
        where = f"is {rows[0].state}" if rows else "is not known; `reviewbot watch --status` lists them"
        raise ReviewError(f"{which} {where}")
    store.change_series(rows[0].key, state=SeriesState.READY, tries=0, reason="")
