"""What the rules about circles of waits have in common: they pick by kind, word it, and the cast is made from the code."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import ClassVar

from reviewbot.analysis.code.identity import member
from reviewbot.analysis.events.kinds import Lock
from reviewbot.detect.edges import REAL
from reviewbot.detect.provider_side import closed
from reviewbot.detect.self_guards import unguarded
from reviewbot.detect.unbalanced import unbalanced
from reviewbot.detect.waitfor import Actor, Circle, circles, wants
from reviewbot.function_key import FunctionKey, file_of, name_of
from reviewbot.kernel import KERNEL
from reviewbot.limits import MAX_DOUBTFUL_CYCLES, MAX_WAIT_CYCLES
from reviewbot.replay.cast import Cast, NotThere
from reviewbot.replay.slicing.slicer import Unreadable
from reviewbot.replay.steps import words
from reviewbot.rule import Candidate, Diff, Place, Program, Remedy, Rule, Scene, Version, Words
from reviewbot.score import Doubt, Score
from reviewbot.types import Cut

__all__ = [
    "Actor",
    "Circle",
    "CircleRule",
    "Diff",
    "Words",
    "asks",
    "left",
    "name",
    "pair",
    "read_only",
    "taken",
    "wanted",
    "words",
]


ALONE = frozenset({"self", "kept", "twice", "removal"})
"""Kinds of circles in which one task gets stuck without another one."""


def touched(diff: Diff) -> list[tuple[str, str]]:
    """Functions (file, name) of which a fact came or went, or that do something else, or under other conditions."""
    found = {(fact.at.file, fact.function) for fact in (*diff.added, *diff.removed) if fact.function}
    found |= {(file_of(change.anchor), name_of(change.anchor)) for change in diff.code.changes}
    return sorted(found)


def found(diff: Diff) -> list[Circle]:
    """The circles that a change closes, found once; what was not looked at is told to the diff."""
    have: list[Circle] | None = diff.__dict__.get("circles")
    if have is None:
        have = diff.__dict__["circles"] = []
        programs = diff.before.program, diff.after.program
        names = touched(diff)
        both = chain(unguarded(*programs, names), circles(*programs, names), closed(*programs, diff.code.changes))
        edges: dict[tuple[object, ...], bool] = {}
        doubtful: dict[tuple[object, ...], list[Circle]] = {}
        for circle in diff.noting(both):
            edge = circle.holder.chain[-1], circle.holder.at, circle.lock, circle.object
            if circle.doubts:
                doubtful.setdefault(edge, []).append(circle)
                continue
            edges[edge] = True
            if len(edges) > MAX_WAIT_CYCLES:
                diff.cuts[Cut("circles of waits of a change", MAX_WAIT_CYCLES)] = None
                break
            have.append(circle)
        rest = [those for edge, those in doubtful.items() if edge not in edges]
        rest.sort(key=lambda those: -max(Score(circle.doubts).value for circle in those))
        have += chain.from_iterable(rest[:MAX_DOUBTFUL_CYCLES])
        have[:] = [circle for circle in have if not any(_is_told_by(other, circle) for other in have)]
    return have


def _is_told_by(outer: Circle, inner: Circle) -> bool:
    """Whether a task that gets stuck by itself is the same, told from a function further down."""
    if outer.kind != "self" or (outer.kind, outer.lock, outer.ends) != (inner.kind, inner.lock, inner.ends):
        return False
    above, below = outer.holder.chain, inner.holder.chain
    return len(above) < len(below) and below[: len(above)] == above


def left(diff: Diff) -> list[Circle]:
    """Locks that functions leave held, or give back twice, since a change: those that do something else, and those whose
    text changes, because an exit that leads elsewhere does nothing else by itself."""
    changed = {(file_of(key), name_of(key)) for key in diff.touched}
    return [*diff.noting(unbalanced(diff.before.program, diff.after.program, sorted({*touched(diff), *changed})))]


def taken(
    program: Program, key: FunctionKey, lock: str, at: Place, above: tuple[FunctionKey, ...] = ()
) -> tuple[Place, ...]:
    """Where a function takes a lock last before a line; from there down to the call that does, where a helper takes it.

    above: the functions that were come through.
    """
    found = [f.at for f in program.own_facts(key) if isinstance(f, Lock) and f.lock == lock and f.at <= at]
    if found:
        return (max(found),)
    for made in reversed(program.view(key).made):
        if made.call.line > at.line or lock in {held.lock for held in made.at.held}:
            continue
        for target in program.callgraph.reached(key, made.call):
            left = program.locksets.record(target).left
            if target not in (key, *above) and any(t.lock == lock for exit in left for t in exit.takes):
                end = Place(file_of(target), program.function(target).end, name_of(target))
                here = Place(at.file, made.call.line, at.function)
                return (here, *taken(program, target, lock, end, (key, *above)))
    return ()


def asking(program: Program, actor: Actor, lock: str) -> tuple[Place, ...]:
    """The calls from the root of a provider down to where it takes a lock."""
    effects = (e for e in program.does(actor.root) if e.kind == "lock" and e.object == lock)
    return next((program.effects.chain(actor.root, effect) for effect in effects), ())


def name(actor: Actor) -> str:
    """The function at the root of an actor, as it is written in a sentence."""
    return f"{name_of(actor.root)}()"


def asks(klass: str, lock: str = "") -> str:
    """How a sentence says that somebody asks for a lock of a class; without one, for the one that was named last."""
    if not lock:
        return "waits for its readers" if read_only(klass) else "takes it"
    return f"waits for the readers of {lock}" if read_only(klass) else f"takes {lock}"


def wanted(klass: str, who: str) -> str:
    """How a sentence goes on behind a lock of a class, for which somebody asks."""
    return f"whose readers {who} waits for" if read_only(klass) else f"which {who} takes"


def read_only(klass: str) -> bool:
    """Whether who asks for a lock of a class waits for those who read, and for nobody else."""
    one = KERNEL.classes.get(klass)
    return one is not None and one.readers


def pair(circle: Circle) -> str:
    """The sentence before a schedule of two tasks that take the same two things."""
    first, second = name(circle.holder), name(circle.providers[0])
    return (
        f"Suppose that two tasks run {first}:" if first == second else f"Suppose that {first} and {second} run at once:"
    )


class CircleRule(Rule[Circle]):
    """A rule that is about one kind of circle."""

    kinds: ClassVar[frozenset[str]]
    classes: ClassVar[frozenset[str]] = frozenset(REAL)
    """Classes of what the holder has: locks, or another resource."""
    audits = True

    def picks(self, circle: Circle) -> bool:
        """Whether the circle is of this rule's kind."""
        return circle.kind in self.kinds and circle.klass.split("/")[0] in self.classes

    def circles(self, diff: Diff) -> list[Circle]:
        """Where circles come from."""
        return found(diff)

    @abstractmethod
    def message(self, circle: Circle) -> str:
        """What the patch does, in one phrase."""

    @abstractmethod
    def words(self, circle: Circle) -> Words:
        """What the reply says."""

    @abstractmethod
    def remedy(self, circle: Circle) -> str:
        """What would be safe, where waiting without the lock is."""

    def check(self, diff: Diff) -> Iterator[Candidate[Circle]]:
        for circle in self.circles(diff):
            if not self.picks(circle):
                continue
            at, holder = circle.holder.at, circle.holder.chain[-1]
            lock = taken(diff.after.program, holder, circle.lock, at) if at else ()
            places = [at, circle.ends, *lock, *(a.at for a in circle.providers)]
            places += [place for a in circle.providers for place in asking(diff.after.program, a, circle.lock)]
            after = [p for p in places if p is not None]
            root = Place(after[0].file, after[0].line, after[0].function)
            yield from self.candidate(
                diff,
                circle,
                self.message(circle),
                self.words(circle),
                after=after,
                before=[root],
                object=circle.lock,
                related=after,
            )

    def scenes(self, candidate: Candidate[Circle], side: Version) -> Iterable[Scene]:
        yield scene(candidate.about, side)

    def remedies(self, candidate: Candidate[Circle], side: Version) -> Iterable[Remedy]:
        circle = candidate.about
        text = self.remedy(circle)
        here = any(
            wants(side.program, key, circle.lock) for key in circle.holder.chain
        )  # else it cannot be dropped here
        if text and here and circle.kind not in ("lock", "self", "kept", "twice"):
            yield Remedy(text=text, scene=scene(circle, side, unlocked=True))


def scene(circle: Circle, side: Version, unlocked: bool = False) -> Scene:
    """The model of a circle with the programs of one side; one that says why where there is none."""
    names = (*(lock for lock, _ in circle.locks), circle.object)
    cast = Cast(circle, side.program, unlocked)
    try:
        built = cast.model()
    except Unreadable as error:
        absent = isinstance(error, NotThere)
        return Scene(name=circle.kind, missing=str(error), doubt=Doubt.UNREAD, cuts=tuple(cast.cuts), absent=absent)
    through = [words(circle.lock, names)]
    if circle.kind == "lock":  # another lock may be in the way of both: that is another claim
        through.append(words(circle.object, names))
    return Scene(
        f"{circle.kind} under {member(circle.lock)}",
        built=built,
        through=tuple(through),
        every=True,
        several=circle.kind not in ALONE,
        cuts=tuple(cast.cuts),
    )
