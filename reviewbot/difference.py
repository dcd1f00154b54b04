"""A change as rules see it: facts and programs of both sides, what came and went, which lines are the patch's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

from reviewbot.analysis.code.identity import without_file
from reviewbot.analysis.code.lines import reads
from reviewbot.analysis.events.collection import Facts
from reviewbot.analysis.events.kinds import (
    OWN_THREAD,
    Fact,
    Lock,
    Workqueue,
)
from reviewbot.analysis.program import programs
from reviewbot.analysis.program.neighbours import Reach
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import TranslationUnit
from reviewbot.detect.anchors import Difference
from reviewbot.detect.leads import Dropped
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_LEADS_KEPT
from reviewbot.types import Change, Cut, Place, Progress, Side, Source

Found = TypeVar("Found")


class Version:
    """One side of a change: its program, and the facts of the files that the change touches."""

    def __init__(
        self, source: Source, paths: Sequence[str], near: Version | None = None, reach: Reach | None = None
    ) -> None:
        self.paths = tuple(p for p in paths if source.blob(p) is not None)
        self.source, self._all, self._near, self._reach = source, tuple(paths), near, reach

    def over(self, source: Source, near: Version | None = None) -> Version:
        """The same files as another source has them."""
        return Version(source, self._all, near, self._reach)

    @cached_property
    def program(self) -> Program:
        """The program around the change."""
        more = self._reach.files if self._reach else ()
        if not self._reach or not more:
            return programs.around(self.source, self._all)
        return programs.around(self.source, self._all, more, self._reach.touched)

    def unit(self, path: str) -> TranslationUnit | None:
        """What a file says, its functions without their bodies; None where it cannot be read."""
        return self.program.names.units.get(path)

    @cached_property
    def facts(self) -> Facts:
        """Facts of the touched files; none where this side has none of them."""
        return self.program.facts(self.paths) if self.paths else Facts()

    @cached_property
    def workqueues(self) -> dict[str, tuple[Workqueue, ...]]:
        """Every workqueue that the program makes, by identity, each with the places that make it."""
        found: dict[str, tuple[Workqueue, ...]] = {}
        for _, fact in self.program.all(Workqueue):
            name = without_file(fact.object)  # known everywhere, though static where it is made
            queue = name if name in KERNEL.global_workqueues else fact.object
            found[queue] = (*found.get(queue, ()), fact)
        return found

    def owns(self, object: str) -> bool:
        """Whether an object is one of this code: none that the kernel shares, or that only its headers declare."""
        if object in KERNEL.global_workqueues:
            return False
        return self.program.names.own(object)

    def has(self, object: str = "", flag: str = "") -> bool:
        """Whether the code does something with an object (any, where it is empty), with a flag where one is named."""
        facts = (*self.facts, *(fact for made in self.workqueues.values() for fact in made))
        return any(
            flag in fact.says() and (not object or object in (getattr(fact, name) for name in fact.__struct_fields__))
            for fact in facts
        )

    def scopes(self, key: FunctionKey) -> tuple[Lock, ...]:
        """The memalloc scopes that a function opens."""
        own = self.program.own_facts(key) if key in self.program.names.functions else ()
        return tuple(f for f in own if isinstance(f, Lock) and f.klass == "scope")

    def reads(self, key: FunctionKey, object: str) -> tuple[Place, ...]:
        """Where a function reads an object, itself or through a local; its lines, in the order of the text."""
        if key not in self.program.names.functions:
            return ()
        body = self.program.body(key)
        return tuple(Place(body.file, line, body.name) for line in reads(body, object))

    def rescuer(self, workqueue: str) -> bool | None:
        """Whether a workqueue has a rescuer wherever it is made; None when nobody here makes it."""
        made = self.workqueues.get(workqueue)
        if made is None and workqueue in KERNEL.global_workqueues:
            return not OWN_THREAD.isdisjoint(KERNEL.global_workqueues[workqueue])
        return all(fact.rescuer for fact in made) if made else None


class Diff:
    """A change as a rule sees it: facts `before` and `after`, and which lines are the patch's.

    Read backwards (`reverse`), before and after are swapped: what the patch gives looks as if it were taken.
    """

    def __init__(self, change: Change, before: Version, after: Version, reverse: bool = False) -> None:
        self.change, self.before, self.after, self.reverse = change, before, after, reverse
        self.cuts: dict[Cut, None] = {}
        """What searches left out, whichever way the change was read."""
        self.dropped: list[Dropped] = []
        """What searches began with and gave up, with the reasons."""

    @classmethod
    def of(cls, change: Change, before: Source, after: Source, progress: Progress | None = None) -> Diff:
        """The change between two sources; `build` makes the programs, else whoever first asks for them."""
        old = [f.old_path or f.path for f in change.files if not f.binary]
        new = [f.path for f in change.files if not f.binary]
        paths = [p for p in dict.fromkeys((*old, *new)) if p.endswith((".c", ".h"))]
        reach = Reach(change, before, after, paths, progress)
        first = Version(before, paths, reach=reach)
        return cls(change, first, Version(after, paths, first, reach))

    def over(self, before: Source, after: Source) -> Diff:
        """The same change as two other sources have it, in which the files of the change differ from its own at most."""
        first = self.before.over(before)
        other = Diff(self.change, first, self.after.over(after, first))
        other.cuts, other.dropped = self.cuts, self.dropped
        return other

    def build(self) -> None:
        """Make both programs and find the facts of the change, so that no question of a rule has to wait for them."""
        _ = self.before.program, self.after.program, self.added, self.removed, self.touched

    def noting(self, search: Iterable[Found | Cut | Dropped]) -> Iterator[Found]:
        """What a search finds; what it did not look at or gave up is noted."""
        for found in search:
            if isinstance(found, Cut):
                self.cuts[found] = None
            elif isinstance(found, Dropped):
                if len(self.dropped) < MAX_LEADS_KEPT:
                    self.dropped.append(found)
            else:
                yield found

    @cached_property
    def added(self) -> Facts:
        """Facts that are new."""
        return self.after.facts - self.before.facts

    @cached_property
    def removed(self) -> Facts:
        """Facts that are gone."""
        return self.before.facts - self.after.facts

    def reversed(self) -> Diff:
        """The same change read backwards, made once: what is found out about it is kept with it."""
        return self._reversed

    @cached_property
    def _reversed(self) -> Diff:
        swapped = Diff(self.change, self.after, self.before, not self.reverse)
        swapped.__dict__["added"], swapped.__dict__["removed"] = self.removed, self.added
        swapped.cuts = self.cuts
        return swapped

    def changed(self, at: Place, side: Side) -> bool:
        """Whether the patch wrote (side AFTER, seen from here) or took away (BEFORE) the line at a place."""
        return at.line in self._lines(side).get(at.file, frozenset())

    @cached_property
    def _touched(self) -> dict[Side, dict[str, frozenset[int]]]:
        files = [f for f in self.change.files if not f.binary]
        new = {f.path: f.added() for f in files}
        old = {f.old_path or f.path: f.removed() for f in files}
        return {Side.AFTER: old if self.reverse else new, Side.BEFORE: new if self.reverse else old}

    def _lines(self, side: Side) -> dict[str, frozenset[int]]:
        return self._touched[side]

    @cached_property
    def touched(self) -> tuple[FunctionKey, ...]:
        """Keys of the functions of the side after in which the patch changes a line, and of those that a changed line
        outside of all functions (a macro, a table) says something else about."""
        found = dict.fromkeys((*self._changed_text[Side.AFTER], *self._changed_text[Side.BEFORE]))
        return tuple(key for key in found if key in self.after.program.names.functions)

    @cached_property
    def _changed_text(self) -> dict[Side, tuple[FunctionKey, ...]]:
        """Keys of the functions of each side in which the patch changes a line, or a macro that they use."""
        out: dict[Side, tuple[FunctionKey, ...]] = {}
        for version, side in ((self.after, Side.AFTER), (self.before, Side.BEFORE)):
            found: dict[FunctionKey, None] = {}
            for path in version.paths:
                lines = set(self._lines(side).get(path, ()))
                for key in version.program.functions(path):
                    function = version.program.function(key)
                    inside = {line for line in lines if function.line <= line <= function.end}
                    if inside:
                        found[key] = None
                        lines -= inside
                if lines:
                    found.update(dict.fromkeys(self._reworded(path)))
            out[side] = tuple(found)
        return out

    @cached_property
    def code(self) -> Difference:
        """The ordered difference of the functions whose text changes."""
        texts = self._changed_text
        return Difference(self.before.program, self.after.program, texts[Side.BEFORE], texts[Side.AFTER])

    @cached_property
    def near(self) -> tuple[Fact, ...]:
        """All facts, of both sides, of the functions that the patch changes, and those at file scope that came or went."""
        own = [
            fact
            for version in (self.before, self.after)
            for key in self.touched
            if key in version.program.names.functions
            for fact in version.program.own_facts(key)
        ]
        return (*own, *self.added, *self.removed)

    def _reworded(self, path: str) -> Iterator[FunctionKey]:
        """Functions of a file whose facts differ, when a macro of the file does."""
        old, new = self.before.program, self.after.program
        if {path} - old.names.units.keys() or {path} - new.names.units.keys():
            return
        if old.names.units[path].defines == new.names.units[path].defines:
            return
        for key in new.functions(path):
            if key in old.names.functions:
                was, now = ([f.identity for f in program.own_facts(key)] for program in (old, new))
                if was != now:
                    yield key

    def anchor(self, after: Iterable[Place], before: Iterable[Place] = ()) -> tuple[Place, Side] | None:
        """The line of the patch that a finding stands on: the first of `after` that it wrote, else the first of
        `before` that it took away, else the changed line that is nearest to one of them in its file; None without."""
        after, before = tuple(after), tuple(before)
        for side, places in ((Side.AFTER, after), (Side.BEFORE, before)):
            for place in places:
                if self.changed(place, side):
                    return place, side
        for side, places in ((Side.AFTER, after), (Side.BEFORE, before)):
            for place in places:
                lines = self._lines(side).get(place.file)
                if lines:
                    line = min(lines, key=lambda x: abs(x - place.line))
                    return Place(place.file, line, place.function), side
        return None

    def patch_of(self, at: Place, side: Side) -> int:
        """Number of the patch of the series that wrote (or removed) a line, from 1."""
        return self.change.origin(at, Side.AFTER if (side is Side.AFTER) != self.reverse else Side.BEFORE)[0]
