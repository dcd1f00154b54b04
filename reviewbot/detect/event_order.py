"""Events of a function that are done in another order than they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reviewbot.analysis.program.program import Component, Program
from reviewbot.csource.ir import Block
from reviewbot.detect.changed import MOVED, Changed, weight_of
from reviewbot.detect.guarded import (
    CALL,
    LEAVE,
    QUIET,
    RETURN,
    SET,
    GuardedEvent,
)
from reviewbot.function_key import FunctionKey
from reviewbot.limits import MAX_ORDERED_EVENTS


class EventOrder(Component):
    """Which of two events of a function comes first, within one round of the loops around them."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._later: dict[FunctionKey, tuple[frozenset[int], ...]] = {}

    def precedes(self, one: GuardedEvent, other: GuardedEvent) -> bool:
        """Whether a run that does both can do `one` before `other`."""
        for level, (first, second) in enumerate(zip(one.way, other.way, strict=False)):
            if first == second:
                continue
            if first.block == second.block:
                return first.event < second.event
            return second.block in self._forward(one.stack[level])[first.block]
        return False

    def _forward(self, key: FunctionKey) -> tuple[frozenset[int], ...]:
        found = self._later.get(key)
        if found is None:
            found = self._later[key] = _forward(self.program.body(key).function.blocks)
        return found


def _forward(blocks: Sequence[Block]) -> tuple[frozenset[int], ...]:
    """For each block those that come after it without going back to the head of a loop."""
    rank = {block: number for number, block in enumerate(_postorder(blocks))}
    later: list[frozenset[int]] = [frozenset()] * len(blocks)
    for block in sorted(rank, key=rank.__getitem__):
        direct = {e.to for e in blocks[block].edges if rank[e.to] < rank[block]}
        later[block] = frozenset(direct).union(*(later[to] for to in direct))
    return tuple(later)


def _postorder(blocks: Sequence[Block]) -> Iterator[int]:
    """The blocks, each after those that it leads to (but for those that lead back)."""
    seen = {0}
    stack = [(0, iter(blocks[0].edges))] if blocks else []
    while stack:
        at, edges = stack[-1]
        for edge in edges:
            if edge.to not in seen:
                seen.add(edge.to)
                stack.append((edge.to, iter(blocks[edge.to].edges)))
                break
        else:
            stack.pop()
            yield at


def moved(
    anchor: FunctionKey, pairs: Sequence[tuple[GuardedEvent, GuardedEvent]], before: EventOrder, after: EventOrder
) -> Iterator[Changed]:
    """What is done before something that it was done after, or after what it was done before, as few events as explain
    it: the order counts where one of the two is a lock, a wait, a wake-up or the like, and between calls."""
    counted = [(b, a) for b, a in pairs if b.op not in (QUIET, RETURN, LEAVE, SET)][:MAX_ORDERED_EVENTS]
    turned: dict[int, set[int]] = {}
    for i, (b1, a1) in enumerate(counted):
        for j in range(i + 1, len(counted)):
            b2, a2 = counted[j]
            if not (b1.ordered or b2.ordered or b1.op == b2.op == CALL):
                continue
            was, now = (
                before.precedes(b1, b2) - before.precedes(b2, b1),
                after.precedes(a1, a2) - after.precedes(a2, a1),
            )
            if was * now < 0:
                turned.setdefault(i, set()).add(j)
                turned.setdefault(j, set()).add(i)
    while turned:
        most = max(turned, key=lambda i: (len(turned[i]), counted[i][0].ordered, -i))
        with_ = turned.pop(most)
        other = min(with_, key=lambda i: (weight_of(counted[i][1]), i))
        later = before.precedes(counted[most][0], counted[other][0])
        yield Changed(MOVED, anchor, *counted[most], past=counted[other][1], later=later)
        for i in with_:
            turned[i].discard(most)
            if not turned[i]:
                del turned[i]
