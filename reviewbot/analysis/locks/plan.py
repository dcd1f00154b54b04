"""A function made ready for walking: what its blocks do to locks and values, and which values are worth following."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.dominance import Dominance, backwards
from reviewbot.analysis.code.expr import ANY, WORD, ConditionTest, bare, show, sign, test
from reviewbot.analysis.locks import task_flags
from reviewbot.analysis.locks.task_flags import ScopeChange
from reviewbot.csource.ir import AddressOf, Assign, Block, Call, CallEvent, Expr, Field, Name, OpExpr, Return
from reviewbot.kernel import KERNEL, LockCall


class LockToken(NamedTuple):
    """One lock in the state of a path. mine: taken in this function; otherwise a lock of its caller that was released
    here. base: the instance, in this function's words."""

    lock: str
    mode: str
    klass: str
    base: str
    mine: bool = True


MASK = "mask"
"""Class of what keeps interrupts, softirqs or the scheduler away, whatever lock it is for: it is counted beside the lock."""
IRQ_OFF, BH_OFF, ATOMIC = "irq off", "bh off", "atomic"
"""What is kept so: interrupts are off, softirqs are, the task may not sleep."""


def masks(irq: str, atomic: bool) -> tuple[LockToken, ...]:
    """What a lock call keeps away, from what kernel/api.toml says that it does to interrupts, and of its lock's class."""
    off = {"off": (IRQ_OFF,), "save": (IRQ_OFF,), "bh": (BH_OFF,)}.get(irq, ())
    return tuple(LockToken(name, "x", MASK, "") for name in (*off, *((ATOMIC,) if atomic else ())))


class LockDelta(NamedTuple):
    """The lock delta of a call, for the case that its result has one of `signs`: first `drops` are released, then
    `takes` acquired."""

    signs: int
    drops: tuple[LockToken, ...]
    takes: tuple[LockToken, ...]


def depends(changes: tuple[LockDelta, ...]) -> bool:
    """Whether what a call returned says something of what it did, or the other way round."""
    return len(changes) > 1 or any(change.signs != ANY for change in changes)


Held = tuple[LockToken, ...]
Values = frozenset[tuple[str, int]]
Outcome = Callable[[Call], tuple[tuple[LockDelta, ...], tuple[LockDelta, ...]]]
"""What a call does to locks, by the sign of its result (empty when it does nothing to them), and how it can leave the
function that makes it, when it is a macro."""
Signs = Callable[[Call], int]
"""The signs of what a call returns, from its callee."""


def context_of(call: Call, effect: object, sure: bool = False) -> Expr | None:
    """The argument that lets a call of the kernel's that takes a lock fail, so that others come first; None without one.

    sure: only of calls that cannot fail without it.
    """
    if isinstance(effect, LockCall) and effect.does in ("acquire", "killable") and (effect.group.sure or not sure):
        number = effect.group.context
        return bare(call.args[number]) if number is not None and number < len(call.args) else None
    return None


def scoped(change: ScopeChange) -> LockDelta:
    """Entering and leaving scopes, as taking and giving back."""
    enters, leaves = ([LockToken(scope, "x", "scope", "") for scope in scopes] for scopes in change)
    return LockDelta(ANY, tuple(leaves), tuple(enters))


class Assignment(NamedTuple):
    """An assignment. left: what is set, as text; name: the local, if it is one; plain: by `=` and no other operator;
    signs: those that the right side can have."""

    left: str
    name: str
    right: Expr
    plain: bool
    signs: int


class Lead(NamedTuple):
    """An edge of the flow graph to block number `to`. key: the value that decides (empty for an unconditional edge),
    with the `signs` it has there; possible: the signs it can have at all."""

    to: int
    key: str
    signs: int
    possible: int


class PreparedCfg:
    """A function made ready for walking: what each block does to locks and values, and which values matter."""

    def __init__(
        self, body: Body, outcome: Outcome, interesting: Callable[[Call], bool], result: Signs = lambda _: ANY
    ) -> None:
        self.body = body
        self._result = result
        self.blocks = body.function.blocks
        self.number: dict[int, int] = {}
        """id of a call node -> its index in the function."""
        self.changes: dict[int, tuple[LockDelta, ...]] = {}
        """Index of a call -> what it does to locks."""
        self.certain: dict[int, str] = {}
        """Index of a call that takes a lock by its first change, and not otherwise, where this parameter is NULL."""
        self.contexts: set[str] = set()
        """What lets some call that takes a lock fail, so that others come first."""
        self.escapes: dict[int, tuple[LockDelta, ...]] = {}
        """Index of a call of a macro that can return from this function -> how it leaves, by the returned value."""
        self.scopes: dict[int, LockDelta] = {}
        """id of an assignment -> the scopes that it enters or leaves."""
        self.wanted: set[int] = set()
        self._tests: dict[int, ConditionTest] = {}
        self._words: dict[str, frozenset[str]] = {}
        self._texts: dict[int, str] = {}
        self._stores: dict[int, Assignment] = {}
        self._handed: dict[int, frozenset[str]] = {}
        self._leads: dict[int, tuple[Lead, ...]] = {}
        index = 0
        for block in self.blocks:
            for event in block.events:
                if isinstance(event, CallEvent):
                    self.number[id(event)] = index
                    changes, escapes = outcome(event.call)
                    if escapes:
                        self.escapes[index] = escapes
                    if changes:
                        self.changes[index] = changes
                    if changes or interesting(event.call):
                        self.wanted.add(index)
                    for effect in KERNEL.effects.get(event.call.callee, ()):
                        if (context := context_of(event.call, effect)) is not None:
                            self.contexts.add(self.text(context))
                            if len(changes) > 1 and context_of(event.call, effect, sure=True) is not None:
                                self.certain[index] = self.text(context)
                    index += 1
                elif isinstance(event, Assign) and any(change := task_flags.assigned(body, event)):
                    self.scopes[id(event)] = scoped(change)

    @cached_property
    def own(self) -> frozenset[str]:
        """Fields that the function sets itself: a lock in one of them that it gives back came from a call, taken."""
        sets = (e.left for e in self.body.events() if isinstance(e, Assign) and isinstance(e.left, Field))
        return frozenset(self.body.identity(left) for left in sets)

    @property
    def plain(self) -> bool:
        """Whether nothing in the function touches locks: then nothing is held anywhere."""
        return not self.changes and not self.escapes and not self.scopes

    def test(self, when: Expr) -> ConditionTest:
        """The condition of an edge, read once."""
        found = self._tests.get(id(when))
        if found is None:
            found = self._tests[id(when)] = test(when)
        return found

    def text(self, expr: Expr) -> str:
        """An expression of the function as text, written once."""
        found = self._texts.get(id(expr))
        if found is None:
            found = self._texts[id(expr)] = show(expr)
        return found

    def signs(self, value: Expr) -> int:
        """The signs that a value can have, from its text and, for a call, from its callee."""
        return sign(value) & self._result(value) if isinstance(value, Call) else sign(value)

    def store(self, event: Assign) -> Assignment:
        """An assignment, read once."""
        found = self._stores.get(id(event))
        if found is None:
            name = event.left.name if isinstance(event.left, Name) else ""
            right = bare(event.right)
            plain = event.op == "="
            found = self._stores[id(event)] = Assignment(
                self.text(event.left), name, right, plain, self.signs(right) if plain else ANY
            )
        return found

    def handed(self, call: Call) -> frozenset[str]:
        """Locals whose address a call is given."""
        found = self._handed.get(id(call))
        if found is None:
            args = (bare(arg) for arg in call.args)
            found = self._handed[id(call)] = frozenset(
                arg.base.name for arg in args if isinstance(arg, AddressOf) and isinstance(arg.base, Name)
            )
        return found

    def leads(self, block: Block) -> tuple[Lead, ...]:
        """Where a block goes on, and what its conditions say."""
        found = self._leads.get(id(block))
        if found is None:
            out = []
            for edge in block.edges:
                if edge.when is None:
                    out.append(Lead(edge.to, "", ANY, ANY))
                else:
                    t = self.test(edge.when)
                    out.append(Lead(edge.to, t.key, t.yes if edge.taken else t.no, self.signs(t.value)))
            found = self._leads[id(block)] = tuple(out)
        return found

    def unreached(self, given: Mapping[str, int]) -> frozenset[int]:
        """Numbers of the calls that no way comes to when some parameters, which are never set, have these signs."""
        seen, todo = {0}, [0] if self.blocks else []
        while todo:
            for to, key, signs, _ in self.leads(self.blocks[todo.pop()]):
                if to not in seen and given.get(key, signs) & signs:
                    seen.add(to)
                    todo.append(to)
        dead = (event for n, block in enumerate(self.blocks) if n not in seen for event in block.events)
        return frozenset(self.number[id(event)] for event in dead if isinstance(event, CallEvent))

    def words(self, key: str) -> frozenset[str]:
        """Identifiers that a value's text mentions."""
        found = self._words.get(key)
        if found is None:
            found = self._words[key] = frozenset(WORD.findall(key))
        return found

    def followed(self, correlate: bool, given: Iterable[str], deciding: bool = False) -> frozenset[str]:
        """Keys of the values to follow: those that locks depend on, and with `correlate` all that are asked for twice,
        or, if `deciding`, those of them on whose tests it depends what happens to locks."""
        tested = self._tested()
        keys = set(given)
        for block in self.blocks:
            for event in block.events:
                if isinstance(event, CallEvent):
                    if depends(self.changes.get(self.number[id(event)], ())):
                        keys.add(self.text(event.call))
                elif isinstance(event, Assign) and self._tells(event, tested, keys):
                    keys.add(self.store(event).left)
        if correlate:
            twice = {key: tests for key, tests in tested.items() if len(tests) > 1 and not key.startswith("?")}
            if deciding:
                decides = self._decides(keys)
                twice = {k: tests for k, tests in twice.items() if sum(n < 0 or decides(n) for n in tests) > 1}
            keys |= twice.keys()
        return frozenset(keys)

    def _tells(self, event: Assign, tested: Collection[str], keys: set[str]) -> bool:
        """Whether an assignment says something of the signs of a value that is tested, by itself or by a value of `keys`."""
        left, name, right, plain, signs = self.store(event)
        if left not in tested:
            return False
        return bool(plain and signs != ANY and name) or any(self.text(v) in keys for v in choices(right))

    def _tested(self) -> dict[str, list[int]]:
        """Value -> the numbers of the blocks whose edges test it; -1 for a return."""
        found: dict[str, list[int]] = {}
        for number, block in enumerate(self.blocks):
            for key in {self.test(edge.when).key for edge in block.edges if edge.when is not None}:
                found.setdefault(key, []).append(number)
            for event in block.events:
                if isinstance(event, Return) and event.value is not None:
                    for key in _asked(event.value):
                        found.setdefault(key, []).append(-1)
        if self.body.function.value is not None:
            for key in _asked(self.body.function.value):
                found.setdefault(key, []).append(-1)
        return found

    def _decides(self, keys: set[str]) -> Callable[[int], bool]:
        """Says of the number of a block whether it depends on its test what happens to locks, or to values of `keys`."""
        known: dict[int, bool] = {}
        after = Dominance(backwards(self.blocks))

        def touches(number: int) -> bool:
            for event in self.blocks[number].events:
                if isinstance(event, CallEvent):
                    index = self.number[id(event)]
                    if index in self.changes or index in self.escapes:
                        return True
                elif isinstance(event, Assign) and self.store(event).left in keys:
                    return True
            return False

        def decides(number: int) -> bool:
            if number not in known:
                joined = next(after.above(number + 1), 0) - 1
                seen = {joined}
                todo = [edge.to for edge in self.blocks[number].edges]
                known[number] = False
                while todo and not known[number]:
                    at = todo.pop()
                    if at not in seen:
                        seen.add(at)
                        known[number] = touches(at)
                        todo += [edge.to for edge in self.blocks[at].edges]
            return known[number]

        return decides

    def live(self, keys: frozenset[str]) -> list[frozenset[str]]:
        """Per block: the followed values that can still be tested from its start on."""
        own: list[set[str]] = []
        for block in self.blocks:
            here: set[str] = set()
            for edge in block.edges:
                if edge.when is not None:
                    here |= self._used(self.test(edge.when).value, keys)
            for event in block.events:
                if isinstance(event, Return) and event.value is not None:
                    here |= self._used(event.value, keys)
                elif isinstance(event, Assign):
                    here |= self._used(event.right, keys)
            if not block.edges and self.body.function.value is not None:
                here |= self._used(self.body.function.value, keys)
            own.append(here)
        changed = True
        while changed:
            changed = False
            for i in range(len(self.blocks) - 1, -1, -1):
                for edge in self.blocks[i].edges:
                    if not own[edge.to] <= own[i]:
                        own[i] |= own[edge.to]
                        changed = True
        return [frozenset(x) for x in own]

    def _used(self, expr: Expr, keys: frozenset[str]) -> set[str]:
        text = self.text(expr)
        return {key for key in keys if key in text}


def _asked(value: Expr) -> tuple[str, ...]:
    """What a returned value depends on: itself, and the condition of `a ? b : c`."""
    plain = bare(value)
    if isinstance(plain, OpExpr) and plain.op == "?:" and len(plain.args) == 3:
        return test(value).key, test(plain.args[0]).key
    return (test(value).key,)


def choices(expr: Expr) -> tuple[Expr, ...]:
    """The values that an expression can have: those of `a ? b : c` are b and c."""
    if isinstance(expr, OpExpr) and expr.op == "?:" and len(expr.args) == 3:
        return (*choices(bare(expr.args[1])), *choices(bare(expr.args[2])))
    return (expr,)
