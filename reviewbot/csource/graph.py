"""The flow graph of one function while it is built."""

from __future__ import annotations

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
        reached = self._reached()
        entries: dict[int, int] = {}
        for block in reached:
            for to, *_ in block.edges:
                entries[id(to)] = entries.get(id(to), 0) + 1
        joined: set[int] = set()
        for block in reached:
            if id(block) in joined:
                continue
            while len(block.edges) == 1 and block.edges[0][1] is None:
                to = block.edges[0][0]
                if to.loop or entries[id(to)] > 1 or to is self.entry or to is block:
                    break
                if block.loop and to.edges and not block.events:
                    break
                block.events.extend(to.events)
                block.edges = to.edges
                joined.add(id(to))
        kept = [block for block in reached if id(block) not in joined]
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

    def _reached(self) -> list[Draft]:
        seen, stack = {id(self.entry)}, [self.entry]
        while stack:
            for to, *_ in stack.pop().edges:
                if id(to) not in seen:
                    seen.add(id(to))
                    stack.append(to)
        return [block for block in self.placed if id(block) in seen]


def _skip(block: Draft) -> Draft:
    """The block that an empty one only leads to."""
    seen = set()
    while not block.events and not block.loop and len(block.edges) == 1 and block.edges[0][1] is None:
        if id(block) in seen:
            break
        seen.add(id(block))
        block = block.edges[0][0]
    return block
