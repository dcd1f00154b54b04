"""The simulator against SPIN, its speed and memory, and how models grow: `python tests/benchmarks/bench_sim.py`.

1. Founding scenarios, both sides: from the model's function to a verdict with a replayed schedule, against SPIN on the
   same automaton: `spin -run -safety`, which generates, compiles and runs the verifier, and the same with a C compiler
   that does not optimise. Medians of processor time, taken in turns in one run.
2. States per second of the search without reductions, and the memory of a process that holds a million states.
3. Growth with writers, kworkers, pool size and depth of the stack: states and seconds of the reduced search.
"""

from __future__ import annotations

import gc
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "sim"))

from sim_models import throttle
from sim_spin import spin

from reviewbot.models.scene import scenes
from reviewbot.sim.check import SearchLimits, check
from reviewbot.sim.compile import compile_model
from reviewbot.sim.explore import explore
from reviewbot.sim.model import Model

FOUNDING = [
    ("verity_writeback", {"rescuer": False}, {}),
    ("verity_readers", {"rescuer": False}, {}),
    ("verity_pools", {"recheck_pool": "shared"}, {}),
    ("verity_pools", {"io_client": "shared"}, {}),
    ("verity_pools", {"reserved_ios": 0}, {}),
    ("bufio_shrinker", {"gate": "IO"}, {"gate": "FS"}),
    ("dm_rescued", {"helper": "md->work"}, {}),
    ("offload_levels", {"helper": "one"}, {}),
    ("snapshot_throttle", {"held": True}, {}),
]
MILLION = 1_000_000


def cpu(call: Callable[[], object], times: int) -> float:
    """Median of the processor time of some runs."""
    taken = []
    for _ in range(times):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def founding() -> None:
    print("1. founding scenarios, end to end, seconds of processor time (the machine may do other things as well)\n")
    print(
        f"{'scenario':42} {'verdict':7} {'states':>6} {'ours':>8} {'SPIN states':>11} {'SPIN':>7} {'ratio':>6}", end=""
    )
    print(f" {'SPIN -O0':>8} {'ratio':>6}")
    ratios: list[float] = []
    for name, bad, good in FOUNDING:
        for values in (bad, good):
            built = scenes()[name]
            result = check(built.build(values))
            ours, own, quick = [], [], []
            for _ in range(3):  # in turns, so that all see the same machine
                ours.append(cpu(lambda b=built, v=values: check(b.build(v)), 9))
                own.append(spin(compile_model(built.build(values))))
                quick.append(spin(compile_model(built.build(values)), "-O0"))
            assert all(other.stuck == (result.outcome == "stuck") for other in (*own, *quick)), (name, values)
            mine = statistics.median(ours)
            theirs, least = (statistics.median(other.cpu for other in others) for others in (own, quick))
            ratios.append(theirs / mine)
            print(
                f"{built.spec(values):42} {result.outcome:7} {result.states:6,} {mine * 1e3:5.1f} ms"
                f" {own[0].states:11,} {theirs:5.2f} s {theirs / mine:5.0f}x {least:6.2f} s {least / mine:5.0f}x"
            )
    print(f"\nsmallest ratio {min(ratios):.0f}, median {statistics.median(ratios):.0f}\n")


def large() -> Model:
    """A model with more than a million states without reductions."""
    return throttle(held=False, writers=6, limit=2)


def speed() -> None:
    print("2. search without reductions, a million states, in a process of its own\n")
    out = subprocess.run([sys.executable, __file__, "--million"], capture_output=True, text=True, check=True).stdout
    print(out)


def million() -> None:
    automaton = compile_model(large())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.process_time()
    space = explore(automaton, SearchLimits(states=MILLION, seconds=600), reduce=False)
    taken = time.process_time() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    states, edges = len(space.order), len(space.targets)
    print(f"{states:,} states of {len(automaton.initial)} bytes, {edges:,} edges in {taken:.2f} s")
    print(
        f"{states / taken:,.0f} states/s, {edges / taken:,.0f} edges/s, {after:.0f} MB in all, {before:.0f} MB before"
    )


def growth() -> None:
    print("3. growth, reduced search with knots and replay\n")
    rows: list[tuple[str, str, list[int], Callable[[int], dict[str, object]]]] = [
        ("snapshot_throttle", "writers", [1, 2, 3, 4], lambda n: {"writers": n}),
        ("snapshot_throttle held=yes", "writers", [2, 3, 4], lambda n: {"writers": n, "held": True}),
        ("verity_readers", "kworkers", [1, 2, 4, 8, 16], lambda n: {"kworkers": n}),
        ("verity_readers rescuer=no", "kworkers", [1, 2, 4, 8, 16], lambda n: {"kworkers": n, "rescuer": False}),
        ("verity_writeback", "kworkers", [1, 2, 4, 6], lambda n: {"kworkers": n}),
        ("verity_pools, shared", "reserved_pages", [1, 2, 3], pools),
        ("verity_pools", "depth", [2, 3, 4, 5, 6], lambda n: {"depth": n}),
        ("verity_pools shared", "depth", [2, 3, 4, 5, 6], lambda n: {"depth": n, "recheck_pool": "shared"}),
    ]
    for title, parameter, sizes, values in rows:
        built = scenes()[title.split(" ")[0].strip(",")]
        print(f"{title}, {parameter}:", end="", flush=True)
        for n in sizes:
            started = time.perf_counter()
            result = check(built.build(values(n)), SearchLimits(states=2 * MILLION, seconds=300))
            taken = time.perf_counter() - started
            print(f"  {n}: {result.outcome} {result.states:,} {taken:.3f} s", end="", flush=True)
        print()


def pools(n: int) -> dict[str, object]:
    """As many shared pages as there are writers and threads on each level: they can all be held by the upper one."""
    return {"recheck_pool": "shared", "reserved_pages": n, "writers": n, "threads": n}


def main(arguments: Iterable[str]) -> None:
    gc.set_threshold(1_000_000, 20, 100)  # as the command line has it
    if "--million" in arguments:
        million()
        return
    founding()
    speed()
    growth()


if __name__ == "__main__":
    main(sys.argv[1:])
