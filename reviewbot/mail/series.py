"""Posts of a thread, a file or a folder -> the Series in them: of each the one version that is reviewed, in order.

`lore_thread` says what was posted together; here is which version counts, and what it lacks.
"""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Iterable, Iterator, Sequence

from liblore.utils import DEFAULT_LISTID_PREFERENCE as LISTS

from reviewbot.mail.message import Post
from reviewbot.mail.protocol import Incomplete
from reviewbot.mail.thread import DAY, MailThread, name
from reviewbot.text import clean, ranges
from reviewbot.types import Mail, Patch, ReviewError, Series, Unreviewed


def assemble(
    posts: Sequence[Post],
    *,
    source: str,
    asked: str = "",
    revision: int | None = None,
    one_sender: bool = True,
    partial: bool = False,
) -> Series:
    """The series that `asked` belongs to, or the one that a file or folder holds.

    `asked` is a message-id: of a patch or cover letter, or of a reply, which stands for the patch it answers. Without
    one it is the newest complete version in `posts`. `revision` picks another version by the same sender. `one_sender`
    is False for the output of git format-patch, where each patch has its own author in From. `partial`: a series that
    lacks patches is given with their numbers.

    Raises NoPatch, Incomplete (with the missing numbers), Unreviewed for a mail that could not be read, and ReviewError
    where the choice is the user's.
    """
    if not asked:
        thread = MailThread(_ordered(_deduplicated(posts), one_sender), one_sender)
        found = families(thread, source)
        if len(found) > 1:
            first, second = (clean(family[0].lead.mail.subject)[:60] for family in found[:2])
            raise ReviewError(
                f"{source} holds more than one series (`{first}`, `{second}`): give one in a file by itself"
            )
        choice = found[0].choice(revision, source)
    else:
        thread = MailThread(_deduplicated(posts), one_sender, from_archive=True)
        lead = thread.lead(asked, source)
        if revision is not None and revision != lead.version:
            lead = thread.version(lead, revision, source)
        choice = VersionChoice(lead, thread.members(lead), thread.newer(lead))
    return _series(choice, thread, source, partial)


def assemble_all(
    posts: Sequence[Post], *, source: str, one_sender: bool = True, every: bool = False
) -> list[Series | ReviewError]:
    """Each series that a file or folder holds, the oldest first: of its versions the newest that is complete, or each
    of them (`every`). What cannot be read or has no patch is an error in its place. Raises NoPatch, and ReviewError
    for too many."""
    thread = MailThread(_ordered(_deduplicated(posts), one_sender), one_sender)
    found: list[Series | ReviewError] = []
    for family in families(thread, source):
        for choice in family.each() if every else [family.choice(None, source)]:
            try:
                found.append(_series(choice, thread, source, partial=True))
            except ReviewError as error:
                found.append(error)
    return found


class VersionChoice:
    """What is reviewed of a series: its lead, its patches and cover letter, and why these."""

    def __init__(self, lead: Post, members: list[Post], why: str = "") -> None:
        self.lead, self.members, self.why = lead, members, why

    @property
    def missing(self) -> list[int]:
        """Numbers of the patches that are not there. A patch in a reply, and one without n/m, stands alone."""
        if self.lead.reply or not self.lead.counted:
            return []
        there = {p.number for p in self.members if not p.cover}
        return sorted(set(range(1, max(self.lead.expected, *there, 0) + 1)) - there)

    @property
    def lacks(self) -> str:
        """Why it cannot be reviewed as a whole; empty where it can."""
        if faulty := next((p for p in self.members if p.fault and not p.cover), None):
            return faulty.fault
        return f"lacks {ranges(self.missing)} of {self.lead.expected}" if self.missing else ""


class SeriesFamily:
    """The postings of one series in a file: its versions, and what others posted in its threads. Oldest first."""

    def __init__(self, thread: MailThread, postings: list[list[Post]]) -> None:
        self.thread, self.postings = thread, postings

    def __getitem__(self, number: int) -> VersionChoice:
        lead = self.postings[number][0]
        return VersionChoice(lead, self.thread.members(lead, self.postings[number]))

    def choice(self, revision: int | None, source: str) -> VersionChoice:
        """The newest version that is complete, else the newest, else `revision`. Raises ReviewError without it."""
        first = next((p[0] for p in self.postings if self.thread.patch_above(p[0]) is None), self.postings[0][0])
        mine = [n for n, p in enumerate(self.postings) if self.thread.sender(p[0]) == self.thread.sender(first)]
        versions: dict[int, VersionChoice] = {}
        for number in mine:
            lead = self.postings[number][0]
            rival = versions.get(lead.version)
            if rival is None or (
                (rival.lead.counted, rival.lead.expected) == (lead.counted, lead.expected)
                and rival.lacks
                and not self[number].lacks
            ):
                versions[lead.version] = self[number]
        if revision is not None and revision not in versions:
            found = ", ".join(f"v{n}" for n in sorted(versions))
            raise ReviewError(f"{source}: no version {revision} by {name(first)} in the thread; it has {found}")
        newest = max(versions)
        best = revision or max((v for v, choice in versions.items() if not choice.lacks), default=newest)
        return VersionChoice(versions[best].lead, versions[best].members, self._why(versions, best, newest))

    def each(self) -> Iterator[VersionChoice]:
        """All of them."""
        return (self[number] for number in range(len(self.postings)))

    def _why(self, versions: dict[int, VersionChoice], best: int, newest: int) -> str:
        told = []
        if len(versions) > 1 and best == newest:
            all_ = " and ".join(f"v{v}" for v in sorted(versions)[-3:])
            told.append(f"v{best}, the newest {'' if versions[best].lacks else 'complete '}one of {all_}")
        elif len(versions) > 1:
            told.append(f"v{best}, because v{newest} {versions[newest].lacks or 'was not asked for'}")
        chosen = {id(p) for p in versions[best].members}
        rest = [p[0] for p in self.postings if p[0].version >= best and not any(id(x) in chosen for x in p)]
        rest = [p for p in rest if p.version != newest or p is not versions[newest].lead]
        if rest:
            more = f" and {len(rest) - 1} more" if rest[1:] else ""
            told.append(f"without `{clean(rest[0].mail.subject)[:60]}` by {name(rest[0])}{more}")
        return ", ".join(told)


def families(thread: MailThread, source: str) -> list[SeriesFamily]:
    """The series of a file or folder. Raises as `MailThread.families`."""
    return [SeriesFamily(thread, postings) for postings in thread.families(source)]


def _ordered(posts: list[Post], one_sender: bool) -> list[Post]:
    """By their dates, so that the order in the file does not matter; git's own files are in the order to apply."""
    if one_sender and all(p.when and p.mail.message_id for p in posts):
        return sorted(posts, key=lambda p: (p.when, p.mail.message_id))
    return posts


def _deduplicated(posts: Iterable[Post]) -> list[Post]:
    """One post an id: of copies from several lists, the one from the list that changes mails least."""

    def rank(post: Post) -> int:
        return next((n for n, glob in enumerate(LISTS) if fnmatch.fnmatch(post.mail.list_id, glob)), len(LISTS))

    best: dict[str, Post] = {}
    for number, post in enumerate(posts):
        key = post.mail.message_id or f"\n{number}"
        if key not in best or rank(post) < rank(best[key]):
            best[key] = post
    return list(best.values())


def _series(choice: VersionChoice, thread: MailThread, source: str, partial: bool) -> Series:
    members = choice.members
    lead, counted = members[0], members[0].counted
    cover = next((p for p in members if p.cover), None)
    numbered = _in_order(members)
    _refuse_unreadable(numbered, thread, source)
    expected = _expected(lead, numbered)
    if choice.missing and not (partial and numbered):
        raise _incomplete(choice, expected, source)
    chosen = {p.mail.message_id for p in members}
    hints = [p for p in (cover, *numbered) if p is not None]
    return Series(
        patches=tuple(
            Patch(mail=p.mail, diff=p.diff, number=p.number if counted else n, raw=p.raw)
            for n, p in enumerate(numbered, 1)
        ),
        version=lead.version,
        expected=expected,
        missing=tuple(choice.missing),
        chosen=choice.why,
        prerequisites=tuple(dict.fromkeys(prior for p in hints for prior in p.prerequisites)),
        cover=cover.mail if cover else None,
        change_id=next((p.change_id for p in hints if p.change_id), ""),
        base_commit=next((p.base_commit for p in hints if p.base_commit), ""),
        thread=_replies(thread, chosen),
        source=source,
    )


def _in_order(members: Iterable[Post]) -> list[Post]:
    """The patches, in the order in which they are applied."""
    return sorted((p for p in members if not p.cover), key=lambda p: p.number if p.counted else 0)


def _refuse_unreadable(patches: Iterable[Post], thread: MailThread, source: str) -> None:
    """Raises Unreviewed for the first patch that could not be read."""
    for post in patches:
        if post.fault:
            which = f": patch {post.number}" if len(thread.posts) > 1 else ""
            raise Unreviewed(f"{source}{which} {post.fault}")


def _expected(lead: Post, patches: Sequence[Post]) -> int:
    """How many patches the series has: what its subjects say, and no fewer than came."""
    if not lead.counted:
        return len(patches)
    return max(lead.expected, len(patches), *(p.number for p in patches))


def _incomplete(choice: VersionChoice, expected: int, source: str) -> Incomplete:
    """The fault of a version that lacks patches, with what may find them."""
    error = Incomplete(f"{source} is incomplete: {ranges(choice.missing)} of {expected} missing")
    error.query = _query(choice.members[0])
    return error


def _replies(thread: MailThread, chosen: set[str]) -> tuple[Mail, ...]:
    """What people answered to the messages of the series, oldest first."""
    replies = []
    for post in thread.posts:
        if post.patch or post.cover or post.mail.message_id in chosen:
            continue
        above = thread.patch_above(post)
        if above is not None and above.mail.message_id in chosen:
            replies.append(post)
    return tuple(p.mail for p in sorted(replies, key=lambda p: p.when))


def _query(post: Post) -> str:
    """What finds the other patches of one that was posted without References: its sender, and the days around it."""
    address = post.mail.author.email
    if post.parents or not re.fullmatch(r"[\w.+-]+@[\w.-]+", address, re.ASCII) or not DAY < post.when < 1e11:
        return ""
    since, until = (time.strftime("%Y%m%d", time.gmtime(post.when + days * DAY)) for days in (-1, 1))
    return f"s:PATCH f:{address} d:{since}..{until}"
