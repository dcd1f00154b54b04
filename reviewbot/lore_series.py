"""Posts of a thread, a file or a folder -> the one Series that was asked for: one version by one author, in order.

b4's grouping is not used: it takes a stranger's `[PATCH 2/2]` for a part of the series and any `[PATCH v9]` for its
newest version. Here a patch belongs to a series by its sender, its version, its n/m and its place in the thread.
"""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Iterable, Sequence

from liblore.utils import DEFAULT_LISTID_PREFERENCE as LISTS

from reviewbot.lore_mail import Post
from reviewbot.lore_protocol import Incomplete, NoPatch
from reviewbot.text import clean
from reviewbot.types import Mail, Patch, ReviewError, Series, Unreviewed


def assemble(
    posts: Sequence[Post], *, source: str, asked: str = "", revision: int | None = None, one_sender: bool = True
) -> Series:
    """The series that `asked` belongs to, or the one that a file or folder holds.

    `asked` is a message-id: of a patch or cover letter, or of a reply, which stands for the patch it answers. Without
    one it is the newest version in `posts`. `revision` picks another version by the same sender. `one_sender` is False
    for the output of git format-patch, where each patch has its own author in From. A file with one mail in it gives
    that patch alone, whatever its n/m.

    Raises NoPatch, Incomplete (with the missing numbers), Unreviewed for a mail that could not be read, and ReviewError
    where the choice is the user's.
    """
    thread = Thread(_deduplicated(posts), one_sender)
    lead = thread.lead(asked, source)
    if revision is not None and revision != lead.version:
        lead = thread.version(lead, revision, source)
    members = [lead] if not asked and len(thread.posts) == 1 else thread.members(lead)
    if not asked:
        thread.refuse_others(members, source)
    alone = lead.reply or (len(thread.posts) == 1 and not lead.cover and not asked)
    return _series(members, thread, source, alone)


DAY = 24 * 60 * 60


class Thread:
    """Posts with their parents, and what is a series among them."""

    def __init__(self, posts: Sequence[Post], one_sender: bool) -> None:
        self.posts = posts
        self.one_sender = one_sender
        self.by_id = {p.mail.message_id: p for p in posts if p.mail.message_id}
        self.order = {id(p): n for n, p in enumerate(posts)}

    def lead(self, asked: str, source: str) -> Post:
        """The patch or cover letter that stands for what was asked for."""
        if asked:
            return self._asked(asked, source)
        leads = [p for p in self.posts if p.patch or p.cover] or [p for p in self.posts if p.diff]
        if not leads:
            if faults := [p for p in self.posts if p.fault]:
                which = "" if len(self.posts) == 1 else f": the mail by {_name(faults[0])}"
                raise Unreviewed(f"{source}{which} {faults[0].fault}")
            subject = next((f" (`{p.mail.subject[:80]}`)" for p in self.posts if p.mail.subject), "")
            raise NoPatch(f"{source} holds no patch{subject}: give a mail with a diff in it, or its message-id")
        mine = [p for p in leads if self.sender(p) == self.sender(leads[0])]
        newest = max(p.version for p in mine)
        return next(p for p in mine if p.version == newest)

    def _asked(self, asked: str, source: str) -> Post:
        post: Post | None = self.by_id.get(asked)
        if post is None:
            raise Unreviewed(f"{source}: the thread came without that message")
        if post.fault:
            raise Unreviewed(f"{source} {post.fault}")
        if post.patch or post.cover:
            return post
        above = self.patch_above(post)
        if above is not None:
            return above
        if post.diff:
            return post
        raise NoPatch(f"{source} is no patch (`{post.mail.subject[:80]}`), nor an answer to one in its thread")

    def version(self, lead: Post, revision: int, source: str) -> Post:
        """The patch or cover letter that stands for another version of the series of `lead`."""
        same = [p for p in self.posts if (p.patch or p.cover) and self.sender(p) == self.sender(lead)]
        for post in same:
            if post.version == revision:
                return post
        found = ", ".join(f"v{n}" for n in sorted({p.version for p in same}))
        raise ReviewError(f"{source}: no version {revision} by {_name(lead)} in the thread; it has {found}")

    def members(self, lead: Post) -> list[Post]:
        """The patches and cover letter that `lead` stands for.

        They are its posting; what lacks in it comes from an older one, where a patch answers the patch of its own
        number there, or what was said of it: a new version of that one alone.
        """
        if lead.reply or (self.one_sender and not lead.counted):
            return [lead]
        if not lead.counted:
            return [p for p in self.posts if p.patch and not p.counted]  # git format-patch -N or -k
        mine = self._posting(lead)
        queue, seen = list(mine), {id(p) for p in mine}
        while queue and len({p.number for p in mine if p.number}) < lead.expected:
            post = queue.pop(0)
            above = self.patch_above(post)
            if above is not None and id(above) not in seen and self._replaces(post, above):
                seen.add(id(above))
                queue.append(above)
                numbers = {0, *(p.number for p in mine)}
                mine += [p for p in self._posting(above) if p.number not in numbers]
        return mine

    def _replaces(self, post: Post, above: Post) -> bool:
        same = (above.number, above.expected, above.counted) == (post.number, post.expected, post.counted)
        return above.patch and same and self.sender(above) == self.sender(post)

    def _posting(self, lead: Post) -> list[Post]:
        """The patches and cover letter that were posted together with `lead`, one for each number."""
        rivals = [p for p in self.posts if self._same_series(p, lead)]
        postings: dict[str, list[Post]] = {}
        for post in rivals:
            postings.setdefault(self._start(post, lead), []).append(post)
        mine = postings.pop(self._start(lead, lead))
        # A posting need not be threaded, or all its mails may answer an older version: what fits in is part of it.
        rest = sorted(postings.values(), key=lambda p: (p[0].parents[:1] != mine[0].parents[:1], self._apart(p, mine)))
        for posting in rest:
            numbers = {p.number for p in mine}
            if not any(p.number in numbers for p in posting) and self._goes_with(posting, lead, rivals):
                mine = mine + posting
        return list({p.number: p for p in (*reversed(mine), lead)}.values())

    def _goes_with(self, posting: Sequence[Post], lead: Post, rivals: Sequence[Post]) -> bool:
        """In the thread of `lead`; or of the same day, where neither has References and nothing else fits."""
        if not self.one_sender or self.top(posting[0]) == self.top(lead):
            return True
        loose = [p.number for p in rivals if not p.parents and abs(p.when - lead.when) < DAY]
        return not lead.parents and all(not p.parents and loose.count(p.number) == 1 for p in posting)

    def _same_series(self, post: Post, lead: Post) -> bool:
        return (
            (post.patch or post.cover or bool(post.fault and post.tagged and not post.reply))
            and post.counted
            and (post.version, post.expected) == (lead.version, lead.expected)
            and self.sender(post) == self.sender(lead)
        )

    def _start(self, post: Post, lead: Post) -> str:
        """The first mail of the posting that `post` is in: up, as long as the mail above is an earlier number of it."""
        seen = 0
        while seen <= len(self.posts):
            above = self.by_id.get(post.parents[0]) if post.parents else None
            if above is None or not self._same_series(above, lead) or above.number >= post.number:
                break
            post, seen = above, seen + 1
        return post.mail.message_id or str(self.order[id(post)])

    def _apart(self, one: list[Post], other: list[Post]) -> int:
        return min(abs(self.order[id(a)] - self.order[id(b)]) for a in one[:1] for b in other)

    def refuse_others(self, members: Sequence[Post], source: str) -> None:
        """Raises ReviewError where another series, in another thread, has as good a claim as `members`."""
        if not members:
            return
        lead = members[0]
        tops = {self.top(p) for p in members}
        chosen = {id(p) for p in members}
        others = [
            p
            for p in self.posts
            if (p.patch or p.cover) and id(p) not in chosen and self.top(p) not in tops
            if self.sender(p) != self.sender(lead) or p.version == lead.version
        ]
        if others:
            raise ReviewError(
                f"{source} holds more than one series (`{lead.mail.subject[:60]}`, `{others[0].mail.subject[:60]}`): "
                "give one in a file by itself"
            )

    def sender(self, post: Post) -> str:
        """Who a patch has to come from to be in one series with `post`."""
        return post.mail.author.email.lower() if self.one_sender else ""

    def patch_above(self, post: Post) -> Post | None:
        """The nearest patch or cover letter above a message."""
        seen: set[str] = set()
        queue = list(post.parents)
        while queue:
            parent = queue.pop(0)
            if parent in seen:
                continue
            seen.add(parent)
            above = self.by_id.get(parent)
            if above is not None:
                if above.patch or above.cover:
                    return above
                queue = [*above.parents, *queue]
        return None

    def top(self, post: Post) -> str:
        """What identifies the thread of a message: the id of the message furthest above it, present or not."""
        walked: set[int] = set()
        while id(post) not in walked:
            walked.add(id(post))
            oldest = post.parents[-1] if post.parents else ""
            above = self.by_id.get(oldest)
            if above is None:
                return oldest or post.mail.message_id or str(self.order[id(post)])
            post = above
        return min(p.mail.message_id for p in self.posts if id(p) in walked)


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


def _name(post: Post) -> str:
    return clean(post.mail.author.name or post.mail.author.email or post.mail.subject) or "a mail without headers"


def _series(members: Sequence[Post], thread: Thread, source: str, alone: bool) -> Series:
    cover = next((p for p in members if p.cover), None)
    numbered = sorted((p for p in members if not p.cover), key=lambda p: p.number if p.counted else 0)
    if faults := [p for p in numbered if p.fault]:
        raise Unreviewed(f"{source}: patch {faults[0].number} {faults[0].fault}")
    counted = members[0].counted
    expected = max([members[0].expected, len(numbered), *(p.number for p in numbered)]) if counted else len(numbered)
    missing = sorted(set(range(1, expected + 1)) - {p.number for p in numbered}) if counted and not alone else []
    if missing:
        error = Incomplete(f"{source} is incomplete: {_ranges(missing)} of {expected} missing")
        error.query = _query(members[0])
        raise error
    chosen = {p.mail.message_id for p in members}
    hints = [p for p in (cover, *numbered) if p is not None]
    return Series(
        patches=tuple(
            Patch(mail=p.mail, diff=p.diff, number=p.number if counted else n, raw=p.raw)
            for n, p in enumerate(numbered, 1)
        ),
        version=members[0].version,
        expected=expected,
        cover=cover.mail if cover else None,
        change_id=next((p.change_id for p in hints if p.change_id), ""),
        base_commit=next((p.base_commit for p in hints if p.base_commit), ""),
        thread=_replies(thread, chosen),
        source=source,
    )


def _replies(thread: Thread, chosen: set[str]) -> tuple[Mail, ...]:
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


def _ranges(numbers: Sequence[int]) -> str:
    """`patch 2`, `patches 1, 4-7`: at most five ranges."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans[:5]) + (" ..." if len(spans) > 5 else "")
    return f"{'patch' if len(numbers) == 1 else 'patches'} {text}"
