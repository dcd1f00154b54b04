"""Path conditions: what holds in a block of a function because every way into it passes through the test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from reviewbot.analysis.code.expr import parts, show, test
from reviewbot.csource.ir import Assign, Block, Call, CallEvent, Expr, FlowEdge, Name, OpExpr
from reviewbot.kernel import KERNEL

GATE = KERNEL.pattern("gate")
"""Conditions that decide whether code may sleep or recurse."""


def is_gate(when: Expr) -> bool:
    """True when a condition itself looks at gfp flags, reclaim or task state; the arguments of a call that it makes do
    not count."""
    todo = [when]
    while todo:
        e = todo.pop()
        if isinstance(e, Call):
            if GATE.search(e.callee) or (e.callee.startswith("test_") and GATE.search(show(e))):
                return True
            if e.callee in KERNEL.transparent:
                todo += e.args
        elif isinstance(e, OpExpr):
            todo += e.args
        elif GATE.search(show(e)):
            return True
    return False


class Dominance:
    """Dominators of a flow graph (Cooper, Harvey, Kennedy: A simple, fast dominance algorithm)."""

    def __init__(self, blocks: tuple[Block, ...]) -> None:
        self.blocks = blocks

    @cached_property
    def _into(self) -> list[list[tuple[int, Expr | None, bool]]]:
        into: list[list[tuple[int, Expr | None, bool]]] = [[] for _ in self.blocks]
        for number, block in enumerate(self.blocks):
            for edge in block.edges:
                into[edge.to].append((number, edge.when, edge.taken))
        return into

    @cached_property
    def _above(self) -> list[int]:
        """Immediate dominator of each block; -1 for the entry and for what cannot be reached."""
        order: list[int] = []
        seen = {0}
        stack = [(0, iter(self.blocks[0].edges))] if self.blocks else []
        while stack:
            at, edges = stack[-1]
            for edge in edges:
                if edge.to not in seen:
                    seen.add(edge.to)
                    stack.append((edge.to, iter(self.blocks[edge.to].edges)))
                    break
            else:
                stack.pop()
                order.append(at)
        rank = {block: i for i, block in enumerate(order)}
        above = [-1] * len(self.blocks)
        if not order:
            return above
        above[0] = 0
        changed = True
        while changed:
            changed = False
            for block in reversed(order):
                if block == 0:
                    continue
                new = -1
                for source, _, _ in self._into[block]:
                    if above[source] == -1:
                        continue
                    new = source if new == -1 else self._meet(source, new, above, rank)
                if new != above[block]:
                    above[block] = new
                    changed = True
        above[0] = -1
        return above

    @staticmethod
    def _meet(a: int, b: int, above: list[int], rank: dict[int, int]) -> int:
        while a != b:
            while rank[a] < rank[b]:
                a = above[a]
            while rank[b] < rank[a]:
                b = above[b]
        return a

    def above(self, block: int) -> Iterator[int]:
        """The blocks that every way into a block comes through, nearest first."""
        while (block := self._above[block]) >= 0:
            yield block

    @cached_property
    def loops(self) -> tuple[frozenset[int], ...]:
        """The natural loops: the blocks of each, its head among them."""
        found: dict[int, set[int]] = {}
        for block in range(len(self.blocks)):
            for edge in self.blocks[block].edges:
                if edge.to == block or edge.to in self.above(block):
                    loop = found.setdefault(edge.to, {edge.to})
                    todo = [block]
                    while todo:
                        at = todo.pop()
                        if at not in loop:
                            loop.add(at)
                            todo += [source for source, _, _ in self._into[at]]
        return tuple(frozenset(loop) for loop in found.values())

    def either(self, block: int) -> Expr | None:
        """What holds in a block that the tests of one `a || b` lead to: these, joined by `||`; else None."""
        into = self._into[block]
        above = self._above[block]
        if len(into) < 2 or above < 0 or any(when is None for _, when, _ in into):
            return None
        tests = {source for source, _, _ in into} | {above}
        todo = [source for source in tests if source != above]
        while todo:
            source = todo.pop()
            if len(self._into[source]) != 1 or not self._only_tests(source):
                return None
            (higher, _, _) = self._into[source][0]
            if higher not in tests:
                tests.add(higher)
                todo.append(higher)
        held = sorted(into, key=lambda way: way[0])
        return OpExpr("||", tuple(w if taken else OpExpr("!", (w,)) for _, w, taken in held if w is not None))

    def _only_tests(self, number: int) -> bool:
        """Whether all that a block does is to evaluate its condition. A call of it is another object there than in the
        block where the function was read from the cache."""
        block = self.blocks[number]
        if not all(isinstance(event, CallEvent) for event in block.events):
            return False
        conditions = (edge.when for edge in block.edges if edge.when is not None)
        asked = {part for when in conditions for part in parts(when) if isinstance(part, Call)} if block.events else ()
        return all(isinstance(event, CallEvent) and event.call in asked for event in block.events)

    def conditions(self, block: int) -> list[tuple[Expr, bool]]:
        """The path condition of a block: (expression, whether it was taken), the nearest first. One of several tests
        (`a || b`) is one expression."""
        return [(when, taken) for _, when, taken in self.tests(block)]

    def tests(self, block: int) -> list[tuple[int, Expr, bool]]:
        """As `conditions`, each with the block that ends in the test (of several, in the first of them)."""
        out = []
        at = block
        while at > 0:
            into = self._into[at]
            if len(into) == 1:
                source, when, taken = into[0]
                if when is not None:
                    out.append((source, when, taken))
                at = source
            else:
                if (either := self.either(at)) is not None:
                    out.append((self._above[at], either, True))
                at = self._above[at]
        return out

    def asked_again(self, first: Iterable[int], later: Iterable[int]) -> bool:
        """True when each of the blocks `first` stands under a condition that is tested again above one of the blocks
        `later`, with none of its variables set in between."""
        asked = [condition for block in later for condition in self.conditions(block)]

        def anew(when: Expr, taken: bool, kept: set[str]) -> bool:
            if any(isinstance(part, Name) and part.name in kept for part in parts(when)):
                return False
            return any(w is not when and t == taken and show(w) == show(when) for w, t in asked)

        return all(any(anew(w, taken, self._set_from(b)) for w, taken in self.conditions(b)) for b in first)

    def _set_from(self, block: int) -> set[str]:
        """Variables that are set to something new in a block or later."""
        seen, todo = {block}, [block]
        while todo:
            new = {edge.to for edge in self.blocks[todo.pop()].edges} - seen
            seen |= new
            todo += new
        events = [event for number in seen for event in self.blocks[number].events]
        return {e.left.name for e in events if isinstance(e, Assign) and isinstance(e.left, Name) and e.op == "="}

    @cached_property
    def _gated(self) -> bool:
        return any(e.when is not None and is_gate(e.when) for block in self.blocks for e in block.edges)

    def gates(self, block: int) -> tuple[str, ...]:
        """The conditions on gfp flags and task state that hold in the block, as text; `!(...)` where not taken."""
        if not self._gated:
            return ()
        return tuple(dict.fromkeys(spell(w, taken) for w, taken in self.conditions(block) if is_gate(w)))


def spell(when: Expr, taken: bool) -> str:
    """A condition as it holds: `x & __GFP_FS`, or `!(x & __GFP_FS)`."""
    t = test(when)
    positive = t.yes != 1
    text = t.key
    return text if positive == taken else f"!({text})"


def backwards(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The flow graph read from its ends: block 0 leads to all ends, block n + 1 is block n. What dominates a block there
    is where its ways meet again."""
    onward: list[list[FlowEdge]] = [[] for _ in range(len(blocks) + 1)]
    for number, block in enumerate(blocks, 1):
        if not block.edges:
            onward[0].append(FlowEdge(number))
        for edge in block.edges:
            onward[edge.to + 1].append(FlowEdge(number))
    return tuple(Block((), tuple(edges), 0) for edges in onward)
