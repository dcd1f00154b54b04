"""Ways down to what an effect is: all of them within reach, and no time for those that lead too far."""

from __future__ import annotations

from itertools import islice

import pytest
from small import program

from reviewbot.analysis.callgraph.callgraph import CallGraph
from reviewbot.analysis.program.program import Program
from reviewbot.analysis.summaries.effect_summary import Effect
from reviewbot.function_key import FunctionKey, name_of
from reviewbot.limits import MAX_CALLS_TO_WAIT

WIDE = 3


def layers(deep: int) -> Program:
    """Functions in layers, each of which calls all of the next one; those of the last one take a mutex."""
    text = [
        f"static void f{deep}_{i}(struct dev *d) {{ mutex_lock(&d->lock); mutex_unlock(&d->lock); }}"
        for i in range(WIDE)
    ]
    for layer in reversed(range(deep)):
        calls = " ".join(f"f{layer + 1}_{i}(d);" for i in range(WIDE))
        text += [f"static void f{layer}_{i}(struct dev *d) {{ {calls} }}" for i in range(WIDE)]
    return program("\n".join([*text, "void top(struct dev *d) { f0_0(d); }"]))


def locks(made: Program) -> tuple[FunctionKey, Effect]:
    top = next(key for key in made.functions() if name_of(key) == "top")
    (effect,) = (e for e in made.effects.of(top) if e.kind == "lock")
    return top, effect


@pytest.mark.parametrize("deep", [0, 1, 3])
def test_all_ways_within_reach(deep: int) -> None:
    made = layers(deep)
    found = [*made.effects.ways(*locks(made))]
    assert len(set(found)) == len(found) == WIDE**deep
    assert {len(way) for way in found} == {deep + 2}
    assert all(name_of(way[-1].key).startswith(f"f{deep}_") for way in found)


@pytest.mark.parametrize("deep", [MAX_CALLS_TO_WAIT - 1, MAX_CALLS_TO_WAIT])
def test_what_is_too_far_down_is_seen_at_once(deep: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = layers(deep)
    top, effect = locks(made)
    asked = 0
    reached = CallGraph.reached

    def counted(*args: object) -> object:
        nonlocal asked
        asked += 1
        return reached(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(CallGraph, "reached", counted)
    found = [*islice(made.effects.ways(top, effect), 5)]
    assert len(found) == (5 if deep < MAX_CALLS_TO_WAIT else 0)
    assert asked <= 4 * WIDE * WIDE * deep  # each call of each function a few times, not each way
