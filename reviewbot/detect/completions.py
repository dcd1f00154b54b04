"""Completions that a function gave and, since a change, can leave out, and who waits for them."""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.expr import parts
from reviewbot.analysis.code.identity import Scope, known, scope
from reviewbot.analysis.events.kinds import Wait, Wake, Write
from reviewbot.analysis.producers.predicates import reads
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import AddressOf, Assign, CallEvent, Name
from reviewbot.detect.interrupts import Names
from reviewbot.detect.leads import Dropped, LeadPlace
from reviewbot.detect.waitfor import changed, unread
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.kernel import KERNEL
from reviewbot.replay.slicing.slicer import Extractor, TaskAutomaton, Unreadable
from reviewbot.types import Place, Value


class Unwoken(Value, frozen=True):
    """A completion that a function gave on every way, or that nobody else gave, and that it can leave out now."""

    key: FunctionKey
    object: str
    at: Place
    waiter: Place
    call: str
    only: bool = False
    """Nobody gives it any more."""

    @property
    def function(self) -> str:
        """Name of the function."""
        return name_of(self.key)

    def always(self, program: Program) -> bool:
        """Whether the completion comes on a side: on every way, or, where nobody else gives it, at all."""
        if self.key not in program.names.functions:
            return False
        return self.object in _wakes(program, self.key) if self.only else gives(program, self.key, self.object) is True


def unwoken(before: Program, after: Program, names: Names) -> Iterator[Unwoken | Dropped]:
    """The completions that functions do not always give any more since a change, and that somebody waits for; between them
    what came to nothing."""
    names = tuple(names)
    gained = {o for k in changed(after, names) for o in _wakes(after, k) - _wakes(before, k)}
    for key in changed(after, names):
        if key not in before.names.functions or after.function(key).macro:
            continue
        strange = unread(after, key) - unread(before, key)
        for what in sorted(_wakes(before, key)):
            lead = LeadPlace.of(after, key, f"completes {what}")
            if strange:
                yield Dropped(lead, f"it calls {min(strange)}(), which cannot be read")
            elif what in gained:
                yield Dropped(lead, "another function that changes completes it now")
            elif (waiter := _waiter(after, what, key)) is None:
                yield Dropped(lead, "nobody is seen to wait for it without a time limit")
            else:
                only = what not in _wakes(after, key) and not _given(after, what)
                if not only and not _lost(before, after, key, what):
                    yield Dropped(lead, "it still does so, or did not on every way before")
                elif _unarmed(before, after, key, what):
                    yield Dropped(lead, "what it asks is asked by whoever makes the completion ready, too")
                else:
                    yield Unwoken(key=key, object=what, at=lead.at, waiter=waiter.at, call=waiter.call, only=only)


def _wakes(program: Program, key: FunctionKey) -> set[str]:
    """Completions that a function gives, by itself or through its calls."""
    if key not in program.names.functions:
        return set()
    return {e.object for e in program.does(key) if e.kind == "wake" and e.detail == "completion" and known(e.object)}


def _given(program: Program, what: str) -> bool:
    """Whether anybody gives a completion."""
    return any(fact.object == what for _, fact in program.all(Wake))


def gives(program: Program, key: FunctionKey, what: str) -> bool | None:
    """Whether every way through a function wakes; None when that cannot be said."""
    try:
        automaton = Extractor(program, (), {what}, ()).automaton(key)
    except Unreadable:
        return None
    return not _reaches_end(automaton)


def _lost(before: Program, after: Program, key: FunctionKey, what: str) -> bool:
    """Whether every way through a function woke, and not every way does any more; the cheapest question first."""
    return not _passes_by(before, key, what) and gives(before, key, what) is True and gives(after, key, what) is False


def _passes_by(program: Program, key: FunctionKey, what: str) -> bool:
    """Whether ways lead out of a function without a call that may wake, if no condition rules them out.

    No program has to be made of the function to see that.
    """
    body = program.body(key)
    blocks = body.function.blocks
    lines = {fact.at.line for fact in program.own_facts(key) if isinstance(fact, Wake) and fact.object == what}
    todo, seen = [0], {0}
    while todo:
        block = blocks[todo.pop()]
        if any(
            isinstance(event, CallEvent)
            and (
                event.call.line in lines
                or any(what in _wakes(program, k) for k in program.callgraph.reached(key, event.call))
            )
            for event in block.events
        ):
            continue
        if not block.edges:
            return True
        todo += {edge.to for edge in block.edges} - seen
        seen |= {edge.to for edge in block.edges}
    return False


def _reaches_end(automaton: TaskAutomaton) -> bool:
    """Whether the end can be reached without a wake-up."""
    todo, seen = list(automaton.start), set(automaton.start)
    while todo:
        ways = automaton.places[todo.pop()]
        if not ways.steps:
            return True
        for op, after in ways.steps:
            if op.kind != "wake":
                todo += after - seen
                seen |= after
    return False


def _waiter(program: Program, what: str, waker: FunctionKey) -> Wait | None:
    """Who waits for it without a time limit; the completion may be one on his stack."""
    for key in program.sleepers:
        for fact in program.own_facts(key):
            if not isinstance(fact, Wait) or fact.klass != "completion" or fact.timeout:
                continue
            if fact.object == what or (scope(fact.object) is Scope.STACK and _lent(program, key, fact, what, waker)):
                return fact
    return None


def _lent(program: Program, key: FunctionKey, wait: Wait, what: str, waker: FunctionKey) -> bool:
    """Whether a completion on a stack is what others know as `what`: by the struct that it is in, or because its
    address is put there; where that could be anything, by who also names the function that completes it."""
    body = program.body(key)
    local, _, inside = wait.object.partition("()")[2].partition(".")
    if local in body.locals and not body.locals[local].pointers and inside:
        return f"{body.names.resolve(body.locals[local]).name}.{inside}" == what
    owner, _, field = what.partition(".")
    typed = body.names.member(owner, field, body.file).name in KERNEL.words["completion_type"]
    return any(
        isinstance(event, Assign)
        and isinstance(event.right, AddressOf)
        and body.identity(event.right) == wait.object
        and body.identity(event.left) == what
        for event in body.events()
    ) and (typed or _names(body, name_of(waker)))


def _names(body: Body, function: str) -> bool:
    said = [e.right for e in body.events() if isinstance(e, Assign)] + [a for c in body.calls for a in c.args]
    return any(isinstance(part, Name) and part.name == function for value in said for part in parts(value))


def _unarmed(before: Program, after: Program, key: FunctionKey, what: str) -> bool:
    """Whether what the function asks newly is asked as well by whoever makes the completion ready: then nobody waits."""
    new = _asked(after, key) - _asked(before, key)
    arming = {k for k, fact in after.all(Write) if fact.object == what and fact.op == "="}
    return bool(new and arming) and all(new & _asked(after, k) for k in arming)


def _asked(program: Program, key: FunctionKey) -> set[str]:
    """What the conditions of a function look at."""
    body = program.body(key)
    conditions = [edge.when for block in body.function.blocks for edge in block.edges if edge.when is not None]
    return {read for when in conditions for read in reads(body, when, program.callgraph)}


__all__ = ["Unwoken", "gives", "unwoken"]
