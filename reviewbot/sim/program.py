"""The frozen form of a program: resources, conditions on the state, and what a task does, step by step.

Models written as Python functions (`reviewbot.sim.frontend`) and models built by a program end up as these values;
`reviewbot.sim.compile` turns them into an automaton. A resource is known by identity, everything else by content.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Literal, Self

import msgspec

from reviewbot.types import Place, ReviewError


class ModelError(ReviewError):
    """A model that says something it cannot mean: which model or task, and what to change."""


class Unbalanced(ModelError):
    """A program that leaves a scope or region it did not enter, or the other way round: nothing it says can be used."""


class Resource(msgspec.Struct, frozen=True, eq=False):
    """What tasks take, wait for or count. Two resources are two even if their names are equal."""

    name: str

    def __str__(self) -> str:
        return self.name

    def asked(self, role: str, act: Act) -> str:
        """What somebody has to do for whoever waits in `act` until the cell of that role changes: an infinitive."""
        return f"change {self}"

    def held(self, role: str, higher: bool) -> str:
        """What a task has that made the cell of that role higher (or lower), a noun; empty where that is no possession."""
        return ""


def argument(resource: Resource) -> str:
    """A lock or completion as the argument of a call: one in a structure, or a variable, is passed by its address."""
    return address(resource.name)


def address(name: str) -> str:
    """The same from the name of an object."""
    return f"&{name}" if name.isidentifier() or ("->" in name and not name.startswith("&")) else name


# --- state and conditions on it --------------------------------------------------------------------------------------


class Test(msgspec.Struct, frozen=True):
    """A condition on the state of the model: true or false in a state, never while the model is being built."""

    __test__ = False  # keeps pytest from collecting the class

    def __bool__(self) -> bool:
        raise ModelError(f"the condition `{self}` was used as a plain value; it is only known in a state of the model")

    def __and__(self, other: Test) -> Test:
        return All((self, other))

    def __or__(self, other: Test) -> Test:
        return Any((self, other))

    def __invert__(self) -> Test:
        raise NotImplementedError


Op = Literal["==", "!=", "<", ">=", ">", "<="]
INVERSE: dict[Op, Op] = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


class Cmp(Test, frozen=True):
    """A cell against a number or another cell."""

    cell: Cell
    op: Op
    value: int | Cell

    def __invert__(self) -> Test:
        return Cmp(self.cell, INVERSE[self.op], self.value)

    def __str__(self) -> str:
        return f"{self.cell} {self.op} {self.value}"


class All(Test, frozen=True):
    """True where all are; with none always."""

    tests: tuple[Test, ...]

    def __invert__(self) -> Test:
        return Any(tuple(~t for t in self.tests))

    def __str__(self) -> str:
        return " and ".join(f"({t})" if isinstance(t, Any) else str(t) for t in self.tests) or "always"


class Any(Test, frozen=True):
    """True where one is; with none never."""

    tests: tuple[Test, ...]

    def __invert__(self) -> Test:
        return All(tuple(~t for t in self.tests))

    def __str__(self) -> str:
        return " or ".join(f"({t})" if isinstance(t, All) else str(t) for t in self.tests) or "never"


TRUE: Test = All(())


class Cell(msgspec.Struct, frozen=True):
    """One byte of the state: `role` of its resource, and for what (`of`) where the resource has several of a kind."""

    owner: Resource
    role: str
    of: Hashable = None
    init: int = 0

    def __lt__(self, other: int | Cell) -> Test:
        return Cmp(self, "<", other)

    def __le__(self, other: int | Cell) -> Test:
        return Cmp(self, "<=", other)

    def __gt__(self, other: int | Cell) -> Test:
        return Cmp(self, ">", other)

    def __ge__(self, other: int | Cell) -> Test:
        return Cmp(self, ">=", other)

    def is_(self, value: int | Cell) -> Test:
        """Equal; `==` is left to content, since cells are keys."""
        return Cmp(self, "==", value)

    def is_not(self, value: int | Cell) -> Test:
        """Not equal."""
        return Cmp(self, "!=", value)

    def add(self, value: int | Cell = 1) -> Update:
        """`cell += value`; a value that leaves 0..127 ends the search as inconclusive."""
        return Update(self, "+", value)

    def sub(self, value: int = 1) -> Update:
        """`cell -= value`; below 0 ends the search as inconclusive."""
        return Update(self, "+", -value)

    def drop(self) -> Update:
        """One less, but never below 0."""
        return Update(self, "drop", 1)

    def set(self, value: int | Cell) -> Update:
        """`cell = value`."""
        return Update(self, "=", value)

    def __str__(self) -> str:
        of = f" of {self.of}" if self.of is not None else ""
        return self.owner.name if self.role == "value" else f"{self.owner.name}.{self.role}{of}"


class Update(msgspec.Struct, frozen=True):
    """A change of one cell. The updates of a step happen in order, and at once for everybody else.

    op `wake` stands for what the sleepers' cells of a wait queue need; the compiler puts those in its place.
    """

    cell: Cell
    op: Literal["=", "+", "drop", "wake"]
    value: int | Cell = 0


# --- steps -----------------------------------------------------------------------------------------------------------


class Act(msgspec.Struct, frozen=True):
    """One way on that a step has: in a state where `when` holds, all of `do` happens at once."""

    when: Test = TRUE
    do: tuple[Update, ...] = ()
    text: str = ""
    """What happens, in words that follow `<task>: `. Empty for what a reader need not see."""
    call: str = ""
    """The kernel call that a task sits in while it cannot go on, `mempool_alloc(pool)`."""
    waits: str = ""
    """What it then waits for, a noun: `an element of pool`."""
    on: Resource | None = None
    """The resource that it takes, waits for or gives back."""
    last: Cell | None = None
    """Where this cell becomes 0, `{one}` in the text reads `the last` instead of `an` or `a`."""
    at: Place | None = None
    mark: str = ""
    """Reached by every search that takes this way; see Model.reachable."""
    idle: bool = False
    """A task that waits here is at home: it waits for somebody to bring work."""


def placed(act: Act, place: Place) -> Act:
    """The act at that place of the source, unless it has one."""
    return act if act.at else msgspec.structs.replace(act, at=place)


class Node(msgspec.Struct, frozen=True, eq=False):
    """A piece of program."""

    def over(self, change: Callable[[Act], Act]) -> Node:
        """The same piece with every act of its own (not those of routines that it calls) changed."""
        return self

    def at(self, place: Place) -> Node:
        """The same piece, with a place of the source for each act that has none."""
        return self.over(lambda act: placed(act, place))

    def says(self, text: str) -> Node:
        """The same piece, told in these words instead of the primitive's own."""
        return self.over(lambda act: msgspec.structs.replace(act, text=text))


class ProgramStep(Node, frozen=True, eq=False):
    """One indivisible step with one or more ways on; a task waits here while none is open."""

    acts: tuple[Act, ...]

    def over(self, change: Callable[[Act], Act]) -> Node:
        return ProgramStep(tuple(change(act) for act in self.acts))


class Seq(Node, frozen=True, eq=False):
    """One after the other."""

    nodes: tuple[Node, ...] = ()

    def over(self, change: Callable[[Act], Act]) -> Node:
        return Seq(tuple(node.over(change) for node in self.nodes))

    def says(self, text: str) -> Node:
        return Seq((*self.nodes[:-1], self.nodes[-1].says(text))) if self.nodes else self


class Attempt(msgspec.Struct, frozen=True):
    """A step with two outcomes, for `if` and `while`: a trylock, an allocation that may fail, a free choice."""

    yes: tuple[Act, ...] = (Act(),)
    no: tuple[Act, ...] = (Act(),)

    def over(self, change: Callable[[Act], Act]) -> Attempt:
        """The same attempt with every act changed."""
        return Attempt(tuple(map(change, self.yes)), tuple(map(change, self.no)))


def attempt(test: Test | Attempt) -> Attempt:
    """A condition on the state as an attempt: seen to hold, or not to hold, in one step."""
    if isinstance(test, Attempt):
        return test
    return Attempt((Act(test, text=f"sees {test}"),), (Act(~test, text=f"sees {~test}"),))


class If(Node, frozen=True, eq=False):
    """`if (test) then; else other;`"""

    test: Test | Attempt
    then: Node
    other: Node = Seq()

    def over(self, change: Callable[[Act], Act]) -> Node:
        return If(attempt(self.test).over(change), self.then.over(change), self.other.over(change))


class While(Node, frozen=True, eq=False):
    """`while (test) body;`, for ever where the test is TRUE."""

    test: Test | Attempt
    body: Node

    def over(self, change: Callable[[Act], Act]) -> Node:
        test = self.test if self.test is TRUE else attempt(self.test).over(change)
        return While(test, self.body.over(change))


class Either(Node, frozen=True, eq=False):
    """One of the nodes, by free choice: what was cut away decides."""

    nodes: tuple[Node, ...]

    def over(self, change: Callable[[Act], Act]) -> Node:
        return Either(tuple(node.over(change) for node in self.nodes))


class Leave(Node, frozen=True, eq=False):
    """`break`, `continue` or `return`."""

    what: Literal["break", "continue", "return"]


BREAK, CONTINUE, RETURN = Leave("break"), Leave("continue"), Leave("return")


class Graph(Node, frozen=True, eq=False):
    """A flow graph for control that is not nested: blocks by label, left by `Goto` or at the end of a block."""

    entry: str
    blocks: Mapping[str, Node]

    def over(self, change: Callable[[Act], Act]) -> Node:
        return Graph(self.entry, {label: node.over(change) for label, node in self.blocks.items()})


class Goto(Node, frozen=True, eq=False):
    """Go on with a block of the innermost graph."""

    label: str


class Routine(Node, frozen=True, eq=False):
    """A program with a name: a node, which means calling it, and a work item, bio or callback when handed on."""

    @property
    def title(self) -> str:
        """What it is called in a trace."""
        raise NotImplementedError

    @property
    def told(self) -> bool:
        """Whether a trace tells that a thread or an interrupt runs it; what it does is told all the same."""
        return True

    def __str__(self) -> str:
        return self.title

    def body(self) -> Node:
        """What it does. Asked for only when it is called, so routines may hand on themselves."""
        raise NotImplementedError

    def __call__(self) -> Self:
        """Calling a routine that was handed on, in a model written as Python functions."""
        return self


class Named(Routine, frozen=True, eq=False):
    """A routine built by a program. `node` may be a function where the body mentions the routine itself."""

    name: str
    node: Node | Callable[[], Node]

    @property
    def title(self) -> str:
        return self.name

    def body(self) -> Node:
        return self.node if isinstance(self.node, Node) else self.node()


# --- what belongs to one task ----------------------------------------------------------------------------------------


class Locals(msgspec.Struct, frozen=True):
    """What a task carries along: part of its place in the automaton, so it costs no byte of the state."""

    scopes: tuple[str, ...] = ()
    """Open memalloc_noio, memalloc_nofs and memalloc_noreclaim scopes, outermost first."""
    reserve: int = 0
    """Pages of the emergency reserve that it took while reclaiming."""
    bios: tuple[tuple[Hashable, ...], tuple[Hashable, ...]] | None = None
    """current->bio_list: bios submitted by the ->submit_bio that runs, and by those before it. None outside of one."""
    late: tuple[Resource, ...] = ()
    """SRCU domains under which it reads, for which somebody waited already when it began: he does not wait for it."""


class Here(msgspec.Struct, frozen=True):
    """Where a task is when the compiler asks a `Local` what it means."""

    task: str
    site: int
    """Tells this place of this class of tasks from every other: for cells that may not be shared."""
    me: Locals
    cpu: Resource | None = None
    """The processor that the task is bound to."""


class Local(Node, frozen=True, eq=False):
    """A step whose meaning depends on what its task carries along, or changes that; resolved while compiling."""

    meaning: Callable[[Here], tuple[Locals, Node]]

    def over(self, change: Callable[[Act], Act]) -> Node:
        def changed(here: Here) -> tuple[Locals, Node]:
            me, node = self.meaning(here)
            return me, node.over(change)

        return Local(changed)

    def says(self, text: str) -> Node:
        def said(here: Here) -> tuple[Locals, Node]:
            me, node = self.meaning(here)
            return me, node.says(text)

        return Local(said)


class Task(msgspec.Struct, frozen=True, eq=False):
    """A class of `n` identical, anonymous tasks that run `routine` once."""

    name: str
    routine: Routine
    n: int = 1
    cpu: Resource | None = None
    """The processor it is bound to, where interrupts on that processor matter; then n has to be 1."""


class Model(msgspec.Struct, frozen=True, eq=False):
    """Tasks, and what must be reachable so that the model proves anything.

    reachable: marks that some schedule has to reach, else the model is vacuous: the name of a task (one of them
    finishes), the title of a routine that was queued (it ends), or a text given to `reached`.
    kworkers: number of worker threads that all queues without threads of their own share. Under memory pressure no
    further one can be made (kernel/workqueue.c, create_worker), so the number stays.
    """

    name: str
    tasks: tuple[Task, ...]
    reachable: tuple[str, ...] = ()
    kworkers: int = 1
    kworker: str = "kworker"
    """What one of them is called."""
