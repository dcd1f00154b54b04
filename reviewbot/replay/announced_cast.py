"""A change without its wake-up -> the model of one side: the program of the function, read off the code, and a sleeper."""

from __future__ import annotations

from itertools import pairwise

from msgspec.structs import replace

from reviewbot.analysis.program.program import Program
from reviewbot.detect.announced import Missed
from reviewbot.detect.signals import RUN, Announcing
from reviewbot.replay.slicing.automaton import TaskAutomaton
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
    WaitQueue,
    atomic_set,
    say,
    wait_event,
    wake_up,
)


def scene(missed: Missed, program: Program) -> Scene:
    """The model of one side; one that says why where there is none."""
    try:
        return Scene(name="wake-up left out", built=model(missed, program), through=(queue_name(missed),))
    except Unreadable as error:
        cuts = (error.cut,) if isinstance(error, TooLarge) else ()
        return Scene(name="wake-up left out", missing=str(error), doubt=Doubt.UNREAD, cuts=cuts)


def model(missed: Missed, program: Program) -> Model:
    """The model of one side. Raises Unreadable where the function cannot be read there.

    A round of the function that changes nothing is followed by another one: that others do not change it either is no
    fault of the patch.
    """
    told = missed.told
    if missed.way[0] not in program.names.functions:
        raise Unreadable(f"{missed.function}() is not there")
    here = all(callee in (caller, *program.callees(caller)) for caller, callee in pairwise(missed.was or missed.way))
    way = missed.was if missed.was and here else missed.way
    automaton = Announcing(program, told, way).automaton(way[0])
    changed, queue = Var(words(told.tested), 1), WaitQueue(queue_name(missed))
    changer, sleeper = f"{missed.function}()", sleeper_name(missed)
    if sleeper == changer:
        sleeper = f"another {sleeper}"
    if missed.sleeper is not None:
        call = f"{missed.call}({queue})"
        sleeps = wait_event(queue, changed == 0).says("").over(lambda a: replace(a, call=call) if a.call else a)
    else:
        of = "a run of the hardware queue" if told.wake == RUN else f"{queue} to be queued"
        sleeps = wait_event(queue, changed == 0).says("").over(lambda a: replace(a, call="io_schedule()", waits=of))
    tasks = (
        Task(sleeper, Named(sleeper, sleeps)),
        Task(changer, _automaton(missed, automaton, changed, queue)),
    )
    return Model(f"{told.tested} without a wake-up", tasks, reachable=tuple(t.name for t in tasks))


def queue_name(missed: Missed) -> str:
    """What is woken, as it is called in a sentence."""
    return "the hardware queue" if missed.told.wake == RUN else words(missed.told.wake)


def sleeper_name(missed: Missed) -> str:
    """Who sleeps, as it is called in a sentence."""
    if missed.sleeper is not None:
        return f"{missed.sleeper.function}()"
    return (
        "whoever waits for the request"
        if missed.told.wake == RUN
        else f"whoever waits for what is on {words(missed.told.tested)}"
    )


def _automaton(missed: Missed, automaton: TaskAutomaton, changed: Var, queue: WaitQueue) -> Named:
    blocks: dict[str, Node] = {"start": _choice(automaton.start, False)}
    for number, ways in automaton.places.items():
        for written in (False, True):
            steps = [
                Seq((_step(op, changed, queue), _choice(after, written or op.kind == "write")))
                for op, after in ways.steps
            ]
            end: Node = say("returns") if written else Goto("start")
            blocks[f"{number}{written}"] = end if not steps else steps[0] if len(steps) == 1 else Either(tuple(steps))
    return Named(f"{missed.function}()", Graph("start", blocks))


def _choice(places: frozenset[int], written: bool) -> Node:
    gotos = tuple(Goto(f"{p}{written}") for p in sorted(places))
    return gotos[0] if len(gotos) == 1 else Either(gotos)


def _step(op: SlicedOp, changed: Var, queue: WaitQueue) -> Node:
    if op.kind == "wake":
        return wake_up(queue).says(f"wakes {queue}").at(op.place)
    does = {"put": "puts something on", "=": "sets", "=0": "clears", "=1": "sets", "+": "raises", "-": "lowers"}
    does |= {"|": "sets", "&~": "clears"}
    return atomic_set(changed, 0).says(f"{does.get(op.mode, 'changes')} {changed}").at(op.place)
