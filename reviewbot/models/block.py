"""The block layer as drivers see it: a device takes bios, a disk interrupts when it is done with one.

A device is anything with `bio`: given an operation and the bio's end_io, it returns what ->submit_bio does with that
bio. Devices stack by holding the one below. current->bio_list is part of the simulator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, ParamSpec, Protocol

import msgspec

from reviewbot.sim import Attempt, BoundName, Interrupt, Node, Routine, SourceProgram, Test, program, start_io
from reviewbot.sim import submit_bio as submit
from reviewbot.sim.program import attempt
from reviewbot.types import Place

P = ParamSpec("P")
Op = Literal["read", "write"]


class Device(Protocol):
    """What bios can be submitted to; `str()` is its name in a trace."""

    def bio(self, op: Op, end_io: Routine) -> BoundName:
        """What ->submit_bio of the device does with a bio whose end_io is given."""

    def __hash__(self) -> int: ...


class Part(msgspec.Struct, frozen=True, eq=False):
    """Base of what models are put together from: known by identity, told by name."""

    name: str

    def __str__(self) -> str:
        return self.name


class Disk(Part, frozen=True, eq=False):
    """A disk whose driver never waits: it takes any number of requests and finishes them in any order."""

    interrupt: Interrupt

    def bio(self, op: Op, end_io: Routine) -> BoundName:
        """A request of the disk, which its interrupt ends."""
        return blk_mq_submit_bio(self, end_io)


def disk(name: str = "the disk") -> Disk:
    """A disk with an interrupt of its own."""
    return Disk(name, Interrupt(f"{name}'s interrupt"))


@program(file="block/blk-mq.c")
def blk_mq_submit_bio(disk: Disk, end_io: Routine) -> None:
    """The disk takes the bio; its interrupt ends it later."""
    start_io(disk.interrupt, end_io).says("")


def submit_bio(device: Device, op: Op, end_io: Routine) -> Node:
    """submit_bio_noacct(): told by what the device does with the bio."""
    return submit(device.bio(op, end_io), device).says("")


def quietly(test: Test) -> Attempt:
    """A condition whose outcome a trace need not tell. For `if` and `while`."""
    return attempt(test).over(lambda act: msgspec.structs.replace(act, text=""))


def called(call: str, node: Node) -> Node:
    """The same step, with the name that the call it may sleep in has in the reader's code."""
    return node.over(lambda act: msgspec.structs.replace(act, call=call) if act.call else act)


def of(file: str, function: str, title: str = "") -> Callable[[Callable[P, None]], SourceProgram[P]]:
    """Make a program that stands for a function of the reader's file; `title` is its name in a trace.

    Either may be empty: a trace then tells no place.
    """

    def make(body: Callable[P, None]) -> SourceProgram[P]:
        made: SourceProgram[P] = program(file=file, title=braced(title or named(function)))(body)
        made.place = Place(file, 0, function.removesuffix("()"))
        return made

    return make


def braced(text: str) -> str:
    """A text that str.format() gives back as it is."""
    return text.replace("{", "{{").replace("}", "}}")


def named(function: str) -> str:
    """A function as text has it: `f()`; what is no name of one stays as it is."""
    return f"{function}()" if function.isidentifier() else function
