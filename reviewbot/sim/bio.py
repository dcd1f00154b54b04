"""Bios: current->bio_list with its depth-first order, bio sets and their rescuers (block/blk-core.c, block/bio.c)."""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

from reviewbot.sim.memory import GFP_NOIO, Gfp, Mempool, mempool_alloc, mempool_free, try_mempool_alloc
from reviewbot.sim.program import Act, Here, If, Local, Locals, Node, ProgramStep, Routine, Seq, address
from reviewbot.sim.work import WorkQueue, queue_work


class BioSet(Mempool, frozen=True, eq=False):
    """struct bio_set (block/bio.c). `rescuer` is BIOSET_NEED_RESCUER: bios on current->bio_list can be handed on.

    The rescuer's queue has one work item that submits one bio after the other, in order.
    """

    rescuer: bool = False
    queue: WorkQueue | None = None

    @property
    def element(self) -> str:
        """What is taken from it, in a sentence."""
        return "a bio"

    @property
    def call(self) -> str:
        """The call that takes it."""
        return f"bio_alloc_bioset({address(self.name)})"

    def __post_init__(self) -> None:
        if self.rescuer and self.queue is None:
            queue = WorkQueue(f"the rescuer of {self.name}", ordered=True, threads=1)
            msgspec.structs.force_setattr(self, "queue", queue)


class Bio(msgspec.Struct, frozen=True):
    """A bio on its way down: what the driver's ->submit_bio does with it, whose bio it is, and where it came from."""

    map: Routine
    device: Hashable = None
    """The device it is submitted to: bios for another one than the current come first on current->bio_list."""
    pool: BioSet | None = None
    """The bio set it was allocated from: only that set's rescuer takes it off current->bio_list."""


class Rescued(Routine, frozen=True, eq=True):
    """bio_alloc_rescue() for one bio: submits it from the rescuer's thread."""

    bio: Bio

    @property
    def title(self) -> str:
        return self.bio.map.title

    @property
    def told(self) -> bool:
        return self.bio.map.told

    def body(self) -> Node:
        return _submit(self.bio)


def submit_bio(map: Routine, device: Hashable = None, pool: BioSet | None = None) -> Node:
    """submit_bio_noacct(): `map` is what the device's ->submit_bio does with this bio.

    Within another ->submit_bio the bio is only put on current->bio_list and goes down when that one has returned;
    else it goes down now, and everything it put on the list after it, those for devices below first.
    """
    return _submit(Bio(map, device, pool))


def _submit(bio: Bio) -> Node:
    def meaning(here: Here) -> tuple[Locals, Node]:
        if here.me.bios is None:
            return _with(here, ((), ())), _go(bio)
        fresh, earlier = here.me.bios
        text = f"leaves the bio for {bio.map.title} on current->bio_list"
        return _with(here, ((*fresh, bio), earlier)), ProgramStep((Act(text=text),))

    return Local(meaning)


def _with(here: Here, bios: tuple[tuple[Hashable, ...], tuple[Hashable, ...]] | None) -> Locals:
    return msgspec.structs.replace(here.me, bios=bios)


def _go(bio: Bio) -> Node:
    """One turn of the loop in __submit_bio_noacct(): this bio, then the first of what is on the list."""

    def enter(here: Here) -> tuple[Locals, Node]:
        assert here.me.bios is not None
        return _with(here, ((), here.me.bios[0])), bio.map

    def after(here: Here) -> tuple[Locals, Node]:
        assert here.me.bios is not None
        fresh, earlier = here.me.bios
        lower = tuple(b for b in fresh if isinstance(b, Bio) and b.device != bio.device)
        same = tuple(b for b in fresh if isinstance(b, Bio) and b.device == bio.device)
        waiting = *lower, *same, *(b for b in earlier if isinstance(b, Bio))
        if not waiting:
            return _with(here, None), Seq()
        return _with(here, (waiting[1:], ())), _go(waiting[0])

    return Seq((Local(enter), Local(after)))


def bio_alloc_bioset(pool: BioSet, gfp: Gfp = GFP_NOIO) -> Node:
    """bio_alloc_bioset(): an element of the set; before it sleeps it hands bios on current->bio_list to the rescuer.

    Only bios of this very set are handed on, and only if it has a rescuer (punt_bios_to_rescuer).
    """

    def meaning(here: Here) -> tuple[Locals, Node]:
        mine = [b for some in here.me.bios or () for b in some if isinstance(b, Bio) and b.pool is pool]
        if pool.queue is None or not mine:
            return here.me, mempool_alloc(pool, gfp)
        return here.me, If(try_mempool_alloc(pool), Seq(), Seq((_punt(pool), mempool_alloc(pool, gfp))))

    return Local(meaning)


def _punt(pool: BioSet) -> Node:
    def meaning(here: Here) -> tuple[Locals, Node]:
        assert here.me.bios is not None
        assert pool.queue is not None
        mine = [b for some in here.me.bios for b in some if isinstance(b, Bio) and b.pool is pool]
        fresh, earlier = (tuple(b for b in some if b not in mine) for some in here.me.bios)
        text = f"hands a bio of current->bio_list to {pool.queue}"
        handed = (queue_work(pool.queue, Rescued(b)).says(text) for b in mine)
        return _with(here, (fresh, earlier)), Seq(tuple(handed))

    return Local(meaning)


def bio_put(pool: BioSet) -> Node:
    """bio_put(): the bio's memory goes back to its set."""
    return mempool_free(pool)
