"""scenes.txt: every scene, safe and not, with what the simulator says of it.

A block is `VERDICT SPEC`, then indented, where it is stuck, the steps of the schedule and who waits for whom.
`pytest tests/models --bless` rewrites all but the verdicts. How many states it took to find out is no part of it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from reviewbot.models.scene import build
from reviewbot.sim.check import SearchLimits, SearchResult, check

FILE = Path(__file__).with_name("scenes.txt")
WHOLE = SearchLimits(states=200_000)


class Golden(NamedTuple):
    """One block of the file."""

    verdict: str
    spec: str
    body: str

    def __str__(self) -> str:
        return f"{self.verdict} {self.spec}\n{self.body}".rstrip("\n")


@cache
def goldens() -> tuple[Golden, ...]:
    """The blocks of the file, in order."""
    found = []
    for block in FILE.read_text().strip("\n").split("\n\n"):
        head, _, body = block.partition("\n")
        verdict, _, spec = head.partition(" ")
        found.append(Golden(verdict, spec, body))
    return tuple(found)


@cache
def checked(spec: str) -> SearchResult:
    """What the reduced search says of a scene."""
    return check(build(spec))


@cache
def whole(spec: str) -> SearchResult:
    """What the search without reductions says of it, inconclusive where it is too large."""
    return check(build(spec), WHOLE, reduce=False)


def body(spec: str) -> str:
    """The block of a scene below its first line, as it is now."""
    trace = checked(spec).trace
    lines = [*(f"{s.task}: {s.step}" for s in trace.steps), *(f"* {w.told}" for w in trace.knot)] if trace else []
    return "\n".join(f"    {line}" for line in lines)
