"""The flow graph of one function while it is built."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from reviewbot.csource.ir import Block, Event, Expr, FlowEdge
from reviewbot.limits import MAX_FUNCTION_STEPS


@dataclass(slots=True, eq=False)
class Draft:
    """A block in the making; its ways on lead to other drafts."""

    line: int
    events: list[Event] = field(default_factory=list)
    edges: list[tuple[Draft, Expr | None, bool, int]] = field(default_factory=list)
    loop: str = ""


class FlowGraph:
    """Blocks in the order of their text; `here` is where the next event goes."""

    def __init__(self, line: int) -> None:
        self.entry = self.here = Draft(line)
        self.placed = [self.entry]
        self.steps = 0

    @property
    def full(self) -> bool:
        """Whether there is more in it than a function may have."""
        return self.steps > MAX_FUNCTION_STEPS

    def emit(self, event: Event) -> None:
        """Add an event to the block here."""
        self.steps += 1
        self.here.events.append(event)

    def go(self, to: Draft, when: Expr | None = None, taken: bool = True, line: int = 0) -> None:
        """A way on from here; `line` is that of the condition."""
        self.steps += 1
        self.here.edges.append((to, when, taken, line))

    def place(self, block: Draft) -> None:
        """Go on in `block`, whoever leads there."""
        self.steps += 1
        self.here = block
        self.placed.append(block)

    def fall(self, block: Draft) -> None:
        """Go on in `block`, also from here."""
        self.go(block)
        self.place(block)

    def leave(self, line: int) -> None:
        """Nothing follows here; what comes next in the text is reached from elsewhere or not at all."""
        self.place(Draft(line))

    def finish(self) -> tuple[Block, ...]:
        """Drop what is never reached, skip empty blocks, join straight lines, number the rest."""
        reached = self._reached()
        for block in reached:
            block.edges = [(_skip(to), when, taken, line) for to, when, taken, line in block.edges]
        kept = self._joined(self._reached())
        number = {id(block): at for at, block in enumerate(kept)}
        return tuple(
            Block(
                tuple(block.events),
                tuple(FlowEdge(number[id(to)], when, taken, line) for to, when, taken, line in block.edges),
                block.line,
                block.loop,
            )
            for block in kept
        )

    def _joined(self, reached: list[Draft]) -> list[Draft]:
        """The blocks, each with those in it that nothing but it leads to."""
        entries = Counter(id(to) for block in reached for to, *_ in block.edges)
        joined: set[int] = set()
        for block in reached:
            while id(block) not in joined and (to := _only_way(block)) is not None:
                if to is self.entry or to is block or entries[id(to)] > 1 or not _joins(block, to):
                    break
                block.events.extend(to.events)
                block.edges = to.edges
                joined.add(id(to))
        return [block for block in reached if id(block) not in joined]

    def _reached(self) -> list[Draft]:
        seen, stack = {id(self.entry)}, [self.entry]
        while stack:
            for to, *_ in stack.pop().edges:
                if id(to) not in seen:
                    seen.add(id(to))
                    stack.append(to)
        return [block for block in self.placed if id(block) in seen]


def _only_way(block: Draft) -> Draft | None:
    """The block that always comes next, if one does."""
    return block.edges[0][0] if len(block.edges) == 1 and block.edges[0][1] is None else None


def _joins(block: Draft, to: Draft) -> bool:
    """Whether a block takes in the next: the head of a loop stays one, and takes in no more than what ends there."""
    return not to.loop and not (block.loop and to.edges and not block.events)


def _skip(block: Draft) -> Draft:
    """The block that an empty one only leads to."""
    seen: set[int] = set()
    while not block.events and not block.loop and id(block) not in seen and (to := _only_way(block)) is not None:
        seen.add(id(block))
        block = to
    return block
