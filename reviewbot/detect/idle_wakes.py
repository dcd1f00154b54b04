"""Wake-ups that tell a sleeper nothing: what its sleep tests cannot have changed by then.

A thread that says that it runs wakes those who wait for its work, too: they look, and go on sleeping.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from reviewbot.analysis.events.kinds import Wake, Write
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import Assign, CallEvent
from reviewbot.detect.providers import providers
from reviewbot.function_key import FunctionKey
from reviewbot.limits import MAX_CALLS_ABOVE_WAKE
from reviewbot.types import Place


def idle(program: Program, object_: str, reads: Iterable[str]) -> frozenset[Place]:
    """Where an object is woken before the function that does it can have changed what the sleep tests.

    reads: what the sleep tests. A function that never changes that wakes for somebody else, and does not count.
    """
    wanted = {read.partition(" & ")[0] for read in reads}
    above = _changing(program, wanted) if wanted else frozenset()
    wakers = (key for key in providers(program).wakers.get(object_, ()) if key in above)
    return frozenset(chain.from_iterable(_early(program, key, object_, wanted, above) for key in wakers))


def _changing(program: Program, wanted: set[str]) -> frozenset[FunctionKey]:
    """Functions that change one of some objects, by themselves or through their calls."""
    new = {key for key, fact in program.all(Write) if fact.object.partition(" & ")[0] in wanted}
    found = set(new)
    for _ in range(MAX_CALLS_ABOVE_WAKE):
        new = {caller for key in new for caller in program.callers(key)} - found
        found |= new
    return frozenset(found)


def _early(
    program: Program, key: FunctionKey, object_: str, wanted: set[str], above: frozenset[FunctionKey]
) -> list[Place]:
    """The wake-ups of a function that no change of its own comes before on any way."""
    facts = [*program.own_facts(key)]
    changes = {f.at.line for f in facts if isinstance(f, Write) and f.object.partition(" & ")[0] in wanted}
    blocks = program.body(key).function.blocks
    after: set[int] = set()
    """Blocks at whose start something may have changed."""
    early: dict[int, bool] = {}
    """By line whether nothing can have changed before any of its calls."""
    todo = []

    def walk(number: int, changed: bool) -> bool:
        for event in blocks[number].events:
            if isinstance(event, CallEvent):
                early[event.call.line] = early.get(event.call.line, True) and not changed
                changed = changed or any(t in above for t in program.callgraph.reached(key, event.call))
                changed = changed or event.call.line in changes
            elif isinstance(event, Assign):
                changed = changed or event.line in changes
        return changed

    todo = [edge.to for number in range(len(blocks)) if walk(number, False) for edge in blocks[number].edges]
    while todo:
        number = todo.pop()
        if number not in after:
            after.add(number)
            walk(number, True)
            todo += [edge.to for edge in blocks[number].edges]
    return [f.at for f in facts if isinstance(f, Wake) and f.object == object_ and early.get(f.at.line, False)]
