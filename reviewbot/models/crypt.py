"""dm-crypt (drivers/md/dm-crypt.c): a write takes as many pages of one pool as it is large, before it can go down.

The first try without waiting (GFP_NOWAIT) is left out: it takes nothing that it keeps.
"""

from __future__ import annotations

from reviewbot.models.block import Device, Op, Part, disk, submit_bio
from reviewbot.models.scene import scene
from reviewbot.models.system import writeback
from reviewbot.sim import (
    BioSet,
    Bound,
    Memory,
    Mempool,
    Model,
    Mutex,
    Routine,
    WorkQueue,
    bio_alloc_bioset,
    bio_put,
    mempool_alloc,
    mempool_free,
    mutex_lock,
    mutex_unlock,
    program,
    queue_work,
)

FILE = "drivers/md/dm-crypt.c"


class Crypt(Part, frozen=True, eq=False):
    """struct crypt_config over a device. `alloc_lock` is None where nothing serialises the allocation of pages."""

    dev: Device
    crypt_queue: WorkQueue
    write_thread: WorkQueue
    bs: BioSet
    page_pool: Mempool
    alloc_lock: Mutex | None
    pages: int
    """Pages of one write."""

    def bio(self, op: Op, end_io: Routine) -> Bound:
        return crypt_map(self, end_io)


@program(file=FILE)
def crypt_map(cc: Crypt, end_io: Routine) -> None:
    """A write; kcryptd_queue_crypt()."""
    queue_work(cc.crypt_queue, kcryptd_crypt_write_convert(cc, end_io)).says("")


@program(file=FILE, title="kcryptd_crypt()")
def kcryptd_crypt_write_convert(cc: Crypt, end_io: Routine) -> None:
    crypt_alloc_buffer(cc)
    queue_work(cc.write_thread, dmcrypt_write(cc, end_io)).says("")  # kcryptd_crypt_write_io_submit


@program(file=FILE)
def crypt_alloc_buffer(cc: Crypt) -> None:
    if cc.alloc_lock:
        mutex_lock(cc.alloc_lock)
    bio_alloc_bioset(cc.bs).says("")
    for _ in range(cc.pages):
        mempool_alloc(cc.page_pool).says(f"takes {{one}} page with mempool_alloc({cc.page_pool})")
    if cc.alloc_lock:
        mutex_unlock(cc.alloc_lock).says("")


@program(file=FILE, title="dmcrypt_write")
def dmcrypt_write(cc: Crypt, end_io: Routine) -> None:
    submit_bio(cc.dev, "write", crypt_endio(cc, end_io))


@program(file=FILE, title="crypt_endio")
def crypt_endio(cc: Crypt, end_io: Routine) -> None:
    for _ in range(cc.pages):
        mempool_free(cc.page_pool).says("")  # crypt_free_buffer_pages
    bio_put(cc.bs).says("")
    end_io()


@scene
def crypt_pages(
    serialised: bool = True,
    pages: int = 2,
    min_nr: int = 2,
    writers: int = 2,
    threads: int = 2,
    pool: str = "&cc->page_pool",
    lock: str = "&cc->bio_alloc_lock",
) -> Model:
    """Concurrent writes to dm-crypt each take `pages` elements of one pool; `serialised`: under a lock.

    256 of 256 in the kernel (BIO_MAX_VECS): 2 of 2 is the smallest case with a part of it.
    """
    memory = Memory("free memory")
    cc = Crypt(
        "dm-crypt",
        disk(),
        WorkQueue("kcryptd", threads=threads),
        WorkQueue("dmcrypt_write", threads=1),
        BioSet("&cc->bs", writers, memory),
        Mempool(pool, min_nr, memory),
        Mutex(lock) if serialised else None,
        pages,
    )
    flusher = writeback(cc, memory, n=writers)
    return Model("crypt_pages", (flusher,), reachable=(flusher.name, "crypt_endio"))
