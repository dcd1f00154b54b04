"""dm-io (drivers/md/dm-io.c): a client is a pool of `struct io` and a bio set, both with one reserve per client."""

from __future__ import annotations

from reviewbot.models.block import Device, Op, Part, submit_bio
from reviewbot.sim import (
    BioSet,
    Completion,
    Memory,
    Mempool,
    Routine,
    bio_alloc_bioset,
    bio_put,
    complete,
    mempool_alloc,
    mempool_free,
    program,
    wait_for_completion,
)

FILE = "drivers/md/dm-io.c"
RESERVED_IOS = 16
"""dm_mod.reserved_bio_based_ios."""


class IoClient(Part, frozen=True, eq=False):
    """struct dm_io_client. One request takes an element of each of the two."""

    pool: Mempool
    bios: BioSet
    told: bool = False
    """Whether a trace tells what is taken from it."""


def dm_io_client_create(
    name: str, memory: Memory, reserve: int = RESERVED_IOS, told: bool = False, of: str = ""
) -> IoClient:
    """A client with dm_mod.reserved_bio_based_ios elements in reserve; `of` names the device where each has its own."""
    of = f" of {of}" if of else ""
    pool, bios = Mempool(f"{name}->pool{of}", reserve, memory), BioSet(f"{name}->bios{of}", reserve, memory)
    return IoClient(f"{name}{of}", pool, bios, told)


@program(file=FILE)
def async_io(client: IoClient, device: Device, op: Op, fn: Routine) -> None:
    """`fn` runs in the context of the bio's end_io."""
    if client.told:
        mempool_alloc(client.pool)
    else:
        mempool_alloc(client.pool).says("")
    bio_alloc_bioset(client.bios).says("")  # do_region
    submit_bio(device, op, endio(client, fn))


@program(file=FILE, title="endio of {client}", told=False)
def endio(client: IoClient, fn: Routine) -> None:
    """A bio of dm-io has ended: gives back what it took, calls the client's function."""
    bio_put(client.bios).says("")
    mempool_free(client.pool).says("")  # complete_io
    fn()


@program(file=FILE)
def sync_io(client: IoClient, device: Device, op: Op, done: Completion) -> None:
    """dm_io() without a callback: waits for the end."""
    async_io(client, device, op, sync_io_complete(done))
    wait_for_completion(done).says("")


@program(file=FILE)
def sync_io_complete(done: Completion) -> None:
    """Lets sync_io() go on."""
    complete(done).says("")
