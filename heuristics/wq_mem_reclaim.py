"""Work that I/O waits for runs on a workqueue that has no rescuer.

Why it hangs
    Kworkers are made when memory can be had. While none can, only a queue with WQ_MEM_RECLAIM gets its work done, by
    its rescuer thread. If I/O waits for the work and every kworker waits for memory, or for that I/O, nobody runs it.
    Reads are no excuse: something writable can be stacked on top, and kworkers read files
    (Documentation/core-api/workqueue.rst).
Reported when
    a work item that I/O waits for had a queue with a rescuer, and the patch drops the flag, puts it into the place of
    max_active, or queues the item on a queue without a rescuer; or the patch queues a new such item on one.
Not reported
    Queues that nothing on the I/O path waits for; an item whose queue had no rescuer before; a queue nobody here makes.
Known gaps
    Queues handed in by another subsystem; items whose handler is set through a table.
"""

from collections.abc import Iterable, Iterator

from reviewbot.rule import (
    KERNEL,
    AwaitedWork,
    Bind,
    Candidate,
    Diff,
    FunctionKey,
    Queue,
    Remedy,
    Rule,
    Scene,
    Side,
    Value,
    Version,
    Words,
    Workqueue,
    called,
    kworker,
    name_of,
    queue_name,
    stacks,
)


class Stranded(Value, frozen=True):
    """A work item that I/O waits for, on a queue without a rescuer."""

    queue: str
    workqueue: str
    """Identity of the queue."""
    was: str
    """The queue that it was on before."""
    work: str
    handler: FunctionKey
    file: str
    queuer: str
    by: str
    target: str
    pool: str


class WqMemReclaim(Rule[Stranded]):
    """See the head of the file."""

    id = "wq-mem-reclaim"
    guarantee = "a private thread"
    checked = "rescuers of workqueues"
    needs = (Queue, Workqueue)

    def check(self, diff: Diff) -> Iterator[Candidate[Stranded]]:
        if not any(facts[kind] for facts in (diff.added, diff.removed) for kind in (Workqueue, Queue, Bind)):
            return
        told = set()
        for item in sorted(diff.after.program.served(), key=_directness):
            if item.workqueue in told or not item.ends or diff.after.rescuer(item.workqueue) is not False:
                continue
            before = _same(diff.before, item.work, item.handler, item.workqueue)
            lost = before and all(diff.before.rescuer(s.workqueue) for s in before)
            new = not before and item.context and diff.changed(item.queued.at, Side.AFTER) and _for_others(item)
            if lost or new:
                told.add(item.workqueue)
                yield from self._found(diff, item, before)

    def _found(self, diff: Diff, item: AwaitedWork, before: list[AwaitedWork]) -> Iterator[Candidate[Stranded]]:
        queue, handler = queue_name(diff.after.program, item.workqueue), name_of(item.handler)
        made = [fact.at for fact in diff.after.workqueues.get(item.workqueue, ())]
        was = [fact.at for s in before for fact in diff.before.workqueues.get(s.workqueue, ())]
        device = (
            called(diff.after.program, item.queued.at.file) if stacks(diff.after.program, item.queued.at.file) else ""
        )
        moved = item.workqueue not in {s.workqueue for s in before}
        found = Stranded(
            queue=queue,
            workqueue=item.workqueue,
            was=queue_name(diff.before.program, before[0].workqueue) if before else "",
            work=item.work,
            handler=item.handler,
            file=item.queued.at.file,
            queuer=item.queued.function,
            by="end_io" if item.context == "completion" else "map",
            target=device,
            pool=kworker(diff.after.program, item.workqueue),
        )
        yield from self.candidate(
            diff,
            found,
            f"{handler}(), which I/O waits for, runs on {queue} without a rescuer",
            _words(item, queue, handler, device),
            after=[item.queued.at, *made] if moved else [*made, item.queued.at],
            before=[*was, *(s.queued.at for s in before)],
            object=item.work,
            facts=[*diff.after.workqueues.get(item.workqueue, ()), item.queued],
        )

    def scenes(self, candidate: Candidate[Stranded], side: Version) -> Iterable[Scene]:
        found = candidate.about
        queues = {s.workqueue for s in _same(side, found.work, found.handler, found.workqueue)}
        rescuer = all(side.rescuer(q) is not False for q in queues)
        return [_scene(name, found, rescuer) for name in ("workqueue_writeback", "workqueue_readers")]

    def remedies(self, candidate: Candidate[Stranded], side: Version) -> Iterable[Remedy]:
        found = candidate.about
        was, queue, identity = found.was, found.queue, found.workqueue
        scene = _scene("workqueue_writeback", found, rescuer=True)
        if was not in ("", queue):
            yield Remedy(text=f"Leave the work on {was}.", scene=scene)
        yield Remedy(f"Keep WQ_MEM_RECLAIM for {queue}.", scene, identity, KERNEL.word("wq_rescuer"))
        if side.owns(identity) and side.has(identity):
            yield Remedy(text=f"Make {queue} with WQ_MEM_RECLAIM.", scene=scene)
        yield Remedy(text="Queue the work on a workqueue of its own with WQ_MEM_RECLAIM.", scene=scene)


def _directness(item: AwaitedWork) -> int:
    """0 for work that ends I/O, 1 for work that passes it on."""
    return int(not any(effect.kind == "finish" for effect, _ in item.progress))


def _for_others(item: AwaitedWork) -> bool:
    """Whether the work ends bios or requests: pages that it ends it may have begun to write itself."""
    return any(effect.kind == "finish" and effect.detail != "page" for effect, _ in item.progress)


def _same(side: Version, work: str, handler: str, queue: str) -> list[AwaitedWork]:
    """The work item on that queue; where it never is on that one, on those that it is on."""
    found = [s for s in side.program.served() if (s.work, s.handler) == (work, handler)]
    return [s for s in found if s.workqueue == queue] or found


def _scene(name: str, found: Stranded, rescuer: bool) -> Scene:
    target = found.target
    above = {"above": "dm-snapshot"} if target.startswith("dm-") and name == "workqueue_writeback" else {}
    return Scene.of(
        name,
        **above,
        device=target or "the device",
        rescuer=rescuer,
        queued_by=found.by,
        queue=found.queue,
        kworker=found.pool,
        work=f"{name_of(found.handler)}()",
        queuer=found.queuer,
        file=found.file,
    )


def _words(item: AwaitedWork, queue: str, handler: str, target: str) -> Words:
    device, above = target or "the device", "dm-snapshot" if target.startswith("dm-") else "a filesystem"
    return Words(
        claim=f"I/O waits for {handler}(), which {item.chain[-1]}() queues on {queue}, and {queue} has no rescuer. When no "
        f"memory is free, no new kworker can be created, and {handler}() waits until a busy one is done.",
        setting=f"Suppose {above} on {device}, when memory is short and all kworkers are busy:",
        also=f"It could deadlock even without any write: if all kworkers wait for data from a filesystem on {device}, none "
        f"is left to run {handler}().",
        contrast=f"With WQ_MEM_RECLAIM the rescuer of {queue} would run {handler}().",
    )
