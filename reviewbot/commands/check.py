"""`reviewbot check`: one series from its message-id (or file) to the drafted reply."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread

import rich_click as click

from reviewbot.types import Decision, Review, Series

EXIT = {Decision.ACK: 0, Decision.NACK: 1, Decision.COMMENT: 3, Decision.UNREVIEWED: 4}


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
@click.option("--patchwork", is_flag=True, help="Make a check of each patch on the Patchwork of your configuration.")
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
    draft: str,
    sender: str,
    patchwork: bool,
    no_color: bool,
) -> int:
    """Review one series and print the verdict and the draft.

    WHAT is a message-id, a lore URL (only the id is taken from it), an mbox, .eml or patch file, a Maildir, or - for
    standard input. Exit codes: 0 ack, 1 nack, 2 wrong use, 3 comment, 4 unreviewed, 5 a fault of reviewbot.
    """
    from time import perf_counter

    from reviewbot import review as flow
    from reviewbot.output import summary
    from reviewbot.types import Unreviewed

    if bool(what) == bool(range_):
        raise click.UsageError("name one message-id, file or Maildir, or a --range of the tree")
    if as_json and draft == "-":
        raise click.UsageError("--json and --draft - both want stdout: name a file or a Maildir for the draft")
    if terse and (as_json or draft == "-"):
        raise click.UsageError("--terse, --json and --draft - all want stdout: choose one of them")
    started = perf_counter()
    options = flow.Options(tree=str(tree or "."), base=base, sender=flow.address(sender))
    try:
        series = _fetch(what, range_, tree or Path(), inbox)
    except Unreviewed as error:
        nothing = flow.unfetched(what or range_ or "", error)
        _write_sarif([nothing], sarif)
        if not as_json:
            raise
        _print_json(nothing)
        return EXIT[Decision.UNREVIEWED]
    shown = _show if sys.stderr.isatty() and not as_json else None
    result = flow.review(series, options, fetched=perf_counter() - started, progress=shown)
    flow.remember(result, options)
    _write_sarif([result], sarif)
    if as_json:
        _print_json(result)
    elif result.decision is Decision.UNREVIEWED:
        raise Unreviewed(result.reason)
    elif terse:
        _print_terse([result])
    elif draft == "-":
        print("\n".join(summary(result)), file=sys.stderr)
    else:
        _print_text(result, color=not no_color and sys.stdout.isatty())
    if draft and result.decision is not Decision.UNREVIEWED:
        from reviewbot import drafts

        for reply in result.replies:
            place = drafts.deliver(reply, draft)
            if draft != "-":
                print(f"draft: {place}", file=sys.stderr)
        if not result.replies:
            print(f"no draft for a {result.decision.value}: what was not replayed is not claimed", file=sys.stderr)
    if patchwork:
        _make_checks([result])
    return EXIT[result.decision]


def _make_checks(results: Sequence[Review]) -> None:
    from reviewbot import config
    from reviewbot.patchwork import post

    settings = config.load().patchwork
    made = sum(post(result, settings) for result in results)
    print(f"patchwork: {made} check{'' if made == 1 else 's'} made", file=sys.stderr)


def _fetch(what: str | None, range_: str | None, folder: Path, inbox: str) -> Series:
    from reviewbot import lore

    if range_:
        from reviewbot.tree import Tree

        with Tree.open(folder) as tree:
            return lore.parse(tree.range_mbox(range_), range_)
    assert what is not None
    stdin = sys.stdin.buffer.read(lore.Limits().series + 1) if what == "-" else None
    ahead = Thread(target=_import)  # the child that fetches takes as long to start as this
    ahead.start()
    try:
        return lore.fetch(what, inbox=inbox or lore.LORE, stdin=stdin)
    finally:
        ahead.join()


def _import() -> None:
    with suppress(Exception):  # told by the one who needs it
        from reviewbot import judge, output, rules, tree  # noqa: F401
        from reviewbot.models import scene
        from reviewbot.reply import environment

        rules.load()
        scene.scenes()
        environment()


def _show(done: int, of: int) -> None:
    """A line while the tree is looked through for the first time; gone when that is done."""
    line = f"indexing the tree, once: {done} of {of} files"
    print("\r" + (line if done < of else " " * len(line) + "\r"), end="", file=sys.stderr, flush=True)


def _print_json(result: Review) -> None:
    import msgspec

    from reviewbot.output import as_json

    sys.stdout.write(msgspec.json.encode(as_json(result)).decode() + "\n")


def _print_terse(results: Sequence[Review]) -> None:
    from reviewbot.terse import terse

    for line in terse(results):
        print(line)


def _write_sarif(results: Sequence[Review], file: Path | None) -> None:
    if file is not None:
        from reviewbot import sarif

        sarif.write(results, file)


def _print_text(result: Review, color: bool) -> None:
    from reviewbot.output import summary

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
