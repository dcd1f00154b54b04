"""What a patch turns into calls that cannot be read is read as if nothing had changed: unknown is not absent.

A call is opaque when its body is not at hand and the kernel data does not know it. Where the patch puts one into the
place of a call that can be read, and it may do what that one did (the same arguments, a name of that kind, the owner of
the object as an argument), the old effect is unknown afterwards; where it puts a readable call into the place of an
opaque one, nothing is known to be new. Such a change has two readings: as written, where an opaque call does nothing,
and the one that is made here, where the text of the readable call stands on both sides. What is to be said of the
change has to hold in both. As the text is what differs, every fact, every caller and every program follows.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from reviewbot.analysis.callgraph.pointer_flow import RUNS
from reviewbot.analysis.program.neighbours import harmless
from reviewbot.csource.ir import Call
from reviewbot.csource.written import WrittenCall, calls, syntactic
from reviewbot.difference import Diff, Version
from reviewbot.function_key import NO_FUNCTION, FunctionKey, name_of
from reviewbot.gittree.source import LaidOver
from reviewbot.kernel import KERNEL, PoolCall, schema
from reviewbot.limits import MAX_CALL_PAIRS
from reviewbot.replay.judge import doubted, judged
from reviewbot.rule import About, Rule
from reviewbot.score import Doubt
from reviewbot.types import FileChange, Hunk, Outcome, Source, Verdict

_TAKES, _GIVES = frozenset(KERNEL.words["takes"]), frozenset(KERNEL.words["gives"])
_SOLID = re.compile(r"[^\s{}]")
_CONSTANT = re.compile(r"\b[A-Z_][A-Z0-9_]{2,}\b(?!\()")
_TELLS = KERNEL.pattern("tells")
_READ = KERNEL.starts("known_flags")
"""How constants begin that are known, or known to be none of those that matter."""
_MASKED = (schema.AllocateGroup, schema.WorkqueueGroup, schema.MaskGroup, PoolCall)
"""What a constant decides about."""


class _OpaqueSide:
    """One side of a changed file: its calls as written, by the lines that they are on, and its functions."""

    def __init__(self, version: Version, path: str, base: Source) -> None:
        self.program, self.path, self._base = version.program, path, base
        self.source = version.source.read(path) or b""
        self.calls = calls(self.source)
        own = [(self.program.function(k), k) for k in self.program.functions(path)]
        self._functions = sorted((f.line, f.end, key) for f, key in own if not f.macro)
        self._on: dict[int, list[WrittenCall]] = defaultdict(list)
        for call in self.calls:
            for line in range(call.first, call.last + 1):
                self._on[line].append(call)

    def on(self, lines: Iterable[int]) -> list[WrittenCall]:
        """The calls that have a part on some lines, in the order of the text."""
        found = {call for line in lines for call in self._on.get(line, ())}
        return sorted(found, key=lambda c: (c.start, -c.stop))

    def function(self, line: int) -> FunctionKey:
        """Key of the function that a line stands in; empty outside of all."""
        number = bisect_right(self._functions, (line, 1 << 60, "")) - 1
        return self._functions[number][2] if number >= 0 and line <= self._functions[number][1] else NO_FUNCTION

    def opaque(self, call: WrittenCall) -> bool:
        """Whether nothing is known of what a call does."""
        if call.through:
            return not any(self.program.callgraph.reached(key, c) for key, c in self._through(call))
        if _known(call.name) or _tells(call):
            return False
        key = self.program.names.function(call.name, self.path) or NO_FUNCTION
        return call.name not in harmless((call.name,), self._base) if not key else self.program.function(key).unreadable

    def sleeps(self, call: WrittenCall) -> bool:
        """Whether that is all that is known of a call."""
        slots = (self.program.callgraph.through(key, c) for key, c in self._through(call)) if call.through else ()
        return call.name in KERNEL.sleepers or any(slot in KERNEL.sleeping_slots for slot in slots)

    def _through(self, call: WrittenCall) -> list[tuple[FunctionKey, Call]]:
        """The calls through pointers on the line of one, each with the function that makes it."""
        key = self.function(call.first)
        return [(key, c) for c in self.program.body(key).calls if c.line == call.first and not c.callee] if key else []

    def masked(self, arg: str) -> bool:
        """Whether an argument that is flags has a part of which nothing is known: a constant, or a call."""
        names = self.program.names
        strange = (
            word
            for word in _CONSTANT.findall(arg)
            if not word.startswith(_READ) and names.define(word, self.path) is None and not names.is_enum(word)
        )
        called = re.findall(r"([A-Za-z_]\w*)\(", arg)
        return any(strange) or any(not _known(n) and names.function(n, self.path) is None for n in called)


class _Place(NamedTuple):
    """One place of a patch: the calls that it takes away and those that it puts there."""

    old: list[WrittenCall]
    new: list[WrittenCall]


SAID = (Outcome.CONFIRMED, Outcome.FIXED, Outcome.INCONCLUSIVE)
"""What is said aloud, or shown as undecided."""


def agreed(rule: Rule[About], verdicts: list[Verdict], diff: Diff) -> list[Verdict]:
    """What a rule says of a change in both readings: what rests on a call that cannot be read is in doubt."""
    if not any(v.outcome in SAID for v in verdicts) or (other := reading(diff)) is None:
        return verdicts
    again = {_about(verdict) for verdict in judged(rule, rule.candidates(other), other)}
    sure = [v if v.outcome not in SAID or _about(v) in again else doubted(v, Doubt.OPAQUE) for v in verdicts]
    return [v for v in sure if not (v.finding.gives and v.score.doubts)]


def _about(verdict: Verdict) -> tuple[object, ...]:
    """What a verdict says of what, in whichever reading."""
    finding = verdict.finding
    return verdict.outcome, finding.gives, finding.at.file, finding.at.function, finding.object or finding.message


def reading(diff: Diff) -> Diff | None:
    """The reading of a change that is made here, made once; see `unchanged`."""
    if "reading" not in diff.__dict__:
        diff.__dict__["reading"] = unchanged(diff)
    found: Diff | None = diff.__dict__["reading"]
    return found


def unchanged(diff: Diff) -> Diff | None:
    """The reading of a change in which what cannot be read on one side does what stands there on the other; None where
    the patch puts nothing into the place of something that cannot be read, or the other way round."""
    laid: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
    for file in diff.change.files:
        old = file.old_path or file.path
        if file.binary or not file.path.endswith((".c", ".h")) or not (file.hunks and file.before and file.after):
            continue
        if old not in diff.before.paths or file.path not in diff.after.paths:
            continue
        base = (diff.after if diff.reverse else diff.before).source
        before, after = _OpaqueSide(diff.before, old, base), _OpaqueSide(diff.after, file.path, base)
        edits = _edits(file, before, after)
        for side, edit, files in zip((before, after), edits, laid, strict=True):
            if edit:
                files[side.path] = _put(side.source, edit)
    if not any(laid):
        return None
    first, second = (
        LaidOver(version.source, files) for version, files in zip((diff.before, diff.after), laid, strict=True)
    )
    return diff.over(first, second)


_Edits = dict[tuple[int, int], str]


def _edits(file: FileChange, before: _OpaqueSide, after: _OpaqueSide) -> tuple[_Edits, _Edits]:
    """What has to stand where, on both sides of a file."""
    found: tuple[_Edits, _Edits] = ({}, {})
    for place in _places(file, before, after):
        for old, new in _same_call(place):
            _flags(old, new, before, after, found)
        if len(place.old) * len(place.new) > MAX_CALL_PAIRS:
            continue
        hidden = [[c for c in side if of.opaque(c)] for side, of in ((place.old, before), (place.new, after))]
        clear = [
            [c for c in side if c not in strange and not (_harmless(c.name) or _tells(c))]
            for side, strange in zip((place.old, place.new), map(set, hidden), strict=True)
        ]
        for opaque, stands, dark, light, edits in (
            (hidden[1], clear[0], after, before, found[1]),
            (hidden[0], clear[1], before, after, found[0]),
        ):
            for call, does in _assigned(opaque, stands).items():
                edits[call.start, call.stop] = _spelled(call, does, dark, light)
    return found


def _places(file: FileChange, before: _OpaqueSide, after: _OpaqueSide) -> list[_Place]:
    """The places of a patch, without the calls that only moved within their function."""
    places = [_Place(before.on(old), after.on(new)) for hunk in file.hunks for old, new in _runs(hunk)]
    for place in places:
        _cancel([place], before, after)
    _cancel(places, before, after)
    return [place for place in places if place.old and place.new]


def _cancel(places: list[_Place], before: _OpaqueSide, after: _OpaqueSide) -> None:
    """Take out of a place what is written on both sides, or out of several what is, in one function."""

    def named(side: _OpaqueSide, call: WrittenCall) -> tuple[str, str]:
        return name_of(side.function(call.first)) if len(places) > 1 else "", call.text

    gone = Counter(named(before, call) for place in places for call in place.old)
    both = gone & Counter(named(after, call) for place in places for call in place.new)
    for side, rows in ((before, [p.old for p in places]), (after, [p.new for p in places])):
        left = Counter(both)
        for row in rows if both else ():
            kept = []
            for call in row:
                left[named(side, call)] -= 1
                if left[named(side, call)] < 0:
                    kept.append(call)
            row[:] = kept


def _runs(hunk: Hunk) -> Iterator[tuple[list[int], list[int]]]:
    """The lines that come and go together: nothing but braces and blanks is between them."""
    old, new = list[int](), list[int]()
    for row in hunk.lines:
        if row.sign == "-":
            old.append(row.before)
        elif row.sign == "+":
            new.append(row.after)
        elif _SOLID.search(row.text):
            yield old, new
            old, new = [], []
    yield old, new


def _same_call(place: _Place) -> list[tuple[WrittenCall, WrittenCall]]:
    """Calls of one function with other arguments than before, taken out of a place."""
    pairs: list[tuple[WrittenCall, WrittenCall]] = []
    by_name: dict[tuple[str, int], list[WrittenCall]] = defaultdict(list)
    for call in place.new:
        by_name[call.through + call.name, len(call.args)].append(call)
    for queue in by_name.values():
        queue.reverse()
    for call in place.old:
        if same := by_name[call.through + call.name, len(call.args)]:
            pairs.append((call, same.pop()))
    paired = {call for pair in pairs for call in pair}
    for side in place:
        side[:] = [call for call in side if call not in paired]
    return pairs


def _flags(
    old: WrittenCall, new: WrittenCall, before: _OpaqueSide, after: _OpaqueSide, found: tuple[_Edits, _Edits]
) -> None:
    """Flags that became, or were, something that cannot be read stay what they are on the other side."""
    if not any(isinstance(effect, _MASKED) for effect in KERNEL.effects.get(old.name, ())):
        return
    for was, now, a, b in zip(old.args, new.args, old.spans, new.spans, strict=True):
        if was == now:
            continue
        dark, light = after.masked(now), before.masked(was)
        if dark and not light:
            found[1][b] = was
        elif light and not dark:
            found[0][a] = now


def _assigned(opaque: list[WrittenCall], stands: list[WrittenCall]) -> dict[WrittenCall, list[WrittenCall]]:
    """Opaque calls with the readable ones that they may do the same as, each of these at one."""
    found: dict[WrittenCall, list[WrittenCall]] = defaultdict(list)
    for number, call in enumerate(stands):
        at = number / len(stands)
        scored = [(_alike(call, o), -abs(at - n / len(opaque)), o) for n, o in enumerate(opaque)]
        score, _, best = max(scored, key=lambda s: s[:2], default=(0, 0, None))
        if best is not None and score > 0 and not any(o.start <= call.start < o.stop for o in found[best]):
            found[best].append(call)
    return {call: does for call, does in found.items() if does}


def _alike(call: WrittenCall, opaque: WrittenCall) -> int:
    """How much speaks for an opaque call doing what another one does; 0 when nothing does, or the names say that it does
    the opposite."""
    words, others = _words(call.name), _words(opaque.name)
    if _turn(words) * _turn(others) < 0:
        return 0
    score = 2 * len(words & others) + 3 * bool(call.into and call.into == opaque.into)
    if call.args and call.args == opaque.args:
        return score + 8
    if any(arg in opaque.args for arg in call.args if not _plain(arg)):
        return score + 4
    return score + 3 * any(_owns(other, arg) for arg in call.args for other in opaque.args)


def _plain(arg: str) -> bool:
    """Whether an argument says nothing of what a call is about: a number, a constant."""
    return not re.search(r"[a-z]", arg) or arg in ("true", "false")


def _owns(one: str, arg: str) -> bool:
    """Whether an object is the one that an argument is a part of: `d` of `&d->lock`."""
    bare = one.lstrip("&* ")
    return bool(bare) and arg.lstrip("&* ").startswith((f"{bare}->", f"{bare}."))


@cache
def _words(name: str) -> frozenset[str]:
    return frozenset(w for w in re.split(r"[_\d]+", name.lower()) if len(w) > 1)


def _turn(words: frozenset[str]) -> int:
    """1 for a name that says that something is taken, -1 for one that gives back, else 0."""
    return bool(words & _TAKES) - bool(words & _GIVES)


def _spelled(call: WrittenCall, does: list[WrittenCall], dark: _OpaqueSide, light: _OpaqueSide) -> str:
    """The text of the calls that an opaque one stands for, with the names that locals have on its side."""
    texts = [_renamed(c.text, dark, dark.function(call.first), light, light.function(c.first)) for c in does]
    if len(texts) == 1 and not dark.sleeps(call):  # what is known to sleep does that in either reading
        return texts[0]
    return f"({', '.join([*texts, call.text])})"


def _renamed(text: str, dark: _OpaqueSide, key: FunctionKey, light: _OpaqueSide, other: FunctionKey) -> str:
    if not key or not other:
        return text
    here, there = dark.program.body(key).locals, light.program.body(other).locals
    for name in {w for w in re.findall(r"[A-Za-z_]\w*", text) if w in there and w not in here}:
        same = [n for n, type_ in here.items() if type_ == there[name] and n not in there]
        if len(same) == 1:
            text = re.sub(rf"(?<![\w.>]){name}\b", same[0], text)
    return text


def _put(source: bytes, edits: Mapping[tuple[int, int], str]) -> bytes:
    """A text with other things in some ranges, on the same lines; of ranges in one another the outer one counts."""
    out, done = [], 0
    for (start, stop), text in sorted(edits.items(), key=lambda e: (e[0][0], -e[0][1])):
        if start < done:
            continue
        breaks = b"".join(re.findall(rb"\\?\r?\n", source[start:stop]))
        out += [source[done:start], text.encode("utf-8", "surrogateescape"), breaks]
        done = stop
    return b"".join([*out, source[done:]])


@cache
def _told() -> frozenset[str]:
    """Calls of which the kernel data says something else than what they do."""
    k = KERNEL
    tests = k.noreturn | k.transparent | k.error_test | k.error_or_null_test | k.error_value | k.last
    return frozenset({*tests, *RUNS, *k.entered, *k.services, *k.registered})


def _harmless(name: str) -> bool:
    """Whether a call does nothing that matters here."""
    inert = name in KERNEL.inert or name in KERNEL.unwaited or name.startswith(KERNEL.inert_starts)
    return inert and name not in KERNEL.effects


def _tells(call: WrittenCall) -> bool:
    """Whether a call prints a message, by its name and the text that it is given."""
    return bool(_TELLS.search(call.name)) and any(arg.startswith('"') for arg in call.args)


def _known(name: str) -> bool:
    """Whether the kernel data, or the parser, knows a call by its name."""
    return name in KERNEL.effects or name in _told() or syntactic(name) or _harmless(name)


__all__ = ["agreed", "reading", "unchanged"]
