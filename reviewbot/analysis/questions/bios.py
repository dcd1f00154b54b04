"""How a function passes bios on: which lists it joins, to whom it hands those that wait, how it takes more, what it waits for
while bios come through."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reviewbot.analysis.code.identity import Scope, scope, spoken
from reviewbot.analysis.code.lines import appended, assigned
from reviewbot.analysis.events.kinds import Queue, Submit, Take, Wait, Write
from reviewbot.analysis.questions.io_dependence import handlers, stacked
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.types import Place

if TYPE_CHECKING:
    from reviewbot.analysis.callgraph.contexts import ExecutionContext
    from reviewbot.analysis.program.program import Program

OWN_LIST = KERNEL.word("own_list")
"""Bios that wait until the ->submit_bio which sent them on returns."""


class Offload(NamedTuple):
    """Bios of the task's own list go to the list `listed`, which the work item `work` on `queue` handles together with
    other bios."""

    work: str
    queue: str
    listed: str
    handler: FunctionKey
    """Key of the work item's function."""


def offloads(program: Program, key: FunctionKey) -> list[Offload]:
    """Where a function hands the bios of its own list to a worker that does more than to submit them."""
    if key not in program.names.functions:
        return []
    own = program.own_facts(key)
    if (OWN_LIST, "take") not in ((f.object, f.op) for f in own if isinstance(f, Write)):
        return []
    lists = [f.object for f in own if isinstance(f, Write) and f.op == "put" and f.object != OWN_LIST]
    return [
        Offload(queue.work, queue.workqueue, listed, handler)
        for queue in (f for f in own if isinstance(f, Queue))
        for handler in handlers(program, queue.work)
        for listed in _handed(program, key, queue, handler, lists)
    ]


def _handed(program: Program, key: FunctionKey, queue: Queue, handler: FunctionKey, lists: list[str]) -> list[str]:
    """Those of the lists that a handler goes through which runs again for what it does, or takes other bios as well."""
    writes = [f for f in program.own_facts(handler) if isinstance(f, Write)]
    handled = {f.object for f in writes if f.op in ("take", "=")}
    taken = {f.object for f in writes if f.op == "take"}
    again = any(e.runner == queue.work for e in program.entered(key))
    return [x for x in lists if x in handled and (again or any(o != x and "()" not in o for o in taken))]


def others(program: Program, handler: FunctionKey, listed: str) -> str:
    """The bios that a worker handles besides those of a list, in words."""
    takes = (f.object for f in program.own_facts(handler) if isinstance(f, Write) and f.op == "take")
    lists = {object for object in takes if object != listed and scope(object) is Scope.INSTANCE}
    return f"the bios on {spoken(lists.pop())}" if len(lists) == 1 else "other bios of the device"


def tries(program: Program, key: FunctionKey) -> frozenset[str]:
    """Pools that a function tries to take from without sleeping."""
    own = program.own_facts(key) if key in program.names.functions else ()
    takes = [f for f in own if isinstance(f, Take)]
    return frozenset(
        f.pool for f in takes if any(f"&~{KERNEL.word('gfp_direct')}" in m for m in f.gfp) or "nowait" in f.classes
    )


def tried(program: Program, key: FunctionKey, pool: str) -> list[Place]:
    """The lines of a function at which a mask for a pool is narrowed, and those that take from it."""
    body = program.body(key)
    lines = assigned(body, KERNEL.word("gfp_direct"))
    takes = [f.at for f in program.own_facts(key) if isinstance(f, Take) and f.pool == pool]
    return [*(Place(body.file, line, body.name) for line in lines), *takes]


def merges(program: Program, key: FunctionKey) -> dict[tuple[str, str], Place]:
    """(list in front, list that is put behind it) -> where, for bio_list_merge() of two lists of one array."""
    if key not in program.names.functions:
        return {}
    body = program.body(key)
    pairs = appended(body, KERNEL.word("list_merge")).items()
    return {(front, back): Place(body.file, line, body.name) for (front, back), line in pairs}


def mapped(program: Program, key: FunctionKey) -> ExecutionContext | None:
    """The way by which a bio comes through a function while its submitter's other bios wait; None where none does."""
    return next((entered for entered in program.entered(key) if stacked(entered.slot)), None)


def io_waits(program: Program, key: FunctionKey) -> list[Submit | Wait]:
    """Waits of a function itself for I/O that it may have submitted, without a time limit: what submits and waits first."""
    own = program.own_facts(key)
    sync = [f for f in own if isinstance(f, Submit) and f.waits]
    for_io = [f for f in own if isinstance(f, Wait) and f.klass in ("completion", "io") and not f.timeout]
    return [*sync, *for_io]


def puts_off(program: Program, key: FunctionKey) -> int:
    """How often a function puts itself off: queues a work item whose handler calls it again."""
    works = [f.work for f in program.own_facts(key) if isinstance(f, Queue)]
    return sum(any(key in program.callees(h) for h in handlers(program, w)) for w in works)


def barriers(program: Program, key: FunctionKey) -> list[tuple[FunctionKey, Wait, ExecutionContext]]:
    """The function that sleeps on what this one says, on the way of a bio: itself or the first such caller; at most one."""
    found = []
    for caller in (key, *program.callers(key)):
        own = program.own_facts(caller)
        waits = [f for f in own if isinstance(f, Wait) and f.klass == "event" and not f.timeout]
        entered = mapped(program, caller)
        if waits and entered:
            found.append((caller, waits[0], entered))
    return found[:1]
