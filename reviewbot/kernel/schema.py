"""The shape of kernel/api.toml: one struct per table, checked when it is read.

Positions are argument positions that count from 0; None means that there is no such argument.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Irq = Literal["", "off", "save", "bh"]
WaitClass = Literal[
    "event",
    "completion",
    "io",
    "bit",
    "freeze",
    "dispatch",
    "rcu",
    "sleep",
    "reschedule",
    "fault",
    "sysfs",
    "flush",
    "lock",
]


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of calls with one effect; `doc` says in one line what they do."""

    doc: str


class LockClass(Group, frozen=True):
    """What holding a lock of these classes means."""

    names: tuple[str, ...]
    sleeps: bool = False
    atomic: bool = False
    latch: bool = False
    """Held until it is given back, however often it was taken; giving back what is not held does no harm."""
    lock: bool = True
    """False for what is held but never contended for: RCU, scopes, plugs, references."""
    readers: bool = False
    """Only who asks for it for write waits: for those who have it for read, and none of these for him."""
    body: bool = False
    """Who takes one does more than that: the bodies of these calls are read as well."""


class LockGroup(Group, frozen=True):
    """Calls on one kind of lock. `transient` takes and drops it inside the call."""

    klass: str = msgspec.field(name="class")
    argument: int | None = None
    object: str = ""
    field: str = ""
    """The lock is this field (`struct.member`) of what the argument points to."""
    mode: Literal["r", "w", "x"] = "x"
    irq: Irq = ""
    throttle: bool = False
    """Often given back by another task: never part of a function's net effect."""
    written: bool = False
    """Whoever likes asks for it for write at any time, and keeps new readers out."""
    unless: str = ""
    """A field: who sets it does not take the lock."""
    context: int | None = None
    """The argument that lets it fail so that others come first (`struct ww_acquire_ctx`); without (NULL) it waits like any
    other lock."""
    sure: bool = False
    """Without that argument a `killable` one cannot fail at all."""
    acquire: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    try_: tuple[str, ...] = msgspec.field(default=(), name="try")
    killable: tuple[str, ...] = ()
    pointer: tuple[str, ...] = ()
    downgrade: tuple[str, ...] = ()
    transient: tuple[str, ...] = ()


class WaitGroup(Group, frozen=True):
    """Calls that sleep until somebody else has done something."""

    calls: tuple[str, ...]
    klass: WaitClass = msgspec.field(name="class")
    argument: int | None = None
    object: str = ""
    condition: int | None = None
    timeout: bool = False
    io: bool = False
    announce: bool = False
    enter: bool = False
    ends: tuple[str, ...] = ()
    """Slots whose functions it waits for, until they return."""


class FlushGroup(Group, frozen=True):
    """Calls that wait until something queued has run."""

    calls: tuple[str, ...]
    of: Literal["workqueue", "work", "timer", "thread", "irq", "hardirq", "attribute"]
    argument: int | None = None
    object: str = ""
    cancel: bool = False


class WakeGroup(Group, frozen=True):
    """Calls that let a sleeper go on."""

    calls: tuple[str, ...]
    klass: Literal["event", "task", "bit", "completion", "run"] = msgspec.field(name="class")
    argument: int


class FinishGroup(Group, frozen=True):
    """Calls that end I/O."""

    calls: tuple[str, ...]
    of: Literal["bio", "request", "page"]
    argument: int


class SubmitGroup(Group, frozen=True):
    """Calls that start I/O."""

    calls: tuple[str, ...]
    argument: int
    waits: bool = False


class AllocateGroup(Group, frozen=True):
    """Calls that ask for memory, with a mask at `gfp`, or the implied `flags` where there is none that can be read."""

    calls: tuple[str, ...]
    gfp: int | None = None
    flags: str = ""
    default: str = ""
    """The mask where the argument is left out; one that is given and cannot be read stays unknown."""
    narrowed: int | None = None
    """Position of an argument of other flags, some of which (`nofs`) take __GFP_FS from the mask."""
    nofs: tuple[str, ...] = ()
    same: tuple[tuple[str, ...], ...] = ()
    """Names of one and the same request, the oldest first."""


class MaskGroup(Group, frozen=True):
    """What sets the mask that later allocations for an object will have, by a call or by a field (`struct.member`).

    flag: the argument filters what may be used, and only with this flag in it that allocates nothing.
    """

    of: str
    calls: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    object: int | None = None
    gfp: int | None = None
    flag: str = ""
    asks: str = "kmalloc"
    """How to say that memory is asked for with it."""


class PoolGroup(Group, frozen=True):
    """Calls on a reserve: `take` and `give` an element, `make` and `drop` the reserve."""

    what: Literal["mempool", "bio_set"]
    take: tuple[str, ...] = ()
    give: tuple[str, ...] = ()
    make: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    pool: int | None = None
    object: str = ""
    result: bool = False
    gfp: int | None = None
    count: int | None = None
    flags: int | None = None
    default: str = ""
    """The mask of a call that is given none."""


class ClientGroup(Group, frozen=True):
    """Calls that make and destroy an object through which a shared service is used."""

    klass: str = msgspec.field(name="class")
    create: tuple[str, ...]
    destroy: tuple[str, ...]
    flags: int | None = None
    reserve: bool = False
    """The object has a reserve of its own: who shares one, shares the reserve."""
    uses: tuple[str, ...] = ()
    """Calls that do I/O through it; asked only where their bodies are not at hand."""


class WorkqueueGroup(Group, frozen=True):
    """Calls that make a workqueue."""

    create: tuple[str, ...]
    name: int
    flags: int | None = None
    max_active: int | None = None
    implied: tuple[str, ...] = ()
    ordered: bool = False


class GlobalWorkqueue(Group, frozen=True):
    """Workqueues that everybody shares; `same` lists names of one and the same queue, the oldest first."""

    names: tuple[str, ...]
    flags: tuple[str, ...] = ()
    same: tuple[tuple[str, ...], ...] = ()


class BindGroup(Group, frozen=True):
    """Calls that give a work item, timer or the like its handler, and the context that it is entered in."""

    calls: tuple[str, ...]
    runner: Literal["work", "timer", "tasklet", "irq_work", "rcu"]
    context: str
    object: int
    function: int


class QueueGroup(Group, frozen=True):
    """Calls that have a handler run later."""

    calls: tuple[str, ...]
    work: int
    workqueue: int | None = None
    object: str = ""


class ThreadGroup(Group, frozen=True):
    """Calls that make a kernel thread."""

    create: tuple[str, ...]
    function: int
    data: int
    started: tuple[str, ...] = ()
    """Those of them that wake it, too."""


class CallbackGroup(Group, frozen=True):
    """Calls that take a function to call later, for whoever uses what they make (`caller`), or at once (`here`)."""

    calls: tuple[str, ...]
    function: int
    context: str
    thread: str = ""
    holds: tuple[str, ...] = ()
    """What is held over the callback: `identity`, or `identity mode class` of what is no mutex."""


class ReadGroup(Group, frozen=True):
    """Calls by which a predicate looks at an object."""

    calls: tuple[str, ...]
    argument: int
    bit: int | None = None


class WriteGroup(Group, frozen=True):
    """Calls that change what a predicate may look at."""

    calls: tuple[str, ...]
    op: Literal["+", "-", "=", "|", "&~", "put", "take"]
    argument: int
    bit: int | None = None
    bios: bool = False
    """A list of bios that wait for somebody: a fact whether or not a sleep tests it."""


class CountGroup(Group, frozen=True):
    """Calls that raise and lower a counter which somebody waits for, with what the kernel counts."""

    object: str
    """The counter, as `struct.member`; which instance it is does not matter to whoever waits."""
    waits: str
    """Who sleeps until it is zero, as a function."""
    raise_: tuple[str, ...] = msgspec.field(name="raise")
    lower: tuple[str, ...]
    tried: tuple[str, ...] = ()
    """Calls that raise it where their result is true."""


class Flow(Group, frozen=True):
    """Calls that the flow of control or of values passes through in a special way."""

    noreturn: tuple[str, ...] = ()
    transparent: tuple[str, ...] = ()
    error_test: tuple[str, ...] = ()
    error_or_null_test: tuple[str, ...] = ()
    error_value: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    inert: tuple[str, ...] = ()
    """`name*` is every call whose name begins so."""
    unwaited: tuple[str, ...] = ()
    """Calls that take something off its queue, and wait for nothing."""


class TaskFlag(Group, frozen=True):
    """A field of `current` whose flags are scopes over allocations, and the calls that `set` flags (first argument), give
    back what they were (`restore`), or `clear` those of the last argument where they were clear before."""

    field: str
    scopes: dict[str, str]
    """Flag -> the object of a lock group of class `scope`."""
    set: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()


class Contract(Group, frozen=True):
    """What a call does that no text of its callers shows."""

    calls: tuple[str, ...]
    argument: int = 0
    """What `runs` is about."""
    runs: tuple[str, ...] = ()
    """Slots whose functions it runs before it returns."""
    whose: Literal["part", "own"] = "part"
    """Those that know the structure which the argument is part of; or those of the driver whose device it is."""
    takes: tuple[str, ...] = ()
    io: bool = False
    sleeps: bool = False
    got: tuple[str, ...] = ()
    """Calls that got what this one puts: who made one himself had something to get it from, and puts not the last."""


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of api.toml."""

    class_: tuple[LockClass, ...] = msgspec.field(name="class")
    lock: tuple[LockGroup, ...]
    wait: tuple[WaitGroup, ...]
    flush: tuple[FlushGroup, ...]
    wake: tuple[WakeGroup, ...]
    finish: tuple[FinishGroup, ...]
    submit: tuple[SubmitGroup, ...]
    allocate: tuple[AllocateGroup, ...]
    mask: tuple[MaskGroup, ...]
    pool: tuple[PoolGroup, ...]
    client: tuple[ClientGroup, ...]
    workqueue: tuple[WorkqueueGroup, ...]
    global_workqueue: tuple[GlobalWorkqueue, ...]
    bind: tuple[BindGroup, ...]
    queue: tuple[QueueGroup, ...]
    thread: tuple[ThreadGroup, ...]
    callback: tuple[CallbackGroup, ...]
    read: tuple[ReadGroup, ...]
    write: tuple[WriteGroup, ...]
    count: tuple[CountGroup, ...]
    flow: tuple[Flow, ...]
    task_flag: tuple[TaskFlag, ...]
    contract: tuple[Contract, ...]
