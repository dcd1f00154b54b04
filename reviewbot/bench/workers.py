"""Many cases on some processes: cases in, results out, as they come.

The loop knows nothing of what a case is. Whoever has cases gives a function that makes the results of a part of them, one
by one, and says what a case's result is whose process did not live.
"""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from resource import getpagesize
from threading import Thread
from typing import TypeVar

from reviewbot.process.stopping import leave

Case = TypeVar("Case")
Result = TypeVar("Result")

WORKERS = max(1, min(2, os.cpu_count() or 1))
PART = 12
"""Cases that one process takes at a time."""
LEFT_BEHIND = 100
"""Megabytes by which a process may grow before it looks for what nobody needs any more. Reviews run with hardly any garbage
collection, and each leaves some 20 MB of cycles; to look for them takes as long as a review, so it is not done each time."""


def parts(cases: Iterable[Case], about: Callable[[Case], object]) -> list[list[Case]]:
    """The cases in parts, of which each is for one process at a time: all of a part are about the same code.

    about: what code a case is about, as something that can be compared.
    """
    groups: dict[object, list[Case]] = defaultdict(list)
    for case in cases:
        groups[about(case)].append(case)
    found = [group[i : i + PART] for group in groups.values() for i in range(0, len(group), PART)]
    return sorted(found, key=len, reverse=True)  # long ones first keep all cores busy to the end


def spread(
    function: Callable[..., Iterator[Result]],
    parts: Iterable[Sequence[Case]],
    rest: Sequence[object],
    workers: int,
    lost: Callable[[Case, BaseException], Result],
) -> Iterator[Result]:
    """The results of all parts, as they are done, on some processes (with one worker: in this one).

    function: called as `function(part, *rest)`, gives a result for each case; a function of a module, and `rest` can be
    pickled. lost: the result of a case that ended its process. What such a process left undone is done again, each case
    in a process of its own: the one that ends it again is lost.
    """
    if workers == 1:
        for part in parts:
            yield from _tidied(function(part, *rest))
        return
    undone: list[Case] = []
    with processes(workers) as pool:
        jobs = {pool.submit(_all, function, part, rest): part for part in parts}
        try:
            for job in as_completed([*jobs]):
                part = jobs.pop(job)  # the results of a long run need not be kept
                if job.exception() is None:
                    yield from job.result()
                else:
                    undone += part
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # whoever stops waits for the parts at work, not for all
    for case in undone:
        with processes(1) as pool:
            error = (alone := pool.submit(_all, function, [case], rest)).exception()
        yield from alone.result() if error is None else [lost(case, error)]


def processes(workers: int) -> ProcessPoolExecutor:
    """Some processes for reviews."""
    return ProcessPoolExecutor(workers, get_context("spawn"), _begin, (gc.get_threshold(),))


def _begin(threshold: tuple[int, int, int]) -> None:
    """A process begins: it collects as seldom as its parent, and ends when that is gone, however that ended."""
    gc.set_threshold(*threshold)
    parent = parent_process()
    if parent is not None:
        Thread(target=_outlive_nobody, args=(parent.sentinel,), daemon=True).start()


def _outlive_nobody(parent: int) -> None:
    wait([parent])
    leave(1)


def _all(function: Callable[..., Iterator[Result]], part: Sequence[object], rest: Sequence[object]) -> list[Result]:
    return list(_tidied(function(part, *rest)))


def _tidied(results: Iterable[Result]) -> Iterator[Result]:
    """The results themselves; what the cases leave behind is freed in between, when it has become much."""
    least = megabytes()
    for result in results:
        yield result
        least = min(least, now := megabytes())
        if now > least + LEFT_BEHIND:
            gc.collect()
            least = megabytes()


def megabytes() -> int:
    """What this process has in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * getpagesize() >> 20
    except OSError:
        return 0
