"""Corpus cases: one text file with a small tree, a patch, and marks that say what a reviewer must (not) say of it.

    A title in one sentence.

    Origin:  made by hand, after commit ... ("subject")
    Rule:    flush-under-lock
    Verdict: confirmed

    -- drivers/md/dm-foo.c --
    C
    -- patch --
    From: A Developer <dev@example.org>
    ...
    +	flush_work(&f->work);
    #~ flush-under-lock "while holding &f->lock"
    -- @trace --
    -- @reply --

A mark stands under the line of the diff that it speaks of, as a reviewer answers under a quote:
`#~ rule "regex"` (this rule reports here, and the message matches), `#~ ok rule` (it must not report in this case),
`#~ todo rule "regex"` (a known miss), `#~ fact text` (a fact of the changed line contains the text). Sections named
`@...` are goldens. `-- base patch --` is applied first and is part of the base. A header `Uses: drivers/md/dm-foo.c` takes
that file of the tree from the folder `files` of the corpus, where those lie that several cases share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from reviewbot.types import Outcome, ReviewError, Side, Value, Verdict

SECTION = re.compile(r"^-- (?P<name>\S(?:.*\S)?) --$")
MARK = re.compile(r'^#~ (?:(?P<how>ok|todo|fact) )?(?P<what>[^"\s]+|(?<=fact ).*?)(?: "(?P<regex>.*)")?$')
FILES = "files"
"""Folder of the corpus with the files that several cases share, each under its path in the tree."""
FACT = re.compile(r"^#~ fact (?P<text>.+)$")
HEADER = re.compile(r"^(?P<key>[A-Z]\w+):\s+(?P<value>.*)$")
SPOKEN = (Outcome.CONFIRMED, Outcome.FIXED)
"""What a mark can stand for: the other outcomes are told to nobody but the maintainer. In a case with `Verdict:
inconclusive` those count that nobody could settle."""


class Mark(Value, frozen=True):
    """What must (`kind` finding), must not (`ok`), should one day (`todo`) be reported, or which fact must hold."""

    kind: str
    what: str
    """Id of a rule, or for a fact the text that one fact of the line contains."""
    regex: str
    file: str
    line: int
    """Line of the file after for a `+` line, before for a `-` line; 0 for `ok` marks outside of a hunk."""
    sign: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else "the case"


class Case(Value, frozen=True):
    """One case of the corpus, parsed."""

    name: str
    title: str
    headers: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    patch: str
    """The patch mail with the marks taken out."""
    marks: tuple[Mark, ...]
    base_patch: str = ""
    goldens: tuple[tuple[str, str], ...] = ()

    def header(self, key: str) -> str:
        """Value of a header line, or an empty string."""
        return dict(self.headers).get(key, "")


def parse(text: str, name: str, corpus: Path | None = None) -> Case:
    """Read one case.

    text: of the case. name: its path below the corpus, without `.case`. corpus: where the files lie that it `Uses:`, by
    default the corpus that comes with reviewbot. Raises ReviewError with the line when it is not of the form above.
    """
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in text.split("\n"):
        found = SECTION.match(line)
        if found:
            sections.append((found["name"], []))
        else:
            sections[-1][1].append(line)
    head = sections[0][1]
    body = {section: "\n".join(lines).rstrip("\n") + "\n" for section, lines in sections[1:]}
    if "patch" not in body:
        raise ReviewError(f"case {name} has no section `-- patch --`: see corpus/README.md")
    patch, marks = _marks(body["patch"], name)
    headers = tuple((m["key"], m["value"].strip()) for x in head if (m := HEADER.match(x)))
    own = tuple((s, t) for s, t in body.items() if s not in ("patch", "base patch") and not s.startswith("@"))
    shared = tuple(_shared(path, name, corpus) for key, value in headers if key == "Uses" for path in value.split())
    if twice := {path for path, _ in shared} & {path for path, _ in own}:
        raise ReviewError(f"case {name} both has and uses {min(twice)}: drop the section or the `Uses:`")
    return Case(
        name=name,
        title=next((x for x in head if x.strip()), name),
        headers=headers,
        files=shared + own,
        patch=patch,
        marks=marks,
        base_patch=body.get("base patch", ""),
        goldens=tuple((s[1:], t) for s, t in body.items() if s.startswith("@")),
    )


def _shared(path: str, name: str, corpus: Path | None) -> tuple[str, str]:
    """A file that a case takes from the corpus: its path in the tree, and its text."""
    where = (corpus or folder()) / FILES / path
    if not where.is_file():
        raise ReviewError(f"case {name} uses {path}, which is not in {where.parents[path.count('/')]}: put it there")
    return path, where.read_text()


def _marks(patch: str, name: str) -> tuple[str, tuple[Mark, ...]]:
    """Take the marks out of a patch; each gets the place of the diff line above it."""
    out, marks = [], []
    file, sign, before, after, number = "", "", 0, 0, 0
    for line in patch.split("\n"):
        if line.startswith("#~"):
            marks.append(_mark(line, file, sign, number, name))
            continue
        out.append(line)
        if line.startswith("+++ "):
            file, sign, number = line[4:].split("\t")[0].removeprefix("b/"), "", 0
        elif hunk := re.match(r"@@ -(\d+)(?:,\d+)? \+(\d+)", line):
            before, after, sign, number = int(hunk[1]), int(hunk[2]), "", 0
        elif file and line[:1] in ("+", "-", " ") and not line.startswith("---"):
            sign = line[0]
            number = before if sign == "-" else after
            before += sign != "+"
            after += sign != "-"
    return "\n".join(out), tuple(marks)


def _mark(line: str, file: str, sign: str, number: int, name: str) -> Mark:
    if found := FACT.match(line):
        return Mark(kind="fact", what=found["text"].strip(), regex="", file=file, line=number, sign=sign)
    mark = MARK.match(line)
    if mark is None:
        raise ReviewError(f'case {name}: `{line}` is no mark: write `#~ rule "regex"`, `#~ ok rule` or `#~ fact text`')
    try:
        re.compile(mark["regex"] or "")
    except re.error as error:
        raise ReviewError(f"case {name}: the regex of `{line}` is none: {error}") from error
    return Mark(
        kind=mark["how"] or "finding", what=mark["what"], regex=mark["regex"] or "", file=file, line=number, sign=sign
    )


def faults(case: Case, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Where a review says something else than the marks of its case: one line each, with both places. Empty when right.

    Marks of facts are no part of a review and not looked at.
    """
    counted = (*SPOKEN, Outcome.INCONCLUSIVE) if case.header("Verdict") == Outcome.INCONCLUSIVE else SPOKEN
    spoken, silent = ([v for v in verdicts if (v.outcome in counted) is said] for said in (True, False))
    lines = [*_mismatches(case, spoken, silent), *_unwanted(case, spoken)]
    said, header = {str(v.outcome) for v in spoken} or {"none"}, case.header("Verdict")
    if not lines and said != {header}:
        lines.append(f"the review is {' and '.join(sorted(said))}, the case says `Verdict: {header}`")
    return tuple(lines)


def _mismatches(case: Case, spoken: Sequence[Verdict], silent: Sequence[Verdict]) -> Iterator[str]:
    """The marks that nothing was reported at, each with the verdict that was most likely meant; then what was reported
    without a mark."""
    wanted = [m for m in case.marks if m.kind == "finding"]
    stray = [v for v in spoken if not any(_fits(v, m) for m in wanted)]
    for mark in wanted:
        if not any(_fits(v, mark) for v in spoken):
            near = _nearest(mark, stray) or _nearest(mark, silent)
            stray = [v for v in stray if v is not near]
            yield f"{mark.what}: {_missed(mark, near)}"
    for verdict in stray:
        yield f'{verdict.finding.rule}: reported at {verdict.finding.at} ("{verdict.finding.message}"), no mark there'


def _fits(verdict: Verdict, mark: Mark) -> bool:
    at = verdict.finding.at
    return (
        (verdict.finding.rule, at.file, at.line, _sign(verdict)) == (mark.what, mark.file, mark.line, mark.sign)
    ) and re.search(mark.regex, verdict.finding.message) is not None


def _sign(verdict: Verdict) -> str:
    return "+" if verdict.finding.side is Side.AFTER else "-"


def _nearest(mark: Mark, verdicts: Sequence[Verdict]) -> Verdict | None:
    """The verdict of the mark's rule that is closest to it: it is most likely the one that was meant."""

    def distance(verdict: Verdict) -> tuple[bool, int]:
        return verdict.finding.at.file != mark.file, abs(verdict.finding.at.line - mark.line)

    return min((v for v in verdicts if v.finding.rule == mark.what), key=distance, default=None)


def _missed(mark: Mark, near: Verdict | None) -> str:
    if near is None:
        return f"not reported, mark at {mark}"
    at = near.finding.at
    if near.outcome not in SPOKEN:
        return f"{near.outcome} at {at} ({near.reason or 'no reason given'}), mark at {mark}"
    if at.file != mark.file:
        return f"reported at {at}, mark at {mark}"
    if at.line != mark.line:
        return f"reported at :{at.line}, mark at :{mark.line} of {mark.file}"
    if _sign(near) != mark.sign:
        return f"reported at the `{_sign(near)}` line {at}, mark at the `{mark.sign}` line"
    return f'reported at {at} with "{near.finding.message}", mark wants "{mark.regex}"'


def _unwanted(case: Case, spoken: Sequence[Verdict]) -> Iterator[str]:
    for mark in case.marks:
        if mark.kind == "todo" and any(_fits(v, mark) for v in spoken):
            yield f"{mark.what}: reported at {mark}, where the mark is a `todo`: make it a real one"
        for verdict in spoken:
            if mark.kind == "ok" and verdict.finding.rule == mark.what:
                yield f"{mark.what}: reported at {verdict.finding.at}, and `ok {mark.what}` says that it must not be"


def with_goldens(text: str, goldens: dict[str, str]) -> str:
    """The text of a case with its `-- @name --` sections replaced; nothing before them is touched."""
    start = re.search(r"^-- @", text, re.MULTILINE)
    head = text[: start.start()] if start else text.rstrip("\n") + "\n"
    return head + "".join(f"-- @{name} --\n{body.rstrip()}\n" for name, body in goldens.items())


def folder() -> Path:
    """Where the corpus is: beside the package in a checkout, inside it when installed from a wheel."""
    here = Path(__file__).parent.parent
    for candidate in (here.parent / "corpus", here / "_corpus"):
        if (candidate / "README.md").exists():
            return candidate
    raise ReviewError("the corpus of cases is not installed: reinstall reviewbot, or run it from a checkout")


def load(where: Path | None = None) -> tuple[Case, ...]:
    """All cases below a folder, by name."""
    root = where or folder()
    return tuple(
        parse(p.read_text(), p.relative_to(root).with_suffix("").as_posix(), root) for p in sorted(root.rglob("*.case"))
    )
