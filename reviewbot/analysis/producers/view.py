"""What a producer of facts sees: one function with its names, its calls, and what is held at each of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.code.body import Body
from reviewbot.analysis.code.dominance import Dominance
from reviewbot.analysis.code.expr import bare, show
from reviewbot.analysis.code.memo import Given
from reviewbot.analysis.locks.flow import walk
from reviewbot.analysis.locks.lockset import Locksets
from reviewbot.analysis.locks.lockset_summary import NOTHING, At, LockSummary
from reviewbot.csource.ir import Assign, Call, CallEvent, Expr
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL, ClientCall, Effect, LockCall, PoolCall, schema
from reviewbot.types import Place

E = TypeVar("E")


class Made(NamedTuple):
    """One call of a function: its number in the order of the text (from 0), its block, the effects of a kernel call,
    and the locksets there."""

    call: Call
    number: int
    block: int
    effects: tuple[Effect, ...]
    at: At
    guard: str

    @property
    def cut(self) -> bool:
        """Whether a search ends at the call: what is known of it stands for what its body does."""
        return any(self.effects) and self.call.callee in KERNEL.cuts


class View:
    """One function of a program, for the producers."""

    def __init__(self, callgraph: CallGraph, locksets: Locksets, key: FunctionKey, given: Given = ()) -> None:
        self.callgraph, self.locksets, self.key = callgraph, locksets, key
        self.body: Body = callgraph.body(key)
        self.record: LockSummary = locksets.record(key, given)
        self.given = given

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.body.function.name

    @cached_property
    def made(self) -> tuple[Made, ...]:
        """The calls of the function."""
        out = []
        index = 0
        for number, block in enumerate(self.body.function.blocks):
            for event in block.events:
                if isinstance(event, CallEvent):
                    call = event.call
                    direct = call.callee and call.callee not in self.body.locals
                    effects = KERNEL.effects.get(call.callee, ()) if direct else ()
                    at = self.record.at.get(index, NOTHING)
                    out.append(Made(call, index, number, effects, at, event.guard))
                    index += 1
        return tuple(out)

    @cached_property
    def missed(self) -> frozenset[int]:
        """Numbers of the calls that cannot be reached when the function is called with these constants."""
        if not self.given:
            return frozenset()
        plan = self.locksets.plan(self.key)
        found = plan.unreached(dict(self.given))
        if plan.plain:
            return found
        paths = walk(plan, dict(self.given), correlate=False)
        return found if paths.cut else found.union(n for n in plan.wanted if not paths.at.get(n))

    @cached_property
    def dominance(self) -> Dominance:
        """Which conditions hold in which block."""
        return Dominance(self.body.function.blocks)

    def place(self, line: int) -> Place:
        """A line of this function."""
        return Place(self.body.file, line, self.name)

    def site(self, made: Made) -> dict[str, Any]:
        """The fields that every fact about this call has, as keyword arguments: function, place, call, locksets, path
        condition."""
        return {
            "function": self.name,
            "at": self.place(made.call.line),
            "call": made.call.callee or show(made.call.target),
            "held": made.at.held,
            "maybe": made.at.maybe,
            "coarse": made.at.coarse,
            "dropped": made.at.dropped,
            "gates": self.dominance.gates(made.block),
        }

    def having(self, kind: type[E]) -> Iterator[tuple[Made, E]]:
        """The calls with an effect of a kind, each with the effect."""
        for made in self.made:
            for effect in made.effects:
                if isinstance(effect, kind):
                    yield made, effect

    def locks(self) -> Iterator[tuple[Made, LockCall]]:
        """Calls on locks."""
        return self.having(LockCall)

    def pools(self) -> Iterator[tuple[Made, PoolCall]]:
        """Calls on reserves."""
        return self.having(PoolCall)

    def clients(self) -> Iterator[tuple[Made, ClientCall]]:
        """Calls on clients."""
        return self.having(ClientCall)

    def arg(self, call: Call, position: int | None) -> Expr | None:
        """An argument, or None when the call has none there."""
        return call.args[position] if position is not None and position < len(call.args) else None

    def object(self, call: Call, position: int | None, fixed: str = "") -> str:
        """Identity of what an argument stands for; `fixed` when the call needs none; `?` when it is not known."""
        if fixed:
            return fixed
        arg = self.arg(call, position)
        return self.body.identity(arg) if arg is not None else "?"

    @cached_property
    def results(self) -> dict[Call, Expr]:
        """Call -> what its result is assigned to (casts and wrappers seen through)."""
        found: dict[Call, Expr] = {}
        for event in self.body.events():
            if isinstance(event, Assign) and event.op == "=":
                value = bare(event.right)
                if isinstance(value, Call):
                    found[value] = event.left
            elif isinstance(event, CallEvent) and len(event.call.args) == 2 and _sets(event.call):
                left, value = event.call.args[0], bare(event.call.args[1])
                if isinstance(value, Call):
                    found[value] = left  # rcu_assign_pointer(x->thread, create())
        return found

    def result(self, call: Call) -> str:
        """Identity of what the call's result is kept in; `?` when it is not kept."""
        left = self.results.get(call)
        if left is None:
            return "?"
        identity = self.body.identity(left)
        if "()" in identity or identity.startswith("*"):
            kept = self._passed_on(left)
            return kept or identity
        return identity

    def _passed_on(self, left: Expr) -> str:
        """Where a local that holds a result is stored: `q = alloc(); x->q = q;`."""
        text = show(left)
        found = {
            self.body.identity(e.left)
            for e in self.body.events()
            if isinstance(e, Assign) and e.op == "=" and show(e.right) == text and show(e.left) != text
        }
        found = {f for f in found if "()" not in f and not f.startswith(("*", "?"))}
        return found.pop() if len(found) == 1 else ""


def _sets(call: Call) -> bool:
    """Whether a call is an assignment to its first argument."""
    return any(
        isinstance(e, schema.WriteGroup) and e.op == "=" and not e.argument for e in KERNEL.effects.get(call.callee, ())
    )
