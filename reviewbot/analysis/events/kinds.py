"""The facts: one struct for each thing that code does to locks, sleeps, memory, I/O, threads.

A fact's identity is its kind and all its fields but `at` and those named in `payload`: line numbers, local names and
how the text is laid out are no part of it. Objects are identities as `reviewbot.analysis.code.identity` describes them.
"""

from __future__ import annotations

from typing import ClassVar, get_args

from reviewbot.analysis.code.identity import short
from reviewbot.analysis.events.fact import Fact as Fact
from reviewbot.analysis.events.fact import Held as Held
from reviewbot.analysis.events.fact import Site as Site
from reviewbot.kernel import KERNEL


class Lock(Site, frozen=True, gc=False):
    """A lock is taken, or kept for read only. how: acquire, try, killable, pointer, transient, downgrade, backoff. irq: as in
    kernel/api.toml. base: the instance."""

    lock: str = ""
    klass: str = ""
    mode: str = "x"
    how: str = "acquire"
    irq: str = ""
    base: str = ""

    payload: ClassVar[frozenset[str]] = Site.payload | {"base"}

    def says(self) -> str:
        mode = {"r": " for read", "w": " for write"}.get(self.mode, "")
        return f"{self.how} {self.klass} {short(self.lock)}{mode} ({self.call}){self.locks()}"


class Unlock(Site, frozen=True, gc=False):
    """A lock is given back (or a caller's lock dropped)."""

    lock: str = ""
    klass: str = ""
    mode: str = "x"
    irq: str = ""

    payload: ClassVar[frozenset[str]] = Site.payload | {"held", "maybe", "dropped"}

    def says(self) -> str:
        return f"release {self.klass} {short(self.lock)} ({self.call})"


class Exit(Fact, frozen=True, gc=False):
    """Returning leaves locks taken or dropped, on all paths of a class of values that agree; else nothing is said.

    result: zero, negative, positive, non-zero, any, void.
    """

    result: str = ""
    takes: tuple[Held, ...] = ()
    drops: tuple[Held, ...] = ()

    def says(self) -> str:
        does = [f"holding {', '.join(map(str, self.takes))}"] if self.takes else []
        does += [f"having dropped {', '.join(map(str, self.drops))}"] if self.drops else []
        return f"returns {self.result} {' and '.join(does)}"


class Wait(Site, frozen=True, gc=False):
    """The task sleeps until something has happened.

    klass: event, completion, io, bit, freeze, dispatch, rcu, sleep, fault, sysfs, reschedule. reads: what the predicate tests, as
    `object` or `object & bit`. announce: a later schedule() sleeps. zeros: those of `reads` that have to be zero first.
    """

    klass: str = ""
    object: str = ""
    reads: tuple[str, ...] = ()
    timeout: bool = False
    io: bool = False
    announce: bool = False
    zeros: tuple[str, ...] = ()

    def says(self) -> str:
        until = f" until {', '.join(map(short, self.reads))}" if self.reads else ""
        extra = " with a time limit" if self.timeout else ""
        verb = "queues itself for" if self.announce else "waits for"
        return f"{verb} {self.klass} {short(self.object)} ({self.call}){until}{extra}{self.locks()}"


class Flush(Site, frozen=True, gc=False):
    """Waits until a workqueue, work item, timer, thread or interrupt handler has run."""

    of: str = ""
    object: str = ""
    cancel: bool = False

    def says(self) -> str:
        return f"{'cancels' if self.cancel else 'flushes'} {self.of} {short(self.object)} ({self.call}){self.locks()}"


class Wake(Site, frozen=True, gc=False):
    """Lets a sleeper go on: klass event, task, bit, completion, run (of a hardware queue).

    last_of: the counter that was lowered to zero just before, by the last who had raised it.
    """

    klass: str = ""
    object: str = ""
    last_of: str = ""

    def says(self) -> str:
        return f"wakes {self.klass} {short(self.object)} ({self.call}){self.locks()}"


class Write(Site, frozen=True, gc=False):
    """Changes what a sleep somewhere tests: op is + - = | &~ put take."""

    object: str = ""
    op: str = "="
    value: str = ""
    wakes: tuple[str, ...] = ()
    """Objects woken after this write on every way out of it, in this function."""

    def says(self) -> str:
        then = f", then wakes {', '.join(map(short, self.wakes))}" if self.wakes else ""
        return f"writes {short(self.object)} {self.op} {self.value}".rstrip() + then + self.locks()


class Finish(Site, frozen=True, gc=False):
    """Ends I/O: of a bio, request or page."""

    of: str = ""
    object: str = ""

    payload: ClassVar[frozenset[str]] = Site.payload | {"object"}

    def says(self) -> str:
        return f"ends {self.of} ({self.call}){self.locks()}"


class Submit(Site, frozen=True, gc=False):
    """Starts I/O; `waits`: and sleeps until it has ended."""

    waits: bool = False

    def says(self) -> str:
        return f"submits I/O{' and waits for it' if self.waits else ''} ({self.call}){self.locks()}"


class Allocation(Site, frozen=True, gc=False):
    """Asks for memory. gfp: the mask's alternatives. classes: full, nofs, noio, nowait, atomic, within scopes."""

    gfp: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def says(self) -> str:
        mask = " or ".join(self.gfp) or "?"
        effective = f" = {'/'.join(self.classes)}" if self.classes else ""
        return f"allocates with {mask}{effective} ({self.call}){self.locks()}"


class Mask(Site, frozen=True, gc=False):
    """Sets the mask that later allocations for an object have. of: mapping, socket, cipher. klass: the most it comes to."""

    of: str = ""
    object: str = ""
    klass: str = ""

    def says(self) -> str:
        return f"lets {self.of} {short(self.object)} allocate as {self.klass} at most ({self.call}){self.locks()}"


class Take(Site, frozen=True, gc=False):
    """Takes an element of a reserve (what: mempool, bio_set); waits for one to come back where the mask may reclaim."""

    pool: str = ""
    what: str = "mempool"
    gfp: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def says(self) -> str:
        mask = " or ".join(self.gfp) or "?"
        effective = f" = {'/'.join(self.classes)}" if self.classes else ""
        return f"takes an element of {self.what} {short(self.pool)} with {mask}{effective} ({self.call}){self.locks()}"


class Give(Site, frozen=True, gc=False):
    """Gives an element back to a reserve."""

    pool: str = ""
    what: str = "mempool"

    payload: ClassVar[frozenset[str]] = Site.payload | {"held", "maybe", "dropped"}

    def says(self) -> str:
        return f"gives an element back to {self.what} {short(self.pool)} ({self.call})"


class Reserve(Site, frozen=True, gc=False):
    """Makes (or drops) a reserve. count: min_nr as written; number: its value, None when not known."""

    pool: str = ""
    what: str = "mempool"
    count: str = ""
    number: int | None = None
    flags: str = ""
    drop: bool = False

    payload: ClassVar[frozenset[str]] = Site.payload | {"held", "maybe", "dropped"}

    def says(self) -> str:
        if self.drop:
            return f"drops {self.what} {short(self.pool)} ({self.call})"
        size = self.count if self.number is None or str(self.number) == self.count else f"{self.count} = {self.number}"
        flags = f", {self.flags}" if self.flags not in ("", "0") else ""
        return f"makes {self.what} {short(self.pool)} of {size}{flags} ({self.call})"


class Client(Site, frozen=True, gc=False):
    """Makes or destroys an object through which a shared service is used; klass as in kernel/api.toml."""

    klass: str = ""
    object: str = ""
    does: str = "create"

    payload: ClassVar[frozenset[str]] = Site.payload | {"held", "maybe", "dropped"}

    def says(self) -> str:
        return f"{self.does}s {self.klass} {short(self.object)} ({self.call})"


class Link(Fact, frozen=True, gc=False):
    """A request names the client, pool or queue that serves it: `slot` (struct.field) is set to `object`."""

    slot: str = ""
    object: str = ""

    def says(self) -> str:
        return f"sets {self.slot} to {short(self.object)}"


OWN_THREAD = frozenset({*KERNEL.words["wq_rescuer"], *KERNEL.words["wq_softirq"]})
"""Flags of a workqueue that needs no kworker: it has a rescuer, or runs in softirq context."""


class Workqueue(Site, frozen=True, gc=False):
    """Makes a workqueue. flags: names, sorted. max_active as written."""

    object: str = ""
    name: str = ""
    flags: tuple[str, ...] = ()
    max_active: str = ""
    ordered: bool = False

    payload: ClassVar[frozenset[str]] = Site.payload | {"held", "maybe", "dropped"}

    @property
    def rescuer(self) -> bool:
        """Whether it gets its work done when no kworker can be made."""
        return not OWN_THREAD.isdisjoint(self.flags)

    def says(self) -> str:
        kind = "ordered workqueue" if self.ordered else "workqueue"
        flags = "|".join(self.flags) or "0"
        active = self.max_active or "1"
        return f"makes {kind} {short(self.object)} {self.name} flags {flags} max_active {active} ({self.call})"


class Bind(Fact, frozen=True, gc=False):
    """A work item, timer, tasklet or callback gets its handler. runner: work, timer, tasklet, irq_work, rcu."""

    work: str = ""
    handler: str = ""
    runner: str = "work"

    def says(self) -> str:
        return f"{self.runner} {short(self.work)} runs {self.handler}"


class Queue(Site, frozen=True, gc=False):
    """Has a work item (timer, ...) run later, on a workqueue (`timer`, `softirq`, `rcu` for the others)."""

    workqueue: str = ""
    work: str = ""

    def says(self) -> str:
        return f"queues {short(self.work)} on {short(self.workqueue)} ({self.call}){self.locks()}"


class Thread(Fact, frozen=True, gc=False):
    """Starts a kernel thread that runs a function; `object` is where the task is kept."""

    object: str = ""
    handler: str = ""
    call: str = ""

    def says(self) -> str:
        return f"starts thread {short(self.object)} that runs {self.handler} ({self.call})"


class Context(Fact, frozen=True, gc=False):
    """The function runs in a context of kernel/contexts.toml. runner: the work item or thread for `work`, `thread`."""

    context: str = ""
    runner: str = ""
    chain: tuple[str, ...] = ()
    """Functions from the context's root to this one."""

    payload: ClassVar[frozenset[str]] = frozenset({"chain"})

    def says(self) -> str:
        of = f" of {short(self.runner)}" if self.runner else ""
        return f"runs in {self.context}{of} by way of {' -> '.join(self.chain)}"


class Gate(Fact, frozen=True, gc=False):
    """A condition on gfp flags, reclaim or task state under which the function does what can sleep or queue."""

    condition: str = ""
    taken: bool = True
    guards: tuple[str, ...] = ()
    """What stands under it, by kind: `Lock dm_x.lock`, `Queue`, ..."""

    def says(self) -> str:
        if not self.guards:
            return f"tests {self.condition}"
        return f"only if {self._holds()}: {', '.join(self.guards)}"

    def _holds(self) -> str:
        if self.taken:
            return self.condition
        return f"not ({self.condition})" if " " in self.condition else f"not {self.condition}"


class CallTo(Site, frozen=True, gc=False):
    """Calls a function whose body is at hand. through: `struct.field` of a function pointer, else empty."""

    callee: str = ""
    """Name of the function; empty for a call through a pointer."""
    through: str = ""
    targets: tuple[str, ...] = ()
    """Functions that a call through a pointer can reach."""
    constants: tuple[str, ...] = ()
    """Arguments that are constants, as `position=text`: they may decide what the callee does."""

    payload: ClassVar[frozenset[str]] = Site.payload | {"targets"}

    def says(self) -> str:
        given = f" with {', '.join(self.constants)}" if self.constants else ""
        return f"calls {self.callee or 'through ' + self.through}{given}{self.locks()}"


class Slot(Fact, frozen=True, gc=False):
    """A function is put into a slot of an operations table or a request: `slot` is `struct.field`."""

    slot: str = ""
    handler: str = ""

    def says(self) -> str:
        return f"{self.slot} is {self.handler}"


AnyFact = (
    Lock
    | Unlock
    | Exit
    | Wait
    | Flush
    | Wake
    | Write
    | Finish
    | Submit
    | Allocation
    | Mask
    | Take
    | Give
    | Reserve
    | Client
    | Link
    | Workqueue
    | Bind
    | Queue
    | Thread
    | Context
    | Gate
    | CallTo
    | Slot
)
"""Every kind of fact, for decoding."""

KINDS: dict[str, type[Fact]] = {kind.__name__: kind for kind in get_args(AnyFact)}
"""Name -> kind of fact."""
