"""Lost signals: writes to what a sleep tests that are not followed by the wake-up any more since a change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

import msgspec

from reviewbot.analysis.code.expr import parts
from reviewbot.analysis.code.identity import known
from reviewbot.analysis.events.kinds import Wait, Write
from reviewbot.analysis.producers.predicates import reads
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.questions.io_dependence import handlers
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.detect.signals import RUN, WAKES, Announcement, Silence, change_of, facts_near, index, silence
from reviewbot.detect.waitfor import unread
from reviewbot.function_key import FunctionKey, key_of, name_of
from reviewbot.limits import MAX_ANNOUNCEMENTS, MAX_CALLS_ABOVE_WAKE
from reviewbot.types import Cut, Place, Value


class Missed(Value, frozen=True):
    """A lost signal: a function can return after the write without the wake-up that followed on every path before."""

    told: Announcement
    way: tuple[FunctionKey, ...]
    """The function, and the callee that writes where it does not itself; by key."""
    at: Place
    waker: Place
    """Where the function woke before, or a callee of its."""
    was: tuple[FunctionKey, ...] = ()
    """The way before the change."""
    sleeper: Place | None = None
    """Who sleeps; None where a hardware queue has to be run, or a work item queued."""
    call: str = ""

    @property
    def function(self) -> str:
        """Name of the function."""
        return name_of(self.way[0])


def missed(before: Program, after: Program, names: Iterable[tuple[str, str]]) -> Iterator[Missed | Cut | Dropped]:
    """The changes of what sleeps test that functions `names` announced on every way, and do not any more; between them,
    what was not looked at or came to nothing.
    """
    keys = _readable_on_both(before, after, names)
    gained = {w for k in keys for w in _wakes(after, k) - _wakes(before, k)}
    for key in keys:
        pairs = [*islice(_announces(before, key), MAX_ANNOUNCEMENTS + 1)]
        if len(pairs) > MAX_ANNOUNCEMENTS:
            yield Cut("changes that a function announces", MAX_ANNOUNCEMENTS, key)
        for told, by, waker in pairs[:MAX_ANNOUNCEMENTS]:
            lead = LeadPlace(waker, f"wakes {told.wake} after it changes {told.tested}")
            was = (key,) if by == key else (key, by)
            way = _way(after, told, was)
            if told.wake in gained or not way:
                why = "another function wakes it now" if told.wake in gained else "it is not changed there any more"
                yield Dropped(lead, why)
                continue
            heard = _heard(after, told, way)
            if isinstance(heard, str):  # before the ways are followed, which takes longer
                yield Dropped(lead, heard)
                continue
            lost = _lost(before, after, told, was, way)
            yield from _cuts(before, told, was)
            yield from _cuts(after, told, way)
            if not lost or _made_up(before, after, told, was, way):
                why = "its callers make up for it" if lost else "it still does so, or did not on every way before"
                yield Dropped(lead, why)
            else:
                found = Missed(told=told, way=way, was=was, at=lost[0], waker=waker)
                yield msgspec.structs.replace(found, sleeper=heard.at, call=heard.call) if heard else found


def _readable_on_both(before: Program, after: Program, names: Iterable[tuple[str, str]]) -> list[FunctionKey]:
    """The functions that both sides have, and of which the change brings nothing that cannot be read."""
    keys = [k for file, name in names if (k := key_of(file, name)) in after.names.functions]
    keys = [k for k in keys if k in before.names.functions and not after.function(k).macro]
    return [k for k in keys if not unread(after, k) - unread(before, k)]


def _made_up(
    before: Program,
    after: Program,
    told: Announcement,
    was: tuple[FunctionKey, ...],
    way: tuple[FunctionKey, ...],
) -> bool:
    """Whether a function has callers, and every one of them wakes where the function does not any more."""
    callers = [c for c in after.callers(way[0]) if c in after.names.functions and after.body(c).function.blocks]
    return bool(callers) and not any(_lost(before, after, told, (c, *was), (c, *way)) for c in callers)


def _heard(after: Program, told: Announcement, way: tuple[FunctionKey, ...]) -> Wait | str | None:
    """Who sleeps until a function tells of its change; None for a work item or a hardware queue; else why nobody hears."""
    handed = told.wake == RUN or bool(handlers(after, told.wake))
    sleeper = None if handed else index(after).sleeper(told, way)
    if not (handed or sleeper):
        return "nobody is seen to sleep on it"
    return "it asks first if anybody sleeps" if _asks(after, way[0], told, sleeper) else sleeper


def _asks(program: Program, key: FunctionKey, told: Announcement, sleeper: Wait | None) -> bool:
    """Whether a function, or one through which it wakes, asks first if anybody sleeps: looks at the wait queue, or at
    what the sleeper sets itself."""
    by = () if sleeper is None else program.own_facts(sleeper.key)
    own = {fact.object for fact in by if isinstance(fact, Write)}
    for body in map(program.body, _through(program, key, index(program).waking(told.wake))):
        conditions = [edge.when for block in body.function.blocks for edge in block.edges if edge.when is not None]
        if any(body.identity(part) == told.wake for when in conditions for part in parts(when)):
            return True
        if body.key == key and any(own & set(reads(body, when)) for when in conditions):
            return True
    return False


def _through(program: Program, key: FunctionKey, among: Collection[FunctionKey]) -> set[FunctionKey]:
    """A function, and those of `among` that it calls, down to MAX_CALLS_ABOVE_WAKE calls below it."""
    found, edge = {key}, {key}
    for _ in range(MAX_CALLS_ABOVE_WAKE):
        edge = {callee for caller in edge for callee in program.callees(caller) if callee in among} - found
        found |= edge
    return found


def _way(program: Program, told: Announcement, was: tuple[FunctionKey, ...]) -> tuple[FunctionKey, ...]:
    """The way on which a function writes that did so on another one: by the same callee, or itself now instead of by
    that; empty for none."""
    key, by = was[0], was[-1]
    if by in (key, *program.callees(key)):
        return was
    own = (fact for fact in program.own_facts(key) if isinstance(fact, Write))
    return (key,) if any(fact.object == told.tested and change_of(fact) == told.op for fact in own) else ()


def _lost(
    before: Program,
    after: Program,
    told: Announcement,
    old: tuple[FunctionKey, ...],
    new: tuple[FunctionKey, ...],
) -> tuple[Place, ...]:
    """The writes from which the wake-up always followed, and does not any more; old, new: the ways of both sides."""
    if old[0] not in before.names.functions or not before.body(old[0]).function.blocks:
        return ()
    was = silence(before, told, old)
    if not isinstance(was, Silence) or was.silent == was.writes:
        return ()  # no write was always told
    now = silence(after, told, new)
    if not isinstance(now, Silence):
        return ()
    if len(was.writes) != len(now.writes):  # they came or went: only where every one was told before
        return () if was.silent else now.silent
    return tuple(b for a, b in zip(was.writes, now.writes, strict=True) if b in now.silent and a not in was.silent)


def _cuts(program: Program, told: Announcement, way: tuple[FunctionKey, ...]) -> list[Cut]:
    """What cut the search for the writes that are not announced, as far as it was made."""
    cut = index(program).silences.get((told, way))
    return [cut] if isinstance(cut, Cut) else []


def _wakes(program: Program, key: FunctionKey) -> set[str]:
    return {wake for effect in program.does(key) if (wake := _wake(effect))}


def _wake(effect: Effect) -> str:
    """The same of an effect; empty where it is none."""
    if effect.kind == "wake" and effect.detail in WAKES:
        return RUN if effect.detail == RUN else effect.object
    return effect.detail if effect.kind == "queue" and known(effect.detail) else ""


def _announces(program: Program, key: FunctionKey) -> Iterator[tuple[Announcement, FunctionKey, Place]]:
    """What a function writes and wakes for; itself, or the callee that writes; and where it wakes."""
    seen = set()
    for effect, reason in program.does(key).items():
        wake = _wake(effect)
        if wake != RUN and not known(wake):
            continue
        at = Place(program.names.file[key], reason.line, program.function(key).name)
        tested = index(program).tested(wake)
        for by in (key, *program.callees(key)):
            for fact in program.own_facts(by) if by == key else facts_near(program, by):
                if isinstance(fact, Write) and known(fact.object):
                    told = Announcement(fact.object, change_of(fact), wake)
                    wanted = fact.op == "put" if wake == RUN else fact.object in tested
                    if wanted and (told, by) not in seen:
                        seen.add((told, by))
                        yield told, by, at
