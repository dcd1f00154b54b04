"""`reviewbot b4-check` and `b4-review`: what b4 asks of a checker, and what `b4 review` shows of one."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

FRESH = 600
"""Seconds for which a review answers for the other patches of its series."""

if TYPE_CHECKING:
    from reviewbot.drafts.b4 import B4Check, Branch
    from reviewbot.types import Review, Series
    from reviewbot.watch.mail import Head


@click.command()
@click.option("--tree", type=click.Path(path_type=Path), default=".", help="Git repository (default: this folder's).")
@click.option("--inbox", default="", metavar="URL", help="Where a series is fetched from when b4 has no branch of it.")
@click.option("--lines", "in_lines", is_flag=True, help="Answer in lines, for `b4 prep --check` and `b4 am`.")
def b4_check(tree: Path, inbox: str, in_lines: bool) -> int:
    """Check a patch or cover letter for b4: a mail on standard input, results on standard output as JSON.

    For `b4.review-perpatch-check-cmd` and `b4.review-series-check-cmd`; with --lines for `b4.prep-perpatch-check-cmd`
    and `b4.am-perpatch-check-cmd`. A patch is judged within its series: by the review branch that b4 names in
    B4_TRACKING_FILE, else by the commits at the end of the current branch where they are its series, else by the
    thread. Exit code 0 even where there is no review: what is wrong is part of the answer.
    """
    import msgspec

    from reviewbot.drafts.b4 import lines

    raw = sys.stdin.buffer.read(8 << 20)
    found = _checked(raw, tree, inbox) if raw.strip() else []
    if in_lines:
        for line in lines(found):
            click.echo(line)
    else:
        click.echo(msgspec.json.encode(found).decode())
    return 0


def _checked(raw: bytes, tree: Path, inbox: str) -> list[B4Check]:
    from reviewbot.drafts.b4 import checks, unreviewed
    from reviewbot.types import ReviewError
    from reviewbot.watch.child import HeadReader, UnreadableMail

    try:
        with HeadReader() as heads:
            head = heads.read(raw)
        series, base = _series(raw, head, tree, inbox)
        whole = head.kind == "cover" or not head.counted
        return checks(_kept(series, tree, base, inbox), 0 if whole else head.number)
    except (ReviewError, UnreadableMail) as error:
        return [unreviewed(str(error))]


def _series(raw: bytes, head: Head, tree: Path, inbox: str) -> tuple[Series, str]:
    """The series that a mail is part of, and its base where that is known."""
    from reviewbot.drafts.b4 import branch
    from reviewbot.gittree.tree import Tree
    from reviewbot.mail import fetch
    from reviewbot.types import ReviewError

    record = os.environ.get("B4_TRACKING_FILE")
    if record:
        try:
            tracking = json.loads(Path(record).read_text())
        except (OSError, ValueError) as error:
            raise ReviewError(f"B4_TRACKING_FILE cannot be read: {error}") from error
        change = tracking.get("series", {}).get("change-id", "") if isinstance(tracking, dict) else ""
        with Tree.open(tree) as opened:
            found = branch(opened.resolve(f"refs/heads/b4/review/{change}"), tracking)
            return fetch.parse(opened.range_mbox(found.range), "the review branch"), f"{found.first}~1"
    own = _at_the_end(head, tree)
    if own:
        return own
    if head.expected == 1:
        return fetch.parse(raw, "the patch"), ""
    return fetch.fetch(head.id, inbox=inbox or fetch.LORE), ""


def _at_the_end(head: Head, tree: Path) -> tuple[Series, str] | None:
    """The series of a mail that `b4 prep` made of the last commits of the current branch, and its base.

    b4's cover letter is a commit without a change: before the patches, or after them (its `tip-commit` strategy).
    """
    from reviewbot.gittree.tree import Tree
    from reviewbot.mail import fetch
    from reviewbot.types import ReviewError
    from reviewbot.watch.mail import title

    with Tree.open(tree) as opened:
        for tip in ("HEAD", "HEAD~1"):
            base = f"{tip}~{head.expected}"
            with suppress(ReviewError):
                series = fetch.parse(opened.range_mbox(f"{base}..{tip}"), "the current branch")
                titles = [title(patch.mail.subject) for patch in series.patches]
                if len(titles) == head.expected and head.title == titles[max(head.number, 1) - 1]:
                    return series, base
    return None


def _kept(series: Series, tree: Path, base: str, inbox: str) -> Review:
    """The review of a series, kept for some minutes: b4 asks for one patch after another."""
    import time
    from hashlib import sha256

    import msgspec
    from platformdirs import user_cache_path

    from reviewbot.drafts import deliver
    from reviewbot.types import Review

    asked = b"\0".join([str(tree.resolve()).encode(), base.encode(), *(p.diff for p in series.patches)])
    file = user_cache_path("reviewbot") / "b4" / f"{sha256(asked).hexdigest()[:40]}.json"
    try:
        if 0 <= time.time() - file.stat().st_mtime < FRESH:
            return msgspec.json.decode(file.read_bytes(), type=Review)
    except (OSError, msgspec.MsgspecError):
        pass
    result = _review(series, tree, base, inbox)
    with suppress(OSError):
        deliver.write(file, msgspec.json.encode(result))
        for old in file.parent.iterdir():
            if abs(time.time() - old.stat().st_mtime) > FRESH:
                old.unlink()
    return result


def _review(series: Series, tree: Path, base: str, inbox: str = "") -> Review:
    from reviewbot.mail import fetch
    from reviewbot.process.bounded import Bounds, scratch
    from reviewbot.review import Options
    from reviewbot.watch.reviewer import Reviewer

    with scratch(), Reviewer(Bounds()) as reviewer:
        return reviewer.review(series, Options(tree=str(tree), base=base, archive=inbox or fetch.LORE))


@click.command()
@click.argument("branch", required=False)
@click.option("--tree", type=click.Path(path_type=Path), default=".", help="Git repository (default: this folder's).")
@click.option("--identity", default="", metavar="ADDRESS", help="Whose comments they are (default: reviewbot).")
def b4_review(branch: str | None, tree: Path, identity: str) -> None:
    """Review a branch that `b4 review` made, and write the comments to where `b4 review` shows them.

    BRANCH is b4/review/CHANGE-ID or the change-id alone (default: the current branch). Nothing else is changed.
    """
    from reviewbot.drafts import b4
    from reviewbot.gittree.tree import Tree
    from reviewbot.mail import fetch
    from reviewbot.types import ReviewError

    with Tree.open(tree) as opened:
        found = _branch(opened, branch)
        series = fetch.parse(opened.range_mbox(found.range), branch or "the current branch")
    result = _review(series, tree, f"{found.first}~1")
    files = b4.write_review(_git_folder(tree), found.tip, result, identity or b4.IDENTITY)
    if not files:
        raise ReviewError("nothing to write")
    click.echo(f"{result.decision}: {len(files)} files in {files[0].parent}; `b4 review` shows them")


def _branch(tree: object, name: str | None) -> Branch:
    from reviewbot.drafts.b4 import branch, tracking_in
    from reviewbot.gittree.tree import Tree

    assert isinstance(tree, Tree)
    wanted = "HEAD" if not name else name if name.startswith("b4/review/") else f"b4/review/{name}"
    tip = tree.resolve(wanted)
    return branch(tip, tracking_in(tree.message(tip)))


def _git_folder(tree: Path) -> Path:
    """The folder in which b4 looks: `.git` of the main work tree."""
    for folder in (tree.resolve(), *tree.resolve().parents):
        if (folder / ".git").exists():
            return folder / ".git"
    return tree / ".git"
