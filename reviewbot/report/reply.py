"""Verdicts -> the mail that a maintainer would write: the guilty lines quoted, the schedule, what would be safe.

A reply says only what a verdict rests on. It carries no trailers (Reviewed-by and its like are for people), names
its schedule so that anybody can replay it, and keeps away from Patchwork.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from reviewbot.key import identity, message_id, series_key
from reviewbot.report.gaps import gaps
from reviewbot.report.schedule import WIDTH, knot, schedule
from reviewbot.text import clean, clean_code, mailbox
from reviewbot.types import Address, FileChange, Finding, Hunk, Line, Mail, Outcome, Place, Reply, Review, Side, Verdict

if TYPE_CHECKING:
    from jinja2 import Environment, Template

CUT = "[ ... ]"
AROUND = 2
"""Lines of the patch kept on either side of the line that a finding stands on."""
MOST_QUOTED = 3
"""Places that are quoted for one finding."""
MOST_NAMED = 3
"""Files that are named for what was checked in them."""
MOST_CC, MOST_REFERENCES = 60, 40


def replay_id(named: str, finding: Finding) -> str:
    """Eight hex digits that name a finding for `reviewbot explain`: the same for the same mail and finding, always.

    `named` is what `key.identity` says of the series.
    """
    text = "\0".join((named, finding.rule, finding.object, finding.at.file, finding.at.function, finding.message))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def draft(review: Review, sender: Address | None = None) -> tuple[Reply, ...]:
    """The drafts of a review: one per patch that is to blame, or one to the lead message of a series without fault.

    `sender` is the maintainer for whom it is drafted: From, and left out of Cc. A comment or an unreviewed series gets
    no mail: what was not replayed is not claimed.
    """
    if review.decision == "nack":
        blamed = [v for v in review.verdicts if v.outcome is Outcome.CONFIRMED]
        numbers = sorted({v.finding.patch for v in blamed})
        return tuple(_nack(review, n, [v for v in blamed if v.finding.patch == n], sender) for n in numbers)
    if review.decision == "ack":
        return (_ack(review, sender),)
    return ()


def _nack(review: Review, number: int, verdicts: Sequence[Verdict], sender: Address | None) -> Reply:
    patch = review.series.at(number)
    first = verdicts[0]
    body = _template("nack.txt.j2").render(
        mail=patch.mail,
        first=first,
        others=_others(verdicts),
        series=len(review.series.patches) > 1,
        gaps=gaps(review.series, review.prerequisites, review.unread),
        quote=lambda v: quote(_files(review, number), _in_patch(review, number, v.finding)),
        ids=[replay_id(identity(review.series), first.finding)],
    )
    return Reply(
        headers=headers(patch.mail, sender, _own_id(review, number, sender)), body=_tidy(body), verdicts=tuple(verdicts)
    )


def _ack(review: Review, sender: Address | None) -> Reply:
    fixed = [v for v in review.verdicts if v.outcome is Outcome.FIXED]
    lead = review.series.lead
    mail, number = lead, 1
    if fixed:
        number = fixed[0].finding.patch
        mail = review.series.at(number).mail
    body = _template("ack.txt.j2").render(
        mail=mail,
        fixed=fixed,
        others=_others(fixed),
        checked=_checked(review),
        reason=review.reason,
        quote=lambda v: quote(_files(review, number), _in_patch(review, number, v.finding)),
        ids=[replay_id(identity(review.series), v.finding) for v in fixed[:1]],
    )
    return Reply(
        headers=headers(mail, sender, _own_id(review, number if fixed else 0, sender)),
        body=_tidy(body),
        verdicts=tuple(fixed),
    )


def _checked(review: Review) -> str:
    """What was looked at: what the rules found to look at in the change, in which files, of which tree."""
    change = review.change
    several = "series" if len(review.series.patches) > 1 else "patch"
    first = "its prerequisites and " if any(p.state == "applied" for p in review.prerequisites) else ""
    tree = f"in the tree at {change.commit[:12]} with {first}the {several} applied" if change and change.base else ""
    but = dict.fromkeys(f"{at.function}()" if at.function else at.file for at in (v.finding.at for v in review.hidden))
    if not review.checked:
        return (
            f"Nothing in it takes a lock, sleeps, allocates, queues work or submits I/O; checked {tree}".rstrip() + "."
        )
    names = [f.path.rpartition("/")[2] for f in change.files if f.path.endswith((".c", ".h"))] if change else []
    more = [f"{len(names) - MOST_NAMED} other files"] if len(names) > MOST_NAMED + 1 else names[MOST_NAMED:]
    where = f" in {_list([*names[:MOST_NAMED], *more])}" if names else ""
    where += f" but for {_list([*but])}" if but else ""  # nothing is claimed of what is in doubt
    return f"Checked: {_list(review.checked)}{where}{', ' + tree if tree else ''}."


def _list(items: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def _others(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts after the first that have something else to say than it."""
    told = {v.finding.words.claim: v for v in reversed(verdicts) if v.finding.words}
    return [v for v in told.values() if v is not verdicts[0]][::-1]


def _files(review: Review, number: int) -> Sequence[FileChange]:
    if review.change is None:
        return ()
    patches = review.change.patches
    return patches[number - 1] if 0 < number <= len(patches) else review.change.files


def _in_patch(review: Review, number: int, finding: Finding) -> Finding:
    """The finding with its lines as a patch of the series has them: what comes after that patch has moved them."""

    def places(places: Iterable[Place], side: Side) -> list[Place]:
        found = [review.change.origin(at, side) for at in places] if review.change else []
        return [at for patch, at in found if patch == number]

    at = places([finding.at], finding.side) or [finding.at]
    related = [at for side in Side for at in places(finding.related, side)]
    return msgspec.structs.replace(finding, at=at[0], related=tuple(dict.fromkeys(related)))


# --- headers ---------------------------------------------------------------------------------------------------------


def _own_id(review: Review, number: int, sender: Address | None) -> str:
    key = series_key(review.series)
    return message_id(key, number, sender.email.rpartition("@")[2]) if sender else message_id(key, number)


def headers(mail: Mail, sender: Address | None, own_id: str = "") -> tuple[tuple[str, str], ...]:
    """The headers that answer `mail`: threaded, to the author, the others kept in Cc, the sender left out of them."""
    own = {sender.email.lower()} if sender else set()
    to = [a for a in (mail.reply_to or (mail.author,)) if a.email]
    seen = own | {a.email.lower() for a in to}
    cc = []
    for address in (*mail.to, *mail.cc):
        if address.email and address.email.lower() not in seen:
            seen.add(address.email.lower())
            cc.append(address)
    chain = [r for r in mail.references if r != mail.message_id] + [mail.message_id]
    if len(chain) > MOST_REFERENCES:
        chain = [chain[0], *chain[1 - MOST_REFERENCES :]]
    out = [
        ("From", _addresses([sender]) if sender else ""),
        ("To", _addresses(to)),
        ("Cc", _addresses(cc[:MOST_CC])),
        ("Message-ID", own_id),
        ("Subject", _answering(clean(mail.subject))),
        ("In-Reply-To", f"<{mail.message_id}>" if mail.message_id else ""),
        ("References", " ".join(f"<{r}>" for r in chain if r)),
        ("X-Patchwork-Hint", "ignore"),
    ]
    return tuple((name, value) for name, value in out if value)


def _answering(subject: str) -> str:
    """The subject of the answer; a bare diff has none, and neither has `Re:`."""
    title = re.sub(r"(?i)^(re:\s*)+", "", subject).strip()
    if not title:
        return "Re: your patch"
    return subject if re.match(r"re:", subject, re.IGNORECASE) else f"Re: {subject}"


def _addresses(people: Iterable[Address]) -> str:
    return ", ".join(mailbox(_name(a.name), a.email) for a in people)


def _name(name: str) -> str:
    """A display name that cannot be mistaken for an address of its own; empty when there is nothing left of it."""
    name = clean(name)
    return "" if any(c in name for c in '<>@"\\') else name


# --- the body --------------------------------------------------------------------------------------------------------


class PatchLine(NamedTuple):
    """A line of a patch, with where it stands."""

    file: FileChange
    hunk: Hunk
    line: Line

    def stands_on(self, at: Place, side: Side) -> bool:
        """Whether it is the changed line at a place of one side."""
        number = self.line.after if side is Side.AFTER else self.line.before
        path = self.file.path if side is Side.AFTER else self.file.old_path or self.file.path
        return self.line.sign == ("+" if side is Side.AFTER else "-") and path == at.file and number == at.line


def quote(files: Sequence[FileChange], finding: Finding) -> str:
    """The lines of the patch that a finding and its related places stand on, as `> ` quotes with `[ ... ]` for cuts.

    The line of the finding comes last, so that the answer stands under it; related places that come before it in the
    patch are kept, up to three places in all.
    """
    rows = [PatchLine(f, h, line) for f in files for h in f.hunks for line in h.lines]
    main = next((k for k, row in enumerate(rows) if row.stands_on(finding.at, finding.side)), None)
    if main is None:
        return ""
    keep = {k for mark in _quoted(rows[:main], finding.related) for k in _group(rows, mark, last=False)}
    keep.update(_group(rows, main, last=True))
    out: list[str] = []
    before = None
    for k in sorted(keep):
        file, hunk, line = rows[k]
        if before is None or rows[before].file is not file:
            out += [*([CUT] if out else []), f"> +++ b/{clean(file.path)}"]
        if before is None or rows[before].hunk is not hunk:
            where = _inside(hunk, finding.at.function if hunk is rows[main].hunk else "")
            out += [f"> @@ ... @@ {where}"] if where else []
        elif k != before + 1:
            out.append(CUT)
        out.append(f"> {line.sign}{clean_code(line.text)}".rstrip())
        before = k
    return "\n".join(out)


def _quoted(rows: Sequence[PatchLine], related: Iterable[Place]) -> set[int]:
    """The lines that related places stand on, as many as are quoted besides the one of the finding."""
    marks: set[int] = set()
    for place in related:
        if len(marks) == MOST_QUOTED - 1:
            break
        found = (k for k, row in enumerate(rows) if any(row.stands_on(place, side) for side in Side))
        marks.update(islice(found, 1))
    return marks


def _inside(hunk: Hunk, function: str) -> str:
    """Where a hunk is, as the patch says; the function where that is known and the patch says the one before."""
    if function and not re.search(rf"\b{re.escape(function)}\b", hunk.section):
        return f"{function}()"
    return clean_code(hunk.section).strip()


def _group(rows: Sequence[PatchLine], mark: int, last: bool) -> list[int]:
    """The changed lines around a mark within its hunk. The answer stands under the last mark: after that line comes
    nothing but, for a line that went, the one that took its place."""

    def sign(k: int) -> str:
        return rows[k].line.sign if rows[k].hunk is rows[mark].hunk else " "

    end = min(len(rows), mark + AROUND + 1)
    if last:
        replaced = sign(mark) == "-" and mark + 1 < len(rows) and sign(mark + 1) == "+"
        end = mark + 1 + replaced
    return [k for k in range(max(0, mark - AROUND), end) if sign(k) != " "]


def fill(text: str) -> str:
    """A paragraph at 72 columns; names and expressions are never broken."""
    told = textwrap.fill(clean(text), WIDTH, break_long_words=False, break_on_hyphens=False)
    return re.sub(r" (\S+)\n- ", r"\n\1 - ", told)  # a line that begins with a dash looks like an item of a list


def attribution(mail: Mail) -> str:
    """`On DATE, NAME wrote:` as mail programs put it above a quote."""
    name = _name(mail.author.name) or mail.author.email
    return f"On {clean(mail.date)}, {name} wrote:" if mail.date else f"{name} wrote:" if name else ""


def _tidy(body: str) -> str:
    """No trailing blanks (but the signature mark), no more than one empty line in a row, one newline at the end."""
    lines = [x if x == "-- " else x.rstrip() for x in body.strip("\n").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


@cache
def environment() -> Environment:
    """Where the templates are, and what they may use."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("reviewbot.report", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # plain text
    )
    environment.filters.update(fill=fill, schedule=schedule, knot=knot)
    environment.globals.update(attribution=attribution)
    return environment


def _template(name: str) -> Template:
    return environment().get_template(name)
