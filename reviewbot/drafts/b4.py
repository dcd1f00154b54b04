"""b4 0.16: answers to its check commands, and the review files that `b4 review` shows under the right lines.

Both work on a review branch as b4 makes it: the patches as commits, and one commit on top that holds b4's own record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from reviewbot.drafts import deliver
from reviewbot.report.gaps import gaps
from reviewbot.report.reply import PatchLine
from reviewbot.text import clean, clean_code, clean_lines
from reviewbot.types import Decision, FileChange, Hunk, Outcome, Review, ReviewError, Value, Verdict

TOOL = "reviewbot"
IDENTITY = "reviewbot <reviewbot@reviewbot.invalid>"
"""Whose comments they are in `b4 review`: not the maintainer's, who may take them over."""
MARK = "--- b4-review-tracking ---"
"""Starts the record in the message of a review branch's last commit (b4.review.REVIEW_MAGIC_MARKER)."""


class Branch(Value, frozen=True):
    """A review branch: its tip; the commits of the patches are `first`~1..`tip`~1."""

    tip: str
    first: str

    @property
    def range(self) -> str:
        """The patches, as git takes a range of commits."""
        return f"{self.first}~1..{self.tip}~1"


class _Series(msgspec.Struct, rename="kebab"):
    first_patch_commit: str


class _Record(msgspec.Struct):
    series: _Series


def branch(tip: str, tracking: object) -> Branch:
    """A review branch from its tip's id and b4's record of it. ReviewError when the record is not that of a branch."""
    try:
        first = msgspec.convert(tracking, _Record).series.first_patch_commit
    except msgspec.ValidationError as error:
        raise ReviewError(f"b4's record of the review branch is not as b4 0.16 writes it: {error}") from error
    if not re.fullmatch(r"[0-9a-f]{40}", first):
        raise ReviewError("b4's record names no first commit: make the review branch again with `b4 review`")
    return Branch(tip, first)


def tracking_in(message: str) -> object:
    """The record in the message of a review branch's last commit. ReviewError when there is none."""
    _, mark, rest = message.partition(MARK)
    text = "\n".join(line for line in rest.splitlines() if not line.startswith("#"))
    try:
        if mark:
            return json.loads(text)
    except ValueError:
        pass
    raise ReviewError("this is no review branch: make one with `b4 review checkout`, or name it")


# --- the check protocol ----------------------------------------------------------------------------------------------


class B4Check(Value, frozen=True):
    """One result as b4 reads it. `status` is pass, warn or fail."""

    tool: str
    status: str
    summary: str
    url: str = ""
    details: str = ""


def checks(review: Review, number: int) -> list[B4Check]:
    """What b4 is told of patch `number` of a review (0: of the whole series). A claim only of what was replayed."""
    if review.decision is Decision.UNREVIEWED:
        return [unreviewed(review.reason)]
    mine = [v for v in review.verdicts if number in (0, v.finding.patch)]
    found = [v for v in mine if v.outcome is Outcome.CONFIRMED]
    open_ = [v for v in mine if v.outcome is Outcome.INCONCLUSIVE]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return [B4Check(TOOL, "fail", f"can deadlock: {clean(found[0].finding.message)}{more}", details=_details(mine))]
    if open_:
        count = f"{len(open_)} suspicion{'s' if len(open_) > 1 else ''}"
        return [B4Check(TOOL, "warn", f"{count} that could not be replayed", details=_details(mine))]
    return [B4Check(TOOL, "pass", "no deadlock found", details=_details(mine))]


def unreviewed(reason: str) -> B4Check:
    """What b4 is told when there is no review."""
    return B4Check(TOOL, "warn", f"not reviewed: {clean(reason)}")


def lines(found: Sequence[B4Check]) -> list[str]:
    """The same for `b4 prep --check` and `b4 am`, which read lines: ERROR fails, any other line warns, none passes."""
    out: list[str] = []
    for check in found:
        told = json.loads(check.details) if check.details else []
        words = {"fail": "ERROR", "warn": "WARNING"}
        some = [f"{words[e['status']]}: {e['description']}" for e in told if e["status"] in words]
        out += some or ([f"{words[check.status]}: {check.summary}"] if check.status in words else [])
    return out


def _details(verdicts: Sequence[Verdict]) -> str:
    """What b4 shows of a result, as its own checks have it: a JSON list of descriptions with a status each."""
    words = {Outcome.CONFIRMED: "fail", Outcome.INCONCLUSIVE: "warn"}
    entries = [
        {
            "status": words.get(v.outcome, "pass"),
            "description": f"{v.finding.at}: {clean(v.finding.message)} [{v.finding.rule}, {v.outcome}]",
        }
        for v in verdicts
    ]
    return json.dumps(entries) if entries else ""


# --- review files ----------------------------------------------------------------------------------------------------


def write_review(git_folder: Path, tip: str, review: Review, identity: str = IDENTITY) -> list[Path]:
    """Write the files that `b4 review` takes up for a branch with this tip; returns them. ReviewError if it cannot."""
    if not git_folder.is_dir():
        raise ReviewError(f"{git_folder} is no folder: run this in the main work tree, where b4 looks")
    folder = git_folder / "b4-review" / tip
    texts = {f"{number:04}.txt": text for number, text in patch_texts(review).items()}
    note = series_text(review)
    if note:
        texts["series.txt"] = note
    try:
        for name, text in texts.items():
            deliver.write(folder / name, text.encode())
        deliver.write(
            folder / "identity.txt", f"{identity}\n".encode()
        )  # b4 reads nothing without it: so it comes last
    except OSError as error:
        raise ReviewError(f"cannot write to {folder}: {error.strerror}") from error
    return sorted(folder.glob("*.txt"))


def series_text(review: Review) -> str:
    """The note on the series: the verdict, and what the maintainer should know but nobody is to be told."""
    lines = [f"{review.decision}{f': {review.reason}' if review.reason else ''}"]
    if not review.reason and review.decision is not Decision.UNREVIEWED:
        lines += [f"not seen: {gap}" for gap in gaps(review.series, review.prerequisites, review.unread)]
    if review.checked and review.decision is not Decision.UNREVIEWED:
        lines.append(f"Checked: {'; '.join(review.checked)}.")
    quiet = [v for v in review.verdicts if v.outcome is not Outcome.CONFIRMED]
    lines += [f"{v.outcome}: {v.finding.at}: {v.finding.message} [{v.finding.rule}]" for v in quiet]
    lines += [f"note: {note}" for note in review.notes]
    return "".join(f"{_plain(clean(line))}\n" for line in lines)


def patch_texts(review: Review) -> dict[int, str]:
    """For each patch with a confirmed finding: its diff, quoted, with the comments under the lines they are about."""
    found: dict[int, list[Verdict]] = {}
    for verdict in review.verdicts:
        if verdict.outcome is Outcome.CONFIRMED:
            found.setdefault(verdict.finding.patch, []).append(verdict)
    change = review.change
    if change is None:
        return {}
    texts = {}
    for number, verdicts in sorted(found.items()):
        files = change.patches[number - 1] if 0 < number <= len(change.patches) else change.files
        texts[number] = _commented(files, verdicts, _told(review, verdicts))
    return texts


def _told(review: Review, verdicts: Sequence[Verdict]) -> str:
    """The reply's own words, without quotes, attribution and signature."""
    for reply in review.replies:
        if any(v in reply.verdicts for v in verdicts):
            body = reply.body.partition("\n-- \n")[0]
            lines = [x for x in body.splitlines() if not x.startswith(">") and x.strip() != "[ ... ]"]
            text = re.sub(r"\n{3,}", "\n\n", "\n".join(x for x in lines if not re.match(r"On .* wrote:$", x)))
            return clean_lines(text).strip()
    return ""


def _commented(files: Sequence[FileChange], verdicts: Sequence[Verdict], told: str) -> str:
    comments: dict[int, str] = {}
    for number, verdict in enumerate(verdicts):
        text = told if number == 0 and told else f"{verdict.finding.message[:1].upper()}{verdict.finding.message[1:]}."
        comments[id(verdict)] = _plain(text)
    out: list[str] = []
    left = list(verdicts)
    for file in files:
        out += _file_heads(file)
        for hunk in file.hunks:
            out.append(_hunk_head(hunk))
            for line in hunk.lines:
                out.append(f"> {line.sign}{clean_code(line.text)}")
                here = PatchLine(file, hunk, line)
                for verdict in [v for v in left if here.stands_on(v.finding.at, v.finding.side)]:
                    out += ["", comments[id(verdict)], ""]
                    left.remove(verdict)
    note = [comments[id(v)] for v in left]  # where the line is not in this patch's diff
    return "\n".join([*note, *([""] if note else []), *out]) + "\n"


def _file_heads(file: FileChange) -> list[str]:
    """The lines above the hunks of a file."""
    old = f"a/{file.old_path}" if file.old_path else "/dev/null"
    new = f"b/{file.path}" if file.after else "/dev/null"
    return [f"> diff --git a/{file.old_path or file.path} b/{file.path}", f"> --- {old}", f"> +++ {new}"]


def _hunk_head(hunk: Hunk) -> str:
    before = [x.before for x in hunk.lines if x.before]
    after = [x.after for x in hunk.lines if x.after]
    place = f"-{min(before, default=0)},{len(before)} +{min(after, default=0)},{len(after)}"
    return f"> @@ {place} @@ {hunk.section}".rstrip()


def _plain(text: str) -> str:
    """Comments must not look like quotes to b4."""
    return "\n".join(f" {x}" if x.startswith((">", "|", "#")) else x for x in text.splitlines())
