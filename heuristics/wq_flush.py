"""Somebody who has to go on when memory is short waits for work that may not run then.

Why it hangs
    A worker of a queue with WQ_MEM_RECLAIM, reclaim and writeback must get on while no kworker can be made. A work item
    on a queue without a rescuer need not run then, so they may not wait for it (check_flush_dependency()). Work items of
    one queue share its rescuer (Documentation/core-api/workqueue.rst): who waits for another of his queue keeps it busy.
Reported when
    what such a task flushes moves to a queue without a rescuer, or the flush is new; or onto the queue of who flushes it.
Not reported
    Cancelling, which takes off what has not started; queues that nobody here makes; an item's own queue: wait-in-handler.
Known gaps
    Waiting for a completion that another work item signals; new flushes of functions that nobody here calls.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reviewbot.rule import (
    KERNEL,
    Candidate,
    Diff,
    Flush,
    FunctionKey,
    Queue,
    Remedy,
    Rule,
    Scene,
    Value,
    Version,
    Words,
    known,
    lives,
    name_of,
    short,
)


class QueueWait(NamedTuple):
    """A flush: of which work item, on which queues it can be; in which work item (and on which queues) it is made."""

    flush: Flush
    key: FunctionKey
    queues: frozenset[str]
    runner: str
    own: frozenset[str]
    must: bool  # the task has to go on when memory is short
    assumed: bool = False  # nobody here calls it: a filesystem's core calls the helpers by which it writes out


ENDS = KERNEL.words["wq_ends"]
"""Waits of somebody who tears the queue down: nobody counts on him for memory."""
WORK = ("work", "workqueue")


class Flushed(Value, frozen=True):
    """A work item (or queue) that is waited for, by whom, and why it may not run."""

    kind: str
    key: FunctionKey
    work: str
    runner: str
    queue: str
    was: str  # the queue that it was on before
    file: str


class WqFlush(Rule[Flushed]):
    """See the head of the file."""

    id = "wq-flush"
    guarantee = "a private thread"
    checked = "flushes of work"
    needs = (Flush,)

    def check(self, diff: Diff) -> Iterator[Candidate[Flushed]]:
        for wait in _waits(diff.after, _suspects(diff)):
            was = [w for w in _waits(diff.before, {wait.flush.object}) if (w.key, w.runner) == (wait.key, wait.runner)]
            for kind in _faults(diff.after, wait):
                if kind == "same" and not any(w.queues for w in was):
                    continue  # a new pair of works: whether anybody needs the first one for memory is not known
                if kind == "rescuer" and _instead(diff, wait):
                    continue  # it waits for another queue than before, which had no rescuer either
                if wait.assumed and not any(diff.before.rescuer(q) for w in was for q in w.queues):
                    continue  # only a rescuer that was there says that somebody counted on it
                if not any(kind in _faults(diff.before, w) for w in was):
                    yield from self._found(diff, wait, kind, was)
                    break

    def _found(self, diff: Diff, wait: QueueWait, kind: str, was: list[QueueWait]) -> Iterator[Candidate[Flushed]]:
        function, work = wait.flush.function, short(wait.flush.object)
        meant = (
            wait.queues & wait.own if kind != "rescuer" else {q for q in wait.queues if diff.after.rescuer(q) is False}
        )
        queue = short(min(meant))
        queued = [f.at for f in diff.added[Queue] if f.work == wait.flush.object]
        made = [f.at for q in wait.queues for f in diff.after.workqueues.get(q, ())]
        runner = short(wait.runner)
        message, claim, contrast = {
            "rescuer": (
                f"{function}() waits for {work} on {queue}, which has no rescuer",
                f"{function}() has to go on when memory is short, and it waits for {work} on {queue}, which has no rescuer. "
                f"When no memory is free and all kworkers are busy, nobody runs {work}.",
                "On a queue with WQ_MEM_RECLAIM this could not happen.",
            ),
            "same": (
                f"{function}(), run by {runner} on {queue}, waits for {work} on the same queue",
                f"{runner} and {work} are both on {queue}, and {function}(), run by {runner}, waits for {work}. When no "
                f"memory is free, the rescuer of {queue} runs its work items one after the other.",
                "If each had a queue of its own this could not happen.",
            ),
        }[kind]
        setting = "Suppose that memory is short and all kworkers are busy:"
        before = short(min(was[0].queues)) if was and was[0].queues else ""
        yield from self.candidate(
            diff,
            Flushed(kind, wait.key, wait.flush.object, wait.runner, queue, before, wait.flush.at.file),
            message,
            Words(claim=claim, setting=setting, contrast=contrast),
            after=[*queued, wait.flush.at, *made],
            before=[f.at for q in was for w in q.queues for f in diff.before.workqueues.get(w, ())],
            object=f"{wait.flush.object} {kind}",
            facts=[wait.flush],
            related=[wait.flush.at],
        )

    def scenes(self, candidate: Candidate[Flushed], side: Version) -> Iterable[Scene]:
        found = candidate.about
        waits = [w for w in _waits(side, {found.work}) if (w.key, w.runner) == (found.key, found.runner)]
        yield _scene(found, any(found.kind in _faults(side, w) for w in waits))

    def remedies(self, candidate: Candidate[Flushed], side: Version) -> Iterable[Remedy]:
        found, work = candidate.about, short(candidate.about.work)
        text = {
            "rescuer": f"Put {work} on a queue with WQ_MEM_RECLAIM.",
            "same": "Give each of them a queue of its own with WQ_MEM_RECLAIM.",
        }[found.kind]
        text = f"Leave {work} on {found.was}." if found.was not in ("", found.queue) else text
        yield Remedy(text, _scene(found, False))


def _instead(diff: Diff, wait: QueueWait) -> bool:
    """Whether the function waited for something else before, and does not any more, which need not have run either, or of
    which nothing is known."""
    if wait.key not in diff.before.program.names.functions:
        return False
    programs = (diff.before.program, diff.after.program)
    old, new = ({f.object for f in p.own_facts(wait.key) if isinstance(f, Flush)} for p in programs)
    gone = old - new
    return not all(map(known, gone)) or any(
        "rescuer" in _faults(diff.before, w) for w in _waits(diff.before, gone) if w.key == wait.key
    )


def _suspects(diff: Diff) -> set[str]:
    """Work items and queues that the patch says something else about, or waits for."""
    facts = [*diff.added, *diff.removed]
    found = {f.work for f in facts if isinstance(f, Queue)} | {f.object for f in facts if isinstance(f, Flush)}
    changed = {f.object for f in facts if f.__class__.__name__ == "Workqueue"}
    queues = diff.after.program.callgraph.queued
    return found | changed | {work for work, on in queues.items() if changed & set(on)}


def _waits(side: Version, objects: set[str]) -> list[QueueWait]:
    """The flushes of some work items or queues, and those that these work items make themselves."""
    found = []
    program = side.program
    for key in program.flushers if objects else ():
        for flush in program.own_facts(key):
            if not isinstance(flush, Flush) or flush.cancel or flush.of not in WORK or flush.call in ENDS:
                continue
            one = flush.of == "workqueue"
            queues = frozenset({flush.object} if one else program.callgraph.queued.get(flush.object, ()))
            entered = program.entered(key)
            for e in entered:
                if flush.object not in objects and not (e.context == "work" and e.runner in objects):
                    continue
                own = frozenset(program.callgraph.queued.get(e.runner, ())) if e.context == "work" else frozenset()
                must = e.context in ("reclaim", "writeback") or any(side.rescuer(q) for q in own)
                found.append(QueueWait(flush, key, queues, e.runner, own, must))
            if not entered and flush.object in objects and not program.function(key).static:
                must = lives(program, flush.at.file) == "FS"
                found.append(QueueWait(flush, key, queues, "", frozenset(), must, assumed=True))
    return found


def _faults(side: Version, wait: QueueWait) -> list[str]:
    shared = wait.queues & wait.own
    if shared and wait.flush.of == "work" and wait.flush.object != wait.runner and len(wait.own) == 1:
        return ["same"]
    if wait.must and wait.queues and any(side.rescuer(q) is False for q in wait.queues):
        return ["rescuer"]
    return []


def _scene(found: Flushed, buggy: bool) -> Scene:
    function = name_of(found.key)
    given = {"queue": found.queue, "file": found.file}
    if found.kind == "rescuer":
        return Scene.of("flush_dependency", rescuer=not buggy, work=short(found.work), function=function, **given)
    return Scene.of("dependent_works", separate=not buggy, first=short(found.runner), second=short(found.work), **given)
