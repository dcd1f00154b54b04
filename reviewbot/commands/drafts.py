"""`reviewbot drafts`: what waits for the maintainer, and what he does with it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from reviewbot.watch.box import Box
    from reviewbot.watch.ledger import DraftRow
    from reviewbot.watch.result import WorkResult


@click.group(invoke_without_command=True)
@click.option("--config", "path", type=click.Path(path_type=Path), help="Configuration (default: the user's).")
@click.pass_context
def drafts(context: click.Context, path: Path | None) -> None:
    """Look after drafts: list (the default), show, edit, release, drop.

    A draft is named by its first letters. Nothing is sent but one draft, by `release`.
    """
    context.obj = path
    if context.invoked_subcommand is None:
        context.invoke(list_)


@contextmanager
def _box(path: Path | None) -> Iterator[Box]:
    from reviewbot.watch import config as configuration
    from reviewbot.watch.box import Box
    from reviewbot.watch.ledger import Ledger
    from reviewbot.watch.store import Store

    config = configuration.load(path)
    with Store.open(config.database_url()) as store:
        yield Box(Ledger(store), config)


NAME = click.argument("name")


@drafts.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Those that were sent or dropped, too.")
@click.pass_obj
def list_(path: Path | None, everything: bool = False) -> None:
    """What waits for you, oldest first."""
    from reviewbot.text import clean
    from reviewbot.watch.ledger import OPEN, DraftState
    from reviewbot.watch.reasons import counted, told

    with _box(path) as box:
        box.settle()
        rows = box.ledger.in_state(*(DraftState if everything else OPEN))
        for row in rows:
            why = f" ({clean(row.why)})" if row.why else ""
            click.echo(f"{row.name}  {row.state}{why}  {clean(row.subject)}")
        if not rows:
            click.echo("no drafts")
        without = told(counted(box.ledger.store))
        if without:
            click.echo(f"not reviewed: {without} (reviewbot watch --status --list)", err=True)


@drafts.command()
@NAME
@click.pass_obj
def show(path: Path | None, name: str) -> None:
    """The draft, what it rests on, and what only the maintainer should know."""
    from reviewbot.text import clean_lines

    with _box(path) as box:
        row = box.ledger.find(name)
        for line in _about(box, row):
            click.echo(line)
        click.echo()
        click.echo(clean_lines(box.read(row).decode("utf-8", "replace")))


def _about(box: Box, row: DraftRow) -> list[str]:
    from reviewbot.report.output import line as verdict_line
    from reviewbot.text import clean
    from reviewbot.watch.schema import mail, series
    from reviewbot.watch.work import replies

    store = box.ledger.store
    lines = [f"{row.name}: {row.state}{f' ({clean(row.why)})' if row.why else ''}", f"file: {box.path(row.name)}"]
    for one in store.series(series.c.key == row.series):
        members = store.mails(mail.c.series == one.key)
        lines.append(f"series: v{one.version} by {one.author} on {one.list}, {len(replies(store, members))} replies")
        if one.result:
            lines += _facts(one.result)
    lines += [f"finding: {clean(verdict_line(v))}" for v in row.findings()]
    lines += [f"said: {j.kind} by {j.by} ({clean(j.said_in)})" for j in box.ledger.judgements(row.lineage)]
    return lines


def _facts(text: str) -> list[str]:
    import msgspec

    from reviewbot.text import clean
    from reviewbot.watch.result import WorkResult

    result: WorkResult = msgspec.json.decode(text, type=WorkResult)
    lines = [f"base: {result.base[:12]}"] if result.base else []
    lines += [result.since] if result.since else []
    lines += [f"signatures, shown only: {clean(result.attestation)}"] if result.attestation else []
    return lines + [f"note: {clean(note)}" for note in result.notes]


@drafts.command()
@NAME
@click.pass_obj
def edit(path: Path | None, name: str) -> None:
    """Change a draft in $VISUAL or $EDITOR."""
    from reviewbot.watch.box import in_terminal

    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with _box(path) as box:
        click.echo(f"changed: {box.edit(box.ledger.find(name), in_terminal, editor)}")


@drafts.command()
@NAME
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--anyway", is_flag=True, help="Despite an embargo, a newer version, or a release that was cut off.")
@click.pass_obj
def release(path: Path | None, name: str, yes: bool, anyway: bool) -> None:
    """Send one draft by git send-email, where the configuration has `send = true`; else print the command for it."""
    from reviewbot.text import clean_lines
    from reviewbot.watch.box import in_terminal

    with _box(path) as box:
        row = box.ledger.find(name)
        if box.config.drafts.send and not yes:
            click.echo(clean_lines(box.read(row).decode("utf-8", "replace")))
            click.confirm(f"send {row.name}?", abort=True)
        command = box.release(row, in_terminal, anyway)
        if box.config.drafts.send:
            click.echo(f"sent: {row.name}")
        else:
            click.echo(shlex.join(command))
            click.echo(f"when that is done: reviewbot drafts sent {row.name}", err=True)


@drafts.command()
@NAME
@click.pass_obj
def sent(path: Path | None, name: str) -> None:
    """Say that you have sent a draft yourself; it never comes back. (Seen on the list, it is known without this.)"""
    from reviewbot.types import ReviewError
    from reviewbot.watch.ledger import DraftState

    with _box(path) as box:
        row = box.ledger.find(name)
        if row.state is DraftState.DROPPED:
            raise ReviewError(f"{row.name} was dropped")
        box.sent(row)
        click.echo(f"sent: {row.name}")


@drafts.command()
@NAME
@click.option("--why", default="", help="For your own memory.")
@click.pass_obj
def drop(path: Path | None, name: str, why: str) -> None:
    """Throw a draft away; it never comes back."""
    with _box(path) as box:
        row = box.ledger.find(name)
        box.drop(row, why)
        click.echo(f"dropped: {row.name}")


@drafts.command(name="false-positive")
@NAME
@click.option("--why", default="", help="What is wrong with it: kept with the finding.")
@click.pass_obj
def false_positive(path: Path | None, name: str, why: str) -> None:
    """The findings of a draft are wrong: never raised again for this series, and counted against their rules."""
    with _box(path) as box:
        row = box.ledger.find(name)
        count = box.false_positive(row, by="maintainer", why=why)
        click.echo(f"marked: {count} findings of {row.name}")


@drafts.command()
@NAME
@click.pass_obj
def stands(path: Path | None, name: str) -> None:
    """The findings of a draft hold, whatever the author answered: later versions raise them again."""
    with _box(path) as box:
        row = box.ledger.find(name)
        click.echo(f"upheld: {box.stands(row, by='maintainer')} findings of {row.name}")


@drafts.command()
@click.pass_obj
def record(path: Path | None) -> None:
    """How each rule's findings fared with authors and maintainer."""
    with _box(path) as box:
        rows = box.ledger.tally()
        click.echo(f"{'rule':40} drafted  right  wrong")
        for row in rows:
            click.echo(f"{row.rule:40} {row.drafted:7} {row.right:6} {row.wrong:6}")
