"""Guards by which code asks whether it is the very run that it is about to wait for, and that a change takes away:
`if (current_work() == &d->work) return;` before `cancel_work_sync(&d->work)`.

A search by the state of objects cannot tell whether a run comes back to itself. Such a guard says that it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from reviewbot.analysis.code.expr import bare, show
from reviewbot.analysis.code.self_tests import compared
from reviewbot.analysis.producers.view import Made
from reviewbot.analysis.program.program import Program
from reviewbot.csource.ir import OpExpr
from reviewbot.detect.edges import Circle, Edge, changed
from reviewbot.detect.leads import Dropped
from reviewbot.detect.providers import providers
from reviewbot.detect.resources import resources
from reviewbot.detect.runs import alone, asks
from reviewbot.detect.sure import way_in
from reviewbot.function_key import FunctionKey, file_of, name_of
from reviewbot.kernel import KERNEL
from reviewbot.types import Place

Conditions = frozenset[tuple[str, bool]]
"""What is asked before a call, as text, and whether it is so there."""


class _Lost(NamedTuple):
    """A guard that went: of calls as one side has them, those that had it, or have lost it, and those that never had it,
    though they read the same: these wait for another instance."""

    calls: frozenset[Place]
    others: frozenset[Place]


def unguarded(before: Program, after: Program, names: Iterable[tuple[str, str]]) -> Iterator[Circle | Dropped]:
    """The circles of runs that wait for themselves since a change took away the guard that kept them from it.

    names: the functions (file, name) of which something changes.
    """
    names = tuple(names)
    for key in changed(after, names):
        if key not in before.names.functions:
            continue
        seen: set[str] = set()
        for edge in sorted(providers(after).edges(key), key=lambda e: len(e.down)):
            if edge.lock.klass not in KERNEL.resources or edge.lock.lock in seen:
                continue
            lost = _lost(before, after, edge) if resources(after).asks(edge.effect, edge.lock) else None
            if lost is not None:
                seen.add(edge.lock.lock)
                yield _closed(after, edge, names, lost)


def _closed(after: Program, edge: Edge, names: Iterable[tuple[str, str]], lost: _Lost) -> Circle | Dropped:
    above = {(file_of(key), name_of(key)) for key in edge.chain[:-1]}
    if asks(after, (*edge.chain, *(at.key for at in edge.down)), KERNEL.resources[edge.lock.klass].aware):
        return Dropped(edge, "the code asks elsewhere whether it is the run itself")
    if above & set(names):
        return Dropped(edge, "what leads there changes, too")
    if lost.calls & lost.others:
        return Dropped(edge, "which of several calls had the guard cannot be told by their lines")
    if way_in(after, edge) is None:
        return Dropped(edge, "no one run is seen to go down these calls")
    return msgspec.structs.replace(alone(after, edge), spared=tuple(sorted(lost.others)))


def _lost(before: Program, after: Program, edge: Edge) -> _Lost | None:
    """The guard that the call of an edge had before, and lacks now under no new condition; None where it had none."""
    made = (m for m in after.view(edge.key).made if m.call.line == edge.place.line and not _guarded(after, edge, m))
    return next((lost for m in made if (lost := _lost_of(before, after, edge, m)) is not None), None)


def _lost_of(before: Program, after: Program, edge: Edge, made: Made) -> _Lost | None:
    """The guard that one call of an edge's line had before; the calls of both sides that read like it are told apart by what
    is asked before them."""
    text, asked = show(made.call), _conditions(after, edge.key, made)
    now, was = ([m for m in p.view(edge.key).made if show(m.call) == text] for p in (after, before))
    had = [m for m in was if _guarded(before, edge, m)]
    never = {_conditions(before, edge.key, m) for m in was if m not in had}
    if asked in never or not any(asked < _conditions(before, edge.key, m) for m in had):
        return None
    others = [m for m in now if _conditions(after, edge.key, m) in never]
    return _Lost(
        frozenset(_place(edge, m) for m in (*had, *(m for m in now if m not in others))),
        frozenset(_place(edge, m) for m in (*others, *(m for m in was if m not in had))),
    )


def _place(edge: Edge, made: Made) -> Place:
    return Place(file_of(edge.key), made.call.line, name_of(edge.key))


def _conditions(program: Program, key: FunctionKey, made: Made) -> Conditions:
    return frozenset((show(when), taken) for when, taken in program.view(key).dominance.conditions(made.block))


def _guarded(program: Program, edge: Edge, made: Made) -> bool:
    """Whether a call is not made by the run itself that an edge begins with."""
    aware, body = KERNEL.resources[edge.lock.klass].aware, program.body(edge.key)
    for when, taken in program.view(edge.key).dominance.conditions(made.block):
        e = bare(when)
        if isinstance(e, OpExpr) and taken == (e.op == "!=") and compared(body, e, aware) == edge.lock.lock:
            return True
    return False
