"""Many cases on some processes: cases in, results out, as they come.

The loop knows nothing of what a case is. Whoever has cases gives a function that makes the results of a part of them, one
by one, and says what a case's result is whose process did not live.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, TypeVar

from reviewbot.limits import MAX_MEGABYTES_OF_WORKER
from reviewbot.process import stopping
from reviewbot.process.memory import megabytes

Case = TypeVar("Case")
Result = TypeVar("Result")

WORKERS = max(1, min(2, os.cpu_count() or 1))
PART = 12
"""Cases that one process takes at a time."""
GRACE = 5.0
"""Seconds for a process that is asked to stop to put away its temporary files."""
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


class WorkerEnded(Exception):
    """A case ended the process that it was at work in, both times that it was tried."""


def spread(
    function: Callable[..., Iterator[Result]],
    parts: Iterable[Sequence[Case]],
    rest: Sequence[object],
    workers: int,
    lost: Callable[[Case, BaseException], Result],
) -> Iterator[Result]:
    """The results of all cases, each as it is done, on some processes (with one worker: in this one).

    function: called as `function(part, *rest)`, gives a result for each case, in their order; a function of a module, and
    `rest` can be pickled. lost: the result of a case that has none. When a process ends, or the function raises, another one
    takes over what it had left; the case that it was at is tried once more by itself, in a new process, and then lost. A
    process that has become large gives way to a new one. The thread that asks for results stays to the end: the processes
    end with it.
    """
    if workers == 1:
        for part in parts:
            yield from _tidied(function(part, *rest))
        return
    crew = _Crew(parts, workers, lambda: _Worker(function, rest))
    try:
        for result in crew.answers():
            yield lost(result.case, result.error) if isinstance(result, _Lost) else result
    finally:
        crew.close()


class _Lost(NamedTuple):
    """A case without a result, and why."""

    case: Any
    error: BaseException


class _Part(NamedTuple):
    """Cases for a process; again: one that a process has failed at before."""

    cases: Sequence[Any]
    again: bool = False


class _Crew:
    """The processes, those at work by their pipes, and the parts that wait for one."""

    def __init__(self, parts: Iterable[Sequence[Any]], workers: int, start: Callable[[], _Worker]) -> None:
        self._waiting = deque(_Part(part) for part in parts if part)
        self._workers, self._start = workers, start
        self._idle: list[_Worker] = []
        self._at_work: dict[Connection, _Worker] = {}

    def answers(self) -> Iterator[Any]:
        """Each result, or the `_Lost` case in its place, as they come."""
        self._feed()
        while self._at_work:
            for worker in [self._at_work[pipe] for pipe in wait(self._at_work) if isinstance(pipe, Connection)]:
                yield from self._heard(worker)
            self._feed()

    def _feed(self) -> None:
        while self._waiting and len(self._at_work) < self._workers:
            part = self._waiting.popleft()
            if part.again and self._idle:
                self._idle.pop().end()
            worker = self._start() if part.again or not self._idle else self._idle.pop()
            self._at_work[worker.pipe] = worker
            worker.take(part)

    def _heard(self, worker: _Worker) -> Iterator[Any]:
        """What a process at work has to say; nothing where it only says that its part is done."""
        said = worker.hear()
        if isinstance(said, _Result):
            worker.left.popleft()
            yield said.value
            return
        del self._at_work[worker.pipe]
        if isinstance(said, WorkerEnded | _Grown):
            worker.end()
        else:
            self._idle.append(worker)
        if said is None or not worker.left:
            return
        if isinstance(said, _Grown):
            self._waiting.appendleft(_Part(tuple(worker.left)))
            return
        case = worker.left.popleft()
        if worker.left:
            self._waiting.appendleft(_Part(tuple(worker.left)))
        if worker.again:
            yield _Lost(case, said)
        else:
            self._waiting.append(_Part([case], again=True))  # last: a full memory may have been others' doing

    def close(self) -> None:
        """End all processes; those at work unwind, and have a moment for it."""
        crew = [*self._idle, *self._at_work.values()]
        for worker in crew:
            worker.process.terminate()
        for worker in crew:
            worker.end()


class _Result(NamedTuple):
    """What a process says of one case."""

    value: Any


class _Grown(NamedTuple):
    """A process has become too large to go on."""


class _Worker:
    """A process that does parts, one after the other, and tells each result as it is done."""

    def __init__(self, function: Callable[..., Iterator[Any]], rest: Sequence[object]) -> None:
        context = get_context("spawn")
        self.left: deque[Any] = deque()
        self.again = False
        self.pipe, its = context.Pipe()
        about = (its, function, rest, os.getpid(), gc.get_threshold(), MAX_MEGABYTES_OF_WORKER)
        self.process = context.Process(target=_serve, args=about)
        self.process.start()
        its.close()

    def take(self, part: _Part) -> None:
        """Give it a part; if it has just ended, `hear` says so."""
        self.left, self.again = deque(part.cases), part.again
        with suppress(OSError):
            self.pipe.send(part.cases)

    def hear(self) -> _Result | _Grown | BaseException | None:
        """A result; None when the part is done, _Grown when it goes no further with it; what the function raised, or how the
        process ended, for the case it was at."""
        try:
            said: _Result | _Grown | BaseException | None = self.pipe.recv()
            return said
        except (EOFError, OSError):
            self.process.join(GRACE)
            code = self.process.exitcode
            how = signal.strsignal(-code) if code is not None and code < 0 else f"exit code {code}"
            return WorkerEnded(f"its process ended twice ({how})")

    def end(self) -> None:
        """End it, by force where it does not end by itself."""
        self.pipe.close()
        self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(
    pipe: Connection,
    function: Callable[..., Iterator[Any]],
    rest: Sequence[object],
    parent: int,
    threshold: tuple[int, int, int],
    most: int,
) -> None:
    """What a process does: parts in, results out. It collects as seldom as its parent, and ends with it.

    most: megabytes that it may have in memory.
    """
    gc.set_threshold(*threshold)
    with suppress(EOFError, OSError, KeyboardInterrupt):  # whoever asked wants no more
        stopping.in_order()
        stopping.with_parent(parent)
        while True:
            pipe.send(_done(pipe, function, rest, most))
    stopping.leave(0)


def _done(
    pipe: Connection, function: Callable[..., Iterator[Any]], rest: Sequence[object], most: int
) -> _Grown | BaseException | None:
    """Tell the results of the next part, as far as memory allows; returns what the function raised."""
    part = pipe.recv()
    try:
        with closing(_tidied(function(part, *rest))) as results:
            for result in results:
                pipe.send(_Result(result))
                if megabytes() > most:
                    return _Grown()
    except Exception as error:
        return _told(error)
    return None


def _told(error: Exception) -> Exception:
    """The error itself, or one that says the same where it cannot be handed to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _tidied(results: Iterable[Result]) -> Generator[Result, None, None]:
    """The results themselves; what the cases leave behind is freed in between, when it has become much."""
    least = megabytes()
    for result in results:
        yield result
        least = min(least, now := megabytes())
        if now > least + LEFT_BEHIND:
            gc.collect()
            least = megabytes()
