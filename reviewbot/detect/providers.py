"""Who provides what is waited for: who holds a lock, who wakes, whose handler is flushed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property

from reviewbot.analysis.code import family, kbuild
from reviewbot.analysis.code.expr import bare, show
from reviewbot.analysis.code.identity import owner
from reviewbot.analysis.events.kinds import Lock, Wait, Wake, Write
from reviewbot.analysis.program.program import Component, Program
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.csource.ir import Assign, Field
from reviewbot.detect.edges import Actor, Edge, edges
from reviewbot.detect.instances import handed_down
from reviewbot.detect.resources import resources
from reviewbot.function_key import FunctionKey, file_of
from reviewbot.kernel import BACKOFF, BLOCKING, KERNEL
from reviewbot.limits import MAX_CALLS_TO_KERNEL_LOCK, MAX_CALLS_TO_LOCK

_ASKING = ("acquire", "transient")
"""How a lock is asked for by who goes on when it is free."""


class Providers(Component):
    """Indices over a program for finding who can end a wait: who takes a lock, who wakes, who runs. Each is made on first
    use."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._edges: dict[FunctionKey, tuple[Edge, ...]] = {}
        self._modules: dict[str, str] = {}

    @cached_property
    def holders(self) -> dict[str, list[FunctionKey]]:
        """Lock -> keys of the functions that hold it at some call of theirs."""
        found: dict[str, list[FunctionKey]] = {}
        locksets = self._locksets()
        for key in self.program.functions():
            if key in locksets and not self.program.names.functions[key].macro:
                places = self.program.locksets.record(key).at.values()
                for lock in dict.fromkeys(h.lock for at in places for h in at.held):
                    found.setdefault(lock, []).append(key)
        for key, roots in sorted(self.program.callgraph.roots.items()):
            for root in roots:
                for lock, _, _ in self.program.callgraph.held_over(key, root.slot):
                    _put(found, lock, key)
        return found

    def _locksets(self) -> set[FunctionKey]:
        """Functions that may hold something at a call: those that take it, and the callers of those that leave it held."""
        found = {key for key, _ in self.program.all(Lock)}
        todo = list(found)
        while todo:
            key = todo.pop()
            record = self.program.locksets.record(key)
            if record.changes or record.escapes:
                above = self.program.callgraph.callers.get(key, set()) - found
                found |= above
                todo += above
        return found

    @cached_property
    def takers(self) -> dict[str, list[FunctionKey]]:
        """Lock -> keys of the functions that take it."""
        return self._doing((f.lock, key) for key, f in self.program.all(Lock) if f.how in (*BLOCKING, BACKOFF))

    @cached_property
    def passers(self) -> dict[str, list[FunctionKey]]:
        """Lock -> keys of the functions that make a call which takes it and gives it back."""
        return self._doing((f.lock, key) for key, f in self.program.all(Lock) if f.how == "transient")

    @cached_property
    def wakers(self) -> dict[str, list[FunctionKey]]:
        """Event, completion -> keys of the functions that wake it."""
        return self._doing((f.object, key) for key, f in self.program.all(Wake))

    def _doing(self, what: Iterable[tuple[str, FunctionKey]]) -> dict[str, list[FunctionKey]]:
        found: dict[str, list[FunctionKey]] = {}
        for object_, key in what:
            if not self.program.names.functions[key].macro:
                _put(found, object_, key)
        return found

    def edges(self, key: FunctionKey) -> tuple[Edge, ...]:
        """The hold-and-wait edges of a function, by its key."""
        found = self._edges.get(key)
        if found is None:
            found = self._edges[key] = (*edges(self.program, key), *handed_down(self.program, key))
        return found

    def of(self, edge: Edge) -> tuple[Actor, ...]:
        """The tasks that can end the wait of an edge: for a lock those who hold it and want the one held, for a flush
        the handlers, else those who wake."""
        match edge.effect.kind:
            case "lock":
                return tuple(self._holding(edge))
            case "flush":
                return tuple(self._flushed(edge))
            case _ if slots := KERNEL.ending.get(edge.effect.detail, ()):
                return tuple(self._returning(edge, slots))
            case _:
                return tuple(self._waking(edge))

    def _holding(self, edge: Edge) -> Iterator[Actor]:
        """Who holds the lock that is waited for, and wants the one that is held."""
        wanted, other_lock = edge.lock.lock, edge.effect.object

        def takes(effect: Effect) -> bool:
            return effect.kind == "lock" and effect.object == wanted

        for key in self.holders.get(other_lock, ()):
            for other in edges(self.program, key, takes, lock=other_lock):
                if not _both_read(other.lock.mode, edge.effect.detail) or other_lock in KERNEL.written:
                    yield other.actor(self.context(other.chain[0]))
                    break

    def _flushed(self, edge: Edge) -> Iterator[Actor]:
        callgraph, effect = self.program.callgraph, edge.effect
        works = {effect.object}
        if effect.detail == "workqueue":
            works = {work for work, queues in callgraph.queued.items() if effect.object in queues}
        if effect.detail == "attribute":
            own, file = resources(self.program), file_of(edge.down[-1].key if edge.down else edge.key)
            for attribute in sorted(own.attributes(effect.object, file)):
                for handler in own.files.get(attribute, ()):
                    yield Actor(chain=(handler,), context="ioctl", flushed=attribute)
            return
        if effect.detail == "thread":
            for started in callgraph.started:
                body = self.program.view(started.key)
                if any(m.call.line == started.line and body.result(m.call) == effect.object for m in body.made):
                    yield Actor(chain=(started.handler,), context="thread", flushed=effect.object)
            return
        for bound in callgraph.bound:
            if bound.work in works:
                yield Actor(chain=(bound.handler,), context="work", flushed=bound.work)

    def _waking(self, edge: Edge) -> Iterator[Actor]:
        keys = self.wakers.get(edge.effect.object, [])
        if edge.effect.detail == "freeze":
            keys = [key for key in keys if self._holds_up(key, edge.effect.object, edge.lock.lock)]
        if edge.reads and (writing := [k for k in keys if self._writes(k, edge.reads)]):
            keys = writing
        ways = [Actor(chain=chain, context=c) for k in keys for c, chain in self._roots(k)]
        machine = [a for a in ways if a.context in KERNEL.machine]
        yield from {a.root: a for a in reversed(machine or ways)}.values()

    def _returning(self, edge: Edge, slots: Iterable[str]) -> Iterator[Actor]:
        """The functions of some slots that whoever waits for their end has to do with: those of its own modules."""
        files = {file_of(key) for key in edge.chain}
        for handler in sorted({t for slot in slots for t in self.program.callgraph.targets.get(slot, ())}):
            if self._linked({file_of(handler)}, files):
                yield Actor(chain=(handler,), context=self.context(handler))

    def _holds_up(self, key: FunctionKey, queue: str, lock: str) -> bool:
        """Whether requests may be left in a queue while a function wants a lock that has the queue dispatch again later: not
        once it has waited for all of them, and not before it has stopped the queue itself."""
        facts = self.program.own_facts(key)
        runs = [f.at.line for f in facts if isinstance(f, Wake) and f.object == queue]
        waits = [f for f in facts if isinstance(f, Wait) and f.object == queue]
        drained = [f.at.line for f in waits if f.klass == "freeze"]
        stopped = [f.at.line for f in waits if f.klass in KERNEL.ending]
        if drained and min(drained) < min(runs):
            return False
        if not stopped or min(stopped) > min(runs):
            return True
        return any(min(stopped) < line < max(runs) for line in self._lines_that_take(key, lock))

    def _lines_that_take(self, key: FunctionKey, lock: str) -> Iterator[int]:
        """The lines at which a function takes a lock, by itself or through a call."""
        view, program = self.program.view(key), self.program
        yield from (f.at.line for f in program.own_facts(key) if isinstance(f, Lock) and f.lock == lock)
        for made in view.made:
            if any(wants(program, target, lock) for target in view.callgraph.reached(key, made.call)):
                yield made.call.line

    def _writes(self, key: FunctionKey, reads: tuple[str, ...]) -> bool:
        """Whether the function, or one next to it, changes what the sleep tests."""
        wanted = {r.partition(" & ")[0] for r in reads}
        near = (key, *self.program.callers(key), *self.program.callees(key))
        return any(
            isinstance(fact, Write) and fact.object.partition(" & ")[0] in wanted
            for k in near
            for fact in self.program.own_facts(k)
        )

    def _roots(self, key: FunctionKey) -> list[tuple[str, tuple[FunctionKey, ...]]]:
        entered = self.program.entered(key)
        if entered:
            return [(e.context, e.chain) for e in entered]
        return [("", way.chain) for way in self.program.entry(key)]

    def related(self, edge: Edge, actor: Actor) -> bool:
        """Whether the two can meet on one object: a lock of this code, or code of one file, module or subsystem.

        Drivers of one directory have nothing in common but the structures of the kernel.
        """
        owned = owner(edge.lock.lock)
        if not owned or self._declares(owned):
            return True
        return self._linked({file_of(k) for k in edge.chain}, {file_of(k) for k in actor.chain})

    def _linked(self, *files: set[str]) -> bool:
        """Whether one of some files, and one of others, are of one program or module."""
        programs = [{family.program(file) for file in side} - {""} for side in files]
        if files[0] & files[1] or programs[0] & programs[1]:
            return True
        modules = [{self._module(file) for file in side} for side in files]
        return bool(modules[0] & modules[1])

    def _module(self, path: str) -> str:
        """The module of a file; the file itself where that is not known."""
        if path not in self._modules:
            source = self.program.source
            self._modules[path] = path if source is None else kbuild.module(path, source)
        return self._modules[path]

    def far(self, lock: str, files: Collection[str] = (), down: Sequence[FunctionKey] = ()) -> int:
        """The largest number of calls between a function and the taking of `lock` at which it still counts as the same
        instance.

        files: of those who hold it. down: the functions down to who takes it. A lock of the kernel's structures that one
        file takes on both sides is that of its own objects.
        """
        takers = [file for key in down if not (file := file_of(key)).startswith("include/")]  # a macro is its user's
        if takers and takers[-1] in files:
            return MAX_CALLS_TO_LOCK
        owned = owner(lock)
        ours = not owned or lock in KERNEL.written or self._declares(owned)
        return (
            MAX_CALLS_TO_LOCK
            if ours or (lock in KERNEL.lock_classes and KERNEL.lock_classes[lock] in KERNEL.latches)
            else MAX_CALLS_TO_KERNEL_LOCK
        )

    def _declares(self, struct: str) -> bool:
        """Whether a struct is one of this code."""
        return any(not path.startswith("include/") for path in self.program.names.declaring(struct))

    def context(self, key: FunctionKey) -> str:
        """Name of the first context that the function at the root of a chain runs in; empty when none is known."""
        return next((e.context for e in self.program.entered(key)), "")

    def writer(self, lock: str) -> Actor | None:
        """A function that takes the rwsem for write, or waits for the readers of SRCU, with its way from the root of a
        context."""
        for key in (*self.takers.get(lock, ()), *self.passers.get(lock, ())):
            for fact in self.program.own_facts(key):
                if isinstance(fact, Lock) and (fact.lock, fact.mode) == (lock, "w") and fact.how in _ASKING:
                    chain = min(self.program.entry(key), key=lambda way: len(way.chain)).chain
                    return Actor(chain=chain, context=self.context(chain[0]), at=fact.at)
        return None


def _put(index: dict[str, list[FunctionKey]], what: str, key: FunctionKey) -> None:
    keys = index.setdefault(what, [])
    if not keys or keys[-1] != key:
        keys.append(key)


def _both_read(first: str, second: str) -> bool:
    return first == second == "r"


def providers(program: Program) -> Providers:
    """The indices of a program."""
    return program.component(Providers)


def wants(program: Program, key: FunctionKey, lock: str) -> set[str]:
    """In which modes a function takes a lock, through its calls."""
    return {e.detail for e in program.does(key) if e.kind == "lock" and e.object == lock}


def chosen(program: Program, key: FunctionKey, lock: str) -> bool:
    """Whether a function takes a lock only where a pointer stands for some of several functions.

    One thread function runs many kinds of threads then, and which kind is waited for is not known.
    """
    for effect in program.does(key):
        if effect.kind != "lock" or effect.object != lock:
            continue
        for at in program.effects.chain(key, effect):
            caller = at.key
            for call in program.body(caller).calls:
                targets = program.callgraph.reached(caller, call) if call.line == at.line else ()
                if len(targets) > 1 and not all(wants(program, t, lock) for t in targets):
                    return True
    return False


def barred(program: Program, key: FunctionKey, lock: str, user: FunctionKey) -> bool:
    """Whether a function takes a lock only for objects with a pointer set that the user's code never gets to set.

    A library's thread serves objects of several kinds; those that a driver embeds in its own lack what others have.
    user: key of the outermost function of whoever waits for it.
    """
    reach: set[FunctionKey] | None = None
    for effect in program.does(key):
        if effect.kind != "lock" or effect.object != lock:
            continue
        for at in program.effects.chain(key, effect):
            for pointer in _tested(program, at.key, at.line):
                reach = _reach(program, program.names.file[user]) if reach is None else reach
                setters = _setters(program, pointer)
                if setters and not setters & reach:
                    return True
    return False


def _tested(program: Program, key: FunctionKey, line: int) -> set[str]:
    """Members of objects that have to be there for a function to come to the calls of a line."""
    view, found = program.view(key), set[str]()
    for made in view.made:
        if made.call.line == line:
            held = view.dominance.conditions(made.block)
            found |= {view.body.identity(bare(w)) for w, taken in held if taken and isinstance(bare(w), Field)}
    return found


def _setters(program: Program, pointer: str) -> set[FunctionKey]:
    """Keys of the functions that set such a member to something."""
    found, name = set[FunctionKey](), pointer.rpartition(".")[2]
    for key in program.functions():
        body = program.body(key)
        set_ = [(e.left, e.right) for e in body.events() if isinstance(e, Assign)]
        near = [(left, right) for left, right in set_ if isinstance(left, Field) and left.name == name]
        if any(body.identity(left) == pointer and show(right) not in ("NULL", "0") for left, right in near):
            found.add(key)
    return found


def _reach(program: Program, path: str) -> set[FunctionKey]:
    """Keys of the functions that those of a file come to."""
    found = set(program.functions(path))
    todo = list(found)
    while todo:
        new = set(program.callees(todo.pop())) - found
        found |= new
        todo += new
    return found


def lock_class(program: Program, lock: str) -> str:
    """Class of a lock, from the calls that take it, else from those under it: a macro that takes a lock of its argument
    does not say of which struct. Empty when nobody takes it."""
    found = providers(program)
    for key in found.takers.get(lock, ()):
        for fact in program.own_facts(key):
            if isinstance(fact, Lock) and fact.lock == lock:
                return fact.klass
    for key in found.holders.get(lock, ()):
        places = program.locksets.record(key).at.values() if key in program.names.functions else ()
        for held in (held for at in places for held in at.held):
            if held.lock == lock:
                return held.klass
    return KERNEL.lock_classes.get(lock, "")
