"""A counter that is not given back -> the model of one side: what the function does to it, read off the code, and who
sleeps until it is zero."""

from __future__ import annotations

from reviewbot.analysis.code.expr import ANY
from reviewbot.analysis.program.program import Program
from reviewbot.detect.counted import KEPT, LAST, OWED, Leak
from reviewbot.detect.counters import HAND, LOWER, RAISE
from reviewbot.detect.counting import Counting
from reviewbot.function_key import name_of
from reviewbot.limits import MAX_COUNTED
from reviewbot.replay.slicing.automaton import TaskAutomaton
from reviewbot.replay.slicing.frames import End
from reviewbot.replay.slicing.slicer import SlicedOp, TooLarge, Unreadable
from reviewbot.replay.steps import words
from reviewbot.rule import Scene
from reviewbot.score import Doubt
from reviewbot.sim import (
    Either,
    Goto,
    Graph,
    Model,
    Named,
    Node,
    Seq,
    Task,
    Var,
    atomic_dec,
    atomic_inc,
    atomic_set,
    say,
    wait_until,
)

Level = tuple[int, bool]
"""How high the counter is, and whether somebody else was given something."""


def scene(leak: Leak, program: Program) -> Scene:
    """The model of one side; one that says why where there is none."""
    try:
        return Scene(name="a counter left raised", built=model(leak, program), through=(words(leak.counter),))
    except Unreadable as error:
        cuts = (error.cut,) if isinstance(error, TooLarge) else ()
        return Scene(name="a counter left raised", missing=str(error), doubt=Doubt.UNREAD, cuts=cuts)


def model(leak: Leak, program: Program) -> Model:
    """The model of one side. Raises Unreadable where the function cannot be read there.

    With a result with which the counter was left raised before the patch, too, somebody else lowers it.
    """
    root = leak.way[0]
    automaton = Counting(program, leak.counter).results(root)
    owed = leak.how != KEPT
    counter = Var(words(leak.counter), int(owed))
    changer, sleeper = f"{name_of(root)}()", sleeper_name(leak)
    if sleeper == changer:
        sleeper = f"another {sleeper}"
    sleeps = wait_until(counter == 0, f"{counter} == 0")
    tasks = (
        Task(sleeper, Named(sleeper, sleeps)),
        Task(changer, _Counted(leak, automaton, counter).program(changer, int(owed))),
    )
    return Model(f"{leak.counter} left raised", tasks, reachable=tuple(t.name for t in tasks))


def sleeper_name(leak: Leak) -> str:
    """Who sleeps, as it is called in a sentence."""
    return f"{leak.sleeper.function}()"


class _Counted:
    """The program of a function, a place for each height of the counter."""

    def __init__(self, leak: Leak, automaton: TaskAutomaton, counter: Var) -> None:
        self.leak, self.automaton, self.counter = leak, automaton, counter
        self.lowers = any(op.kind == LOWER for ways in automaton.places.values() for op, _ in ways.steps)
        self.blocks: dict[str, Node] = {}

    def program(self, name: str, height: int) -> Named:
        """The program, entered with the counter at a height. Raises Unreadable for a loop without bound."""
        todo: list[tuple[int, Level]] = [(place, (height, False)) for place in sorted(self.automaton.start)]
        self.blocks["start"] = _choice([_at(place, level) for place, level in todo])
        while todo:
            place, level = todo.pop()
            if _at(place, level) in self.blocks:
                continue
            ways: list[Node] = []
            for op, after in self.automaton.places[place].steps:
                now, step = self._step(op, level)
                if now[0] > MAX_COUNTED + 1:
                    raise Unreadable(f"{name} counts without bound")
                todo += [(to, now) for to in after]
                ways.append(Seq((step, _choice([_at(to, now) for to in sorted(after)]))))
            end = self._end(place, level)
            self.blocks[_at(place, level)] = end if not ways else ways[0] if len(ways) == 1 else Either(tuple(ways))
        return Named(name, Graph("start", self.blocks))

    def _step(self, op: SlicedOp, level: Level) -> tuple[Level, Node]:
        height, handed = level
        if op.kind == HAND:
            return (height, True), say("")
        if op.kind == RAISE:
            return (height + 1, handed), atomic_inc(self.counter).says(f"raises {self.counter}").at(op.place)
        if op.kind == LOWER and height:
            return (height - 1, handed), atomic_dec(self.counter).says(f"lowers {self.counter}").at(op.place)
        return level, say("")  # one of its caller's

    def _end(self, place: int, level: Level) -> Node:
        end = self.automaton.ends.get(place)
        signs = end.signs if isinstance(end, End) else ANY
        others = level[1] if self.leak.how == OWED else signs & self.leak.handed
        if self.leak.how == LAST:  # where it does so at all, each way without is one on which nothing was raised
            others = self.lowers
        returns = say(f"returns{_result(signs)}")
        return Seq((returns, atomic_set(self.counter, 0).says(""))) if level[0] and others else returns


def _result(signs: int) -> str:
    return {1: " 0", 2: " an error"}.get(signs, "")


def _at(place: int, level: Level) -> str:
    return f"{place} {level}"


def _choice(places: list[str]) -> Node:
    gotos = tuple(Goto(place) for place in places)
    return gotos[0] if len(gotos) == 1 else Either(gotos)
