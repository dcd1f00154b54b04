"""Counters that somebody sleeps for until they are zero, in code and by what the kernel counts, and who changes them."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

from reviewbot.analysis.code.identity import Scope, known, scope
from reviewbot.analysis.events.kinds import Wait, Wake, Write
from reviewbot.analysis.program.program import Component, Program
from reviewbot.csource.ir import Call
from reviewbot.function_key import FunctionKey
from reviewbot.kernel import KERNEL
from reviewbot.limits import (
    MAX_CALLS_ABOVE_COUNT,
    MAX_CALLS_TO_COUNT,
)
from reviewbot.types import Place

RAISE, LOWER, HAND = "raise", "lower", "hand"
"""Steps: one more, one less, given to somebody who may lower it."""
BOTH = "both"
MOVES = {"+": RAISE, "-": LOWER, "?": RAISE}


class Sleeper(NamedTuple):
    """Who sleeps until a counter is zero: a function, its call, and the place where it is known."""

    function: str
    call: str
    at: Place | None


class Counters(Component):
    """The counters of a program that somebody waits for, and who changes them."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._above: dict[str, frozenset[FunctionKey]] = {}
        self._bulk: dict[tuple[str, FunctionKey], str] = {}

    @cached_property
    def sleepers(self) -> dict[str, Sleeper]:
        """Counter -> somebody who sleeps until it is zero."""
        found = {group.object: Sleeper(group.waits, "", None) for group, _ in KERNEL.counted.values()}
        for _, wait in self.program.all(Wait):
            found |= dict.fromkeys(wait.zeros, Sleeper(wait.function, wait.call, wait.at))
        for completion, counter in self._completed_last.items():
            for _, wait in self.program.all(Wait):
                if wait.object == completion and not wait.timeout:
                    found.setdefault(counter, Sleeper(wait.function, wait.call, wait.at))
        return found

    @cached_property
    def _completed_last(self) -> dict[str, str]:
        """Completion -> the counter of which only the last holder completes it."""
        by: dict[str, set[str]] = {}
        for _, wake in self.program.all(Wake):
            if wake.klass == "completion" and known(wake.object):
                by.setdefault(wake.object, set()).add(wake.last_of)
        return {completion: next(iter(of)) for completion, of in by.items() if len(of) == 1 and "" not in of}

    @cached_property
    def _moved(self) -> dict[str, set[FunctionKey]]:
        found: dict[str, set[FunctionKey]] = {}
        for key, write in self.program.all(Write):
            if write.op in MOVES and scope(write.object) is not Scope.STACK:
                found.setdefault(write.object, set()).add(key)
        return found

    def moving(self, counter: str) -> frozenset[FunctionKey]:
        """Functions that may change a counter, and those above them."""
        found = self._above.get(counter)
        if found is None:
            keys = set(self._moved.get(counter, ()))
            edge = set(keys)
            for _ in range(MAX_CALLS_ABOVE_COUNT):
                edge = {caller for key in edge for caller in self.program.callers(key)} - keys
                keys |= edge
            found = self._above[counter] = frozenset(keys)
        return found

    def near(self, counter: str, key: FunctionKey) -> bool:
        """Whether a function changes a counter itself, or by helpers right below it."""
        own, found = self._moved.get(counter, frozenset[FunctionKey]()), {key}
        for _ in range(MAX_CALLS_TO_COUNT):
            if not own.isdisjoint(found):
                return True
            found = {callee for k in found for callee in self.program.callees(k)}
        return not own.isdisjoint(found)

    def bulk(self, counter: str, key: FunctionKey) -> str:
        """`raise` or `lower` for a function that does nothing but that to a counter, for each object of a list; `both` where
        it does the one and the other, each in loops: that leaves it as it was."""
        if (counter, key) not in self._bulk:
            self._bulk[counter, key] = ""  # while it is looked at: a function that calls itself
            self._bulk[counter, key] = self._of_each(counter, key)
        return self._bulk[counter, key]

    def _of_each(self, counter: str, key: FunctionKey) -> str:
        if key not in self.moving(counter) or self.program.function(key).value is not None:
            return ""
        view, does, looped = self.program.view(key), set[str](), set[bool]()
        looping = frozenset[int]().union(*view.dominance.loops)
        for made in view.made:
            direct = move_of(self.program, key, made.call, counter)
            below = {self.bulk(counter, t) for t in self.program.callgraph.reached(key, made.call)} - {""}
            if direct:
                does.add(direct)
                looped.add(made.block in looping)
            elif below:
                does |= below
                looped.add(True)
            elif any(t in self.moving(counter) for t in self.program.callgraph.reached(key, made.call)):
                return ""
        if looped != {True}:
            return ""
        return next(iter(does)) if len(does) == 1 else BOTH


def move_of(program: Program, key: FunctionKey, call: Call, counter: str) -> str:
    """What a call of the kernel's does to a counter, in the function's own words; empty for nothing."""
    for fact in program.own_facts(key):
        if (
            isinstance(fact, Write)
            and fact.at.line == call.line
            and fact.call == call.callee
            and fact.object == counter
        ):
            return MOVES.get(fact.op, "")
    return ""
