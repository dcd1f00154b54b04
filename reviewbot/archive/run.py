"""All threads of an archive reviewed: on the cores of this machine, or on a Dask cluster (extra `scale`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from reviewbot.archive import child, posting
from reviewbot.archive.posting import ThreadDone
from reviewbot.archive.threads import PostedThread
from reviewbot.bench.workers import parts, spread
from reviewbot.types import ReviewError

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 2
"""Parts that a thread of the cluster has waiting, the one at work included."""


def replayed(threads: Sequence[PostedThread], trees: Mapping[str, Path], workers: int) -> Iterator[ThreadDone]:
    """What became of each thread, as they are done, on some processes of this machine."""
    yield from spread(posting.done, parts(threads, _folder), (dict(trees),), workers, _lost)


def on_cluster(threads: Sequence[PostedThread], trees: Mapping[str, Path], address: str) -> Iterator[ThreadDone]:
    """The same on the workers of a Dask scheduler, each part in a process of its own there.

    The archive and the trees have to be at the same paths everywhere. What a worker had at hand when it died another one
    does again. Raises ReviewError where there is no scheduler at `address`, or Dask is not installed.
    """
    if importlib.util.find_spec("distributed") is None:
        raise ReviewError("--scheduler needs dask.distributed: install reviewbot[scale]")
    from distributed import Client

    try:
        client = Client(address, timeout="20s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise ReviewError(f"no Dask scheduler answers at {address}: {' '.join(str(error).split())[:200]}") from error
    with client:
        yield from _streamed(client, parts(threads, _folder), {name: str(path) for name, path in trees.items()})


def _streamed(client: Client, todo: list[list[PostedThread]], trees: Mapping[str, str]) -> Iterator[ThreadDone]:
    """Results as they come; no more parts are out than keep all workers busy, and more of these may join."""
    from distributed import as_completed

    waiting = todo[::-1]
    at_work: dict[Future, list[PostedThread]] = {}
    results: Any = as_completed(loop=client.loop)  # not that of a client that somebody else has made

    def feed() -> None:
        room = AHEAD * max(1, sum(client.nthreads().values())) - len(at_work)
        for _ in range(min(room, len(waiting))):
            part = waiting.pop()
            future = client.submit(_part, msgspec.json.encode(part), trees, pure=False, retries=0)
            at_work[future] = part
            results.add(future)

    feed()
    while at_work:
        future = next(results)
        part = at_work.pop(future)
        if future.status == "cancelled":
            raise ReviewError("the Dask scheduler went away: start it, and the same command goes on where this run was")
        error = future.exception()
        if error is None:
            yield from msgspec.json.decode(future.result(), type=list[ThreadDone])
        elif len(part) > 1:
            waiting += [[thread] for thread in part]  # one of them is to blame, and only that one
        else:
            yield _lost(part[0], error)
        future.release()
        feed()


def _part(part: bytes, trees: Mapping[str, str]) -> bytes:
    """What a worker does: the threads of a part in, what became of them out, both as JSON."""
    return child.ask(part, trees)


def _folder(thread: PostedThread) -> str:
    return thread.folder


def _lost(thread: PostedThread, error: BaseException) -> ThreadDone:
    return ThreadDone(thread.id, (posting.lost(thread, error),))
