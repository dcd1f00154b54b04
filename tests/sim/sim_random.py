"""Random models for comparing searches: balanced programs over every kind of resource that ends by itself."""

from __future__ import annotations

from hypothesis import strategies as st

from reviewbot.sim.model import (
    Completion,
    If,
    Interrupt,
    Memory,
    Mempool,
    Model,
    Mutex,
    Named,
    Node,
    PercpuRef,
    RwSem,
    Semaphore,
    Seq,
    Task,
    Timer,
    Var,
    WaitQueue,
    WorkQueue,
    alloc_page,
    atomic_inc,
    blk_mq_freeze_queue,
    blk_mq_unfreeze_queue,
    blk_queue_enter,
    blk_queue_exit,
    cancel_work_sync,
    choice,
    complete,
    down,
    down_read,
    down_write,
    flush_work,
    flush_workqueue,
    free_page,
    mempool_alloc,
    mempool_free,
    mod_timer,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    nothing,
    queue_work,
    queue_work_once,
    start_io,
    timer_delete_sync,
    up,
    up_read,
    up_write,
    wait_event,
    wait_event_exclusive,
    wait_for_completion,
    wake_up,
    wake_up_all,
)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A model of one to three classes of tasks, up to two works, and locks, pools, waits and flags that they share."""
    memory = Memory("memory", draw(st.integers(0, 1)))
    first, second, sem = Mutex("first"), Mutex("second"), RwSem("sem")
    count, pool = Semaphore("count", draw(st.integers(1, 2))), Mempool("pool", draw(st.integers(0, 2)), memory)
    reserve, ref = Mempool("reserve", 1), PercpuRef("ref")
    flag, queue, done = Var("flag"), WaitQueue("queue"), Completion("done")
    shared = WorkQueue("shared", max_active=draw(st.sampled_from([1, 256])), rescuer=draw(st.booleans()))
    own = WorkQueue("own", threads=1, ordered=draw(st.booleans()), slots=3)
    disk = Interrupt("disk")
    timer = Timer(name="timer", function=Named("expired", Seq((mutex_lock(first), mutex_unlock(first)))))
    pairs = [
        (mutex_lock(first), mutex_unlock(first)),
        (mutex_lock(second), mutex_unlock(second)),
        (down_read(sem), up_read(sem)),
        (down_write(sem), up_write(sem)),
        (down(count), up(count)),
        (mempool_alloc(pool), mempool_free(pool)),
        (mempool_alloc(reserve), mempool_free(reserve)),
        (alloc_page(memory), free_page(memory)),
        (blk_queue_enter(ref), blk_queue_exit(ref)),
        (blk_mq_freeze_queue(ref), blk_mq_unfreeze_queue(ref)),
    ]
    singles = [
        complete(done),
        wait_event(queue, flag > 0),
        wait_event_exclusive(queue, flag > 0),
        wake_up(queue),
        wake_up_all(queue),
        atomic_inc(flag),
        If(mutex_trylock(first), mutex_unlock(first)),
        If(flag > 0, complete(done), atomic_inc(flag)),
        If(choice(), wake_up(queue), nothing()),
        mod_timer(timer),
        timer_delete_sync(timer),
        start_io(disk, Named("end_io", Seq((atomic_inc(flag), wake_up(queue))))),
    ]

    def body(steps: int, more: list[Node]) -> Node:
        nodes: list[Node] = []
        held: list[Node] = []
        for _ in range(draw(st.integers(1, steps))):
            kind = draw(st.integers(0, 9))
            if kind < 5 and len(held) < 3:
                take, give = draw(st.sampled_from(pairs))
                nodes.append(take)
                held.append(give)
            elif kind < 7 and held:
                nodes.append(held.pop(draw(st.integers(0, len(held) - 1))))
            else:
                nodes.append(draw(st.sampled_from([*singles, *more])))
        return Seq((*nodes, *draw(st.permutations(held))))

    works = [Named(f"work {i}", body(3, [])) for i in range(draw(st.integers(0, 2)))]
    more: list[Node] = []
    for work in works:
        more += [queue_work(shared, work), queue_work(own, work), Seq((queue_work(shared, work), _waits(done)))]
        more += [queue_work_once(shared, work), queue_work_once(own, work), flush_work(shared, work)]
        more += [flush_workqueue(own), cancel_work_sync(own, work)]
    tasks = tuple(
        Task(f"task {i}", Named(f"task {i}", body(4, more)), draw(st.integers(1, 2)))
        for i in range(draw(st.integers(1, 3)))
    )
    return Model("random", tasks, ("anything",), draw(st.integers(1, 2)))


def _waits(done: Completion) -> Node:
    return wait_for_completion(done)
