"""`reviewbot check`: one series from its message-id (or file) to the drafted reply."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from reviewbot.types import Decision, Review, ReviewError, Series

if TYPE_CHECKING:
    from reviewbot.process.bounded import Bounds
    from reviewbot.review import Options
    from reviewbot.watch.reviewer import Reviewer

EXIT = {Decision.ACK: 0, Decision.NACK: 1, Decision.COMMENT: 3, Decision.UNREVIEWED: 4}
FAULT = 5
WORST = (FAULT, 1, 4, 3, 0)
"""Exit codes of several series: the first that occurs is that of the command."""


@click.command()
@click.argument("what", required=False, metavar="MSGID|URL|FILE|MAILDIR|-")
@click.option("--range", "range_", metavar="A..B", help="Review commits of the tree instead of a mail.")
@click.option(
    "--tree", type=click.Path(path_type=Path), help="Git repository of the kernel (default: the current folder's)."
)
@click.option(
    "--base",
    metavar="REV",
    default="",
    help="Apply to this (default: what the series says or its blobs match, else HEAD).",
)
@click.option("--inbox", metavar="URL", default="", help="Public-inbox to fetch from (default: lore).")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
@click.option("--terse", is_flag=True, help="A line for each finding, `file:line: nack: text [rule]`, and no mail.")
@click.option(
    "--sarif",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the findings there as SARIF 2.1.0, too: for GitHub, GitLab and editors.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page with verdict, schedule as a picture, code and draft there, too: one file that needs no other.",
)
@click.option(
    "--draft",
    metavar="DEST",
    default="",
    help="Put the draft there: FILE.eml, a Maildir, or - for stdout, which then holds nothing else. Nothing is sent.",
)
@click.option(
    "--from",
    "sender",
    metavar="ADDRESS",
    default="",
    help="Draft for this person (default: user.name and user.email of git).",
)
@click.option(
    "--why",
    metavar="FUNCTION",
    default="",
    help="Say, too, what came to nothing in this function (* for any), at which stage, and for which reason.",
)
@click.option(
    "--comments",
    type=click.Choice(["all", "likely", "none"]),
    default="likely",
    show_default=True,
    help="Of what could not be settled show all, what scores above `comment_above` of your configuration, or nothing.",
)
@click.option("--patchwork", is_flag=True, help="Make a check of each patch on the Patchwork of your configuration.")
@click.option(
    "--time-limit",
    type=click.FloatRange(0, min_open=True),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="A series that takes longer to review is unreviewed.",
)
@click.option(
    "--memory-limit",
    type=click.IntRange(1),
    default=4096,
    show_default=True,
    metavar="MEGABYTES",
    help="A series that takes more memory to review is unreviewed.",
)
@click.option("--no-color", is_flag=True, help="Plain text only.")
def check(
    what: str | None,
    range_: str | None,
    tree: Path | None,
    base: str,
    inbox: str,
    as_json: bool,
    terse: bool,
    sarif: Path | None,
    html: Path | None,
    draft: str,
    sender: str,
    why: str,
    comments: str,
    patchwork: bool,
    time_limit: float,
    memory_limit: int,
    no_color: bool,
) -> int:
    """Review one series and print the verdict and the draft.

    WHAT is a message-id, a lore URL (only the id is taken from it), an mbox, .eml or patch file, a Maildir, or - for
    standard input. Of a file with several series each is reviewed, in its newest complete version; with --json each is
    a line. Exit codes: 0 ack, 1 nack, 2 wrong use, 3 comment, 4 unreviewed, 5 a fault of reviewbot;
    of several series the first of 5, 1, 4, 3, 0 that occurs.
    """
    from reviewbot import review as flow
    from reviewbot.process.bounded import Bounds

    if bool(what) == bool(range_):
        raise click.UsageError("name one message-id, file or Maildir, or a --range of the tree")
    if as_json and draft == "-":
        raise click.UsageError("--json and --draft - both want stdout: name a file or a Maildir for the draft")
    if terse and (as_json or draft == "-"):
        raise click.UsageError("--terse, --json and --draft - all want stdout: choose one of them")
    above = {"all": 0.0, "none": 1.0}.get(comments)
    options = flow.Options(
        tree=str(tree or "."),
        base=base,
        sender=flow.address(sender),
        why=why,
        comment_above=_likely() if above is None else above,
    )
    show = Presentation(as_json, terse, sarif, html, draft, why, patchwork, color=not no_color and sys.stdout.isatty())
    asked = Asked(what or "", range_ or "", tree or Path(), inbox)
    return _checked(asked, options, show, Bounds(time_limit, memory_limit))


def _likely() -> float:
    """The score above which the user's configuration shows comments; the default where there is none."""
    from reviewbot.score import COMMENT_ABOVE
    from reviewbot.watch import config

    return config.load().comment_above if config.default_path().is_file() else COMMENT_ABOVE


@dataclass(frozen=True)
class Asked:
    """What is to be reviewed, as the command line says it."""

    what: str
    range: str
    folder: Path
    inbox: str

    @property
    def name(self) -> str:
        """As a person calls it."""
        return self.what or self.range

    @property
    def local(self) -> bool:
        """Whether it is a file, a folder or standard input."""
        return self.what == "-" or os.path.exists(self.what)


@dataclass(frozen=True)
class Presentation:
    """How a review is shown, and where its drafts go."""

    as_json: bool
    terse: bool
    sarif: Path | None
    html: Path | None
    draft: str
    why: str
    patchwork: bool
    color: bool


def _checked(asked: Asked, options: Options, show: Presentation, bounds: Bounds) -> int:
    """Fetch, review and show each series; the exit code is the worst of theirs, by the order of WORST."""
    from time import perf_counter

    from reviewbot.process.bounded import fault, scratch
    from reviewbot.types import Unreviewed
    from reviewbot.watch.reviewer import Reviewer

    started = perf_counter()
    codes: list[int] = []
    results: list[Review] = []
    with scratch() as folder, Reviewer(bounds, progress=sys.stderr.isatty() and not show.as_json) as reviewer:
        try:
            found, beside = _fetch(asked, folder)
        except Unreviewed as error:
            found, beside = [error], ""
        options = _finding(asked, options, beside)
        fetched = (perf_counter() - started) / len(found)
        for one in found:
            try:
                result = _reviewed(one, asked, options, fetched, reviewer)
                results.append(result)
                _write_files(results, show)  # before anything is shown, which may end here
                codes.append(_shown(result, show, alone=len(found) == 1))
            except ReviewError:
                raise  # wrong use (no such tree or base, no place for the draft): it is so for all of them
            except Exception as error:  # of several, the others are reviewed
                if len(found) == 1 or os.environ.get("REVIEWBOT_DEBUG"):
                    raise
                _say(fault(error))
                codes.append(FAULT)
    if show.patchwork:
        _make_checks(results)
    return min(codes, key=WORST.index)


def _reviewed(one: Series | ReviewError, asked: Asked, options: Options, fetched: float, reviewer: Reviewer) -> Review:
    """One series reviewed, or the review of what could not be read. Raises ReviewError for wrong use."""
    from reviewbot import review as flow
    from reviewbot.types import Unreviewed

    if isinstance(one, Unreviewed):
        return flow.unfetched(asked.name, one)
    if isinstance(one, ReviewError):
        raise one
    return reviewer.review(one, options, fetched=fetched)


def _shown(result: Review, show: Presentation, alone: bool) -> int:
    """Print a review, hand over its drafts, and say the exit code. Raises Unreviewed where the one series is so."""
    from reviewbot.report.output import summary
    from reviewbot.types import Unreviewed

    if show.as_json:
        _print_json(result)
    elif result.decision is Decision.UNREVIEWED and alone:
        raise Unreviewed(result.reason)
    elif show.terse:
        _print_terse([result])
    elif show.draft == "-":
        print("\n".join(summary(result)), file=sys.stderr)
    else:
        _print_text(result, show.color)
    if show.why and not show.as_json:
        _print_leads(result, show)
    if show.draft and result.decision is not Decision.UNREVIEWED:
        _deliver(result, show.draft)
    sys.stdout.flush()
    return EXIT[result.decision]


def _make_checks(results: Sequence[Review]) -> None:
    from reviewbot.watch import config
    from reviewbot.watch.patchwork import post

    settings = config.load().patchwork
    made = sum(post(result, settings) for result in results)
    print(f"patchwork: {made} check{'' if made == 1 else 's'} made", file=sys.stderr)


def _deliver(result: Review, place: str) -> None:
    from reviewbot.drafts import deliver

    for reply in result.replies:
        there = deliver.deliver(reply, place)
        if place != "-":
            print(f"draft: {there}", file=sys.stderr)
    if not result.replies:
        print(f"no draft for a {result.decision.value}: what was not replayed is not claimed", file=sys.stderr)


def _fetch(asked: Asked, folder: str) -> tuple[Sequence[Series | ReviewError], str]:
    """Each series that was asked for, and the file or folder that they came from (of standard input a copy in `folder`;
    empty for none). Raises as `lore.fetch_all`."""
    from reviewbot.mail import fetch

    if asked.range:
        from reviewbot.gittree.tree import Tree

        with Tree.open(asked.folder) as tree:
            return [fetch.parse(tree.range_mbox(asked.range), asked.range)], ""
    inbox = asked.inbox or fetch.LORE
    if asked.what == "-":
        stdin = sys.stdin.buffer.read(fetch.MailLimits().series + 1)
        copy = Path(folder, "stdin.mbox")
        copy.write_bytes(stdin)
        return fetch.fetch_all(asked.what, inbox=inbox, stdin=stdin), str(copy)
    return fetch.fetch_all(asked.what, inbox=inbox), asked.what if asked.local else ""


def _finding(asked: Asked, options: Options, beside: str) -> Options:
    """Where prerequisites are looked for: beside the series, in the archive of a message-id, or in one that is named.

    A file does not make us ask a server that nobody named.
    """
    import msgspec

    from reviewbot.mail import fetch

    archive = asked.inbox or ("" if asked.local or asked.range else fetch.LORE)
    return msgspec.structs.replace(options, archive=archive, beside=beside)


def _say(message: str) -> None:
    print(f"reviewbot: {' '.join(message.split())}", file=sys.stderr)


def _print_json(result: Review) -> None:
    import msgspec

    from reviewbot.report.output import as_json

    sys.stdout.write(msgspec.json.encode(as_json(result)).decode() + "\n")


def _print_leads(result: Review, show: Presentation) -> None:
    """What came to nothing, in the order of the stages, a reason at a time; on stderr where stdout holds a draft."""
    from reviewbot.report.output import leads

    for line in leads(result.leads, show.why):
        print(line, file=sys.stderr if show.draft == "-" else sys.stdout)


def _print_terse(results: Sequence[Review]) -> None:
    from reviewbot.report.terse import terse

    for line in terse(results):
        print(line)


def _write_files(results: Sequence[Review], show: Presentation) -> None:
    if show.sarif is not None:
        from reviewbot.report import sarif

        sarif.write(results, show.sarif)
    if show.html is not None:
        from reviewbot.report import page

        page.write(results, show.html)


def _print_text(result: Review, color: bool) -> None:
    from reviewbot.report.output import summary

    lines = summary(result)
    print(
        click.style(lines[0], bold=True, fg={"nack": "red", "ack": "green"}.get(result.decision.value))
        if color
        else lines[0]
    )
    for line in lines[1:]:
        print(line)
    for reply in result.replies:
        print()
        for name, value in reply.headers:
            print(f"{name}: {value}")
        print()
        print(reply.body, end="")
