"""What everything runs on: memory that only writeback frees, and worker threads that any work item may occupy.

These models begin at the moment when no memory is free. Who needs some waits until writeback has made a page free.
"""

from __future__ import annotations

from reviewbot.models.block import Device, of, submit_bio
from reviewbot.sim import (
    Completion,
    Gfp,
    Memory,
    Task,
    WorkQueue,
    alloc_page,
    complete,
    free_page,
    program,
    queue_work,
    say,
    task,
    wait_for_completion,
)

WRITEBACK = "writeback"
WRITER = "writer"
"""One of several tasks that write back."""
READER = "a work item that reads a file"
HOG = "a work item that allocates memory"


def short_memory(waits_with: Gfp = Gfp.IO) -> Memory:
    """Memory of which nothing is free, where reclaim without the flag `waits_with` finds a clean page to drop.

    That is the promise behind GFP_NOIO and GFP_NOFS; with the flag reclaim may wait for writeback instead, and does.
    """

    @program(file="mm/vmscan.c")
    def shrink_node(gfp: Gfp) -> None:
        if waits_with not in gfp:
            free_page(memory).says("")  # shrink_folio_list() drops a clean page

    memory = Memory("free memory", reclaim=shrink_node)
    return memory


def writeback(device: Device, memory: Memory, text: str = "", n: int = 1) -> Task:
    """The flusher of the filesystem on `device`: writes a dirty page out, waits, and the page is free."""
    written = Completion("the write")
    name = WRITEBACK if n == 1 else WRITER
    text = text or f"writes to {device}"

    @program(file="block/bio.c", title="bio_endio of the write")
    def bio_endio() -> None:
        complete(written).says("")

    @task(n=n, name=name)
    def wb_workfn() -> None:
        say(text)
        submit_bio(device, "write", bio_endio())
        wait_for_completion(written).says("")
        free_page(memory).says("")

    return wb_workfn


def allocating_works(memory: Memory, n: int) -> Task:
    """`n` work items on a system queue that allocate with GFP_KERNEL, as any work item may."""
    events = WorkQueue("system_wq")

    @program(title=HOG)
    def work() -> None:
        alloc_page(memory).says("")
        free_page(memory).says("")

    @task(n=n, name="somebody")
    def somebody() -> None:
        queue_work(events, work()).says("")

    return somebody


def reading_works(device: Device, n: int, where: str = "") -> Task:
    """`n` work items on a system queue that read a page of a file on `device`, as kernel_read_file() does."""
    events, page = WorkQueue("system_wq"), Completion(f"the page read from {device}")

    @of("fs/mpage.c", "mpage_read_end_io")
    def read_end_io() -> None:
        complete(page).says("")

    @program(title=READER)
    def work() -> None:
        say(f"reads a page from {where or device}")
        submit_bio(device, "read", read_end_io())
        wait_for_completion(page).says("")  # folio_wait_locked

    @task(n=n, name="somebody")
    def somebody() -> None:
        queue_work(events, work()).says("")

    return somebody
