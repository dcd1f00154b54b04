"""Memory: pages, direct reclaim under gfp flags and scopes, and mempools with a reserve for when there are none."""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto

import msgspec

from reviewbot.limits import MAX_NESTED_SCOPES
from reviewbot.sim.program import (
    Act,
    Attempt,
    Cell,
    Here,
    If,
    Local,
    Locals,
    ModelError,
    Node,
    ProgramStep,
    Resource,
    Routine,
    Seq,
    Test,
    Unbalanced,
    While,
    address,
)


class Gfp(Flag):
    """The gfp flags that decide whether an allocation can wait, and for what (include/linux/gfp_types.h)."""

    DIRECT_RECLAIM = auto()
    IO = auto()
    FS = auto()


GFP_KERNEL = Gfp.DIRECT_RECLAIM | Gfp.IO | Gfp.FS
GFP_NOFS = Gfp.DIRECT_RECLAIM | Gfp.IO
GFP_NOIO = Gfp.DIRECT_RECLAIM
GFP_NOWAIT = Gfp(0)
NAMES = {GFP_KERNEL: "GFP_KERNEL", GFP_NOFS: "GFP_NOFS", GFP_NOIO: "GFP_NOIO", GFP_NOWAIT: "GFP_NOWAIT"}

RECLAIM_SCOPE = "noreclaim"
SCOPES = {"noio": Gfp.IO | Gfp.FS, "nofs": Gfp.FS, RECLAIM_SCOPE: Gfp.DIRECT_RECLAIM}
"""Open scope -> the flags that it takes from every allocation (current_gfp_context(), PF_MEMALLOC)."""


class Memory(Resource, frozen=True, eq=False):
    """Pages of which `pages` are free at the start: 0 is the moment that these models are about.

    reclaim: what direct reclaim does in the allocating task, as a routine for the gfp flags that are left after the
    scopes (mm/vmscan.c, shrink_slab() and ->writepage). It runs once, then the task waits for a page; with
    `reclaimable` it runs again whenever that condition holds and no page is free.
    """

    pages: int = 0
    reclaim: Callable[[Gfp], Routine] | None = None
    reclaimable: Test | None = None

    @property
    def free(self) -> Cell:
        """Pages that nobody has."""
        return Cell(self, "free", init=self.pages)

    def asked(self, role: str, act: Act) -> str:
        return "free memory"


class Mempool(Resource, frozen=True, eq=False):
    """mempool_t (mm/mempool.c): min_nr elements in reserve; more come from `memory` while it has free pages.

    Without memory there is nothing but the reserve.
    """

    min_nr: int
    memory: Memory | None = None

    @property
    def free(self) -> Cell:
        """Elements of the reserve that nobody has."""
        return Cell(self, "free", init=self.min_nr)

    @property
    def element(self) -> str:
        """What it holds, with its article."""
        return "an element"

    @property
    def call(self) -> str:
        """The call that takes one."""
        return f"mempool_alloc({address(self.name)})"

    def asked(self, role: str, act: Act) -> str:
        return f"give {self.element} back to {self}"

    def held(self, role: str, higher: bool) -> str:
        return "" if higher else f"{self.element} of {self}"


def effective(gfp: Gfp, me: Locals) -> Gfp:
    """The flags that the open scopes leave of `gfp` (include/linux/sched/mm.h, current_gfp_context())."""
    for scope in me.scopes:
        gfp &= ~SCOPES[scope]
    return gfp


def _enter(scope: str, text: str) -> Node:
    def meaning(here: Here) -> tuple[Locals, Node]:
        if len(here.me.scopes) == MAX_NESTED_SCOPES:
            raise Unbalanced(
                f"{here.task}: more than {MAX_NESTED_SCOPES} scopes inside of each other, the last {scope}"
            )
        me = msgspec.structs.replace(here.me, scopes=(*here.me.scopes, scope))
        return me, ProgramStep((Act(text=text),)) if text else Seq()

    return Local(meaning)


def _leave(scope: str, text: str) -> Node:
    def meaning(here: Here) -> tuple[Locals, Node]:
        if not here.me.scopes or here.me.scopes[-1] != scope:
            raise Unbalanced(f"{here.task}: {text or scope} without the scope open as the innermost one")
        me = msgspec.structs.replace(here.me, scopes=here.me.scopes[:-1])
        return me, ProgramStep((Act(text=text),)) if text else Seq()

    return Local(meaning)


def memalloc_noio_save() -> Node:
    """memalloc_noio_save(): allocations of this task are GFP_NOIO until the matching restore."""
    return _enter("noio", "memalloc_noio_save()")


def memalloc_noio_restore() -> Node:
    """memalloc_noio_restore()."""
    return _leave("noio", "memalloc_noio_restore()")


def memalloc_nofs_save() -> Node:
    """memalloc_nofs_save(): allocations of this task are GFP_NOFS until the matching restore."""
    return _enter("nofs", "memalloc_nofs_save()")


def memalloc_nofs_restore() -> Node:
    """memalloc_nofs_restore()."""
    return _leave("nofs", "memalloc_nofs_restore()")


def memalloc_noreclaim_save() -> Node:
    """memalloc_noreclaim_save(), PF_MEMALLOC: no direct reclaim, the emergency reserve instead of waiting."""
    return _enter(RECLAIM_SCOPE, "memalloc_noreclaim_save()")


def memalloc_noreclaim_restore() -> Node:
    """memalloc_noreclaim_restore()."""
    return _leave(RECLAIM_SCOPE, "memalloc_noreclaim_restore()")


def _reclaim(memory: Memory, gfp: Gfp) -> Node:
    """What direct reclaim does, under PF_MEMALLOC (mm/page_alloc.c, __perform_reclaim)."""
    assert memory.reclaim is not None
    return Seq((_enter(RECLAIM_SCOPE, ""), memory.reclaim(gfp), _leave(RECLAIM_SCOPE, "")))


def _from_reserve() -> Node:
    def meaning(here: Here) -> tuple[Locals, Node]:
        return msgspec.structs.replace(here.me, reserve=here.me.reserve + 1), Seq()

    return Local(meaning)


def alloc_page(memory: Memory, gfp: Gfp = GFP_KERNEL) -> Node:
    """alloc_page(), kmalloc() and every allocation that the caller relies on: direct reclaim, then waits for a page.

    Errors: ModelError for flags that do not let it wait; `if try_alloc_page(memory):` is for those.
    """
    if Gfp.DIRECT_RECLAIM not in gfp:
        raise ModelError(f"alloc_page({memory}, GFP_NOWAIT) may fail: use `if try_alloc_page({memory}):`")

    def meaning(here: Here) -> tuple[Locals, Node]:
        left = effective(gfp, here.me)
        call = f"alloc_page({NAMES.get(gfp, 'gfp')})"
        take = Act(memory.free > 0, (memory.free.sub(),), f"calls {call} and gets a page", call, str(memory), memory)
        none = Act(memory.free.is_(0), (), f"calls {call} and finds no free page: direct reclaim", on=memory)
        if Gfp.DIRECT_RECLAIM not in left:
            reserve = Act(memory.free.is_(0), (), f"calls {call} and takes a page of the emergency reserve", on=memory)
            return here.me, If(Attempt((take,), (reserve,)), Seq(), _from_reserve())
        if memory.reclaim is None:
            return here.me, ProgramStep((take,))
        if memory.reclaimable is None:
            again: Node = Seq((_reclaim(memory, left), ProgramStep((take,))))
            return here.me, If(Attempt((take,), (none,)), Seq(), again)
        none = msgspec.structs.replace(none, when=none.when & memory.reclaimable)
        return here.me, While(Attempt((none,), (take,)), _reclaim(memory, left))

    return Local(meaning)


def try_alloc_page(memory: Memory) -> Attempt:
    """alloc_page(GFP_NOWAIT): false where no page is free. For `if`."""
    call = "alloc_page(GFP_NOWAIT)"
    return Attempt(
        (Act(memory.free > 0, (memory.free.sub(),), f"calls {call} and gets a page", on=memory),),
        (Act(memory.free.is_(0), (), f"calls {call}, which fails", on=memory),),
    )


def free_page(memory: Memory) -> Node:
    """__free_page(), kfree(), or a page that reclaim has made free."""

    def meaning(here: Here) -> tuple[Locals, Node]:
        if here.me.reserve:
            return msgspec.structs.replace(here.me, reserve=here.me.reserve - 1), Seq()
        return here.me, ProgramStep((Act(do=(memory.free.add(),), text="a page becomes free", on=memory),))

    return Local(meaning)


def _elements(pool: Mempool, call: str) -> tuple[tuple[Act, ...], Test]:
    """The ways to get an element without waiting, and the condition that there is none."""
    waits = f"{pool.element} of {pool}"
    from_reserve = f"calls {call} and takes {{one}} {pool.element.partition(' ')[2]}"
    if pool.memory is None:
        act = Act(pool.free > 0, (pool.free.sub(),), from_reserve, call, waits, pool, pool.free)
        return (act,), pool.free.is_(0)
    free = pool.memory.free
    fresh = Act(free > 0, (free.sub(),), f"calls {call} and gets {pool.element} from free memory", call, waits, pool)
    when = free.is_(0) & (pool.free > 0)
    spare = Act(when, (pool.free.sub(),), f"{from_reserve} of the reserve", call, waits, pool, pool.free)
    return (fresh, spare), free.is_(0) & pool.free.is_(0)


def mempool_alloc(pool: Mempool, gfp: Gfp = GFP_NOIO) -> Node:
    """mempool_alloc() with direct reclaim: memory, else the reserve, else reclaim; then sleeps for either.

    Errors: ModelError for flags that do not let it wait; `if try_mempool_alloc(pool):` is for those.
    """
    if Gfp.DIRECT_RECLAIM not in gfp:
        raise ModelError(f"mempool_alloc({pool}, GFP_NOWAIT) may fail: use `if try_mempool_alloc({pool}):`")

    def meaning(here: Here) -> tuple[Locals, Node]:
        got, none = _elements(pool, pool.call)
        left = effective(gfp, here.me)
        if pool.memory is None or pool.memory.reclaim is None or Gfp.DIRECT_RECLAIM not in left:
            return here.me, ProgramStep(got)
        depleted = Act(none, (), f"calls {pool.call} and finds the reserve empty: direct reclaim", on=pool)
        return here.me, If(Attempt(got, (depleted,)), Seq(), Seq((_reclaim(pool.memory, left), ProgramStep(got))))

    return Local(meaning)


def try_mempool_alloc(pool: Mempool) -> Attempt:
    """mempool_alloc(GFP_NOWAIT): false where neither memory nor the reserve has an element. For `if`."""
    got, none = _elements(pool, f"mempool_alloc({pool}, GFP_NOWAIT)")
    return Attempt(got, (Act(none, (), f"calls mempool_alloc({pool}, GFP_NOWAIT), which fails", on=pool),))


def mempool_free(pool: Mempool) -> Node:
    """mempool_free(): fills the reserve up first, and only then gives memory back."""
    text = f"gives an element back to {pool}"
    if pool.memory is None:
        return ProgramStep((Act(do=(pool.free.add(),), text=text, on=pool),))
    return ProgramStep(
        (
            Act(pool.free < pool.min_nr, (pool.free.add(),), text, on=pool),
            Act(pool.free >= pool.min_nr, (pool.memory.free.add(),), text, on=pool),
        )
    )
