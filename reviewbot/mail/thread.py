"""Posts with their parents: which of them were posted together, and which postings are of one series.

b4's grouping is not used: it takes a stranger's `[PATCH 2/2]` for a part of the series and any `[PATCH v9]` for its
newest version. Here a patch belongs to a series by its sender, its version, its n/m and its place in the thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reviewbot.gittree.diff import sections
from reviewbot.limits import MAX_POSTINGS
from reviewbot.mail.message import Post
from reviewbot.mail.protocol import NoPatch
from reviewbot.text import clean
from reviewbot.types import ReviewError, Unreviewed

DAY = 24 * 60 * 60


_TAGS = re.compile(r"^(\s*(re:|\[[^\]]*\]))+", re.IGNORECASE)


class MailThread:
    """Posts with their parents, and what is a series among them."""

    def __init__(self, posts: Sequence[Post], one_sender: bool, from_archive: bool = False) -> None:
        """from_archive: the posts are a thread of an archive, which has what they answer; a file often has not."""
        self.posts = posts
        self.from_archive = from_archive
        self.one_sender = one_sender
        self.by_id = {p.mail.message_id: p for p in posts if p.mail.message_id}
        self.order = {id(p): n for n, p in enumerate(posts)}
        self._changed: dict[int, dict[str, tuple[str, str]]] = {}

    def families(self, source: str) -> list[list[list[Post]]]:
        """The series of a file or folder, each as its postings: versions of it, and what others posted in its thread.

        Two postings are of one series when they are in one thread; or by one sender, with different versions, and
        with a change-id or the title of a patch in common. Raises NoPatch and Unreviewed where there is no patch,
        ReviewError where there are too many.
        """
        postings = self._postings(source)
        keys: dict[tuple[str, ...], list[int]] = {}
        for number, posting in enumerate(postings):
            for key in {key for post in posting for key in self._kin(post)}:
                keys.setdefault(key, []).append(number)
        family = list(range(len(postings)))
        for key, numbers in keys.items():
            for number in numbers[1:]:
                apart = key[0] == "thread" or postings[number][0].version != postings[numbers[0]][0].version
                if apart and family[number] != family[numbers[0]]:
                    old, new = family[number], family[numbers[0]]
                    family = [new if x == old else x for x in family]
        return [[postings[n] for n in range(len(family)) if family[n] == f] for f in dict.fromkeys(family)]

    def _kin(self, post: Post) -> Iterator[tuple[str, ...]]:
        """What a posting of the same series has in common with this one."""
        if self.one_sender:
            yield "thread", self.top(post)
        if post.change_id:
            yield "change", self.sender(post), post.change_id
        if title := _TAGS.sub("", post.mail.subject).strip().casefold():
            yield "title", self.sender(post), title

    def _postings(self, source: str) -> list[list[Post]]:
        """What was posted together, each with its lead first."""
        leads = self._leads(source)
        left = {id(p): p for p in leads}
        found: list[list[Post]] = []
        for lead in leads:
            if id(lead) not in left:
                continue
            mine = self._posted_with(lead, list(left.values()))
            for post in mine:
                left.pop(id(post), None)
            found.append(sorted(mine, key=lambda p: (not p.cover, p.number)))
            if len(found) > MAX_POSTINGS:
                raise ReviewError(f"{source} holds more than {MAX_POSTINGS} series: give fewer in one file")
        return found

    def _leads(self, source: str) -> list[Post]:
        """The patches and cover letters; of mails that are neither the first with a diff. Raises where there is none."""
        leads = [p for p in self.posts if p.patch or p.cover or _unread(p)] or [p for p in self.posts if p.diff][:1]
        if leads:
            return leads
        if faults := [p for p in self.posts if p.fault]:
            which = "" if len(self.posts) == 1 else f": the mail by {name(faults[0])}"
            raise Unreviewed(f"{source}{which} {faults[0].fault}")
        subject = next((f" (`{p.mail.subject[:80]}`)" for p in self.posts if p.mail.subject), "")
        raise NoPatch(f"{source} holds no patch{subject}: give a mail with a diff in it, or its message-id")

    def _posted_with(self, lead: Post, left: Sequence[Post]) -> list[Post]:
        """What was posted together with a patch or cover letter, itself included."""
        if not lead.reply and lead.counted:
            return self._posting(lead, left)
        if not self.one_sender and lead.patch:
            return self._run(lead, left)
        return [lead]

    def _run(self, lead: Post, left: Sequence[Post]) -> list[Post]:
        """The patches that `git format-patch` wrote without n/m (-N, -k) from one branch: [PATCH] mails are that where
        one goes on with a file as another left it, otherwise each is one by itself."""
        run = [lead]
        made = dict(self._blobs(lead))
        for post in left:
            same = (post.version, post.tagged) == (lead.version, lead.tagged)
            if post is lead or not post.patch or post.counted or not same:
                continue
            blobs = self._blobs(post)
            if not lead.tagged or any(
                old and path in made and made[path][1] == old for path, (old, _) in blobs.items()
            ):
                run.append(post)
                made |= blobs
        return run

    def _blobs(self, post: Post) -> dict[str, tuple[str, str]]:
        """What a patch says of the blobs of each file, before and after, in seven digits."""
        if id(post) not in self._changed:
            parts = sections(post.diff)
            self._changed[id(post)] = {part.path: (part.before[:7], part.after[:7]) for part in parts}
        return self._changed[id(post)]

    def newer(self, lead: Post) -> str:
        """What is said of a version that was asked for where the thread has a newer one."""
        same = (p for p in self.posts if (p.patch or p.cover) and self.sender(p) == self.sender(lead))
        newest = max((p.version for p in same if self.top(p) == self.top(lead)), default=0)
        return f"v{lead.version} as asked for; the thread has v{newest}" if newest > lead.version else ""

    def lead(self, asked: str, source: str) -> Post:
        """The patch or cover letter that stands for what was asked for."""
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
        raise ReviewError(f"{source}: no version {revision} by {name(lead)} in the thread; it has {found}")

    def members(self, lead: Post, posting: Sequence[Post] | None = None) -> list[Post]:
        """The patches and cover letter that `lead` stands for; `posting` are those posted with it, if that is known.

        They are its posting; what lacks in it comes from an older one, where a patch answers the patch of its own
        number there, or what was said of it: a new version of that one alone.
        """
        if lead.reply or not lead.counted:
            return list(posting or [lead])
        mine = list(posting or self._posting(lead))
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

    def _posting(self, lead: Post, among: Sequence[Post] | None = None) -> list[Post]:
        """The patches and cover letter that were posted together with `lead`, one for each number."""
        rivals = [p for p in (self.posts if among is None else among) if self._same_series(p, lead)]
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
        """In the thread of `lead`; or of the same day, where neither answers anything and nothing else fits."""
        if not self.one_sender or self.top(posting[0]) == self.top(lead):
            return True
        loose = [p.number for p in rivals if self._loose(p) and abs(p.when - lead.when) < DAY]
        return self._loose(lead) and all(self._loose(p) and loose.count(p.number) == 1 for p in posting)

    def _loose(self, post: Post) -> bool:
        """Whether a message answers none, or none that is at hand where some may be missing."""
        return not post.parents if self.from_archive else not any(parent in self.by_id for parent in post.parents)

    def _same_series(self, post: Post, lead: Post) -> bool:
        return (
            (post.patch or post.cover or _unread(post))
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


def _unread(post: Post) -> bool:
    """A patch, or the cover letter of some, of which nothing but the headers could be read."""
    return bool(post.fault and post.tagged and not post.reply)


def name(post: Post) -> str:
    """Whom a mail is from, as a person would say it."""
    return clean(post.mail.author.name or post.mail.author.email or post.mail.subject) or "a mail without headers"
