"""What tasks have that is no lock (kernel/resources.toml): who has it, and what asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from reviewbot.analysis.callgraph.contexts import ExecutionContext
from reviewbot.analysis.callgraph.pointer_flow import Started
from reviewbot.analysis.code.expr import parts, show
from reviewbot.analysis.code.identity import Scope, file_with, in_file, known, scope, variable_of
from reviewbot.analysis.events.kinds import Flush, Held, Workqueue
from reviewbot.analysis.program.program import Component, Program
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.csource.ir import Name
from reviewbot.detect.paths import HANDED, InstancePaths, first
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.kernel.resource_schema import Removal, ResourceKind
from reviewbot.types import Place

FILE_OWNERS = frozenset({"device", "kobject"})
"""Structures that files of sysfs belong to."""


class InsideRun(NamedTuple):
    """What is held for all of a run, and the functions (keys) from its root to the one that was asked for."""

    held: Held
    chain: tuple[FunctionKey, ...]
    of: str
    """The work item, timer or thread that the root is run for."""


class Resources(Component):
    """Who is inside of what, in one program."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._inside: dict[FunctionKey, tuple[InsideRun, ...]] = {}
        self._members: dict[tuple[str, str], frozenset[str]] = {}

    def inside(self, key: FunctionKey) -> tuple[InsideRun, ...]:
        """What a function is run inside of, by key."""
        found = self._inside.get(key)
        if found is None:
            every = (one for entered in self.program.entered(key) for one in self._of(entered))
            found = self._inside[key] = tuple({one.held: one for one in every}.values())
        return found

    def _of(self, entered: ExecutionContext) -> Iterator[InsideRun]:
        if (kind := KERNEL.held_by_slot.get(entered.slot)) is not None and entered.runner:
            yield InsideRun(Held(entered.runner, "x", kind.klass), entered.chain, entered.runner)
        for kind in KERNEL.held_in.get(entered.context, ()):
            for object_ in self._objects(kind, entered):
                if meant(object_):
                    of = entered.runner if kind.ordered else object_
                    yield InsideRun(Held(object_, "x", kind.klass), entered.chain, of)

    def _objects(self, kind: ResourceKind, entered: ExecutionContext) -> Iterable[str]:
        if "thread" in kind.flushes:
            return self.threads.get(entered.chain[0], {})
        if kind.ordered:
            return [queue] if (queue := self.queue(entered.runner)) in self.ordered else []
        return [entered.runner]

    def holders(self, object_: str) -> tuple[FunctionKey, ...]:
        """Keys of the functions at the roots of what is run for a work item, a timer or a thread."""
        found = [bound.handler for bound in self.program.callgraph.bound if bound.work == object_]
        found += [root for root, objects in self.threads.items() if object_ in objects]
        found += self.files.get(object_, ())
        return tuple(dict.fromkeys(found))

    def queue(self, work: str) -> str:
        """The only queue that a work item is put on; empty where there are several, or where that is not known."""
        queues = self.program.callgraph.queued.get(work, set())
        return next(iter(queues)) if len(queues) == 1 else ""

    def apart(self, one: str, two: str) -> bool:
        """Whether two work items never run at once: they are on one queue, and that is ordered."""
        return bool(queue := self.queue(one)) and queue == self.queue(two) and queue in self.ordered

    @cached_property
    def ordered(self) -> frozenset[str]:
        """Queues that run one item after the other, wherever they are made."""
        made: dict[str, set[bool]] = {}
        for _, fact in self.program.all(Workqueue):
            made.setdefault(fact.object, set()).add(fact.ordered)
        return frozenset(queue for queue, how in made.items() if how == {True} and meant(queue))

    @cached_property
    def threads(self) -> dict[FunctionKey, dict[str, Started]]:
        """Function of a thread -> where the thread is kept, with how it is started."""
        found: dict[FunctionKey, dict[str, Started]] = {}
        for started in self.program.callgraph.started:
            view = self.program.view(started.key)
            for made in view.made:
                if made.call.line == started.line and made.call.callee == started.call:
                    found.setdefault(started.handler, {})[view.result(made.call)] = started
        return found

    def asks(self, effect: Effect, held: Held) -> bool:
        """Whether an effect ends only when what is held is left."""
        kind = KERNEL.resources.get(held.klass)
        if kind is None or effect.kind != "flush" or effect.detail not in kind.flushes:
            return False
        if kind.ordered:
            return self.queue(effect.object) == held.lock
        if kind.slots:
            return held.lock in self.attributes(effect.object, file_with(held.lock))
        return effect.object in (held.lock, f"{held.lock}.work") or (
            effect.detail == "workqueue" and bool(effect.object) and self.queue(held.lock) == effect.object
        )

    def removal(self, held: Held, effect: Effect) -> Removal | None:
        """Who removes the file that somebody is in with the lock held that he asks for."""
        found = KERNEL.removals.get(effect.object) if effect.kind == "lock" else None
        if found is None or not KERNEL.resources[held.klass].slots:
            return None
        return found if any(held.lock in self.of_device.get(device, ()) for device in found.of) else None

    def asked(self, key: FunctionKey, held: Held) -> Iterator[Effect]:
        """The effects of a function, through its calls, that ask for what is held."""
        return (effect for effect in self.program.does(key) if self.asks(effect, held))

    def waits(self, effect: Effect, held: Held, at: Place) -> bool:
        """Whether what asks for what is held, at a line, waits for it: to take an item off an ordered queue does not."""
        flushes = (f for f in self.program.own_facts(at.key) if isinstance(f, Flush) and f.at.line == at.line)
        return not KERNEL.resources[held.klass].ordered or any(f.of == effect.detail and not f.cancel for f in flushes)

    @cached_property
    def files(self) -> dict[str, tuple[FunctionKey, ...]]:
        """Attribute -> keys of the functions that show and store it."""
        found: dict[str, list[FunctionKey]] = {}
        for key, roots in sorted(self.program.callgraph.roots.items()):
            for root in sorted(roots):
                if root.slot in KERNEL.held_by_slot and root.runner:
                    found.setdefault(root.runner, []).append(key)
        return {name: tuple(keys) for name, keys in found.items()}

    @cached_property
    def of_device(self) -> dict[str, frozenset[str]]:
        """Device or kobject, as a member of the structure that attributes find around theirs -> these attributes."""
        found: dict[str, set[str]] = {}
        for attribute, keys in self.files.items():
            for device in {device for key in keys for device in self.devices(key)}:
                found.setdefault(device, set()).add(attribute)
        return {device: frozenset(names) for device, names in found.items()}

    def devices(self, key: FunctionKey) -> frozenset[str]:
        """What the device or kobject is that a function of an attribute is handed: `struct.member`, as it says itself by
        container_of(), by its own call or that of a function like to_foo(dev)."""
        body, paths = self.program.body(key), Surroundings(self.program)
        handed = next((n for n, p in enumerate(body.function.parameters) if p.type.name in FILE_OWNERS), None)
        if handed is None:
            return frozenset()
        given = first({handed: HANDED})
        for expr in (
            *(e for values in body.values.values() for _, e in values),
            *(a for c in body.calls for a in c.args),
        ):
            paths.of(body, expr, given)
        return frozenset(paths.found)

    def attributes(self, object_: str, file: str) -> frozenset[str]:
        """The attributes that are removed with one: with itself, with its group, with a table of groups, of a file; with
        the device that they are files of."""
        if scope(object_) is Scope.INSTANCE:
            return self.of_device.get(object_, frozenset())
        key = variable_of(object_, file)
        if key not in self._members:
            self._members[key] = frozenset(in_file(key[0], one) for one in self._below(*key))
        return self._members[key]

    def _below(self, file: str, name: str) -> set[str]:
        found, todo = set[str](), [name]
        tables = self._tables(file)
        while todo:
            if (name := todo.pop()) not in found:
                found.add(name)
                todo += tables.get(name, ())
        return found

    def _tables(self, file: str) -> dict[str, list[str]]:
        """Variable of a file -> the variables that its initialiser names."""
        found: dict[str, list[str]] = {}
        unit = self.program.names.units.get(file)
        for entry in unit.slots if unit is not None else ():
            found.setdefault(entry.variable, []).extend(p.name for p in parts(entry.value) if isinstance(p, Name))
        for call in unit.calls_at_file_scope if unit is not None else ():
            if (macro := KERNEL.attributes.get(call.callee)) is not None and macro.groups and call.args:
                for group in macro.groups:
                    found[group.format(show(call.args[0]))] = [macro.members.format(show(call.args[0]))]
        return found

    def askers(self, held: Held) -> dict[str, tuple[str, bool]]:
        """What a flush is handed that asks for what is held -> that, and whether who only cancels asks for it, too."""
        if KERNEL.resources[held.klass].slots:
            flushed = {fact.object for _, fact in self.program.all(Flush) if fact.of == "attribute"}
            file = file_with(held.lock)
            return {object_: (held.lock, True) for object_ in flushed if held.lock in self.attributes(object_, file)}
        if KERNEL.resources[held.klass].ordered:
            queued = self.program.callgraph.queued
            return {work: (held.lock, False) for work in queued if self.queue(work) == held.lock}
        queue = self.queue(held.lock)
        item = f"{held.lock}.work"  # that of a delayed work
        return {object_: (held.lock, True) for object_ in (held.lock, item, queue) if object_}


class Surroundings(InstancePaths):
    """Paths that note which structure, and which member of it, is around the device or kobject that was handed."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, "")
        self.found: set[str] = set()

    def around(self, path: str, type_: str, member: str) -> str:
        """See `InstancePaths.around`: the device around a kobject is as good as the kobject."""
        if path == HANDED and member and type_ not in FILE_OWNERS:
            self.found.add(f"{type_}.{member}")
        return super().around(path, type_, member)


def meant(object_: str) -> bool:
    """Whether an identity is that of one variable, or of a member of a structure that is known."""
    return known(object_) and not object_.startswith("*") and scope(object_) is not Scope.STACK


def resources(program: Program) -> Resources:
    """Who is inside of what in a program."""
    return program.component(Resources)
