"""One model, one answer: stuck, with the schedule; free; vacuous; or inconclusive, with the reason."""

from __future__ import annotations

import gc
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import msgspec

from reviewbot.sim.automaton import Automaton
from reviewbot.sim.compile import compile_model
from reviewbot.sim.explore import OutOfTime, SearchLimits, explore
from reviewbot.sim.knot import Knot, WaitFor, knots
from reviewbot.sim.program import Model, Resource, Unbalanced
from reviewbot.sim.space import Space
from reviewbot.sim.trace import trace
from reviewbot.types import Trace

Outcome = Literal["stuck", "free", "vacuous", "inconclusive"]
Key = tuple[tuple[str, str], ...]

__all__ = ["Key", "Knot", "Outcome", "SearchLimits", "SearchResult", "check"]


class SearchResult(msgspec.Struct, frozen=True):
    """What a search says of a model.

    stuck: a knot is reachable; `trace` is its schedule, executed again. free: every state was reached and nobody is
    ever stuck (or only in knots that the caller said do not count; `reason` says so). vacuous: something that the model
    says must be reachable is not, so it proves nothing. inconclusive: a limit was hit, a counter grew without bound, or
    what is stuck does not pass through what was asked for.
    """

    outcome: Outcome
    states: int
    reason: str = ""
    trace: Trace | None = None
    knot: Knot | None = None
    """The knot that the trace leads to."""
    knots: tuple[Knot, ...] = ()
    """Every knot that was found, in the order of their shortest schedules."""
    edges: int = 0
    depth: int = 0
    """Moves of the search into the knot; the trace tells the steps that they consist of."""
    checked: int = 0
    """States of the search without reductions that agrees; 0 where none was asked for or it hit a limit."""
    complete: bool = True
    """False for what is stuck where a limit was hit: there may be more knots than were found."""

    @property
    def keys(self) -> frozenset[Key]:
        """The keys of all knots, for `check(patched, known=base.keys)`."""
        return frozenset(knot.key for knot in self.knots)


def check(
    model: Model,
    limits: SearchLimits | None = None,
    through: Resource | str | Iterable[Resource | str] | None = None,
    known: Collection[Key] = (),
    *,
    reduce: bool = True,
    confirm: SearchLimits | None = None,
    always: bool = False,
    several: bool = False,
    every: bool = False,
) -> SearchResult:
    """Search a model for knots.

    through: the knot has to pass through one of these, each the name of a resource, of a class of tasks or of a queued
    routine. known: keys of knots that do not count, those of the base model. reduce: False searches without reductions.
    confirm: limits of a second search without reductions, which has to agree before a model counts as free.
    always: a task of the knot need not be able to finish: whichever way it takes it is stuck. several: the knot has to be
    one of several tasks, not of one that waits for itself. every: it has to pass through all of `through`.
    Errors: ModelError for a model that cannot be compiled.
    """
    with _no_collections():
        wanted = _Wanted(_names(through), frozenset(known), several, every)
        return _check(model, limits, wanted, reduce, confirm, always)


class _Wanted(NamedTuple):
    """Which knots count; see `check`."""

    through: frozenset[str]
    known: frozenset[Key]
    several: bool
    every: bool

    def has(self, knot: Knot) -> bool:
        """Whether a knot that is not known counts."""
        passes = self.through <= knot.names if self.every else self.through & knot.names
        return (not self.through or bool(passes)) and (len(knot.waits) > 1 or not self.several)

    def says(self) -> str:
        """What a knot that is not known lacks, where none counts."""
        names = (" and " if self.every else ", ").join(sorted(self.through))
        return f"through {names}" + (" and several tasks" if self.several else "")


@contextmanager
def _no_collections() -> Iterator[None]:
    """No garbage collection for the while: it would look through a million states and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check(
    model: Model,
    limits: SearchLimits | None,
    wanted: _Wanted,
    reduce: bool,
    confirm: SearchLimits | None,
    always: bool,
) -> SearchResult:
    try:
        automaton = compile_model(model)
    except Unbalanced as error:
        return SearchResult("inconclusive", 0, str(error))
    limits = limits or SearchLimits()
    until = time.process_time() + limits.seconds
    space = explore(automaton, limits, reduce=reduce)
    try:
        result = _judge(space, wanted, until, always)
    except OutOfTime:
        reason = f"more than {limits.seconds:g} s"
        return SearchResult("inconclusive", len(space.order), reason, edges=len(space.targets), complete=False)
    if confirm is None or not reduce or result.outcome not in ("free", "stuck"):
        return result
    return _confirmed(result, automaton, confirm)


def _names(through: Resource | str | Iterable[Resource | str] | None) -> frozenset[str]:
    if through is None:
        return frozenset()
    if isinstance(through, Resource | str):
        return frozenset([str(through)])
    return frozenset(map(str, through))


def _judge(space: Space, asked: _Wanted, until: float, always: bool) -> SearchResult:
    states, edges = len(space.order), len(space.targets)
    if space.broken:
        return SearchResult("inconclusive", states, space.reason, edges=edges, complete=False)
    missing = [mark for mark in space.automaton.model.reachable if mark not in space.marks]
    never = f"never reached: {', '.join(missing)}"
    if not space.automaton.model.reachable:
        return SearchResult("vacuous", states, "the model says of nothing that it must be reachable", edges=edges)
    if missing and space.complete and not always:
        return SearchResult("vacuous", states, never, edges=edges)
    graph = WaitFor(space.automaton)
    found = knots(space, until, graph)
    every = tuple(knot for _, knot in found)
    counting = [(state, knot) for state, knot in found if knot.key not in asked.known]
    wanted = _counting(counting, asked, missing if space.complete else ())
    if missing and space.complete and not wanted:
        return SearchResult("vacuous", states, never, edges=edges)
    if wanted and (space.complete or not missing):
        state, knot = wanted[0]
        way = space.path(state)
        told = trace(space, way, knot, graph)
        return SearchResult("stuck", states, "", told, knot, every, edges, len(way) - 1, complete=space.complete)
    if not space.complete:
        return SearchResult("inconclusive", states, space.reason, knots=every, edges=edges)
    outcome, reason = _passed(counting, every, asked)
    return SearchResult(outcome, states, reason, knots=every, edges=edges)


def _counting(counting: list[tuple[int, Knot]], asked: _Wanted, missing: Collection[str]) -> list[tuple[int, Knot]]:
    """The states with knots as they were asked for, in which all those wait that never got where they had to."""
    found = [(state, knot) for state, knot in counting if asked.has(knot)]
    return [(state, knot) for state, knot in found if {w.task for w in knot.waits}.issuperset(missing)]


def _passed(
    counting: list[tuple[int, Knot]], every: tuple[Knot, ...], asked: _Wanted
) -> tuple[Literal["inconclusive", "free"], str]:
    """The outcome, and the reason, of a whole search in which nothing gets stuck in the way that was asked for."""
    if counting:
        names = "; ".join(f"{w.task} waits for {w.waits_for}" for w in counting[0][1].waits)
        return "inconclusive", f"stuck, but not {asked.says()}: {names}"
    return "free", "stuck only in knots that do not count" if every else ""


def _confirmed(result: SearchResult, automaton: Automaton, limits: SearchLimits) -> SearchResult:
    """The result, with the number of states of the whole space where that agrees."""
    until = time.process_time() + limits.seconds
    whole = explore(automaton, limits, reduce=False)
    if not whole.complete:
        return result
    try:
        stuck = bool(knots(whole, until))
    except OutOfTime:
        return result
    if stuck != bool(result.knots):
        raise AssertionError(f"the reduced and the whole search of {whole.automaton.model.name} disagree")
    return msgspec.structs.replace(result, checked=len(whole.order))
