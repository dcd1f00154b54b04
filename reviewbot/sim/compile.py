"""From programs to the automaton.

A place of a task is what it still has to do (a list of nodes that shares its tail with others) and what it carries
along (`Locals`), so equal futures are one place, loops close, and scopes and bio lists cost no state. What a runner has
to run is found on the way: whoever queues a routine makes it part of the runner's threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from reviewbot.limits import MAX_CELL, MAX_PENDING_NODES, MAX_PLACES_OF_CLASS
from reviewbot.sim.automaton import Automaton, AutomatonEdge, Class, Work
from reviewbot.sim.link import Linker
from reviewbot.sim.locks import Cpu
from reviewbot.sim.program import (
    TRUE,
    Act,
    Attempt,
    Cell,
    Either,
    Goto,
    Graph,
    Here,
    If,
    Leave,
    Local,
    Locals,
    Model,
    ModelError,
    Node,
    ProgramStep,
    Resource,
    Routine,
    Seq,
    Test,
    Unbalanced,
    Update,
    While,
    attempt,
)
from reviewbot.sim.work import Interrupt, Runner, WorkQueue, begin, finish


class Again(Node, frozen=True, eq=False):
    """The end of a loop's body."""

    loop: While


class CallEnd(Node, frozen=True, eq=False):
    """The end of a routine."""


class GraphEnd(Node, frozen=True, eq=False):
    """The end of a flow graph."""

    graph: Graph


class FinishNode(Node, frozen=True, eq=False):
    """A thread of a runner is done with a routine."""

    runner: Runner
    work: Routine


CALL_END = CallEnd()


class Todo:
    """What a task still has to do: a node, and the rest. Made by `Control.todo`, equal ones are the same object."""

    __slots__ = ("depth", "node", "rest")

    def __init__(self, node: Node, rest: Todo | None) -> None:
        self.node, self.rest = node, rest
        self.depth: int = rest.depth + 1 if rest else 1


class ProgramPlace(msgspec.Struct, frozen=True, eq=False):
    """A place before linking: its ways on with targets as numbers."""

    acts: tuple[tuple[Act, int, tuple[str, ...]], ...]
    """(act, target, marks)"""
    home: bool = False


def compile_model(model: Model) -> Automaton:
    """Compile a model. Errors: ModelError, Unbalanced."""
    return _Compiler(model).run()


class _Compiler:
    """Compiles all classes of a model, making those of runners when something is queued on them."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.classes: list[_Class] = []
        self.serving: dict[Runner, list[_Class]] = {}
        self.shared: _Class | None = None
        self.works: dict[tuple[Runner, Routine, bool], list[tuple[_Class, int]]] = {}

    def run(self) -> Automaton:
        names = [task.name for task in self.model.tasks]
        if len(set(names)) < len(names):
            raise ModelError(f"{self.model.name}: two classes of tasks have the same name")
        for task in self.model.tasks:
            if task.cpu is not None and task.n != 1:
                raise ModelError(f"{self.model.name}: {task.name} is bound to {task.cpu}, so there can be only one")
            made = _Class(self, task.name, task.n, task.cpu)
            self.classes.append(made)
            made.start(task.routine)
        while any(c.work() for c in self.classes):
            pass
        return self.link()

    def queued(self, update: Update) -> None:
        """An update of a program: where it queues a routine for the first time, its runner's threads learn it."""
        runner, work = update.cell.owner, update.cell.of
        if not update.cell.role.startswith("pending") or not isinstance(runner, Runner) or update.op != "+":
            return
        assert isinstance(work, Routine)
        once = update.cell.role == "pending once"
        if (runner, work, once) not in self.works:
            entries = self.works[runner, work, once] = []
            entries += [(threads, threads.serve(runner, work, once)) for threads in self.threads(runner)]

    def threads(self, runner: Runner) -> list[_Class]:
        """The classes of threads that serve a runner (kernel/workqueue.c: worker pools and rescuers)."""
        if runner not in self.serving:
            self.serving[runner] = served = []
            if isinstance(runner, WorkQueue) and not runner.threads:
                if self.shared is None:
                    name = self.model.kworker if self.model.kworkers > 1 else f"a {self.model.kworker}"
                    self.shared = self.runner_class(name, self.model.kworkers, None)
                served.append(self.shared)
                if runner.rescuer:
                    served.append(self.runner_class(f"the rescuer of {runner}", 1, None))
            elif isinstance(runner, WorkQueue):
                served.append(self.runner_class(runner.name, runner.threads, None))
            else:
                cpu = runner.cpu if isinstance(runner, Interrupt) else None
                served.append(self.runner_class(runner.name, 1, cpu))
        return self.serving[runner]

    def runner_class(self, name: str, n: int, cpu: Resource | None) -> _Class:
        made = _Class(self, name, n, cpu)
        made.places.append(ProgramPlace((), home=True))
        self.classes.append(made)
        return made

    def link(self) -> Automaton:
        linker = Linker([act for c in self.classes for place in c.places for act, _, _ in place.acts])
        offset, classes = len(linker.cells), []
        for c in self.classes:
            edges = tuple(
                tuple(
                    AutomatonEdge(guard, changes, target, act, marks)
                    for act, target, marks in place.acts
                    for guard, changes in linker.ways(act)
                )
                for place in c.places
            )
            home = frozenset(i for i, place in enumerate(c.places) if place.home)
            width = 1 if len(c.places) <= 256 else 2
            classes.append(Class(c.name, c.n, 0, home, edges, offset, width))
            offset = classes[-1].end
        numbers = {id(c): i for i, c in enumerate(self.classes)}
        works = tuple(
            Work(runner, work.title, at, tuple((numbers[id(c)], entry) for c, entry in entries))
            for (runner, work, once), entries in self.works.items()
            if (at := linker.number(runner.pending(work, once))) is not None
        )
        for cell in linker.cells:
            if not 0 <= cell.init <= MAX_CELL:
                raise ModelError(
                    f"{self.model.name}: {cell} begins with {cell.init}; a cell counts from 0 to {MAX_CELL}"
                )
        initial = bytes(cell.init for cell in linker.cells) + bytes(offset - len(linker.cells))
        return Automaton(self.model, linker.cells, tuple(classes), works, initial)


class _Class:
    """Compiles one class of tasks or threads. Place 0 is where its tasks begin, and the home of threads."""

    def __init__(self, compiler: _Compiler, name: str, n: int, cpu: Resource | None) -> None:
        self.compiler, self.name, self.n, self.cpu = compiler, name, n, cpu
        self.places: list[ProgramPlace] = []
        self.is_task = True
        self._numbers: dict[tuple[int, Locals], int] = {}
        self._open: list[tuple[int, Todo, Locals]] = []
        self._todos: dict[tuple[int, int], Todo] = {}
        self._meanings: dict[tuple[int, Locals], tuple[Locals, Todo | None]] = {}
        self._nodes: dict[object, Node] = {}

    def start(self, routine: Routine) -> None:
        """Begin with the task's own routine."""
        self.place(self.todo(routine, None), Locals())

    def serve(self, runner: Runner, work: Routine, once: bool) -> int:
        """Teach the threads a routine; returns the place where they begin it."""
        self.is_task = False
        last = self.node((runner, work), FinishNode(runner, work))
        entry = self.place(self.todo(work, self.todo(last, None)), Locals())
        enter, _ = self.interrupting(runner)
        act = self.guarded(begin(runner, work, once))
        act = msgspec.structs.replace(act, when=act.when & enter.when, do=(*act.do, *enter.do))
        home = self.places[0]
        self.places[0] = ProgramPlace((*home.acts, (act, entry, ())), home=True)
        return entry

    def work(self) -> bool:
        """Compile what is left to compile; false where there was nothing."""
        if not self._open:
            return False
        while self._open:
            number, todo, me = self._open.pop()
            self.places[number] = self.compile(todo, me)
            for act, _, _ in self.places[number].acts:
                for update in act.do:
                    self.compiler.queued(update)
        return True

    # --- places

    def todo(self, node: Node, rest: Todo | None) -> Todo:
        key = (id(node), id(rest))
        if key not in self._todos:
            self._todos[key] = Todo(node, rest)
        return self._todos[key]

    def node(self, key: object, made: Node) -> Node:
        """One object for each key: control nodes have to be the same object to be the same place."""
        return self._nodes.setdefault(key, made)

    def place(self, todo: Todo | None, me: Locals) -> int:
        """The number of the place where a task has that to do; a new one is put down for compiling."""
        todo, me = self.advance(todo, me)
        if todo is None:
            if me.scopes or me.bios is not None:
                raise Unbalanced(f"{self.name} ends inside of {' and '.join(me.scopes) or '->submit_bio'}")
            if not self.is_task:
                return 0
        key = (id(todo), me if todo else Locals())
        if key not in self._numbers:
            self._numbers[key] = len(self.places)
            self.places.append(ProgramPlace((), home=todo is None))
            if todo is not None:
                self._open.append((len(self.places) - 1, todo, me))
            if len(self.places) > MAX_PLACES_OF_CLASS:
                raise ModelError(f"{self.name}: more than {MAX_PLACES_OF_CLASS} places; something grows in a loop")
        return self._numbers[key]

    def advance(self, todo: Todo | None, me: Locals) -> tuple[Todo | None, Locals]:
        """Go on over what is no step, up to the next step or the end."""
        for _ in range(MAX_PLACES_OF_CLASS):
            if todo is None or isinstance(todo.node, ProgramStep | If | Either | FinishNode):
                return todo, me
            if todo.depth > MAX_PENDING_NODES:
                raise ModelError(f"{self.name}: calls nest without end")
            node, rest = todo.node, todo.rest
            match node:
                case Seq(nodes):
                    todo = rest
                    for child in reversed(nodes):
                        todo = self.todo(child, todo)
                case Routine():
                    body = self._nodes.get(node) or self.node(node, node.body())
                    todo = self.todo(body, self.todo(CALL_END, rest))
                case Local(meaning):
                    key = (id(todo), me)
                    if key not in self._meanings:
                        after, made = meaning(Here(self.name, len(self._meanings), me, self.cpu))
                        self._meanings[key] = after, self.todo(made, rest)
                    me, todo = self._meanings[key]
                case While(test, body):
                    if test is not TRUE:
                        return todo, me
                    todo = self.todo(body, self.again(node, rest))
                case Again(loop):
                    todo = self.todo(loop, rest)
                case Graph(entry, blocks):
                    todo = self.todo(blocks[entry], self.todo(self.node(("end", id(node)), GraphEnd(node)), rest))
                case CallEnd() | GraphEnd():
                    todo = rest
                case Leave(what):
                    todo = self.leave(what, rest)
                case Goto(label):
                    todo = self.goto(label, rest)
                case _:
                    raise ModelError(f"{self.name}: {type(node).__name__} is no node of a program")
        raise ModelError(f"{self.name}: a loop without a step")

    def again(self, loop: While, rest: Todo | None) -> Todo:
        return self.todo(self.node(("again", id(loop)), Again(loop)), rest)

    def leave(self, what: str, rest: Todo | None) -> Todo | None:
        until = CallEnd if what == "return" else Again
        while rest is not None and not isinstance(rest.node, until):
            if isinstance(rest.node, CallEnd | FinishNode):
                break
            rest = rest.rest
        if rest is None or not isinstance(rest.node, until):
            raise ModelError(f"{self.name}: {what} outside of a {'routine' if what == 'return' else 'loop'}")
        return rest if what == "continue" else rest.rest

    def goto(self, label: str, rest: Todo | None) -> Todo:
        while rest is not None and not isinstance(rest.node, GraphEnd):
            rest = rest.rest
        if rest is None:
            raise ModelError(f"{self.name}: goto {label} outside of a graph")
        graph = cast(GraphEnd, rest.node).graph
        if label not in graph.blocks:
            raise ModelError(f"{self.name}: goto {label}: the graph has no such block")
        return self.todo(graph.blocks[label], rest)

    # --- ways on

    def compile(self, todo: Todo, me: Locals) -> ProgramPlace:
        node, rest = todo.node, todo.rest
        match node:
            case ProgramStep(acts):
                target = self.place(rest, me)
                ways: Iterable[tuple[Act, int]] = [(act, target) for act in acts]
                home = any(act.idle for act in acts)
                return ProgramPlace(tuple((self.guarded(a), t, self.marks(a, t)) for a, t in ways), home)
            case If(test, then, other):
                ways = self.outcomes(test, self.todo(then, rest), self.todo(other, rest), me)
            case While(test, body):
                ways = self.outcomes(test, self.todo(body, self.again(node, rest)), rest, me)
            case Either(nodes):
                ways = [(Act(), self.place(self.todo(child, rest), me)) for child in nodes]
            case FinishNode(runner, work):
                _, leave = self.interrupting(runner)
                act = finish(runner, work)
                ways = [(msgspec.structs.replace(act, do=(*act.do, *leave)), 0)]
            case _:
                raise ModelError(f"{self.name}: {type(node).__name__} is no step")
        return ProgramPlace(tuple((self.guarded(act), target, self.marks(act, target)) for act, target in ways))

    def outcomes(
        self, test: Test | Attempt, yes: Todo | None, no: Todo | None, me: Locals
    ) -> Iterator[tuple[Act, int]]:
        both = attempt(test)
        if both.yes:
            target = self.place(yes, me)
            yield from ((act, target) for act in both.yes)
        if both.no:
            target = self.place(no, me)
            yield from ((act, target) for act in both.no)

    def marks(self, act: Act, target: int) -> tuple[str, ...]:
        done = (self.name,) if self.is_task and self.places[target].home and not self.places[target].acts else ()
        return (*((act.mark,) if act.mark else ()), *done)

    # --- interrupts

    def guarded(self, act: Act) -> Act:
        """What is bound to a processor stands still while something more urgent runs on it."""
        if not isinstance(self.cpu, Cpu):
            return act
        urgent = self.cpu.in_irq.is_(0)
        runner = next((r for r, classes in self.compiler.serving.items() if self in classes), None)
        if isinstance(runner, Interrupt):
            return act if not runner.soft else msgspec.structs.replace(act, when=act.when & urgent)
        return msgspec.structs.replace(act, when=act.when & urgent & self.cpu.in_softirq.is_(0))

    def interrupting(self, runner: Runner) -> tuple[Act, tuple[Update, ...]]:
        """What an interrupt on a processor needs and does to begin, and what it does at its end."""
        if not isinstance(runner, Interrupt) or not isinstance(runner.cpu, Cpu):
            return Act(), ()
        cpu = runner.cpu
        level: Cell = cpu.in_softirq if runner.soft else cpu.in_irq
        when = cpu.irqs_off.is_(0) & cpu.in_irq.is_(0)
        if runner.soft:
            when = when & cpu.bh_off.is_(0) & cpu.in_softirq.is_(0)
        return Act(when, (level.add(),)), (level.sub(),)
