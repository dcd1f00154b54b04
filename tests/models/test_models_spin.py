"""SPIN says the same of the founding scenes on both sides, on the Promela that is made from the same automaton."""

from __future__ import annotations

import os

import pytest
from model_golden import Golden, goldens, whole
from sim_spin import spin

from reviewbot.models.scene import build, parse
from reviewbot.sim.compile import compile_model

FOUNDING = ("verity_writeback", "verity_pools", "bufio_shrinker", "dm_rescued", "offload_levels", "snapshot_throttle")


def both_sides() -> list[Golden]:
    """The first safe and the first stuck block of each founding scene; all blocks of all with REVIEWBOT_SPIN=all.

    SPIN is asked whether the search is right, which is one for all scenes; random models of every kind of resource are
    compared in tests/sim.
    """
    if os.environ.get("REVIEWBOT_SPIN") == "all":
        return [*goldens()]
    first: dict[tuple[str, str], Golden] = {}
    for golden in goldens():
        name = parse(golden.spec)[0].name
        if name in FOUNDING:
            first.setdefault((name, golden.verdict), golden)
    return [*first.values()]


@pytest.mark.parametrize("golden", both_sides(), ids=lambda golden: golden.spec)
def test_spin_agrees(golden: Golden) -> None:
    if whole(golden.spec).outcome == "inconclusive":
        pytest.skip("too many states for a test")
    assert spin(compile_model(build(golden.spec)), "-O0").stuck == (golden.verdict == "stuck")
